//! The policy: when, and under which conditions, what was asked for may happen.
//!
//! The engine knows gates and nothing of why they are shut. Here is what opens them: inhibitors, maintenance windows,
//! approval, hooks and consent, looked at in this order. Nothing of it is durable but what the engine is told.

mod agents;
mod clock;
mod config;
mod hooks;
mod inhibitors;
mod keeper;
mod logind;
mod obstacle;
mod params;
mod place;
mod reboot;
mod rules;
mod terms;
mod told;
mod windows;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use scomo_core::command::{Caller, Command, Terms};
use scomo_core::id::{JobId, Millis};
use scomo_core::state::State;
use scomo_dbus::Error;
use tokio::sync::watch;
use zbus::Connection;

use crate::link::Link;
pub use agents::{Agents, Answer, ITEMS_MAX, Question, TEXT_BYTES_MAX, fit};
use clock::Clock;
pub use config::{Point, PolicyConfig};
use hooks::Hooks;
pub use inhibitors::{Inhibitor, Inhibitors, points};
use logind::Logind;
use obstacle::obstacle;
use place::Place;
pub use terms::Wishes;
use windows::{Opening, opening};

/// What clients see of the policy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shown {
    /// What the job under way waits for; empty: nothing.
    pub gate: String,
    /// What a restart waits for; empty: nothing.
    pub reboot: String,
    /// Who holds updates back.
    pub inhibitors: Vec<Inhibitor>,
    /// How many agents there are.
    pub agents: usize,
}

/// What is waited for, for people.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Waits {
    gate: String,
    reboot: String,
}

/// The policy of the device, and everything that it depends on.
#[derive(Debug)]
pub struct Policy {
    config: PolicyConfig,
    clock: Clock,
    /// Who holds updates back.
    pub inhibitors: Inhibitors,
    /// Through whom people are asked.
    pub agents: Agents,
    hooks: Hooks,
    logind: Option<Logind>,
    /// Places to which somebody said yes.
    approved: Mutex<BTreeSet<(JobId, Point)>>,
    /// Told when an inhibitor, an agent or an approval comes or goes.
    changed: watch::Sender<()>,
    waits: watch::Sender<Waits>,
}

impl Policy {
    /// The policy that the configuration says, on this bus.
    pub fn new(config: PolicyConfig, bus: &Connection) -> Self {
        Self::with(config, Clock::System, Some(Logind::new(bus.clone())))
    }

    fn with(config: PolicyConfig, clock: Clock, logind: Option<Logind>) -> Self {
        let changed = watch::Sender::new(());
        let time_max = Duration::from_secs(config.hook_timeout_s.into());
        Self {
            inhibitors: Inhibitors::new(changed.clone()),
            agents: Agents::new(changed.clone()),
            hooks: Hooks { folders: config.hook_dirs.clone(), time_max },
            logind,
            approved: Mutex::default(),
            changed,
            waits: watch::Sender::default(),
            clock,
            config,
        }
    }

    /// Looks after gates, restarts and hooks until the engine ends.
    pub fn start(self: &Arc<Self>, engine: &Link) {
        tokio::spawn(keeper::keep(Arc::clone(self), engine.clone()));
        tokio::spawn(reboot::look_after(Arc::clone(self), engine.clone()));
        tokio::spawn(told::tell(self.hooks.clone(), engine.clone()));
    }

    /// The section of the configuration.
    pub fn config(&self) -> &PolicyConfig {
        &self.config
    }

    /// The time.
    pub fn now(&self) -> Millis {
        self.clock.now()
    }

    /// The terms of a command in a state.
    pub fn terms(&self, state: &State, wishes: Wishes, command: &Command) -> Terms {
        terms::terms(&self.config, state, wishes, command)
    }

    /// Whether a maintenance window is open, and if not, when the next one opens.
    pub fn window(&self) -> (bool, Option<Millis>) {
        match opening(&self.config.windows, &self.config.time_zone, self.now()) {
            Opening::Open => (true, None),
            Opening::Closed(next) => (false, next),
        }
    }

    /// What clients see in a state.
    pub fn shown(&self, state: &State) -> Shown {
        let Waits { gate, reboot } = self.waits.borrow().clone();
        let inhibitors = self.inhibitors.list();
        // Whoever looks right after something began to wait shall see why, although nobody said it yet.
        let said = |said: String, place: Option<Place>| {
            let Some(place) = place.filter(|_| said.is_empty()) else { return said };
            let approved = self.is_approved(&place);
            let found = obstacle(&self.config, &inhibitors, &place, approved, self.now());
            found.map(|found| found.why).unwrap_or_default()
        };
        Shown {
            gate: said(gate, Place::at_gate(state)),
            reboot: said(reboot, Place::at_reboot(state)),
            agents: self.agents.len(),
            inhibitors,
        }
    }

    /// Told when what clients see may have changed: the rules' inputs, and what is waited for.
    pub fn listen(&self) -> Listener {
        Listener { changed: self.changed.subscribe(), waits: self.waits.subscribe() }
    }

    /// Says yes to what a job waits for.
    ///
    /// # Errors
    /// [`Error::WrongState`] when it does not wait.
    pub fn approve(&self, state: &State, job: JobId) -> Result<(), Error> {
        let places = [Place::at_gate(state), Place::at_reboot(state)];
        let place = places.into_iter().flatten().find(|place| place.job == job).ok_or_else(|| {
            Error::WrongState(format!(
                "job {job} does not wait for approval; 'scomoctl status' shows what does"
            ))
        })?;
        self.approved().insert((job, place.point));
        self.changed.send_replace(());
        Ok(())
    }

    fn approved(&self) -> MutexGuard<'_, BTreeSet<(JobId, Point)>> {
        self.approved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What somebody said to a place does not count for the next one.
    fn forget(&self, place: &Place) {
        self.approved().remove(&(place.job, place.point));
    }

    /// Says what a place waits for; empty: nothing.
    fn say(&self, point: Point, why: &str) {
        self.waits.send_if_modified(|waits| {
            let said = if point == Point::Reboot { &mut waits.reboot } else { &mut waits.gate };
            let new = *said != why;
            if new {
                why.clone_into(said);
            }
            new
        });
    }
}

/// In whose name the policy gives commands.
fn myself() -> Caller {
    Caller { uid: nix::unistd::Uid::effective().as_raw(), name: "scomod".to_owned() }
}

/// Told of changes of what clients see.
#[derive(Debug)]
pub struct Listener {
    changed: watch::Receiver<()>,
    waits: watch::Receiver<Waits>,
}

impl Listener {
    /// Waits for the next change.
    pub async fn next(&mut self) {
        let open = tokio::select! {
            changed = self.changed.changed() => changed.is_ok(),
            changed = self.waits.changed() => changed.is_ok(),
        };
        if !open {
            std::future::pending::<()>().await;
        }
    }
}
