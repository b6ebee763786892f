//! Facts about packages in the Download and Delivered branches.

use super::{NO_JOB, Why};
use crate::command::PackageLeaves;
use crate::fact::Fact;
use crate::id::PackageId;
use crate::state::{Delivered, Download, JobTarget, Retry, Run, State};
use crate::status::{DeliveredState, DeliveredStatus, DownloadStatus};
use crate::tree;

/// The facts that concern packages and no job.
pub(super) fn apply(state: &mut State, fact: &Fact) -> Result<(), Why> {
    match fact {
        Fact::DownloadAdded { id, source, leaves, transient } => {
            let status = DownloadStatus::Idle;
            let (source, leaves, transient) = (source.clone(), leaves.clone(), *transient);
            state.downloads.insert(id.clone(), Download { source, leaves, status, transient });
        }
        Fact::DownloadDeleted { id } => {
            state.downloads.remove(id).ok_or("no such package")?;
        }
        Fact::DeliveredAdded { id, source, leaves } => {
            state.delivered.insert(id.clone(), new_delivered(source, leaves));
        }
        Fact::DeliveredDeleted { id } => {
            state.delivered.remove(id).ok_or("no such package")?;
        }
        Fact::DownloadSet { id, source, leaves } => {
            let download = state.downloads.get_mut(id).ok_or("no such package")?;
            download.source.clone_from(source);
            download.leaves.clone_from(leaves);
        }
        Fact::DeliveredSet { id, leaves } => {
            let delivered = state.delivered.get_mut(id).ok_or("no such package")?;
            delivered.leaves.clone_from(leaves);
        }
        Fact::DataSet { id, source } => {
            let delivered = state.delivered.get_mut(id).ok_or("no such package")?;
            *delivered = new_delivered(source, &delivered.leaves);
        }
        _ => return Err("it does not concern a package"),
    }
    Ok(())
}

fn new_delivered(source: &str, leaves: &PackageLeaves) -> Delivered {
    Delivered {
        source: source.to_owned(),
        leaves: leaves.clone(),
        state: DeliveredState::Delivered,
        status: DeliveredStatus::Idle,
        content: None,
        superseded: false,
    }
}

/// The package's bytes are on the device: it enters, or replaces its namesake in, the Delivered branch.
pub(super) fn deliver(state: &mut State) -> Result<(), Why> {
    let job = state.job.as_mut().ok_or(NO_JOB)?;
    let JobTarget::Package(id) = &job.target else { return Err("the job has no package") };
    let content = job.content.clone().ok_or("the job has no content")?;
    if job.fetched != content.releases.len() {
        return Err("not every release is on the device");
    }
    if let Some(download) = state.downloads.get(id).filter(|_| job.primitive.downloads()) {
        let old = state.delivered.insert(id.clone(), new_delivered(&download.source, &download.leaves));
        // What a namesake held may not be needed any more.
        let held = old.into_iter().filter_map(|old| old.content).flat_map(|content| content.releases);
        state.garbage.extend(held.map(|release| (release.spec.kind, Retry::default())));
    }
    let delivered = state.delivered.get_mut(id).ok_or("no such package")?;
    delivered.content = Some(content);
    job.delivered = true;
    job.run = Run::Idle;
    if job.primitive.downloads() {
        let (id, primitive) = (id.clone(), job.primitive);
        tree::inherit::delivered(state, &id, primitive);
    }
    refresh_packages(state, None);
    Ok(())
}

/// Sets the state of every package from what is deployed. After an install (`Some`), packages that it superseded
/// are marked, and those that nothing can roll back to go.
pub(super) fn refresh_packages(state: &mut State, after_install: Option<Option<&PackageId>>) {
    let installed: Vec<PackageId> = state
        .delivered
        .iter()
        .filter(|(id, package)| {
            package.content.as_ref().is_some_and(|content| state.is_deployed(id, content))
        })
        .map(|(id, _)| id.clone())
        .collect();
    for (id, package) in &mut state.delivered {
        let was = package.state;
        let is = installed.contains(id);
        package.state = if is { DeliveredState::Installed } else { DeliveredState::Delivered };
        if is {
            package.superseded = false;
        } else if after_install.is_some() && was == DeliveredState::Installed {
            package.superseded = true;
        }
    }
    if let Some(own) = after_install {
        let rollback = &state.rollback;
        let needed = |id: &PackageId| rollback.values().flatten().any(|c| c.package.as_ref() == Some(id));
        state.delivered.retain(|id, package| !package.superseded || Some(id) == own || needed(id));
    }
}
