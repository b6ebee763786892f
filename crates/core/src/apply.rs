//! Applying a fact to the state: the same code live and in replay, and the only one that changes a [`State`].
//!
//! It checks that a fact is possible in the state it meets. An impossible fact means a damaged store or a defect; the
//! engine stops writing then, it does not guess.

mod finish;
mod packages;

use std::collections::BTreeSet;

use crate::fact::Fact;
use crate::failure::{Failure, FailureKind};
use crate::id::{JobId, Millis};
use crate::spec::{ComponentKind, Release};
use crate::state::{Change, Component, Job, JobTarget, Primitive, REQUESTS_MAX, Retry, Run, State, Step};
use crate::status::{ComponentState, ComponentStatus, DeliveredStatus, DownloadStatus};
use crate::tree;
use finish::{finish_job, identifier};
use packages::{deliver, refresh_packages};

/// A fact that cannot follow on the state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the fact {fact} is not possible here: {why}")]
pub struct IllegalFact {
    /// The fact's name.
    pub fact: &'static str,
    /// What it lacks.
    pub why: &'static str,
}

/// Applies one fact. On an error the state may be half changed and must be thrown away.
pub fn apply(state: &mut State, fact: &Fact) -> Result<(), IllegalFact> {
    apply_any(state, fact).map_err(|why| IllegalFact { fact: fact.name(), why })?;
    if matches!(
        fact,
        Fact::DownloadDeleted { .. }
            | Fact::DeliveredDeleted { .. }
            | Fact::Committed { .. }
            | Fact::JobFinished { .. }
    ) {
        tree::inherit::prune(state);
    }
    show_progress(state);
    Ok(())
}

type Why = &'static str;
const NO_JOB: Why = "no job is under way";
const NO_CHANGE: Why = "the job has no such change";

fn apply_any(state: &mut State, fact: &Fact) -> Result<(), Why> {
    match fact {
        Fact::Checkpoint { state: whole } => *state = State::clone(whole),
        Fact::Started { boot, drift, fell_back, garbage, at: _ } => {
            if state.boot.as_ref() != Some(boot) {
                state.reboot_wanted = None;
            }
            state.boot = Some(boot.clone());
            state.drift = drift.iter().map(|id| (id.clone(), Retry::default())).collect();
            for id in fell_back {
                let component = state.components.get_mut(id).ok_or("no such component")?;
                component.state = ComponentState::Inactive;
                component.failure = Some(Failure::new(FailureKind::BootFailed, "another OS is booted"));
            }
            state.garbage.extend(garbage.iter().map(|kind| (*kind, Retry::default())));
        }
        Fact::DownloadAdded { .. }
        | Fact::DownloadDeleted { .. }
        | Fact::DownloadSet { .. }
        | Fact::DeliveredAdded { .. }
        | Fact::DeliveredDeleted { .. }
        | Fact::DeliveredSet { .. }
        | Fact::DataSet { .. } => packages::apply(state, fact)?,
        Fact::Adopted { at, release } => adopt(state, *at, release),
        Fact::TreeWritten { at, by: _, writes } => tree::overlay::apply(state, *at, writes)?,
        Fact::ReportAcknowledged { id } => {
            let index = state.reports.iter().position(|r| r.id == *id).ok_or("no such report")?;
            state.reports.remove(index);
        }
        Fact::JobStarted { .. } => start_job(state, fact)?,
        Fact::JobFinished { at, code, failure } => finish_job(state, *at, *code, failure.as_ref())?,
        Fact::Committed { at } => commit(state, *at)?,
        Fact::PackageDelivered => deliver(state)?,
        Fact::Restored { id, failure, retry_at } => restore(state, id, failure.as_ref(), *retry_at)?,
        Fact::Collected { kind, retry_at } => {
            let retry = state.garbage.remove(kind).ok_or("nothing of this kind was to be collected")?;
            if let Some(not_before) = *retry_at {
                let attempts = retry.attempts.saturating_add(1);
                state.garbage.insert(*kind, Retry { attempts, not_before });
            }
        }
        Fact::Fetched { index, size } => {
            let job = state.job.as_mut().ok_or(NO_JOB)?;
            let content = job.content.as_mut().ok_or("the job has no content")?;
            let release = content.releases.get_mut(*index).ok_or("the content has no such release")?;
            if *index != job.fetched {
                return Err("releases are fetched in order");
            }
            release.size = *size;
            job.fetched = index.saturating_add(1);
            job.run = Run::Idle;
            state.kinds.insert(release.spec.kind);
        }
        step => apply_step(state.job.as_mut().ok_or(NO_JOB)?, step)?,
    }
    Ok(())
}

/// The facts that concern the job under way and nothing else.
fn apply_step(job: &mut Job, fact: &Fact) -> Result<(), Why> {
    match fact {
        Fact::StepStarted { step, attempt } => {
            if let Step::Switch(index) = *step {
                change(job, index)?.touched = true;
            }
            job.step = *step;
            job.run = Run::Attempt(*attempt);
            return Ok(());
        }
        Fact::StepFailed { retry_at, .. } => {
            let Run::Attempt(attempts) = job.run else { return Err("no attempt runs") };
            job.run = Run::Waiting { attempts, until: *retry_at };
            return Ok(());
        }
        Fact::Interrupted => job.interruptions = job.interruptions.saturating_add(1),
        Fact::Permitted { gate } => {
            job.permitted.insert(*gate);
        }
        Fact::Resolved { content } => {
            job.content = Some(content.clone());
            job.fetched = 0;
        }
        Fact::Planned { changes } => {
            if job.changes.is_some() {
                return Err("the transaction is fixed already");
            }
            job.changes = Some(changes.clone());
        }
        Fact::Booted { boot: _ } => {
            for change in job.changes.iter_mut().flatten() {
                change.reboot_needed = false;
            }
        }
        Fact::Healthy { index } => {
            change(job, *index)?.healthy = true;
            // The other probes of the same step go on.
            return Ok(());
        }
        Fact::Unsettled => {
            for change in job.changes.iter_mut().flatten().filter(|c| c.touched) {
                change.healthy = false;
                if change.kind != ComponentKind::Os {
                    change.switched = false;
                    change.reverted = false;
                }
            }
        }
        Fact::RevertStarted { failure } => {
            if job.reverting.is_some() {
                return Err("the transaction is being reversed already");
            }
            job.reverting = Some(failure.clone());
            job.interruptions = 0;
            for change in job.changes.iter_mut().flatten() {
                change.reboot_needed = false;
            }
        }
        of_change => apply_to_change(job, of_change)?,
    }
    job.run = Run::Idle;
    Ok(())
}

/// The facts that concern one change of the job.
fn apply_to_change(job: &mut Job, fact: &Fact) -> Result<(), Why> {
    match fact {
        Fact::Staged { index } => change(job, *index)?.staged = true,
        Fact::Switched { index, reboot_needed } => {
            let change = change(job, *index)?;
            if !change.touched || !change.staged {
                return Err("the change was not staged and begun");
            }
            change.switched = true;
            change.reboot_needed = *reboot_needed;
        }
        Fact::Confirmed { index } => change(job, *index)?.confirmed = true,
        Fact::Reverted { index, reboot_needed } => {
            if job.reverting.is_none() {
                return Err("the transaction is not being reversed");
            }
            let change = change(job, *index)?;
            change.reverted = true;
            change.reboot_needed = *reboot_needed;
        }
        _ => return Err("it does not concern a job"),
    }
    Ok(())
}

fn change(job: &mut Job, index: usize) -> Result<&mut Change, Why> {
    job.changes.as_mut().and_then(|changes| changes.get_mut(index)).ok_or(NO_CHANGE)
}

fn start_job(state: &mut State, fact: &Fact) -> Result<(), Why> {
    let Fact::JobStarted { job: id, at, primitive, target, caller, terms } = fact else {
        return Err(NO_JOB);
    };
    if state.job.is_some() {
        return Err("another job is under way");
    }
    if *id != JobId(state.last_job.saturating_add(1)) {
        return Err("job numbers rise by one");
    }
    let content = match target {
        JobTarget::Package(package) if primitive.installs() && !primitive.downloads() => {
            state.delivered.get(package).ok_or("no such package")?.content.clone()
        }
        _ => None,
    };
    if *primitive == Primitive::CollectGarbage {
        state.garbage = state.kinds.iter().map(|kind| (*kind, Retry::default())).collect();
    }
    state.last_job = id.0;
    if let Some(request) = &terms.request {
        state.requests.push_back((request.clone(), *id));
        while state.requests.len() > REQUESTS_MAX {
            state.requests.pop_front();
        }
    }
    state.job = Some(Job {
        id: *id,
        primitive: *primitive,
        target: target.clone(),
        identifier: identifier(state, target),
        caller: caller.clone(),
        terms: terms.clone(),
        permitted: BTreeSet::new(),
        started: *at,
        fetched: content.as_ref().map_or(0, |c| c.releases.len()),
        delivered: content.is_some(),
        content,
        changes: None,
        step: Step::Resolve,
        run: Run::Idle,
        reverting: None,
        interruptions: 0,
    });
    Ok(())
}

fn commit(state: &mut State, at: Millis) -> Result<(), Why> {
    let job = state.job.as_ref().ok_or(NO_JOB)?;
    let (primitive, factory, target) = (job.primitive, job.terms.factory, job.target.clone());
    let own_package = match &job.target {
        JobTarget::Package(id) => Some(id.clone()),
        JobTarget::Component(_) | JobTarget::Device => None,
    };
    let changes = job.changes.clone().ok_or("nothing is planned")?;
    if job.reverting.is_some() || changes.iter().any(|c| !c.switched || c.reboot_needed) {
        return Err("the transaction is not complete");
    }
    let replaces = primitive.installs() || primitive == Primitive::Rollback;
    if replaces && !changes.is_empty() {
        state.rollback = changes.iter().map(|c| (c.id.clone(), c.before.clone())).collect();
    }
    tree::inherit::deployed(state, &target, primitive, &changes);
    for change in changes {
        match change.after {
            Some(mut after) => {
                if factory {
                    after.package = None;
                }
                after.since = at;
                after.status = ComponentStatus::Idle;
                after.failure = None;
                state.components.insert(change.id, after);
            }
            None => {
                state.components.remove(&change.id);
                if !replaces {
                    state.rollback.remove(&change.id);
                }
            }
        }
    }
    refresh_packages(state, replaces.then_some(own_package.as_ref()));
    Ok(())
}

fn restore(
    state: &mut State,
    id: &crate::id::ComponentId,
    failure: Option<&Failure>,
    retry_at: Option<Millis>,
) -> Result<(), Why> {
    let retry = state.drift.remove(id).ok_or("the component did not drift")?;
    if let Some(not_before) = retry_at {
        let attempts = retry.attempts.saturating_add(1);
        state.drift.insert(id.clone(), Retry { attempts, not_before });
    }
    if let Some(component) = state.components.get_mut(id) {
        component.failure = failure.cloned();
    }
    Ok(())
}

/// A component that came by other means enters the Deployed branch, or what is known of it is brought up to date.
fn adopt(state: &mut State, at: Millis, release: &Release) {
    state.kinds.insert(release.spec.kind);
    let component = Component {
        package: None,
        pkg_id: String::new(),
        release: release.clone(),
        state: ComponentState::Active,
        status: ComponentStatus::Idle,
        since: at,
        failure: None,
    };
    state.components.insert(release.spec.id.clone(), component);
}

/// The status leaves of what the job works on, derived from how far it is.
fn show_progress(state: &mut State) {
    let Some(job) = &state.job else { return };
    let changing = job.changes.is_some();
    // Preparing does not count as installing: a client that polls sees the download end before the install begins.
    let switching =
        !matches!(job.step, Step::Resolve | Step::Await(_) | Step::Fetch(_) | Step::Stage(_) | Step::Collect);
    match &job.target {
        JobTarget::Package(id) => {
            if let Some(download) = state.downloads.get_mut(id).filter(|_| job.primitive.downloads()) {
                download.status = match (job.delivered, switching) {
                    (false, _) => DownloadStatus::Downloading,
                    (true, false) => DownloadStatus::Downloaded,
                    (true, true) => DownloadStatus::Installing,
                };
            }
            let installing = changing || (job.primitive.installs() && !job.primitive.downloads());
            if let Some(delivered) = state.delivered.get_mut(id).filter(|_| installing) {
                delivered.status = DeliveredStatus::Installing;
            }
        }
        JobTarget::Component(id) => {
            if let Some(component) = state.components.get_mut(id) {
                component.status = match job.primitive {
                    Primitive::Activate => ComponentStatus::Activating,
                    Primitive::Deactivate => ComponentStatus::Deactivating,
                    Primitive::RemoveComponent => ComponentStatus::Removing,
                    _ => component.status,
                };
            }
        }
        JobTarget::Device => {}
    }
}
