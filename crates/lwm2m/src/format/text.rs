//! One value as plain text, content format 0.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::number;
use crate::value::{Kind, ObjectLink, Value};

/// Reads a value; none when the text is not of this kind.
#[must_use]
pub fn decode(payload: &[u8], kind: Kind) -> Option<Value> {
    let text = std::str::from_utf8(payload).ok()?;
    Some(match kind {
        Kind::Text => Value::Text(text.to_owned()),
        Kind::CoreLink => Value::CoreLink(text.to_owned()),
        Kind::Boolean => Value::Boolean(match text {
            "0" => false,
            "1" => true,
            _ => return None,
        }),
        Kind::Opaque => Value::Opaque(STANDARD.decode(text).ok()?),
        Kind::Link => Value::Link(ObjectLink::parse(text)?),
        Kind::Integer | Kind::Unsigned | Kind::Time | Kind::Float => number::parse(text, kind)?,
    })
}

/// Writes a value.
#[must_use]
pub fn encode(value: &Value) -> String {
    match value {
        Value::Text(text) | Value::CoreLink(text) => text.clone(),
        Value::Integer(n) | Value::Time(n) => n.to_string(),
        Value::Unsigned(n) => n.to_string(),
        Value::Float(n) => n.to_string(),
        Value::Boolean(yes) => if *yes { "1" } else { "0" }.to_owned(),
        Value::Opaque(bytes) => STANDARD.encode(bytes),
        Value::Link(link) => link.to_string(),
    }
}
