//! Reading: what is at a path, in a format. For Read, Observe, composite reads and Send.

use super::context::Context;
use crate::coap::message::Code;
use crate::format::{self, Format, FormatError};
use crate::limits::RESPONSE_MAX;
use crate::objects::Operation;
use crate::path::Path;
use crate::value::{Entry, Kind, Resource};

use super::config::Version;

/// A payload and its format.
#[derive(Debug)]
pub(crate) struct Content {
    pub(crate) format: Format,
    pub(crate) payload: Vec<u8>,
    /// The number, when it is one number alone: what conditions compare.
    pub(crate) number: Option<f64>,
}

/// Reads one path for a server. `accept`: the format that it wants.
pub(crate) fn read(cx: &Context<'_>, path: &Path, accept: Option<Format>) -> Result<Content, Code> {
    let entries = entries(cx, path)?;
    let format = accept.unwrap_or_else(|| preferred(cx, path));
    content(format, *path, &entries)
}

/// Reads an object or an instance for the bootstrap server, which needs no permission.
pub(crate) fn unchecked(cx: &Context<'_>, path: &Path, accept: Option<Format>) -> Result<Content, Code> {
    let object = cx.object(path)?.id;
    let mut instances = cx.objects.instances(object);
    if let Some(id) = path.instance_id() {
        instances.retain(|known| *known == id);
        if instances.is_empty() {
            return Err(Code::NOT_FOUND);
        }
    }
    let entries: Vec<Entry> = instances.into_iter().flat_map(|id| instance(cx, object, id)).collect();
    content(accept.unwrap_or_else(|| preferred(cx, path)), *path, &entries)
}

/// Reads several paths into one pack. What is not there, or not for this server, is left out; 4.04 when that is
/// everything. Our choice: the text leaves it open.
pub(crate) fn composite(cx: &Context<'_>, paths: &[Path], format: Format) -> Result<Content, Code> {
    let mut found = false;
    let mut all = Vec::new();
    for path in paths {
        if let Ok(entries) = entries(cx, path) {
            found = true;
            all.extend(entries);
        }
    }
    all.sort_by_key(|entry| entry.path);
    all.dedup_by_key(|entry| entry.path);
    if !found {
        return Err(Code::NOT_FOUND);
    }
    content(format, Path::ROOT, &all)
}

fn content(format: Format, base: Path, entries: &[Entry]) -> Result<Content, Code> {
    let payload = format::encode(format, base, entries).map_err(|error| match error {
        FormatError::Unfit { .. } => Code::NOT_ACCEPTABLE,
        _ => Code::INTERNAL_ERROR,
    })?;
    if payload.len() > RESPONSE_MAX {
        return Err(Code::INTERNAL_ERROR);
    }
    let number = match entries {
        [Entry { resource: Resource::Single(value), .. }] => value.number(),
        _ => None,
    };
    Ok(Content { format, payload, number })
}

/// The format of an answer when the server does not say which one it wants.
pub(crate) fn preferred(cx: &Context<'_>, path: &Path) -> Format {
    match (cx.resource(path), path.depth()) {
        (Ok(model), 3 | 4) if !model.multiple || path.depth() == 4 => {
            if model.kind == Kind::Opaque {
                Format::Opaque
            } else {
                Format::Text
            }
        }
        _ if cx.version == Version::V1_0 => Format::Tlv,
        _ => Format::SenmlCbor,
    }
}

/// What is at or below a path and may be read, in the order of paths.
fn entries(cx: &Context<'_>, path: &Path) -> Result<Vec<Entry>, Code> {
    let object = cx.object(path)?;
    match *path.ids() {
        [id] => {
            let instances = cx.objects.instances(id);
            let permitted = instances.into_iter().filter(|at| cx.permits(Operation::Read, id, Some(*at)));
            Ok(permitted.flat_map(|at| instance(cx, id, at)).collect())
        }
        [id, at] => {
            cx.enter(path, Operation::Read)?;
            Ok(instance(cx, id, at))
        }
        _ => {
            cx.enter(path, Operation::Read)?;
            let model = path.resource_id().and_then(|id| object.resource(id)).ok_or(Code::NOT_FOUND)?;
            cx.instantiated(path)?;
            if !model.readable() || (path.depth() == 4 && (!model.multiple || cx.version == Version::V1_0)) {
                return Err(Code::METHOD_NOT_ALLOWED);
            }
            let place = path.prefix(3);
            let mut resource = cx.objects.read(place).map_err(super::request::code)?;
            if let (Some(index), Resource::Multiple(values)) = (path.resource_instance_id(), &mut resource) {
                values.retain(|known, _| *known == index);
                if values.is_empty() {
                    return Err(Code::NOT_FOUND);
                }
            }
            Ok(vec![Entry { path: place, resource }])
        }
    }
}

/// What an instance lets servers read; what fails to be read is left out.
fn instance(cx: &Context<'_>, object: u16, instance: u16) -> Vec<Entry> {
    let Ok(model) = cx.object(&Path::object(object)) else { return Vec::new() };
    let resources = cx.objects.resources(object, instance).into_iter();
    let readable = resources.filter(|id| model.resource(*id).is_some_and(|resource| resource.readable()));
    let read = |id| {
        let path = Path::resource(object, instance, id);
        cx.objects.read(path).ok().map(|resource| Entry { path, resource })
    };
    readable.filter_map(read).collect()
}
