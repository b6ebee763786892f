//! A simulated device: a backend, a boot loader and a server in memory, with faults on order.
//!
//! The world survives the backends on it, as a device survives its daemon; that is how crashes are tried. It is for
//! tests and for trying the daemon where there is nothing to update. It holds no software: see [`source`] for what
//! a `sim:` source describes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use scomo_core::failure::FailureKind;
use scomo_core::id::{ComponentId, ReleaseId};
use scomo_core::spec::{ComponentKind, Release};
use serde::{Deserialize, Serialize};

mod backend;
mod boot;
mod runner;
pub mod source;
#[cfg(test)]
mod tests;

pub use backend::SimBackend;
pub use boot::SimBoot;
pub use runner::SimRunner;

/// A simulated device. Clones are the same device.
#[derive(Debug, Clone, Default)]
pub struct SimWorld {
    inner: Arc<Mutex<World>>,
    file: Option<PathBuf>,
}

/// What is on the device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct World {
    /// What is stored, whole.
    pub stored: BTreeMap<ReleaseId, Stored>,
    /// What interrupted fetches left behind.
    pub partial: BTreeSet<ReleaseId>,
    /// What is deployed.
    pub deployed: BTreeMap<ComponentId, Deployed>,
    /// The boot loader.
    pub boot: Boot,
    /// Bytes that fit; `None`: no limit.
    pub capacity: Option<u64>,
    /// How long one of the [`CHUNKS`] of a fetch takes.
    pub pace: Duration,
    /// Faults to come.
    pub faults: Vec<Fault>,
    /// Which steps ran, oldest first.
    pub calls: Vec<StepName>,
}

/// Parts in which a fetch reports progress.
pub const CHUNKS: u64 = 4;
/// Calls that are remembered: tests look at the last ones, and a demonstration runs for days.
const CALLS_MAX: usize = 1000;

/// A stored release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// Its kind.
    pub kind: ComponentKind,
    /// Its bytes.
    pub size: u64,
    /// Whether it can be switched to.
    pub staged: bool,
}

/// A deployed component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployed {
    /// Its release.
    pub release: Release,
    /// Whether it runs.
    pub running: bool,
}

/// A boot loader with one try for what is on trial.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Boot {
    /// What is booted now; `None`: what the device came with.
    pub booted: Option<ReleaseId>,
    /// What boots when no trial is set.
    pub default: Option<ReleaseId>,
    /// What boots next, once.
    pub trial: Option<ReleaseId>,
    /// Releases that do not come up.
    pub unbootable: BTreeSet<ReleaseId>,
    /// How often the device booted.
    pub boots: u64,
}

/// The steps of a backend, to order faults for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepName {
    /// `resolve`.
    Resolve,
    /// `fetch`.
    Fetch,
    /// `stage`.
    Stage,
    /// `switch`.
    Switch,
    /// `probe`.
    Probe,
    /// `confirm`.
    Confirm,
    /// `collect`.
    Collect,
    /// `observe`. It cannot be cancelled: a hang is a death.
    Observe,
}

/// A fault on order; it happens once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// In which step.
    pub step: StepName,
    /// How many calls of the step go well before.
    pub skip: u32,
    /// What happens.
    pub action: FaultAction,
}

/// What a fault does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultAction {
    /// The step fails, nothing is changed.
    Fail(FailureKind),
    /// The step does nothing until it is cancelled.
    Hang,
    /// The worker dies half-way.
    DieHalfWay,
    /// The worker dies when all is done, before it can say so.
    DieAfter,
}

impl SimWorld {
    /// A device in a file, for workers in processes of their own. A missing file is an empty device.
    #[must_use]
    pub fn at(file: PathBuf) -> Self {
        Self { inner: Arc::default(), file: Some(file) }
    }

    /// Looks at, or changes, the device.
    pub fn with<R>(&self, body: impl FnOnce(&mut World) -> R) -> R {
        let mut world = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(file) = &self.file else { return body(&mut world) };
        // Several processes read, change and write the same world: without the lock one would undo another's change.
        let lock = fs::File::create(file.with_extension("lock")).and_then(|lock| lock.lock().map(|()| lock));
        if let Err(error) = &lock {
            tracing::error!("the simulated device cannot be locked: {error}");
        }
        if let Some(stored) = fs::read(file).ok().and_then(|text| serde_json::from_slice(&text).ok()) {
            *world = stored;
        }
        let result = body(&mut world);
        let new = file.with_extension("new");
        let saved = serde_json::to_vec(&*world)
            .map_err(std::io::Error::from)
            .and_then(|text| fs::write(&new, text))
            .and_then(|()| fs::rename(&new, file));
        if let Err(error) = saved {
            tracing::error!("the simulated device cannot be saved in {}: {error}", file.display());
        }
        result
    }

    /// Orders a fault.
    pub fn order(&self, step: StepName, skip: u32, action: FaultAction) {
        self.with(|world| world.faults.push(Fault { step, skip, action }));
    }

    /// Restarts the device: containers stop, and the boot loader chooses.
    pub fn reboot(&self) {
        self.with(|world| {
            for component in world.deployed.values_mut() {
                component.running = false;
            }
            let chosen = world.boot.trial.take().filter(|id| !world.boot.unbootable.contains(id));
            world.boot.booted = chosen.or_else(|| world.boot.default.clone());
            world.boot.boots = world.boot.boots.saturating_add(1);
        });
    }

    /// What runs of a component.
    #[must_use]
    pub fn running(&self, id: &ComponentId) -> Option<ReleaseId> {
        self.with(|world| world.deployed.get(id).filter(|c| c.running).map(|c| c.release.id.clone()))
    }
}

impl World {
    /// Bytes in use.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.stored.values().map(|stored| stored.size).fold(0, u64::saturating_add)
    }

    /// Counts a call, and takes the fault that is due in it.
    fn begin(&mut self, step: StepName) -> Option<FaultAction> {
        if self.calls.len() >= CALLS_MAX {
            self.calls.remove(0);
        }
        self.calls.push(step);
        let due = self.faults.iter_mut().position(|fault| {
            let due = fault.step == step && fault.skip == 0;
            if fault.step == step {
                fault.skip = fault.skip.saturating_sub(1);
            }
            due
        })?;
        Some(self.faults.remove(due).action)
    }
}
