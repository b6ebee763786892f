//! Reads and writes serialized trees. The description of a device type (DDF) shares the elements but is not read:
//! a client needs none.

use super::cursor::{Cursor, Name};
use super::encoder::{Encoder, is_xml_text};
use super::{Encoding, source};
use crate::base64;
use crate::error::SyncmlError;
use crate::limits::TNDS_NODES_MAX;
use crate::message::Format;
use crate::tag::{Tag, ddf};
use crate::tnds::{Tnds, TndsNode};

type Result<T> = std::result::Result<T, SyncmlError>;

/// Reads a serialized tree. Which encoding it has is seen from its first byte, as the `Type` that says it is often wrong.
pub fn decode_tnds(bytes: &[u8]) -> Result<Tnds> {
    let text = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let encoding = if text.trim_ascii_start().starts_with(b"<") { Encoding::Xml } else { Encoding::Wbxml };
    let mut source = source(bytes, encoding)?;
    let mut cursor = Cursor::new(source.as_mut(), bytes.len());
    let mut tnds = Tnds::default();
    let mut left = TNDS_NODES_MAX;
    cursor.root(ddf::MGMT_TREE)?;
    cursor.children(&mut |cursor, name| {
        match name {
            Name::Known(ddf::MAN) => tnds.manufacturer = Some(cursor.text("Man")?),
            Name::Known(ddf::MOD) => tnds.model = Some(cursor.text("Mod")?),
            Name::Known(ddf::NODE) => tnds.nodes.push(read_node(cursor, &mut left)?),
            _ => cursor.skip()?,
        }
        Ok(())
    })?;
    cursor.finish()?;
    Ok(tnds)
}

/// Writes a serialized tree as it stands in a message of the same encoding.
#[must_use]
pub fn encode_tnds(tnds: &Tnds, encoding: Encoding) -> Vec<u8> {
    let mut out = Encoder::tnds(encoding);
    out.start(ddf::MGMT_TREE);
    out.leaf(ddf::VER_DTD, "1.2");
    optional(&mut out, ddf::MAN, tnds.manufacturer.as_deref());
    optional(&mut out, ddf::MOD, tnds.model.as_deref());
    tnds.nodes.iter().for_each(|node| write_node(&mut out, node));
    // Values that XML cannot carry are written as base64, and names with control characters do not exist.
    out.finish().0
}

fn read_node(cursor: &mut Cursor<'_, '_>, left: &mut usize) -> Result<TndsNode> {
    *left = left.checked_sub(1).ok_or(SyncmlError::Limit { what: "nodes", max: TNDS_NODES_MAX })?;
    let mut node = TndsNode::default();
    let mut value = None;
    cursor.children(&mut |cursor, name| {
        match name {
            Name::Known(ddf::NODE_NAME) => node.name = cursor.text("NodeName")?,
            Name::Known(ddf::PATH) => node.path = Some(cursor.text("Path")?),
            Name::Known(ddf::RT_PROPERTIES) => read_properties(cursor, &mut node)?,
            Name::Known(ddf::NODE) => node.children.push(read_node(cursor, left)?),
            Name::Known(ddf::VALUE) => value = Some(cursor.mixed(&mut |_, _, _| Err(SyncmlError::Markup))?),
            _ => cursor.skip()?,
        }
        Ok(())
    })?;
    if let (Some(Format::B64), Some(text)) = (&node.format, &value) {
        value = Some(base64::decode(text).ok_or(SyncmlError::Base64("Value"))?);
        node.format = Some(Format::Bin);
    }
    node.value = value;
    Ok(node)
}

fn read_properties(cursor: &mut Cursor<'_, '_>, node: &mut TndsNode) -> Result<()> {
    cursor.children(&mut |cursor, name| {
        match name {
            Name::Known(ddf::ACL) => node.acl = Some(cursor.text("ACL")?).filter(|acl| !acl.is_empty()),
            Name::Known(ddf::FORMAT) => node.format = read_format(cursor)?,
            Name::Known(ddf::SIZE) => node.size = Some(cursor.number("Size")?),
            Name::Known(ddf::TITLE) => node.title = Some(cursor.text("Title")?),
            Name::Known(ddf::TSTAMP) => node.timestamp = Some(cursor.text("TStamp")?),
            Name::Known(ddf::TYPE) => node.kind = read_type(cursor)?,
            Name::Known(ddf::VER_NO) => node.version = Some(cursor.number("VerNo")?),
            _ => cursor.skip()?,
        }
        Ok(())
    })
}

/// The format is the name of an element.
fn read_format(cursor: &mut Cursor<'_, '_>) -> Result<Option<Format>> {
    let mut format = None;
    cursor.children(&mut |cursor, name| {
        let name = match name {
            Name::Known(tag) => tag.name().to_owned(),
            Name::Unknown(name) => name,
        };
        format = Some(Format::named(&name));
        cursor.skip()
    })?;
    Ok(format)
}

fn read_type(cursor: &mut Cursor<'_, '_>) -> Result<Option<String>> {
    let mut kind = None;
    cursor.children(&mut |cursor, name| {
        match name {
            Name::Known(ddf::MIME | ddf::DDF_NAME) => kind = Some(cursor.text("Type")?),
            _ => cursor.skip()?,
        }
        Ok(())
    })?;
    Ok(kind)
}

fn write_node(out: &mut Encoder, node: &TndsNode) {
    let (format, value) = travelling(node, out.encoding());
    out.start(ddf::NODE);
    out.leaf(ddf::NODE_NAME, &node.name);
    optional(out, ddf::PATH, node.path.as_deref());
    out.start(ddf::RT_PROPERTIES);
    optional(out, ddf::ACL, node.acl.as_deref());
    if let Some(tag) = format.and_then(|format| Tag::named(2, format.name())) {
        out.start(ddf::FORMAT);
        out.empty(tag);
        out.end();
    }
    optional(out, ddf::SIZE, node.size.map(|size| size.to_string()).as_deref());
    optional(out, ddf::TITLE, node.title.as_deref());
    optional(out, ddf::TSTAMP, node.timestamp.as_deref());
    if let Some(kind) = &node.kind {
        out.start(ddf::TYPE);
        out.leaf(if node.is_interior() { ddf::DDF_NAME } else { ddf::MIME }, kind);
        out.end();
    }
    optional(out, ddf::VER_NO, node.version.map(|version| version.to_string()).as_deref());
    out.end();
    if let Some(value) = value {
        out.data(ddf::VALUE, &value);
    }
    node.children.iter().for_each(|child| write_node(out, child));
    out.end();
}

/// Format and value as they are written: what XML cannot carry is base64 there.
fn travelling(node: &TndsNode, encoding: Encoding) -> (Option<Format>, Option<std::borrow::Cow<'_, [u8]>>) {
    let Some(value) = &node.value else { return (node.format.clone(), None) };
    let text = node.format != Some(Format::Bin) && is_xml_text(value);
    if text || encoding == Encoding::Wbxml {
        return (node.format.clone(), Some(value.into()));
    }
    (Some(Format::B64), Some(base64::encode(value).into_bytes().into()))
}

fn optional(out: &mut Encoder, tag: Tag, text: Option<&str>) {
    if let Some(text) = text {
        out.leaf(tag, text);
    }
}
