//! Bodies in blocks, put together: small ones in memory, streamed resources piece by piece into the objects.

use super::context::{Context, Effect};
use super::link::{Job, Link, Then};
use super::operate;
use super::request::{Request, code};
use crate::coap::block::Block;
use crate::coap::endpoint::ExchangeId;
use crate::coap::message::{Code, Message};
use crate::coap::upload::{Accepted, Key, Part};
use crate::format::stream::Unwrap;
use crate::limits::BODY_MAX;
use crate::model::Handling;
use crate::objects::{Objects, Operation, Refusal, Reply, UploadId};
use crate::path::Path;

/// Where the blocks of a body go.
#[derive(Debug)]
pub(crate) enum Sink {
    /// Into memory.
    Buffer(Vec<u8>),
    /// Into the objects.
    Stream(Stream),
}

impl Default for Sink {
    fn default() -> Self {
        Self::Buffer(Vec::new())
    }
}

impl Sink {
    /// No more blocks come.
    pub(crate) fn abort(self, objects: &mut dyn Objects) {
        if let Self::Stream(stream) = self {
            objects.abort(stream.id);
        }
    }
}

/// A value on its way into the objects.
#[derive(Debug)]
pub(crate) struct Stream {
    id: UploadId,
    path: Path,
    unwrap: Unwrap,
    offset: u64,
}

/// What became of a block.
pub(crate) enum Body {
    /// The request has its whole body.
    Whole,
    /// The request is answered, or will be.
    Taken,
}

/// Takes the body of a request, or a block of it. An error ends the transfer.
pub(crate) fn take(
    link: &mut Link,
    cx: &mut Context<'_>,
    exchange: ExchangeId,
    key: &Key,
    request: &mut Request,
    streams: bool,
) -> Result<Body, Code> {
    let stream = if streams { streamed(cx, request)? } else { None };
    let Some(block) = request.block1 else {
        let Some((path, unwrap)) = stream else { return Ok(Body::Whole) };
        end(link, cx, key);
        let whole = Block { number: 0, more: false, exponent: cx.config.block_exponent };
        let stream = open(link, cx, request, path, unwrap)?;
        piece(link, cx, exchange, stream, &request.payload, whole, None)?;
        return Ok(Body::Taken);
    };
    let part = Part { key: key.clone(), format: request.format, block, length: request.payload.len() };
    let echo = Block { exponent: block.exponent.min(cx.config.block_exponent), ..block };
    request.block1 = Some(echo);
    match link.uploads.accept(&part, cx.now).inspect_err(|_| end(link, cx, key))? {
        Accepted::Repeated => {
            link.respond(exchange, Message::new(Code::CONTINUE), Some(echo), None, cx.now);
            Ok(Body::Taken)
        }
        Accepted::First => {
            // A new beginning of the same body ends the old one.
            end(link, cx, key);
            first(link, cx, exchange, part, request, stream, echo)
        }
        Accepted::Next(at) => next(link, cx, exchange, at, request, echo),
    }
}

/// Ends the transfer of a body, if there is one.
fn end(link: &mut Link, cx: &mut Context<'_>, key: &Key) {
    if let Some(sink) = link.uploads.take(key) {
        sink.abort(cx.objects);
    }
}

/// The path and the format, when the request writes a streamed resource in a format that can be streamed.
fn streamed(cx: &Context<'_>, request: &Request) -> Result<Option<(Path, Unwrap)>, Code> {
    let path = match request.path() {
        Ok(path) if path.depth() == 3 && request.code == Code::PUT => path,
        _ => return Ok(None),
    };
    let attributes = request.format.is_none() && !request.query.is_empty() && request.payload.is_empty();
    let stream = cx.resource(&path).is_ok_and(|model| model.handling == Handling::Stream);
    if !stream || attributes {
        return Ok(None);
    }
    operate::writable(cx, &path, Operation::Write)?;
    let format = operate::written_format(cx, request, &path)?;
    // What names its values by paths is collected in memory, up to the limit for bodies.
    Ok(Unwrap::new(format, path).ok().map(|unwrap| (path, unwrap)))
}

fn open(
    link: &Link,
    cx: &mut Context<'_>,
    request: &Request,
    path: Path,
    unwrap: Unwrap,
) -> Result<Stream, Code> {
    if !link.uploads.has_room() {
        return Err(Code::INTERNAL_ERROR);
    }
    let id = cx.ids.upload();
    let size = request.size1.map(u64::from);
    cx.objects.open(id, cx.server, path, size).map_err(code)?;
    Ok(Stream { id, path, unwrap, offset: 0 })
}

/// The first block of a body.
fn first(
    link: &mut Link,
    cx: &mut Context<'_>,
    exchange: ExchangeId,
    part: Part,
    request: &mut Request,
    stream: Option<(Path, Unwrap)>,
    echo: Block,
) -> Result<Body, Code> {
    if let Some((path, unwrap)) = stream {
        let stream = open(link, cx, request, path, unwrap)?;
        if let Some(stream) = piece(link, cx, exchange, stream, &request.payload, echo, Some(echo))? {
            link.uploads.begin(part, Sink::Stream(stream), cx.now);
        }
        return Ok(Body::Taken);
    }
    if !echo.more {
        return Ok(Body::Whole);
    }
    if request.size1.is_some_and(|size| usize::try_from(size).is_ok_and(|size| size > BODY_MAX)) {
        return Err(Code::TOO_LARGE);
    }
    if !link.uploads.has_room() {
        return Err(Code::INTERNAL_ERROR);
    }
    link.uploads.begin(part, Sink::Buffer(std::mem::take(&mut request.payload)), cx.now);
    link.respond(exchange, Message::new(Code::CONTINUE), Some(echo), None, cx.now);
    Ok(Body::Taken)
}

/// A later block of a body.
fn next(
    link: &mut Link,
    cx: &mut Context<'_>,
    exchange: ExchangeId,
    at: usize,
    request: &mut Request,
    echo: Block,
) -> Result<Body, Code> {
    let sink = link.uploads.get(at).map(std::mem::take).ok_or(Code::INCOMPLETE)?;
    let kept = match sink {
        Sink::Buffer(mut buffer) => {
            buffer.append(&mut request.payload);
            if buffer.len() > BODY_MAX {
                Err(Code::TOO_LARGE)
            } else if echo.more {
                link.respond(exchange, Message::new(Code::CONTINUE), Some(echo), None, cx.now);
                Ok(Some(Sink::Buffer(buffer)))
            } else {
                link.uploads.remove(at);
                request.payload = buffer;
                return Ok(Body::Whole);
            }
        }
        Sink::Stream(stream) => piece(link, cx, exchange, stream, &request.payload, echo, Some(echo))
            .map(|stream| stream.map(Sink::Stream)),
    };
    match (kept, link.uploads.get(at)) {
        (Ok(Some(sink)), Some(place)) => *place = sink,
        (kept, _) => {
            link.uploads.remove(at);
            kept?;
        }
    }
    Ok(Body::Taken)
}

/// Gives a piece to the objects. The stream comes back while more is to come; an error has aborted it.
fn piece(
    link: &mut Link,
    cx: &mut Context<'_>,
    exchange: ExchangeId,
    mut stream: Stream,
    payload: &[u8],
    block: Block,
    echo: Option<Block>,
) -> Result<Option<Stream>, Code> {
    let id = stream.id;
    let path = stream.path;
    // A server that does not wait for the answer to a block breaks the order of its own blocks.
    let value = if link.jobs.iter().any(|job| is_storing(job, id)) {
        Err(Code::INCOMPLETE)
    } else {
        let value = stream.unwrap.piece(payload);
        let whole = if block.more { Ok(()) } else { stream.unwrap.finish() };
        value.and_then(|value| whole.map(|()| value)).map_err(|_| Code::BAD_REQUEST)
    };
    let value = value.inspect_err(|_| cx.objects.abort(id))?;
    let call = cx.ids.call();
    let reply = cx.objects.chunk(call, id, stream.offset, &value);
    stream.offset = stream.offset.saturating_add(u64::try_from(value.len()).unwrap_or(u64::MAX));
    let more = block.more;
    match reply {
        Reply::Done if more => {
            link.respond(exchange, Message::new(Code::CONTINUE), echo, None, cx.now);
        }
        Reply::Done => close(link, cx, exchange, id, path, echo)?,
        Reply::Later => {
            let then = Then::Stored { upload: id, path, more };
            link.jobs.push(Job { call, exchange, block1: echo, then });
        }
        Reply::Refused(refusal) => {
            cx.objects.abort(id);
            return Err(code(refusal));
        }
    }
    if block.number == 0 {
        cx.effects.push(Effect::Changed(path.prefix(2)));
    }
    Ok(more.then_some(stream))
}

fn is_storing(job: &Job, id: UploadId) -> bool {
    matches!(job.then, Then::Stored { upload, .. } if upload == id)
}

/// Closes an upload whose last piece is stored.
pub(crate) fn close(
    link: &mut Link,
    cx: &mut Context<'_>,
    exchange: ExchangeId,
    upload: UploadId,
    path: Path,
    block1: Option<Block>,
) -> Result<(), Code> {
    let call = cx.ids.call();
    match cx.objects.close(call, upload) {
        Reply::Done => {
            cx.effects.push(Effect::Changed(path.prefix(2)));
            link.respond(exchange, Message::new(Code::CHANGED), block1, None, cx.now);
            Ok(())
        }
        Reply::Later => {
            link.jobs.push(Job { call, exchange, block1, then: Then::Closed { upload, path } });
            Ok(())
        }
        Reply::Refused(refusal) => {
            cx.objects.abort(upload);
            Err(code(refusal))
        }
    }
}

/// The objects have stored a piece, or not. The upload may have ended meanwhile.
pub(crate) fn stored(
    link: &mut Link,
    cx: &mut Context<'_>,
    upload: UploadId,
    result: Result<(), Refusal>,
) -> Result<(), Code> {
    let ours = |sink: &Sink| matches!(sink, Sink::Stream(stream) if stream.id == upload);
    match result {
        Ok(()) if link.uploads.any(ours) => Ok(()),
        Ok(()) => Err(Code::INCOMPLETE),
        Err(refusal) => {
            if link.uploads.any(ours) {
                link.uploads.forget(ours);
                cx.objects.abort(upload);
            }
            Err(code(refusal))
        }
    }
}
