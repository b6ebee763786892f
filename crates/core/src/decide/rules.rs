//! Rules of the device that a package must keep, beside being whole and trusted.

use crate::failure::{Failure, FailureKind};
use crate::id::ComponentId;
use crate::requirement::Requirement;
use crate::state::{Job, State};
use crate::status::ComponentState;
use crate::tree::lists::refuses;

/// Whether what the job resolved may be installed here.
pub(super) fn check(state: &State, job: &Job) -> Result<(), Failure> {
    let releases = job.content.iter().flat_map(|content| content.releases.iter().map(move |r| (content, r)));
    for (content, release) in releases {
        if let Some(why) = refuses(state, release, Some(&content.digest)) {
            return Err(Failure::new(FailureKind::Forbidden, why));
        }
    }
    let Some(content) = job.content.as_ref().filter(|_| job.primitive.installs()) else { return Ok(()) };
    if let Some(before) = state.failed.get(&content.digest).filter(|_| !job.terms.retry_failed) {
        let detail = format!(
            "this very package failed on this device before ({}); build a new one, or give --retry-failed",
            before.failure.detail
        );
        return Err(Failure::new(FailureKind::FailedBefore, detail));
    }
    let older = content.releases.iter().find(|release| job.terms.no_downgrade && state.is_downgrade(release));
    if let Some(release) = older {
        let (id, version) = (&release.spec.id, &release.spec.version);
        let detail =
            format!("'{id}' {version} is older than what is deployed, and whoever asked may not go back");
        return Err(Failure::new(FailureKind::Forbidden, detail));
    }
    let in_package = |id: &ComponentId| content.releases.iter().any(|r| r.spec.id == *id);
    for release in &content.releases {
        let outside = release.spec.requires.iter().filter(|needed| !in_package(&needed.id));
        for needed in outside {
            met(state, needed).map_err(|found| {
                let detail = format!("component '{}' requires {needed}, but {found}", release.spec.id);
                Failure::new(FailureKind::Unmet, detail)
            })?;
        }
    }
    Ok(())
}

/// Err: what there is instead.
fn met(state: &State, needed: &Requirement) -> Result<(), String> {
    let component =
        state.components.get(&needed.id).ok_or_else(|| format!("there is no '{}' here", needed.id))?;
    if component.state != ComponentState::Active {
        return Err(format!("'{}' is not active", needed.id));
    }
    let version = &component.release.spec.version;
    if needed.is_met_by(version) { Ok(()) } else { Err(format!("'{}' is {version}", needed.id)) }
}

/// An active component that requires `id` to be active.
pub(super) fn required_by(state: &State, id: &ComponentId) -> Option<ComponentId> {
    let mut others = state.components.iter().filter(|(other, component)| {
        *other != id
            && component.state == ComponentState::Active
            && component.release.spec.requires.iter().any(|needed| needed.id == *id)
    });
    others.next().map(|(other, _)| other.clone())
}
