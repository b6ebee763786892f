//! The engine's side of the worker protocol: start a worker, give it its job, read its lines, end it.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use scomo_core::failure::{Failure, FailureKind};
use tracing::{debug, error, info, warn};

use super::{Answer, Job, LINE_BYTES_MAX, Line, PARENT_ENV};
use crate::backend::StepCx;

/// How often a running worker's step is asked whether it was cancelled.
const CANCEL_CHECK_MS: u16 = 100;
/// How long a worker may take to end after it has closed its output.
const EXIT_WAIT: Duration = Duration::from_secs(10);
/// How often its end is looked for meanwhile.
const EXIT_CHECK: Duration = Duration::from_millis(2);
/// Longest line of a worker's log that is passed on; the rest of it becomes lines of its own.
const LOG_LINE_BYTES_MAX: usize = 4096;
/// Bytes read at once.
const READ_BYTES: usize = 8192;
/// Reads from one pipe before the other one is looked at: a flood of log lines must not hide the outcome.
const READS_MAX: usize = 32;

/// A worker executable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerCommand {
    /// The executable.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
}

impl WorkerCommand {
    /// An executable without arguments.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self { program: program.into(), args: Vec::new() }
    }

    /// Runs one job in a new process of its own group, and waits for its end. Progress goes to `cx`; when that is
    /// cancelled the whole group is killed. The calling thread must outlive the call: the kernel kills a worker when
    /// the thread that started it ends.
    ///
    /// Every way in which a worker can go wrong is a [`Failure`]: a missing executable and a broken protocol are
    /// `Broken`, an end without an outcome is `Interrupted`.
    pub fn run(&self, job: &Job, cx: &StepCx) -> Result<Answer, Failure> {
        let mut text = serde_json::to_vec(job)
            .map_err(|e| Failure::new(FailureKind::Broken, format!("the job cannot be written: {e}")))?;
        text.push(b'\n');
        if cx.cancelled() {
            return Err(cancelled());
        }
        let mut worker = self.spawn()?;
        let reading = worker.give(&text).and_then(|()| worker.read(cx));
        if !matches!(reading, Ok(Reading::Outcome(_) | Reading::Ended)) {
            worker.kill();
        }
        let status = worker.end();
        match reading {
            Ok(Reading::Outcome(outcome)) => outcome,
            Ok(Reading::Cancelled) => Err(cancelled()),
            Ok(Reading::Nonsense(what)) => {
                let what = format!("{} {what}; install matching versions", self.program.display());
                Err(Failure::new(FailureKind::Broken, what))
            }
            Ok(Reading::Ended) | Err(_) => Err(Failure::new(FailureKind::Interrupted, self.epitaph(status))),
        }
    }

    fn spawn(&self) -> Result<Worker, Failure> {
        let child = Command::new(&self.program)
            .args(&self.args)
            .env(PARENT_ENV, std::process::id().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn();
        let child = child.map_err(|e| {
            let hint = match e.kind() {
                io::ErrorKind::NotFound => "; install the package that holds it, or correct its path",
                io::ErrorKind::PermissionDenied => "; it must be executable",
                _ => "",
            };
            let what = format!("the worker {} cannot be started: {e}{hint}", self.program.display());
            Failure::new(FailureKind::Broken, what)
        })?;
        debug!("worker {} is process {}", self.program.display(), child.id());
        Ok(Worker { child, log: LogLines::default() })
    }

    fn epitaph(&self, status: io::Result<ExitStatus>) -> String {
        let how = match status {
            Ok(status) => match status.signal() {
                Some(signal) => {
                    let name = Signal::try_from(signal).map_or("an unknown signal", Signal::as_str);
                    format!("was ended by {name}")
                }
                None => format!("ended with status {}", status.code().unwrap_or(-1)),
            },
            Err(e) => format!("was lost: {e}"),
        };
        format!("the worker {} {how} before it was done; its log says why", self.program.display())
    }
}

fn cancelled() -> Failure {
    Failure::new(FailureKind::Cancelled, "cancelled")
}

/// Why reading stopped.
#[allow(clippy::large_enum_variant, reason = "there is one at a time")]
enum Reading {
    Outcome(Result<Answer, Failure>),
    Ended,
    Cancelled,
    Nonsense(String),
}

struct Worker {
    child: Child,
    log: LogLines,
}

impl Worker {
    fn give(&mut self, job: &[u8]) -> io::Result<()> {
        match self.child.stdin.take() {
            // A worker that ends early may have said why.
            Some(mut stdin) => stdin
                .write_all(job)
                .or_else(|e| if e.kind() == io::ErrorKind::BrokenPipe { Ok(()) } else { Err(e) }),
            None => Ok(()),
        }
    }

    /// Reads lines until the outcome or the end.
    fn read(&mut self, cx: &StepCx) -> io::Result<Reading> {
        let (mut stdout, mut stderr) = (self.child.stdout.take(), self.child.stderr.take());
        unblock(stdout.as_ref().map(ChildStdout::as_fd))?;
        unblock(stderr.as_ref().map(ChildStderr::as_fd))?;
        let mut line = Vec::new();
        let reading = loop {
            let Some(out) = &mut stdout else { break Reading::Ended };
            if cx.cancelled() {
                break Reading::Cancelled;
            }
            wait(out.as_fd(), stderr.as_ref().map(ChildStderr::as_fd))?;
            if let Some(err) = &mut stderr
                && !read_some(err, |bytes| self.log.push(bytes))?
            {
                stderr = None;
            }
            let mut stop = None;
            let open =
                read_some(out, |bytes| stop = stop.take().or_else(|| take_lines(&mut line, bytes, cx)))?;
            if let Some(stop) = stop {
                break stop;
            }
            if !open {
                stdout = None;
            }
        };
        if let Some(err) = &mut stderr {
            // What it said last; not more, a child of it may keep the pipe for ever.
            read_some(err, |bytes| self.log.push(bytes))?;
        }
        self.log.flush();
        Ok(reading)
    }

    fn group(&self) -> Option<Pid> {
        i32::try_from(self.child.id()).ok().map(Pid::from_raw)
    }

    fn kill(&self) {
        if let Some(group) = self.group()
            && let Err(error) = killpg(group, Signal::SIGKILL)
        {
            debug!("worker {} cannot be killed: {error}", self.child.id());
        }
    }

    /// Waits for its end; its output is closed or it was killed, so that comes soon.
    fn end(mut self) -> io::Result<ExitStatus> {
        let deadline = Instant::now() + EXIT_WAIT;
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        while let Some(group) = self.group() {
            match waitid(Id::Pid(group), flags) {
                Ok(WaitStatus::StillAlive) if Instant::now() >= deadline => {
                    warn!("worker {} does not end by itself", self.child.id());
                    self.kill();
                    break;
                }
                Ok(WaitStatus::StillAlive) => std::thread::sleep(EXIT_CHECK),
                Ok(_) | Err(_) => break,
            }
        }
        self.child.wait()
    }
}

fn unblock(fd: Option<BorrowedFd<'_>>) -> io::Result<()> {
    if let Some(fd) = fd {
        fcntl(fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    }
    Ok(())
}

/// Waits until one of them has something to say, or it is time to look whether the step was cancelled.
fn wait(out: BorrowedFd<'_>, err: Option<BorrowedFd<'_>>) -> io::Result<()> {
    let mut fds = vec![PollFd::new(out, PollFlags::POLLIN)];
    fds.extend(err.map(|err| PollFd::new(err, PollFlags::POLLIN)));
    match poll(&mut fds, PollTimeout::from(CANCEL_CHECK_MS)) {
        Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

/// Hands over whatever is there; false at the end of the stream.
fn read_some(from: &mut impl Read, mut take: impl FnMut(&[u8])) -> io::Result<bool> {
    let mut buffer = [0_u8; READ_BYTES];
    for _ in 0..READS_MAX {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(false),
            Ok(n) => take(buffer.get(..n).unwrap_or_default()),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(true),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(true)
}

/// Adds `bytes` to the line that is being read and handles every line that is complete.
fn take_lines(line: &mut Vec<u8>, bytes: &[u8], cx: &StepCx) -> Option<Reading> {
    for part in bytes.split_inclusive(|byte| *byte == b'\n') {
        if line.len().saturating_add(part.len()) > LINE_BYTES_MAX {
            return Some(Reading::Nonsense(format!("wrote a line of more than {LINE_BYTES_MAX} bytes")));
        }
        line.extend_from_slice(part);
        if line.last() != Some(&b'\n') {
            continue;
        }
        let parsed = serde_json::from_slice(line);
        line.clear();
        match parsed {
            Ok(Line::Progress(progress)) => cx.progress(progress),
            Ok(Line::Outcome(outcome)) => return Some(Reading::Outcome(outcome)),
            Err(e) => return Some(Reading::Nonsense(format!("wrote a line that is not understood ({e})"))),
        }
    }
    None
}

/// A worker's log, passed on line by line at the level that it says.
#[derive(Debug, Default)]
struct LogLines {
    line: Vec<u8>,
}

impl LogLines {
    fn push(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if *byte == b'\n' || self.line.len() >= LOG_LINE_BYTES_MAX {
                self.flush();
            }
            if *byte != b'\n' {
                self.line.push(*byte);
            }
        }
    }

    fn flush(&mut self) {
        let text = String::from_utf8_lossy(&self.line);
        let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let text = text.trim();
        match text.split_once(' ') {
            _ if text.is_empty() => {}
            Some(("ERROR", rest)) => error!(target: "scomo_worker", "{}", rest.trim()),
            Some(("WARN", rest)) => warn!(target: "scomo_worker", "{}", rest.trim()),
            Some(("INFO", rest)) => info!(target: "scomo_worker", "{}", rest.trim()),
            Some(("DEBUG" | "TRACE", rest)) => debug!(target: "scomo_worker", "{}", rest.trim()),
            Some(_) | None => info!(target: "scomo_worker", "{text}"),
        }
        self.line.clear();
    }
}
