//! Who keeps containers running on this host, and the questions and orders that both ways understand.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use scomo_core::id::ReleaseId;
use scomo_engine::backend::StepCx;
use scomo_store::files;

use super::crun::{Crun, Namespace};
use super::places::{ComponentPlace, Places};
use super::state::{Lock, Phase, Plan, State, stop_timeout};
use super::{cgroup, own, systemd};
use crate::config::Supervisor;
use crate::error::Error;

/// How long a supervisor may take beyond the component's own time to stop: killing, unmounting, deleting.
const STOP_GRACE: Duration = Duration::from_secs(20);
/// How long the kernel may take to end a killed process.
const KILL_WAIT: Duration = Duration::from_secs(30);
/// How long a component's process may take to be there. Slow flash and a large scratch folder to wipe count.
const START_WAIT: Duration = Duration::from_secs(120);
/// How often something that is awaited is looked at.
const CHECK: Duration = Duration::from_millis(10);
/// Where systemd says that it runs.
const SYSTEMD: &str = "/run/systemd/system";

/// What is the case with a component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Status {
    /// Nothing of it runs or is left.
    Absent,
    /// Somebody keeps it running, whether or not it has a process just now.
    Kept(Run),
    /// It ended by itself and its restart policy leaves it so.
    Ended(Run),
    /// Whoever kept it running is gone without cleaning up, or gave up, or what it wrote is damaged.
    Stale,
}

/// One run of one release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) release: ReleaseId,
    pub(crate) phase: Phase,
    pub(crate) starts: u32,
    pub(crate) last_end: Option<String>,
}

/// What came of a start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Started {
    /// The component's process runs, or ran.
    Yes,
    /// Another start of the component was under way; its state is to be looked at again.
    Busy,
    /// It does not start.
    No { message: String, by_package: bool },
}

/// The host as a place to run containers on.
#[derive(Debug, Clone)]
pub(crate) struct Host {
    pub(crate) kind: Kind,
    pub(crate) crun: Crun,
    pub(crate) places: Places,
}

/// Who keeps containers running.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Systemd,
    Own,
}

impl Kind {
    /// As configured, or as the host is.
    pub(crate) fn detect(configured: Supervisor) -> Self {
        match configured {
            Supervisor::Systemd => Self::Systemd,
            Supervisor::Own => Self::Own,
            Supervisor::Auto if Path::new(SYSTEMD).is_dir() => Self::Systemd,
            Supervisor::Auto => Self::Own,
        }
    }
}

impl Host {
    /// What is the case with the component of that file name.
    pub(crate) fn status(&self, name: &str) -> Result<Status, Error> {
        let place = self.places.component(name);
        if !place.folder().exists() {
            return Ok(Status::Absent);
        }
        let kept = match self.kind {
            Kind::Own => Lock::is_held(&place)?,
            Kind::Systemd => Lock::is_held(&place)? || systemd::is_active(&self.unit(name))?,
        };
        let (state, plan) = match (State::read(&place), Plan::read(&place)) {
            (Err(Error::Damaged { .. }), _) | (_, Err(Error::Damaged { .. })) => return Ok(Status::Stale),
            (state, plan) => (state?, plan?),
        };
        Ok(match (kept, state, plan) {
            (true, Some(state), Some(_)) => Status::Kept(run(state)),
            // It has not written anything yet.
            (true, None, Some(plan)) => Status::Kept(Run {
                release: plan.release.id,
                phase: Phase::Starting,
                starts: 0,
                last_end: None,
            }),
            (false, Some(state), Some(_)) if state.phase == Phase::Ended => Status::Ended(run(state)),
            _ => Status::Stale,
        })
    }

    /// Starts a component of which nothing runs. Returns when its process is there.
    pub(crate) fn start(&self, name: &str, plan: &Plan, cx: &StepCx) -> Result<Started, Error> {
        let place = self.places.component(name);
        files::create_private(place.folder())?;
        files::create_private(&self.places.logs())?;
        files::remove_file(&place.state())?;
        plan.write(&place)?;
        let deadline = Instant::now() + START_WAIT;
        match self.kind {
            Kind::Own => own::start(&self.crun.worker, &place, plan, deadline, cx),
            Kind::Systemd => systemd::start(&self.unit(name), &self.crun.worker, &place, plan),
        }
    }

    /// Waits until a start that somebody else made has come to something.
    pub(crate) fn await_start(&self, name: &str, cx: &StepCx) -> Result<Status, Error> {
        let deadline = Instant::now() + START_WAIT;
        loop {
            match self.status(name)? {
                Status::Kept(run) if run.phase == Phase::Starting && Instant::now() < deadline => pause(cx)?,
                status => return Ok(status),
            }
        }
    }

    /// Stops whatever runs of a component and waits until it is gone; also sets right what was left half-way.
    pub(crate) fn stop(&self, name: &str, cx: &StepCx) -> Result<(), Error> {
        let place = self.places.component(name);
        let patience = match Plan::read(&place) {
            Ok(Some(plan)) => stop_timeout(&plan.release),
            Ok(None) | Err(_) => Duration::ZERO,
        };
        match self.kind {
            Kind::Systemd => systemd::stop(&self.unit(name), patience.saturating_add(STOP_GRACE))?,
            Kind::Own => {}
        }
        self.end_holder(&place, name, patience.saturating_add(STOP_GRACE), cx)?;
        self.purge(name)
    }

    /// Ends the process that holds the lock, gently first.
    fn end_holder(
        &self,
        place: &ComponentPlace,
        name: &str,
        patience: Duration,
        cx: &StepCx,
    ) -> Result<(), Error> {
        let gentle_until = Instant::now() + patience;
        let mut asked: Option<own::Holder> = None;
        while Lock::is_held(place)? {
            if Instant::now() >= gentle_until {
                return self.kill_holder(place, name);
            }
            if asked.is_none() {
                asked = own::Holder::find(place)?;
                asked.as_ref().map_or(Ok(()), |holder| holder.signal(rustix::process::Signal::TERM))?;
            }
            pause(cx)?;
        }
        // It gives the lock back with its last breath; what it writes after that must not meet the next start.
        asked.map_or(Ok(()), |holder| holder.await_end(name))
    }

    fn kill_holder(&self, place: &ComponentPlace, name: &str) -> Result<(), Error> {
        tracing::warn!("the supervisor of '{name}' does not end; it is killed");
        let until = Instant::now() + KILL_WAIT;
        while Lock::is_held(place)? {
            if Instant::now() >= until {
                return Err(Error::Stuck(name.to_owned()));
            }
            if let Some(holder) = own::Holder::find(place)? {
                holder.signal(rustix::process::Signal::KILL)?;
            }
            std::thread::sleep(CHECK);
        }
        Ok(())
    }

    /// Removes what is left of a component that nobody keeps running, its container first.
    fn purge(&self, name: &str) -> Result<(), Error> {
        self.crun.delete(name, Namespace::Own)?;
        cgroup::sweep(&self.places.instance(), name);
        let place = self.places.component(name);
        // The component's folder last: as long as it is there, somebody looks after the rest.
        files::remove_tree(&self.places.scratch().join(name))?;
        Ok(files::remove_tree(place.folder())?)
    }

    /// The names of components of which something runs or is left.
    pub(crate) fn names(&self) -> Result<Vec<String>, Error> {
        Ok(files::names_in(&self.places.running())?)
    }

    pub(crate) fn unit(&self, name: &str) -> String {
        format!("{}-{name}.service", self.places.instance())
    }
}

/// Waits a little.
pub(crate) fn pause(cx: &StepCx) -> Result<(), Error> {
    if cx.cancelled() {
        return Err(Error::Cancelled);
    }
    std::thread::sleep(CHECK);
    Ok(())
}

fn run(state: State) -> Run {
    let State { release, phase, starts, last_end, .. } = state;
    Run { release, phase, starts, last_end }
}

/// An error of a system call on a component's folder.
pub(crate) fn failed(what: &str, error: impl Into<io::Error>) -> Error {
    Error::tool(what, error.into().to_string())
}
