//! Editing the tree: what a change asked for at a URI means for the device, or why it is refused.
//!
//! [`plan`] checks an edit against the table, the tree and the access control lists, and translates it into commands
//! of the engine and changes of the overlay. It changes nothing itself. The order of the checks is that of OMA DM
//! servers' expectations: URI, existence, access type, access control list, format and size.

mod exec;
mod package;
mod property;
mod put;

use serde::{Deserialize, Serialize};

use super::error::TreeError;
use super::nodes::{Access, Format};
use super::overlay::Write;
use super::place::{Instance, Place};
use super::read::Tree;
use super::uri::{Property, Query, Uri};
use super::value::Value;
use crate::command::{Command, ReportTo};
use crate::id::PackageId;

/// Most edits that are made as one: a message of OMA DM has fewer.
pub const EDITS_MAX: usize = 256;

/// A change of the tree that somebody asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edit {
    /// The node, by its full URI. `?prop=` is understood with [`What::Replace`].
    pub uri: String,
    /// What is to happen to it.
    pub what: What,
}

/// What is to happen to a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// It is made, with the parents that it lacks.
    Add(Given),
    /// It gets another value.
    Replace(Given),
    /// `Inventory/Delivered/<X>/Data` is made, or gets other bytes: those of a file that the daemon wrote.
    Data {
        /// A `file:` URL in the spool.
        source: String,
    },
    /// It goes, with all below it.
    Delete,
    /// The primitive that it stands for begins.
    Exec {
        /// Returned with the report; empty: none.
        correlator: String,
    },
    /// One of its properties gets another value.
    Set {
        /// Which.
        property: Property,
        /// The value.
        value: String,
    },
}

/// A value that somebody gives a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Given {
    /// Its format, when it was given; [`Format::Node`] for an interior node.
    pub format: Option<Format>,
    /// Its type, when it was given: MIME type, or identifier of a management object.
    pub mime: String,
    /// The value.
    pub value: Value<'static>,
}

impl Given {
    /// A value whose format is that of the node.
    #[must_use]
    pub fn value(value: impl Into<Value<'static>>) -> Self {
        Self { format: None, mime: String::new(), value: value.into() }
    }

    /// An interior node.
    #[must_use]
    pub fn interior() -> Self {
        Self { format: Some(Format::Node), mime: String::new(), value: Value::Null }
    }
}

/// A part of what an edit means, in the order in which they must be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The engine does something, and reports its end when somebody is to be told.
    Command(Box<Command>, Option<ReportTo>),
    /// The overlay changes.
    Write(Vec<Write>),
}

impl Step {
    fn command(command: Command) -> Self {
        Self::Command(Box::new(command), None)
    }
}

/// What an edit means in the tree as it is.
pub fn plan(tree: &Tree<'_>, edit: &Edit) -> Result<Vec<Step>, TreeError> {
    let uri = tree.uri(&edit.uri)?;
    match (&edit.what, &uri.query) {
        (What::Replace(given), Query::Property(property)) => {
            property::set(tree, &uri, *property, &given.value.to_text())
        }
        (_, Query::Property(_) | Query::List(_)) => {
            let why = "only Replace can be used on a property, and nothing but Get on a list";
            Err(TreeError::NotAllowed { command: edit.what.name(), uri: edit.uri.clone(), why })
        }
        (What::Add(given), Query::Value) => put::add(tree, &uri, given),
        (What::Replace(given), Query::Value) => put::replace(tree, &uri, given),
        (What::Data { source }, Query::Value) => data(tree, &uri, source),
        (What::Delete, Query::Value) => delete(tree, &uri),
        (What::Exec { correlator }, Query::Value) => exec::exec(tree, &uri, correlator),
        (What::Set { property, value }, Query::Value) => property::set(tree, &uri, *property, value),
    }
}

/// The edits that make the parents which the node of an edit lacks, the upper ones first.
pub fn missing_parents(tree: &Tree<'_>, edit: &Edit) -> Result<Vec<Edit>, TreeError> {
    if !matches!(edit.what, What::Add(_) | What::Data { .. }) {
        return Ok(Vec::new());
    }
    let uri = tree.uri(&edit.uri)?;
    let parents = (1..uri.segments.len()).map(|end| uri.segments.get(..end).unwrap_or_default());
    let missing = parents.filter(|segments| tree.world.find(segments).is_none());
    let add = |segments: &[String]| {
        let path = Uri { segments: segments.to_vec(), query: Query::Value }.path();
        Edit { uri: tree.full(&path), what: What::Add(Given::interior()) }
    };
    Ok(missing.map(add).collect())
}

/// The package whose `Data` an Add or Replace is for, so that its bytes must be written to a file first and the edit
/// be given as [`What::Data`]. Says nothing about whether it is allowed.
#[must_use]
pub fn data_of(tree: &Tree<'_>, edit: &Edit) -> Option<PackageId> {
    let uri = tree.uri(&edit.uri).ok().filter(|uri| uri.query == Query::Value)?;
    let [inventory, delivered, name, data] = uri.segments.as_slice() else { return None };
    let is_data = inventory == "Inventory" && delivered == "Delivered" && data == "Data";
    let takes_data = matches!(edit.what, What::Add(_) | What::Replace(_));
    (is_data && takes_data).then(|| PackageId::new(super::uri::node_id(name)).ok())?
}

impl What {
    /// The name of the command in OMA DM.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Add(_) => "Add",
            Self::Replace(_) | Self::Set { .. } | Self::Data { .. } => "Replace",
            Self::Delete => "Delete",
            Self::Exec { .. } => "Exec",
        }
    }
}

fn data(tree: &Tree<'_>, uri: &Uri, source: &str) -> Result<Vec<Step>, TreeError> {
    let (place, path) = tree.open(uri, Access::REPLACE, "Replace")?;
    match (place.instance, place.leaf()) {
        (Instance::Delivered(id, _), "Data") => {
            let command = Command::SetData { id: id.clone(), source: source.to_owned() };
            Ok(vec![Step::command(command), Step::Write(vec![Write::Touch { path }])])
        }
        _ => Err(not_allowed(tree, uri, "Replace", "only the Data of a delivered package comes as a file")),
    }
}

fn delete(tree: &Tree<'_>, uri: &Uri) -> Result<Vec<Step>, TreeError> {
    let (place, path) = tree.open(uri, Access::DELETE, "Delete")?;
    let known = tree.world.state.tree.node(&path).is_some();
    match (place.instance, place.leaf()) {
        (Instance::Download(id, _), "") => {
            Ok(vec![Step::command(Command::DeleteDownload { id: id.clone() })])
        }
        (Instance::Delivered(id, _), "") => {
            Ok(vec![Step::command(Command::RemovePackage { id: id.clone() })])
        }
        (Instance::Download(..) | Instance::Delivered(..), _) if place.stored.is_none() => {
            let mut steps = package::set(&place, None);
            steps.push(Step::Write(vec![Write::Remove { path }]));
            Ok(steps)
        }
        (Instance::Icon(_), _) if !known => {
            Err(not_allowed(tree, uri, "Delete", "it came with the package of the component"))
        }
        _ => Ok(vec![Step::Write(vec![Write::Remove { path }])]),
    }
}

fn not_allowed(tree: &Tree<'_>, uri: &Uri, command: &'static str, why: &'static str) -> TreeError {
    TreeError::NotAllowed { command, uri: tree.full(&uri.path()), why }
}

/// The place of a node that is to be made below another.
fn new_place<'a>(parent: &Place<'a>, branch: &'static super::nodes::Branch) -> Place<'a> {
    Place { branch, stored: None, ..*parent }
}
