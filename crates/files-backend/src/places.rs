//! Where things are: every path of the file set backend, and nothing else.
//!
//! ```text
//! <files_dir>/<component>                            link to the files of the release that is in place
//! <state_dir>/file-sets/store/                       the content store; for root only
//!                       releases/<release-hex>/      tree/ release.json (last)
//!                       components/<component>.json  what was switched to, see `record`
//! ```
//!
//! Every process of the host may pass through the folders above a tree, so that it can follow the link.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use scomo_core::id::{ComponentId, ReleaseId};
use scomo_store::files::Context;
use scomo_store::names::{digits, escape};

use crate::config::Settings;
use crate::error::Error;

/// The folders of one device.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    state: PathBuf,
    links: PathBuf,
}

impl Places {
    pub(crate) fn new(settings: &Settings) -> Self {
        let links = settings.files.files_dir.clone();
        Self {
            state: settings.state_dir.join("file-sets"),
            links: links.unwrap_or_else(|| settings.state_dir.join("files")),
        }
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.state.join("store")
    }

    pub(crate) fn releases(&self) -> PathBuf {
        self.state.join("releases")
    }

    pub(crate) fn release(&self, id: &ReleaseId) -> ReleasePlace {
        ReleasePlace(self.releases().join(digits(id.as_str())))
    }

    /// The release whose files a link to `target` shows.
    pub(crate) fn release_at(&self, target: &Path) -> Option<ReleaseId> {
        let folder = target.parent().filter(|_| target.file_name() == Some(OsStr::new(TREE)))?;
        let name = folder.file_name().filter(|_| folder.parent() == Some(&self.releases()))?;
        ReleaseId::new(format!("sha256:{}", name.to_str()?)).ok()
    }

    pub(crate) fn records(&self) -> PathBuf {
        self.state.join("components")
    }

    pub(crate) fn record(&self, component: &ComponentId) -> PathBuf {
        self.records().join(format!("{}.json", escape(component.as_str())))
    }

    pub(crate) fn links(&self) -> &Path {
        &self.links
    }

    /// The link that every component has.
    pub(crate) fn link(&self, component: &ComponentId) -> PathBuf {
        self.links.join(escape(component.as_str()))
    }

    /// Makes the folders.
    pub(crate) fn create(&self) -> Result<(), Error> {
        for folder in [&self.state, &self.releases()] {
            create_passable(folder, 0o711)?;
        }
        create_passable(&self.records(), 0o700)
    }

    pub(crate) fn create_links(&self) -> Result<(), Error> {
        create_passable(&self.links, 0o755)
    }
}

/// Name of the files of a release in its folder.
const TREE: &str = "tree";

/// The folder of a release.
#[derive(Debug, Clone)]
pub(crate) struct ReleasePlace(PathBuf);

impl ReleasePlace {
    pub(crate) fn folder(&self) -> &Path {
        &self.0
    }

    pub(crate) fn create(&self) -> Result<(), Error> {
        create_passable(&self.0, 0o711)
    }

    pub(crate) fn tree(&self) -> PathBuf {
        self.0.join(TREE)
    }

    /// Written last by a stage.
    pub(crate) fn release(&self) -> PathBuf {
        self.0.join("release.json")
    }
}

/// Creates a folder with this mode, whatever the mask of the process says; durable. One that is there stays as it is.
fn create_passable(folder: &Path, mode: u32) -> Result<(), Error> {
    if folder.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(folder).context("create", folder)?;
    fs::set_permissions(folder, fs::Permissions::from_mode(mode)).context("set the mode of", folder)?;
    Ok(folder.parent().map_or(Ok(()), scomo_store::files::sync_folder)?)
}
