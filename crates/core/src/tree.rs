//! The SCOMO management object as a tree of nodes: a view of the [`crate::state::State`] and a translation of edits
//! into commands and facts. No protocol, no files, no clock.
//!
//! - [`nodes`]: the table of all nodes; everything else is driven by it;
//! - [`uri`]: names of nodes; [`acl`]: who may do what; [`settings`]: what the device maker decides;
//! - [`read`]: values, children, properties, whole sub-trees; [`export`]: the same as documents;
//! - [`edit`]: what Add, Replace, Delete, Exec and a new property mean, and why not;
//! - [`overlay`]: what somebody wrote that the engine does not know; [`lists`]: what may be installed.
//!
//! Whoever edits hands [`crate::command::Command::Tree`] to the engine; it is decided like any other command.

pub mod acl;
pub mod base64;
pub mod edit;
pub mod error;
pub mod export;
pub mod lists;
pub mod nodes;
pub mod overlay;
pub mod params;
pub mod read;
pub mod settings;
pub mod stamp;
pub mod uri;
pub mod value;

pub(crate) mod inherit;
mod leaves;
mod place;

pub use acl::{Acl, Subject};
pub use error::TreeError;
pub use nodes::{Access, Format, TreeVersion};
pub use read::{Reading, Tree, Visit};
pub use settings::Settings;
pub use uri::{Property, Query, Uri};
pub use value::Value;

use crate::id::ComponentId;
use crate::state::State;

/// The `ID` of a component as servers see it: the one that one of them gave it, or its own.
#[must_use]
pub fn shown_id(state: &State, id: &ComponentId) -> String {
    let given = state.tree.node(&format!("{}/ID", inherit::component_path(id)));
    given.map_or_else(|| id.to_string(), |node| node.value.to_text().into_owned())
}
