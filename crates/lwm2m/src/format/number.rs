//! Numbers in decimal digits, read strictly: what Rust's parser takes beyond them is not a number of LwM2M.

use crate::value::{Kind, Number, Value};

/// Longest decimal number in bytes: a float with every digit that makes a difference, and some room.
const DIGITS_MAX: usize = 64;

/// Reads a number of `kind`.
pub(crate) fn parse(text: &str, kind: Kind) -> Option<Value> {
    if text.len() > DIGITS_MAX || text.starts_with('+') {
        return None;
    }
    match kind {
        Kind::Unsigned => text.parse().ok().map(Value::Unsigned),
        Kind::Integer | Kind::Time => Number::Signed(text.parse().ok()?).into_value(kind),
        _ => parse_float(text).map(Value::Float),
    }
}

/// Reads a finite number, with a fraction and an exponent or without.
pub(crate) fn parse_float(text: &str) -> Option<f64> {
    let plain = text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
    if !plain || text.len() > DIGITS_MAX || text.starts_with('+') {
        return None;
    }
    text.parse().ok().filter(|n: &f64| n.is_finite())
}
