//! One life of a container: from its mounts to the end of its main process.
//!
//! Everything happens in one thread that waits for signals, for output, and for the next time something is due.

use std::fs;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::Pid;
use scomo_store::files;

use super::blueprint::Blueprint;
use super::crun::{self, Namespace};
use super::log::Log;
use super::places::ComponentPlace;
use super::state::{Lock, Plan, stop_timeout};
use super::{cgroup, prepare};
use crate::error::{Context, Error};

/// How often a new container is looked at until its process is there.
const READY_CHECK: Duration = Duration::from_millis(5);
/// How often all is looked at otherwise, in case a signal was lost.
const IDLE_CHECK: Duration = Duration::from_secs(60);
/// How long a killed container may take to end.
const KILL_CHECK: Duration = Duration::from_secs(5);
/// Bytes of output that are moved at once.
const READ_BYTES: usize = 16 * 1024;
/// Reads before signals are looked at again.
const READS_MAX: usize = 16;

/// How a life ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// The main process ended with this status; 128 and the signal's number when it was killed.
    Exited(i32),
    /// It never began; in the words of whoever refused.
    NotStarted {
        message: String,
        /// The package is to blame.
        by_package: bool,
    },
}

/// The signals that the process hears of through a file. They stay blocked for the rest of its life.
#[derive(Debug)]
pub(crate) struct Signals(SignalFd);

impl Signals {
    /// Must be called before any thread is started.
    pub(crate) fn block() -> io::Result<Self> {
        let mut set = SigSet::empty();
        for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGCHLD] {
            set.add(signal);
        }
        set.thread_block()?;
        Ok(Self(SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?))
    }

    /// Takes all that came; true: one of them asks to stop.
    pub(crate) fn take(&self) -> io::Result<bool> {
        let mut stop = false;
        while let Some(signal) = self.0.read_signal()? {
            let number = i32::try_from(signal.ssi_signo).unwrap_or_default();
            stop |= number == Signal::SIGTERM as i32 || number == Signal::SIGINT as i32;
        }
        Ok(stop)
    }

    /// Waits for a signal or for output, at most for a time.
    pub(crate) fn wait(&self, output: Option<&OwnedFd>, time: Duration) -> io::Result<()> {
        let mut fds = vec![PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        fds.extend(output.map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLIN)));
        // Rounded up: a wait of nothing would be a busy loop.
        let time = u32::try_from(time.as_millis()).unwrap_or(u32::MAX).saturating_add(1);
        match poll(&mut fds, PollTimeout::try_from(time).unwrap_or(PollTimeout::MAX)) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// A life that is about to begin.
pub(crate) struct Life<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) place: &'a ComponentPlace,
    pub(crate) signals: &'a Signals,
    pub(crate) lock: &'a Lock,
    /// Where the output goes; `None`: where our own goes.
    pub(crate) log: Option<&'a mut Log>,
    /// Called with the main process once it runs, and when stopping begins.
    pub(crate) on_change: &'a mut dyn FnMut(Change),
    /// A stop was asked for before this life or during it.
    pub(crate) stopping: bool,
}

/// What happened in a life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// The main process runs, with this number where it is known.
    Running(Option<i32>),
    /// It was asked to stop.
    Stopping,
}

impl Life<'_> {
    /// Lives it. An error is one of ours, not of the container.
    pub(crate) fn live(&mut self) -> Result<End, Error> {
        // What an earlier life left, when whoever watched it was killed.
        self.plan.crun.delete(&self.plan.container, Namespace::Callers)?;
        files::remove_file(&self.place.pid())?;
        files::remove_file(&self.place.runtime_log())?;
        let (child, output, stop_signal) = match self.start() {
            Ok(started) => started,
            Err(error) => {
                let by_package = error.kind() == scomo_core::failure::FailureKind::Invalid;
                let message = match error {
                    Error::Start { message, .. } | Error::Refused { reason: message, .. } => message,
                    other => scomo_engine::backend::chain(&other),
                };
                return Ok(End::NotStarted { message, by_package });
            }
        };
        let mut body = Body { child, output, stop_signal, running: false, deadline: None };
        let status = self.watch(&mut body);
        // Whatever happened: nothing of the container stays.
        let deleted = self.plan.crun.delete(&self.plan.container, Namespace::Callers);
        let _ = body.child.kill();
        let _ = body.child.wait();
        self.move_output(&mut body);
        deleted?;
        Ok(self.judge(status?, body.running))
    }

    fn start(&mut self) -> Result<(Child, Option<OwnedFd>, i32), Error> {
        let (plan, place) = (self.plan, self.place);
        let blueprint = Blueprint::draw(&plan.release, &plan.image, &plan.rootfs, &plan.policy)?;
        let manager = match &plan.group {
            None => cgroup::Manager::Disabled,
            Some(group) => {
                let (manager, warning) = cgroup::manager(group, &plan.container, &blueprint.resources)?;
                if let (Some(warning), Some(log)) = (warning, &mut self.log) {
                    log.note(&format!("running without control groups: {warning}"));
                }
                manager
            }
        };
        prepare::prepare(plan, &blueprint, &manager, place)?;
        files::create_private(&plan.crun.state)?;
        let log = place.runtime_log();
        let mut command = plan.crun.run(&plan.container, &manager, &log, &place.bundle(), &place.pid());
        let failed = |e: io::Error| Error::tool("starting the container runtime", e.to_string());
        let mut output = None;
        if self.log.is_some() {
            let (reader, writer) = io::pipe().map_err(failed)?;
            rustix::io::ioctl_fionbio(&reader, true).map_err(|e| failed(e.into()))?;
            command.stdout(writer.try_clone().map_err(failed)?).stderr(writer);
            output = Some(OwnedFd::from(reader));
        } else {
            command.stdout(Stdio::inherit()).stderr(Stdio::inherit());
        }
        let child = command.spawn().map_err(failed)?;
        Ok((child, output, blueprint.stop_signal))
    }

    /// Until the process that holds the container in the foreground ends.
    fn watch(&mut self, body: &mut Body) -> Result<ExitStatus, Error> {
        let place = self.place.folder();
        if self.stopping {
            self.stop(body);
        }
        loop {
            if let Some(status) = body.child.try_wait().context("watch the container of", place)? {
                return Ok(status);
            }
            let check = if body.running { IDLE_CHECK } else { READY_CHECK };
            let due = body.deadline.map_or(check, |at| at.saturating_duration_since(Instant::now()));
            self.signals
                .wait(body.output.as_ref(), check.min(due))
                .context("wait for the container of", place)?;
            let told = self.signals.take().context("read signals for", place)?;
            if (told || !self.lock.is_current()) && !self.stopping {
                self.stopping = true;
                self.stop(body);
            }
            self.move_output(body);
            if !body.running
                && let Some(pid) = self.executed(&body.child)
            {
                body.running = true;
                (self.on_change)(Change::Running(Some(pid)));
            }
            if body.deadline.is_some_and(|at| Instant::now() >= at) {
                self.plan.crun.delete(&self.plan.container, Namespace::Callers)?;
                let _ = body.child.kill();
                body.deadline = Some(Instant::now() + KILL_CHECK);
            }
        }
    }

    fn stop(&mut self, body: &mut Body) {
        (self.on_change)(Change::Stopping);
        body.deadline = Some(Instant::now() + stop_timeout(&self.plan.release));
        if self.plan.crun.kill(&self.plan.container, body.stop_signal).is_err()
            && let Ok(pid) = i32::try_from(body.child.id())
        {
            // There is no container yet: then it need not be made. The child was not waited for, the number is its.
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
    }

    /// The main process, once it executes the component's program: until then it is a copy of the OCI runtime.
    fn executed(&self, child: &Child) -> Option<i32> {
        let pid: i32 = fs::read_to_string(self.place.pid()).ok()?.trim().parse().ok()?;
        let executable = |pid: &dyn std::fmt::Display| {
            fs::metadata(format!("/proc/{pid}/exe")).ok().map(|m| (m.dev(), m.ino()))
        };
        let differs = executable(&pid)? != executable(&child.id())?;
        // runc's own first process has another executable than the one in the foreground.
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
        (differs && !name.starts_with("runc:[")).then_some(pid)
    }

    fn move_output(&mut self, body: &mut Body) {
        let (Some(log), Some(fd)) = (&mut self.log, body.output.take()) else { return };
        let mut pipe = io::PipeReader::from(fd);
        let mut buffer = [0_u8; READ_BYTES];
        for _ in 0..READS_MAX {
            match pipe.read(&mut buffer) {
                // Nobody holds the other end any more.
                Ok(0) => return,
                Ok(length) => log.write(buffer.get(..length).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        body.output = Some(OwnedFd::from(pipe));
    }

    fn judge(&mut self, status: ExitStatus, running: bool) -> End {
        let code = status.code().or_else(|| status.signal().map(|n| n.saturating_add(128))).unwrap_or(-1);
        if running || self.stopping {
            return End::Exited(code);
        }
        let said = self.log.as_ref().map(|log| log.last_line()).unwrap_or_default();
        match crun::errors(&self.place.runtime_log()).or_else(|| crun::exec_error(&said)) {
            Some(message) => {
                let by_package = is_about_the_program(&message);
                End::NotStarted { message, by_package }
            }
            None => {
                // Over before anybody could look.
                (self.on_change)(Change::Running(None));
                End::Exited(code)
            }
        }
    }
}

/// What is in the foreground, with what we know of it.
struct Body {
    child: Child,
    output: Option<OwnedFd>,
    stop_signal: i32,
    running: bool,
    /// When patience ends.
    deadline: Option<Instant>,
}

/// Whether the OCI runtime says that the component's program, not the device, is the problem.
fn is_about_the_program(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    ["executable", "exec ", "exec:", "chdir", "cwd", "exec format"].iter().any(|word| message.contains(word))
}
