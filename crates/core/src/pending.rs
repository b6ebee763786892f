//! What should run now, and when something is due next: both derived from the state, never stored.

use serde::{Deserialize, Serialize};

use crate::effect::Effect;
use crate::id::{ComponentId, JobId, Millis};
use crate::spec::{ComponentKind, Release};
use crate::state::{Change, Component, Job, JobTarget, Primitive, Run, State, Step};

/// Names one run of one effect, so that an outcome finds what it belongs to or is ignored.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TaskKey {
    /// The job it belongs to; None: the engine's own housekeeping.
    pub job: Option<JobId>,
    /// What it does.
    pub task: Task,
    /// Which attempt.
    pub attempt: u32,
}

/// What a task does.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// Resolve the job's package.
    Resolve,
    /// Fetch the n-th release of its content.
    Fetch(usize),
    /// Stage the n-th change.
    Stage(usize),
    /// Switch the n-th change.
    Switch(usize),
    /// Watch the n-th change.
    Probe(usize),
    /// Confirm the n-th change.
    Confirm(usize),
    /// Reverse the n-th change.
    Revert(usize),
    /// Set a component right.
    Restore(ComponentId),
    /// Collect a kind's garbage.
    Collect(ComponentKind),
}

/// An effect that should run now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// Its name.
    pub key: TaskKey,
    /// What to do.
    pub effect: Effect,
}

/// Every effect that should run now. What runs and is not in this list should be killed.
#[must_use]
pub fn pending(state: &State, now: Millis) -> Vec<Pending> {
    // What should run and does not comes first, unless the job is just moving things: then the job sets them right.
    let moving = state.job.as_ref().is_some_and(|job| {
        matches!(job.step, Step::Switch(_) | Step::Probe | Step::Confirm(_) | Step::Revert(_))
    });
    if !moving && let Some(restore) = restore(state, now) {
        return vec![restore];
    }
    match &state.job {
        Some(job) if job.step != Step::Collect => job_tasks(state, job),
        _ => collect(state, now).into_iter().collect(),
    }
}

/// Longest time that anything waits for another try, in milliseconds.
pub const BACK_OFF_MAX_MS: u64 = 30_000;

/// Whether a try planned for `at` is due. One planned further ahead than anything is ever planned is due too: the
/// clock was set back, and nothing must wait for the old time to come again.
#[must_use]
pub fn is_due(at: Millis, now: Millis) -> bool {
    at <= now || at > now.plus(BACK_OFF_MAX_MS)
}

/// When something is due next without any outcome. A time that has passed means: now.
#[must_use]
pub fn next_deadline(state: &State, now: Millis) -> Option<Millis> {
    let job = state.job.iter().filter_map(|job| match job.run {
        Run::Waiting { until, .. } => Some(until),
        Run::Idle | Run::Attempt(_) => None,
    });
    let retries = state.drift.values().chain(state.garbage.values());
    job.chain(retries.map(|retry| retry.not_before).filter(|at| !is_due(*at, now))).min()
}

fn restore(state: &State, now: Millis) -> Option<Pending> {
    state.drift.iter().filter(|(_, retry)| is_due(retry.not_before, now)).find_map(|(id, retry)| {
        let component = state.components.get(id)?;
        let kind = component.release.spec.kind;
        Some(Pending {
            key: TaskKey { job: None, task: Task::Restore(id.clone()), attempt: retry.attempts },
            effect: Effect::Switch { component: id.clone(), kind, target: component.target() },
        })
    })
}

fn collect(state: &State, now: Millis) -> Option<Pending> {
    let (kind, retry) = state.garbage.iter().find(|(_, retry)| is_due(retry.not_before, now))?;
    let keep = state.kept_releases().into_iter().filter(|r| r.spec.kind == *kind).cloned().collect();
    Some(Pending {
        key: TaskKey { job: None, task: Task::Collect(*kind), attempt: retry.attempts },
        effect: Effect::Collect { kind: *kind, keep },
    })
}

fn job_tasks(state: &State, job: &Job) -> Vec<Pending> {
    let Run::Attempt(attempt) = job.run else { return Vec::new() };
    let changes = job.changes.as_deref().unwrap_or_default();
    let with = |task: Task, effect: Option<Effect>| {
        let key = TaskKey { job: Some(job.id), task, attempt };
        effect.map(|effect| Pending { key, effect }).into_iter().collect()
    };
    let after = |index: usize| changes.get(index).and_then(|c| c.after.as_ref()).map(|c| c.release.clone());
    match job.step {
        Step::Resolve => with(Task::Resolve, resolve(state, job)),
        Step::Fetch(index) => {
            let release = job.content.as_ref().and_then(|c| c.releases.get(index)).cloned();
            with(Task::Fetch(index), release.map(|release| Effect::Fetch { release }))
        }
        Step::Stage(index) => with(Task::Stage(index), after(index).map(|release| Effect::Stage { release })),
        Step::Switch(index) => with(Task::Switch(index), changes.get(index).map(|c| switch(c, c.forward()))),
        Step::Revert(index) => with(Task::Revert(index), changes.get(index).map(|c| switch(c, c.backward()))),
        Step::Confirm(index) => {
            with(Task::Confirm(index), after(index).map(|release| Effect::Confirm { release }))
        }
        Step::Probe => {
            let open = changes.iter().enumerate().filter(|(_, c)| c.ends_active() && !c.healthy);
            let probe = |(index, change): (usize, &Change)| {
                let release: Release = change.after.as_ref().map(|c: &Component| c.release.clone())?;
                let key = TaskKey { job: Some(job.id), task: Task::Probe(index), attempt };
                Some(Pending { key, effect: Effect::Probe { release } })
            };
            open.filter_map(probe).collect()
        }
        Step::AwaitBoot | Step::Await(_) | Step::Collect => Vec::new(),
    }
}

fn resolve(state: &State, job: &Job) -> Option<Effect> {
    let JobTarget::Package(package) = &job.target else { return None };
    let source = match job.primitive {
        Primitive::Install | Primitive::InstallInactive => &state.delivered.get(package)?.source,
        _ => &state.downloads.get(package)?.source,
    };
    Some(Effect::Resolve { package: package.clone(), source: source.clone() })
}

fn switch(change: &Change, target: crate::effect::Target) -> Effect {
    Effect::Switch { component: change.id.clone(), kind: change.kind, target }
}
