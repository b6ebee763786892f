//! What a server asks for, carried out: the operations of the device management interface.
//!
//! The checks come in one order: path, access, resource, operation, format, payload; then the objects decide.

use super::config::Version;
use super::context::{Context, Effect};
use super::request::{Request, code};
use super::{discover, read};
use crate::account::{OSCORE, SECURITY, SERVER};
use crate::args::Arguments;
use crate::coap::message::{Code, Message, option};
use crate::format::{self, Decoded, Format, FormatError, senml};
use crate::limits::ENTRIES_MAX;
use crate::model::{Access, ResourceModel};
use crate::objects::{CallId, Mode, Operation, Origin, Reply, Write};
use crate::path::{ID_NONE, Path};
use crate::value::{Entry, Resource};

/// What to answer.
#[derive(Debug)]
pub(crate) enum Answer {
    /// This.
    Now(Message),
    /// The objects will say; if they do it, this.
    Later(CallId, Success),
}

/// The answer to something that the objects do, when they have done it.
#[derive(Debug)]
pub(crate) struct Success {
    pub(crate) response: Message,
    pub(crate) effects: Vec<Effect>,
}

impl Success {
    pub(crate) fn new(code: Code) -> Self {
        Self { response: Message::new(code), effects: Vec::new() }
    }

    pub(crate) fn with(mut self, effect: Effect) -> Self {
        self.effects.push(effect);
        self
    }
}

/// Turns the reply of the objects into an answer.
pub(crate) fn answer(
    cx: &mut Context<'_>,
    call: CallId,
    reply: Reply,
    success: Success,
) -> Result<Answer, Code> {
    match reply {
        Reply::Done => {
            cx.effects.extend(success.effects);
            Ok(Answer::Now(success.response))
        }
        Reply::Later => Ok(Answer::Later(call, success)),
        Reply::Refused(refusal) => Err(code(refusal)),
    }
}

/// Carries out a request of a server that we are registered with.
pub(crate) fn operate(cx: &mut Context<'_>, request: &Request) -> Result<Answer, Code> {
    if request.segments.first().is_some_and(|first| first == "bs") {
        return Err(Code::METHOD_NOT_ALLOWED);
    }
    let path = request.path()?;
    if request.code == Code::FETCH || request.code == Code::IPATCH {
        return composite(cx, request, &path);
    }
    match path.object_id() {
        None => return Err(Code::BAD_REQUEST),
        Some(SECURITY | OSCORE) => return Err(Code::UNAUTHORIZED),
        Some(_) => {}
    }
    match (request.code, path.depth()) {
        (Code::GET, _) if request.accept == Some(u32::from(Format::Link.id())) => {
            Ok(Answer::Now(links(discover::discover(cx, &path)?)))
        }
        (Code::GET, _) => {
            let accept = request.accept_format(cx.config.legacy_formats)?;
            Ok(Answer::Now(content(read::read(cx, &path, accept)?)))
        }
        (Code::PUT, _)
            if request.format.is_none() && !request.query.is_empty() && request.payload.is_empty() =>
        {
            write_attributes(cx, &path, &request.query)
        }
        (Code::PUT, 2..) => write(cx, request, path, Mode::Replace),
        (Code::POST, 1) => create(cx, request, path),
        (Code::POST, 3) => execute(cx, request, &path),
        (Code::POST, _) => write(cx, request, path, Mode::Update),
        (Code::DELETE, 2) => delete(cx, path),
        _ => Err(Code::METHOD_NOT_ALLOWED),
    }
}

/// A response with a payload.
pub(crate) fn content(content: read::Content) -> Message {
    let mut message = Message::new(Code::CONTENT);
    message.add_uint(option::CONTENT_FORMAT, u32::from(content.format.id()));
    message.payload = content.payload;
    message
}

/// A response with links.
pub(crate) fn links(links: String) -> Message {
    let mut message = Message::new(Code::CONTENT);
    message.add_uint(option::CONTENT_FORMAT, u32::from(Format::Link.id()));
    message.payload = links.into_bytes();
    message
}

/// Whether the server may write at a path, and the resource when the path names one.
pub(crate) fn writable(
    cx: &Context<'_>,
    path: &Path,
    operation: Operation,
) -> Result<Option<&'static ResourceModel>, Code> {
    cx.enter(path, operation)?;
    if path.depth() < 3 {
        return Ok(None);
    }
    let model = cx.resource(path)?;
    let instance = path.depth() == 4;
    if !model.writable() || (instance && (!model.multiple || cx.version == Version::V1_0)) {
        return Err(Code::METHOD_NOT_ALLOWED);
    }
    Ok(Some(model))
}

/// The format of a payload that is written to `path`.
pub(crate) fn written_format(cx: &Context<'_>, request: &Request, path: &Path) -> Result<Format, Code> {
    match request.content_format(cx.config.legacy_formats)? {
        Some(format) => Ok(format),
        None if request.payload.is_empty() => Err(Code::BAD_REQUEST),
        // Our choice: a value that says nothing about itself is text; an instance must say what it is.
        None if path.depth() >= 3 => Ok(Format::Text),
        None => Err(Code::UNSUPPORTED_FORMAT),
    }
}

/// Reads a payload that is written.
pub(crate) fn decode(cx: &Context<'_>, format: Format, base: Path, payload: &[u8]) -> Result<Decoded, Code> {
    let decoded = format::decode(format, base, payload, &cx.models).map_err(|error| match error {
        FormatError::Unfit { .. } => Code::UNSUPPORTED_FORMAT,
        _ => Code::BAD_REQUEST,
    })?;
    for entry in &decoded.entries {
        let several = matches!(entry.resource, Resource::Multiple(_));
        if cx.resource(&entry.path)?.multiple != several {
            return Err(Code::BAD_REQUEST);
        }
    }
    Ok(decoded)
}

fn all_writable(cx: &Context<'_>, entries: &[Entry]) -> Result<(), Code> {
    for entry in entries {
        if !cx.resource(&entry.path)?.writable() {
            return Err(Code::METHOD_NOT_ALLOWED);
        }
    }
    Ok(())
}

fn write(cx: &mut Context<'_>, request: &Request, path: Path, mode: Mode) -> Result<Answer, Code> {
    writable(cx, &path, Operation::Write)?;
    let format = written_format(cx, request, &path)?;
    let decoded = decode(cx, format, path, &request.payload)?;
    all_writable(cx, &decoded.entries)?;
    if path.depth() >= 3 && decoded.entries.is_empty() {
        return Err(Code::BAD_REQUEST);
    }
    let write = Write {
        origin: Origin::Server(cx.server),
        target: path,
        mode,
        instances: Vec::new(),
        entries: decoded.entries,
    };
    let call = cx.ids.call();
    let reply = cx.objects.write(call, write);
    answer(cx, call, reply, Success::new(Code::CHANGED).with(Effect::Changed(path)))
}

fn write_attributes(cx: &mut Context<'_>, path: &Path, query: &[String]) -> Result<Answer, Code> {
    cx.enter(path, Operation::Read)?;
    let mut numeric = false;
    if path.depth() >= 3 {
        let model = cx.resource(path)?;
        cx.instantiated(path)?;
        if path.depth() == 4 && (!model.multiple || cx.version == Version::V1_0) {
            return Err(Code::METHOD_NOT_ALLOWED);
        }
        numeric = model.kind.is_numeric() && model.readable();
    }
    cx.attributes.set(*path, query, numeric).map_err(|_| Code::BAD_REQUEST)?;
    Ok(Answer::Now(Message::new(Code::CHANGED)))
}

fn execute(cx: &mut Context<'_>, request: &Request, path: &Path) -> Result<Answer, Code> {
    cx.enter(path, Operation::Execute)?;
    let model = cx.resource(path)?;
    cx.instantiated(path)?;
    if model.access != Access::E {
        return Err(Code::METHOD_NOT_ALLOWED);
    }
    if request.format.is_some_and(|format| format != 0) {
        return Err(Code::UNSUPPORTED_FORMAT);
    }
    let arguments = Arguments::parse(&request.payload).map_err(|_| Code::BAD_REQUEST)?;
    if let Some(effect) = server_action(cx, path) {
        cx.effects.push(effect);
        return Ok(Answer::Now(Message::new(Code::CHANGED)));
    }
    let call = cx.ids.call();
    let reply = cx.objects.execute(call, cx.server, *path, &arguments);
    answer(cx, call, reply, Success::new(Code::CHANGED))
}

/// The resources of object 1 that the client itself executes.
fn server_action(cx: &Context<'_>, path: &Path) -> Option<Effect> {
    let [SERVER, instance, resource] = *path.ids() else { return None };
    let id = cx.objects.read(Path::resource(SERVER, instance, 0)).ok()?;
    let id = id.single()?.integer().and_then(|id| u16::try_from(id).ok())?;
    match resource {
        4 => Some(Effect::Disable(id)),
        8 => Some(Effect::Update(id)),
        9 => Some(Effect::Bootstrap),
        _ => None,
    }
}

fn create(cx: &mut Context<'_>, request: &Request, path: Path) -> Result<Answer, Code> {
    let object = cx.object(&path)?;
    cx.enter(&path, Operation::Create)?;
    if !object.creatable {
        return Err(Code::METHOD_NOT_ALLOWED);
    }
    let decoded = if request.payload.is_empty() {
        Decoded::default()
    } else {
        let format = request.content_format(cx.config.legacy_formats)?.ok_or(Code::UNSUPPORTED_FORMAT)?;
        decode(cx, format, path, &request.payload)?
    };
    all_writable(cx, &decoded.entries)?;
    let present = cx.objects.instances(object.id);
    let named = match decoded.instances.as_slice() {
        [] => None,
        [one] => one.instance_id().filter(|id| *id != ID_NONE),
        _ => return Err(Code::BAD_REQUEST),
    };
    let id = match named {
        Some(id) if present.contains(&id) => return Err(Code::BAD_REQUEST),
        Some(id) => id,
        None => (0..ID_NONE).find(|id| !present.contains(id)).ok_or(Code::METHOD_NOT_ALLOWED)?,
    };
    let place = Path::instance(object.id, id);
    let moved = decoded.entries.into_iter().filter_map(|entry| {
        let path = place.child(entry.path.resource_id()?)?;
        Some(Entry { path, ..entry })
    });
    let mut success = Success::new(Code::CREATED).with(Effect::Created(place));
    if named.is_none() {
        success.response.add(option::LOCATION_PATH, object.id.to_string());
        success.response.add(option::LOCATION_PATH, id.to_string());
    }
    let call = cx.ids.call();
    let reply = cx.objects.create(call, cx.server, place, moved.collect());
    answer(cx, call, reply, success)
}

fn delete(cx: &mut Context<'_>, path: Path) -> Result<Answer, Code> {
    cx.enter(&path, Operation::Delete)?;
    if !cx.object(&path)?.creatable {
        return Err(Code::METHOD_NOT_ALLOWED);
    }
    let call = cx.ids.call();
    let reply = cx.objects.delete(call, Origin::Server(cx.server), path);
    answer(cx, call, reply, Success::new(Code::DELETED).with(Effect::Deleted(path)))
}

/// Read-Composite, Observe-Composite and Write-Composite.
fn composite(cx: &mut Context<'_>, request: &Request, path: &Path) -> Result<Answer, Code> {
    if cx.version < Version::V1_1 || path.depth() != 0 {
        return Err(Code::METHOD_NOT_ALLOWED);
    }
    let format = request.content_format(false)?.filter(|format| format.is_senml());
    let format = format.ok_or(Code::UNSUPPORTED_FORMAT)?;
    if request.code == Code::IPATCH {
        return write_composite(cx, format, &request.payload);
    }
    let accept = request.accept_format(false)?.unwrap_or(format);
    if !accept.is_senml() {
        return Err(Code::NOT_ACCEPTABLE);
    }
    let paths = composite_paths(format, &request.payload)?;
    Ok(Answer::Now(content(read::composite(cx, &paths, accept)?)))
}

/// The paths of a composite read or observation. Nobody reads objects 0 and 21.
pub(crate) fn composite_paths(format: Format, payload: &[u8]) -> Result<Vec<Path>, Code> {
    let paths = senml::decode_paths(format, payload).map_err(|_| Code::BAD_REQUEST)?;
    let secret = |path: &Path| matches!(path.object_id(), None | Some(SECURITY | OSCORE));
    if paths.iter().any(secret) {
        return Err(Code::UNAUTHORIZED);
    }
    if paths.is_empty() || paths.len() > ENTRIES_MAX {
        return Err(Code::BAD_REQUEST);
    }
    Ok(paths)
}

fn write_composite(cx: &mut Context<'_>, format: Format, payload: &[u8]) -> Result<Answer, Code> {
    let decoded = decode(cx, format, Path::ROOT, payload)?;
    if !decoded.unknown.is_empty() {
        return Err(Code::NOT_FOUND);
    }
    if decoded.entries.is_empty() {
        return Err(Code::BAD_REQUEST);
    }
    let mut success = Success::new(Code::CHANGED);
    for entry in &decoded.entries {
        if matches!(entry.path.object_id(), Some(SECURITY | OSCORE)) {
            return Err(Code::UNAUTHORIZED);
        }
        writable(cx, &entry.path, Operation::Write)?;
        success = success.with(Effect::Changed(entry.path));
    }
    let write = Write {
        origin: Origin::Server(cx.server),
        target: Path::ROOT,
        mode: Mode::Update,
        instances: Vec::new(),
        entries: decoded.entries,
    };
    let call = cx.ids.call();
    let reply = cx.objects.write(call, write);
    answer(cx, call, reply, success)
}
