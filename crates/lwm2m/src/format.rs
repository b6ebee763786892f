//! Content formats: payloads to values and back. A format knows no object; the models say which type a value has.
//!
//! Decoding is strict where a wrong guess would write a wrong value, and tolerant where known servers differ.

pub mod cbor;
pub mod json;
pub mod link;
pub(crate) mod number;
pub mod senml;
pub mod stream;
pub mod text;
pub mod tlv;

use std::collections::BTreeMap;

use crate::limits::ENTRIES_MAX;
use crate::model::{ObjectModel, ResourceModel};
use crate::path::{InvalidPath, Path};
use crate::value::{Entry, Kind, Resource, Value};

/// A content format that carries values or links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `text/plain`: one value.
    Text,
    /// `application/link-format`: Discover and registration.
    Link,
    /// `application/octet-stream`: one opaque value.
    Opaque,
    /// `application/cbor`: one value; since 1.1.
    Cbor,
    /// `application/senml+json`; since 1.1.
    SenmlJson,
    /// `application/senml+cbor`; since 1.1.
    SenmlCbor,
    /// `application/vnd.oma.lwm2m+tlv`.
    Tlv,
    /// `application/vnd.oma.lwm2m+json`: of 1.0, for servers that want it.
    Json,
}

impl Format {
    /// The format with the CoAP content format number `id`.
    #[must_use]
    pub const fn from_id(id: u16) -> Option<Self> {
        Some(match id {
            0 => Self::Text,
            40 => Self::Link,
            42 => Self::Opaque,
            60 => Self::Cbor,
            110 => Self::SenmlJson,
            112 => Self::SenmlCbor,
            11542 => Self::Tlv,
            11543 => Self::Json,
            _ => return None,
        })
    }

    /// The numbers that were used before the formats were registered. Some servers still write with them; they are
    /// never sent.
    #[must_use]
    pub const fn from_legacy_id(id: u16) -> Option<Self> {
        Some(match id {
            1541 => Self::Text,
            1542 => Self::Tlv,
            1543 => Self::Json,
            1544 => Self::Opaque,
            _ => return None,
        })
    }

    /// The CoAP content format number.
    #[must_use]
    pub const fn id(self) -> u16 {
        match self {
            Self::Text => 0,
            Self::Link => 40,
            Self::Opaque => 42,
            Self::Cbor => 60,
            Self::SenmlJson => 110,
            Self::SenmlCbor => 112,
            Self::Tlv => 11542,
            Self::Json => 11543,
        }
    }

    /// Whether it carries exactly one value and no path.
    #[must_use]
    pub const fn is_single(self) -> bool {
        matches!(self, Self::Text | Self::Opaque | Self::Cbor)
    }

    /// Whether it is one of the two that name every value by its whole path.
    #[must_use]
    pub const fn is_senml(self) -> bool {
        matches!(self, Self::SenmlJson | Self::SenmlCbor)
    }
}

/// Why a payload cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// The payload is not JSON.
    #[error("the payload is not valid JSON")]
    Json(#[source] serde_json::Error),
    /// The payload is not CBOR.
    #[error("the payload is not valid CBOR")]
    Cbor(#[source] minicbor::decode::Error),
    /// The payload breaks a rule of its format.
    #[error("the payload breaks its format: {0}")]
    Malformed(&'static str),
    /// A name in the payload is not a path.
    #[error("a name in the payload is not a path")]
    Name(#[source] InvalidPath),
    /// A value does not have the data type of its resource.
    #[error("the value of {path} is not a {kind:?}")]
    Type {
        /// The resource.
        path: Path,
        /// Its data type.
        kind: Kind,
    },
    /// There are more than [`ENTRIES_MAX`] values.
    #[error("the payload has more than {ENTRIES_MAX} values")]
    TooMany,
    /// The format cannot carry what is asked for.
    #[error("content format {} cannot carry {path}", format.id())]
    Unfit {
        /// The format.
        format: Format,
        /// What it should carry.
        path: Path,
    },
}

/// The objects that are known.
pub type Models<'a> = &'a [&'static ObjectModel];

/// The resource of a path with at least three identifiers.
#[must_use]
pub fn resource_model(models: Models<'_>, path: &Path) -> Option<&'static ResourceModel> {
    let object = models.iter().find(|model| Some(model.id) == path.object_id())?;
    object.resource(path.resource_id()?)
}

/// What a payload says.
#[derive(Debug, Default, PartialEq)]
pub struct Decoded {
    /// The values, in the order of their paths. Single values stand at their resource, resource instances in a
    /// [`Resource::Multiple`].
    pub entries: Vec<Entry>,
    /// Resources that no model knows, in the order in which they came.
    pub unknown: Vec<Path>,
    /// Object instances that the payload names, also empty ones. An instance that has no name has the identifier
    /// [`crate::path::ID_NONE`].
    pub instances: Vec<Path>,
}

/// Collects what a payload says.
pub(crate) struct Builder<'a> {
    models: Models<'a>,
    resources: BTreeMap<Path, Resource>,
    instances: Vec<Path>,
    unknown: Vec<Path>,
    count: usize,
}

impl<'a> Builder<'a> {
    pub(crate) fn new(models: Models<'a>) -> Self {
        Self { models, resources: BTreeMap::new(), instances: Vec::new(), unknown: Vec::new(), count: 0 }
    }

    /// The data type of the resource at `path`; an unknown resource is noted.
    pub(crate) fn kind(&mut self, path: Path) -> Result<Option<Kind>, FormatError> {
        self.count = self.count.saturating_add(1);
        if self.count > ENTRIES_MAX {
            return Err(FormatError::TooMany);
        }
        self.instance(path.prefix(2));
        let model = resource_model(self.models, &path);
        if model.is_none() {
            self.unknown.push(path);
        }
        Ok(model.map(|model| model.kind))
    }

    /// Whether the resource at `path` holds several values.
    pub(crate) fn is_multiple(&self, path: &Path) -> bool {
        resource_model(self.models, path).is_some_and(|model| model.multiple)
    }

    pub(crate) fn instance(&mut self, path: Path) {
        // Payloads name one instance after the other, so that looking at the last one finds nearly every repetition.
        if self.instances.last() != Some(&path) && !self.instances.contains(&path) {
            self.instances.push(path);
        }
    }

    /// Notes the value of a resource or of a resource instance.
    pub(crate) fn put(&mut self, path: Path, value: Value) -> Result<(), FormatError> {
        let twice = FormatError::Malformed("a resource has two values");
        let Some(index) = path.resource_instance_id() else {
            return match self.resources.insert(path, Resource::Single(value)) {
                Some(_) => Err(twice),
                None => Ok(()),
            };
        };
        match self.several(path.prefix(3))?.insert(index, value) {
            Some(_) => Err(twice),
            None => Ok(()),
        }
    }

    /// Notes a resource that may have no resource instance at all.
    pub(crate) fn several(&mut self, path: Path) -> Result<&mut BTreeMap<u16, Value>, FormatError> {
        match self.resources.entry(path).or_insert_with(|| Resource::Multiple(BTreeMap::new())) {
            Resource::Multiple(values) => Ok(values),
            Resource::Single(_) => Err(FormatError::Malformed("a resource is both single and multiple")),
        }
    }

    pub(crate) fn finish(self) -> Decoded {
        let entries = self.resources.into_iter().map(|(path, resource)| Entry { path, resource }).collect();
        Decoded { entries, unknown: self.unknown, instances: self.instances }
    }
}

/// Reads a payload that is meant for `base`. Nothing outside `base` is accepted.
pub fn decode(
    format: Format,
    base: Path,
    payload: &[u8],
    models: Models<'_>,
) -> Result<Decoded, FormatError> {
    match format {
        Format::Text | Format::Opaque | Format::Cbor => decode_single(format, base, payload, models),
        Format::Tlv => tlv::decode(base, payload, models),
        Format::SenmlJson | Format::SenmlCbor => senml::decode(format, base, payload, models),
        Format::Json => json::decode(base, payload, models),
        Format::Link => Err(FormatError::Unfit { format, path: base }),
    }
}

fn decode_single(
    format: Format,
    base: Path,
    payload: &[u8],
    models: Models<'_>,
) -> Result<Decoded, FormatError> {
    let mut builder = Builder::new(models);
    let kind = builder.kind(base)?;
    let (3.., Some(kind)) = (base.depth(), kind) else {
        return Err(FormatError::Unfit { format, path: base });
    };
    let value = match format {
        Format::Text => text::decode(payload, kind),
        Format::Cbor => cbor::decode(payload, kind)?,
        _ if kind == Kind::Opaque => Some(Value::Opaque(payload.to_vec())),
        _ => return Err(FormatError::Unfit { format, path: base }),
    };
    builder.put(base, value.ok_or(FormatError::Type { path: base, kind })?)?;
    Ok(builder.finish())
}

/// Writes `entries`, which are all at or below `base` and in the order of their paths.
pub fn encode(format: Format, base: Path, entries: &[Entry]) -> Result<Vec<u8>, FormatError> {
    match format {
        Format::Text | Format::Opaque | Format::Cbor => {
            let unfit = FormatError::Unfit { format, path: base };
            let value = single_value(base, entries).ok_or(FormatError::Unfit { format, path: base })?;
            match (format, value) {
                (Format::Text, value) => Ok(text::encode(value).into_bytes()),
                (Format::Cbor, value) => cbor::encode(value),
                (_, Value::Opaque(bytes)) => Ok(bytes.clone()),
                _ => Err(unfit),
            }
        }
        Format::Tlv => tlv::encode(base, entries),
        Format::SenmlJson | Format::SenmlCbor => senml::encode(format, base, entries),
        Format::Json => json::encode(base, entries),
        Format::Link => Err(FormatError::Unfit { format, path: base }),
    }
}

/// The one value of a single resource, or of one resource instance.
fn single_value(base: Path, entries: &[Entry]) -> Option<&Value> {
    let [entry] = entries else { return None };
    match (&entry.resource, base.resource_instance_id()) {
        (Resource::Single(value), None) if base.depth() == 3 => Some(value),
        (Resource::Multiple(values), Some(index)) => values.get(&index),
        _ => None,
    }
}

/// Every value with its whole path, in order: resource instances one by one.
pub(crate) fn flat(entries: &[Entry]) -> impl Iterator<Item = (Path, &Value)> {
    entries.iter().flat_map(|entry| {
        let (single, multiple) = match &entry.resource {
            Resource::Single(value) => (Some((entry.path, value)), None),
            Resource::Multiple(values) => (None, Some(values)),
        };
        let several = multiple.into_iter().flatten();
        let several = several.filter_map(|(index, value)| Some((entry.path.child(*index)?, value)));
        single.into_iter().chain(several)
    })
}
