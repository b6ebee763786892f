//! The simulated boot loader: it gives what is on trial one try, and falls back to the default.

use scomo_core::id::ReleaseId;

use super::SimWorld;
use crate::backend::BackendError;
use crate::boot::BootControl;

/// Boot control of a simulated device.
#[derive(Debug)]
pub struct SimBoot {
    world: SimWorld,
}

impl SimBoot {
    /// Of this device.
    #[must_use]
    pub fn new(world: SimWorld) -> Self {
        Self { world }
    }
}

impl BootControl for SimBoot {
    fn booted(&mut self) -> Result<Option<ReleaseId>, BackendError> {
        Ok(self.world.with(|world| world.boot.booted.clone()))
    }

    fn set_try_next(&mut self, release: &ReleaseId) -> Result<(), BackendError> {
        self.world.with(|world| world.boot.trial = Some(release.clone()));
        Ok(())
    }

    fn mark_good(&mut self, release: &ReleaseId) -> Result<(), BackendError> {
        self.world.with(|world| {
            world.boot.default = Some(release.clone());
            if world.boot.trial.as_ref() == Some(release) {
                world.boot.trial = None;
            }
        });
        Ok(())
    }

    fn mark_bad(&mut self, release: &ReleaseId, fallback: Option<&ReleaseId>) -> Result<(), BackendError> {
        self.world.with(|world| {
            if world.boot.trial.as_ref() == Some(release) {
                world.boot.trial = None;
            }
            if world.boot.default.as_ref() == Some(release) {
                world.boot.default = fallback.cloned();
            }
        });
        Ok(())
    }
}
