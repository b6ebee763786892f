//! Events for the journal: the difference of two snapshots, told once. Nothing else in the daemon logs what jobs do.
//!
//! Every snapshot is looked at, also those that the bus does not show, so nothing is left out.

mod table;

use std::cell::RefCell;
use std::sync::Arc;

use scomo_core::command::Caller;
use scomo_core::failure::{Failure, FailureKind, ResultCode};
use scomo_core::id::{ComponentId, JobId};
use scomo_core::state::{Job, JobRecord, JobTarget, Primitive, State, Step};
use scomo_engine::engine::View;

use table::Kind;

/// Something worth a line in the log, with what it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Event {
    kind: Kind,
    text: String,
    job: Option<JobFields>,
    component: Option<ComponentId>,
    result_code: Option<u32>,
    failure: Option<FailureKind>,
}

/// What does not change in the life of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
struct JobFields {
    id: u64,
    primitive: &'static str,
    target: String,
    uid: u32,
    user: String,
}

/// Tells what is new in each snapshot.
#[derive(Debug, Default)]
pub struct Teller {
    last: RefCell<Option<Arc<View>>>,
}

impl Teller {
    /// Looks at the next snapshot.
    pub fn look(&self, view: &Arc<View>) {
        let last = self.last.replace(Some(Arc::clone(view)));
        for event in events(last.as_deref(), view) {
            event.tell();
        }
    }
}

macro_rules! tell {
    ($macro:ident, $event:ident) => {
        tracing::$macro!(
            message_id = $event.kind.message_id(),
            scomo_job = $event.job.as_ref().map(|job| job.id),
            scomo_primitive = $event.job.as_ref().map(|job| job.primitive),
            scomo_target = $event.job.as_ref().map(|job| job.target.as_str()),
            scomo_user = $event.job.as_ref().map(|job| job.user.as_str()),
            scomo_uid = $event.job.as_ref().map(|job| job.uid),
            scomo_component = $event.component.as_ref().map(ComponentId::as_str),
            scomo_result_code = $event.result_code,
            scomo_failure_kind = $event.failure.map(FailureKind::as_str),
            "{}",
            $event.text
        )
    };
}

impl Event {
    fn new(kind: Kind, text: &str) -> Self {
        // What servers and workers say goes into it: it stays one line.
        let text = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        Self { kind, text, job: None, component: None, result_code: None, failure: None }
    }

    fn of_job(kind: Kind, job: JobFields, what: &str) -> Self {
        let JobFields { id, primitive, target, .. } = &job;
        let name = format!("job {id} ({primitive} {target})").replace(" )", ")");
        Self { job: Some(job), ..Self::new(kind, &format!("{name} {what}")) }
    }

    fn of_component(kind: Kind, id: &ComponentId, failure: Option<&Failure>, what: &str) -> Self {
        let text = format!("component '{id}' {what}");
        Self { component: Some(id.clone()), failure: failure.map(|f| f.kind), ..Self::new(kind, &text) }
    }

    fn tell(&self) {
        match self.kind.level() {
            tracing::Level::ERROR => tell!(error, self),
            tracing::Level::WARN => tell!(warn, self),
            _ => tell!(info, self),
        }
    }
}

impl JobFields {
    fn new(id: JobId, primitive: Primitive, target: &JobTarget, caller: &Caller) -> Self {
        let target = match target {
            JobTarget::Package(id) => id.to_string(),
            JobTarget::Component(id) => id.to_string(),
            JobTarget::Device => String::new(),
        };
        Self { id: id.0, primitive: primitive.as_str(), target, uid: caller.uid, user: caller.name.clone() }
    }
}

impl From<&Job> for JobFields {
    fn from(job: &Job) -> Self {
        Self::new(job.id, job.primitive, &job.target, &job.caller)
    }
}

impl From<&JobRecord> for JobFields {
    fn from(job: &JobRecord) -> Self {
        Self::new(job.id, job.primitive, &job.target, &job.caller)
    }
}

/// What happened between two snapshots, in its order. Without an old one: what is not as it should be.
fn events(old: Option<&View>, new: &View) -> Vec<Event> {
    let mut events = Vec::new();
    let had = |of: fn(&View) -> &Option<String>| old.is_some_and(|old| of(old).is_some());
    let (had_safe_mode, had_trouble) = (had(|view| &view.safe_mode), had(|view| &view.store_trouble));
    if let Some(why) = new.safe_mode.as_ref().filter(|_| !had_safe_mode) {
        events.push(Event::new(Kind::SafeMode, &format!("safe mode, nothing is changed any more: {why}")));
    }
    match &new.store_trouble {
        Some(why) if !had_trouble => {
            let text = format!("what happens cannot be stored, trying again: {why}");
            events.push(Event::new(Kind::StoreTrouble, &text));
        }
        None if had_trouble && new.safe_mode.is_none() => {
            events.push(Event::new(Kind::StoreRecovered, "what happens can be stored again"));
        }
        Some(_) | None => {}
    }
    if let Some(old) = old.filter(|old| !Arc::ptr_eq(&old.state, &new.state)) {
        jobs(&old.state, &new.state, &mut events);
        components(old, new, &mut events);
    }
    events
}

fn jobs(old: &State, new: &State, events: &mut Vec<Event>) {
    let last_ended = old.history.back().map_or(0, |record| record.id.0);
    let is_new = |id: u64| id > old.last_job;
    let started = |job: JobFields| {
        let what = format!("started for {}", job.user);
        Event::of_job(Kind::JobStarted, job, &what)
    };
    for record in new.history.iter().filter(|record| record.id.0 > last_ended) {
        if is_new(record.id.0) {
            events.push(started(record.into()));
        }
        let was = old.job.as_ref().filter(|job| job.id == record.id);
        events.push(ended(record, was));
    }
    let Some(job) = &new.job else { return };
    let was = old.job.as_ref().filter(|was| was.id == job.id);
    if is_new(job.id.0) {
        events.push(started(job.into()));
    }
    let boot_failed =
        |job: &Job| job.reverting.as_ref().is_some_and(|failure| failure.kind == FailureKind::BootFailed);
    if boot_failed(job) && !was.is_some_and(boot_failed) {
        let event = Event::of_job(Kind::OsFellBack, job.into(), "is reversed: the new OS did not boot");
        events.push(Event { failure: Some(FailureKind::BootFailed), ..event });
    }
    let waits = |job: &Job| job.step == Step::AwaitBoot;
    if waits(job) && !was.is_some_and(waits) {
        events.push(Event::of_job(Kind::RebootNeeded, job.into(), "goes on after a reboot"));
    }
}

/// How a job ended; `was`: how it was before that.
fn ended(record: &JobRecord, was: Option<&Job>) -> Event {
    let reversed = was.is_some_and(|job| job.reverting.is_some())
        || [ResultCode::ROLLED_BACK_UNHEALTHY, ResultCode::ROLLED_BACK_BOOT].contains(&record.code);
    let (kind, how) = match record.code {
        code if code.is_success() => (Kind::JobDone, "is done"),
        ResultCode::CANCELLED => (Kind::JobCancelled, "was cancelled"),
        ResultCode::ROLL_BACK_FAILED => (Kind::RollBackFailed, "failed and could not be reversed"),
        _ if reversed => (Kind::RolledBack, "failed and was reversed"),
        _ => (Kind::JobFailed, "failed"),
    };
    let failure = record.failure.as_ref().filter(|failure| failure.kind != FailureKind::Cancelled);
    let why = failure.map(|failure| failure.detail.clone());
    let changed = (!record.changed.is_empty()).then(|| record.changed.join(", "));
    let more = why.or(changed).map(|more| format!(": {more}")).unwrap_or_default();
    Event {
        result_code: Some(record.code.0),
        failure: record.failure.as_ref().map(|failure| failure.kind),
        ..Event::of_job(kind, record.into(), &format!("{how}{more}"))
    }
}

/// What happened to components outside jobs.
fn components(old: &View, new: &View, events: &mut Vec<Event>) {
    // Every start of the daemon finds anew what drifted, and a job takes what it changes into its own hands.
    let watched = old.started && old.state.job.is_none();
    for (id, component) in &new.state.components {
        let was = old.state.components.get(id).and_then(|component| component.failure.as_ref());
        let drifted = |state: &State| state.drift.contains_key(id);
        match &component.failure {
            Some(failure) if was != Some(failure) => {
                let fell_back = failure.kind == FailureKind::BootFailed;
                let kind = if fell_back { Kind::OsFellBack } else { Kind::ComponentTrouble };
                let what = format!("is not as it should be: {}", failure.detail);
                events.push(Event::of_component(kind, id, Some(failure), &what));
            }
            None if watched && drifted(&old.state) && !drifted(&new.state) => {
                let what = "was not as it should be and was set right";
                events.push(Event::of_component(Kind::ComponentRestored, id, None, what));
            }
            Some(_) | None => {}
        }
    }
}

#[cfg(test)]
mod tests;
