//! One session with a server, in virtual time.
//!
//! The caller moves bytes and time; the session says what to send, runs the server's commands against the caller's
//! [`Tree`], and says when it is over. After every [`Session::handle`] the caller takes everything that
//! [`Session::poll`] gives, in order.
//!
//! Not here: connections, TLS, when to start a session and when to try again, and what the nodes mean.

mod config;
mod login;
mod object;
mod ops;
mod outbox;
mod values;
mod work;

use std::collections::VecDeque;
use std::time::Duration;

pub use config::{Alert, ClientLogin, Config, Event, Input, Outgoing, Output, ServerLogin, SessionError};

use crate::code::{Code, alert};
use crate::codec::{Encoding, MessageWriter, decode, is_xml_text};
use crate::error::SyncmlError;
use crate::limits::{
    MESSAGE_OVERSHOOT, OUTBOX_BYTES_MAX, PEER_MESSAGE_BYTES_MIN, RESP_URI_BYTES_MAX, RESULTS_BYTES_MAX,
    SEND_BYTES_MAX,
};
use crate::message::{Command, Header, Item, Location, Message, Meta, Request, Status, Verb};
use crate::tree::Tree;
use login::{Login, Trust, Welcome};
use object::Objects;
use ops::Ops;
use outbox::{Entry, Filler, Outbox};
use work::Work;

/// A point in time: since any fixed moment of the caller's choice, on a clock that never goes back.
pub type Instant = Duration;

/// One session.
#[derive(Debug)]
pub struct Session {
    config: Config,
    login: Login,
    state: State,
    peer: Peer,
    /// Messages sent.
    sent: u32,
    /// What our next message says about the server's last header.
    answer: Option<Status>,
    outbox: Outbox,
    work: Work,
    objects: Objects,
    /// The server's package ends with the last message that we have of it.
    server_done: bool,
    /// Our package ended with our last message.
    complete: bool,
    aborting: bool,
    outputs: VecDeque<Output>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    New,
    /// For the server's answer, until then.
    Waiting(Instant),
    /// For the user's answer, until then.
    Asking(Instant),
    Over,
}

/// What we know of the server.
#[derive(Debug)]
struct Peer {
    uri: String,
    max_message: usize,
    max_object: Option<u64>,
    /// Its newest message.
    message: Option<String>,
}

impl Session {
    /// A session that has not begun.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let login = Login::new(config.client.clone(), config.server.clone(), config.seed);
        let uri = config.server_uri.clone();
        let peer = Peer { uri, max_message: SEND_BYTES_MAX, max_object: None, message: None };
        Self {
            login,
            state: State::New,
            peer,
            sent: 0,
            answer: None,
            outbox: Outbox::new(config.encoding),
            work: Work::default(),
            objects: Objects::default(),
            server_done: true,
            complete: false,
            aborting: false,
            outputs: VecDeque::new(),
            config,
        }
    }

    /// Adds an alert to the next message. Refuses data that the encoding cannot carry. Once the session is over the
    /// alert goes nowhere, and must be given to the next session, as must one that was not accepted.
    pub fn report(&mut self, alert: Alert) -> Result<(), SyncmlError> {
        let carried = |item: &Item| item.data.as_deref().is_none_or(is_xml_text);
        if self.config.encoding == Encoding::Xml && !alert.items.iter().all(carried) {
            return Err(SyncmlError::Binary);
        }
        let request = Request { correlator: alert.correlator, ..Request::alert(alert.number) };
        self.outbox.push_back(Entry::alert(alert.token, request, alert.items));
        Ok(())
    }

    /// Takes what happened.
    pub fn handle(&mut self, now: Instant, input: Input<'_>, tree: &mut dyn Tree) {
        let done = match (self.state, input) {
            (State::Over, _) => return,
            (State::New, Input::Start) => self.start(now),
            (State::Waiting(_), Input::Message { body, hmac }) => self.receive(now, body, hmac, tree),
            (State::Asking(_), Input::Answer(answer)) => self.answered(now, answer, tree),
            (State::Asking(until), Input::Time) if now >= until => {
                self.answered(now, crate::Answer::Timeout, tree)
            }
            (State::Waiting(until), Input::Time) if now >= until => Err(SessionError::TimedOut),
            (State::Waiting(_) | State::Asking(_), Input::Lost) => Err(SessionError::Lost),
            (State::New, Input::Abort) => Err(SessionError::Aborted),
            (State::Asking(_), Input::Abort) => {
                self.aborting = true;
                self.work.cancel();
                self.work(now, tree)
            }
            (State::Waiting(_), Input::Abort) => {
                self.aborting = true;
                Ok(false)
            }
            _ => Ok(false),
        };
        let done = match done {
            Ok(false) => return,
            Ok(true) => Ok(()),
            Err(error) => Err(error),
        };
        let mut work = std::mem::take(&mut self.work);
        work.abandon(&mut self.ops(tree));
        self.objects.break_off(tree);
        self.state = State::Over;
        self.outputs.push_back(Output::Done(done));
    }

    /// What is wanted next.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Input::Time`] is due.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Waiting(until) | State::Asking(until) => Some(until),
            State::New | State::Over => None,
        }
    }

    /// Whether an answer of the server is missing.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        matches!(self.state, State::Waiting(_))
    }

    /// Package 1: why we are here, and who.
    fn start(&mut self, now: Instant) -> Result<bool, SessionError> {
        let info = self.config.device_info.iter().map(|(uri, value)| Item {
            source: Some(Location::new(uri)),
            data: Some(value.clone().into_bytes()),
            ..Item::default()
        });
        let number =
            if self.config.server_initiated { alert::SERVER_INITIATED } else { alert::CLIENT_INITIATED };
        let why = Entry::whole(Command::Request(Request::alert(number)));
        let who = Entry::list(Command::Request(Request::new(Verb::Replace)), info);
        self.outbox.reply(why);
        if !self.config.device_info.is_empty() {
            self.outbox.reply(who);
        }
        self.send(now)
    }

    fn receive(
        &mut self,
        now: Instant,
        body: &[u8],
        hmac: Option<&str>,
        tree: &mut dyn Tree,
    ) -> Result<bool, SessionError> {
        if body.len() > self.config.max_message.saturating_add(MESSAGE_OVERSHOOT) {
            return Err(SessionError::TooLarge);
        }
        let message = decode(body, self.config.encoding).map_err(SessionError::Unreadable)?;
        let about_header = header_status(&message);
        if self.is_stale(&message, about_header.as_ref()) {
            self.event(Event::MessageIgnored);
            return Ok(false);
        }
        self.peer.message = Some(message.header.msg_id.clone());
        // While our package is not complete the server only says "go on", and its own stays as complete as it was.
        self.server_done = message.last || (self.server_done && !self.complete);
        if let Err(code) = check(&message, &self.config) {
            return self.refuse(now, &message.header, code);
        }
        self.learn(&message.header)?;
        let welcome = self.login.welcome(about_header.as_ref())?;
        let trust = self.login.trust(message.header.cred.as_ref(), hmac, body);
        if trust == Trust::Proven {
            self.login.news().into_iter().for_each(|event| self.event(event));
        }
        let (statuses, requests) = split(message.commands);
        if has_alert(&requests, alert::ABORT) {
            if (welcome, trust) == (Welcome::Accepted, Trust::Proven) {
                // What it has taken before it is taken for good.
                self.accepted(&statuses);
            }
            return Err(SessionError::AbortedByServer);
        }
        match (welcome, trust) {
            (Welcome::Challenged, trust) => {
                self.outbox.rejected();
                // The package starts anew, whatever the server thinks of its own.
                self.server_done = true;
                let code = if trust == Trust::Proven { Code::NOT_EXECUTED } else { unproven(trust) };
                self.refuse_all(&message.header, &requests, code);
            }
            (Welcome::Accepted, Trust::Proven) => {
                self.accepted(&statuses);
                if has_alert(&requests, alert::NO_END_OF_DATA) {
                    // A report that breaks off is neither accepted nor refused: the caller still has it.
                    let _ = self.outbox.break_off(Code::SIZE_MISMATCH);
                }
                self.objects.begin_message();
                let msg_id = message.header.msg_id.clone();
                self.answer_header(&message.header, trust);
                let room = RESULTS_BYTES_MAX.saturating_sub(self.outbox.weight());
                self.work = Work::new(msg_id, requests, room);
                if self.aborting {
                    self.work.cancel();
                }
                return self.work(now, tree);
            }
            (Welcome::Accepted, _) if requests.is_empty() || !self.login.may_challenge() => {
                return Err(SessionError::ServerNotAuthenticated);
            }
            (Welcome::Accepted, trust) => {
                self.outbox.accepted(&[]);
                self.refuse_all(&message.header, &requests, unproven(trust));
            }
        }
        self.answer_header(&message.header, trust);
        self.send(now)
    }

    /// Whether a message was here before, or answers an older one of ours.
    fn is_stale(&self, message: &Message, about_header: Option<&Status>) -> bool {
        let number = |text: &str| text.parse::<u64>().ok();
        // What it answers says it surely; some servers count their own messages oddly.
        if let Some(answers) = about_header.and_then(|status| status.msg_ref.as_deref()) {
            return number(answers) != Some(self.sent.into());
        }
        let id = message.header.msg_id.as_str();
        self.peer.message.as_deref().is_some_and(|newest| match (number(newest), number(id)) {
            (Some(newest), Some(id)) => id <= newest,
            _ => newest == id,
        })
    }

    fn learn(&mut self, header: &Header) -> Result<(), SessionError> {
        if let Some(uri) = &header.resp_uri {
            if uri.is_empty() || uri.len() > RESP_URI_BYTES_MAX {
                return Err(SessionError::Header(Code::URI_TOO_LONG));
            }
            self.peer.uri.clone_from(uri);
        }
        if let Some(size) = header.meta.max_msg_size {
            self.peer.max_message = usize::try_from(size).unwrap_or(usize::MAX).min(SEND_BYTES_MAX);
        }
        if let Some(size) = header.meta.max_obj_size {
            // No limit is said by leaving the element out; zero would forbid every object.
            self.peer.max_object = Some(size).filter(|size| *size > 0);
        }
        if self.peer.max_message < PEER_MESSAGE_BYTES_MIN { Err(SessionError::PeerTooSmall) } else { Ok(()) }
    }

    /// The header is not for us, or a command cannot be named: says so and ends the session.
    fn refuse(&mut self, now: Instant, header: &Header, code: Code) -> Result<bool, SessionError> {
        self.outbox = Outbox::new(self.config.encoding);
        self.answer = Some(header_reply(header, code, None));
        self.aborting = true;
        match self.send(now) {
            Err(SessionError::Aborted) => Err(SessionError::Header(code)),
            other => other,
        }
    }

    /// Answers every request with the same code and carries out none.
    fn refuse_all(&mut self, header: &Header, requests: &[Request], code: Code) {
        for entry in Work::refused(header.msg_id.clone(), requests, code).into_entries() {
            self.outbox.reply(entry);
        }
    }

    fn answer_header(&mut self, header: &Header, trust: Trust) {
        let (code, chal) = self.login.answer(trust);
        self.answer = Some(header_reply(header, code, chal));
    }

    /// Tells what became of our commands.
    fn accepted(&mut self, statuses: &[Status]) {
        let sent = self.sent.to_string();
        let about_last = |status: &&Status| status.msg_ref.as_deref().unwrap_or("1") == sent;
        let statuses: Vec<&Status> = statuses.iter().filter(about_last).collect();
        let fates = self.outbox.accepted(&statuses);
        for status in statuses.iter().filter(|status| !status.code.is_success() && status.cmd != "Alert") {
            self.event(Event::CommandRefused(status.cmd.clone(), status.code));
        }
        self.tell(fates);
    }

    fn tell(&mut self, fates: Vec<outbox::Fate>) {
        for (token, code) in fates {
            let event = match code {
                Code::OK | Code::ACCEPTED => Event::AlertAccepted(token),
                // No answer that the texts know: the caller still has the alert.
                code if code.is_success() => continue,
                code => Event::AlertRefused(token, code),
            };
            self.event(event);
        }
    }

    fn answered(
        &mut self,
        now: Instant,
        answer: crate::Answer,
        tree: &mut dyn Tree,
    ) -> Result<bool, SessionError> {
        self.work.answer(answer);
        self.work(now, tree)
    }

    /// Carries out commands until the user must be asked or everything is answered.
    fn work(&mut self, now: Instant, tree: &mut dyn Tree) -> Result<bool, SessionError> {
        let mut work = std::mem::take(&mut self.work);
        if let Some(interaction) = work.run(&mut self.ops(tree)) {
            self.work = work;
            let wait = interaction.at_most.unwrap_or(self.config.interaction_timeout);
            self.state = State::Asking(now.saturating_add(wait));
            self.outputs.push_back(Output::Ask(interaction));
            return Ok(false);
        }
        work.into_entries().for_each(|entry| self.outbox.reply(entry));
        for alert in self.objects.take_alerts() {
            self.outbox.reply(Entry::whole(Command::Request(alert)));
        }
        if self.outbox.weight() > OUTBOX_BYTES_MAX {
            return Err(SessionError::Flooded);
        }
        let nothing_to_say = self.outbox.is_empty() && self.server_done && !self.objects.is_open();
        if nothing_to_say && !self.aborting { Ok(true) } else { self.send(now) }
    }

    fn ops<'a>(&'a mut self, tree: &'a mut dyn Tree) -> Ops<'a> {
        Ops {
            tree,
            objects: &mut self.objects,
            encoding: self.config.encoding,
            max_object: self.config.max_object,
            peer_max_object: self.peer.max_object,
        }
    }

    /// Makes and sends our next message.
    fn send(&mut self, now: Instant) -> Result<bool, SessionError> {
        if self.sent >= self.config.messages_max {
            return Err(SessionError::TooManyMessages(self.sent));
        }
        self.sent += 1;
        let header = self.header();
        let writer = MessageWriter::new(self.config.encoding, self.config.string_table, &header);
        let answer = self.answer.take();
        let mut filler = Filler::new(writer, self.peer.max_message, answer);
        if filler.is_over() {
            return Err(SessionError::PeerTooSmall);
        }
        let fates = self
            .outbox
            .fill(&mut filler, self.peer.max_object)
            .map_err(|outbox::DoesNotFit| SessionError::PeerTooSmall)?;
        self.tell(fates);
        if self.aborting {
            filler.push(Request::alert(alert::ABORT));
        }
        let whole = self.outbox.is_empty() && self.server_done && !self.objects.is_open();
        self.complete = whole || self.aborting;
        let body = filler.finish(self.complete).map_err(SessionError::Unwritable)?;
        let hmac = self.login.hmac(&body, self.peer.message.is_none())?;
        let content_type = self.config.encoding.content_type();
        self.outputs.push_back(Output::Send(Outgoing {
            uri: self.peer.uri.clone(),
            content_type,
            hmac,
            body,
        }));
        if self.aborting {
            return Err(SessionError::Aborted);
        }
        self.state = State::Waiting(now.saturating_add(self.config.response_timeout));
        Ok(false)
    }

    fn header(&mut self) -> Header {
        let number = |size: usize| u64::try_from(size).ok();
        let name = self.login.user().map(str::to_owned);
        Header {
            ver_dtd: VER_DTD.to_owned(),
            ver_proto: VER_PROTO.to_owned(),
            session_id: self.config.session_id.clone(),
            msg_id: self.sent.to_string(),
            target: Location::new(&self.peer.uri),
            source: Location { uri: self.config.device_id.clone(), name },
            resp_uri: None,
            cred: self.login.cred(),
            meta: Meta {
                max_msg_size: number(self.config.max_message),
                max_obj_size: Some(self.config.max_object),
                ..Meta::default()
            },
        }
    }

    fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }
}

const VER_DTD: &str = "1.2";
const VER_PROTO: &str = "DM/1.2";

/// Whether a message is for us and can be answered at all.
fn check(message: &Message, config: &Config) -> Result<(), Code> {
    let header = &message.header;
    if header.ver_dtd != VER_DTD {
        return Err(Code::DTD_VERSION);
    }
    if header.ver_proto != VER_PROTO {
        return Err(Code::PROTOCOL_VERSION);
    }
    if header.session_id != config.session_id || header.msg_id.is_empty() {
        return Err(Code::BAD_REQUEST);
    }
    if header.target.uri != config.device_id {
        return Err(Code::NOT_FOUND);
    }
    // A status must name its command.
    let named = message.commands.iter().all(|command| match command {
        Command::Request(request) => is_named(request),
        Command::Status(_) | Command::Results(_) => true,
    });
    if named { Ok(()) } else { Err(Code::BAD_REQUEST) }
}

fn is_named(request: &Request) -> bool {
    !request.id.is_empty() && request.inner.iter().all(is_named)
}

/// What the server says about our header.
fn header_status(message: &Message) -> Option<Status> {
    message.commands.iter().find_map(|command| match command {
        Command::Status(status) if status.cmd_ref == "0" => Some(status.clone()),
        _ => None,
    })
}

fn has_alert(requests: &[Request], number: u16) -> bool {
    let number = number.to_string();
    requests.iter().any(|request| request.verb == Verb::Alert && request.data.as_ref() == Some(&number))
}

/// Statuses and requests. A server has no results to send.
fn split(commands: Vec<Command>) -> (Vec<Status>, Vec<Request>) {
    let mut statuses = Vec::new();
    let mut requests = Vec::new();
    for command in commands {
        match command {
            Command::Status(status) => statuses.push(status),
            Command::Request(request) => requests.push(request),
            Command::Results(_) => {}
        }
    }
    (statuses, requests)
}

fn header_reply(header: &Header, code: Code, chal: Option<Meta>) -> Status {
    Status {
        msg_ref: Some(header.msg_id.clone()),
        cmd_ref: "0".to_owned(),
        cmd: "SyncHdr".to_owned(),
        target_refs: vec![header.target.uri.clone()],
        source_refs: vec![header.source.uri.clone()],
        chal,
        code,
        ..Status::default()
    }
}

fn unproven(trust: Trust) -> Code {
    if trust == Trust::Missing { Code::MISSING_CREDENTIALS } else { Code::INVALID_CREDENTIALS }
}
