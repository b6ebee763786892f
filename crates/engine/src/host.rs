//! Programs that a backend runs on the host: a health check, or whatever has to hear that something changed.
//!
//! They run as root. Whether a package may name one is for the backend to decide before it comes here.

use std::ffi::OsStr;
use std::io::{self, PipeReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use scomo_core::failure::FailureKind;
use scomo_core::spec::{HEALTH_WINDOW_S_MAX, HealthCheck};

use crate::backend::StepCx;

/// How often a running command or a waiting check looks around.
const LOOK: Duration = Duration::from_millis(20);
/// The search path of a command that is named without a folder.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// How much of a command's last output is kept.
const OUTPUT_BYTES_MAX: usize = 4096;
/// Most characters of its last line in a message.
const LINE_CHARS_MAX: usize = 200;

/// Why it is not known whether a command succeeds.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The caller asked to stop.
    #[error("cancelled")]
    Cancelled,
    /// The system does not say what became of it.
    #[error("cannot watch the command")]
    Watch(#[source] io::Error),
}

impl HostError {
    /// The kind that the state machine decides on.
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::Cancelled => FailureKind::Cancelled,
            Self::Watch(_) => FailureKind::Broken,
        }
    }
}

/// Whether a command did what it should; if not, why, as in "its check *ended with exit status: 1*".
pub type Verdict = Result<(), String>;

/// A program with its arguments and what it finds in its environment besides `PATH`.
#[derive(Debug, Clone, Copy)]
pub struct HostCommand<'a> {
    /// The program, looked for in the usual folders unless it has a slash, and its arguments. Empty: nothing is run.
    pub argv: &'a [String],
    /// Variables.
    pub env: &'a [(&'a str, &'a OsStr)],
}

impl HostCommand<'_> {
    /// Runs it once. What it started in its process group ends with it.
    pub fn run(&self, timeout: Duration, cx: &StepCx) -> Result<Verdict, HostError> {
        let Some((program, args)) = self.argv.split_first() else { return Ok(Ok(())) };
        let (mut output, writer) = io::pipe().map_err(HostError::Watch)?;
        fcntl(&output, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map_err(|e| HostError::Watch(e.into()))?;
        let errors = writer.try_clone().map_err(HostError::Watch)?;
        let mut command = Command::new(program);
        command.args(args).env_clear().env("PATH", PATH).envs(self.env.iter().copied()).current_dir("/");
        command.stdin(Stdio::null()).stdout(writer).stderr(errors).process_group(0);
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(e) => return Ok(Err(format!("cannot be started ({program}: {e})"))),
        };
        // It holds the ends of the pipe that are to be the child's alone.
        drop(command);
        let mut said = Vec::new();
        let ended = wait(&mut child, &mut output, &mut said, timeout, cx);
        if let Ok(group) = i32::try_from(child.id()) {
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
        let reaped = child.wait();
        keep_newest(&mut output, &mut said);
        let said = last_line(&said);
        Ok(match (ended?, reaped) {
            (None, _) => Err(format!("took longer than {} s{said}", timeout.as_secs())),
            (Some(_), Ok(status)) if status.success() => Ok(()),
            (Some(_), Ok(status)) => Err(format!("ended with {status}{said}")),
            (Some(_), Err(e)) => Err(format!("was lost: {e}")),
        })
    }

    /// Runs it as `check` says, until the window has passed in good health. Without a command only time passes.
    pub fn watch(&self, check: &HealthCheck, cx: &StepCx) -> Result<Verdict, HostError> {
        let end = Instant::now() + Duration::from_secs(check.window_s.min(HEALTH_WINDOW_S_MAX));
        let timeout = Duration::from_secs(check.timeout_s.clamp(1, HEALTH_WINDOW_S_MAX));
        // Without a command there is nothing to look at before the end.
        let interval = if self.argv.is_empty() { HEALTH_WINDOW_S_MAX } else { check.interval_s.max(1) };
        let mut failures = 0_u32;
        loop {
            match self.run(timeout, cx)? {
                Ok(()) => failures = 0,
                Err(why) => {
                    failures = failures.saturating_add(1);
                    if failures > check.retries || Instant::now() >= end {
                        return Ok(Err(why));
                    }
                }
            }
            if Instant::now() >= end && failures == 0 {
                return Ok(Ok(()));
            }
            let next = Instant::now() + Duration::from_secs(interval);
            wait_until(next.min(end.max(Instant::now() + LOOK)), cx)?;
        }
    }
}

fn wait_until(time: Instant, cx: &StepCx) -> Result<(), HostError> {
    while Instant::now() < time {
        if cx.cancelled() {
            return Err(HostError::Cancelled);
        }
        thread::sleep(LOOK.min(time.saturating_duration_since(Instant::now())));
    }
    Ok(())
}

/// Waits for the end of the command; `None`: it did not come in time.
fn wait(
    child: &mut Child,
    output: &mut PipeReader,
    said: &mut Vec<u8>,
    timeout: Duration,
    cx: &StepCx,
) -> Result<Option<ExitStatus>, HostError> {
    let end = Instant::now() + timeout;
    loop {
        // Read also while it runs: a full pipe would stop it.
        keep_newest(output, said);
        match child.try_wait() {
            Ok(Some(status)) => return Ok(Some(status)),
            Ok(None) => {}
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(HostError::Watch(e)),
        }
        if cx.cancelled() {
            return Err(HostError::Cancelled);
        }
        if Instant::now() >= end {
            return Ok(None);
        }
        thread::sleep(LOOK);
    }
}

/// Reads what is there and keeps the end of it.
fn keep_newest(output: &mut PipeReader, said: &mut Vec<u8>) {
    let mut buffer = [0_u8; OUTPUT_BYTES_MAX];
    // A limited number of rounds for each look: a flood must not hide the time-out.
    for _ in 0..16 {
        match output.read(&mut buffer) {
            Ok(length) if length > 0 => {
                said.extend_from_slice(buffer.get(..length).unwrap_or_default());
                said.drain(..said.len().saturating_sub(OUTPUT_BYTES_MAX));
            }
            _ => return,
        }
    }
}

/// The last line that says something, for the end of a message.
fn last_line(said: &[u8]) -> String {
    let text = String::from_utf8_lossy(said);
    let line = text.lines().rev().map(str::trim).find(|line| !line.is_empty());
    let printable = |c: &char| !c.is_control();
    line.map(|line| format!(": {}", line.chars().filter(printable).take(LINE_CHARS_MAX).collect::<String>()))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    use super::*;

    fn shell(script: &str) -> Vec<String> {
        ["/bin/sh", "-c", script].map(str::to_owned).to_vec()
    }

    fn watch(script: &str, check: &HealthCheck) -> Verdict {
        HostCommand { argv: &shell(script), env: &[] }.watch(check, &StepCx::detached()).expect("watched")
    }

    fn once() -> HealthCheck {
        HealthCheck { window_s: 0, interval_s: 1, timeout_s: 1, retries: 0, ..HealthCheck::default() }
    }

    #[test]
    fn a_command_decides() {
        assert_eq!(watch("true", &once()), Ok(()));
        assert_eq!(
            watch("echo early; echo no luck >&2; exit 3", &once()).unwrap_err(),
            "ended with exit status: 3: no luck"
        );
        assert_eq!(watch("echo busy; sleep 100", &once()).unwrap_err(), "took longer than 1 s: busy");
        let missing = ["/nonexistent".to_owned()];
        let missing =
            HostCommand { argv: &missing, env: &[] }.run(Duration::from_secs(1), &StepCx::detached());
        assert!(missing.expect("run").unwrap_err().contains("cannot be started (/nonexistent"));
    }

    #[test]
    fn a_flood_of_words_neither_stops_it_nor_fills_the_memory() {
        assert_eq!(
            watch("head -c 3000000 /dev/zero | tr '\\0' x", &HealthCheck { timeout_s: 60, ..once() }),
            Ok(())
        );
    }

    #[test]
    fn it_finds_its_environment_and_no_other() {
        let argv = shell(
            "test \"$WHAT\" = x && test \"$(env | grep -vc '^\\(PATH\\|PWD\\|WHAT\\|_\\|SHLVL\\|OLDPWD\\)=')\" = 0",
        );
        let command = HostCommand { argv: &argv, env: &[("WHAT", OsStr::new("x"))] };
        assert_eq!(command.run(Duration::from_secs(10), &StepCx::detached()).expect("run"), Ok(()));
    }

    #[test]
    fn failures_in_a_row_are_tolerated_up_to_a_number() {
        let dir = tempfile::tempdir().expect("dir");
        let count = dir.path().join("count");
        let script = format!("echo >>{0}; test $(wc -l <{0}) -ge 3", count.display());
        assert_eq!(watch(&script, &HealthCheck { window_s: 4, retries: 2, ..once() }), Ok(()));
        std::fs::remove_file(&count).expect("remove");
        assert!(watch(&script, &HealthCheck { window_s: 4, retries: 1, ..once() }).is_err());
        assert_eq!(std::fs::read_to_string(&count).expect("read").lines().count(), 2);
    }

    #[test]
    fn it_can_be_cancelled() {
        let cx = StepCx::new(|_| {}, Arc::new(AtomicBool::new(true)));
        let idle = HealthCheck { window_s: 1000, ..HealthCheck::default() };
        for argv in [Vec::new(), shell("sleep 100")] {
            let command = HostCommand { argv: &argv, env: &[] };
            assert!(matches!(command.watch(&idle, &cx), Err(HostError::Cancelled)));
        }
    }
}
