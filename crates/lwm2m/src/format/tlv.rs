//! The binary format of LwM2M 1.0, content format 11542: type, identifier, length, value, nested at most three times.

use super::{Builder, Decoded, Format, FormatError, Models};
use crate::path::{ID_NONE, Path};
use crate::value::{Entry, Kind, ObjectLink, Resource, Value};

/// What an item is: the two highest bits of its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Instance,
    ResourceInstance,
    Multiple,
    Resource,
}

struct Item<'a> {
    level: Level,
    id: u16,
    value: &'a [u8],
}

/// Takes one item from the front.
fn item<'a>(bytes: &mut &'a [u8]) -> Result<Item<'a>, FormatError> {
    let first = number(bytes, 1)?;
    let level = match first >> 6 {
        0 => Level::Instance,
        1 => Level::ResourceInstance,
        2 => Level::Multiple,
        _ => Level::Resource,
    };
    let id = number(bytes, if first & 0x20 == 0 { 1 } else { 2 })?;
    let width = (first >> 3) & 3;
    let length = if width == 0 {
        first & 7
    } else if first & 7 == 0 {
        number(bytes, width)?
    } else {
        return Err(FormatError::Malformed("a TLV item has two lengths"));
    };
    let id = u16::try_from(id).unwrap_or(ID_NONE);
    if id == ID_NONE {
        return Err(FormatError::Malformed("a TLV item has the reserved identifier 65535"));
    }
    Ok(Item { level, id, value: take(bytes, length)? })
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Result<&'a [u8], FormatError> {
    let (value, rest) =
        bytes.split_at_checked(length).ok_or(FormatError::Malformed("a TLV item ends too early"))?;
    *bytes = rest;
    Ok(value)
}

/// A number of one to three bytes.
fn number(bytes: &mut &[u8], width: usize) -> Result<usize, FormatError> {
    Ok(take(bytes, width)?.iter().fold(0, |number, byte| (number << 8) | usize::from(*byte)))
}

/// Where the value of the one resource in `bytes` begins, and how long it is; none when more bytes are needed.
/// For values that come in pieces.
pub(crate) fn resource_header(mut bytes: &[u8], id: u16) -> Result<Option<(usize, usize)>, FormatError> {
    let whole = bytes.len();
    let Some(first) = bytes.first().map(|byte| usize::from(*byte)) else { return Ok(None) };
    let header = 2_usize.saturating_add(usize::from(first & 0x20 != 0)).saturating_add((first >> 3) & 3);
    if whole < header {
        return Ok(None);
    }
    number(&mut bytes, 1)?;
    let found = number(&mut bytes, if first & 0x20 == 0 { 1 } else { 2 })?;
    let length = match (first >> 3) & 3 {
        0 => first & 7,
        width => number(&mut bytes, width)?,
    };
    if first >> 6 != 3 || found != usize::from(id) {
        return Err(FormatError::Malformed("the TLV item is not the resource of the path"));
    }
    Ok(Some((header, length)))
}

/// Reads what is meant for `base`: an object, an instance (bare or wrapped), a resource, or a resource instance.
pub fn decode(base: Path, payload: &[u8], models: Models<'_>) -> Result<Decoded, FormatError> {
    let mut builder = Builder::new(models);
    let mut rest = payload;
    let Some(object) = base.object_id() else {
        return Err(FormatError::Unfit { format: Format::Tlv, path: base });
    };
    while !rest.is_empty() {
        let item = item(&mut rest)?;
        let instance = base.instance_id();
        match item.level {
            Level::Instance if base.depth() <= 2 && instance.is_none_or(|id| id == item.id) => {
                instance_item(&mut builder, Path::instance(object, item.id), item.value)?;
            }
            Level::Resource | Level::Multiple => {
                let parent = Path::instance(object, instance.unwrap_or(ID_NONE));
                builder.instance(parent);
                resource_item(&mut builder, base, parent, &item)?;
            }
            Level::ResourceInstance if base.resource_instance_id() == Some(item.id) => {
                value(&mut builder, base, item.value)?;
            }
            _ => return Err(FormatError::Malformed("a TLV item does not belong to the path")),
        }
    }
    Ok(builder.finish())
}

fn instance_item(builder: &mut Builder<'_>, path: Path, mut bytes: &[u8]) -> Result<(), FormatError> {
    builder.instance(path);
    while !bytes.is_empty() {
        let item = item(&mut bytes)?;
        resource_item(builder, path, path, &item)?;
    }
    Ok(())
}

fn resource_item(
    builder: &mut Builder<'_>,
    base: Path,
    parent: Path,
    item: &Item<'_>,
) -> Result<(), FormatError> {
    let path = parent.child(item.id).ok_or(FormatError::Malformed("TLV items are nested too deeply"))?;
    if base.resource_id().is_some_and(|id| id != item.id) {
        return Err(FormatError::Malformed("a TLV item is not the resource of the path"));
    }
    match item.level {
        Level::Resource if base.depth() < 4 => value(builder, path, item.value),
        Level::Multiple => {
            if builder.kind(path)?.is_none() {
                return Ok(());
            }
            builder.several(path)?;
            let mut bytes = item.value;
            while !bytes.is_empty() {
                let inner = self::item(&mut bytes)?;
                let child = path.child(inner.id).filter(|child| base.contains(child) || base.depth() < 4);
                match (inner.level, child) {
                    (Level::ResourceInstance, Some(child)) => value(builder, child, inner.value)?,
                    _ => return Err(FormatError::Malformed("a multiple resource holds something else")),
                }
            }
            Ok(())
        }
        _ => Err(FormatError::Malformed("an object instance holds something else than resources")),
    }
}

fn value(builder: &mut Builder<'_>, path: Path, bytes: &[u8]) -> Result<(), FormatError> {
    let Some(kind) = builder.kind(path)? else { return Ok(()) };
    let value = decode_value(bytes, kind).ok_or(FormatError::Type { path, kind })?;
    builder.put(path, value)
}

fn decode_value(bytes: &[u8], kind: Kind) -> Option<Value> {
    Some(match kind {
        Kind::Integer => Value::Integer(signed(bytes)?),
        Kind::Time => Value::Time(signed(bytes)?),
        Kind::Unsigned => Value::Unsigned(match bytes {
            [_] | [_, _] | [_, _, _, _] | [_, _, _, _, _, _, _, _] => {
                bytes.iter().fold(0, |n, byte| (n << 8) | u64::from(*byte))
            }
            _ => return None,
        }),
        Kind::Float => Value::Float(
            match bytes.len() {
                4 => Some(f64::from(f32::from_be_bytes(bytes.try_into().ok()?))),
                _ => Some(f64::from_be_bytes(bytes.try_into().ok()?)),
            }
            .filter(|n| n.is_finite())?,
        ),
        Kind::Boolean => Value::Boolean(match bytes {
            [0] => false,
            [1] => true,
            _ => return None,
        }),
        Kind::Text => Value::Text(String::from_utf8(bytes.to_vec()).ok()?),
        Kind::CoreLink => Value::CoreLink(String::from_utf8(bytes.to_vec()).ok()?),
        Kind::Opaque => Value::Opaque(bytes.to_vec()),
        Kind::Link => {
            let (object, instance) = bytes.split_first_chunk::<2>()?;
            let instance = u16::from_be_bytes(instance.try_into().ok()?);
            Value::Link(ObjectLink { object: u16::from_be_bytes(*object), instance })
        }
    })
}

fn signed(bytes: &[u8]) -> Option<i64> {
    Some(match bytes.len() {
        1 => i64::from(i8::from_be_bytes(bytes.try_into().ok()?)),
        2 => i64::from(i16::from_be_bytes(bytes.try_into().ok()?)),
        4 => i64::from(i32::from_be_bytes(bytes.try_into().ok()?)),
        _ => i64::from_be_bytes(bytes.try_into().ok()?),
    })
}

/// Writes entries: instances are wrapped for an object, resources are bare for everything below.
pub fn encode(base: Path, entries: &[Entry]) -> Result<Vec<u8>, FormatError> {
    let mut payload = Vec::new();
    match base.depth() {
        0 => return Err(FormatError::Unfit { format: Format::Tlv, path: base }),
        1 => {
            for instance in entries.chunk_by(|a, b| a.path.instance_id() == b.path.instance_id()) {
                let Some(id) = instance.first().and_then(|entry| entry.path.instance_id()) else { continue };
                let mut inner = Vec::new();
                instance.iter().try_for_each(|entry| put_entry(&mut inner, entry))?;
                put(&mut payload, Level::Instance, id, &inner)?;
            }
        }
        _ => entries.iter().try_for_each(|entry| put_entry(&mut payload, entry))?,
    }
    Ok(payload)
}

fn put_entry(payload: &mut Vec<u8>, entry: &Entry) -> Result<(), FormatError> {
    let Some(id) = entry.path.resource_id() else {
        return Err(FormatError::Unfit { format: Format::Tlv, path: entry.path });
    };
    match &entry.resource {
        Resource::Single(value) => put(payload, Level::Resource, id, &encode_value(value)),
        Resource::Multiple(values) => {
            let mut inner = Vec::new();
            for (index, value) in values {
                put(&mut inner, Level::ResourceInstance, *index, &encode_value(value))?;
            }
            put(payload, Level::Multiple, id, &inner)
        }
    }
}

fn put(payload: &mut Vec<u8>, level: Level, id: u16, value: &[u8]) -> Result<(), FormatError> {
    let length = u32::try_from(value.len()).unwrap_or(u32::MAX);
    let [high, a, b, c] = length.to_be_bytes();
    if high != 0 {
        return Err(FormatError::Malformed("a TLV item is at most 16 MiB long"));
    }
    let level = match level {
        Level::Instance => 0,
        Level::ResourceInstance => 0x40,
        Level::Multiple => 0x80,
        Level::Resource => 0xc0,
    };
    let [id_high, id_low] = id.to_be_bytes();
    let wide = if id_high == 0 { 0 } else { 0x20 };
    let (length_bits, length_bytes): (u8, &[u8]) = match length {
        0..8 => (c, &[]),
        8..0x100 => (8, &[c]),
        0x100..0x1_0000 => (16, &[b, c]),
        _ => (24, &[a, b, c]),
    };
    payload.push(level | wide | length_bits);
    if id_high != 0 {
        payload.push(id_high);
    }
    payload.push(id_low);
    payload.extend_from_slice(length_bytes);
    payload.extend_from_slice(value);
    Ok(())
}

fn encode_value(value: &Value) -> Vec<u8> {
    match value {
        Value::Integer(n) | Value::Time(n) => smallest(*n),
        Value::Unsigned(n) => smallest_unsigned(*n),
        Value::Float(n) => n.to_be_bytes().to_vec(),
        Value::Boolean(yes) => vec![u8::from(*yes)],
        Value::Text(text) | Value::CoreLink(text) => text.clone().into_bytes(),
        Value::Opaque(bytes) => bytes.clone(),
        Value::Link(link) => [link.object.to_be_bytes(), link.instance.to_be_bytes()].concat(),
    }
}

fn smallest(number: i64) -> Vec<u8> {
    if let Ok(small) = i8::try_from(number) {
        small.to_be_bytes().to_vec()
    } else if let Ok(small) = i16::try_from(number) {
        small.to_be_bytes().to_vec()
    } else if let Ok(small) = i32::try_from(number) {
        small.to_be_bytes().to_vec()
    } else {
        number.to_be_bytes().to_vec()
    }
}

fn smallest_unsigned(number: u64) -> Vec<u8> {
    if let Ok(small) = u8::try_from(number) {
        small.to_be_bytes().to_vec()
    } else if let Ok(small) = u16::try_from(number) {
        small.to_be_bytes().to_vec()
    } else if let Ok(small) = u32::try_from(number) {
        small.to_be_bytes().to_vec()
    } else {
        number.to_be_bytes().to_vec()
    }
}
