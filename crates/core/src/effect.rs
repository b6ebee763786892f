//! Effects: what the machine wants done in the world, and what came of it.
//!
//! An effect is derived from the state, never stored. It is idempotent and may be killed at any moment and repeated.

use serde::{Deserialize, Serialize};

use crate::id::{ComponentId, PackageId, ReleaseId};
use crate::spec::{ComponentKind, Content, Release};

/// What a fetch leaves free on the disk that it goes to, in bytes, where the configuration says nothing: room for the
/// facts and logs of a long time, and little even for a small disk.
pub const RESERVE_BYTES: u64 = 16 * 1024 * 1024;

/// Something to do in the world.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Effect {
    /// Find a package, verify its signature and read what it holds. Downloads no payload.
    Resolve {
        /// The package.
        package: PackageId,
        /// Its URL as it was given.
        source: String,
    },
    /// Bring the payload of a release onto the device, verified and durable. Changes nothing that runs.
    Fetch {
        /// The release.
        release: Release,
    },
    /// Prepare a fetched release so that switching to it is quick and cannot fail for lack of space.
    Stage {
        /// The release.
        release: Release,
    },
    /// Make a component be in the target state and no other release of it run.
    Switch {
        /// The component.
        component: ComponentId,
        /// Its kind: says which backend.
        kind: ComponentKind,
        /// What it must be.
        target: Target,
    },
    /// Watch a running release until its health check passes or fails.
    Probe {
        /// The release.
        release: Release,
    },
    /// Make a switched release final, for example mark a trial boot as good.
    Confirm {
        /// The release.
        release: Release,
    },
    /// Delete whatever no release in `keep` needs.
    Collect {
        /// Which backend.
        kind: ComponentKind,
        /// The releases to keep whole.
        keep: Vec<Release>,
    },
}

/// What a component must be after a switch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", content = "release", rename_all = "kebab-case")]
pub enum Target {
    /// Not on the device: nothing of it runs or boots. Its stored data is deleted later, by `Collect`.
    Absent,
    /// This release is installed; nothing of the component runs.
    Inactive(Release),
    /// This release runs, or boots next.
    Active(Release),
}

impl Target {
    /// The release meant, if any.
    #[must_use]
    pub fn release(&self) -> Option<&Release> {
        match self {
            Self::Absent => None,
            Self::Inactive(release) | Self::Active(release) => Some(release),
        }
    }
}

/// What an effect gave when it succeeded. Whatever it claims is durable.
// Few of these exist at a time: boxing the large variant would only make the code harder to read.
#[allow(clippy::large_enum_variant)]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "done", rename_all = "kebab-case")]
pub enum EffectOk {
    /// The package is known and trusted.
    Resolved {
        /// What it holds.
        content: Content,
    },
    /// The payload is on the device.
    Fetched {
        /// Bytes of the component once installed.
        size: u64,
    },
    /// The release can be switched to.
    Staged,
    /// The component is in its target state.
    Switched {
        /// Whether it takes a reboot to become true.
        reboot_needed: bool,
    },
    /// The release stayed healthy for its window.
    Healthy,
    /// The release is final.
    Confirmed,
    /// What was not needed is gone.
    Collected,
}

/// What a backend finds on the device at start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Inventory {
    /// Releases that run, or, for an OS, the one that is booted.
    pub running: Vec<ReleaseId>,
    /// Releases that run and came by other means, for example the OS that the device was made with.
    pub foreign: Vec<Release>,
    /// Whether what runs stays as it is until the next boot (an OS does, containers and file sets do not): then a
    /// difference that is found at start cannot be set right by switching again.
    pub persistent: bool,
}

/// How far an effect is. Never stored; may be dropped.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Progress {
    /// Bytes moved or unpacked so far.
    pub bytes_done: u64,
    /// Bytes in all; zero when not known.
    pub bytes_total: u64,
    /// Bytes that did not have to be moved because they were there.
    pub bytes_reused: u64,
    /// For people.
    pub message: String,
}
