//! The `org.scomo1` D-Bus interfaces: types, client proxies, error names and object paths.
//!
//! `xml/` is the source of truth: the property types and the proxies are generated from it (`tests/codegen.rs`), and
//! the daemon's live introspection is compared with it. This crate knows nothing else of scomo, so that any client
//! may use it.

mod error;
mod options;
pub mod path;
mod properties;
pub mod xml;

#[rustfmt::skip]
mod agent;
#[rustfmt::skip]
mod delivery_package;
#[rustfmt::skip]
mod deployment_component;
#[rustfmt::skip]
mod download;
#[rustfmt::skip]
mod job;
#[rustfmt::skip]
mod manager;
#[rustfmt::skip]
mod reports;
#[rustfmt::skip]
mod tree;

pub use agent::AgentProxy;
pub use delivery_package::{DeliveryPackage, DeliveryPackageProxy};
pub use deployment_component::{DeploymentComponent, DeploymentComponentProxy};
pub use download::{Download, DownloadProxy};
pub use error::{ERROR_PREFIX, Error};
pub use job::{Job, JobProxy};
pub use manager::{JobNew, JobNewArgs, JobRemoved, JobRemovedArgs, Manager, ManagerProxy};
pub use options::{OptionMap, OptionReader, Options};
pub use properties::{Properties, PropertyMap, WrongType, changes};
pub use reports::{Added, AddedArgs, Reports, ReportsProxy};
pub use tree::{Tree, TreeProxy};

/// The well-known bus name of the daemon.
pub const BUS_NAME: &str = "org.scomo1";
