//! The association with a bootstrap server: from the request to the end of the transaction.

use super::bootstrap_operate;
use super::config::Version;
use super::context::{Effect, Env};
use super::link::{Happened, Link, Purpose};
use super::{Event, Output, Peer, serve};
use crate::account::{self, Account};
use crate::attributes::Table;
use crate::coap::message::{Code, Message, option};
use crate::format::Format;
use crate::limits::{BOOTSTRAP_RETRY, BOOTSTRAP_RETRY_MAX, CONNECT_WAIT, EXCHANGE_LIFETIME};
use crate::objects::{Origin, Reply, Transaction};
use crate::path::Path;
use crate::time::{Millis, earlier};

/// Where the bootstrap stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// It begins at this moment.
    Waiting(Millis),
    /// The caller opens the association.
    Connecting(Millis),
    /// The server writes; it is given up when nothing comes until this moment.
    Writing(Millis),
    /// All is committed. The association stays until this moment, for a server that missed our last answer.
    Done(Millis),
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// It goes on.
    Going,
    /// The new configuration counts.
    Committed,
    /// It failed; the old configuration counts.
    Failed,
    /// Nothing is left to do.
    Over,
}

/// A bootstrap.
#[derive(Debug)]
pub(crate) struct Bootstrap {
    pub(crate) account: Account,
    link: Link,
    state: State,
    /// Milliseconds before the attempt after the next failure.
    delay: u64,
    /// No bootstrap pack is asked for: the server has none.
    no_pack: bool,
    attributes: Table,
}

impl Bootstrap {
    /// Begins after the hold-off time of the account.
    pub(crate) fn new(account: Account, env: &mut Env<'_>) -> Self {
        let hold_off = account.hold_off.saturating_mul(1000);
        Self {
            link: Link::new(Peer(account.security), env.fork()),
            account,
            state: State::Waiting(env.now.plus(hold_off)),
            delay: BOOTSTRAP_RETRY,
            no_pack: !env.config.bootstrap_pack,
            attributes: Table::default(),
        }
    }

    pub(crate) fn peer(&self) -> Peer {
        self.link.peer
    }

    /// Whether the configuration is as it was left, and may be used.
    pub(crate) fn is_done(&self) -> bool {
        matches!(self.state, State::Done(_))
    }

    pub(crate) fn deadline(&self) -> Option<Millis> {
        let (State::Waiting(until) | State::Connecting(until) | State::Writing(until) | State::Done(until)) =
            self.state;
        earlier(Some(until), self.link.deadline())
    }

    pub(crate) fn tick(&mut self, env: &mut Env<'_>) -> Progress {
        let mut progress = Progress::Going;
        for happened in self.link.tick(env.now, env.objects) {
            progress = self.happened(env, happened);
        }
        match self.state {
            State::Waiting(until) if until <= env.now => {
                self.state = State::Connecting(env.now.plus(CONNECT_WAIT));
                let (peer, uri) = (self.peer(), self.account.uri.clone());
                env.outputs.push_back(Output::Connect { peer, uri });
            }
            State::Connecting(until) | State::Writing(until) if until <= env.now => {
                progress = self.failed(env, None);
            }
            State::Done(until) if until <= env.now => {
                self.close(env);
                progress = Progress::Over;
            }
            _ => {}
        }
        self.link.flush(env.outputs);
        progress
    }

    /// The caller has opened the association.
    pub(crate) fn connected(&mut self, env: &mut Env<'_>) -> Progress {
        if !matches!(self.state, State::Connecting(_)) {
            return Progress::Going;
        }
        let random = env.fork();
        self.link.reset(random, env.objects);
        // The server may write before we have its answer.
        if env.objects.transaction(Transaction::Begin).is_err() {
            return self.failed_before(env, None);
        }
        self.state = State::Writing(env.now.plus(EXCHANGE_LIFETIME));
        let progress = self.request(env);
        self.link.flush(env.outputs);
        progress
    }

    fn request(&mut self, env: &mut Env<'_>) -> Progress {
        let preferred = Format::SenmlCbor.id();
        let endpoint = format!("ep={}", env.config.endpoint);
        let (message, purpose) = if self.no_pack {
            let mut message = Message::new(Code::POST);
            message.add(option::URI_PATH, "bs");
            message.add(option::URI_QUERY, endpoint);
            if env.config.newest >= Version::V1_1 {
                message.add(option::URI_QUERY, format!("pct={preferred}"));
            }
            (message, Purpose::BootstrapRequest)
        } else {
            let mut message = Message::new(Code::GET);
            message.add(option::URI_PATH, "bspack");
            message.add(option::URI_QUERY, endpoint);
            message.add_uint(option::ACCEPT, u32::from(preferred));
            (message, Purpose::BootstrapPack)
        };
        let exponent = env.config.block_exponent;
        if self.link.call(message, Vec::new(), exponent, purpose, env.now) {
            Progress::Going
        } else {
            self.failed(env, None)
        }
    }

    /// The association is gone, or could not be opened.
    pub(crate) fn disconnected(&mut self, env: &mut Env<'_>) -> Progress {
        match self.state {
            State::Connecting(_) => self.failed_before(env, None),
            State::Writing(_) => self.failed(env, None),
            State::Waiting(_) => Progress::Going,
            State::Done(_) => Progress::Over,
        }
    }

    /// The network is another one: try again at once.
    pub(crate) fn network_changed(&mut self, env: &mut Env<'_>) -> Progress {
        let progress = match self.state {
            State::Writing(_) => self.failed(env, None),
            _ => Progress::Going,
        };
        if let State::Waiting(until) | State::Connecting(until) = self.state {
            self.state = State::Waiting(until.min(env.now));
        }
        progress
    }

    /// Takes a datagram.
    pub(crate) fn datagram(&mut self, env: &mut Env<'_>, bytes: &[u8]) -> Progress {
        if !matches!(self.state, State::Writing(_) | State::Done(_)) {
            return Progress::Going;
        }
        let progress = match self.link.receive(bytes, env.now) {
            Some(happened) => self.happened(env, happened),
            None => Progress::Going,
        };
        self.link.flush(env.outputs);
        progress
    }

    fn happened(&mut self, env: &mut Env<'_>, happened: Happened) -> Progress {
        match happened {
            Happened::Request(exchange, message) => {
                let done = self.is_done();
                let mut cx = env.context(&mut self.attributes, 0, env.config.newest);
                let operate = if done {
                    bootstrap_operate::after
                } else {
                    bootstrap_operate::operate as serve::Operate
                };
                let finish = message.code == Code::POST && message.first(option::URI_PATH) == Some(b"bs");
                serve::serve(&mut self.link, None, &mut cx, exchange, message, operate);
                if done {
                    return Progress::Going;
                }
                self.state = State::Writing(env.now.plus(EXCHANGE_LIFETIME));
                if finish { self.finish(env) } else { Progress::Going }
            }
            Happened::Over(Purpose::BootstrapRequest, response) if !self.is_done() => match response {
                Some(response) if response.code == Code::CHANGED => {
                    self.state = State::Writing(env.now.plus(EXCHANGE_LIFETIME));
                    Progress::Going
                }
                other => self.failed(env, other.map(|response| response.code)),
            },
            Happened::Over(Purpose::BootstrapPack, response) => self.pack(env, response),
            _ => Progress::Going,
        }
    }

    /// The answer to Finish was 2.04 if the operation committed everything.
    fn finish(&mut self, env: &mut Env<'_>) -> Progress {
        let committed = env.effects.iter().position(|effect| *effect == Effect::Bootstrapped);
        let Some(at) = committed else { return Progress::Going };
        env.effects.swap_remove(at);
        self.done(env)
    }

    fn done(&mut self, env: &mut Env<'_>) -> Progress {
        self.state = State::Done(env.now.plus(EXCHANGE_LIFETIME));
        env.event(Event::Bootstrapped);
        Progress::Committed
    }

    /// The server has answered with everything at once, or has no such answer.
    fn pack(&mut self, env: &mut Env<'_>, response: Option<Message>) -> Progress {
        let Some(response) = response.filter(|response| response.code == Code::CONTENT) else {
            self.no_pack = true;
            return self.request(env);
        };
        let format = response.uint(option::CONTENT_FORMAT).and_then(|id| u16::try_from(id).ok());
        let format = format.and_then(Format::from_id).filter(|format| format.is_senml());
        let models = env.objects.models();
        let write = format
            .and_then(|format| crate::format::decode(format, Path::ROOT, &response.payload, &models).ok());
        let write = write.map(|decoded| bootstrap_operate::write_of(Path::ROOT, decoded));
        let written = write.is_some_and(|write| {
            debug_assert_eq!(write.origin, Origin::Bootstrap);
            env.objects.write(env.ids.call(), write) == Reply::Done
        });
        let good = written
            && account::check(env.objects).is_ok()
            && env.objects.transaction(Transaction::Commit).is_ok();
        if good { self.done(env) } else { self.failed(env, None) }
    }

    fn failed(&mut self, env: &mut Env<'_>, code: Option<Code>) -> Progress {
        if matches!(self.state, State::Writing(_)) {
            // Nothing was committed, so that forgetting it cannot do harm even if it fails.
            let _ = env.objects.transaction(Transaction::RollBack);
        }
        self.failed_before(env, code)
    }

    fn failed_before(&mut self, env: &mut Env<'_>, code: Option<Code>) -> Progress {
        env.event(Event::BootstrapFailed { code: code.map(|code| code.to_string()) });
        self.close(env);
        let jitter = env.random.up_to(self.delay / 10);
        self.state = State::Waiting(env.now.plus(self.delay).plus(jitter));
        self.delay = self.delay.saturating_mul(2).min(BOOTSTRAP_RETRY_MAX);
        Progress::Failed
    }

    /// Closes the association; a transaction that is not committed is rolled back.
    pub(crate) fn stop(&mut self, env: &mut Env<'_>) {
        if matches!(self.state, State::Writing(_)) {
            let _ = env.objects.transaction(Transaction::RollBack);
        }
        self.close(env);
    }

    fn close(&mut self, env: &mut Env<'_>) {
        self.link.flush(env.outputs);
        let random = env.fork();
        self.link.reset(random, env.objects);
        env.outputs.push_back(Output::Close { peer: self.peer() });
    }
}
