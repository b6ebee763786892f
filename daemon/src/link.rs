//! The way to the engine: starts it, makes its snapshots something that can be awaited, and turns its refusals into
//! errors of the bus. The engine knows neither tokio nor D-Bus.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use scomo_core::command::{Caller, Command, Rejection, Terms};
use scomo_core::failure::{Failure, FailureKind};
use scomo_core::id::{BootId, ComponentId, JobId, Millis};
use scomo_core::spec::ComponentKind;
use scomo_dbus::Error;
use scomo_engine::backend::chain;
use scomo_engine::engine::{Engine, Options, Refusal, View};
use scomo_engine::process::ProcessRunner;
use scomo_engine::store::StoreError;
use scomo_engine::worker::WorkerCommand;
use tokio::sync::{oneshot, watch};

use crate::config::Settings;
use crate::events::Teller;
use crate::refusal::of_tree;

/// Where the kernel says which boot this is.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// What the file of the worker for a kind begins with.
const WORKER_PREFIX: &str = "scomo-worker-";
/// The facts, in the state folder.
const FACTS: &str = "facts.db";

/// A command that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// The job that carries it out; none: it is done.
    pub job: Option<JobId>,
    /// Snapshots from this one on show it.
    pub revision: u64,
}

/// A handle on the engine for async code. Clones are the same engine.
#[derive(Debug, Clone)]
pub struct Link {
    engine: Engine,
    views: watch::Receiver<Option<Arc<View>>>,
}

impl Link {
    /// Starts the engine on the state folder, with the workers that are there.
    pub fn start(settings: &Settings) -> anyhow::Result<Self> {
        let boot = std::fs::read_to_string(BOOT_ID).with_context(|| format!("cannot read {BOOT_ID}"))?;
        let boot = BootId::new(boot.trim()).with_context(|| format!("{BOOT_ID} holds no boot id"))?;
        let workers = workers(&settings.daemon.workers_dir);
        if workers.is_empty() {
            tracing::warn!(
                "no worker in {}: nothing can be installed",
                settings.daemon.workers_dir.display()
            );
        }
        let runner = ProcessRunner::new(workers, settings.workers.clone());
        let (sender, views) = watch::channel(None);
        let teller = Teller::default();
        let options = Options {
            store: settings.daemon.state_dir.join(FACTS),
            boot,
            clock: Arc::new(now),
            publish: Box::new(move |view| {
                teller.look(view);
                sender.send_replace(Some(Arc::clone(view)));
            }),
        };
        let engine = Engine::open(options, Arc::new(runner)).context("cannot start the engine's thread")?;
        Ok(Self { engine, views })
    }

    /// What is so now.
    pub fn view(&self) -> Arc<View> {
        self.engine.snapshot()
    }

    /// Changes whenever there is a new snapshot.
    pub fn watch(&self) -> watch::Receiver<Option<Arc<View>>> {
        self.views.clone()
    }

    /// Hands a command to the engine.
    pub async fn submit(&self, caller: Caller, terms: Terms, command: Command) -> Result<Taken, Error> {
        let (answer, answered) = oneshot::channel();
        self.engine.submit_then(caller, terms, command, |result| drop(answer.send(result)));
        let receipt = answered.await.unwrap_or(Err(Refusal::Stopped)).map_err(|refusal| refused(&refusal))?;
        // The engine publishes before it answers.
        Ok(Taken { job: receipt.job, revision: self.engine.snapshot().revision })
    }

    /// The last lines of a component's output.
    pub async fn logs(&self, id: ComponentId, lines: usize) -> Result<String, Error> {
        let engine = self.engine.clone();
        let logs = tokio::task::spawn_blocking(move || engine.logs(&id, lines)).await;
        let logs = logs.map_err(|error| Error::Failed(format!("a thread ended: {error}")))?;
        logs.map_err(no_logs)
    }

    /// Ends the engine: workers are killed, what runs on the device goes on running.
    pub fn shutdown(&self) {
        self.engine.shutdown();
    }
}

/// The time of the device.
pub fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// The workers that are installed.
fn workers(folder: &Path) -> BTreeMap<ComponentKind, WorkerCommand> {
    let of = |kind: ComponentKind| {
        let program = folder.join(format!("{WORKER_PREFIX}{}", kind.as_str()));
        program.is_file().then(|| (kind, WorkerCommand::new(program)))
    };
    ComponentKind::ALL.into_iter().filter_map(of).collect()
}

/// Why nothing can be changed at the moment, if so.
pub fn why_read_only(view: &View) -> Option<Error> {
    view.safe_mode.clone().map(|why| refused(&Refusal::SafeMode(why)))
}

fn no_logs(failure: Failure) -> Error {
    match failure.kind {
        FailureKind::NotFound => Error::UnknownComponent(failure.detail),
        FailureKind::Unsupported => Error::Unsupported(failure.detail),
        _ => Error::Failed(format!("the output cannot be read: {}", failure.detail)),
    }
}

/// The error that a refusal is on the bus.
fn refused(refusal: &Refusal) -> Error {
    match refusal {
        Refusal::Rejected(rejection) => rejected(rejection),
        Refusal::SafeMode(_) => Error::SafeMode(refusal.to_string()),
        Refusal::NotStored(error) if matches!(**error, StoreError::Full) => Error::NoSpace(chain(refusal)),
        Refusal::Overloaded => Error::Busy(refusal.to_string()),
        Refusal::NotStored(_) | Refusal::Stopped => Error::Failed(chain(refusal)),
    }
}

/// One error name for each kind of rejection.
pub fn rejected(rejection: &Rejection) -> Error {
    let text = rejection.to_string();
    match rejection {
        Rejection::UnknownPackage { .. } => Error::UnknownPackage(text),
        Rejection::UnknownComponent(_) => Error::UnknownComponent(text),
        Rejection::UnknownJob(_) => Error::UnknownJob(text),
        Rejection::UnknownReport(_) => Error::UnknownReport(text),
        Rejection::NotAtGate { .. } => Error::WrongState(text),
        Rejection::Incomplete { .. } => Error::Incomplete(text),
        Rejection::Required { .. } => Error::Required(text),
        Rejection::DuplicatePkgId { .. } | Rejection::Exists(_) => Error::Exists(text),
        Rejection::Busy { .. } => Error::Busy(text),
        Rejection::WrongState { .. } => Error::WrongState(text),
        Rejection::OsInUse(_) => Error::OsInUse(text),
        Rejection::TooLate(_) => Error::TooLate(text),
        Rejection::NothingToRollBack => Error::NothingToRollBack(text),
        Rejection::NothingToConfirm => Error::NothingToConfirm(text),
        Rejection::Limit { .. } => Error::LimitReached(text),
        Rejection::TooLong { .. } => Error::TooLong(text),
        Rejection::Tree { error, .. } => of_tree(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backend_is_there_when_its_worker_is() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("scomo-worker-os"), "").unwrap();
        std::fs::create_dir(folder.path().join("scomo-worker-container")).unwrap();
        let kinds: Vec<_> = workers(folder.path()).into_keys().collect();
        assert_eq!(kinds, [ComponentKind::Os]);
    }

    #[test]
    fn refusals_keep_their_text() {
        let error = refused(&Refusal::Rejected(Rejection::NothingToRollBack));
        assert!(matches!(&error, Error::NothingToRollBack(text) if text.contains("roll back")), "{error}");
        let full = refused(&Refusal::NotStored(Arc::new(StoreError::Full)));
        assert!(matches!(&full, Error::NoSpace(text) if text.contains("disk is full")), "{full}");
    }
}
