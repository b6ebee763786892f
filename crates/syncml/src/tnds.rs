//! A serialized part of a management tree (TNDS): the model. [`crate::decode_tnds`] and [`crate::encode_tnds`] read and write it.

use crate::message::Format;

/// A serialized tree.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tnds {
    /// `Man`: who made the device.
    pub manufacturer: Option<String>,
    /// `Mod`: which model it is.
    pub model: Option<String>,
    /// The top nodes.
    pub nodes: Vec<TndsNode>,
}

/// A node with everything below it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TndsNode {
    /// `NodeName`; empty to let the receiver choose.
    pub name: String,
    /// `Path`: the URI above the node, relative to the target of the command. For top nodes only.
    pub path: Option<String>,
    /// `ACL`; an empty one is absent.
    pub acl: Option<String>,
    /// `Format`. Binary values have [`Format::Bin`], however they travelled.
    pub format: Option<Format>,
    /// `Size` of the value in bytes.
    pub size: Option<u64>,
    /// `Title`.
    pub title: Option<String>,
    /// `TStamp`.
    pub timestamp: Option<String>,
    /// `Type`: a MIME type for a leaf, a management object's identifier or nothing for an interior node.
    pub kind: Option<String>,
    /// `VerNo`.
    pub version: Option<u16>,
    /// The value of a leaf, decoded.
    pub value: Option<Vec<u8>>,
    /// The nodes below.
    pub children: Vec<TndsNode>,
}

impl TndsNode {
    /// Whether this is an interior node.
    #[must_use]
    pub fn is_interior(&self) -> bool {
        self.format == Some(Format::Node) || !self.children.is_empty()
    }
}
