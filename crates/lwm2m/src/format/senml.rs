//! SenML in its two encodings (RFC 8428, with the object links of LwM2M 1.1).
//!
//! A pack is read into records first, then the records are given to the resources that their names say. A name is
//! base name and name written one after the other, nothing else; LwM2M begins names with a slash.

use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use minicbor::data::Type;
use minicbor::{Decoder, Encoder};
use serde_json::{Map, Value as Json};

use super::{Builder, Decoded, Format, FormatError, Models, cbor, flat};
use crate::limits::ENTRIES_MAX;
use crate::path::Path;
use crate::value::{Entry, Kind, Number, ObjectLink, Value};

/// Writes no padding, as RFC 8428 asks, and reads it with or without.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
/// The newest version of SenML that is understood.
const VERSION_MAX: f64 = 10.0;

/// A value before the data type of its resource is known.
#[derive(Debug, Clone, PartialEq)]
enum Raw {
    Number(Number),
    Text(String),
    Boolean(bool),
    /// Decoded, or none when it is not Base64.
    Bytes(Option<Vec<u8>>),
    Link(String),
}

impl Raw {
    fn into_value(self, kind: Kind) -> Option<Value> {
        match (self, kind) {
            (Self::Number(number), kind) => number.into_value(kind),
            (Self::Text(text), Kind::Text) => Some(Value::Text(text)),
            (Self::Text(text), Kind::CoreLink) => Some(Value::CoreLink(text)),
            (Self::Boolean(yes), Kind::Boolean) => Some(Value::Boolean(yes)),
            (Self::Bytes(bytes), Kind::Opaque) => bytes.map(Value::Opaque),
            (Self::Link(text), Kind::Link) => ObjectLink::parse(&text).map(Value::Link),
            _ => None,
        }
    }
}

/// One record, as far as LwM2M uses it. Times and units are left out: a value that is written is written now.
#[derive(Debug, Default)]
struct Record {
    base: Option<String>,
    name: Option<String>,
    value: Option<Raw>,
}

impl Record {
    fn set(&mut self, value: Raw) -> Result<(), FormatError> {
        match self.value.replace(value) {
            Some(_) => Err(FormatError::Malformed("a record has two values")),
            None => Ok(()),
        }
    }
}

/// Reads a pack whose names are all at or below `base`.
pub fn decode(
    format: Format,
    base: Path,
    payload: &[u8],
    models: Models<'_>,
) -> Result<Decoded, FormatError> {
    let mut builder = Builder::new(models);
    for (path, value) in named(records(format, payload)?)? {
        if !base.contains(&path) {
            return Err(FormatError::Malformed("a name is outside of the path of the request"));
        }
        match value {
            Some(value) if path.depth() >= 3 => {
                let Some(kind) = builder.kind(path)? else { continue };
                let value = value.into_value(kind).ok_or(FormatError::Type { path, kind })?;
                builder.put(path, value)?;
            }
            None if path.depth() == 2 => builder.instance(path),
            _ => return Err(FormatError::Malformed("a record has a name without a value, or the reverse")),
        }
    }
    Ok(builder.finish())
}

/// Reads the paths of a composite Read or Observe: records with names and without values.
pub fn decode_paths(format: Format, payload: &[u8]) -> Result<Vec<Path>, FormatError> {
    let named = named(records(format, payload)?)?;
    Ok(named.into_iter().map(|(path, _)| path).collect())
}

fn records(format: Format, payload: &[u8]) -> Result<Vec<Record>, FormatError> {
    match format {
        Format::SenmlJson => records_json(payload),
        Format::SenmlCbor => records_cbor(payload),
        _ => Err(FormatError::Unfit { format, path: Path::ROOT }),
    }
}

/// Resolves the names of records.
fn named(records: Vec<Record>) -> Result<Vec<(Path, Option<Raw>)>, FormatError> {
    let mut base = String::new();
    let mut named = Vec::with_capacity(records.len());
    for record in records {
        if let Some(new) = record.base {
            base = new;
        }
        let name = record.name.unwrap_or_default();
        let path = Path::parse(&format!("{base}{name}")).map_err(FormatError::Name)?;
        named.push((path, record.value));
    }
    Ok(named)
}

/// A label that is not understood: must it be?
fn unknown(label: &str) -> Result<(), FormatError> {
    if label.starts_with('_') || label.ends_with('_') {
        return Err(FormatError::Malformed("a record has a field that must be understood and is not"));
    }
    Ok(())
}

fn version(number: f64) -> Result<(), FormatError> {
    if number > VERSION_MAX {
        return Err(FormatError::Malformed("the pack is of a newer version of SenML"));
    }
    Ok(())
}

const NO_BASE_VALUE: FormatError = FormatError::Malformed("base values are not supported");

fn records_json(payload: &[u8]) -> Result<Vec<Record>, FormatError> {
    let array: Vec<Map<String, Json>> = serde_json::from_slice(payload).map_err(FormatError::Json)?;
    if array.len() > ENTRIES_MAX {
        return Err(FormatError::TooMany);
    }
    array.into_iter().map(record_json).collect()
}

fn record_json(fields: Map<String, Json>) -> Result<Record, FormatError> {
    let wrong = || FormatError::Malformed("a field of a record has the wrong type");
    let mut record = Record::default();
    for (label, json) in fields {
        let text = |json: Json| match json {
            Json::String(text) => Ok(text),
            _ => Err(wrong()),
        };
        match label.as_str() {
            "bn" => record.base = Some(text(json)?),
            "n" => record.name = Some(text(json)?),
            "v" => record.set(Raw::Number(json_number(&json).ok_or_else(wrong)?))?,
            "vs" => record.set(Raw::Text(text(json)?))?,
            "vb" => record.set(Raw::Boolean(json.as_bool().ok_or_else(wrong)?))?,
            "vd" => record.set(Raw::Bytes(BASE64.decode(text(json)?).ok()))?,
            "vlo" => record.set(Raw::Link(text(json)?))?,
            "bver" => version(json.as_f64().ok_or_else(wrong)?)?,
            "bv" => return Err(NO_BASE_VALUE),
            other => unknown(other)?,
        }
    }
    Ok(record)
}

/// A number of JSON, as exactly as it can be held.
pub(crate) fn json_number(json: &Json) -> Option<Number> {
    let signed = json.as_i64().map(Number::Signed);
    signed.or_else(|| json.as_u64().map(Number::Unsigned)).or_else(|| json.as_f64().map(Number::Float))
}

fn records_cbor(payload: &[u8]) -> Result<Vec<Record>, FormatError> {
    let mut decoder = Decoder::new(payload);
    let count = decoder.array().map_err(FormatError::Cbor)?;
    let mut records = Vec::new();
    while more(&mut decoder, count, records.len())? {
        if records.len() >= ENTRIES_MAX {
            return Err(FormatError::TooMany);
        }
        records.push(record_cbor(&mut decoder)?);
    }
    if decoder.position() != payload.len() {
        return Err(FormatError::Malformed("bytes follow the pack"));
    }
    Ok(records)
}

/// Whether an array or map of `count` items, or one that ends with a break, has another item.
fn more(decoder: &mut Decoder<'_>, count: Option<u64>, done: usize) -> Result<bool, FormatError> {
    if let Some(count) = count {
        return Ok(u64::try_from(done).is_ok_and(|done| done < count));
    }
    if decoder.datatype().map_err(FormatError::Cbor)? == Type::Break {
        decoder.set_position(decoder.position().saturating_add(1));
        return Ok(false);
    }
    Ok(true)
}

fn record_cbor(decoder: &mut Decoder<'_>) -> Result<Record, FormatError> {
    let wrong = || FormatError::Malformed("a field of a record has the wrong type");
    let mut record = Record::default();
    let count = decoder.map().map_err(FormatError::Cbor)?;
    let mut done = 0_usize;
    while more(decoder, count, done)? {
        done = done.saturating_add(1);
        if let Some(label) = cbor::text(decoder)? {
            if label == "vlo" {
                record.set(Raw::Link(cbor::text(decoder)?.ok_or_else(wrong)?))?;
            } else {
                unknown(&label)?;
                decoder.skip().map_err(FormatError::Cbor)?;
            }
            continue;
        }
        match decoder.i64().map_err(FormatError::Cbor)? {
            -2 => record.base = Some(cbor::text(decoder)?.ok_or_else(wrong)?),
            0 => record.name = Some(cbor::text(decoder)?.ok_or_else(wrong)?),
            2 => record.set(Raw::Number(cbor::number(decoder)?.ok_or_else(wrong)?))?,
            3 => record.set(Raw::Text(cbor::text(decoder)?.ok_or_else(wrong)?))?,
            4 => record.set(Raw::Boolean(decoder.bool().map_err(FormatError::Cbor)?))?,
            8 => record.set(Raw::Bytes(Some(cbor::bytes(decoder)?.ok_or_else(wrong)?)))?,
            -1 => version(cbor::number(decoder)?.ok_or_else(wrong)?.float())?,
            -5 => return Err(NO_BASE_VALUE),
            _ => decoder.skip().map_err(FormatError::Cbor)?,
        }
    }
    Ok(record)
}

/// Writes entries, which are at or below `base`. The names are those of the whole tree when `base` is the root.
pub fn encode(format: Format, base: Path, entries: &[Entry]) -> Result<Vec<u8>, FormatError> {
    let values: Vec<(Path, &Value)> = flat(entries).filter(|(path, _)| base.contains(path)).collect();
    let alone = matches!(values.as_slice(), [(path, _)] if *path == base);
    let prefix = match base.depth() {
        0 => String::new(),
        _ if alone => base.to_string(),
        _ => format!("{base}/"),
    };
    let records = values.iter().enumerate().map(|(index, (path, value))| {
        let whole = path.to_string();
        let name = whole.strip_prefix(&prefix).unwrap_or(&whole).to_owned();
        let base = (index == 0 && !prefix.is_empty()).then_some(prefix.as_str());
        (base, name, *value)
    });
    match format {
        Format::SenmlJson => encode_json(records),
        Format::SenmlCbor => encode_cbor(records, values.len())
            .map_err(|_| FormatError::Malformed("a value does not fit memory")),
        _ => Err(FormatError::Unfit { format, path: base }),
    }
}

fn encode_json<'a>(
    records: impl Iterator<Item = (Option<&'a str>, String, &'a Value)>,
) -> Result<Vec<u8>, FormatError> {
    let array: Vec<Json> = records
        .map(|(base, name, value)| {
            let mut fields = Map::new();
            if let Some(base) = base {
                fields.insert("bn".to_owned(), base.into());
            }
            if !name.is_empty() {
                fields.insert("n".to_owned(), name.into());
            }
            let (label, json) = match value {
                Value::Integer(n) | Value::Time(n) => ("v", Json::from(*n)),
                Value::Unsigned(n) => ("v", Json::from(*n)),
                Value::Float(n) => ("v", Json::from(*n)),
                Value::Boolean(yes) => ("vb", Json::from(*yes)),
                Value::Text(text) | Value::CoreLink(text) => ("vs", Json::from(text.as_str())),
                Value::Opaque(bytes) => ("vd", Json::from(BASE64.encode(bytes))),
                Value::Link(link) => ("vlo", Json::from(link.to_string())),
            };
            fields.insert(label.to_owned(), json);
            Json::Object(fields)
        })
        .collect();
    serde_json::to_vec(&array).map_err(FormatError::Json)
}

fn encode_cbor<'a>(
    records: impl Iterator<Item = (Option<&'a str>, String, &'a Value)>,
    count: usize,
) -> Result<Vec<u8>, minicbor::encode::Error<std::convert::Infallible>> {
    let mut encoder = Encoder::new(Vec::new());
    encoder.array(u64::try_from(count).unwrap_or(u64::MAX))?;
    for (base, name, value) in records {
        let fields =
            1_u64.saturating_add(u64::from(base.is_some())).saturating_add(u64::from(!name.is_empty()));
        encoder.map(fields)?;
        if let Some(base) = base {
            encoder.i8(-2)?.str(base)?;
        }
        if !name.is_empty() {
            encoder.u8(0)?.str(&name)?;
        }
        match value {
            Value::Integer(n) | Value::Time(n) => encoder.u8(2)?.i64(*n)?,
            Value::Unsigned(n) => encoder.u8(2)?.u64(*n)?,
            Value::Float(n) => encoder.u8(2)?.f64(*n)?,
            Value::Boolean(yes) => encoder.u8(4)?.bool(*yes)?,
            Value::Text(text) | Value::CoreLink(text) => encoder.u8(3)?.str(text)?,
            Value::Opaque(bytes) => encoder.u8(8)?.bytes(bytes)?,
            Value::Link(link) => encoder.str("vlo")?.str(&link.to_string())?,
        };
    }
    Ok(encoder.into_writer())
}
