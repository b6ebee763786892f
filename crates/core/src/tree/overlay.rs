//! What servers and people wrote into the tree that the engine itself does not know: list entries, sub-trees of
//! vendors, icons, access control lists, titles, stamps. It is part of the durable state and changed by facts only.
//!
//! Keys are paths in normal form ([`super::uri::push_segment`]), so that what is below a node is one range of the map.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::acl::{ACL_BYTES_MAX, Acl};
use super::nodes::Format;
use super::value::Value;
use crate::id::{Millis, PackageId};
use crate::state::State;

/// Most nodes that are kept: the whole state is copied at every decision.
pub const NODES_MAX: usize = 4096;
/// Most nodes whose properties are kept: those above, and the lists that every component may have of its own.
pub const MARKS_MAX: usize = 12_288;
/// Most bytes that all of it has, paths included; for the same reason.
pub const BYTES_MAX: usize = 1 << 20;
/// Largest value of one node: an icon.
pub const LEAF_BYTES_MAX: usize = 64 << 10;
/// Longest title (OMA DM 1.2).
pub const TITLE_BYTES_MAX: usize = 255;

/// Nodes and properties of nodes, by path below the SCOMO root.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Overlay {
    /// Nodes.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    nodes: BTreeMap<String, Stored>,
    /// Properties, also of nodes that are not in `nodes`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    marks: BTreeMap<String, Marks>,
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// Its format.
    pub format: Format,
    /// Its `Type` where the table has none: the MIME type, or the identifier of a management object.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub mime: String,
    /// Its value.
    pub value: Value<'static>,
}

impl Stored {
    /// An interior node without a type.
    #[must_use]
    pub fn interior() -> Self {
        Self { format: Format::Node, mime: String::new(), value: Value::Null }
    }
}

/// Properties of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Marks {
    /// Its own access control list.
    #[serde(skip_serializing_if = "Acl::is_empty")]
    pub acl: Acl,
    /// Its title, when somebody gave it one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// When its value changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changed: Option<Millis>,
    /// How often its value changed; wraps.
    pub version: u16,
}

/// One change of the overlay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Write {
    /// A node is there with this value.
    Put {
        /// Its path.
        path: String,
        /// The node.
        node: Stored,
    },
    /// A node and all below it is gone.
    Remove {
        /// Its path.
        path: String,
    },
    /// A node's value changed, wherever it is kept.
    Touch {
        /// Its path.
        path: String,
    },
    /// A node has this access control list of its own.
    Acl {
        /// Its path.
        path: String,
        /// The list.
        acl: Acl,
    },
    /// A node has this title.
    Title {
        /// Its path.
        path: String,
        /// The title.
        title: String,
    },
    /// A node and all below it has another path.
    Move {
        /// From where.
        from: String,
        /// To where.
        to: String,
    },
    /// A package of the Download branch has another name.
    RenameDownload {
        /// Its name.
        from: PackageId,
        /// Its new name.
        to: PackageId,
    },
}

/// Which limit of the overlay is reached.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the device keeps at most {max} {what} in the tree; delete some first")]
pub struct Full {
    /// Of what.
    pub what: &'static str,
    /// How many.
    pub max: usize,
}

impl Overlay {
    /// Whether nobody wrote anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty() && self.marks.is_empty()
    }

    /// The node at a path.
    #[must_use]
    pub fn node(&self, path: &str) -> Option<&Stored> {
        self.nodes.get(path)
    }

    /// The properties of the node at a path, those that were given.
    #[must_use]
    pub fn marks(&self, path: &str) -> Option<&Marks> {
        self.marks.get(path)
    }

    /// Whether it says anything about a node or what is below it.
    #[must_use]
    pub fn knows(&self, path: &str) -> bool {
        let below = |key: &String| key == path || is_below(key, path);
        let first = |key: Option<&String>| key.is_some_and(below);
        self.nodes.contains_key(path)
            || self.marks.contains_key(path)
            || first(self.nodes.range(format!("{path}/")..).next().map(|(key, _)| key))
            || first(self.marks.range(format!("{path}/")..).next().map(|(key, _)| key))
    }

    /// The nodes right below a path, each with its name as written there.
    pub fn children<'a>(&'a self, path: &str) -> impl Iterator<Item = (&'a str, &'a Stored)> + use<'a> {
        let prefix = format!("{path}/");
        let below = self.nodes.range(prefix.clone()..);
        let inside = below.map_while(move |(key, node)| Some((key.strip_prefix(&prefix)?, node)));
        inside.filter(|(name, _)| !name.contains('/'))
    }

    /// Whether it is within its limits.
    pub fn check(&self) -> Result<(), Full> {
        let limits = [
            (self.nodes.len(), NODES_MAX, "nodes"),
            (self.marks.len(), MARKS_MAX, "nodes with properties"),
            (self.bytes(), BYTES_MAX, "bytes"),
        ];
        match limits.into_iter().find(|(count, max, _)| count > max) {
            Some((_, max, what)) => Err(Full { what, max }),
            None => Ok(()),
        }
    }

    fn bytes(&self) -> usize {
        let nodes = self
            .nodes
            .iter()
            .map(|(path, node)| path.len().saturating_add(node.mime.len()).saturating_add(node.value.size()));
        let marks = self.marks.iter().map(|(path, marks)| {
            let title = marks.title.as_ref().map_or(0, String::len);
            let acl = if marks.acl.is_empty() { 0 } else { marks.acl.to_string().len() };
            path.len().saturating_add(title).saturating_add(acl)
        });
        nodes.chain(marks).fold(0, usize::saturating_add)
    }

    /// Gives a node more rights than it has, if there is room; without room it keeps fewer, which is the safe side.
    pub(crate) fn widen(&mut self, path: &str, acl: &Acl) {
        let fits = self.marks.len() < MARKS_MAX && acl.to_string().len() <= ACL_BYTES_MAX;
        if fits && !acl.is_empty() {
            self.marks.entry(path.to_owned()).or_default().acl = acl.clone();
        }
    }

    /// Forgets a node and all below it.
    pub(crate) fn remove(&mut self, path: &str) {
        remove_below(&mut self.nodes, path);
        remove_below(&mut self.marks, path);
    }

    /// Forgets every instance of a branch (`Download`, …) that `keep` does not name, by path.
    pub(crate) fn retain_instances(&mut self, branch: &str, keep: &dyn Fn(&str) -> bool) {
        let instance = |key: &str| {
            let name = key.strip_prefix(branch)?.strip_prefix('/')?.split('/').next()?;
            Some(name.to_owned())
        };
        let names = self.nodes.keys().chain(self.marks.keys()).filter_map(|key| instance(key));
        let gone: std::collections::BTreeSet<String> = names.filter(|name| !keep(name)).collect();
        for name in gone {
            self.remove(&format!("{branch}/{name}"));
        }
    }

    fn touch(&mut self, path: &str, at: Millis) {
        let marks = self.marks.entry(path.to_owned()).or_default();
        marks.version = marks.version.wrapping_add(1);
        marks.changed = Some(at);
    }
}

fn is_below(key: &str, path: &str) -> bool {
    key.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'))
}

fn below<V>(map: &BTreeMap<String, V>, path: &str) -> Vec<String> {
    let keys = map.range(path.to_owned()..).map(|(key, _)| key);
    // Siblings such as `a-b` and `a.b` come between `a` and `a/b`.
    keys.take_while(|key| key.starts_with(path))
        .filter(|k| *k == path || is_below(k, path))
        .cloned()
        .collect()
}

fn remove_below<V>(map: &mut BTreeMap<String, V>, path: &str) {
    for key in below(map, path) {
        map.remove(&key);
    }
}

fn move_below<V>(map: &mut BTreeMap<String, V>, from: &str, to: &str) {
    for key in below(map, from) {
        if let (Some(value), Some(rest)) = (map.remove(&key), key.strip_prefix(from)) {
            map.insert(format!("{to}{rest}"), value);
        }
    }
}

/// Applies changes that a fact tells of.
pub(crate) fn apply(state: &mut State, at: Millis, writes: &[Write]) -> Result<(), &'static str> {
    for write in writes {
        let overlay = &mut state.tree;
        match write {
            Write::Put { path, node } => {
                overlay.nodes.insert(path.clone(), node.clone());
                overlay.touch(path, at);
            }
            Write::Remove { path } => overlay.remove(path),
            Write::Touch { path } => overlay.touch(path, at),
            Write::Acl { path, acl } => overlay.marks.entry(path.clone()).or_default().acl = acl.clone(),
            Write::Title { path, title } => {
                overlay.marks.entry(path.clone()).or_default().title = Some(title.clone());
            }
            Write::Move { from, to } => {
                move_below(&mut overlay.nodes, from, to);
                move_below(&mut overlay.marks, from, to);
            }
            Write::RenameDownload { from, to } => {
                let mut download = state.downloads.remove(from).ok_or("no such package")?;
                // The PkgID is a value of its own and does not follow the name of the node.
                download.leaves.pkg_id = match download.leaves.pkg_id(from) {
                    same if same == to.as_str() => String::new(),
                    other => other.to_owned(),
                };
                state.downloads.insert(to.clone(), download);
            }
        }
    }
    Ok(())
}
