//! One server that we register with: its registration over time, and everything that hangs on it.

use super::config::{Config, Version};
use super::context::{Effect, Env};
use super::link::{Happened, Link, Purpose};
use super::observe::Observations;
use super::registration::{Registration, Retries};
use super::{Event, Output, Peer, SendId, operate, read, serve};
use crate::account::{self, Account};
use crate::attributes::Table;
use crate::coap::message::{Code, Message, option};
use crate::format::Format;
use crate::limits::{CONNECT_WAIT, STOP_WAIT};
use crate::objects::{CallId, Refusal};
use crate::path::Path;
use crate::time::{Millis, earlier};

/// Where the registration stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Servers with a lower priority number come first.
    Blocked,
    /// The next attempt is at this moment.
    Waiting(Millis),
    /// The caller opens the association.
    Connecting(Millis),
    /// The registration is asked for.
    Registering,
    /// The server knows us.
    Registered,
    /// De-registration was sent; then nothing until the second moment, or never again.
    Leaving(Millis, Option<Millis>),
    /// We have left.
    Left,
}

/// A server that we register with.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) account: Account,
    link: Link,
    state: State,
    version: Version,
    registration: Option<Registration>,
    retries: Retries,
    observations: Observations,
    attributes: Table,
    /// When the last message came or went.
    heard: Millis,
    asleep: bool,
}

impl Server {
    /// A server that is registered with after its initial delay; `blocked`: others come first.
    pub(crate) fn new(account: Account, blocked: bool, env: &mut Env<'_>) -> Self {
        let delay = account.settings.initial_delay.saturating_mul(1000);
        let state = if blocked { State::Blocked } else { State::Waiting(env.now.plus(delay)) };
        Self {
            link: Link::new(Peer(account.security), env.fork()),
            account,
            state,
            version: env.config.newest,
            registration: None,
            retries: Retries::default(),
            observations: Observations::default(),
            attributes: Table::default(),
            heard: env.now,
            asleep: false,
        }
    }

    pub(crate) fn peer(&self) -> Peer {
        self.link.peer
    }

    pub(crate) fn is_registered(&self) -> bool {
        self.state == State::Registered
    }

    pub(crate) fn has_left(&self) -> bool {
        self.state == State::Left
    }

    /// Whether servers behind this one may begin.
    pub(crate) fn lets_others_begin(&self) -> bool {
        self.is_registered() || (self.retries.has_failed() && !self.account.settings.block_on_failure)
    }

    pub(crate) fn is_blocked(&self) -> bool {
        self.state == State::Blocked
    }

    /// Those before it have had their turn.
    pub(crate) fn unblock(&mut self, now: Millis) {
        let delay = self.account.settings.initial_delay.saturating_mul(1000);
        self.state = State::Waiting(now.plus(delay));
    }

    fn queue_mode(&self, config: &Config) -> bool {
        config.queue_mode || self.account.settings.binding.contains('Q')
    }

    /// Whether notifications may go out now. A server that observes before its answer to the registration has
    /// arrived knows us.
    fn reachable(&self) -> bool {
        let known = matches!(self.state, State::Registered | State::Registering);
        let updating = self.link.calls(Purpose::Update);
        known && !self.asleep && !updating && self.link.endpoint.has_room()
    }

    /// When there is something to do next.
    pub(crate) fn deadline(&self, config: &Config) -> Option<Millis> {
        let state = match self.state {
            State::Waiting(until) | State::Connecting(until) | State::Leaving(until, _) => Some(until),
            State::Blocked | State::Registering | State::Registered | State::Left => None,
        };
        let mut next = earlier(state, self.link.deadline());
        if self.reachable() || self.asleep {
            let due = self.observations.deadline(&self.attributes, &self.account.settings);
            next = earlier(next, due);
        }
        if self.state == State::Registered {
            let update = self.registration.as_ref().and_then(|registration| registration.next);
            next = earlier(next, update.filter(|_| !self.link.calls(Purpose::Update)));
            if self.queue_mode(config) && !self.asleep && !self.link.endpoint.is_busy() {
                next = earlier(next, Some(self.heard.plus(config.awake)));
            }
        }
        next
    }

    /// Does what is due.
    pub(crate) fn tick(&mut self, env: &mut Env<'_>) {
        for happened in self.link.tick(env.now, env.objects) {
            self.happened(env, happened);
        }
        match self.state {
            State::Waiting(until) if until <= env.now => self.connect(env),
            State::Connecting(until) if until <= env.now => self.failed(env, None, true),
            State::Leaving(until, _) if until <= env.now => self.left(env),
            State::Registered => self.tick_registered(env),
            State::Registering => self.notify(env),
            // What changes while the server cannot be reached is told later.
            State::Waiting(_) | State::Connecting(_) if self.registration.is_some() => self.notify(env),
            _ => {}
        }
        self.link.flush(env.outputs);
    }

    fn tick_registered(&mut self, env: &mut Env<'_>) {
        let waits = self.observations.waits(&self.attributes, &self.account.settings, env.now);
        let periodic = self.registration.as_ref().and_then(|registration| registration.next);
        // A sleeping client first says that it is awake.
        if periodic.is_some_and(|next| next <= env.now) || (self.asleep && waits) {
            self.update(env);
        }
        self.notify(env);
        let quiet = env.now.since(self.heard) >= env.config.awake && !self.link.endpoint.is_busy();
        if self.queue_mode(env.config) && !self.asleep && quiet {
            self.asleep = true;
            env.event(Event::Asleep { server: self.account.id });
        }
    }

    /// Sends the notifications that are due, or stores them while the server cannot be reached.
    fn notify(&mut self, env: &mut Env<'_>) {
        if !self.observations.waits(&self.attributes, &self.account.settings, env.now) {
            return;
        }
        let reachable = self.reachable();
        if reachable {
            self.heard = env.now;
        }
        let cx = env.context(&mut self.attributes, self.account.id, self.version);
        self.observations.tick(&cx, &mut self.link, &self.account.settings, reachable);
    }

    fn connect(&mut self, env: &mut Env<'_>) {
        self.state = State::Connecting(env.now.plus(CONNECT_WAIT));
        // What the server has not confirmed does not count.
        self.registration = self.registration.take().filter(|known| !known.location.is_empty());
        let (peer, uri) = (self.peer(), self.account.uri.clone());
        env.outputs.push_back(Output::Connect { peer, uri });
    }

    /// The caller has opened the association, or opened it anew.
    pub(crate) fn connected(&mut self, env: &mut Env<'_>, resumed: bool) {
        if !matches!(self.state, State::Connecting(_)) {
            return;
        }
        if resumed && self.registration.is_some() {
            self.state = State::Registered;
            self.update(env);
        } else {
            let random = env.fork();
            self.link.reset(random, env.objects);
            self.register(env);
        }
        self.link.flush(env.outputs);
    }

    /// The association is gone, or could not be opened.
    pub(crate) fn disconnected(&mut self, env: &mut Env<'_>) {
        match self.state {
            State::Connecting(_) => self.failed(env, None, true),
            State::Registering => self.failed(env, None, false),
            State::Registered => self.connect(env),
            State::Leaving(..) => self.left(env),
            State::Blocked | State::Waiting(_) | State::Left => {}
        }
    }

    /// The network is another one: try again at once.
    pub(crate) fn network_changed(&mut self, env: &mut Env<'_>) {
        self.retries = Retries::default();
        match self.state {
            State::Waiting(_) | State::Connecting(_) | State::Registering | State::Registered => {
                self.connect(env);
            }
            State::Blocked | State::Leaving(..) | State::Left => {}
        }
    }

    fn register(&mut self, env: &mut Env<'_>) {
        self.state = State::Registering;
        // The server may observe before we have its answer: nothing old may be in the way.
        self.observations.clear();
        self.registration = None;
        self.asleep = false;
        self.heard = env.now;
        let registration = Registration::new(&self.account, env.objects, self.version);
        let queue = self.queue_mode(env.config);
        let message = registration.register(&env.config.endpoint, self.version, queue);
        let body = registration.body();
        self.registration = Some(registration);
        let exponent = env.config.block_exponent;
        if !self.link.call(message, body, exponent, Purpose::Register, env.now) {
            self.failed(env, None, false);
        }
    }

    /// Renews the registration, and tells the server what is new.
    pub(crate) fn update(&mut self, env: &mut Env<'_>) {
        if self.state != State::Registered || self.link.calls(Purpose::Update) {
            return;
        }
        self.asleep = false;
        self.heard = env.now;
        let Some(registration) = &mut self.registration else { return };
        let (message, body) = registration.update(&self.account, env.objects, self.version);
        let exponent = env.config.block_exponent;
        if !self.link.call(message, body, exponent, Purpose::Update, env.now) {
            registration.postpone(env.now);
        }
    }

    /// Objects, instances or the account may have changed: update the registration if so.
    pub(crate) fn refresh(&mut self, env: &mut Env<'_>) {
        if let Some((instance, settings)) = account::settings(env.objects, self.account.id) {
            self.account.instance = Some(instance);
            self.account.settings = settings;
        }
        let (account, version) = (&self.account, self.version);
        if self.registration.as_ref().is_some_and(|known| known.is_old(account, env.objects, version)) {
            self.update(env);
        }
    }

    /// Something at or below the path may have another value.
    pub(crate) fn changed(&mut self, env: &mut Env<'_>, path: &Path) {
        let cx = env.context(&mut self.attributes, self.account.id, self.version);
        self.observations.changed(&cx, path);
    }

    /// An instance is gone, and with it what servers said about it.
    pub(crate) fn forget(&mut self, path: &Path) {
        self.attributes.forget(path);
    }

    /// Ends the registration. Then nothing until `again`, or never again.
    pub(crate) fn leave(&mut self, env: &mut Env<'_>, again: Option<Millis>) {
        let location = self.registration.as_ref().map(|registration| registration.location.clone());
        match (self.state, location) {
            (State::Registered, Some(location)) => {
                let mut message = Message::new(Code::DELETE);
                location.into_iter().for_each(|segment| message.add(option::URI_PATH, segment));
                self.state = State::Leaving(env.now.plus(STOP_WAIT), again);
                let exponent = env.config.block_exponent;
                if !self.link.call(message, Vec::new(), exponent, Purpose::Deregister, env.now) {
                    self.left(env);
                }
            }
            _ => {
                self.state = State::Leaving(env.now, again);
                self.left(env);
            }
        }
        self.link.flush(env.outputs);
    }

    /// The server wants us to be away for a while (object 1, resource 4).
    pub(crate) fn disable(&mut self, env: &mut Env<'_>) {
        let away = self.account.settings.disable.saturating_mul(1000);
        self.leave(env, Some(env.now.plus(away)));
    }

    fn left(&mut self, env: &mut Env<'_>) {
        let State::Leaving(_, again) = self.state else { return };
        self.close(env);
        self.state = again.map_or(State::Left, State::Waiting);
        env.event(Event::Deregistered { server: self.account.id });
    }

    /// Closes the association and forgets what hangs on it.
    pub(crate) fn close(&mut self, env: &mut Env<'_>) {
        self.link.flush(env.outputs);
        let random = env.fork();
        self.link.reset(random, env.objects);
        self.registration = None;
        self.observations.clear();
        env.outputs.push_back(Output::Close { peer: self.peer() });
    }

    /// An attempt failed, with an answer or without. `keep`: the server was not asked, and may still know us.
    fn failed(&mut self, env: &mut Env<'_>, code: Option<Code>, keep: bool) {
        let server = self.account.id;
        if !keep {
            self.registration = None;
        }
        env.event(Event::RegistrationFailed { server, code: code.map(|code| code.to_string()) });
        let (delay, last) = self.retries.next(&self.account.settings, env.random);
        self.state = State::Waiting(env.now.plus(delay));
        if last && self.account.settings.bootstrap_on_failure {
            env.effects.push(Effect::Failed(server));
        }
    }

    /// Takes a datagram.
    pub(crate) fn datagram(&mut self, env: &mut Env<'_>, bytes: &[u8]) {
        if !matches!(self.state, State::Registering | State::Registered | State::Leaving(..)) {
            return;
        }
        self.heard = env.now;
        self.asleep = false;
        if let Some(happened) = self.link.receive(bytes, env.now) {
            self.happened(env, happened);
        }
        self.link.flush(env.outputs);
    }

    fn happened(&mut self, env: &mut Env<'_>, happened: Happened) {
        match happened {
            Happened::Request(exchange, message) => {
                let mut cx = env.context(&mut self.attributes, self.account.id, self.version);
                let observations = Some(&mut self.observations);
                serve::serve(&mut self.link, observations, &mut cx, exchange, message, operate::operate);
            }
            Happened::Over(Purpose::Register, response) => self.registered(env, response),
            Happened::Over(Purpose::Update, response) => self.updated(env, response),
            Happened::Over(Purpose::Deregister, _) => self.left(env),
            Happened::Over(Purpose::Send(id), response) => {
                let delivered = response.is_some_and(|response| response.code == Code::CHANGED);
                env.event(Event::Sent { id, delivered });
            }
            Happened::Over(Purpose::BootstrapRequest | Purpose::BootstrapPack, _) => {}
            Happened::Undelivered(messages) => {
                self.observations.undelivered(messages, self.account.settings.storing);
                // The server may be gone, or our address may be another one.
                self.update(env);
            }
            Happened::Rejected(token) => self.observations.cancel(&token, &[]),
        }
    }

    fn registered(&mut self, env: &mut Env<'_>, response: Option<Message>) {
        if self.state != State::Registering {
            return;
        }
        let Some(response) = response else { return self.failed(env, None, false) };
        let accepted = response.code == Code::CREATED
            && self
                .registration
                .as_mut()
                .is_some_and(|registration| registration.accepted(&response, env.now));
        if accepted {
            self.state = State::Registered;
            self.retries = Retries::default();
            env.event(Event::Registered { server: self.account.id, version: self.version });
            self.refresh(env);
        } else if self.refuses_version(env.config, response.code) {
            self.version = Version::V1_0;
            self.register(env);
        } else {
            self.version = env.config.newest;
            self.failed(env, Some(response.code), false);
        }
    }

    /// Whether the answer to a registration may mean that its version is too new: 4.12 says so; old servers say 4.00.
    fn refuses_version(&self, config: &Config, code: Code) -> bool {
        matches!(code, Code::PRECONDITION_FAILED | Code::BAD_REQUEST) && self.version > config.oldest
    }

    fn updated(&mut self, env: &mut Env<'_>, response: Option<Message>) {
        if self.state != State::Registered {
            return;
        }
        let Some(registration) = &mut self.registration else { return };
        match response {
            Some(response) if response.code == Code::CHANGED => {
                registration.renewed(env.now);
                self.retries = Retries::default();
                env.event(Event::Updated { server: self.account.id });
                self.refresh(env);
            }
            // The server does not know us any more.
            Some(_) => self.register(env),
            None if registration.is_lost() => self.failed(env, None, false),
            // The server may have lost the association: try once more over a new one.
            None => self.connect(env),
        }
    }

    /// Sends values to the server without being asked (1.1). Gives whether it may be, and could be, done.
    pub(crate) fn send(&mut self, env: &mut Env<'_>, id: SendId, paths: &[Path]) -> bool {
        let muted = self.account.settings.mute_send || self.version < Version::V1_1;
        if muted || self.state != State::Registered {
            return false;
        }
        self.asleep = false;
        self.heard = env.now;
        let cx = env.context(&mut self.attributes, self.account.id, self.version);
        let secret =
            |path: &Path| matches!(path.object_id(), None | Some(account::SECURITY | account::OSCORE));
        if paths.iter().any(secret) {
            return false;
        }
        let Ok(content) = read::composite(&cx, paths, Format::SenmlCbor) else { return false };
        let mut message = Message::new(Code::POST);
        message.add(option::URI_PATH, "dp");
        message.add_uint(option::CONTENT_FORMAT, u32::from(content.format.id()));
        let exponent = env.config.block_exponent;
        let sent = self.link.call(message, content.payload, exponent, Purpose::Send(id), env.now);
        self.link.flush(env.outputs);
        sent
    }

    /// The objects have answered a call. Gives whether it was one of this server.
    pub(crate) fn completed(&mut self, env: &mut Env<'_>, call: CallId, result: Result<(), Refusal>) -> bool {
        let mut cx = env.context(&mut self.attributes, self.account.id, self.version);
        let ours = serve::completed(&mut self.link, &mut cx, call, result);
        self.link.flush(env.outputs);
        ours
    }
}
