//! What was switched to: one small file for each component, `components/<component>.json`.
//!
//! Which files are in place is what the link says. The record adds what cannot be seen from outside: whether the
//! service that reads them has heard, and which other links the component has. It is written before the first link
//! changes, with everything that may exist from then on, and again when all is done.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use scomo_core::id::{ComponentId, ReleaseId};
use scomo_store::files::{self, Durability};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::places::Places;

/// The last switch of a component to a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    /// Whose.
    pub(crate) component: ComponentId,
    /// What was switched to.
    pub(crate) release: ReleaseId,
    /// Links besides the one in `files_dir` that the component may have.
    pub(crate) links: BTreeSet<PathBuf>,
    /// Whether the switch came to its end.
    pub(crate) settled: bool,
}

impl Record {
    /// The record of a component, if it has one.
    pub(crate) fn read(places: &Places, component: &ComponentId) -> Result<Option<Self>, Error> {
        Ok(files::read_json(&places.record(component))?)
    }

    /// Every record.
    pub(crate) fn all(places: &Places) -> Result<Vec<Self>, Error> {
        let folder = places.records();
        let names = files::names_in(&folder)?.into_iter().filter(|name| !name.starts_with('.'));
        let records = names.map(|name| Ok(files::read_json(&folder.join(name))?));
        records.filter_map(Result::transpose).collect()
    }

    pub(crate) fn write(&self, places: &Places) -> Result<(), Error> {
        Ok(files::write_json(&places.record(&self.component), self, Durability::Durable)?)
    }

    /// Durable too.
    pub(crate) fn remove(places: &Places, component: &ComponentId) -> Result<(), Error> {
        let path = places.record(component);
        files::remove_file(&path)?;
        let folder: &Path = &places.records();
        if folder.is_dir() { Ok(files::sync_folder(folder)?) } else { Ok(()) }
    }
}
