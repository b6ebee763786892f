//! A file that plays the boot loader: `<state_dir>/os/boot.json`.
//!
//! It counts tries and falls back as U-Boot or systemd-boot would. Nothing boots: [`Simulated::simulate_boot`] decides
//! what would have, and from then on that counts as booted.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use scomo_core::id::ReleaseId;
use scomo_engine::backend::BackendError;
use scomo_engine::boot::BootControl;
use serde::{Deserialize, Serialize};

use super::NoCounting;
use crate::config::JobConfig;
use crate::error::OsError;
use crate::store::{Store, not_fetched, write};

/// How often a release on trial is booted before the loader falls back.
pub const TRIES: u32 = 3;

/// What the simulated boot loader remembers: commits, as a boot loader knows deployments and not releases.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Loader {
    /// What boots when no trial is open; none: what the device came with.
    pub default: Option<String>,
    /// What boots as long as tries are left.
    pub trial: Option<Trial>,
    /// What is booted.
    pub booted: Option<String>,
    /// How often the device booted.
    pub boots: u64,
    /// Commits that never come up; for tests to set.
    pub unbootable: BTreeSet<String>,
}

/// A commit on trial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trial {
    /// Which.
    pub commit: String,
    /// Boots that are left to it.
    pub tries_left: u32,
}

/// Boot control with [`Loader`].
#[derive(Debug)]
pub struct Simulated {
    order: NoCounting,
    store: Store,
    path: PathBuf,
}

impl Simulated {
    /// The boot loader of a configuration's device.
    #[must_use]
    pub fn new(job: JobConfig) -> Self {
        let path = job.dir().join("boot.json");
        Self { store: Store::new(&job.dir()), order: NoCounting::new(job), path }
    }

    /// What the loader remembers now.
    pub fn loader(&self) -> Result<Loader, OsError> {
        let text = match fs::read(&self.path) {
            Ok(text) => text,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Loader::default()),
            Err(e) => return Err(OsError::file("read", &self.path)(e)),
        };
        serde_json::from_slice(&text).map_err(|source| OsError::Damaged { path: self.path.clone(), source })
    }

    /// Changes what the loader remembers, in one write; none when nothing changes.
    pub fn update(&self, change: impl FnOnce(&mut Loader)) -> Result<(), OsError> {
        let old = self.loader()?;
        let mut new = old.clone();
        change(&mut new);
        if new == old {
            return Ok(());
        }
        let damaged = |source| OsError::Damaged { path: self.path.clone(), source };
        write(&self.path, &serde_json::to_vec(&new).map_err(damaged)?)
    }

    /// Plays a boot and gives the release that is booted then. Each try of what does not come up is a boot of its own.
    pub fn simulate_boot(&self) -> Result<Option<ReleaseId>, OsError> {
        self.update(|loader| {
            loader.booted = loop {
                loader.boots = loader.boots.saturating_add(1);
                let Some(trial) = loader.trial.as_mut().filter(|trial| trial.tries_left > 0) else {
                    break loader.default.clone();
                };
                trial.tries_left = trial.tries_left.saturating_sub(1);
                if !loader.unbootable.contains(&trial.commit) {
                    break Some(trial.commit.clone());
                }
            };
        })?;
        self.booted_release()
    }

    fn booted_release(&self) -> Result<Option<ReleaseId>, OsError> {
        let booted = self.loader()?.booted;
        booted.map_or(Ok(None), |commit| self.store.release_of(&commit))
    }

    fn commit(&self, release: &ReleaseId) -> Result<String, OsError> {
        Ok(self.store.get(release)?.ok_or_else(|| not_fetched(release))?.commit)
    }
}

impl BootControl for Simulated {
    fn booted(&mut self) -> Result<Option<ReleaseId>, BackendError> {
        Ok(self.booted_release()?)
    }

    fn set_try_next(&mut self, release: &ReleaseId) -> Result<(), BackendError> {
        let commit = self.commit(release)?;
        self.order.set_try_next(release)?;
        let changed = self.update(|loader| {
            let on_trial = |trial: &Trial| trial.commit == commit && trial.tries_left > 0;
            if loader.default.as_ref() == Some(&commit) {
                loader.trial = None;
            } else if !loader.trial.as_ref().is_some_and(on_trial) {
                loader.trial = Some(Trial { commit, tries_left: TRIES });
            }
        });
        Ok(changed?)
    }

    fn mark_good(&mut self, release: &ReleaseId) -> Result<(), BackendError> {
        let commit = self.commit(release)?;
        self.order.mark_good(release)?;
        let changed = self.update(|loader| {
            loader.default = Some(commit);
            loader.trial = None;
        });
        Ok(changed?)
    }

    fn mark_bad(&mut self, release: &ReleaseId, fallback: Option<&ReleaseId>) -> Result<(), BackendError> {
        let Some(bad) = self.store.get(release)?.map(|record| record.commit) else { return Ok(()) };
        let fallback_commit = fallback.map(|id| self.commit(id)).transpose()?;
        self.order.mark_bad(release, fallback)?;
        let changed = self.update(|loader| {
            if loader.trial.as_ref().is_some_and(|trial| trial.commit == bad) {
                loader.trial = None;
            }
            if loader.default.as_ref() == Some(&bad) {
                loader.default = fallback_commit;
            }
        });
        Ok(changed?)
    }
}
