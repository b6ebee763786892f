//! What a resource holds.

use std::collections::BTreeMap;
use std::fmt;

use crate::path::Path;

/// The data type of a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Signed number of up to 64 bits.
    Integer,
    /// Unsigned number of up to 64 bits; since 1.1.
    Unsigned,
    /// Floating-point number.
    Float,
    /// Yes or no.
    Boolean,
    /// UTF-8 text.
    Text,
    /// Bytes.
    Opaque,
    /// Seconds since the Unix epoch.
    Time,
    /// Names an object instance.
    Link,
    /// Text in link format; since 1.1.
    CoreLink,
}

impl Kind {
    /// Whether the conditions `gt`, `lt` and `st` make sense for it.
    #[must_use]
    pub const fn is_numeric(self) -> bool {
        matches!(self, Self::Integer | Self::Unsigned | Self::Float | Self::Time)
    }
}

/// A link to an object instance, written `object:instance`; `65535:65535` links to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectLink {
    /// The object.
    pub object: u16,
    /// Its instance.
    pub instance: u16,
}

impl ObjectLink {
    /// Reads `object:instance`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let plain = |part: &str| part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse().ok())?;
        let (object, instance) = text.split_once(':')?;
        Some(Self { object: plain(object)?, instance: plain(instance)? })
    }
}

impl fmt::Display for ObjectLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.object, self.instance)
    }
}

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// See [`Kind::Integer`].
    Integer(i64),
    /// See [`Kind::Unsigned`].
    Unsigned(u64),
    /// See [`Kind::Float`]. Never infinite and never "not a number" when it comes from outside.
    Float(f64),
    /// See [`Kind::Boolean`].
    Boolean(bool),
    /// See [`Kind::Text`].
    Text(String),
    /// See [`Kind::Opaque`].
    Opaque(Vec<u8>),
    /// See [`Kind::Time`].
    Time(i64),
    /// See [`Kind::Link`].
    Link(ObjectLink),
    /// See [`Kind::CoreLink`].
    CoreLink(String),
}

impl Value {
    /// Its data type.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Integer(_) => Kind::Integer,
            Self::Unsigned(_) => Kind::Unsigned,
            Self::Float(_) => Kind::Float,
            Self::Boolean(_) => Kind::Boolean,
            Self::Text(_) => Kind::Text,
            Self::Opaque(_) => Kind::Opaque,
            Self::Time(_) => Kind::Time,
            Self::Link(_) => Kind::Link,
            Self::CoreLink(_) => Kind::CoreLink,
        }
    }

    /// The number that `gt`, `lt` and `st` compare; none for what is not numeric.
    #[must_use]
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Integer(n) | Self::Time(n) => Some(Number::Signed(*n).float()),
            Self::Unsigned(n) => Some(Number::Unsigned(*n).float()),
            Self::Float(n) => Some(*n),
            _ => None,
        }
    }

    /// The whole number; none for other kinds and for what does not fit.
    #[must_use]
    pub fn integer(&self) -> Option<i64> {
        match self {
            Self::Integer(n) | Self::Time(n) => Some(*n),
            Self::Unsigned(n) => i64::try_from(*n).ok(),
            _ => None,
        }
    }
}

/// A number as a format carries it, before the data type of the resource is applied.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Number {
    /// A whole number that fits.
    Signed(i64),
    /// A whole number; for what a signed one cannot hold.
    Unsigned(u64),
    /// Any other number.
    Float(f64),
}

/// The whole numbers that a float can hold without loss end here: 2^53.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

impl Number {
    /// The value of `kind` that this number is; a float is a whole number when it has no fraction.
    pub(crate) fn into_value(self, kind: Kind) -> Option<Value> {
        match kind {
            Kind::Integer => self.signed().map(Value::Integer),
            Kind::Time => self.signed().map(Value::Time),
            Kind::Unsigned => self.unsigned().map(Value::Unsigned),
            Kind::Float => Some(self.float()).filter(|n| n.is_finite()).map(Value::Float),
            _ => None,
        }
    }

    fn signed(self) -> Option<i64> {
        match self {
            Self::Signed(n) => Some(n),
            Self::Unsigned(n) => i64::try_from(n).ok(),
            // Within the exact range the printed form is the number itself.
            Self::Float(n) if n.fract() == 0.0 && n.abs() <= EXACT_MAX => format!("{n:.0}").parse().ok(),
            Self::Float(_) => None,
        }
    }

    fn unsigned(self) -> Option<u64> {
        match self {
            Self::Unsigned(n) => Some(n),
            other => other.signed().and_then(|n| u64::try_from(n).ok()),
        }
    }

    /// The nearest float.
    #[allow(clippy::cast_precision_loss)] // Conditions and float resources are floats; the nearest one is meant.
    pub(crate) fn float(self) -> f64 {
        match self {
            Self::Signed(n) => n as f64,
            Self::Unsigned(n) => n as f64,
            Self::Float(n) => n,
        }
    }
}

/// What is in a resource: one value, or several with their identifiers.
#[derive(Debug, Clone, PartialEq)]
pub enum Resource {
    /// The resource holds one value.
    Single(Value),
    /// The resource holds any number of values; the keys are resource instance identifiers.
    Multiple(BTreeMap<u16, Value>),
}

impl Resource {
    /// The one value of a single resource.
    #[must_use]
    pub fn single(&self) -> Option<&Value> {
        match self {
            Self::Single(value) => Some(value),
            Self::Multiple(_) => None,
        }
    }
}

impl From<Value> for Resource {
    fn from(value: Value) -> Self {
        Self::Single(value)
    }
}

/// A resource with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Path of the resource: always three identifiers, even when only one resource instance is meant.
    pub path: Path,
    /// What is in it, or the part that is meant.
    pub resource: Resource,
}

impl Entry {
    /// A resource at its place.
    #[must_use]
    pub fn new(path: Path, resource: impl Into<Resource>) -> Self {
        Self { path, resource: resource.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_become_values_only_without_loss() {
        assert_eq!(Number::Float(2.0).into_value(Kind::Integer), Some(Value::Integer(2)));
        assert_eq!(Number::Float(2.5).into_value(Kind::Integer), None);
        assert_eq!(Number::Float(1e300).into_value(Kind::Integer), None);
        assert_eq!(Number::Unsigned(u64::MAX).into_value(Kind::Integer), None);
        assert_eq!(Number::Signed(-1).into_value(Kind::Unsigned), None);
        assert_eq!(Number::Float(f64::NAN).into_value(Kind::Float), None);
        assert_eq!(Number::Signed(1).into_value(Kind::Boolean), None);
    }

    #[test]
    fn links_are_two_numbers() {
        assert_eq!(ObjectLink::parse("14:3"), Some(ObjectLink { object: 14, instance: 3 }));
        for bad in ["14", "14:", ":3", "14:3:1", "+1:3", "70000:1", "a:b"] {
            assert_eq!(ObjectLink::parse(bad), None, "{bad}");
        }
    }
}
