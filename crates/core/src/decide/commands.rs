//! What a command means in a state. Every command against every state ends here, in facts or in a rejection.

use super::{Draft, activates_os, cancelled};
use crate::command::{Caller, Command, PackageLeaves, Rejection, Then};
use crate::fact::Fact;
use crate::failure::ResultCode;
use crate::id::{ComponentId, JobId, PackageId, RequestId};
use crate::spec::{ComponentKind, TEXT_BYTES_MAX};
use crate::state::{JobTarget, PACKAGES_MAX, Primitive, SOURCE_BYTES_MAX, State, Step};
use crate::status::{ComponentState, DeliveredState};

pub(super) fn decide(
    draft: &mut Draft,
    caller: &Caller,
    request: Option<&RequestId>,
    command: &Command,
) -> Result<(), Rejection> {
    if request.is_some_and(|request| draft.state.request_job(request).is_some()) {
        return Ok(());
    }
    let start = Start { caller, request };
    match command {
        Command::AddDownload { id, source, leaves } => add_download(draft, id, source, leaves),
        Command::DeleteDownload { id } => delete_download(draft, id),
        Command::AddDelivered { id, source, leaves } => add_delivered(draft, id, source, leaves),
        Command::Fetch { id, then } => {
            idle(&draft.state)?;
            let known = draft.state.downloads.contains_key(id);
            known.then_some(()).ok_or_else(|| unknown_package(id, "to download"))?;
            start.job(draft, fetch_primitive(*then), JobTarget::Package(id.clone()));
            Ok(())
        }
        Command::FetchFrom { id, source, then } => fetch_from(draft, &start, id, source, *then),
        Command::Install { id } => install(draft, &start, id, Primitive::Install),
        Command::InstallInactive { id } => install(draft, &start, id, Primitive::InstallInactive),
        Command::RemovePackage { id } => remove_package(draft, &start, id),
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
        Command::Cancel { job } => cancel(draft, *job),
        Command::ConfirmBoot => confirm_boot(draft),
        Command::CollectGarbage => {
            idle(&draft.state)?;
            start.job(draft, Primitive::CollectGarbage, JobTarget::Device);
            Ok(())
        }
    }
}

/// Who starts a job, and under which request.
struct Start<'a> {
    caller: &'a Caller,
    request: Option<&'a RequestId>,
}

impl Start<'_> {
    fn job(&self, draft: &mut Draft, primitive: Primitive, target: JobTarget) {
        self.begin(draft, primitive, target);
        draft.advance();
    }

    fn begin(&self, draft: &mut Draft, primitive: Primitive, target: JobTarget) {
        draft.emit(Fact::JobStarted {
            job: JobId(draft.state.last_job.saturating_add(1)),
            at: draft.now,
            primitive,
            target,
            caller: self.caller.clone(),
            request: self.request.cloned(),
        });
    }
}

fn idle(state: &State) -> Result<(), Rejection> {
    match &state.job {
        Some(job) => Err(Rejection::Busy { job: job.id, primitive: job.primitive.as_str() }),
        None => Ok(()),
    }
}

fn unknown_package(id: &PackageId, branch: &'static str) -> Rejection {
    Rejection::UnknownPackage { id: id.clone(), branch }
}

fn fetch_primitive(then: Then) -> Primitive {
    match then {
        Then::Stop => Primitive::Download,
        Then::Install => Primitive::DownloadInstall,
        Then::InstallInactive => Primitive::DownloadInstallInactive,
    }
}

fn check_texts(source: &str, leaves: &PackageLeaves) -> Result<(), Rejection> {
    if source.len() > SOURCE_BYTES_MAX {
        return Err(Rejection::TooLong { what: "a source", max: SOURCE_BYTES_MAX });
    }
    let texts = [&leaves.name, &leaves.description, &leaves.env_type, &leaves.pkg_type];
    if texts.iter().any(|text| text.len() > TEXT_BYTES_MAX) {
        return Err(Rejection::TooLong { what: "a text", max: TEXT_BYTES_MAX });
    }
    Ok(())
}

fn works_on(state: &State, id: &PackageId) -> bool {
    state.job.as_ref().is_some_and(|job| job.target == JobTarget::Package(id.clone()))
}

fn add_download(
    draft: &mut Draft,
    id: &PackageId,
    source: &str,
    leaves: &PackageLeaves,
) -> Result<(), Rejection> {
    check_texts(source, leaves)?;
    if draft.state.downloads.contains_key(id) {
        return Err(Rejection::Exists(id.clone()));
    }
    if draft.state.downloads.len() >= PACKAGES_MAX {
        return Err(Rejection::Limit { what: "packages to download", max: PACKAGES_MAX });
    }
    let (id, source, leaves) = (id.clone(), source.to_owned(), leaves.clone());
    draft.emit(Fact::DownloadAdded { id, source, leaves, transient: false });
    Ok(())
}

fn delete_download(draft: &mut Draft, id: &PackageId) -> Result<(), Rejection> {
    if !draft.state.downloads.contains_key(id) {
        return Err(unknown_package(id, "to download"));
    }
    if works_on(&draft.state, id) {
        idle(&draft.state)?;
    }
    draft.emit(Fact::DownloadDeleted { id: id.clone() });
    Ok(())
}

fn add_delivered(
    draft: &mut Draft,
    id: &PackageId,
    source: &str,
    leaves: &PackageLeaves,
) -> Result<(), Rejection> {
    check_texts(source, leaves)?;
    if draft.state.delivered.contains_key(id) {
        return Err(Rejection::Exists(id.clone()));
    }
    if draft.state.delivered.len() >= PACKAGES_MAX {
        return Err(Rejection::Limit { what: "delivered packages", max: PACKAGES_MAX });
    }
    draft.emit(Fact::DeliveredAdded { id: id.clone(), source: source.to_owned(), leaves: leaves.clone() });
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
    let leaves = PackageLeaves::default();
    check_texts(source, &leaves)?;
    let full = |len: usize| len >= PACKAGES_MAX;
    if full(draft.state.downloads.len()) && !draft.state.downloads.contains_key(id) {
        return Err(Rejection::Limit { what: "packages to download", max: PACKAGES_MAX });
    }
    if full(draft.state.delivered.len()) && !draft.state.delivered.contains_key(id) {
        return Err(Rejection::Limit { what: "delivered packages", max: PACKAGES_MAX });
    }
    // A package that somebody added stays in the tree when the job fails; one made for this job does not.
    let transient = draft.state.downloads.get(id).is_none_or(|download| download.transient);
    draft.emit(Fact::DownloadAdded { id: id.clone(), source: source.to_owned(), leaves, transient });
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
    start.job(draft, primitive, JobTarget::Package(id.clone()));
    Ok(())
}

fn remove_package(draft: &mut Draft, start: &Start<'_>, id: &PackageId) -> Result<(), Rejection> {
    idle(&draft.state)?;
    if !draft.state.delivered.contains_key(id) {
        return Err(unknown_package(id, "delivered"));
    }
    start.begin(draft, Primitive::RemovePackage, JobTarget::Package(id.clone()));
    draft.emit(Fact::DeliveredDeleted { id: id.clone() });
    draft.finish(ResultCode::SUCCESS, None);
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
    start.job(draft, primitive, JobTarget::Component(id.clone()));
    Ok(())
}

fn cancel(draft: &mut Draft, id: JobId) -> Result<(), Rejection> {
    let job = draft.state.job.as_ref().filter(|job| job.id == id).ok_or(Rejection::UnknownJob(id))?;
    let early = match job.step {
        Step::Resolve | Step::Fetch(_) | Step::Stage(_) | Step::AwaitBoot | Step::Probe | Step::Collect => {
            true
        }
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
