//! Looking for damage: every object is hashed again, every manifest is read.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::TreeId;
use super::error::StoreError;
use super::manifest::{Kind, Reader};
use super::object::{Damage, ObjectId};
use super::session::{Session, names, sync_folder};
use super::tree::Leaf;

/// What [`super::Store::verify`] found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Objects that were hashed.
    pub objects: u64,
    /// Objects that are not what their names say, or that a manifest names and that are not there.
    pub damaged: BTreeMap<ObjectId, Damage>,
    /// Images that lack something: fetch them again after a repair. Checkouts of them share damaged files.
    pub images: BTreeSet<TreeId>,
    /// Manifests, of images and of layers, that are damaged or name damaged objects.
    pub manifests: BTreeSet<PathBuf>,
}

impl Report {
    /// Whether all is well.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.damaged.is_empty() && self.manifests.is_empty()
    }
}

pub(super) fn verify(session: &Session, cancelled: &dyn Fn() -> bool) -> Result<Report, StoreError> {
    let mut report = Report::default();
    let mut buffer = Vec::new();
    for folder in names(session.objects.path())? {
        for file in names(&session.objects.path().join(OsStr::from_bytes(&folder)))? {
            if cancelled() {
                return Err(StoreError::Cancelled);
            }
            let Some(id) = ObjectId::from_parts(&folder, &file) else { continue };
            report.objects += 1;
            if let Some(damage) = session.objects.check(&id, &mut buffer)? {
                report.damaged.insert(id, damage);
            }
        }
    }
    for folder in [session.layout.layers(), session.layout.trees()] {
        for name in names(&folder)? {
            let path = folder.join(OsStr::from_bytes(&name));
            if is_whole(session, &path, &mut report)? {
                continue;
            }
            if folder == session.layout.trees() {
                let id = String::from_utf8(name).ok().and_then(|name| TreeId::new(name).ok());
                report.images.extend(id);
            }
            report.manifests.insert(path);
        }
    }
    Ok(report)
}

/// Whether a manifest and all objects that it names are good.
fn is_whole(session: &Session, path: &std::path::Path, report: &mut Report) -> Result<bool, StoreError> {
    let reader = match Reader::open(path.to_path_buf()) {
        Ok(Some(reader)) => reader,
        Ok(None) => return Ok(true),
        Err(StoreError::Manifest { .. }) => return Ok(false),
        Err(error) => return Err(error),
    };
    let mut whole = true;
    let read = reader.for_each(|record| {
        if let Kind::Leaf(Leaf::File { object, .. }) = record.kind {
            if !session.objects.exists(&object)? {
                report.damaged.insert(object, Damage::Missing);
            }
            whole &= !report.damaged.contains_key(&object);
        }
        Ok(())
    });
    match read {
        Ok(_) => Ok(whole),
        Err(StoreError::Manifest { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Deletes what a report names, manifests first, so that the next import fetches it again.
pub(super) fn discard(session: &Session, report: &Report) -> Result<(), StoreError> {
    for path in &report.manifests {
        std::fs::remove_file(path).map_err(StoreError::io("delete", path))?;
    }
    sync_folder(&session.layout.trees())?;
    sync_folder(&session.layout.layers())?;
    for id in report.damaged.keys() {
        session.objects.remove(id)?;
    }
    // A damaged object that came back after a power cut would be trusted.
    session.sync()
}
