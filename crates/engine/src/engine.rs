//! The engine: one thread that owns the state, and the handle through which others reach it.
//!
//! The thread takes one input at a time, decides, commits the facts, applies them, and makes what runs be what is
//! pending. It never waits for an effect, a client or a reader: whoever looks at the state gets a snapshot.
//!
//! Recovery is not a second code path: at start the facts are replayed, reality is observed, and what is pending runs.

use std::path::PathBuf;
use std::sync::mpsc::{self, SyncSender, TrySendError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::{self, JoinHandle};

use scomo_core::command::{Caller, Command, Rejection, Terms};
use scomo_core::failure::{Failure, FailureKind};
use scomo_core::id::{BootId, ComponentId, JobId, Millis};
use scomo_core::spec::ComponentKind;
use scomo_core::state::State;

use crate::backend::chain;
use crate::runner::Runner;
use crate::store::{Store, StoreError};

mod log;
mod running;
mod view;
mod writer;

#[cfg(test)]
mod tests;

pub use view::View;

use log::{FactLog, replay, replay_prefix};
use writer::{Asked, Message, Writer};

/// Requests and events that may wait for the engine. It takes some ten thousand a second; more waiting means that
/// the disk hangs, and then it is better to refuse.
const MAILBOX_MAX: usize = 256;
/// Stack of the engine's thread: nothing in it recurses but JSON, whose depth is limited.
const STACK_BYTES: usize = 512 * 1024;

/// The time. An input, so that tests have theirs.
pub type Clock = Arc<dyn Fn() -> Millis + Send + Sync>;
/// Told of every new snapshot, on the engine's thread: it must return at once.
pub type Publish = Box<dyn Fn(&Arc<View>) + Send>;

/// What an engine needs to know.
pub struct Options {
    /// The fact store, `<state_dir>/facts.db`.
    pub store: PathBuf,
    /// The boot that this process runs in, from `/proc/sys/kernel/random/boot_id`.
    pub boot: BootId,
    /// The time.
    pub clock: Clock,
    /// Told of every new snapshot.
    pub publish: Publish,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("store", &self.store)
            .field("boot", &self.boot)
            .finish_non_exhaustive()
    }
}

/// What a command that was taken started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// The job that carries it out; `None`: it was done at once.
    pub job: Option<JobId>,
    /// The same request had been taken before; nothing new was started.
    pub already: bool,
}

/// Why a command was not taken. Nothing changed.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The command does not fit the state.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The fact store cannot be used, so nothing may change.
    #[error("scomod is in safe mode and changes nothing: {0}")]
    SafeMode(String),
    /// The command could not be made durable.
    #[error("the command could not be stored")]
    NotStored(#[source] Arc<StoreError>),
    /// Too many requests wait.
    #[error("too many requests wait for the engine; try again later")]
    Overloaded,
    /// The engine ends.
    #[error("scomod is shutting down; try again when it runs")]
    Stopped,
}

/// A handle on the engine. Clones are the same engine; when the last one is dropped, it ends.
#[derive(Debug, Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    mailbox: SyncSender<Message>,
    view: Arc<RwLock<Arc<View>>>,
    runner: Arc<dyn Runner>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        let _ = self.mailbox.send(Message::Shutdown);
    }
}

impl Engine {
    /// Opens the store and starts the engine. A store that cannot be used gives an engine in safe mode, which shows
    /// what could be read and changes nothing. Only a thread that cannot be started is an error.
    pub fn open(options: Options, runner: Arc<dyn Runner>) -> std::io::Result<Self> {
        let mut state = State::default();
        let store = Store::open(&options.store, &mut replay(&mut state));
        match store {
            Ok(store) => Self::start(options, runner, state, Ok(Box::new(store))),
            Err(error) => {
                let why = chain(&error);
                tracing::error!("safe mode: {}: {why}", options.store.display());
                let mut state = State::default();
                if let Err(end) = Store::salvage(&options.store, &mut replay_prefix(&mut state)) {
                    tracing::error!("only a part of the facts is shown: {}", chain(&end));
                }
                Self::start(options, runner, state, Err(why))
            }
        }
    }

    fn start(
        options: Options,
        runner: Arc<dyn Runner>,
        state: State,
        log: Result<Box<dyn FactLog>, String>,
    ) -> std::io::Result<Self> {
        let (mailbox, inbox) = mpsc::sync_channel(MAILBOX_MAX);
        let view = Arc::new(RwLock::new(Arc::new(View::first(&state, log.as_ref().err().cloned()))));
        let writer =
            Writer::new(options, Arc::clone(&runner), state, log, mailbox.clone(), Arc::clone(&view));
        let thread = thread::Builder::new()
            .name("engine".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || writer.run(&inbox))?;
        Ok(Self { shared: Arc::new(Shared { mailbox, view, runner, thread: Mutex::new(Some(thread)) }) })
    }

    /// Asks for something and waits until that is durable or refused. The same `terms.request` twice is carried out once.
    pub fn submit(&self, caller: Caller, terms: Terms, command: Command) -> Result<Receipt, Refusal> {
        let (answer, answered) = mpsc::sync_channel(1);
        self.submit_then(caller, terms, command, move |result| {
            let _ = answer.send(result);
        });
        answered.recv().unwrap_or(Err(Refusal::Stopped))
    }

    /// Like [`Engine::submit`] for callers that must not wait: `then` is called once, on the engine's thread or,
    /// when the engine cannot take the command at all, on this one. It must return at once.
    pub fn submit_then(
        &self,
        caller: Caller,
        terms: Terms,
        command: Command,
        then: impl FnOnce(Result<Receipt, Refusal>) + Send + 'static,
    ) {
        let message = Message::Command(Asked { caller, terms, command, then: Box::new(then) });
        let (message, refusal) = match self.shared.mailbox.try_send(message) {
            Ok(()) => return,
            Err(TrySendError::Full(message)) => (message, Refusal::Overloaded),
            Err(TrySendError::Disconnected(message)) => (message, Refusal::Stopped),
        };
        if let Message::Command(asked) = message {
            (asked.then)(Err(refusal));
        }
    }

    /// What is so now. Never waits.
    #[must_use]
    pub fn snapshot(&self) -> Arc<View> {
        Arc::clone(&self.shared.view.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The last lines of a component's output, oldest first. Waits for a worker; never call it where waiting is
    /// forbidden.
    pub fn logs(&self, component: &ComponentId, lines: usize) -> Result<String, Failure> {
        let view = self.snapshot();
        let what = || format!("there is no component '{component}'; 'scomoctl list' shows what there is");
        let kind = kind_of_component(&view.state, component)
            .ok_or_else(|| Failure::new(FailureKind::NotFound, what()))?;
        self.shared.runner.logs(kind, component, lines)
    }

    /// Lets the engine look at the clock, for example after the device slept or the clock was set.
    pub fn wake(&self) {
        // A full mailbox means that it is awake.
        let _ = self.shared.mailbox.try_send(Message::Wake);
    }

    /// Kills what runs, closes the store and waits for that. What was under way goes on at the next start.
    pub fn shutdown(&self) {
        // This one may wait: the engine takes what is in front of it first.
        let _ = self.shared.mailbox.send(Message::Shutdown);
        if let Some(thread) = lock(&self.shared.thread).take()
            && thread.join().is_err()
        {
            tracing::error!("the engine's thread ended early");
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The kind of a component that is deployed, or just being installed.
fn kind_of_component(state: &State, id: &ComponentId) -> Option<ComponentKind> {
    let deployed = state.components.get(id).map(|component| component.release.spec.kind);
    deployed.or_else(|| {
        let mut changes = state.job.iter().flat_map(|job| job.changes.iter().flatten());
        changes.find(|change| change.id == *id).map(|change| change.kind)
    })
}
