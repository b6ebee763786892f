//! The suite that every backend passes, in-process and through the process border.
//!
//! A backend gives a [`Harness`] that makes devices; [`run`] puts each of [`CASES`] on a fresh one and panics with the
//! name of the case that fails. A case closes and opens the backend wherever a worker could have been restarted.
//!
//! This is test code that lives in the library so that other crates can use it.
#![allow(clippy::panic, clippy::expect_used, clippy::unwrap_used, clippy::indexing_slicing)]

use std::any::Any;

use scomo_core::id::PackageId;

use crate::backend::Backend;

mod cases;
mod device;
mod process;

pub use process::ProcessBackend;

/// One device with a backend under test.
pub trait Harness {
    /// A new handle on the same device, as in a new worker.
    fn open(&mut self) -> Box<dyn Backend>;
    /// What can be installed on it. Called once for a device.
    fn sources(&mut self) -> Sources;
    /// Boots the device again. Only for backends whose switch takes a reboot.
    fn reboot(&mut self) {
        panic!("the backend wants a reboot, which its harness cannot do");
    }
    /// Names of all that is stored, in a fixed order: to see that nothing is left behind. Files of the backend's own
    /// that do not grow with what was installed do not belong in it.
    fn stored(&mut self) -> Vec<String>;
    /// Fills the device's disk until the value is dropped; `None`: it cannot.
    fn fill_disk(&mut self) -> Option<Box<dyn Any>> {
        None
    }
}

/// What a device can install: releases of one and the same component.
#[derive(Debug, Clone)]
pub struct Sources {
    /// The package that all of them are.
    pub package: PackageId,
    /// A good release.
    pub v1: String,
    /// Another good one, of the same component.
    pub v2: String,
    /// Resolves; its payload fails verification. With the same component id as the good ones.
    pub corrupt: String,
    /// A well-formed source of a kind that the backend handles, where nothing is.
    pub unknown: String,
    /// Can be switched to, but does not stay healthy; `None`: there is no such thing without a real boot.
    pub unhealthy: Option<String>,
}

/// A case: its name, and what it does with a fresh device.
pub type Case = (&'static str, fn(&mut dyn Harness));

/// Every case.
pub const CASES: &[Case] = cases::ALL;

/// Runs every case on a device of its own; `make` makes one. Panics when one fails.
pub fn run(make: &mut dyn FnMut() -> Box<dyn Harness>) {
    for (name, case) in CASES {
        eprintln!("conformance: {name}");
        let mut device = make();
        case(&mut *device);
    }
}
