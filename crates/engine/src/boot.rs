//! Boot control: the little that the update logic needs from a boot loader.
//!
//! Counting tries, clearing flags and writing boot entries is the business of an implementation; the rules for all
//! of them: deploy and sync first, then arm the trial in one write, and clear flags once.

use scomo_core::id::ReleaseId;

use crate::backend::BackendError;

/// Steers which OS release boots. Every method is idempotent and durable when it returns.
pub trait BootControl: Send {
    /// The release that is booted now; `None` when it is not one of ours.
    fn booted(&mut self) -> Result<Option<ReleaseId>, BackendError>;
    /// Boots `release` next, on trial: if it is not marked good, a later boot falls back to the present one where
    /// the boot loader can count tries.
    fn set_try_next(&mut self, release: &ReleaseId) -> Result<(), BackendError>;
    /// Ends the trial of `release` well: it is the default from now on.
    fn mark_good(&mut self, release: &ReleaseId) -> Result<(), BackendError>;
    /// Ends any trial of `release` badly: it does not boot again, `fallback` is the default.
    fn mark_bad(&mut self, release: &ReleaseId, fallback: Option<&ReleaseId>) -> Result<(), BackendError>;
}
