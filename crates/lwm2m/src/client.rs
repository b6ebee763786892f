//! The client as a whole: inputs in, outputs out, nothing else.

mod bootstrap;
mod bootstrap_operate;
mod config;
mod context;
mod discover;
mod link;
mod observe;
mod operate;
mod read;
mod registration;
mod request;
mod serve;
mod server;
mod upload;

pub use config::{Config, InvalidConfig, Version};

use crate::account;
use crate::objects::{CallId, Objects, Origin, Refusal};
use crate::path::Path;
use crate::time::{Millis, earlier};
use bootstrap::{Bootstrap, Progress};
use context::{Effect, Env, Shared};
use server::Server;

/// Names the association with a server: the instance of object 0 that describes it. What its URI and its keys are is
/// there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Peer(pub u16);

/// Names values that were sent without being asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SendId(u64);

/// What happens to a client.
#[derive(Debug)]
pub enum Input<'a> {
    /// Nothing but time: for a deadline that has come.
    Tick,
    /// A datagram came from a server, decrypted.
    Datagram {
        /// The association on which it came. Datagrams from elsewhere must not get here.
        peer: Peer,
        /// Its bytes.
        bytes: &'a [u8],
    },
    /// The association that [`Output::Connect`] asked for is open.
    Connected {
        /// Which one.
        peer: Peer,
        /// Whether the server still knows it: always over plain UDP, and for a resumed DTLS session. Otherwise we
        /// register anew.
        resumed: bool,
    },
    /// The association could not be opened, or is gone.
    Disconnected {
        /// Which one.
        peer: Peer,
    },
    /// The device has another address, or a network again: what waits is tried at once.
    NetworkChanged,
    /// Something at or below the path may have another value; for an object also: instances came or went. For what
    /// servers do themselves the client knows.
    Changed(Path),
    /// The objects have done what they answered with [`crate::Reply::Later`], or not.
    Completed {
        /// Which call.
        call: CallId,
        /// What became of it.
        result: Result<(), Refusal>,
    },
    /// De-register everywhere; the end is [`Event::Stopped`].
    Stop,
}

/// What a client wants done, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Send a datagram.
    Datagram {
        /// On this association.
        peer: Peer,
        /// Its bytes.
        bytes: Vec<u8>,
    },
    /// Open an association, or open it anew if it is open; answer with [`Input::Connected`] or
    /// [`Input::Disconnected`]. Names are looked up each time.
    Connect {
        /// Which one.
        peer: Peer,
        /// Where to, as object 0 says: `coap://…` or `coaps://…`.
        uri: String,
    },
    /// Close an association.
    Close {
        /// Which one.
        peer: Peer,
    },
    /// Something to know; nothing needs to be done.
    Event(Event),
}

/// Something that an operator may want to know. Servers are named by their Short Server IDs.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)] // The fields are what the sentences say.
pub enum Event {
    /// The server has registered us, in this version.
    Registered { server: u16, version: Version },
    /// The server has renewed our registration.
    Updated { server: u16 },
    /// An attempt to register failed, with this code such as `4.03`, or without an answer. It is tried again.
    RegistrationFailed { server: u16, code: Option<String> },
    /// The server does not know us any more, because we left.
    Deregistered { server: u16 },
    /// In queue mode: nothing will come from this server until we say something.
    Asleep { server: u16 },
    /// Values that were sent have arrived, or not.
    Sent { id: SendId, delivered: bool },
    /// A bootstrap has brought a new configuration.
    Bootstrapped,
    /// A bootstrap failed, with this code or without an answer. It is tried again.
    BootstrapFailed { code: Option<String> },
    /// There is neither a server to register with nor one to bootstrap from: the client does nothing.
    NoServers,
    /// After [`Input::Stop`]: the client has left every server.
    Stopped,
}

/// Values cannot be sent to this server now: it is not registered, speaks 1.0, wants none, or there are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the server takes no values now; it must be registered with version 1.1 and Mute Send must be false")]
pub struct NotSent;

/// An LwM2M client without sockets and clocks. See the [crate] for how to drive it.
#[derive(Debug)]
pub struct Client {
    shared: Shared,
    servers: Vec<Server>,
    bootstrap: Option<Bootstrap>,
    /// When the account of the bootstrap server is deleted, and which one it is.
    purge: Option<(Millis, u16)>,
    started: bool,
    stopping: bool,
}

impl Client {
    /// A client that begins with its first input. `seed` decides message ids, tokens and jitter: it must be random,
    /// and another one after each start, or servers take new messages for repetitions of old ones.
    pub fn new(config: Config, seed: u64) -> Result<Self, InvalidConfig> {
        config.check()?;
        Ok(Self {
            shared: Shared::new(config, seed),
            servers: Vec::new(),
            bootstrap: None,
            purge: None,
            started: false,
            stopping: false,
        })
    }

    /// The next thing to do; ask until there is none after each input.
    pub fn output(&mut self) -> Option<Output> {
        self.shared.outputs.pop_front()
    }

    /// When the next [`Input::Tick`] is due, unless something comes before.
    #[must_use]
    pub fn deadline(&self) -> Option<Millis> {
        let servers = self.servers.iter().filter_map(|server| server.deadline(&self.shared.config)).min();
        let bootstrap = self.bootstrap.as_ref().and_then(Bootstrap::deadline);
        earlier(earlier(servers, bootstrap), self.purge.map(|(at, _)| at))
    }

    /// Takes an input. `now` must never be less than it was before.
    pub fn handle(&mut self, now: Millis, input: Input<'_>, objects: &mut dyn Objects) {
        if !self.started {
            self.started = true;
            self.load(now, objects);
        }
        self.take(now, input, objects);
        self.settle(now, objects);
    }

    /// Sends the values at `paths` to a server without being asked (1.1). What becomes of it is [`Event::Sent`].
    pub fn send(
        &mut self,
        now: Millis,
        server: u16,
        paths: &[Path],
        objects: &mut dyn Objects,
    ) -> Result<SendId, NotSent> {
        let id = SendId(self.shared.ids.call().0);
        let mut env = self.shared.env(now, objects);
        let found = self.servers.iter_mut().find(|known| known.account.id == server);
        let sent = found.is_some_and(|server| server.send(&mut env, id, paths));
        if sent { Ok(id) } else { Err(NotSent) }
    }

    fn take(&mut self, now: Millis, input: Input<'_>, objects: &mut dyn Objects) {
        match input {
            Input::Tick => {}
            Input::Datagram { peer, bytes } => self.on(
                now,
                peer,
                objects,
                |server, env| server.datagram(env, bytes),
                |bootstrap, env| bootstrap.datagram(env, bytes),
            ),
            Input::Connected { peer, resumed } => self.on(
                now,
                peer,
                objects,
                |server, env| server.connected(env, resumed),
                |bootstrap, env| bootstrap.connected(env),
            ),
            Input::Disconnected { peer } => {
                self.on(now, peer, objects, Server::disconnected, Bootstrap::disconnected);
            }
            Input::NetworkChanged => {
                let mut env = self.shared.env(now, objects);
                self.servers.iter_mut().for_each(|server| server.network_changed(&mut env));
                let progress = self.bootstrap.as_mut().map(|bootstrap| bootstrap.network_changed(&mut env));
                self.progress(now, progress.unwrap_or(Progress::Going), objects);
            }
            Input::Changed(path) => self.shared.effects.push(Effect::Changed(path)),
            Input::Completed { call, result } => {
                let mut env = self.shared.env(now, objects);
                let _ = self.servers.iter_mut().any(|server| server.completed(&mut env, call, result));
            }
            Input::Stop => {
                self.stopping = true;
                let mut env = self.shared.env(now, objects);
                if let Some(mut bootstrap) = self.bootstrap.take() {
                    bootstrap.stop(&mut env);
                }
                self.servers.iter_mut().for_each(|server| server.leave(&mut env, None));
            }
        }
    }

    /// Gives an input of one association to whoever it belongs to; inputs of others are ignored.
    fn on(
        &mut self,
        now: Millis,
        peer: Peer,
        objects: &mut dyn Objects,
        server: impl FnOnce(&mut Server, &mut Env<'_>),
        bootstrap: impl FnOnce(&mut Bootstrap, &mut Env<'_>) -> Progress,
    ) {
        let mut env = self.shared.env(now, objects);
        if let Some(found) = self.servers.iter_mut().find(|known| known.peer() == peer) {
            server(found, &mut env);
        } else if let Some(found) = self.bootstrap.as_mut().filter(|known| known.peer() == peer) {
            let progress = bootstrap(found, &mut env);
            self.progress(now, progress, objects);
        }
    }

    /// Carries out what operations left to do, and what is due, until nothing is.
    fn settle(&mut self, now: Millis, objects: &mut dyn Objects) {
        // Effects cause few others; the limit is against a defect, not against a server.
        for _ in 0..16 {
            for effect in std::mem::take(&mut self.shared.effects) {
                self.effect(now, effect, objects);
            }
            self.tick(now, objects);
            if self.shared.effects.is_empty() {
                break;
            }
        }
        if self.stopping && self.servers.iter().all(Server::has_left) && self.started {
            self.servers.clear();
            self.stopping = false;
            self.shared.outputs.push_back(Output::Event(Event::Stopped));
        }
    }

    fn tick(&mut self, now: Millis, objects: &mut dyn Objects) {
        let mut env = self.shared.env(now, objects);
        for at in 0..self.servers.len() {
            let Some(server) = self.servers.get(at) else { continue };
            let priority = server.account.settings.priority;
            let before = |other: &Server| other.account.settings.priority.is_some_and(|p| Some(p) < priority);
            let waits = self.servers.iter().any(|other| before(other) && !other.lets_others_begin());
            let Some(server) = self.servers.get_mut(at) else { continue };
            if server.is_blocked() && !waits {
                server.unblock(now);
            }
            server.tick(&mut env);
        }
        let progress = match &mut self.bootstrap {
            Some(bootstrap) => bootstrap.tick(&mut env),
            None => Progress::Going,
        };
        if let Some((_, instance)) = self.purge.filter(|(at, _)| *at <= now) {
            self.purge = None;
            let call = env.ids.call();
            env.objects.delete(call, Origin::Bootstrap, Path::instance(account::SECURITY, instance));
        }
        self.progress(now, progress, objects);
    }

    fn effect(&mut self, now: Millis, effect: Effect, objects: &mut dyn Objects) {
        let mut env = self.shared.env(now, objects);
        match effect {
            Effect::Changed(path) => {
                let accounts = path.object_id() == Some(account::SERVER);
                for server in &mut self.servers {
                    server.changed(&mut env, &path);
                    if path.depth() <= 1 || accounts {
                        server.refresh(&mut env);
                    }
                }
            }
            Effect::Created(path) | Effect::Deleted(path) => {
                for server in &mut self.servers {
                    if matches!(effect, Effect::Deleted(_)) {
                        server.forget(&path);
                    }
                    server.changed(&mut env, &path);
                    server.refresh(&mut env);
                }
            }
            Effect::Update(id) => {
                if let Some(server) = self.servers.iter_mut().find(|server| server.account.id == id) {
                    server.update(&mut env);
                }
            }
            Effect::Disable(id) => {
                if let Some(server) = self.servers.iter_mut().find(|server| server.account.id == id) {
                    server.disable(&mut env);
                }
            }
            Effect::Bootstrap => self.begin_bootstrap(now, objects),
            Effect::Failed(_) => {
                if !self.servers.iter().any(Server::is_registered) {
                    self.begin_bootstrap(now, objects);
                }
            }
            Effect::Bootstrapped => {}
        }
    }

    fn progress(&mut self, now: Millis, progress: Progress, objects: &mut dyn Objects) {
        match progress {
            Progress::Going => {}
            Progress::Committed => {
                let account = self.bootstrap.as_ref().map(|bootstrap| &bootstrap.account);
                let purge = account.filter(|account| account.purge_after > 0);
                self.purge = purge
                    .map(|account| (now.plus(account.purge_after.saturating_mul(1000)), account.security));
                self.load(now, objects);
            }
            // With the configuration as it was, what can be registered is registered.
            Progress::Failed => {
                let (accounts, _) = account::usable(objects);
                if !accounts.is_empty() {
                    self.bootstrap = None;
                    self.load(now, objects);
                }
            }
            Progress::Over => self.bootstrap = None,
        }
    }

    /// Begins with the accounts that there are.
    fn load(&mut self, now: Millis, objects: &mut dyn Objects) {
        let (accounts, bootstrap) = account::usable(objects);
        let mut env = self.shared.env(now, objects);
        let first = accounts.iter().filter_map(|account| account.settings.priority).min();
        self.servers = accounts
            .into_iter()
            .map(|account| {
                let priority = account.settings.priority;
                Server::new(account, priority.is_some() && priority > first, &mut env)
            })
            .collect();
        if !self.servers.is_empty() {
            return;
        }
        match bootstrap {
            Some(account) if self.bootstrap.is_none() => {
                self.bootstrap = Some(Bootstrap::new(account, &mut env))
            }
            Some(_) => {}
            None => env.event(Event::NoServers),
        }
    }

    /// Leaves the servers without a word and asks the bootstrap server: what it writes may concern all of them, and
    /// the registrations that follow take the place of the present ones.
    fn begin_bootstrap(&mut self, now: Millis, objects: &mut dyn Objects) {
        let (_, account) = account::usable(objects);
        let Some(account) = account.filter(|_| self.bootstrap.as_ref().is_none_or(Bootstrap::is_done)) else {
            return;
        };
        let mut env = self.shared.env(now, objects);
        for mut server in self.servers.drain(..) {
            server.close(&mut env);
        }
        self.bootstrap = Some(Bootstrap::new(account, &mut env));
    }
}
