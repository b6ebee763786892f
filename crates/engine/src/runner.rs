//! Who runs effects: worker processes in earnest, threads over the simulated device in tests and demonstrations.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use scomo_core::effect::{Effect, EffectOk, Inventory, Progress};
use scomo_core::failure::{Failure, FailureKind};
use scomo_core::id::ComponentId;
use scomo_core::spec::ComponentKind;

use crate::backend::StepCx;

/// Stack of a thread that waits for an effect. A simulated effect runs on it; a worker's lines are parsed on it.
const STACK_BYTES: usize = 256 * 1024;

/// What comes of an effect that was started.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "it is handed on at once")]
pub enum Event {
    /// How far it is. Any number of these.
    Progress(Progress),
    /// It is over; nothing of it runs any more. Exactly one, the last.
    Ended(Result<EffectOk, Failure>),
}

/// Where the events of one effect go. Called on a thread of the runner.
pub type OnEvent = Box<dyn Fn(Event) + Send>;

/// An effect that was started.
pub trait Running: Send + fmt::Debug {
    /// Ends it as fast as possible, wherever it is; returns at once. [`Event::Ended`] follows.
    fn kill(&self);
}

/// Runs effects. Effects are idempotent and may be killed anywhere, so a runner keeps nothing.
pub trait Runner: Send + Sync + fmt::Debug {
    /// Starts an effect and returns at once. An error means that it was not started: no event follows.
    fn start(&self, effect: &Effect, on: OnEvent) -> Result<Box<dyn Running>, Failure>;
    /// What runs of a kind. Takes as long as it takes.
    fn observe(&self, kind: ComponentKind) -> Result<Inventory, Failure>;
    /// The last lines of a component's output, oldest first. Takes as long as it takes.
    fn logs(&self, kind: ComponentKind, component: &ComponentId, lines: usize) -> Result<String, Failure>;
    /// The kinds that it handles.
    fn kinds(&self) -> Vec<ComponentKind>;
}

/// The kind whose backend carries out an effect. Packages are resolved by the backend for containers, which knows
/// every format, unless the source is an OSTree repository.
#[must_use]
pub fn kind_of(effect: &Effect) -> ComponentKind {
    match effect {
        Effect::Resolve { source, .. } if source.starts_with("ostree+") => ComponentKind::Os,
        Effect::Resolve { .. } => ComponentKind::Container,
        Effect::Fetch { release }
        | Effect::Stage { release }
        | Effect::Probe { release }
        | Effect::Confirm { release } => release.spec.kind,
        Effect::Switch { kind, .. } | Effect::Collect { kind, .. } => *kind,
    }
}

/// An effect on a thread, killed through its [`StepCx`].
#[derive(Debug)]
struct OnThread {
    cancelled: Arc<AtomicBool>,
}

impl Running for OnThread {
    fn kill(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }
}

/// Runs `body` on a thread of its own; it must end soon after its context is cancelled.
pub(crate) fn on_thread(
    name: &str,
    on: OnEvent,
    body: impl FnOnce(&StepCx) -> Result<EffectOk, Failure> + Send + 'static,
) -> Result<Box<dyn Running>, Failure> {
    let cancelled: Arc<AtomicBool> = Arc::default();
    let flag = Arc::clone(&cancelled);
    let on: Arc<std::sync::Mutex<OnEvent>> = Arc::new(std::sync::Mutex::new(on));
    let run = move || {
        let say = |event| (on.lock().unwrap_or_else(std::sync::PoisonError::into_inner))(event);
        let progress = {
            let on = Arc::clone(&on);
            move |p| (on.lock().unwrap_or_else(std::sync::PoisonError::into_inner))(Event::Progress(p))
        };
        let result = body(&StepCx::new(progress, flag));
        say(Event::Ended(result));
    };
    thread::Builder::new().name(name.to_owned()).stack_size(STACK_BYTES).spawn(run).map_err(|e| {
        Failure::new(FailureKind::Interrupted, format!("no thread for an effect can be started: {e}"))
    })?;
    Ok(Box::new(OnThread { cancelled }))
}
