//! What a bootstrap server asks for, carried out: everything may be written, little may be read.

use super::context::{Context, Effect};
use super::discover;
use super::operate::{Answer, content, decode, links, written_format};
use super::read;
use super::request::{Request, code};
use crate::account::{self, SECURITY, SERVER};
use crate::coap::message::{Code, Message};
use crate::format::{Decoded, Format};
use crate::objects::{Mode, Origin, Reply, Transaction, Write};
use crate::path::{ID_NONE, Path};
use crate::value::{Entry, Resource, Value};

/// Object Access Control: beside object 1 the only one that a bootstrap server may read.
const ACCESS_CONTROL: u16 = 2;
/// Object Device: its one instance cannot be deleted.
const DEVICE: u16 = 3;
/// Resource of object 0 that says whether an account is that of a bootstrap server.
const IS_BOOTSTRAP: u16 = 1;

/// Carries out a request during a bootstrap.
pub(crate) fn operate(cx: &mut Context<'_>, request: &Request) -> Result<Answer, Code> {
    if request.code == Code::POST && request.segments == ["bs"] {
        return finish(cx);
    }
    let path = request.path()?;
    match (request.code, path.depth()) {
        (Code::GET, 0..=2) => read_or_discover(cx, request, &path),
        (Code::PUT, 1..=3) => write(cx, request, path),
        (Code::DELETE, 0..=2) => delete(cx, &path),
        (Code::DELETE, _) => Err(Code::BAD_REQUEST),
        _ => Err(Code::METHOD_NOT_ALLOWED),
    }
}

/// Answers after the end: the server may ask again because our answer to its Finish was lost.
pub(crate) fn after(_: &mut Context<'_>, request: &Request) -> Result<Answer, Code> {
    if request.code == Code::POST && request.segments == ["bs"] {
        return Ok(Answer::Now(Message::new(Code::CHANGED)));
    }
    Err(Code::UNAUTHORIZED)
}

fn finish(cx: &mut Context<'_>) -> Result<Answer, Code> {
    account::check(cx.objects).map_err(|_| Code::NOT_ACCEPTABLE)?;
    cx.objects.transaction(Transaction::Commit).map_err(|_| Code::NOT_ACCEPTABLE)?;
    cx.effects.push(Effect::Bootstrapped);
    Ok(Answer::Now(Message::new(Code::CHANGED)))
}

fn read_or_discover(cx: &Context<'_>, request: &Request, path: &Path) -> Result<Answer, Code> {
    let link = request.accept == Some(u32::from(Format::Link.id()));
    if link || path.depth() == 0 {
        return Ok(Answer::Now(links(discover::bootstrap(cx.objects, path, cx.config.newest)?)));
    }
    if !matches!(path.object_id(), Some(SERVER | ACCESS_CONTROL)) {
        return Err(Code::METHOD_NOT_ALLOWED);
    }
    let accept = request.accept_format(cx.config.legacy_formats)?;
    Ok(Answer::Now(content(read::unchecked(cx, path, accept)?)))
}

/// A write of everything that a payload says.
pub(crate) fn write_of(target: Path, decoded: Decoded) -> Write {
    Write {
        origin: Origin::Bootstrap,
        target,
        mode: Mode::Update,
        instances: decoded.instances,
        entries: decoded.entries,
    }
}

fn write(cx: &mut Context<'_>, request: &Request, path: Path) -> Result<Answer, Code> {
    cx.object(&path)?;
    if path.depth() == 3 {
        cx.resource(&path)?;
    }
    let format = written_format(cx, request, &path)?;
    let decoded = decode(cx, format, path, &request.payload)?;
    // Here an instance must have its identifier: nobody would know which one we chose.
    if decoded.instances.iter().any(|instance| instance.instance_id() == Some(ID_NONE)) {
        return Err(Code::BAD_REQUEST);
    }
    let mut write = write_of(path, decoded);
    if path.depth() == 2 && write.instances.is_empty() {
        write.instances.push(path);
    }
    if bootstrap_accounts(cx, &write.entries) > 1 {
        return Err(Code::BAD_REQUEST);
    }
    let call = cx.ids.call();
    match cx.objects.write(call, write) {
        Reply::Done => Ok(Answer::Now(Message::new(Code::CHANGED))),
        Reply::Refused(refusal) => Err(code(refusal)),
        Reply::Later => Err(Code::INTERNAL_ERROR),
    }
}

/// Whether the account is that of a bootstrap server.
fn is_bootstrap(cx: &Context<'_>, instance: u16) -> bool {
    let flag = cx.objects.read(Path::resource(SECURITY, instance, IS_BOOTSTRAP));
    matches!(flag, Ok(Resource::Single(Value::Boolean(true))))
}

/// How many accounts of bootstrap servers there would be after writing `entries`.
fn bootstrap_accounts(cx: &Context<'_>, entries: &[Entry]) -> usize {
    let written = |instance: u16| {
        let path = Path::resource(SECURITY, instance, IS_BOOTSTRAP);
        entries.iter().find(|entry| entry.path == path).map(|entry| &entry.resource)
    };
    let old = cx.objects.instances(SECURITY).into_iter();
    let kept = old.filter(|instance| written(*instance).is_none() && is_bootstrap(cx, *instance)).count();
    let new = entries.iter().filter(|entry| {
        let [SECURITY, _, IS_BOOTSTRAP] = *entry.path.ids() else { return false };
        entry.resource == Resource::Single(Value::Boolean(true))
    });
    kept.saturating_add(new.count())
}

fn delete(cx: &mut Context<'_>, path: &Path) -> Result<Answer, Code> {
    match *path.ids() {
        [] => {
            for object in cx.models.clone() {
                delete_all(cx, object.id);
            }
        }
        [DEVICE, ..] => return Err(Code::BAD_REQUEST),
        [object] => delete_all(cx, object),
        [SECURITY, instance] if is_bootstrap(cx, instance) => return Err(Code::BAD_REQUEST),
        [object, instance] if cx.objects.instances(object).contains(&instance) => {
            let call = cx.ids.call();
            if let Reply::Refused(_) | Reply::Later = cx.objects.delete(call, Origin::Bootstrap, *path) {
                return Err(Code::BAD_REQUEST);
            }
        }
        // What is not there is deleted.
        _ => {}
    }
    Ok(Answer::Now(Message::new(Code::DELETED)))
}

/// Deletes the instances of an object. What its object does not want to delete stays.
fn delete_all(cx: &mut Context<'_>, object: u16) {
    for instance in cx.objects.instances(object) {
        let stays = object == DEVICE || (object == SECURITY && is_bootstrap(cx, instance));
        if !stays {
            let call = cx.ids.call();
            cx.objects.delete(call, Origin::Bootstrap, Path::instance(object, instance));
        }
    }
}
