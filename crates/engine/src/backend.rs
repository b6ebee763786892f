//! What a backend is: the contract between the engine and whatever handles one kind of component.
//!
//! The contract, which [`crate::conformance`] tests on every backend:
//! - every method is idempotent: doing it again after success, or after it was killed anywhere, gives the same result;
//! - `Ok` means durable: it survives a power cut that happens right after;
//! - a failed or killed `fetch` or `stage` leaves what runs untouched and nothing that `collect` does not delete;
//! - a method reports progress through [`StepCx`] and ends soon after [`StepCx::cancelled`] turns true;
//! - it returns a [`BackendError`] whose kind the machine can decide on, and never panics on bad input.
//!
//! The words here are neutral on purpose: no bootloader, layer or commit appears in the trait.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use scomo_core::effect::{Effect, EffectOk, Inventory, Progress, Target};
use scomo_core::failure::{Failure, FailureKind};
use scomo_core::id::{ComponentId, PackageId};
use scomo_core::spec::{Content, Release};

/// Handles one kind of component. Blocking; each call runs in a worker of its own.
pub trait Backend: Send {
    /// Finds the package, verifies it and reads its manifest. Downloads no payload.
    fn resolve(&mut self, package: &PackageId, source: &str, cx: &StepCx) -> Result<Content, BackendError>;
    /// Brings the payload onto the device, verified. Returns the installed size in bytes.
    fn fetch(&mut self, release: &Release, cx: &StepCx) -> Result<u64, BackendError>;
    /// Prepares a fetched release for a quick switch.
    fn stage(&mut self, release: &Release, cx: &StepCx) -> Result<(), BackendError>;
    /// Makes the component be in the target state. True: it takes a reboot to become true.
    fn switch(&mut self, id: &ComponentId, target: &Target, cx: &StepCx) -> Result<bool, BackendError>;
    /// Watches a running release until its health check passes (`Ok`) or fails (`Unhealthy`).
    fn probe(&mut self, release: &Release, cx: &StepCx) -> Result<(), BackendError>;
    /// Makes a switched release final.
    fn confirm(&mut self, release: &Release, cx: &StepCx) -> Result<(), BackendError>;
    /// Deletes whatever no release in `keep` needs, leftovers of killed steps included. Software that can be stopped
    /// and is not in `keep` is stopped first; an OS that is booted stays.
    fn collect(&mut self, keep: &[Release], cx: &StepCx) -> Result<(), BackendError>;
    /// What runs now.
    fn observe(&mut self) -> Result<Inventory, BackendError>;
    /// The last lines of a component's output, oldest first.
    fn logs(&mut self, id: &ComponentId, lines: usize) -> Result<String, BackendError>;
}

/// Carries out one effect on a backend.
pub fn execute(backend: &mut dyn Backend, effect: &Effect, cx: &StepCx) -> Result<EffectOk, BackendError> {
    Ok(match effect {
        Effect::Resolve { package, source } => {
            EffectOk::Resolved { content: backend.resolve(package, source, cx)? }
        }
        Effect::Fetch { release } => EffectOk::Fetched { size: backend.fetch(release, cx)? },
        Effect::Stage { release } => {
            backend.stage(release, cx)?;
            EffectOk::Staged
        }
        Effect::Switch { component, kind: _, target } => {
            EffectOk::Switched { reboot_needed: backend.switch(component, target, cx)? }
        }
        Effect::Probe { release } => {
            backend.probe(release, cx)?;
            EffectOk::Healthy
        }
        Effect::Confirm { release } => {
            backend.confirm(release, cx)?;
            EffectOk::Confirmed
        }
        Effect::Collect { kind: _, keep } => {
            backend.collect(keep, cx)?;
            EffectOk::Collected
        }
    })
}

/// What a step sees of its surroundings: where progress goes, and whether it should end.
#[derive(Clone)]
pub struct StepCx {
    progress: Arc<dyn Fn(Progress) + Send + Sync>,
    cancelled: Arc<AtomicBool>,
}

impl StepCx {
    /// A context that hands progress to `progress` and ends the step when `cancelled` turns true.
    pub fn new(progress: impl Fn(Progress) + Send + Sync + 'static, cancelled: Arc<AtomicBool>) -> Self {
        Self { progress: Arc::new(progress), cancelled }
    }

    /// A context that nobody watches or cancels.
    #[must_use]
    pub fn detached() -> Self {
        Self::new(|_| {}, Arc::default())
    }

    /// Reports progress. Cheap to call often: whoever transports it limits the rate.
    pub fn progress(&self, progress: Progress) {
        (self.progress)(progress);
    }

    /// Whether the step should end soon with [`FailureKind::Cancelled`].
    #[must_use]
    pub fn cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for StepCx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StepCx").field("cancelled", &self.cancelled()).finish_non_exhaustive()
    }
}

/// A failed step: a kind for the machine, a sentence for people, the cause for the log.
#[derive(Debug)]
pub struct BackendError {
    /// What the machine decides on.
    pub kind: FailureKind,
    /// What failed and, where known, what to do about it.
    pub message: String,
    /// The cause.
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl BackendError {
    /// An error without a deeper cause.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// An error with its cause.
    pub fn caused(
        kind: FailureKind,
        message: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self { kind, message: message.into(), source: Some(source.into()) }
    }

    /// An error of a backend with its words and its causes.
    pub fn of(kind: FailureKind, error: impl std::error::Error + Send + Sync + 'static) -> Self {
        let message = error.to_string();
        let source = error.source().is_some().then(|| Box::new(Cause(error)) as Box<_>);
        Self { kind, message, source }
    }

    /// The whole chain on one line, as a durable failure.
    #[must_use]
    pub fn to_failure(&self) -> Failure {
        Failure::new(self.kind, chain(self))
    }
}

impl fmt::Display for BackendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for BackendError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|e| e as &(dyn std::error::Error + 'static))
    }
}

/// The cause of an error without the error itself, whose words are the [`BackendError::message`] already.
#[derive(Debug)]
struct Cause<E>(E);

impl<E: std::error::Error> fmt::Display for Cause<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.source().map_or(Ok(()), |cause| fmt::Display::fmt(cause, f))
    }
}

impl<E: std::error::Error> std::error::Error for Cause<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source().and_then(std::error::Error::source)
    }
}

/// An error and its causes on one line, joined by ": ".
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
