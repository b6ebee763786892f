//! Looking for damage: every object is hashed again, every manifest is read.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::TreeId;
use super::error::StoreError;
use super::manifest::{Kind, Reader};
use super::object::{Damage, ObjectId};
use super::session::{Session, names};
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
    let damaged = session.layout.damaged(|layer| is_whole(session, layer, &mut report))?;
    let images = damaged.iter().filter(|path| path.starts_with(session.layout.trees()));
    report.images = images.filter_map(|path| TreeId::new(path.file_name()?.to_str()?).ok()).collect();
    report.manifests = damaged;
    Ok(report)
}

/// Whether all objects that a layer names are good.
fn is_whole(session: &Session, layer: Reader, report: &mut Report) -> Result<bool, StoreError> {
    let mut whole = true;
    layer.for_each(|record| {
        if let Kind::Leaf(Leaf::File { object, .. }) = record.kind {
            if !session.objects.exists(&object)? {
                report.damaged.insert(object, Damage::Missing);
            }
            whole &= !report.damaged.contains_key(&object);
        }
        Ok(())
    })?;
    Ok(whole)
}

/// Deletes what a report names, manifests first, so that the next import fetches it again.
pub(super) fn discard(session: &Session, report: &Report) -> Result<(), StoreError> {
    session.forget(&report.manifests)?;
    for id in report.damaged.keys() {
        session.objects.remove(id)?;
    }
    // A damaged object that came back after a power cut would be trusted.
    session.sync()
}
