//! What a command means in a state. Every command against every state ends here, in facts or in a rejection.

use super::packages::{self, unknown_package};
use super::{Draft, activates_os, cancelled, rules};
use crate::command::{Caller, Command, Gate, Rejection, Terms, Then};
use crate::fact::Fact;
use crate::failure::{Failure, FailureKind};
use crate::id::{ComponentId, JobId, PackageId};
use crate::spec::ComponentKind;
use crate::state::{JobTarget, Primitive, State, Step};
use crate::status::{ComponentState, DeliveredState};

pub(super) fn decide(
    draft: &mut Draft,
    caller: &Caller,
    terms: &Terms,
    command: &Command,
) -> Result<(), Rejection> {
    if terms.request.as_ref().is_some_and(|request| draft.state.request_job(request).is_some()) {
        return Ok(());
    }
    let start = Start { caller, terms };
    match command {
        Command::AddDownload { id, source, leaves } => packages::add_download(draft, id, source, leaves),
        Command::SetDownload { id, source, leaves } => packages::set_download(draft, id, source, leaves),
        Command::DeleteDownload { id } => packages::delete_download(draft, id),
        Command::AddDelivered { id, source, leaves } => packages::add_delivered(draft, id, source, leaves),
        Command::SetDelivered { id, leaves } => packages::set_delivered(draft, id, leaves),
        Command::SetData { id, source } => packages::set_data(draft, id, source),
        Command::Fetch { id, then } => fetch(draft, &start, id, *then),
        Command::FetchFrom { id, source, then } => fetch_from(draft, &start, id, source, *then),
        Command::Install { id } => install(draft, &start, id, Primitive::Install),
        Command::InstallInactive { id } => install(draft, &start, id, Primitive::InstallInactive),
        Command::RemovePackage { id } => packages::remove(draft, &start, id),
        Command::Activate { id } => component(draft, &start, id, Primitive::Activate),
        Command::Deactivate { id } => component(draft, &start, id, Primitive::Deactivate),
        Command::RemoveComponent { id } => component(draft, &start, id, Primitive::RemoveComponent),
        Command::Rollback => {
            idle(&draft.state)?;
            if draft.state.rollback.is_empty() {
                return Err(Rejection::NothingToRollBack);
            }
            start.job(draft, Primitive::Rollback, JobTarget::Device);
            Ok(())
        }
        Command::Permit { job, gate } => permit(draft, *job, *gate),
        Command::Refuse { job, failure } => refuse(draft, *job, failure),
        Command::AcknowledgeReport { id } => {
            let known = draft.state.reports.iter().any(|report| report.id == *id);
            known.then_some(()).ok_or(Rejection::UnknownReport(*id))?;
            draft.emit(Fact::ReportAcknowledged { id: *id });
            Ok(())
        }
        Command::Tree { settings, subject, edits } => {
            super::tree::decide(draft, caller, terms, (settings, subject), edits)
        }
        Command::Cancel { job } => cancel(draft, *job),
        Command::ConfirmBoot => confirm_boot(draft),
        Command::CollectGarbage => {
            idle(&draft.state)?;
            start.job(draft, Primitive::CollectGarbage, JobTarget::Device);
            Ok(())
        }
    }
}

/// Who starts a job, and on which terms.
pub(super) struct Start<'a> {
    caller: &'a Caller,
    terms: &'a Terms,
}

impl Start<'_> {
    fn job(&self, draft: &mut Draft, primitive: Primitive, target: JobTarget) {
        self.begin(draft, primitive, target);
        match &self.terms.refused {
            Some(failure) => draft.fail(failure.clone()),
            None => draft.advance(),
        }
    }

    pub(super) fn begin(&self, draft: &mut Draft, primitive: Primitive, target: JobTarget) {
        draft.emit(Fact::JobStarted {
            job: JobId(draft.state.last_job.saturating_add(1)),
            at: draft.now,
            primitive,
            target,
            caller: self.caller.clone(),
            terms: self.terms.clone(),
        });
    }
}

pub(super) fn idle(state: &State) -> Result<(), Rejection> {
    match &state.job {
        Some(job) => Err(Rejection::Busy { job: job.id, primitive: job.primitive.as_str() }),
        None => Ok(()),
    }
}

fn fetch_primitive(then: Then) -> Primitive {
    match then {
        Then::Stop => Primitive::Download,
        Then::Install => Primitive::DownloadInstall,
        Then::InstallInactive => Primitive::DownloadInstallInactive,
    }
}

fn fetch(draft: &mut Draft, start: &Start<'_>, id: &PackageId, then: Then) -> Result<(), Rejection> {
    idle(&draft.state)?;
    let download = draft.state.downloads.get(id).ok_or_else(|| unknown_package(id, "to download"))?;
    if download.source.is_empty() {
        return Err(Rejection::Incomplete { id: id.clone(), leaf: "PkgURL" });
    }
    packages::unique_pkg_id(&draft.state, id, &download.leaves)?;
    start.job(draft, fetch_primitive(then), JobTarget::Package(id.clone()));
    Ok(())
}

fn fetch_from(
    draft: &mut Draft,
    start: &Start<'_>,
    id: &PackageId,
    source: &str,
    then: Then,
) -> Result<(), Rejection> {
    idle(&draft.state)?;
    // A package that somebody added stays in the tree when the job fails; one made for this job does not.
    let transient = draft.state.downloads.get(id).is_none_or(|download| download.transient);
    packages::put_download(draft, id, source, transient)?;
    start.job(draft, fetch_primitive(then), JobTarget::Package(id.clone()));
    Ok(())
}

fn install(
    draft: &mut Draft,
    start: &Start<'_>,
    id: &PackageId,
    primitive: Primitive,
) -> Result<(), Rejection> {
    idle(&draft.state)?;
    let package = draft.state.delivered.get(id).ok_or_else(|| unknown_package(id, "delivered"))?;
    if package.state != DeliveredState::Delivered {
        return Err(Rejection::WrongState {
            primitive: primitive.as_str(),
            what: format!("package '{id}'"),
            state: package.state.name(),
        });
    }
    if package.source.is_empty() {
        return Err(Rejection::Incomplete { id: id.clone(), leaf: "Data" });
    }
    packages::unique_pkg_id(&draft.state, id, &package.leaves)?;
    start.job(draft, primitive, JobTarget::Package(id.clone()));
    Ok(())
}

fn component(
    draft: &mut Draft,
    start: &Start<'_>,
    id: &ComponentId,
    primitive: Primitive,
) -> Result<(), Rejection> {
    idle(&draft.state)?;
    let component = draft.state.components.get(id).ok_or_else(|| Rejection::UnknownComponent(id.clone()))?;
    let active = component.state == ComponentState::Active;
    let fits = match primitive {
        Primitive::Activate => !active,
        Primitive::Deactivate => active,
        _ => true,
    };
    if !fits {
        return Err(Rejection::WrongState {
            primitive: primitive.as_str(),
            what: format!("component '{id}'"),
            state: component.state.name(),
        });
    }
    if component.release.spec.kind == ComponentKind::Os && active {
        return Err(Rejection::OsInUse(id.clone()));
    }
    if active && let Some(by) = rules::required_by(&draft.state, id) {
        return Err(Rejection::Required { id: id.clone(), by });
    }
    let forbidden = crate::tree::lists::refuses(&draft.state, &component.release, None);
    let target = JobTarget::Component(id.clone());
    match forbidden.filter(|_| primitive == Primitive::Activate) {
        Some(why) => {
            start.begin(draft, primitive, target);
            draft.fail(Failure::new(FailureKind::Forbidden, why));
        }
        None => start.job(draft, primitive, target),
    }
    Ok(())
}

fn waiting_at(state: &State, id: JobId) -> Result<Gate, Rejection> {
    let job = state.job.as_ref().filter(|job| job.id == id).ok_or(Rejection::UnknownJob(id))?;
    match job.step {
        Step::Await(gate) => Ok(gate),
        _ => Err(Rejection::NotAtGate { job: id, gate: "go on" }),
    }
}

fn permit(draft: &mut Draft, id: JobId, gate: Gate) -> Result<(), Rejection> {
    if waiting_at(&draft.state, id)? != gate || gate == Gate::Boot {
        return Err(Rejection::NotAtGate { job: id, gate: gate.as_str() });
    }
    draft.emit(Fact::Permitted { gate });
    draft.advance();
    Ok(())
}

fn refuse(draft: &mut Draft, id: JobId, failure: &Failure) -> Result<(), Rejection> {
    waiting_at(&draft.state, id)?;
    draft.fail(failure.clone());
    Ok(())
}

fn cancel(draft: &mut Draft, id: JobId) -> Result<(), Rejection> {
    let job = draft.state.job.as_ref().filter(|job| job.id == id).ok_or(Rejection::UnknownJob(id))?;
    let early = match job.step {
        Step::Resolve
        | Step::Await(_)
        | Step::Fetch(_)
        | Step::Stage(_)
        | Step::AwaitBoot
        | Step::Probe
        | Step::Collect => true,
        Step::Switch(_) | Step::Confirm(_) | Step::Revert(_) => false,
    };
    if !early || job.reverting.is_some() {
        return Err(Rejection::TooLate(id));
    }
    draft.fail(cancelled());
    Ok(())
}

fn confirm_boot(draft: &mut Draft) -> Result<(), Rejection> {
    let job = draft.state.job.as_ref().filter(|job| job.step == Step::Probe);
    let changes = job.and_then(|job| job.changes.as_ref()).ok_or(Rejection::NothingToConfirm)?;
    let on_trial = changes.iter().enumerate().filter(|(_, c)| activates_os(c) && !c.healthy);
    let on_trial: Vec<usize> = on_trial.map(|(index, _)| index).collect();
    if on_trial.is_empty() {
        return Err(Rejection::NothingToConfirm);
    }
    for index in on_trial {
        draft.emit(Fact::Healthy { index });
    }
    draft.advance();
    Ok(())
}
