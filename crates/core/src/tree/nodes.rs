//! What a node of the SCOMO tree is: the columns of the node table, and the table as a tree.
//!
//! The rows are in the module `table`, one a node. Everything that knows about nodes – checks, listing, export, documents –
//! reads them from there. This file knows nothing of values.

mod table;

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

pub use table::NODES;

/// The name that stands for a node made at run time.
pub const PLACEHOLDER: &str = "<X>";

/// Which edition of the management object the device shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum TreeVersion {
    /// SCOMO 1.0: the nodes that 1.1 added do not exist.
    #[serde(rename = "1.0")]
    V1_0,
    /// SCOMO 1.1.
    #[default]
    #[serde(rename = "1.1")]
    V1_1,
}

impl TreeVersion {
    /// The identifier of the management object: `Type` of the root.
    #[must_use]
    pub fn mo_id(self) -> &'static str {
        match self {
            Self::V1_0 => "urn:oma:mo:oma-scomo:1.0",
            Self::V1_1 => "urn:oma:mo:oma-scomo:1.1",
        }
    }
}

/// Format of a node's value. The table uses five of them; nodes below an Ext may have any.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// An interior node.
    Node,
    /// Text.
    Chr,
    /// A 32 bit signed integer.
    Int,
    /// Bytes.
    Bin,
    /// No value.
    Null,
    /// Bytes, shown in base64.
    B64,
    /// `true` or `false`.
    Bool,
    /// A date.
    Date,
    /// A time.
    Time,
    /// A number with a fraction.
    Float,
    /// XML, as text.
    Xml,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 11] = [
        Self::Node,
        Self::Chr,
        Self::Int,
        Self::Bin,
        Self::Null,
        Self::B64,
        Self::Bool,
        Self::Date,
        Self::Time,
        Self::Float,
        Self::Xml,
    ];

    /// The name used by OMA DM.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Chr => "chr",
            Self::Int => "int",
            Self::Bin => "bin",
            Self::Null => "null",
            Self::B64 => "b64",
            Self::Bool => "bool",
            Self::Date => "date",
            Self::Time => "time",
            Self::Float => "float",
            Self::Xml => "xml",
        }
    }

    /// The format of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.as_str() == name)
    }
}

/// How often a node may be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occurrence {
    /// Exactly once.
    One,
    /// At most once.
    ZeroOrOne,
    /// Any number.
    ZeroOrMore,
    /// At least once.
    OneOrMore,
}

impl Occurrence {
    /// The name used in a DDF.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::One => "One",
            Self::ZeroOrOne => "ZeroOrOne",
            Self::ZeroOrMore => "ZeroOrMore",
            Self::OneOrMore => "OneOrMore",
        }
    }
}

/// A set of the commands that a node takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access(u8);

impl Access {
    /// It may be added.
    pub const ADD: Self = Self(1);
    /// It may be deleted.
    pub const DELETE: Self = Self(2);
    /// It may be executed.
    pub const EXEC: Self = Self(4);
    /// It may be read.
    pub const GET: Self = Self(8);
    /// It may be given a value.
    pub const REPLACE: Self = Self(16);
    /// Every command with its name in a DDF, in the order of the DDF.
    pub const NAMED: [(Self, &'static str); 5] = [
        (Self::ADD, "Add"),
        (Self::DELETE, "Delete"),
        (Self::EXEC, "Exec"),
        (Self::GET, "Get"),
        (Self::REPLACE, "Replace"),
    ];

    /// The set of the commands with these first letters. Other letters mean nothing.
    const fn of(letters: &str) -> Self {
        let (mut bits, mut rest) = (0, letters.as_bytes());
        while let [letter, tail @ ..] = rest {
            bits |= match letter {
                b'A' => Self::ADD.0,
                b'D' => Self::DELETE.0,
                b'E' => Self::EXEC.0,
                b'G' => Self::GET.0,
                b'R' => Self::REPLACE.0,
                _ => 0,
            };
            rest = tail;
        }
        Self(bits)
    }

    /// Whether every command of `other` is in it.
    #[must_use]
    pub fn allows(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The commands of both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The names of its commands, in the order of a DDF.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMED.into_iter().filter(move |(access, _)| self.allows(*access)).map(|(_, name)| name)
    }
}

/// One row of the node table.
#[derive(Debug, PartialEq, Eq)]
pub struct Node {
    /// Path below the SCOMO root, with [`PLACEHOLDER`] for names made at run time; empty: the root.
    pub path: &'static str,
    /// Format.
    pub format: Format,
    /// Commands of the 1.1 DDF.
    pub access: Access,
    /// Commands that this client takes beside (allowed by SCOMO 1.0 section 6.2).
    pub extra: Access,
    /// Occurrence of the 1.1 DDF.
    pub occurrence: Occurrence,
    /// Whether a client that has the parent must have it.
    pub required: bool,
    /// The first edition that has it.
    pub since: TreeVersion,
    /// What it is for, in our words.
    pub title: &'static str,
}

impl Node {
    /// The last part of the path.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// Whether it has children and no value.
    #[must_use]
    pub fn is_interior(&self) -> bool {
        self.format == Format::Node
    }

    /// Whether anything may be added below it.
    #[must_use]
    pub fn is_ext(&self) -> bool {
        self.name() == "Ext"
    }

    /// Every command that this client takes here.
    #[must_use]
    pub fn takes(&self) -> Access {
        self.access.and(self.extra)
    }

    /// How often it may be on this device. Several delivered packages are plainly meant, although the 1.1 DDF says
    /// at most one.
    #[must_use]
    pub fn occurs_here(&self) -> Occurrence {
        if self.path == "Inventory/Delivered/<X>" { Occurrence::ZeroOrMore } else { self.occurrence }
    }
}

/// A row with the rows below it.
#[derive(Debug)]
pub struct Branch {
    /// The row.
    pub node: &'static Node,
    /// The last part of its path.
    pub name: &'static str,
    /// The rows one level below, in the order of the table.
    pub children: Vec<Branch>,
}

static ROOT: LazyLock<Branch> = LazyLock::new(|| {
    let [root, rest @ ..] = &NODES;
    grow(root, &mut rest.iter().peekable())
});

fn grow(node: &'static Node, rows: &mut std::iter::Peekable<std::slice::Iter<'static, Node>>) -> Branch {
    let mut children = Vec::new();
    // The table is in the order of the tree: what is below a row follows it.
    while let Some(child) = rows.next_if(|next| parent_path(next.path) == Some(node.path)) {
        children.push(grow(child, rows));
    }
    Branch { node, name: node.name(), children }
}

fn parent_path(path: &'static str) -> Option<&'static str> {
    if path.is_empty() { None } else { Some(path.rsplit_once('/').map_or("", |(parent, _)| parent)) }
}

impl Branch {
    /// The root of the table.
    #[must_use]
    pub fn root() -> &'static Self {
        &ROOT
    }

    /// The rows below that the edition has.
    pub fn children(&'static self, version: TreeVersion) -> impl Iterator<Item = &'static Self> {
        self.children.iter().filter(move |child| child.node.since <= version)
    }

    /// The row that describes a child of that name.
    #[must_use]
    pub fn child(&'static self, name: &str, version: TreeVersion) -> Option<&'static Self> {
        let fixed = self.children(version).find(|child| child.name == name);
        fixed.or_else(|| self.children(version).find(|child| child.name == PLACEHOLDER))
    }
}
