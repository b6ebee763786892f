//! Our own supervisor, where there is no systemd: a process for each component that outlives whoever started it.
//!
//! It holds the lock of the component's folder as long as it lives, says on its standard output once whether the
//! component started, writes what happens to the state file, and ends when the component was stopped or ended for
//! good. It is told to stop by `SIGTERM`.

use std::fs;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::stat::{Mode, umask};
use scomo_core::spec::Restart;
use serde::{Deserialize, Serialize};

use super::crun::enter_namespace;
use super::life::{Change, End, Life, Signals};
use super::log::Log;
use super::places::ComponentPlace;
use super::state::{Lock, Phase, Plan, State};
use crate::error::{Context, Error};

/// First argument of our program when it supervises.
pub(crate) const SUPERVISE: &str = "supervise";
/// First argument of our program when it starts a supervisor and ends.
pub(crate) const DETACH: &str = "supervise-detached";
/// What the process is called in lists of processes.
const NAME: &str = "scomo-worker-container";
/// Pause before the first restart; doubled each time.
const BACK_OFF_MIN: Duration = Duration::from_secs(1);
/// Longest pause: a device that is back after a minute is well served.
const BACK_OFF_MAX: Duration = Duration::from_secs(60);
/// A life of this length makes the next pause a short one again.
const LIVED_WELL: Duration = Duration::from_secs(60);

/// The one line that a supervisor writes to its standard output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Word {
    /// The component's process runs, or ran.
    Started,
    /// Somebody else supervises it, or the plan is another one by now.
    Busy,
    /// It cannot be started.
    Failed { message: String, by_package: bool },
}

/// Starts a supervisor in the background and ends: it becomes a child of the first process of the system.
pub(crate) fn detach(folder: &Path, token: &str) -> io::Result<()> {
    Command::new("/proc/self/exe")
        .arg0(NAME)
        .arg(SUPERVISE)
        .arg(folder)
        .arg(token)
        .current_dir("/")
        .stdin(Stdio::null())
        .spawn()
        .map(drop)
}

/// The `main` of a supervisor.
pub(crate) fn run(folder: PathBuf, token: &str) -> Result<(), Error> {
    let place = ComponentPlace::at(folder);
    become_independent(place.folder())?;
    let signals = Signals::block().context("watch signals for", place.folder())?;
    let Some(lock) = Lock::take(&place)? else {
        say(&Word::Busy);
        return Ok(());
    };
    // Read under the lock: whoever writes a plan has seen that nobody holds it.
    let Some(plan) = Plan::read(&place)?.filter(|plan| plan.token == token) else {
        say(&Word::Busy);
        return Ok(());
    };
    let result =
        Supervisor::new(&plan, &place, &signals, &lock).and_then(|mut supervisor| supervisor.supervise());
    if let Err(error) = &result {
        say(&Word::Failed { message: scomo_engine::backend::chain(error), by_package: false });
    }
    result
}

struct Supervisor<'a> {
    plan: &'a Plan,
    place: &'a ComponentPlace,
    signals: &'a Signals,
    lock: &'a Lock,
    log: Log,
    state: State,
    stopping: bool,
}

impl<'a> Supervisor<'a> {
    fn new(
        plan: &'a Plan,
        place: &'a ComponentPlace,
        signals: &'a Signals,
        lock: &'a Lock,
    ) -> Result<Self, Error> {
        let path = plan.log.clone().unwrap_or_else(|| PathBuf::from("/dev/null"));
        let log = Log::open(&path)?;
        enter_namespace().context("make a mount namespace for", place.folder())?;
        let state = State::new(&plan.release.id)?;
        state.write(place)?;
        Ok(Self { plan, place, signals, lock, log, state, stopping: false })
    }

    fn supervise(&mut self) -> Result<(), Error> {
        let release = &self.plan.release;
        self.log.note(&format!("starting {} {} ({})", release.spec.id, release.spec.version, release.id));
        let mut pause = BACK_OFF_MIN;
        loop {
            let begun = Instant::now();
            let end = self.live()?;
            let text = self.describe(&end);
            self.state.pid = None;
            self.state.last_end = Some(text.clone());
            if let End::NotStarted { message, by_package } = &end
                && self.state.starts == 0
            {
                self.log.note(&text);
                self.enter(Phase::Failed);
                say(&Word::Failed { message: message.clone(), by_package: *by_package });
                return Ok(());
            }
            if self.stopping {
                self.log.note(&format!("stopped: {text}"));
                self.enter(Phase::Stopping);
                return Ok(());
            }
            if !restarts(release.spec.run.restart, &end) {
                self.log.note(&text);
                self.enter(Phase::Ended);
                return Ok(());
            }
            pause = if begun.elapsed() >= LIVED_WELL { BACK_OFF_MIN } else { pause };
            self.log.note(&format!("{text}; starting again in {} s", pause.as_secs()));
            self.enter(Phase::Waiting);
            if self.pause(pause)? {
                return Ok(());
            }
            pause = pause.saturating_mul(2).min(BACK_OFF_MAX);
        }
    }

    fn live(&mut self) -> Result<End, Error> {
        let Self { plan, place, signals, lock, log, state, stopping } = self;
        let mut on_change = |change| {
            match change {
                Change::Running(pid) => {
                    state.starts = state.starts.saturating_add(1);
                    (state.phase, state.pid) = (Phase::Running, pid);
                    note_failure(state.write(place));
                    if state.starts == 1 {
                        say(&Word::Started);
                    }
                }
                Change::Stopping => {
                    state.phase = Phase::Stopping;
                    note_failure(state.write(place));
                }
            };
        };
        let mut life = Life {
            plan,
            place,
            signals,
            lock,
            log: Some(log),
            on_change: &mut on_change,
            stopping: *stopping,
        };
        let end = life.live();
        *stopping = life.stopping;
        end
    }

    fn describe(&self, end: &End) -> String {
        let said = match self.log.last_line() {
            line if line.is_empty() => String::new(),
            line => format!(", last output: {line}"),
        };
        describe(end) + &said
    }

    fn enter(&mut self, phase: Phase) {
        self.state.phase = phase;
        note_failure(self.state.write(self.place));
    }

    /// Waits; true: a stop was asked for.
    fn pause(&mut self, time: Duration) -> Result<bool, Error> {
        let until = Instant::now() + time;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if !self.lock.is_current() {
                return Ok(true);
            }
            if left.is_zero() {
                return Ok(false);
            }
            self.signals.wait(None, left).context("wait for", self.place.folder())?;
            if self.signals.take().context("read signals for", self.place.folder())? {
                return Ok(true);
            }
        }
    }
}

/// How a life ended, for people.
pub(crate) fn describe(end: &End) -> String {
    match end {
        End::Exited(code) => format!("its process ended with status {code}"),
        End::NotStarted { message, .. } => format!("it could not be started: {message}"),
    }
}

/// Whether a restart policy wants another life after this one.
pub(crate) fn restarts(policy: Restart, end: &End) -> bool {
    match policy {
        Restart::Always => true,
        Restart::OnFailure => *end != End::Exited(0),
        Restart::Never => false,
    }
}

/// The runtime folder is in memory; when it is full the component goes on all the same.
fn note_failure(result: Result<(), Error>) {
    if let Err(error) = result {
        tracing::warn!("{}", scomo_engine::backend::chain(&error));
    }
}

fn say(word: &Word) {
    let mut out = io::stdout().lock();
    // Whoever asked may be gone; the component goes on.
    let _ = serde_json::to_writer(&mut out, word).map_err(io::Error::from);
    let _ = out.write_all(b"\n").and_then(|()| out.flush());
}

/// Leaves whatever it was started in: nothing of the worker stays open, and no signal to its group gets here.
fn become_independent(folder: &Path) -> Result<(), Error> {
    let entries = fs::read_dir("/proc/self/fd").context("list the open files for", folder)?;
    let open: Vec<i32> =
        entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    for fd in open.into_iter().filter(|fd| *fd > 2) {
        // One of them was the listing itself, which is closed by now.
        let _ = nix::unistd::close(fd);
    }
    nix::unistd::setsid().context("make a session for", folder)?;
    umask(Mode::from_bits_truncate(0o022));
    calm_oom_killer();
    Ok(())
}

/// The daemon may be one of the last that the kernel kills for memory; its containers are not.
pub(crate) fn calm_oom_killer() {
    let path = "/proc/self/oom_score_adj";
    let protected =
        fs::read_to_string(path).is_ok_and(|text| text.trim().parse::<i32>().is_ok_and(|n| n < 0));
    if protected && let Err(error) = fs::write(path, "0") {
        tracing::warn!("cannot change {path}: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_decides_about_another_life() {
        let not_started = End::NotStarted { message: "x".to_owned(), by_package: true };
        for (policy, well, badly) in
            [(Restart::Always, true, true), (Restart::OnFailure, false, true), (Restart::Never, false, false)]
        {
            assert_eq!(restarts(policy, &End::Exited(0)), well, "{policy:?}");
            assert_eq!(restarts(policy, &End::Exited(3)), badly, "{policy:?}");
            assert_eq!(restarts(policy, &not_started), badly, "{policy:?}");
        }
    }
}
