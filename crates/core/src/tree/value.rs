//! Values of nodes, whatever they come from.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::nodes::Format;

/// The value of a leaf.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Value<'a> {
    /// None: the leaf has format `null`.
    Null,
    /// Text: `chr`, `bool`, `date`, `time`, `float` and `xml`.
    Text(Cow<'a, str>),
    /// `int`.
    Int(i32),
    /// `bin` and `b64`, decoded.
    Bytes(#[serde(with = "super::base64")] Cow<'a, [u8]>),
}

impl<'a> Value<'a> {
    /// The text, or nothing when there is none.
    pub(super) fn filled(text: &'a str) -> Option<Self> {
        (!text.is_empty()).then_some(Self::Text(Cow::Borrowed(text)))
    }

    /// Bytes of the value, as OMA DM counts them.
    #[must_use]
    pub fn size(&self) -> usize {
        match self {
            Self::Null => 0,
            Self::Text(text) => text.len(),
            Self::Int(number) => number.to_string().len(),
            Self::Bytes(bytes) => bytes.len(),
        }
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Text(text) => text.is_empty(),
            Self::Int(_) => false,
            Self::Bytes(bytes) => bytes.is_empty(),
        }
    }

    /// The value as text; bytes in base64.
    #[must_use]
    pub fn to_text(&self) -> Cow<'_, str> {
        match self {
            Self::Null => Cow::Borrowed(""),
            Self::Text(text) => Cow::Borrowed(text),
            Self::Int(number) => number.to_string().into(),
            Self::Bytes(bytes) => super::base64::encode(bytes).into(),
        }
    }

    /// The same for as long as one likes.
    #[must_use]
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Self::Null => Value::Null,
            Self::Text(text) => Value::Text(text.into_owned().into()),
            Self::Int(number) => Value::Int(number),
            Self::Bytes(bytes) => Value::Bytes(bytes.into_owned().into()),
        }
    }

    /// The value in the shape that a format has; None: it has no such shape. Text stands for a number when it is one.
    #[must_use]
    pub fn shaped(self, format: Format) -> Option<Self> {
        let text = |text: &Cow<'_, str>| !text.chars().any(|c| c.is_control() && !"\t\r\n".contains(c));
        match (format, self) {
            (Format::Null, value) => value.is_empty().then_some(Self::Null),
            (Format::Int, Self::Text(digits)) => digits.trim().parse().ok().map(Self::Int),
            (Format::Int, Self::Int(number)) => Some(Self::Int(number)),
            (Format::Bin | Format::B64, Self::Bytes(bytes)) => Some(Self::Bytes(bytes)),
            (Format::Bin | Format::B64, Self::Null) => Some(Self::Bytes(Cow::Borrowed(&[]))),
            (Format::Bool, Self::Text(word)) => {
                matches!(&*word, "true" | "false").then_some(Self::Text(word))
            }
            (Format::Float, Self::Text(digits)) => {
                digits.trim().parse::<f64>().is_ok().then_some(Self::Text(digits))
            }
            (Format::Chr | Format::Date | Format::Time | Format::Xml, Self::Text(words)) => {
                text(&words).then_some(Self::Text(words))
            }
            (Format::Chr | Format::Xml, Self::Null) => Some(Self::Text(Cow::Borrowed(""))),
            _ => None,
        }
    }
}

impl From<&str> for Value<'static> {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned().into())
    }
}

impl From<i32> for Value<'static> {
    fn from(number: i32) -> Self {
        Self::Int(number)
    }
}

impl From<&[u8]> for Value<'static> {
    fn from(bytes: &[u8]) -> Self {
        Self::Bytes(bytes.to_owned().into())
    }
}
