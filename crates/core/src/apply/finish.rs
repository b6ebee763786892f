//! The end of a job: what becomes of what it worked on, and what is remembered of it.

use super::{NO_JOB, Why};
use crate::failure::{Failure, FailureKind, ResultCode};
use crate::id::{Millis, PackageId};
use crate::state::{
    Change, FAILED_MAX, FailedPackage, HISTORY_MAX, Job, JobRecord, JobTarget, Primitive, REPORTS_MAX,
    Report, ReportNode, Retry, State,
};
use crate::status::{ComponentStatus, DeliveredStatus, DownloadStatus};

pub(super) fn finish_job(
    state: &mut State,
    at: Millis,
    code: ResultCode,
    failure: Option<&Failure>,
) -> Result<(), Why> {
    let job = state.job.take().ok_or(NO_JOB)?;
    let ok = code.is_success();
    match &job.target {
        JobTarget::Package(id) => finish_package(state, &job, id, ok),
        JobTarget::Component(id) => {
            if let Some(component) = state.components.get_mut(id) {
                component.status = if ok { ComponentStatus::Idle } else { failed_status(job.primitive) };
            }
        }
        JobTarget::Device => {}
    }
    let changes = job.changes.as_deref().unwrap_or_default();
    for change in changes.iter().filter(|c| !ok && c.touched && !c.reverted) {
        if state.components.contains_key(&change.id) {
            state.drift.insert(change.id.clone(), Retry::default());
        }
    }
    if !ok || !changes.is_empty() || job.primitive == Primitive::RemovePackage {
        let content = job.content.iter().flat_map(|c| &c.releases).map(|r| r.spec.kind);
        let kinds: Vec<_> = content.chain(changes.iter().map(|c| c.kind)).collect();
        state.kinds.extend(kinds.iter().copied());
        let all = job.primitive == Primitive::RemovePackage;
        let due = state.kinds.iter().filter(|kind| all || kinds.contains(kind));
        state.garbage.extend(due.map(|kind| (*kind, Retry::default())));
    }
    let changed = changes.iter().filter(|_| ok).map(describe).collect();
    remember(state, &job, at, code, failure);
    state.history.push_back(JobRecord {
        id: job.id,
        primitive: job.primitive,
        target: job.target,
        caller: job.caller,
        started: job.started,
        finished: at,
        code,
        failure: failure.cloned(),
        changed,
    });
    while state.history.len() > HISTORY_MAX {
        state.history.pop_front();
    }
    Ok(())
}

fn finish_package(state: &mut State, job: &Job, id: &PackageId, ok: bool) {
    let transient = state.downloads.get(id).is_some_and(|download| download.transient);
    if job.primitive.downloads() {
        if ok || transient {
            state.downloads.remove(id);
        } else if let Some(download) = state.downloads.get_mut(id) {
            download.status =
                if job.delivered { DownloadStatus::InstallFailed } else { DownloadStatus::DownloadFailed };
        }
    }
    if ok && job.terms.factory {
        // What belongs to the device itself has no package.
        state.delivered.remove(id);
    }
    if let Some(delivered) = state.delivered.get_mut(id).filter(|_| job.primitive.installs()) {
        // A job that failed before its download was complete says nothing about an older package of the same id.
        if ok {
            delivered.status = DeliveredStatus::Idle;
        } else if job.delivered || !job.primitive.downloads() {
            delivered.status = DeliveredStatus::InstallFailed;
            delivered.superseded |= transient;
        }
    }
}

fn failed_status(primitive: Primitive) -> ComponentStatus {
    match primitive {
        Primitive::Activate => ComponentStatus::ActivateFailed,
        Primitive::Deactivate => ComponentStatus::DeactivateFailed,
        Primitive::RemoveComponent => ComponentStatus::RemoveFailed,
        Primitive::Download
        | Primitive::DownloadInstall
        | Primitive::DownloadInstallInactive
        | Primitive::Install
        | Primitive::InstallInactive
        | Primitive::RemovePackage
        | Primitive::Rollback
        | Primitive::CollectGarbage => ComponentStatus::Idle,
    }
}

fn describe(change: &Change) -> String {
    match &change.after {
        Some(after) => format!("{} {}", change.id, after.release.spec.version).trim_end().to_owned(),
        None => format!("{} removed", change.id),
    }
}

/// What the end of a job leaves behind beside its result: a report, the memory of a bad package, the wish to restart.
fn remember(state: &mut State, job: &Job, at: Millis, code: ResultCode, failure: Option<&Failure>) {
    let digest = job.content.as_ref().map(|content| content.digest.clone());
    if let (Some(digest), Some(failure)) = (digest.clone(), failure)
        && matches!(failure.kind, FailureKind::Unhealthy | FailureKind::BootFailed)
    {
        state.failed.insert(digest, FailedPackage { at, failure: failure.clone() });
        if state.failed.len() > FAILED_MAX
            && let Some(oldest) = state.failed.iter().min_by_key(|(_, f)| f.at).map(|(d, _)| d.clone())
        {
            state.failed.remove(&oldest);
        }
    } else if let Some(digest) = digest.filter(|_| code.is_success() && job.primitive.installs()) {
        state.failed.remove(&digest);
    }
    if code == ResultCode::SUCCESS && job.terms.reboot_after {
        state.reboot_wanted = Some(job.id);
    }
    let Some(to) = &job.terms.report else { return };
    state.last_report = state.last_report.saturating_add(1);
    state.reports.push_back(Report {
        id: state.last_report,
        at,
        job: job.id,
        primitive: job.primitive,
        to: to.clone(),
        identifier: job.identifier.clone(),
        code,
        nodes: if code.is_success() { made_nodes(job) } else { Vec::new() },
    });
    while state.reports.len() > REPORTS_MAX {
        state.reports.pop_front();
    }
}

/// What a report names: the `PkgID` or the `ID` of what the job works on.
pub(super) fn identifier(state: &State, target: &JobTarget) -> String {
    match target {
        JobTarget::Package(id) => {
            let download = state.downloads.get(id).map(|d| &d.leaves);
            let leaves = download.or_else(|| state.delivered.get(id).map(|d| &d.leaves));
            leaves.map_or_else(|| id.to_string(), |leaves| leaves.pkg_id(id).to_owned())
        }
        JobTarget::Component(id) => crate::tree::shown_id(state, id),
        JobTarget::Device => String::new(),
    }
}

/// The nodes that a job which went well made or updated.
fn made_nodes(job: &Job) -> Vec<ReportNode> {
    let deployed = job.content.iter().filter(|_| job.primitive.installs()).flat_map(|c| &c.releases);
    let deployed = deployed.map(|release| ReportNode::Deployed(release.spec.id.clone()));
    let delivered = match &job.target {
        JobTarget::Package(id) if job.primitive == Primitive::Download => {
            Some(ReportNode::Delivered(id.clone()))
        }
        _ => None,
    };
    delivered.into_iter().chain(deployed).collect()
}
