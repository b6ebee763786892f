//! A backend that is a worker executable: each call is one worker process.

use scomo_core::effect::{Effect, EffectOk, Inventory, Target};
use scomo_core::failure::{Failure, FailureKind};
use scomo_core::id::{ComponentId, PackageId};
use scomo_core::spec::{ComponentKind, Content, Release};

use crate::backend::{Backend, BackendError, StepCx};
use crate::worker::{Answer, Job, Request, WorkerCommand};

/// Talks to a worker executable over its protocol. Cancelling a step kills the worker.
#[derive(Debug, Clone)]
pub struct ProcessBackend {
    worker: WorkerCommand,
    kind: ComponentKind,
    config: serde_json::Value,
}

impl ProcessBackend {
    /// A backend of the given kind; `config` is what each job carries.
    #[must_use]
    pub fn new(worker: WorkerCommand, kind: ComponentKind, config: serde_json::Value) -> Self {
        Self { worker, kind, config }
    }

    fn ask(&self, request: Request, cx: &StepCx) -> Result<Answer, BackendError> {
        let job = Job { request, config: self.config.clone() };
        self.worker.run(&job, cx).map_err(|Failure { kind, detail }| BackendError::new(kind, detail))
    }

    fn effect(&self, effect: Effect, cx: &StepCx) -> Result<EffectOk, BackendError> {
        match self.ask(Request::Effect(effect), cx)? {
            Answer::Effect(ok) => Ok(ok),
            other => Err(unfit(&other)),
        }
    }
}

fn unfit(answer: &impl std::fmt::Debug) -> BackendError {
    BackendError::new(FailureKind::Broken, format!("the worker gave an answer that does not fit: {answer:?}"))
}

impl Backend for ProcessBackend {
    fn resolve(&mut self, package: &PackageId, source: &str, cx: &StepCx) -> Result<Content, BackendError> {
        let effect = Effect::Resolve { package: package.clone(), source: source.to_owned() };
        match self.effect(effect, cx)? {
            EffectOk::Resolved { content } => Ok(content),
            other => Err(unfit(&other)),
        }
    }

    fn fetch(&mut self, release: &Release, cx: &StepCx) -> Result<u64, BackendError> {
        match self.effect(Effect::Fetch { release: release.clone() }, cx)? {
            EffectOk::Fetched { size } => Ok(size),
            other => Err(unfit(&other)),
        }
    }

    fn stage(&mut self, release: &Release, cx: &StepCx) -> Result<(), BackendError> {
        match self.effect(Effect::Stage { release: release.clone() }, cx)? {
            EffectOk::Staged => Ok(()),
            other => Err(unfit(&other)),
        }
    }

    fn switch(&mut self, id: &ComponentId, target: &Target, cx: &StepCx) -> Result<bool, BackendError> {
        let effect = Effect::Switch { component: id.clone(), kind: self.kind, target: target.clone() };
        match self.effect(effect, cx)? {
            EffectOk::Switched { reboot_needed } => Ok(reboot_needed),
            other => Err(unfit(&other)),
        }
    }

    fn probe(&mut self, release: &Release, cx: &StepCx) -> Result<(), BackendError> {
        match self.effect(Effect::Probe { release: release.clone() }, cx)? {
            EffectOk::Healthy => Ok(()),
            other => Err(unfit(&other)),
        }
    }

    fn confirm(&mut self, release: &Release, cx: &StepCx) -> Result<(), BackendError> {
        match self.effect(Effect::Confirm { release: release.clone() }, cx)? {
            EffectOk::Confirmed => Ok(()),
            other => Err(unfit(&other)),
        }
    }

    fn collect(&mut self, keep: &[Release], cx: &StepCx) -> Result<(), BackendError> {
        match self.effect(Effect::Collect { kind: self.kind, keep: keep.to_vec() }, cx)? {
            EffectOk::Collected => Ok(()),
            other => Err(unfit(&other)),
        }
    }

    fn observe(&mut self) -> Result<Inventory, BackendError> {
        match self.ask(Request::Observe, &StepCx::detached())? {
            Answer::Inventory(inventory) => Ok(inventory),
            other => Err(unfit(&other)),
        }
    }

    fn logs(&mut self, id: &ComponentId, lines: usize) -> Result<String, BackendError> {
        match self.ask(Request::Logs { component: id.clone(), lines }, &StepCx::detached())? {
            Answer::Logs(text) => Ok(text),
            other => Err(unfit(&other)),
        }
    }
}
