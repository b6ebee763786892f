//! What a session needs of the management tree. The tree is the caller's: it knows the nodes, their access types and
//! the access control lists of the server that the session is with. Refusals are status codes.
//!
//! Everything blocks until it is done. Whatever takes longer answers an Exec with 202 and reports later.

use crate::code::Code;
use crate::message::{Format, Item};
use crate::tnds::Tnds;
use crate::uri::{NodeUri, Property, Selection};

/// A refused operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The status code.
    pub code: Code,
    /// The node that is in the way, where it is not the target: a parent that could not be made.
    pub at: Option<NodeUri>,
}

impl From<Code> for Refusal {
    fn from(code: Code) -> Self {
        Self { code, at: None }
    }
}

/// What a Get of a node gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// MIME type of a leaf, identifier of a management object for an interior node.
    pub mime: Option<String>,
    /// Children or value.
    pub content: Content,
}

/// What is in a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// The names of the children.
    Interior(Vec<String>),
    /// A value. Binary values are raw: the session writes them as base64 where it must.
    Leaf(Format, Vec<u8>),
}

/// A node in the answer to `?list=`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The node.
    pub uri: NodeUri,
    /// MIME type or identifier of a management object.
    pub mime: Option<String>,
    /// Its format; [`Format::Node`] for an interior node.
    pub format: Format,
    /// The raw value of a leaf, when values are wanted.
    pub value: Option<Vec<u8>>,
}

/// What an Add or Replace brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// The format as sent; `chr` is meant when absent. Base64 was decoded and is [`Format::Bin`].
    pub format: Option<Format>,
    /// The type as sent; `text/plain` is meant when absent.
    pub mime: Option<String>,
    /// The data, decoded; absent for an interior node or a node without a value.
    pub data: Option<Vec<u8>>,
}

/// A large object about to come in pieces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Whether the node shall be made, rather than changed.
    pub add: bool,
    /// Format, as in [`Value`].
    pub format: Option<Format>,
    /// Type, as in [`Value`].
    pub mime: Option<String>,
    /// Size as it travels, in bytes. The decoded data is never larger.
    pub size: u64,
}

/// An Exec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Execution {
    /// What the server calls the job; to be given back, unchanged, in the alert that reports it.
    pub correlator: Option<String>,
    /// The argument, decoded.
    pub argument: Option<Vec<u8>>,
}

/// What an Exec gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Executed {
    /// 200 when done, 202 when accepted, or a code of the management object.
    pub code: Code,
    /// What goes with it, such as the nodes that were made.
    pub items: Vec<Item>,
}

/// The management tree as one server sees it.
///
/// Methods with a body are optional features; the body says that the tree does not have them.
pub trait Tree {
    /// Reads a node.
    fn get(&mut self, node: &NodeUri) -> Result<Node, Code>;

    /// Reads a property.
    fn property(&mut self, _node: &NodeUri, _property: Property) -> Result<String, Code> {
        Err(Code::UNSUPPORTED)
    }

    /// The node and everything below it that the server may read.
    fn list(&mut self, _node: &NodeUri, _data: bool) -> Result<Vec<Listed>, Code> {
        Err(Code::UNSUPPORTED)
    }

    /// The node and everything below it that the server may read, serialized.
    fn export(&mut self, _node: &NodeUri, _selection: &Selection) -> Result<Tnds, Code> {
        Err(Code::UNSUPPORTED)
    }

    /// Makes a node, and its parents where they are missing.
    fn add(&mut self, node: &NodeUri, value: Value) -> Result<(), Refusal>;

    /// Changes a node's value.
    fn replace(&mut self, node: &NodeUri, value: Value) -> Result<(), Refusal>;

    /// Changes a property that [`Property::is_writable`] names.
    fn set_property(&mut self, _node: &NodeUri, _property: Property, _value: &str) -> Result<(), Code> {
        Err(Code::NOT_ALLOWED)
    }

    /// Makes a whole part of the tree, all or nothing.
    fn add_tree(&mut self, _node: &NodeUri, _tree: Tnds) -> Result<(), Refusal> {
        Err(Code::UNSUPPORTED_TYPE.into())
    }

    /// Makes a part of the tree equal to what is given, all or nothing.
    fn replace_tree(&mut self, _node: &NodeUri, _tree: Tnds) -> Result<(), Refusal> {
        Err(Code::UNSUPPORTED_TYPE.into())
    }

    /// Deletes a node and everything below it.
    fn delete(&mut self, node: &NodeUri) -> Result<(), Code>;

    /// Copies a value.
    fn copy(&mut self, _source: &NodeUri, _target: &NodeUri) -> Result<(), Refusal> {
        Err(Code::UNSUPPORTED.into())
    }

    /// Runs a node.
    fn exec(&mut self, _node: &NodeUri, _execution: Execution) -> Result<Executed, Code> {
        Err(Code::UNSUPPORTED)
    }

    /// Begins a transaction. Until its end every change must be undoable. They do not nest.
    fn begin(&mut self) -> Result<(), Code> {
        Err(Code::UNSUPPORTED)
    }

    /// Makes the changes since [`Tree::begin`] last. When it fails, the session calls [`Tree::roll_back`].
    fn commit(&mut self) -> Result<(), Code> {
        Ok(())
    }

    /// Undoes every change since [`Tree::begin`].
    fn roll_back(&mut self) -> Result<(), Code> {
        Ok(())
    }

    /// Begins a large object. Refuse here what can be known beforehand: node, rights, space.
    fn open_object(&mut self, _node: &NodeUri, _object: &Object) -> Result<(), Refusal> {
        Err(Code::TOO_LARGE.into())
    }

    /// The next piece of the object, decoded; goes to a file, not to memory.
    fn write_object(&mut self, _piece: &[u8]) -> Result<(), Code> {
        Err(Code::FAILED)
    }

    /// The object is whole and is added or replaces, or it is broken and is dropped without a trace.
    fn close_object(&mut self, _whole: bool) -> Result<(), Refusal> {
        Err(Code::FAILED.into())
    }
}
