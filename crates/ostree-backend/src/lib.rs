//! The OS component backend on libostree.
//!
//! A release is a commit. Fetching pulls it into the repository of the sysroot, staging deploys it next to what is
//! there, switching makes its deployment the default of the boot loader, and confirming ends its trial. Deployments
//! that this crate did not make are never removed.
//!
//! Not here: boot loaders. [`boot`] has the one that cannot count and the simulated one; others come later.

mod adopt;
mod backend;
pub mod boot;
mod config;
mod error;
mod namespace;
mod pull;
mod resolve;
mod source;
mod store;
mod sweep;
mod sysroot;
mod verify;

pub use backend::OstreeBackend;
pub use config::{BootMode, Config, JobConfig, RemoteConfig};
pub use error::OsError;
pub use namespace::confinement;
pub use source::Source;
pub use store::{Record, Store};
