//! From the datagram of a request to the datagram of its answer: blocks, operation, observation.

use super::context::{Context, Effect};
use super::link::{Job, Link, Then};
use super::observe::{Observations, Target};
use super::operate::{self, Answer};
use super::read;
use super::request::{Request, code};
use super::upload::{self, Body};
use crate::coap::block::Block;
use crate::coap::endpoint::ExchangeId;
use crate::coap::message::{Code, Message, Type, option};
use crate::coap::upload::key;
use crate::format::Format;
use crate::limits::COMPOSITE_PATHS_MAX;
use crate::objects::{CallId, Refusal};

/// How the operation of a request is carried out.
pub(crate) type Operate = fn(&mut Context<'_>, &Request) -> Result<Answer, Code>;

/// Serves a request. `observations` are those of a server that we are registered with; a bootstrap server has none
/// and streams nothing.
pub(crate) fn serve(
    link: &mut Link,
    observations: Option<&mut Observations>,
    cx: &mut Context<'_>,
    exchange: ExchangeId,
    mut message: Message,
    operate: Operate,
) {
    let mut request = match Request::parse(&mut message) {
        Ok(request) => request,
        // Whoever wants no answer gets none for what is not understood (RFC 7252, 5.4.1).
        Err(_) if message.kind == Type::NonConfirmable => return link.endpoint.ignore(exchange),
        Err(code) => return link.refuse(exchange, code, None, cx.now),
    };
    let exponent = cx.config.block_exponent;
    let key = key(&message);
    if let Some(block) = request.block2.filter(|block| block.number > 0) {
        match link.snapshots.next(&key, block, exponent, cx.now) {
            Some(response) => link.respond(exchange, response, None, None, cx.now),
            None => link.refuse(exchange, Code::BAD_REQUEST, None, cx.now),
        }
        return;
    }
    match upload::take(link, cx, exchange, &key, &mut request, observations.is_some()) {
        Ok(Body::Whole) => {}
        Ok(Body::Taken) => return,
        Err(code) => return link.refuse(exchange, code, request.block1, cx.now),
    }
    let block1 = request.block1.map(|block| Block { more: false, ..block });
    match operate(cx, &request) {
        Ok(Answer::Now(mut response)) => {
            if let Some(observations) = observations {
                observe(observations, cx, &request, &message, &mut response);
            }
            link.respond(exchange, response, block1, Some((key, request.block2, exponent)), cx.now);
        }
        Ok(Answer::Later(call, success)) => {
            let then = Then::Answer(success.response, success.effects);
            link.jobs.push(Job { call, exchange, block1, then });
        }
        Err(code) => link.refuse(exchange, code, block1, cx.now),
    }
}

/// Begins or ends an observation, if the request asks for it and its answer has a value.
fn observe(
    observations: &mut Observations,
    cx: &Context<'_>,
    request: &Request,
    message: &Message,
    response: &mut Message,
) {
    let format =
        response.uint(option::CONTENT_FORMAT).and_then(|id| Format::from_id(u16::try_from(id).ok()?));
    let (Some(wish), Code::CONTENT, Some(format)) = (request.observe, response.code, format) else { return };
    // Discover cannot be observed.
    if format == Format::Link {
        return;
    }
    let composite = request.code == Code::FETCH;
    let paths = if composite {
        let asked = request.content_format(false).ok().flatten();
        asked.and_then(|format| operate::composite_paths(format, &request.payload).ok())
    } else {
        request.path().ok().map(|path| vec![path])
    };
    let Some(paths) = paths.filter(|paths| paths.len() <= COMPOSITE_PATHS_MAX) else { return };
    match wish {
        0 => {
            let number = match paths.as_slice() {
                [path] if !composite => {
                    read::read(cx, path, Some(format)).ok().and_then(|content| content.number)
                }
                _ => None,
            };
            let target = Target { paths, composite, format, key: key(message) };
            observations.add(message.token.clone(), target, response, number, cx.now);
        }
        1 => observations.cancel(&message.token, &paths),
        _ => {}
    }
}

/// The objects have answered a call. Gives whether it was one of this link.
pub(crate) fn completed(
    link: &mut Link,
    cx: &mut Context<'_>,
    call: CallId,
    result: Result<(), Refusal>,
) -> bool {
    let Some(at) = link.jobs.iter().position(|job| job.call == call) else { return false };
    let Job { exchange, block1, then, .. } = link.jobs.swap_remove(at);
    let outcome = match (then, result) {
        (Then::Answer(response, effects), Ok(())) => {
            cx.effects.extend(effects);
            link.respond(exchange, response, block1, None, cx.now);
            Ok(())
        }
        (Then::Answer(..), Err(refusal)) => Err(code(refusal)),
        (Then::Stored { upload, more: true, .. }, result) => {
            upload::stored(link, cx, upload, result).map(|()| {
                link.respond(exchange, Message::new(Code::CONTINUE), block1, None, cx.now);
            })
        }
        (Then::Stored { upload, path, .. }, Ok(())) => {
            upload::close(link, cx, exchange, upload, path, block1)
        }
        (Then::Closed { path, .. }, Ok(())) => {
            cx.effects.push(Effect::Changed(path.prefix(2)));
            link.respond(exchange, Message::new(Code::CHANGED), block1, None, cx.now);
            Ok(())
        }
        (Then::Stored { upload, .. } | Then::Closed { upload, .. }, Err(refusal)) => {
            cx.objects.abort(upload);
            Err(code(refusal))
        }
    };
    if let Err(code) = outcome {
        link.refuse(exchange, code, block1, cx.now);
    }
    true
}
