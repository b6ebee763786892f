//! The file set component backend: certificates, licences, configuration, models.
//!
//! [`FilesBackend`] is a [`scomo_engine::backend::Backend`] for components that are files on the host. A release is an
//! image in a content store (`scomo-store`) and, once staged, a read-only tree of its own. What the host sees is a
//! symbolic link, and a switch is the replacement of that link: whoever opens a path through it gets the old files or
//! the new ones, never neither. A service may then be told to load them again; if it cannot, the switch has failed.
//!
//! Not here: which release should be in place (the engine), and where packages come from (`scomo-package`).

mod backend;
mod config;
mod error;
mod link;
mod places;
mod record;
mod switch;

pub use backend::FilesBackend;
pub use config::{Config, Settings};
pub use error::Error;
