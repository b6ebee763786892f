//! Planning: which components a job changes, from what to what, in which order.

use crate::failure::{Failure, FailureKind};
use crate::id::ComponentId;
use crate::spec::ComponentKind;
use crate::state::{COMPONENTS_MAX, Change, Component, Job, JobTarget, Primitive, State};
use crate::status::{ComponentState, ComponentStatus};

/// The transaction of a job. The OS comes first; the rest keeps the package's order.
pub fn plan(state: &State, job: &Job) -> Result<Vec<Change>, Failure> {
    let mut changes = match job.primitive {
        primitive if primitive.installs() => install(state, job)?,
        Primitive::Rollback => {
            let back = state.rollback.iter();
            back.filter_map(|(id, before)| change(state, id, before.clone())).collect()
        }
        primitive => one_component(state, job, primitive),
    };
    make_room_for_os(state, &mut changes);
    changes.sort_by_key(|c| c.kind != ComponentKind::Os);
    let new = changes.iter().filter(|c| c.before.is_none()).count();
    if state.components.len().saturating_add(new) > COMPONENTS_MAX {
        let detail = format!("the device keeps at most {COMPONENTS_MAX} components; remove some first");
        return Err(Failure::new(FailureKind::Invalid, detail));
    }
    Ok(changes)
}

fn change(state: &State, id: &ComponentId, after: Option<Component>) -> Option<Change> {
    let change = Change::new(id.clone(), state.components.get(id).cloned(), after)?;
    (!change.is_empty()).then_some(change)
}

fn install(state: &State, job: &Job) -> Result<Vec<Change>, Failure> {
    let (JobTarget::Package(package), Some(content), Some(wanted)) =
        (&job.target, &job.content, job.primitive.installs_to())
    else {
        return Ok(Vec::new());
    };
    let is_os = |kind: ComponentKind| kind == ComponentKind::Os;
    if content.releases.iter().filter(|r| is_os(r.spec.kind)).count() > 1 {
        return Err(Failure::new(FailureKind::Invalid, "the package holds more than one OS"));
    }
    let mut changes = Vec::new();
    for release in &content.releases {
        let id = &release.spec.id;
        let old = state.components.get(id);
        if old.is_some_and(|old| old.release.spec.kind != release.spec.kind) {
            let detail = format!("component '{id}' is of another type on this device; remove it first");
            return Err(Failure::new(FailureKind::Invalid, detail));
        }
        let old_active = old.is_some_and(|old| old.state == ComponentState::Active);
        if is_os(release.spec.kind) && wanted == ComponentState::Inactive && old_active {
            let detail = "an OS update cannot be installed inactive over the active OS; download it and install it later";
            return Err(Failure::new(FailureKind::Unsupported, detail));
        }
        let after = Component {
            package: Some(package.clone()),
            pkg_id: state.delivered.get(package).map(|d| d.leaves.pkg_id.clone()).unwrap_or_default(),
            release: release.clone(),
            state: wanted,
            status: ComponentStatus::Idle,
            since: job.started,
            failure: None,
        };
        let mut planned = change(state, id, Some(after.clone()));
        if planned.is_none() && old.is_some_and(|old| old.failure.is_some()) {
            // The same software, but it did not run as it should: it is switched again.
            planned = Change::new(id.clone(), old.cloned(), Some(after));
        }
        changes.extend(planned);
    }
    Ok(changes)
}

fn one_component(state: &State, job: &Job, primitive: Primitive) -> Vec<Change> {
    let JobTarget::Component(id) = &job.target else { return Vec::new() };
    let after = state.components.get(id).cloned().and_then(|component| match primitive {
        Primitive::Activate => Some(Component { state: ComponentState::Active, ..component }),
        Primitive::Deactivate => Some(Component { state: ComponentState::Inactive, ..component }),
        _ => None,
    });
    change(state, id, after).into_iter().collect()
}

/// Only one OS can be active: another component that is the active OS becomes inactive in the same transaction.
fn make_room_for_os(state: &State, changes: &mut Vec<Change>) {
    if !changes.iter().any(|c| c.kind == ComponentKind::Os && c.ends_active()) {
        return;
    }
    let others = state.components.iter().filter(|(id, component)| {
        component.release.spec.kind == ComponentKind::Os
            && component.state == ComponentState::Active
            && !changes.iter().any(|c| c.id == **id)
    });
    let inactive = |component: &Component| Component { state: ComponentState::Inactive, ..component.clone() };
    let freed: Vec<Change> =
        others.filter_map(|(id, component)| change(state, id, Some(inactive(component)))).collect();
    changes.extend(freed);
}
