//! The commands of one message, in order: groups, failures, roll back, and the user in between.

use std::collections::VecDeque;

use super::ops::{Ops, Outcome};
use super::outbox::Entry;
use crate::code::{Code, alert};
use crate::interaction::{Answer, Interaction};
use crate::message::{Command, Item, Request, Results, Status, Verb};

/// What is left of a message, and what became of the rest.
#[derive(Debug, Default)]
pub(super) struct Work {
    message: String,
    steps: VecDeque<Step>,
    scopes: Vec<Scope>,
    replies: Vec<Reply>,
    /// The user cancelled: nothing more is carried out.
    cancelled: bool,
    asked: Option<(String, Interaction)>,
    /// Memory that values may still take, in bytes.
    room: usize,
}

#[derive(Debug)]
enum Step {
    Run(Box<Request>),
    Leave,
}

/// A Sequence or Atomic that we are in.
#[derive(Debug)]
struct Scope {
    /// Its reply.
    at: usize,
    atomic: bool,
    /// What follows in it is not carried out.
    skip: bool,
}

/// What became of a request.
#[derive(Debug)]
struct Reply {
    id: String,
    verb: Verb,
    outcomes: Vec<Outcome>,
    results: Vec<Item>,
}

impl Reply {
    fn new(request: &Request, code: Code) -> Self {
        let outcomes = vec![Outcome::new(code, None)];
        Self { id: request.id.clone(), verb: request.verb.clone(), outcomes, results: Vec::new() }
    }

    fn is_success(&self) -> bool {
        self.outcomes.iter().all(|outcome| outcome.code.is_success())
    }

    fn changes_the_tree(&self) -> bool {
        matches!(self.verb, Verb::Add | Verb::Replace | Verb::Delete | Verb::Copy)
    }

    fn set(&mut self, code: Code) {
        self.outcomes.iter_mut().for_each(|outcome| outcome.code = code);
    }
}

impl Work {
    /// The requests of the message with this number. Values may take `room` bytes of memory.
    pub(super) fn new(message: String, requests: Vec<Request>, room: usize) -> Self {
        Self {
            message,
            room,
            steps: requests.into_iter().map(Box::new).map(Step::Run).collect(),
            ..Self::default()
        }
    }

    /// Requests that are all answered with `code`; none is carried out.
    pub(super) fn refused(message: String, requests: &[Request], code: Code) -> Self {
        let mut work = Self { message, ..Self::default() };
        requests.iter().for_each(|request| work.skip(request, code));
        work
    }

    /// Goes on until everything is done, or the user must be asked.
    pub(super) fn run(&mut self, ops: &mut Ops<'_>) -> Option<Interaction> {
        while let Some(step) = self.steps.pop_front() {
            let request = match step {
                Step::Leave => {
                    self.leave(ops);
                    continue;
                }
                Step::Run(request) => *request,
            };
            if self.is_skipping() {
                self.skip(&request, Code::NOT_EXECUTED);
                continue;
            }
            if !is_session_alert(&request) {
                ops.objects.before(ops.tree, &request);
            }
            match request.verb {
                Verb::Sequence => self.enter(request, false),
                Verb::Atomic => self.enter_atomic(ops, request),
                Verb::Alert => {
                    let interaction = self.alert(&request);
                    if interaction.is_some() {
                        return interaction;
                    }
                }
                _ => self.perform(ops, request),
            }
        }
        ops.objects.end_message(ops.tree);
        None
    }

    /// Takes the answer to what was asked.
    pub(super) fn answer(&mut self, answer: Answer) {
        let Some((id, interaction)) = self.asked.take() else { return };
        let (code, items) = interaction.status(answer);
        let outcome = Outcome { items, ..Outcome::new(code, None) };
        self.replies.push(Reply { id, verb: Verb::Alert, outcomes: vec![outcome], results: Vec::new() });
        self.cancelled |= code == Code::CANCELLED;
        if let Some(scope) = self.scopes.last_mut() {
            let no = code == Code::NOT_MODIFIED;
            scope.skip |= no || (scope.atomic && !code.is_success());
        }
    }

    /// Carries out nothing more. What was asked counts as cancelled.
    pub(super) fn cancel(&mut self) {
        self.answer(Answer::Cancel);
        self.cancelled = true;
    }

    /// Undoes an Atomic that did not come to its end.
    pub(super) fn abandon(&mut self, ops: &mut Ops<'_>) {
        if self.scopes.iter().any(|scope| scope.atomic) {
            // Nobody is left to tell of a failure; the tree must cope with an open transaction at its next start, too.
            let _ = ops.tree.roll_back();
        }
        *self = Self::default();
    }

    fn is_skipping(&self) -> bool {
        self.cancelled || self.scopes.iter().any(|scope| scope.skip)
    }

    /// A request, and everything in it, is not carried out.
    fn skip(&mut self, request: &Request, code: Code) {
        self.replies.push(Reply::new(request, code));
        request.inner.iter().for_each(|inner| self.skip(inner, code));
    }

    fn enter(&mut self, request: Request, atomic: bool) {
        self.scopes.push(Scope { at: self.replies.len(), atomic, skip: false });
        self.replies.push(Reply::new(&request, Code::OK));
        self.steps.push_front(Step::Leave);
        request.inner.into_iter().rev().for_each(|inner| self.steps.push_front(Step::Run(Box::new(inner))));
    }

    fn enter_atomic(&mut self, ops: &mut Ops<'_>, request: Request) {
        let permitted = |inner: &Request| {
            matches!(inner.verb, Verb::Add | Verb::Replace | Verb::Delete | Verb::Copy | Verb::Alert)
        };
        let begun = match request.inner.iter().all(permitted) {
            true => ops.tree.begin(),
            false => Err(Code::FAILED),
        };
        match begun {
            Ok(()) => self.enter(request, true),
            Err(code) => {
                self.replies.push(Reply::new(&request, code));
                request.inner.iter().for_each(|inner| self.skip(inner, Code::NOT_EXECUTED));
            }
        }
    }

    fn leave(&mut self, ops: &mut Ops<'_>) {
        let Some(scope) = self.scopes.pop().filter(|scope| scope.atomic) else { return };
        let failed = scope.skip || self.cancelled || ops.tree.commit().is_err();
        if !failed {
            return;
        }
        let undone = if ops.tree.roll_back().is_ok() { Code::ROLLED_BACK } else { Code::ROLL_BACK_FAILED };
        let mut replies = self.replies.iter_mut().skip(scope.at);
        if let Some(atomic) = replies.next() {
            atomic.set(Code::ATOMIC_FAILED);
        }
        for reply in replies.filter(|reply| reply.changes_the_tree()) {
            let done = reply.outcomes.iter_mut().filter(|outcome| outcome.code.is_success());
            done.for_each(|outcome| outcome.code = undone);
        }
    }

    fn alert(&mut self, request: &Request) -> Option<Interaction> {
        let number = request.data.as_deref().map(str::parse::<u16>);
        let code = match number {
            None => Code::INCOMPLETE,
            Some(Ok(alert::NEXT_MESSAGE | alert::NO_END_OF_DATA)) => Code::OK,
            Some(Err(_)) => Code::UNSUPPORTED,
            Some(Ok(number)) => match Interaction::parse(number, &request.items) {
                Some(Ok(interaction)) => {
                    self.asked = Some((request.id.clone(), interaction.clone()));
                    return Some(interaction);
                }
                Some(Err(code)) => code,
                None => Code::UNSUPPORTED,
            },
        };
        self.finished(Reply::new(request, code));
        None
    }

    fn perform(&mut self, ops: &mut Ops<'_>, mut request: Request) {
        let items = std::mem::take(&mut request.items);
        let refused = match request.verb {
            Verb::Other(_) => Some(Code::UNSUPPORTED),
            Verb::Exec if items.len() != 1 => Some(Code::INCOMPLETE),
            _ if items.is_empty() => Some(Code::INCOMPLETE),
            _ => None,
        };
        if let Some(code) = refused {
            return self.finished(Reply::new(&request, code));
        }
        let atomic = self.scopes.iter().any(|scope| scope.atomic);
        let mut reply = Reply { outcomes: Vec::with_capacity(items.len()), ..Reply::new(&request, Code::OK) };
        for item in items {
            let outcome = if atomic && !reply.is_success() {
                Outcome::new(Code::NOT_EXECUTED, Some(&item))
            } else if atomic && item.more {
                // An Atomic fits in one message; an object that does not is not part of one.
                Outcome::new(Code::INCOMPLETE, Some(&item))
            } else {
                ops.perform(&request, item, &mut reply.results, &mut self.room)
            };
            reply.outcomes.push(outcome);
        }
        self.finished(reply);
    }

    fn finished(&mut self, reply: Reply) {
        if !reply.is_success()
            && let Some(scope) = self.scopes.last_mut()
        {
            scope.skip |= scope.atomic;
        }
        self.replies.push(reply);
    }

    /// What is to be sent, in order.
    pub(super) fn into_entries(self) -> impl Iterator<Item = Entry> {
        let message = self.message;
        self.replies.into_iter().flat_map(move |reply| entries(&message, reply))
    }
}

/// Whether an alert is about the session itself, not another command between the pieces of an object.
fn is_session_alert(request: &Request) -> bool {
    let number = request.data.as_deref().and_then(|data| data.parse().ok());
    request.verb == Verb::Alert && matches!(number, Some(alert::NEXT_MESSAGE | alert::NO_END_OF_DATA))
}

/// The statuses of a request, then its results.
fn entries(message: &str, reply: Reply) -> Vec<Entry> {
    let Reply { id, verb, mut outcomes, results } = reply;
    let first = outcomes.first().map(|outcome| outcome.code);
    let same = outcomes.iter().all(|outcome| Some(outcome.code) == first && outcome.items.is_empty());
    if same && outcomes.len() > 1 {
        // One status for all items names none of them.
        outcomes = vec![Outcome::new(first.unwrap_or_default(), None)];
    }
    let status = |outcome: Outcome| Status {
        msg_ref: Some(message.to_owned()),
        cmd_ref: id.clone(),
        cmd: verb.name().to_owned(),
        target_refs: outcome.target.into_iter().collect(),
        source_refs: outcome.source.into_iter().collect(),
        code: outcome.code,
        items: outcome.items,
        ..Status::default()
    };
    let mut entries: Vec<Entry> =
        outcomes.into_iter().map(|outcome| Entry::whole(Command::Status(status(outcome)))).collect();
    if !results.is_empty() {
        let head = Results { msg_ref: Some(message.to_owned()), cmd_ref: id, ..Results::default() };
        entries.push(Entry::list(Command::Results(head), results));
    }
    entries
}
