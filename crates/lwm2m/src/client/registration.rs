//! What a server is told at registration, and when it is told again.

use super::config::Version;
use super::discover;
use crate::account::{Account, Settings};
use crate::coap::message::{Code, Message, option};
use crate::format::Format;
use crate::limits::{LOCATION_BYTES_MAX, LOCATION_SEGMENTS_MAX, TRANSMIT_WAIT, UPDATE_FLOOR};
use crate::objects::Objects;
use crate::time::{Millis, Random};

/// What a server knows of us.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Facts {
    /// Objects and instances.
    links: String,
    /// Seconds.
    lifetime: u64,
    binding: String,
}

impl Facts {
    fn now(account: &Account, objects: &dyn Objects, version: Version) -> Self {
        let binding = match version {
            Version::V1_0 => account.settings.binding.clone(),
            // Since 1.1 the queue mode is not part of the binding.
            Version::V1_1 => account.settings.binding.replace('Q', ""),
        };
        let links = discover::registration(objects, version);
        Self { links, lifetime: account.settings.lifetime, binding }
    }
}

/// A registration.
#[derive(Debug)]
pub(crate) struct Registration {
    /// Where the server keeps it: segments exactly as they came.
    pub(crate) location: Vec<Vec<u8>>,
    known: Facts,
    /// What an update on its way tells.
    told: Option<Facts>,
    /// When it is renewed; none: never.
    pub(crate) next: Option<Millis>,
    /// Updates without an answer since the last one that had one.
    lost: u32,
}

impl Registration {
    /// A registration that is yet to be made.
    pub(crate) fn new(account: &Account, objects: &dyn Objects, version: Version) -> Self {
        let known = Facts::now(account, objects, version);
        Self { location: Vec::new(), known, told: None, next: None, lost: 0 }
    }

    /// Whether the server must be told something.
    pub(crate) fn is_old(&self, account: &Account, objects: &dyn Objects, version: Version) -> bool {
        *self.told.as_ref().unwrap_or(&self.known) != Facts::now(account, objects, version)
    }

    /// The body of the request to register.
    pub(crate) fn body(&self) -> Vec<u8> {
        self.known.links.clone().into_bytes()
    }

    /// The request to register, without its body.
    pub(crate) fn register(&self, endpoint: &str, version: Version, queue: bool) -> Message {
        let mut message = Message::new(Code::POST);
        message.add(option::URI_PATH, "rd");
        message.add_uint(option::CONTENT_FORMAT, u32::from(Format::Link.id()));
        let binding = match version {
            Version::V1_0 if queue && !self.known.binding.contains('Q') => format!("{}Q", self.known.binding),
            _ => self.known.binding.clone(),
        };
        message.add(option::URI_QUERY, format!("lwm2m={}", version.as_str()));
        message.add(option::URI_QUERY, format!("ep={endpoint}"));
        message.add(option::URI_QUERY, format!("lt={}", self.known.lifetime));
        if binding != "U" {
            message.add(option::URI_QUERY, format!("b={binding}"));
        }
        if queue && version >= Version::V1_1 {
            message.add(option::URI_QUERY, "Q");
        }
        message
    }

    /// The server has accepted it. Gives whether it said where it is.
    pub(crate) fn accepted(&mut self, response: &Message, now: Millis) -> bool {
        self.location = response.all(option::LOCATION_PATH).map(<[u8]>::to_vec).collect();
        let fits = self.location.len() <= LOCATION_SEGMENTS_MAX
            && self.location.iter().all(|segment| segment.len() <= LOCATION_BYTES_MAX);
        self.renewed(now);
        fits && !self.location.is_empty()
    }

    /// The request to update it, and its body.
    pub(crate) fn update(
        &mut self,
        account: &Account,
        objects: &dyn Objects,
        version: Version,
    ) -> (Message, Vec<u8>) {
        let facts = Facts::now(account, objects, version);
        let mut message = Message::new(Code::POST);
        self.location.iter().for_each(|segment| message.add(option::URI_PATH, segment.clone()));
        if self.known.lifetime != facts.lifetime {
            message.add(option::URI_QUERY, format!("lt={}", facts.lifetime));
        }
        if self.known.binding != facts.binding {
            message.add(option::URI_QUERY, format!("b={}", facts.binding));
        }
        let mut body = Vec::new();
        if self.known.links != facts.links {
            message.add_uint(option::CONTENT_FORMAT, u32::from(Format::Link.id()));
            body = facts.links.clone().into_bytes();
        }
        self.told = Some(facts);
        (message, body)
    }

    /// The update cannot be sent now.
    pub(crate) fn postpone(&mut self, now: Millis) {
        self.told = None;
        self.next = Some(now.plus(UPDATE_FLOOR));
    }

    /// The server has confirmed it: the next update is due well before the lifetime ends (`lt` less half of it, or
    /// less the time that a lost message may take).
    pub(crate) fn renewed(&mut self, now: Millis) {
        self.lost = 0;
        if let Some(told) = self.told.take() {
            self.known = told;
        }
        let lifetime = self.known.lifetime.saturating_mul(1000);
        let margin = (lifetime / 2).min(TRANSMIT_WAIT);
        let wait = lifetime.saturating_sub(margin).max(UPDATE_FLOOR);
        self.next = (lifetime != 0).then(|| now.plus(wait));
    }

    /// Counts an update without an answer. Gives whether it was the second one.
    pub(crate) fn is_lost(&mut self) -> bool {
        self.told = None;
        self.lost = self.lost.saturating_add(1);
        self.lost > 1
    }
}

/// Attempts to register, since the last one that succeeded; resources 17 to 20 of object 1.
#[derive(Debug, Default)]
pub(crate) struct Retries {
    attempts: u64,
    sequences: u64,
    failed: bool,
}

impl Retries {
    /// Whether a whole sequence of attempts failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed
    }

    /// How long to wait before the next attempt, in milliseconds, and whether that was the last attempt of the last
    /// sequence. Our choice: attempts go on after that, with the delay between sequences.
    pub(crate) fn next(&mut self, settings: &Settings, random: &mut Random) -> (u64, bool) {
        self.attempts = self.attempts.saturating_add(1);
        let mut last = false;
        let seconds = if self.attempts < settings.retry_count {
            let doublings = u32::try_from(self.attempts.saturating_sub(1)).unwrap_or(u32::MAX).min(16);
            settings.retry_timer.saturating_mul(1 << doublings)
        } else {
            self.attempts = 0;
            self.failed = true;
            self.sequences = self.sequences.saturating_add(1);
            last = self.sequences >= settings.sequence_count;
            settings.sequence_delay
        };
        let delay = seconds.saturating_mul(1000);
        // Up to a tenth more at random: after an outage not all devices come at once.
        (delay.saturating_add(random.up_to(delay / 10)), last)
    }
}
