//! Between data as it travels and values as the tree has them.

use crate::base64;
use crate::code::Code;
use crate::codec::{Encoding, encode_tnds, is_xml_text};
use crate::message::{Format, Item, Location, Meta, Request};
use crate::tnds::Tnds;
use crate::tree::{Content, Listed, Node, Value};

/// What is said about an item: its own meta, and the command's where it says nothing.
pub(super) struct About {
    pub(super) format: Option<Format>,
    pub(super) mime: Option<String>,
    pub(super) size: Option<u64>,
}

impl About {
    pub(super) fn new(request: &Request, item: &Item) -> Self {
        let (outer, inner) = (&request.meta, item.meta.as_deref());
        Self {
            format: inner.and_then(|meta| meta.format.clone()).or_else(|| outer.format.clone()),
            mime: inner.and_then(|meta| meta.mime.clone()).or_else(|| outer.mime.clone()),
            size: inner.and_then(|meta| meta.size).or(outer.size),
        }
    }

    /// Whether the data is a serialized tree.
    pub(super) fn is_tnds(&self) -> bool {
        let is = |encoding: Encoding| self.mime.as_deref() == Some(encoding.tnds_type());
        is(Encoding::Xml) || is(Encoding::Wbxml)
    }

    /// The format of the node. Base64 is how binary data travels.
    pub(super) fn node_format(&self) -> Result<Option<Format>, Code> {
        match &self.format {
            Some(Format::Other(_)) => Err(Code::UNSUPPORTED_TYPE),
            Some(Format::B64) => Ok(Some(Format::Bin)),
            other => Ok(other.clone()),
        }
    }

    pub(super) fn is_base64(&self) -> bool {
        self.format == Some(Format::B64)
    }

    /// The value that an item brings.
    pub(super) fn value(self, data: Option<Vec<u8>>) -> Result<Value, Code> {
        let format = self.node_format()?;
        Ok(Value { format, data: self.decoded(data)?, mime: self.mime })
    }

    /// The data of an item, decoded.
    pub(super) fn decoded(&self, data: Option<Vec<u8>>) -> Result<Option<Vec<u8>>, Code> {
        match data {
            Some(text) if self.is_base64() => base64::decode(&text).map(Some).ok_or(Code::BAD_REQUEST),
            data => Ok(data),
        }
    }
}

/// A value as it travels: base64 where XML cannot carry it.
fn travelling(format: Format, value: Vec<u8>, encoding: Encoding) -> (Format, Vec<u8>) {
    let as_it_is = encoding == Encoding::Wbxml || (format != Format::Bin && is_xml_text(&value));
    if as_it_is { (format, value) } else { (Format::B64, base64::encode(&value).into_bytes()) }
}

/// Meta of a value; what is the default is not said.
fn meta(format: Format, mime: Option<String>) -> Option<Box<Meta>> {
    let format = Some(format).filter(|format| *format != Format::Chr);
    let mime = mime.filter(|mime| mime != "text/plain");
    (format.is_some() || mime.is_some()).then(|| Box::new(Meta { format, mime, ..Meta::default() }))
}

fn item(source: String, meta: Option<Box<Meta>>, data: Option<Vec<u8>>) -> Item {
    Item { source: Some(Location::new(source)), meta, data, ..Item::default() }
}

/// The answer to a Get of a node.
pub(super) fn node_item(asked: String, node: Node, encoding: Encoding) -> Item {
    let (format, data) = match node.content {
        Content::Interior(children) => (Format::Node, Some(children.join("/").into_bytes())),
        Content::Leaf(Format::Null, _) => (Format::Null, None),
        Content::Leaf(format, value) => {
            let (format, data) = travelling(format, value, encoding);
            (format, Some(data))
        }
    };
    item(asked, meta(format, node.mime), data)
}

/// The answer to a Get of a property: text without any meta.
pub(super) fn property_item(asked: String, value: String) -> Item {
    item(asked, None, Some(value.into_bytes()))
}

/// A node in the answer to `?list=`.
pub(super) fn listed_item(listed: Listed, encoding: Encoding) -> Item {
    let (format, data) = match listed.value {
        Some(value) if !matches!(listed.format, Format::Node | Format::Null) => {
            let (format, data) = travelling(listed.format, value, encoding);
            (format, Some(data))
        }
        _ => (listed.format, None),
    };
    item(listed.uri.to_string(), meta(format, listed.mime), data)
}

/// The answer to `?list=TNDS`.
pub(super) fn tnds_item(asked: String, tnds: &Tnds, encoding: Encoding) -> Item {
    let format = if encoding == Encoding::Xml { Format::Xml } else { Format::Bin };
    item(asked, meta(format, Some(encoding.tnds_type().to_owned())), Some(encode_tnds(tnds, encoding)))
}
