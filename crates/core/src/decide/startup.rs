//! What the start of the process means: reality is compared with the state, and a job that was under way goes on.

use std::collections::BTreeMap;

use super::{Draft, INTERRUPTIONS_MAX, activates_os};
use crate::command::Gate;
use crate::effect::Inventory;
use crate::fact::Fact;
use crate::failure::{Failure, FailureKind};
use crate::id::{BootId, ComponentId};
use crate::spec::ComponentKind;
use crate::state::{COMPONENTS_MAX, Change, Job, Run, State, Step};
use crate::status::ComponentState;

type Found = BTreeMap<ComponentKind, Inventory>;

pub(super) fn decide(draft: &mut Draft, boot: &BootId, found: &Found) {
    let same_boot = draft.state.boot.as_ref() == Some(boot);
    draft.emit(Fact::Started {
        at: draft.now,
        boot: boot.clone(),
        drift: drift(&draft.state, found),
        fell_back: fell_back(&draft.state, found),
        garbage: garbage(&draft.state, found),
    });
    adopt(draft, found);
    let Some(job) = &draft.state.job else { return };
    if let Step::Await(gate) = job.step {
        if gate == Gate::Boot && !same_boot {
            draft.emit(Fact::Permitted { gate });
            draft.advance();
        }
        return;
    }
    let awaits_boot = job.step == Step::AwaitBoot;
    if awaits_boot && same_boot {
        return;
    }
    let forward = job.reverting.is_none();
    let booted = os_is_booted(job, found);
    if !awaits_boot && matches!(job.run, Run::Attempt(_)) {
        draft.emit(Fact::Interrupted);
    }
    unsettle(draft);
    match (awaits_boot, forward, booted) {
        (true, _, true) => draft.emit(Fact::Booted { boot: boot.clone() }),
        (_, true, false) => return draft.fail(boot_failed()),
        (true, false, false) => {
            // The old OS did not come back: its change is reversed again, a limited number of times.
            draft.emit(Fact::Interrupted);
            retry_os_revert(draft);
        }
        (false, _, _) => {}
    }
    go_on(draft);
}

/// Takes what came by other means into the Deployed branch, under ids that no installed component has. What is
/// installed later under such an id replaces it.
fn adopt(draft: &mut Draft, found: &Found) {
    for release in found.values().flat_map(|inventory| &inventory.foreign) {
        let state = &draft.state;
        let known = state.kept_releases().iter().any(|kept| kept.id == release.id);
        let installed = state.components.get(&release.spec.id).is_some_and(|c| c.package.is_some());
        let in_hand = state.job.iter().flat_map(|job| job.changes.iter().flatten());
        let in_hand = in_hand.into_iter().any(|change| change.id == release.spec.id);
        let full = state.components.len() >= COMPONENTS_MAX;
        if !known && !installed && !in_hand && !full {
            draft.emit(Fact::Adopted { at: draft.now, release: release.clone() });
        }
    }
}

fn go_on(draft: &mut Draft) {
    let Some(job) = &draft.state.job else { return };
    if job.interruptions > INTERRUPTIONS_MAX {
        let detail =
            format!("the job was interrupted {} times, last while {}", job.interruptions, job.step.as_str());
        draft.fail(Failure::new(FailureKind::Interrupted, detail));
    } else if !matches!(job.run, Run::Waiting { .. }) {
        draft.advance();
    }
}

/// Clears what a restart may have made untrue, so that the job does it again. Every effect is idempotent.
fn unsettle(draft: &mut Draft) {
    let touched = |job: &Job| job.changes.iter().flatten().any(|c| c.touched);
    if draft.state.job.as_ref().is_some_and(touched) {
        draft.emit(Fact::Unsettled);
    }
}

fn retry_os_revert(draft: &mut Draft) {
    let changes = draft.state.job.iter().flat_map(|job| job.changes.iter().flatten()).enumerate();
    let waiting: Vec<usize> = changes.filter(|(_, c)| c.reboot_needed).map(|(index, _)| index).collect();
    if let Some(index) = waiting.first() {
        draft.emit(Fact::StepStarted { step: Step::Revert(*index), attempt: 1 });
    }
}

fn boot_failed() -> Failure {
    Failure::new(FailureKind::BootFailed, "the new OS is not the one that booted")
}

/// Whether the OS that the job wants booted by now is booted. True when the job wants none.
fn os_is_booted(job: &Job, found: &Found) -> bool {
    let runs = |change: &Change, forward: bool| {
        let wanted = if forward { &change.after } else { &change.before };
        let inventory = found.get(&ComponentKind::Os);
        match wanted {
            Some(component) => inventory.is_some_and(|i| i.running.contains(&component.release.id)),
            // Going back to an OS that did not come from here: it is enough that the new one is not booted.
            None => {
                let new = change.after.as_ref().map(|c| &c.release.id);
                inventory.is_some_and(|i| new.is_none_or(|new| !i.running.contains(new)))
            }
        }
    };
    let mut changes = job.changes.iter().flatten().filter(|c| activates_os(c));
    match &job.reverting {
        None => {
            let settled = |c: &&Change| c.switched && (job.step == Step::AwaitBoot || !c.reboot_needed);
            changes.filter(settled).all(|c| runs(c, true))
        }
        Some(_) => changes.all(|c| !c.reboot_needed || runs(c, false)),
    }
}

/// Components that should run and do not, or run and should not. Those in the hands of the job are the job's.
fn drift(state: &State, found: &Found) -> Vec<ComponentId> {
    let in_hand = |id: &ComponentId| {
        let changes = state.job.iter().flat_map(|job| job.changes.iter().flatten());
        changes.filter(|c| c.touched).any(|c| c.id == *id)
    };
    let drifted = state.components.iter().filter(|(id, component)| {
        let Some(inventory) = found.get(&component.release.spec.kind) else { return false };
        let runs = inventory.running.contains(&component.release.id);
        let should = component.state == ComponentState::Active;
        !inventory.persistent && runs != should && !in_hand(id)
    });
    drifted.map(|(id, _)| id.clone()).collect()
}

/// Active OS components that are not booted, although no job is about to change that.
fn fell_back(state: &State, found: &Found) -> Vec<ComponentId> {
    if state.job.as_ref().is_some_and(|job| job.changes.iter().flatten().any(|c| c.kind == ComponentKind::Os))
    {
        return Vec::new();
    }
    let Some(inventory) = found.get(&ComponentKind::Os) else { return Vec::new() };
    let active = state.components.iter().filter(|(_, component)| {
        component.release.spec.kind == ComponentKind::Os
            && component.state == ComponentState::Active
            && !inventory.running.contains(&component.release.id)
    });
    active.map(|(id, _)| id.clone()).collect()
}

/// Kinds of which something runs that the state does not know.
fn garbage(state: &State, found: &Found) -> Vec<ComponentKind> {
    let known = state.kept_releases();
    let unknown =
        |inventory: &Inventory| inventory.running.iter().any(|id| known.iter().all(|r| r.id != *id));
    found.iter().filter(|(_, i)| !i.persistent && unknown(i)).map(|(kind, _)| *kind).collect()
}
