//! Effects in short-lived worker processes: one process for each, one thread that waits for it.

use std::collections::BTreeMap;

use scomo_core::effect::{Effect, Inventory};
use scomo_core::failure::{Failure, FailureKind};
use scomo_core::id::ComponentId;
use scomo_core::spec::ComponentKind;

use crate::backend::StepCx;
use crate::runner::{OnEvent, Runner, Running, kind_of, on_thread};
use crate::worker::{Answer, Job, Request, WorkerCommand};

/// Runs effects in worker processes.
#[derive(Debug, Clone)]
pub struct ProcessRunner {
    workers: BTreeMap<ComponentKind, WorkerCommand>,
    config: serde_json::Value,
}

impl ProcessRunner {
    /// `workers` are the executables; `config` is what every job carries, see [`Job::config`].
    #[must_use]
    pub fn new(workers: BTreeMap<ComponentKind, WorkerCommand>, config: serde_json::Value) -> Self {
        Self { workers, config }
    }

    fn worker(&self, kind: ComponentKind) -> Result<WorkerCommand, Failure> {
        let what = || {
            let kind = kind.as_str();
            format!("this device handles no components of type '{kind}'; configure a worker for them")
        };
        self.workers.get(&kind).cloned().ok_or_else(|| Failure::new(FailureKind::Unsupported, what()))
    }

    /// Who carries out an effect. Whoever knows packages can resolve one: a device may have no containers.
    fn worker_for(&self, effect: &Effect) -> Result<WorkerCommand, Failure> {
        let kind = kind_of(effect);
        let resolves = matches!(effect, Effect::Resolve { .. }) && kind == ComponentKind::Container;
        let stands_in =
            resolves && !self.workers.contains_key(&kind) && self.workers.contains_key(&ComponentKind::Files);
        self.worker(if stands_in { ComponentKind::Files } else { kind })
    }

    fn job(&self, request: Request) -> Job {
        Job { request, config: self.config.clone() }
    }
}

fn unfit() -> Failure {
    let what = "the worker gave an answer that does not fit its request; install matching versions";
    Failure::new(FailureKind::Broken, what)
}

impl Runner for ProcessRunner {
    fn start(&self, effect: &Effect, on: OnEvent) -> Result<Box<dyn Running>, Failure> {
        let worker = self.worker_for(effect)?;
        let job = self.job(Request::Effect(effect.clone()));
        on_thread("effect", on, move |cx| match worker.run(&job, cx)? {
            Answer::Effect(ok) => Ok(ok),
            Answer::Inventory(_) | Answer::Logs(_) => Err(unfit()),
        })
    }

    fn observe(&self, kind: ComponentKind) -> Result<Inventory, Failure> {
        match self.worker(kind)?.run(&self.job(Request::Observe), &StepCx::detached())? {
            Answer::Inventory(inventory) => Ok(inventory),
            Answer::Effect(_) | Answer::Logs(_) => Err(unfit()),
        }
    }

    fn logs(&self, kind: ComponentKind, component: &ComponentId, lines: usize) -> Result<String, Failure> {
        let request = Request::Logs { component: component.clone(), lines };
        match self.worker(kind)?.run(&self.job(request), &StepCx::detached())? {
            Answer::Logs(text) => Ok(text),
            Answer::Effect(_) | Answer::Inventory(_) => Err(unfit()),
        }
    }

    fn kinds(&self) -> Vec<ComponentKind> {
        self.workers.keys().copied().collect()
    }
}
