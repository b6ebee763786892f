//! The engine's thread: the only one that changes the state.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use scomo_core::command::{Caller, Command, Input, Terms};
use scomo_core::effect::Inventory;
use scomo_core::fact::Fact;
use scomo_core::spec::ComponentKind;
use scomo_core::state::State;
use scomo_core::{apply, decide, next_deadline, pending};

use super::log::FactLog;
use super::running::RunningSet;
use super::view::View;
use super::{Options, Receipt, Refusal};
use crate::backend::chain;
use crate::runner::{Event, Runner};
use crate::store::StoreError;

/// Shortest time between two snapshots that differ in progress only: the bus shows four a second.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(250);
/// Longest sleep while something is due some time, so that a clock that was set takes effect soon.
const SLEEP_MAX: Duration = Duration::from_secs(60);
/// Wait after the first failed append that must not be lost; doubled up to the longest.
const STORE_RETRY_MIN: Duration = Duration::from_millis(500);
/// Longest wait between two tries to store an outcome: somebody may have freed space meanwhile.
const STORE_RETRY_MAX: Duration = Duration::from_secs(30);
/// How long killed effects may take to end at shutdown; after that the kernel ends them with this process.
const SHUTDOWN_WAIT: Duration = Duration::from_secs(5);

/// Commands that may wait until the device was looked at.
const EARLY_MAX: usize = 64;
/// Stack of the thread that looks: it parses an inventory.
const LOOK_STACK_BYTES: usize = 256 * 1024;

/// What the thread is told.
#[allow(clippy::large_enum_variant, reason = "the mailbox holds few")]
pub(super) enum Message {
    /// Somebody asks for something.
    Command(Asked),
    /// What the device is like; told once, after the start.
    Looked(BTreeMap<ComponentKind, Inventory>),
    /// Something came of an effect.
    Event { number: u64, event: Event },
    /// The clock may have moved.
    Wake,
    /// The process ends.
    Shutdown,
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Message")
    }
}

/// The thread's own.
pub(super) struct Writer {
    options: Options,
    runner: Arc<dyn Runner>,
    mailbox: SyncSender<Message>,
    view: Arc<RwLock<Arc<View>>>,
    state: Arc<State>,
    /// `None`: safe mode.
    log: Option<Box<dyn FactLog>>,
    safe_mode: Option<String>,
    running: RunningSet,
    /// The first input of this process.
    start: Start,
    trouble: Option<Trouble>,
    revision: u64,
    progress_due: Option<Instant>,
    published_at: Instant,
}

/// How far the start of the process is.
enum Start {
    /// The device is being looked at; commands wait for that.
    Looking(Vec<Asked>),
    /// It was looked at, and what was found is not stored yet.
    Found(Box<Input>),
    /// It is stored, or it never will be (safe mode).
    Done,
}

/// Somebody asks for something.
pub(super) struct Asked {
    pub(super) caller: Caller,
    pub(super) terms: Terms,
    pub(super) command: Command,
    pub(super) then: Box<dyn FnOnce(Result<Receipt, Refusal>) + Send>,
}

/// The store does not take facts.
struct Trouble {
    why: String,
    wait: Duration,
    until: Instant,
}

impl Writer {
    pub(super) fn new(
        options: Options,
        runner: Arc<dyn Runner>,
        state: State,
        log: Result<Box<dyn FactLog>, String>,
        mailbox: SyncSender<Message>,
        view: Arc<RwLock<Arc<View>>>,
    ) -> Self {
        let (log, safe_mode) = match log {
            Ok(log) => (Some(log), None),
            Err(why) => (None, Some(why)),
        };
        Self {
            options,
            runner,
            mailbox,
            view,
            state: Arc::new(state),
            log,
            safe_mode,
            running: RunningSet::default(),
            start: Start::Done,
            trouble: None,
            revision: 0,
            progress_due: None,
            published_at: Instant::now(),
        }
    }

    /// Runs until it is told to end.
    pub(super) fn run(mut self, inbox: &Receiver<Message>) {
        if self.log.is_some() {
            self.start = Start::Looking(Vec::new());
            self.look();
        }
        self.publish();
        while let Some(message) = self.next(inbox) {
            match message {
                Message::Shutdown => break,
                Message::Command(asked) => self.answer(asked),
                Message::Looked(found) => self.looked(found),
                Message::Event { number, event: Event::Progress(progress) } => {
                    if self.running.take(number, Event::Progress(progress)) {
                        let due = self.published_at + PROGRESS_INTERVAL;
                        self.progress_due.get_or_insert(due);
                    }
                }
                Message::Event { number, event } => {
                    self.running.take(number, event);
                    self.settle();
                    self.publish();
                }
                Message::Wake => {
                    if self.settle() {
                        self.publish();
                    }
                }
            }
            if self.progress_due.is_some_and(|due| due <= Instant::now()) {
                self.publish();
            }
        }
        self.end(inbox);
    }

    /// The next message; time that passed is one.
    fn next(&self, inbox: &Receiver<Message>) -> Option<Message> {
        let Some(sleep) = self.sleep() else { return inbox.recv().ok() };
        match inbox.recv_timeout(sleep) {
            Ok(message) => Some(message),
            Err(RecvTimeoutError::Timeout) => Some(Message::Wake),
            Err(RecvTimeoutError::Disconnected) => None,
        }
    }

    /// Looks what the device is like, on a thread of its own: a backend that hangs must not make the engine deaf.
    fn look(&mut self) {
        let (runner, mailbox) = (Arc::clone(&self.runner), self.mailbox.clone());
        let spawned = std::thread::Builder::new()
            .name("look".to_owned())
            .stack_size(LOOK_STACK_BYTES)
            .spawn(move || drop(mailbox.send(Message::Looked(observe(&*runner)))));
        if let Err(error) = spawned {
            tracing::error!("cannot look what runs: {error}");
            self.looked(BTreeMap::new());
        }
    }

    fn looked(&mut self, found: BTreeMap<ComponentKind, Inventory>) {
        let input = Input::ProcessStarted { boot: self.options.boot.clone(), found };
        let early = match std::mem::replace(&mut self.start, Start::Found(Box::new(input))) {
            Start::Looking(early) => early,
            Start::Found(_) | Start::Done => Vec::new(),
        };
        self.settle();
        self.publish();
        for asked in early {
            self.answer(asked);
        }
    }

    fn answer(&mut self, asked: Asked) {
        if let Start::Looking(early) = &mut self.start {
            if early.len() < EARLY_MAX {
                early.push(asked);
            } else {
                (asked.then)(Err(Refusal::Overloaded));
            }
            return;
        }
        let Asked { caller, terms, command, then } = asked;
        let result = self.command(caller, terms, command);
        if result.is_ok() {
            self.settle();
            self.publish();
        }
        // After the snapshot: whoever asked finds what was done in it.
        then(result);
    }

    fn command(&mut self, caller: Caller, terms: Terms, command: Command) -> Result<Receipt, Refusal> {
        if let Some(why) = &self.safe_mode {
            return Err(Refusal::SafeMode(why.clone()));
        }
        if let Some(job) = terms.request.as_ref().and_then(|request| self.state.request_job(request)) {
            return Ok(Receipt { job: Some(job), already: true });
        }
        // If the store failed at the first facts of this process: nothing may come before them.
        self.try_start().map_err(|error| Refusal::NotStored(Arc::new(error)))?;
        let facts = decide(&self.state, (self.options.clock)(), &Input::Command { caller, terms, command })?;
        let job = facts.iter().find_map(|fact| match fact {
            Fact::JobStarted { job, .. } => Some(*job),
            _ => None,
        });
        match self.commit(&facts) {
            Ok(()) => Ok(Receipt { job, already: false }),
            Err(error) => {
                tracing::error!("a command could not be stored: {}", chain(&error));
                match &self.safe_mode {
                    Some(why) => Err(Refusal::SafeMode(why.clone())),
                    None => Err(Refusal::NotStored(Arc::new(error))),
                }
            }
        }
    }

    /// Makes the facts durable, then true. On an error nothing changed.
    fn commit(&mut self, facts: &[Fact]) -> Result<(), StoreError> {
        if facts.is_empty() {
            return Ok(());
        }
        let mut next = State::clone(&self.state);
        for fact in facts {
            if let Err(illegal) = apply(&mut next, fact) {
                // A defect. Going on would store what cannot be read again.
                self.give_up(format!("{illegal}; this is a defect of scomod, please report it"));
                return Err(StoreError::Illegal { seq: 0, why: illegal.to_string() });
            }
            tracing::debug!("fact: {}", fact.name());
        }
        let now = (self.options.clock)();
        let Some(log) = &mut self.log else { return Err(StoreError::ReadOnly) };
        log.append(now, facts)?;
        if self.trouble.take().is_some() {
            tracing::info!("facts can be stored again");
        }
        self.state = Arc::new(next);
        // In the middle of a job a previous scomod may have to go on after a roll back: it reads single facts.
        if log.is_long() && self.state.job.is_none() {
            let checkpoint = Fact::Checkpoint { state: Box::new(State::clone(&self.state)) };
            if let Err(error) = log.compact(now, &checkpoint) {
                tracing::warn!("old facts could not be replaced by a checkpoint: {}", chain(&error));
            }
        }
        Ok(())
    }

    /// Stops writing for good; whatever runs on the device goes on running.
    fn give_up(&mut self, why: String) {
        tracing::error!("safe mode: {why}");
        self.safe_mode = Some(why);
        self.log = None;
        self.start = Start::Done;
        self.running.kill_all();
    }

    /// Brings everything up to date: outcomes become facts, deadlines pass, what is pending runs. True: there was
    /// something to do.
    fn settle(&mut self) -> bool {
        let mut changed = false;
        loop {
            changed |= self.take_inputs();
            if self.log.is_none() || !self.is_started() {
                return changed;
            }
            let wanted = pending(&self.state, (self.options.clock)());
            changed |= self.running.reconcile(wanted, &*self.runner, &self.mailbox);
            // An effect that could not even be started has its outcome already.
            if self.trouble.is_some() || self.running.outcome().is_none() {
                return changed;
            }
        }
    }

    /// Takes every input that nobody waits for, unless the store is in trouble.
    fn take_inputs(&mut self) -> bool {
        let mut changed = false;
        while self.log.is_some() && self.trouble.as_ref().is_none_or(|t| t.until <= Instant::now()) {
            match self.next_input() {
                Ok(true) => changed = true,
                Ok(false) => break,
                Err(error) => {
                    self.note_trouble(&error);
                    return true;
                }
            }
        }
        changed
    }

    /// Takes one input that nobody waits for; false: there is none.
    fn next_input(&mut self) -> Result<bool, StoreError> {
        match &self.start {
            Start::Looking(_) => return Ok(false),
            Start::Found(_) => return self.try_start().map(|()| true),
            Start::Done => {}
        }
        if let Some((number, task, result)) = self.running.outcome() {
            if let Err(failure) = &result {
                tracing::warn!("{:?} failed ({}): {}", task.task, failure.kind.as_str(), failure.detail);
            }
            self.take(&Input::Outcome { task, result })?;
            self.running.forget(number);
            return Ok(true);
        }
        self.take(&Input::Tick)
    }

    fn try_start(&mut self) -> Result<(), StoreError> {
        let Start::Found(input) = &self.start else { return Ok(()) };
        let input = input.clone();
        self.take(&input)?;
        self.start = Start::Done;
        Ok(())
    }

    fn is_started(&self) -> bool {
        matches!(self.start, Start::Done)
    }

    fn take(&mut self, input: &Input) -> Result<bool, StoreError> {
        match decide(&self.state, (self.options.clock)(), input) {
            Ok(facts) => self.commit(&facts).map(|()| !facts.is_empty()),
            Err(rejection) => {
                tracing::error!("an input of the engine's own was rejected: {rejection}");
                Ok(false)
            }
        }
    }

    fn note_trouble(&mut self, error: &StoreError) {
        let wait = self.trouble.as_ref().map_or(STORE_RETRY_MIN, |t| (t.wait * 2).min(STORE_RETRY_MAX));
        let why = chain(error);
        tracing::error!("facts cannot be stored, trying again in {} ms: {why}", wait.as_millis());
        self.trouble = Some(Trouble { why, wait, until: Instant::now() + wait });
    }

    /// How long nothing is due; `None`: nothing ever is, and an idle device is left alone.
    fn sleep(&self) -> Option<Duration> {
        let now = Instant::now();
        let until = |at: Instant| at.saturating_duration_since(now);
        let progress = self.progress_due.map(until);
        let work = match &self.trouble {
            _ if self.log.is_none() => None,
            Some(trouble) => Some(until(trouble.until)),
            None if !self.is_started() => None,
            None => {
                let clock = (self.options.clock)();
                let deadline = next_deadline(&self.state, clock);
                deadline.map(|at| Duration::from_millis(at.0.saturating_sub(clock.0)))
            }
        };
        progress.into_iter().chain(work).min().map(|sleep| sleep.min(SLEEP_MAX))
    }

    fn publish(&mut self) {
        self.progress_due = None;
        self.published_at = Instant::now();
        self.revision = self.revision.saturating_add(1);
        let view = Arc::new(View {
            revision: self.revision,
            state: Arc::clone(&self.state),
            running: self.running.progress(),
            safe_mode: self.safe_mode.clone(),
            store_trouble: self.trouble.as_ref().map(|t| t.why.clone()),
            started: self.is_started(),
        });
        *self.view.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&view);
        (self.options.publish)(&view);
    }

    fn end(mut self, inbox: &Receiver<Message>) {
        if let Start::Looking(early) = std::mem::replace(&mut self.start, Start::Done) {
            early.into_iter().for_each(|asked| (asked.then)(Err(Refusal::Stopped)));
        }
        self.running.kill_all();
        let deadline = Instant::now() + SHUTDOWN_WAIT;
        while !self.running.is_quiet() {
            match inbox.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(Message::Event { number, event }) => drop(self.running.take(number, event)),
                Ok(Message::Command(asked)) => (asked.then)(Err(Refusal::Stopped)),
                Ok(Message::Wake | Message::Shutdown | Message::Looked(_)) => {}
                Err(_) => {
                    tracing::warn!("effects did not end in time");
                    break;
                }
            }
        }
        for message in inbox.try_iter() {
            if let Message::Command(asked) = message {
                (asked.then)(Err(Refusal::Stopped));
            }
        }
    }
}

/// What each backend finds. A kind whose backend cannot look is left out: nothing is concluded of it.
fn observe(runner: &dyn Runner) -> BTreeMap<ComponentKind, Inventory> {
    let mut found = BTreeMap::new();
    for kind in runner.kinds() {
        match runner.observe(kind) {
            Ok(inventory) => drop(found.insert(kind, inventory)),
            Err(failure) => tracing::warn!("cannot look what runs ({}): {}", kind.as_str(), failure.detail),
        }
    }
    found
}
