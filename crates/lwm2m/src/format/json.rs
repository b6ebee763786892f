//! The JSON of LwM2M 1.0, content format 11543, which servers of that time still ask for.
//!
//! Known servers name a single resource in different ways; reading takes all of them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value as Json};

use super::senml::json_number;
use super::{Builder, Decoded, Format, FormatError, Models, flat};
use crate::limits::ENTRIES_MAX;
use crate::path::Path;
use crate::value::{Entry, Kind, ObjectLink, Value};

/// Reads what is meant for `base`.
pub fn decode(base: Path, payload: &[u8], models: Models<'_>) -> Result<Decoded, FormatError> {
    let pack: Map<String, Json> = serde_json::from_slice(payload).map_err(FormatError::Json)?;
    let prefix = match pack.get("bn") {
        None => None,
        Some(Json::String(text)) => Some(text.as_str()),
        Some(_) => return Err(FormatError::Malformed("the base name is not a text")),
    };
    let Some(Json::Array(elements)) = pack.get("e") else {
        return Err(FormatError::Malformed("there is no array 'e'"));
    };
    if elements.len() > ENTRIES_MAX {
        return Err(FormatError::TooMany);
    }
    let mut builder = Builder::new(models);
    for element in elements {
        let Json::Object(fields) = element else {
            return Err(FormatError::Malformed("an element is not an object"));
        };
        let name = match fields.get("n") {
            None => "",
            Some(Json::String(text)) => text,
            Some(_) => return Err(FormatError::Malformed("a name is not a text")),
        };
        let path = resolve(&builder, base, prefix, name)?;
        if path.depth() < 3 || !base.contains(&path) {
            return Err(FormatError::Malformed("a name is not that of a resource below the path"));
        }
        let Some(kind) = builder.kind(path)? else { continue };
        let value = value(fields, kind).ok_or(FormatError::Type { path, kind })?;
        builder.put(path, value)?;
    }
    Ok(builder.finish())
}

/// The path that base name and name mean together, with one slash between them.
fn resolve(builder: &Builder<'_>, base: Path, prefix: Option<&str>, name: &str) -> Result<Path, FormatError> {
    let whole = match prefix {
        Some(prefix) => format!("{}/{}", prefix.trim_end_matches('/'), name.trim_start_matches('/')),
        None => format!("{base}/{}", name.trim_start_matches('/')),
    };
    let path = Path::parse(&whole).map_err(FormatError::Name)?;
    // Seen in the wild: base name "/3/0/9/" and name "9" for the one value of /3/0/9.
    let repeated = path.depth() == 4 && path.resource_id() == path.resource_instance_id();
    Ok(if repeated && !builder.is_multiple(&path) { path.prefix(3) } else { path })
}

fn value(fields: &Map<String, Json>, kind: Kind) -> Option<Value> {
    match kind {
        Kind::Integer | Kind::Unsigned | Kind::Float | Kind::Time => {
            json_number(fields.get("v")?)?.into_value(kind)
        }
        Kind::Boolean => fields.get("bv")?.as_bool().map(Value::Boolean),
        Kind::Link => ObjectLink::parse(fields.get("ov")?.as_str()?).map(Value::Link),
        Kind::Text => fields.get("sv")?.as_str().map(|text| Value::Text(text.to_owned())),
        Kind::CoreLink => fields.get("sv")?.as_str().map(|text| Value::CoreLink(text.to_owned())),
        Kind::Opaque => STANDARD.decode(fields.get("sv")?.as_str()?).ok().map(Value::Opaque),
    }
}

/// Writes entries at or below `base`; the base name ends with a slash, so that joining the texts gives the path.
pub fn encode(base: Path, entries: &[Entry]) -> Result<Vec<u8>, FormatError> {
    if base.depth() == 0 {
        return Err(FormatError::Unfit { format: Format::Json, path: base });
    }
    // A single resource is named within its instance.
    let prefix = format!("{}/", base.prefix(2));
    let elements: Vec<Json> = flat(entries)
        .filter(|(path, _)| base.contains(path))
        .map(|(path, value)| {
            let whole = path.to_string();
            let name = whole.strip_prefix(&prefix).unwrap_or(&whole);
            let (label, json) = match value {
                Value::Integer(n) | Value::Time(n) => ("v", Json::from(*n)),
                Value::Unsigned(n) => ("v", Json::from(*n)),
                Value::Float(n) => ("v", Json::from(*n)),
                Value::Boolean(yes) => ("bv", Json::from(*yes)),
                Value::Text(text) | Value::CoreLink(text) => ("sv", Json::from(text.as_str())),
                Value::Opaque(bytes) => ("sv", Json::from(STANDARD.encode(bytes))),
                Value::Link(link) => ("ov", Json::from(link.to_string())),
            };
            serde_json::json!({ "n": name, label: json })
        })
        .collect();
    serde_json::to_vec(&serde_json::json!({ "bn": prefix, "e": elements })).map_err(FormatError::Json)
}
