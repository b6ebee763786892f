//! Boot control on a sysroot: by the order of the deployments alone, or with a file that plays the boot loader.
//!
//! Every implementation makes the deployment the default first and arms the trial afterwards, in one write.

use scomo_core::id::ReleaseId;
use scomo_engine::backend::{BackendError, StepCx};
use scomo_engine::boot::BootControl;

use crate::config::{BootMode, JobConfig};
use crate::error::OsError;
use crate::store::{Record, Store, not_fetched};
use crate::sysroot::Os;

mod simulated;

pub use simulated::{Loader, Simulated, TRIES, Trial};

/// The boot control that the configuration asks for.
pub fn control(job: &JobConfig) -> Result<Box<dyn BootControl>, OsError> {
    match job.os.boot {
        BootMode::Auto | BootMode::None => Ok(Box::new(NoCounting::new(job.clone()))),
        BootMode::Simulated => Ok(Box::new(Simulated::new(job.clone()))),
        mode @ (BootMode::UBoot | BootMode::Grub | BootMode::SystemdBoot) => {
            Err(OsError::Unsupported(format!(
                "boot = \"{}\" is not supported yet; use \"auto\" or \"none\" (the order of the deployments, no counting)",
                mode.as_str()
            )))
        }
    }
}

/// Boot control by the order of the deployments: the first one boots.
///
/// The boot loader counts no tries, so it cannot fall back by itself: an OS that does not come up as far as this
/// program stays the default until somebody chooses the entry of the old one. An OS that comes up and is found
/// unhealthy is switched back like any other software.
#[derive(Debug)]
pub struct NoCounting {
    job: JobConfig,
    store: Store,
}

impl NoCounting {
    /// On the sysroot of a configuration.
    #[must_use]
    pub fn new(job: JobConfig) -> Self {
        let store = Store::new(&job.dir());
        Self { job, store }
    }

    fn record(&self, release: &ReleaseId) -> Result<Record, OsError> {
        self.store.get(release)?.ok_or_else(|| not_fetched(release))
    }

    fn make_default(&self, release: &ReleaseId) -> Result<(), OsError> {
        let record = self.record(release)?;
        Os::change(&self.job.os, &StepCx::detached())?.make_default(&record.commit)
    }

    /// Makes `fallback`, or else the next deployment, the default if `release` is it.
    fn unmake_default(&self, release: &ReleaseId, fallback: Option<&ReleaseId>) -> Result<(), OsError> {
        let Some(bad) = self.store.get(release)? else { return Ok(()) };
        let os = Os::change(&self.job.os, &StepCx::detached())?;
        let all = os.deployments();
        if all.first().is_none_or(|first| first.csum() != bad.commit) {
            return Ok(());
        }
        let fallback = fallback.map(|id| self.record(id)).transpose()?.map(|record| record.commit);
        let next = || all.iter().map(|d| d.csum().to_string()).find(|commit| *commit != bad.commit);
        match fallback.or_else(next) {
            Some(commit) => os.make_default(&commit),
            None => Ok(()),
        }
    }
}

impl BootControl for NoCounting {
    fn booted(&mut self) -> Result<Option<ReleaseId>, BackendError> {
        match Os::look(&self.job.os)?.booted_commit() {
            Some(commit) => Ok(self.store.release_of(&commit)?),
            None => Ok(None),
        }
    }

    fn set_try_next(&mut self, release: &ReleaseId) -> Result<(), BackendError> {
        Ok(self.make_default(release)?)
    }

    fn mark_good(&mut self, release: &ReleaseId) -> Result<(), BackendError> {
        Ok(self.make_default(release)?)
    }

    fn mark_bad(&mut self, release: &ReleaseId, fallback: Option<&ReleaseId>) -> Result<(), BackendError> {
        Ok(self.unmake_default(release, fallback)?)
    }
}
