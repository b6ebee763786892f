//! The health check of a booted OS: it stays up for a window, and a command of its own succeeds.
//!
//! The command runs on the host as root. It comes with the package, so whoever signed the OS chose it.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use scomo_core::spec::{HEALTH_WINDOW_S_MAX, HealthCheck};
use scomo_engine::backend::StepCx;

use crate::error::OsError;

/// How often a running command or a waiting check looks around.
const LOOK: Duration = Duration::from_millis(20);
/// The search path of a command that is named without a folder.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Watches until the window has passed in good health.
pub(crate) fn watch(check: &HealthCheck, cx: &StepCx) -> Result<(), OsError> {
    let end = Instant::now() + Duration::from_secs(check.window_s.min(HEALTH_WINDOW_S_MAX));
    let mut failures = 0_u32;
    loop {
        if !check.command.is_empty() {
            match run(&check.command, Duration::from_secs(check.timeout_s.clamp(1, HEALTH_WINDOW_S_MAX)), cx)?
            {
                None => failures = 0,
                Some(why) => {
                    failures = failures.saturating_add(1);
                    if failures > check.retries || Instant::now() >= end {
                        return Err(OsError::Unhealthy(format!("the OS is not healthy: its check {why}")));
                    }
                }
            }
        }
        if Instant::now() >= end && failures == 0 {
            return Ok(());
        }
        // Without a command there is nothing to look at before the end.
        let interval = Duration::from_secs(if check.command.is_empty() {
            HEALTH_WINDOW_S_MAX
        } else {
            check.interval_s.max(1)
        });
        wait_until((Instant::now() + interval).min(end.max(Instant::now() + LOOK)), cx)?;
    }
}

fn wait_until(time: Instant, cx: &StepCx) -> Result<(), OsError> {
    while Instant::now() < time {
        if cx.cancelled() {
            return Err(OsError::Cancelled);
        }
        thread::sleep(LOOK.min(time.saturating_duration_since(Instant::now())));
    }
    Ok(())
}

/// Runs the command once; what is wrong when it did not succeed in time.
fn run(command: &[String], timeout: Duration, cx: &StepCx) -> Result<Option<String>, OsError> {
    let Some((program, args)) = command.split_first() else { return Ok(None) };
    let child = Command::new(program)
        .args(args)
        .env_clear()
        .env("PATH", PATH)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(e) => return Ok(Some(format!("cannot be started ({program}: {e})"))),
    };
    let ended = wait(&mut child, timeout, cx);
    // Whatever it started in its group ends with it.
    if let Ok(group) = i32::try_from(child.id()) {
        let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
    }
    let reaped = child.wait();
    match ended? {
        None => Ok(Some(format!("took longer than {} s", timeout.as_secs()))),
        Some(_) => match reaped {
            Ok(status) if status.success() => Ok(None),
            Ok(status) => Ok(Some(format!("ended with {status}"))),
            Err(e) => Ok(Some(format!("was lost: {e}"))),
        },
    }
}

fn wait(child: &mut Child, timeout: Duration, cx: &StepCx) -> Result<Option<ExitStatus>, OsError> {
    let end = Instant::now() + timeout;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(Some(status)),
            Ok(None) => {}
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(OsError::Broken(format!("cannot wait for the health check: {e}"))),
        }
        if cx.cancelled() {
            return Err(OsError::Cancelled);
        }
        if Instant::now() >= end {
            return Ok(None);
        }
        thread::sleep(LOOK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use scomo_core::failure::FailureKind;
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    fn check(script: &str) -> HealthCheck {
        let command = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
        HealthCheck { command, window_s: 0, interval_s: 1, timeout_s: 1, retries: 0 }
    }

    fn failed(check: &HealthCheck) -> String {
        let error = watch(check, &StepCx::detached()).expect_err("must fail");
        assert_eq!(error.kind(), FailureKind::Unhealthy);
        error.to_string()
    }

    #[test]
    fn a_command_decides() {
        assert!(watch(&check("true"), &StepCx::detached()).is_ok());
        assert!(failed(&check("exit 3")).contains("exit status: 3"));
        assert!(failed(&check("sleep 100")).contains("longer than 1 s"));
        let missing = HealthCheck { command: vec!["/nonexistent".to_owned()], ..check("") };
        assert!(failed(&missing).contains("cannot be started"));
    }

    #[test]
    fn failures_in_a_row_are_tolerated_up_to_a_number() {
        let dir = tempfile::tempdir().expect("dir");
        let count = dir.path().join("count");
        let script = format!("echo >>{0}; test $(wc -l <{0}) -ge 3", count.display());
        let tolerant = HealthCheck { window_s: 4, retries: 2, ..check(&script) };
        assert!(watch(&tolerant, &StepCx::detached()).is_ok());
        std::fs::remove_file(&count).expect("remove");
        let strict = HealthCheck { window_s: 4, retries: 1, ..check(&script) };
        failed(&strict);
        assert_eq!(std::fs::read_to_string(&count).expect("read").lines().count(), 2);
    }

    #[test]
    fn it_can_be_cancelled() {
        let cx = StepCx::new(|_| {}, Arc::new(AtomicBool::new(true)));
        let idle = HealthCheck { window_s: 1000, ..HealthCheck::default() };
        assert_eq!(watch(&idle, &cx).expect_err("cancelled").kind(), FailureKind::Cancelled);
        assert_eq!(watch(&check("sleep 100"), &cx).expect_err("cancelled").kind(), FailureKind::Cancelled);
    }
}
