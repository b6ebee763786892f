//! Commands that add, change and remove packages without a job, or with one that is done at once.

use super::Draft;
use super::commands::{Start, idle};
use crate::command::{PackageLeaves, Rejection};
use crate::fact::Fact;
use crate::failure::ResultCode;
use crate::id::PackageId;
use crate::spec::TEXT_BYTES_MAX;
use crate::state::{JobTarget, PACKAGES_MAX, Primitive, SOURCE_BYTES_MAX, State};
use crate::status::DeliveredState;

pub(super) fn unknown_package(id: &PackageId, branch: &'static str) -> Rejection {
    Rejection::UnknownPackage { id: id.clone(), branch }
}

fn check_texts(source: &str, leaves: &PackageLeaves) -> Result<(), Rejection> {
    if source.len() > SOURCE_BYTES_MAX {
        return Err(Rejection::TooLong { what: "a source", max: SOURCE_BYTES_MAX });
    }
    let PackageLeaves { name, description, env_type, pkg_type, pkg_id, install_params, reboot: _ } = leaves;
    let texts = [name, description, env_type, pkg_type, pkg_id, install_params];
    if texts.iter().any(|text| text.len() > TEXT_BYTES_MAX) {
        return Err(Rejection::TooLong { what: "a text", max: TEXT_BYTES_MAX });
    }
    Ok(())
}

/// Refuses a package more than a branch of `len` packages holds. One that replaces its namesake takes no room.
fn check_room(len: usize, replaces: bool, what: &'static str) -> Result<(), Rejection> {
    if len >= PACKAGES_MAX && !replaces {
        return Err(Rejection::Limit { what, max: PACKAGES_MAX });
    }
    Ok(())
}

/// Refuses to change what a job works on.
fn not_in_hand(state: &State, id: &PackageId) -> Result<(), Rejection> {
    let works_on = state.job.as_ref().is_some_and(|job| job.target == JobTarget::Package(id.clone()));
    if works_on { idle(state) } else { Ok(()) }
}

/// Refuses a package whose `PkgID` another one in the tree has (SCOMO 1.0 section 7.4: it is unique).
pub(super) fn unique_pkg_id(state: &State, id: &PackageId, leaves: &PackageLeaves) -> Result<(), Rejection> {
    let pkg_id = leaves.pkg_id(id);
    let downloads = state.downloads.iter().map(|(other, package)| (other, &package.leaves));
    let delivered = state.delivered.iter().map(|(other, package)| (other, &package.leaves));
    let twin =
        downloads.chain(delivered).find(|(other, leaves)| *other != id && leaves.pkg_id(other) == pkg_id);
    match twin {
        Some((other, _)) => {
            Err(Rejection::DuplicatePkgId { pkg_id: pkg_id.to_owned(), other: other.clone() })
        }
        None => Ok(()),
    }
}

pub(super) fn add_download(
    draft: &mut Draft,
    id: &PackageId,
    source: &str,
    leaves: &PackageLeaves,
) -> Result<(), Rejection> {
    check_texts(source, leaves)?;
    if draft.state.downloads.contains_key(id) {
        return Err(Rejection::Exists(id.clone()));
    }
    check_room(draft.state.downloads.len(), false, "packages to download")?;
    let (id, source, leaves) = (id.clone(), source.to_owned(), leaves.clone());
    draft.emit(Fact::DownloadAdded { id, source, leaves, transient: false });
    Ok(())
}

/// Adds a package for a job that fetches it, or replaces its namesake.
pub(super) fn put_download(
    draft: &mut Draft,
    id: &PackageId,
    source: &str,
    transient: bool,
) -> Result<(), Rejection> {
    let leaves = PackageLeaves::default();
    check_texts(source, &leaves)?;
    let state = &draft.state;
    check_room(state.downloads.len(), state.downloads.contains_key(id), "packages to download")?;
    check_room(state.delivered.len(), state.delivered.contains_key(id), "delivered packages")?;
    draft.emit(Fact::DownloadAdded { id: id.clone(), source: source.to_owned(), leaves, transient });
    Ok(())
}

pub(super) fn set_download(
    draft: &mut Draft,
    id: &PackageId,
    source: &str,
    leaves: &PackageLeaves,
) -> Result<(), Rejection> {
    check_texts(source, leaves)?;
    if !draft.state.downloads.contains_key(id) {
        return Err(unknown_package(id, "to download"));
    }
    not_in_hand(&draft.state, id)?;
    let (id, source, leaves) = (id.clone(), source.to_owned(), leaves.clone());
    draft.emit(Fact::DownloadSet { id, source, leaves });
    Ok(())
}

pub(super) fn delete_download(draft: &mut Draft, id: &PackageId) -> Result<(), Rejection> {
    if !draft.state.downloads.contains_key(id) {
        return Err(unknown_package(id, "to download"));
    }
    not_in_hand(&draft.state, id)?;
    draft.emit(Fact::DownloadDeleted { id: id.clone() });
    Ok(())
}

pub(super) fn add_delivered(
    draft: &mut Draft,
    id: &PackageId,
    source: &str,
    leaves: &PackageLeaves,
) -> Result<(), Rejection> {
    check_texts(source, leaves)?;
    if draft.state.delivered.contains_key(id) {
        return Err(Rejection::Exists(id.clone()));
    }
    check_room(draft.state.delivered.len(), false, "delivered packages")?;
    draft.emit(Fact::DeliveredAdded { id: id.clone(), source: source.to_owned(), leaves: leaves.clone() });
    Ok(())
}

pub(super) fn set_delivered(
    draft: &mut Draft,
    id: &PackageId,
    leaves: &PackageLeaves,
) -> Result<(), Rejection> {
    check_texts("", leaves)?;
    if !draft.state.delivered.contains_key(id) {
        return Err(unknown_package(id, "delivered"));
    }
    not_in_hand(&draft.state, id)?;
    draft.emit(Fact::DeliveredSet { id: id.clone(), leaves: leaves.clone() });
    Ok(())
}

pub(super) fn set_data(draft: &mut Draft, id: &PackageId, source: &str) -> Result<(), Rejection> {
    check_texts(source, &PackageLeaves::default())?;
    let package = draft.state.delivered.get(id).ok_or_else(|| unknown_package(id, "delivered"))?;
    if package.state != DeliveredState::Delivered {
        return Err(Rejection::WrongState {
            primitive: "replacing Data",
            what: format!("package '{id}'"),
            state: package.state.name(),
        });
    }
    not_in_hand(&draft.state, id)?;
    draft.emit(Fact::DataSet { id: id.clone(), source: source.to_owned() });
    Ok(())
}

pub(super) fn remove(draft: &mut Draft, start: &Start<'_>, id: &PackageId) -> Result<(), Rejection> {
    idle(&draft.state)?;
    if !draft.state.delivered.contains_key(id) {
        return Err(unknown_package(id, "delivered"));
    }
    start.begin(draft, Primitive::RemovePackage, JobTarget::Package(id.clone()));
    draft.emit(Fact::DeliveredDeleted { id: id.clone() });
    draft.finish(ResultCode::SUCCESS, None);
    Ok(())
}
