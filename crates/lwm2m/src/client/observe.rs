//! Observations of one server: when a change is told, and what is kept while the server cannot hear (RFC 7641).

use std::collections::VecDeque;

use super::context::Context;
use super::link::Link;
use super::{operate, read};
use crate::account::Settings;
use crate::attributes::{Attributes, Table};
use crate::coap::block;
use crate::coap::message::{Code, Message, Token, option};
use crate::coap::snapshot::fingerprint;
use crate::coap::upload::Key;
use crate::format::Format;
use crate::limits::{CONFIRM_EVERY, OBSERVATIONS_MAX, STORED_MAX};
use crate::model::Handling;
use crate::path::Path;
use crate::time::{Millis, earlier};

/// Values of the option Observe run from 0 to this (RFC 7641, 4.4).
const SEQUENCE_MAX: u32 = (1 << 24) - 1;

const fn next(sequence: u32) -> u32 {
    sequence.wrapping_add(1) & SEQUENCE_MAX
}

/// What is observed.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) paths: Vec<Path>,
    /// Whether it came as a composite request.
    pub(crate) composite: bool,
    /// The format of every notification.
    pub(crate) format: Format,
    /// Names the rest of a notification that is larger than a block.
    pub(crate) key: Key,
}

#[derive(Debug)]
struct Observation {
    token: Token,
    target: Target,
    /// When the last notification went out.
    sent: Millis,
    /// When the last confirmable one did.
    confirmed: Millis,
    /// Fingerprint and number of what it said.
    print: u64,
    number: Option<f64>,
    /// There is something new to tell.
    pending: bool,
    /// The target cannot be read any more: the end of the observation.
    broken: Option<Code>,
}

/// The observations of one server.
#[derive(Debug, Default)]
pub(crate) struct Observations {
    list: Vec<Observation>,
    sequence: u32,
    /// Notifications that wait for the server.
    stored: VecDeque<Message>,
}

impl Observation {
    fn content(&self, cx: &Context<'_>) -> Result<read::Content, Code> {
        match self.target.paths.as_slice() {
            [path] if !self.target.composite => read::read(cx, path, Some(self.target.format)),
            paths => read::composite(cx, paths, self.target.format),
        }
    }

    /// Least and most milliseconds between two notifications. For several paths the strictest counts; our choice.
    fn periods(&self, attributes: &Table, settings: &Settings) -> (u64, Option<u64>) {
        let all: Vec<Attributes> = self.target.paths.iter().map(|path| attributes.effective(path)).collect();
        let pmin = all.iter().map(|one| one.pmin.unwrap_or(settings.pmin)).max().unwrap_or(0);
        let pmax = all.iter().filter_map(|one| one.pmax.or(settings.pmax)).filter(|pmax| *pmax != 0).min();
        let ms = |seconds: u32| u64::from(seconds).saturating_mul(1000);
        (ms(pmin), pmax.filter(|pmax| *pmax >= pmin).map(ms))
    }

    /// When the next notification is due, unless something changes.
    fn due(&self, attributes: &Table, settings: &Settings) -> Option<Millis> {
        if self.broken.is_some() {
            return Some(Millis::default());
        }
        let (pmin, pmax) = self.periods(attributes, settings);
        let pending = self.pending.then(|| self.sent.plus(pmin));
        earlier(pending, pmax.map(|pmax| self.sent.plus(pmax)))
    }

    /// Whether losing a notification would hide a state, or it is time to see whether the server is still there.
    fn confirmable(&self, cx: &Context<'_>) -> bool {
        let watched = |path: &Path| {
            let object = cx.object(path).ok();
            object.is_some_and(|object| {
                let resources = object.resources.iter();
                resources
                    .filter(|resource| path.resource_id().is_none_or(|id| id == resource.id))
                    .any(|resource| resource.handling == Handling::Confirmed)
            })
        };
        cx.now.since(self.confirmed) >= CONFIRM_EVERY || self.target.paths.iter().any(watched)
    }
}

impl Observations {
    /// Forgets everything: the server will ask anew.
    pub(crate) fn clear(&mut self) {
        self.list.clear();
        self.stored.clear();
    }

    /// Begins an observation whose first answer is `response`, and marks the answer. When there are too many, the
    /// answer stays that to a plain read.
    pub(crate) fn add(
        &mut self,
        token: Token,
        target: Target,
        response: &mut Message,
        number: Option<f64>,
        now: Millis,
    ) {
        self.cancel(&token, &target.paths);
        if self.list.len() >= OBSERVATIONS_MAX {
            return;
        }
        self.sequence = next(self.sequence);
        response.add_uint(option::OBSERVE, self.sequence);
        let print = fingerprint(&response.payload);
        self.list.push(Observation {
            token,
            target,
            sent: now,
            confirmed: now,
            print,
            number,
            pending: false,
            broken: None,
        });
    }

    /// Ends the observation with this token, or of these paths.
    pub(crate) fn cancel(&mut self, token: &Token, paths: &[Path]) {
        self.list.retain(|known| known.token != *token && known.target.paths != paths);
        self.stored.retain(|message| message.token != *token);
    }

    /// Looks which observations a change concerns.
    pub(crate) fn changed(&mut self, cx: &Context<'_>, path: &Path) {
        for observation in &mut self.list {
            if !observation.target.paths.iter().any(|target| target.overlaps(path)) {
                continue;
            }
            match observation.content(cx) {
                Err(code) => observation.broken = Some(code),
                Ok(content) if fingerprint(&content.payload) == observation.print => {
                    observation.pending = false
                }
                Ok(content) => {
                    observation.pending = match observation.target.paths.as_slice() {
                        [path] => cx.attributes.effective(path).is_met(observation.number, content.number),
                        _ => true,
                    };
                }
            }
        }
    }

    /// Sends what is due. `reachable`: the server can hear; otherwise notifications are kept, if it wants that.
    pub(crate) fn tick(&mut self, cx: &Context<'_>, link: &mut Link, settings: &Settings, reachable: bool) {
        if reachable {
            while link.endpoint.has_room()
                && let Some(mut message) = self.stored.pop_front()
            {
                // What is told late is still the newest that the server hears of.
                self.sequence = next(self.sequence);
                message.replace_uint(option::OBSERVE, self.sequence);
                link.endpoint.notify(message, true, cx.now);
            }
        } else if !settings.storing {
            return;
        }
        let mut ended = Vec::new();
        for at in 0..self.list.len() {
            let Some(observation) = self.list.get_mut(at) else { continue };
            if observation.due(cx.attributes, settings).is_none_or(|due| due > cx.now) {
                continue;
            }
            let (message, confirmable) = match observation.content(cx) {
                Err(code) => {
                    ended.push(observation.token.clone());
                    (Message::new(code), true)
                }
                Ok(content) => {
                    if !reachable && content.payload.len() > block::size(cx.config.block_exponent) {
                        // Only what is small is stored; of the rest the last state is sent later.
                        continue;
                    }
                    observation.print = fingerprint(&content.payload);
                    observation.number = content.number;
                    let confirmable = observation.confirmable(cx);
                    let mut message = operate::content(content);
                    self.sequence = next(self.sequence);
                    message.add_uint(option::OBSERVE, self.sequence);
                    let key = observation.target.key.clone();
                    let exponent = cx.config.block_exponent;
                    (link.snapshots.first(key, message, None, exponent, cx.now), confirmable)
                }
            };
            observation.pending = false;
            observation.sent = cx.now;
            let message = Message { token: observation.token.clone(), ..message };
            if !reachable {
                self.store(message);
            } else {
                if confirmable {
                    observation.confirmed = cx.now;
                }
                if !link.endpoint.notify(message, confirmable, cx.now) {
                    observation.pending = true;
                }
            }
        }
        self.list.retain(|observation| !ended.contains(&observation.token));
    }

    /// Takes back notifications that did not arrive: to tell them later, or to tell how things are by then.
    pub(crate) fn undelivered(&mut self, messages: Vec<Message>, storing: bool) {
        for message in messages {
            if storing {
                self.store(message);
            } else if let Some(known) = self.list.iter_mut().find(|known| known.token == message.token) {
                known.pending = true;
            }
        }
    }

    /// Keeps a notification until the server can hear; the oldest goes when there are too many.
    fn store(&mut self, message: Message) {
        if self.stored.len() >= STORED_MAX {
            self.stored.pop_front();
        }
        self.stored.push_back(message);
    }

    /// Whether an observation waits for the server.
    pub(crate) fn waits(&self, attributes: &Table, settings: &Settings, now: Millis) -> bool {
        let due =
            |observation: &Observation| observation.due(attributes, settings).is_some_and(|due| due <= now);
        !self.stored.is_empty() || self.list.iter().any(due)
    }

    /// When something is due next.
    pub(crate) fn deadline(&self, attributes: &Table, settings: &Settings) -> Option<Millis> {
        self.list.iter().filter_map(|observation| observation.due(attributes, settings)).min()
    }
}
