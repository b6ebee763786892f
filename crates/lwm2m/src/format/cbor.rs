//! One value as one CBOR data item, content format 60, and what it shares with SenML.

use minicbor::data::{Tag, Type};
use minicbor::{Decoder, Encoder};

use super::FormatError;
use crate::value::{Kind, Number, ObjectLink, Value};

/// Tag of seconds since the epoch (RFC 8949, 3.4.2).
const TAG_TIME: u64 = 1;
/// Tag of a decimal fraction (RFC 8949, 3.4.4).
const TAG_FRACTION: u64 = 4;
/// Largest exponent of a decimal fraction: no float reaches further.
const EXPONENT_MAX: i32 = 400;

/// Reads a value; none when the item is of another kind.
pub fn decode(payload: &[u8], kind: Kind) -> Result<Option<Value>, FormatError> {
    let mut decoder = Decoder::new(payload);
    let value = match kind {
        Kind::Boolean => decoder.bool().map(Value::Boolean).ok(),
        Kind::Opaque => bytes(&mut decoder)?.map(Value::Opaque),
        Kind::Text => text(&mut decoder)?.map(Value::Text),
        Kind::CoreLink => text(&mut decoder)?.map(Value::CoreLink),
        Kind::Link => text(&mut decoder)?.and_then(|t| ObjectLink::parse(&t)).map(Value::Link),
        Kind::Integer | Kind::Unsigned | Kind::Float | Kind::Time => {
            number(&mut decoder)?.and_then(|n| n.into_value(kind))
        }
    };
    if value.is_some() && decoder.position() != payload.len() {
        return Err(FormatError::Malformed("bytes follow the CBOR item"));
    }
    Ok(value)
}

/// Writes a value.
pub fn encode(value: &Value) -> Result<Vec<u8>, FormatError> {
    let mut encoder = Encoder::new(Vec::new());
    match value {
        Value::Boolean(yes) => encoder.bool(*yes).map(drop),
        Value::Integer(n) => encoder.i64(*n).map(drop),
        Value::Unsigned(n) => encoder.u64(*n).map(drop),
        Value::Float(n) => encoder.f64(*n).map(drop),
        Value::Time(n) => encoder.tag(Tag::new(TAG_TIME)).and_then(|e| e.i64(*n)).map(drop),
        Value::Text(text) | Value::CoreLink(text) => encoder.str(text).map(drop),
        Value::Opaque(bytes) => encoder.bytes(bytes).map(drop),
        Value::Link(link) => encoder.str(&link.to_string()).map(drop),
    }
    .map_err(|_| FormatError::Malformed("the value does not fit memory"))?;
    Ok(encoder.into_writer())
}

/// A number of any width, with or without the tag of time, or a decimal fraction; none when it is something else.
pub(crate) fn number(decoder: &mut Decoder<'_>) -> Result<Option<Number>, FormatError> {
    if decoder.datatype().map_err(FormatError::Cbor)? == Type::Tag {
        let tag = decoder.tag().map_err(FormatError::Cbor)?.as_u64();
        if tag == TAG_FRACTION {
            return fraction(decoder).map(Some);
        }
        if tag != TAG_TIME {
            return Ok(None);
        }
    }
    plain_number(decoder)
}

fn plain_number(decoder: &mut Decoder<'_>) -> Result<Option<Number>, FormatError> {
    Ok(Some(match decoder.datatype().map_err(FormatError::Cbor)? {
        Type::F16 | Type::F32 | Type::F64 => {
            let float = match decoder.datatype().map_err(FormatError::Cbor)? {
                Type::F16 => decoder.f16().map(f64::from),
                Type::F32 => decoder.f32().map(f64::from),
                _ => decoder.f64(),
            };
            Number::Float(float.map_err(FormatError::Cbor)?)
        }
        Type::U8 | Type::U16 | Type::U32 | Type::U64 => {
            let number = decoder.u64().map_err(FormatError::Cbor)?;
            i64::try_from(number).map_or(Number::Unsigned(number), Number::Signed)
        }
        Type::I8 | Type::I16 | Type::I32 | Type::I64 => {
            Number::Signed(decoder.i64().map_err(FormatError::Cbor)?)
        }
        _ => return Ok(None),
    }))
}

/// `[exponent, mantissa]`, as the nearest float.
fn fraction(decoder: &mut Decoder<'_>) -> Result<Number, FormatError> {
    if decoder.array().map_err(FormatError::Cbor)? != Some(2) {
        return Err(FormatError::Malformed("a decimal fraction has two parts"));
    }
    let exponent = decoder.i32().map_err(FormatError::Cbor)?;
    let mantissa = decoder.i64().map_err(FormatError::Cbor)?;
    if exponent.abs() > EXPONENT_MAX {
        return Err(FormatError::Malformed("the exponent of a decimal fraction is too large"));
    }
    // Reading the decimal text rounds once; multiplying by a power of ten would round twice.
    let float = format!("{mantissa}e{exponent}").parse().ok().filter(|n: &f64| n.is_finite());
    float.map(Number::Float).ok_or(FormatError::Malformed("a decimal fraction is too large"))
}

/// A text in one piece or in several; none when it is something else.
pub(crate) fn text(decoder: &mut Decoder<'_>) -> Result<Option<String>, FormatError> {
    match decoder.datatype().map_err(FormatError::Cbor)? {
        Type::String | Type::StringIndef => {
            let pieces = decoder.str_iter().map_err(FormatError::Cbor)?;
            pieces.collect::<Result<String, _>>().map(Some).map_err(FormatError::Cbor)
        }
        _ => Ok(None),
    }
}

/// Bytes in one piece or in several; none when it is something else.
pub(crate) fn bytes(decoder: &mut Decoder<'_>) -> Result<Option<Vec<u8>>, FormatError> {
    match decoder.datatype().map_err(FormatError::Cbor)? {
        Type::Bytes | Type::BytesIndef => {
            let mut all = Vec::new();
            for piece in decoder.bytes_iter().map_err(FormatError::Cbor)? {
                all.extend_from_slice(piece.map_err(FormatError::Cbor)?);
            }
            Ok(Some(all))
        }
        _ => Ok(None),
    }
}
