//! Where things are: every path of the container backend, and nothing else.
//!
//! ```text
//! <state_dir>/containers/store/                         the content store
//!                        releases/<release-hex>/        config.json rootfs/ release.json (last)
//!                        scratch/<component>/           upper layer of what runs, wiped at each start
//!                        volumes/<component>/<name>/    kept across versions
//!                        logs/<component>.log[.1]
//! <runtime_dir>/containers/<component>/                 plan.json lock state.json bundle/ rootfs/ …
//! <runtime_dir>/container-state/                        the OCI runtime's own
//! ```

use std::path::{Path, PathBuf};

use scomo_core::id::{ComponentId, ReleaseId};
use sha2::{Digest as _, Sha256};

use crate::config::Settings;
use scomo_store::names::{escape, hex};

/// The runtime folder of an installed system; its units and control groups have the plain name.
const RUNTIME_DIR: &str = "/run/scomo";
const INSTANCE: &str = "scomo";

/// The folders of one device.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    state: PathBuf,
    runtime: PathBuf,
}

impl Places {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self { state: settings.state_dir.join("containers"), runtime: settings.runtime_dir.clone() }
    }

    /// All that is durable.
    pub(crate) fn state(&self) -> &Path {
        &self.state
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.state.join("store")
    }

    pub(crate) fn releases(&self) -> PathBuf {
        self.state.join("releases")
    }

    pub(crate) fn release(&self, id: &ReleaseId) -> ReleasePlace {
        ReleasePlace(self.releases().join(release_name(id)))
    }

    pub(crate) fn scratch(&self) -> PathBuf {
        self.state.join("scratch")
    }

    pub(crate) fn volumes(&self) -> PathBuf {
        self.state.join("volumes")
    }

    pub(crate) fn logs(&self) -> PathBuf {
        self.state.join("logs")
    }

    pub(crate) fn log(&self, component: &ComponentId) -> PathBuf {
        self.logs().join(format!("{}.log", escape(component.as_str())))
    }

    /// One folder for each component that runs or ended by itself.
    pub(crate) fn running(&self) -> PathBuf {
        self.runtime.join("containers")
    }

    pub(crate) fn component(&self, name: &str) -> ComponentPlace {
        ComponentPlace(self.running().join(name))
    }

    /// The OCI runtime's state.
    pub(crate) fn runtime_state(&self) -> PathBuf {
        self.runtime.join("container-state")
    }

    /// Tells two installations on one device apart, in names that they share: units and control groups.
    pub(crate) fn instance(&self) -> String {
        if self.runtime == Path::new(RUNTIME_DIR) {
            return INSTANCE.to_owned();
        }
        let hash = Sha256::digest(self.runtime.as_os_str().as_encoded_bytes());
        format!("{INSTANCE}-{}", hex(hash.get(..6).unwrap_or_default()))
    }
}

/// The folder name of a release: its digest in hexadecimal.
pub(crate) fn release_name(id: &ReleaseId) -> &str {
    id.as_str().strip_prefix("sha256:").unwrap_or(id.as_str())
}

/// The folder of a release.
#[derive(Debug, Clone)]
pub(crate) struct ReleasePlace(PathBuf);

impl ReleasePlace {
    pub(crate) fn folder(&self) -> &Path {
        &self.0
    }

    /// The image's config, written last by a fetch.
    pub(crate) fn image_config(&self) -> PathBuf {
        self.0.join("config.json")
    }

    pub(crate) fn rootfs(&self) -> PathBuf {
        self.0.join("rootfs")
    }

    /// Written last by a stage.
    pub(crate) fn release(&self) -> PathBuf {
        self.0.join("release.json")
    }
}

/// The volatile folder of a component.
#[derive(Debug, Clone)]
pub(crate) struct ComponentPlace(PathBuf);

impl ComponentPlace {
    pub(crate) fn at(folder: PathBuf) -> Self {
        Self(folder)
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.0
    }

    /// What is to run.
    pub(crate) fn plan(&self) -> PathBuf {
        self.0.join("plan.json")
    }

    /// Locked as long as somebody keeps the component running; holds the number of that process.
    pub(crate) fn lock(&self) -> PathBuf {
        self.0.join("lock")
    }

    /// What became of it.
    pub(crate) fn state(&self) -> PathBuf {
        self.0.join("state.json")
    }

    /// For the OCI runtime.
    pub(crate) fn bundle(&self) -> PathBuf {
        self.0.join("bundle")
    }

    /// Where the root file system is mounted, seen only by whoever runs the component.
    pub(crate) fn rootfs(&self) -> PathBuf {
        self.0.join("rootfs")
    }

    /// Where host folders are bound, seen only by whoever runs the component.
    pub(crate) fn mounts(&self) -> PathBuf {
        self.0.join("mounts")
    }

    /// Written by the OCI runtime when there is a process.
    pub(crate) fn pid(&self) -> PathBuf {
        self.0.join("pid")
    }

    /// Errors of the OCI runtime.
    pub(crate) fn runtime_log(&self) -> PathBuf {
        self.0.join("runtime.log")
    }
}
