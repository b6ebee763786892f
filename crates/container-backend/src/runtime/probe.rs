//! Health: whether what was switched to stays up, and whether its command says that it is well.

use std::io::{self, Read};
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use scomo_core::effect::Progress;
use scomo_core::spec::{HealthCheck, Release};
use scomo_engine::backend::StepCx;

use super::blueprint::Blueprint;
use super::crun::{Crun, Namespace, last_line};
use super::host::{Host, Run, Status, failed, pause};
use super::places::ComponentPlace;
use super::prepare::process;
use super::state::{Phase, Plan};
use crate::error::Error;
use scomo_store::files::{self, Durability};
use scomo_store::names::escape;

/// Shortest pause between two runs of the command: a package that says zero must not keep the device busy.
const INTERVAL_MIN: Duration = Duration::from_millis(200);
/// Time-out of the command where the package says none.
const TIMEOUT_DEFAULT_S: u64 = 5;
/// Longest time-out of one run: a cancelled probe waits for nothing, but the window must end some day.
const TIMEOUT_MAX_S: u64 = 3600;
/// How much of the command's last output is kept.
const OUTPUT_BYTES_MAX: usize = 4096;
/// How long a killed command may take to end.
const KILL_WAIT: Duration = Duration::from_secs(10);

/// Watches `release` until it is certain whether it is healthy.
pub(crate) fn probe(host: &Host, release: &Release, cx: &StepCx) -> Result<(), Error> {
    let watch = Watch { host, release, name: escape(release.spec.id.as_str()) };
    let Some(health) = &release.spec.health else { return watch.not_watched(cx) };
    let begun = Instant::now();
    let end = begun + Duration::from_secs(health.window_s);
    let first = watch.look(None, cx)?;
    let check = watch.check(health)?;
    let interval = Duration::from_secs(health.interval_s).max(INTERVAL_MIN);
    let (mut next, mut failures, mut succeeded) = (begun, 0_u32, check.is_none());
    let mut reason = String::new();
    loop {
        watch.look(Some(&first), cx)?;
        watch.report(end, &reason, cx);
        if let Some(check) = &check
            && Instant::now() >= next
        {
            match check.run(cx)? {
                Ok(()) => (failures, succeeded, reason) = (0, true, String::new()),
                Err(why) => (failures, reason) = (failures.saturating_add(1), why),
            }
            // Its end may be why the command failed, and is the better reason.
            watch.look(Some(&first), cx)?;
            if failures > health.retries {
                return watch
                    .unhealthy(format!("its health command failed {failures} times in a row: {reason}"));
            }
            next = Instant::now() + interval;
        }
        if Instant::now() >= end {
            break;
        }
        pause(cx)?;
    }
    if !succeeded {
        return watch.unhealthy(format!("its health command did not succeed once: {reason}"));
    }
    watch.look(Some(&first), cx).map(drop)
}

struct Watch<'a> {
    host: &'a Host,
    release: &'a Release,
    name: String,
}

impl Watch<'_> {
    fn unhealthy<T>(&self, reason: impl Into<String>) -> Result<T, Error> {
        Err(Error::Unhealthy { component: self.release.spec.id.clone(), reason: reason.into() })
    }

    /// Without a health check it is enough that it was started and nothing gave up on it.
    fn not_watched(&self, cx: &StepCx) -> Result<(), Error> {
        match self.host.await_start(&self.name, cx)? {
            Status::Kept(run) | Status::Ended(run) if run.release == self.release.id => Ok(()),
            _ => self.unhealthy("it does not run"),
        }
    }

    /// Sees that the release is up, and was not started again since `first`.
    fn look(&self, first: Option<&Run>, cx: &StepCx) -> Result<Run, Error> {
        let status = match first {
            None => self.host.await_start(&self.name, cx)?,
            Some(_) => self.host.status(&self.name)?,
        };
        match status {
            Status::Kept(run) if run.release != self.release.id => {
                self.unhealthy("another release of it runs")
            }
            Status::Kept(run) => {
                let again = first.is_some_and(|first| run.starts != first.starts);
                if run.phase == Phase::Running && !again {
                    return Ok(run);
                }
                self.unhealthy(run.last_end.unwrap_or_else(|| "it does not run".to_owned()))
            }
            Status::Ended(run) => {
                self.unhealthy(run.last_end.unwrap_or_else(|| "its process ended".to_owned()))
            }
            Status::Absent | Status::Stale => self.unhealthy("it does not run"),
        }
    }

    fn report(&self, end: Instant, reason: &str, cx: &StepCx) {
        let left = end.saturating_duration_since(Instant::now());
        // Rounded up, so that it counts down to one and not to zero.
        let seconds = left.as_secs().saturating_add(u64::from(left.subsec_nanos() > 0));
        let id = &self.release.spec.id;
        let message = if reason.is_empty() {
            format!("{id} is healthy so far, {seconds} s left")
        } else {
            format!("{id} is watched, {seconds} s left; its health command failed: {reason}")
        };
        cx.progress(Progress { message, ..Progress::default() });
    }

    fn check(&self, health: &HealthCheck) -> Result<Option<Check>, Error> {
        if health.command.is_empty() {
            return Ok(None);
        }
        let place = self.host.places.component(&self.name);
        let Some(plan) = Plan::read(&place)? else { return self.unhealthy("it does not run") };
        let blueprint = Blueprint::draw(&plan.release, &plan.image, &plan.rootfs, &plan.policy)?;
        let own = std::process::id();
        let check = Check {
            crun: self.host.crun.clone(),
            container: plan.container,
            process: place.folder().join(format!("check-{own}.json")),
            pid: place.folder().join(format!("check-{own}.pid")),
            timeout: Duration::from_secs(match health.timeout_s {
                0 => TIMEOUT_DEFAULT_S,
                seconds => seconds.min(TIMEOUT_MAX_S),
            }),
        };
        files::write_json(&check.process, &process(&blueprint, &health.command), Durability::Volatile)?;
        remove_old_checks(&place, own)?;
        Ok(Some(check))
    }
}

/// Removes what probes left that were killed.
fn remove_old_checks(place: &ComponentPlace, own: u32) -> Result<(), Error> {
    for name in files::names_in(place.folder())? {
        if name.starts_with("check-") && !name.starts_with(&format!("check-{own}.")) {
            files::remove_file(&place.folder().join(name))?;
        }
    }
    Ok(())
}

/// The health command, ready to run.
struct Check {
    crun: Crun,
    container: String,
    process: std::path::PathBuf,
    pid: std::path::PathBuf,
    timeout: Duration,
}

impl Drop for Check {
    fn drop(&mut self) {
        for path in [&self.process, &self.pid] {
            let _ = files::remove_file(path);
        }
    }
}

impl Check {
    /// Runs the command once; the inner error says why it counts as failed.
    fn run(&self, cx: &StepCx) -> Result<Result<(), String>, Error> {
        let what = "running the health command";
        files::remove_file(&self.pid)?;
        let mut command = self.crun.command(Namespace::Own, &["exec", "--process"]);
        command.arg(&self.process).arg("--pid-file").arg(&self.pid).arg(&self.container);
        let (mut reader, writer) = io::pipe().map_err(|e| failed(what, e))?;
        rustix::io::ioctl_fionbio(&reader, true).map_err(|e| failed(what, e))?;
        let copy = writer.try_clone().map_err(|e| failed(what, e))?;
        let mut child = command.stdout(writer).stderr(copy).spawn().map_err(|e| failed(what, e))?;
        drop(command);
        let mut output = Vec::new();
        let deadline = Instant::now() + self.timeout;
        let status = loop {
            keep_newest(&mut reader, &mut output);
            if let Some(status) = child.try_wait().map_err(|e| failed(what, e))? {
                break Some(status);
            }
            if Instant::now() >= deadline {
                self.kill(&mut child)?;
                break None;
            }
            if let Err(cancelled) = pause(cx) {
                self.kill(&mut child)?;
                return Err(cancelled);
            }
        };
        keep_newest(&mut reader, &mut output);
        Ok(judge(status, self.timeout, &last_line(&output)))
    }

    /// Ends the command within the container. The OCI runtime in front of it has not waited for it as long as it
    /// lives itself, so the number is the command's.
    fn kill(&self, child: &mut Child) -> Result<(), Error> {
        let what = "ending the health command";
        let until = Instant::now() + KILL_WAIT;
        loop {
            if child.try_wait().map_err(|e| failed(what, e))?.is_some() {
                return Ok(());
            }
            let content = files::read(&self.pid)?.unwrap_or_default();
            let pid = String::from_utf8_lossy(&content).trim().parse::<i32>().ok().filter(|pid| *pid > 1);
            match pid {
                Some(pid) if Instant::now() < until => {
                    let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
                }
                // There is no command yet, or it does not end.
                _ => child.kill().map_err(|e| failed(what, e))?,
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn judge(status: Option<ExitStatus>, timeout: Duration, said: &str) -> Result<(), String> {
    let said = if said.is_empty() { String::new() } else { format!(": {said}") };
    match status {
        Some(status) if status.success() => Ok(()),
        Some(status) => Err(format!("{status}{said}")),
        None => Err(format!("no answer within {} s{said}", timeout.as_secs())),
    }
}

/// Reads what is there and keeps the end of it.
fn keep_newest(reader: &mut io::PipeReader, output: &mut Vec<u8>) {
    let mut buffer = [0_u8; OUTPUT_BYTES_MAX];
    // One round for each look: a flood must not hide the time-out.
    for _ in 0..16 {
        match reader.read(&mut buffer) {
            Ok(length) if length > 0 => {
                output.extend_from_slice(buffer.get(..length).unwrap_or_default());
                let surplus = output.len().saturating_sub(OUTPUT_BYTES_MAX);
                output.drain(..surplus);
            }
            _ => return,
        }
    }
}
