//! Deciding: an input and the state give facts, or a rejection. Pure.
//!
//! The order of a job's steps is not stored anywhere: [`next_step`] derives it from how far the job is. So recovery
//! after a crash needs no table of its own: the flags that a restart made untrue are cleared, and the job goes on.

mod commands;
mod outcome;
mod packages;
mod rules;
mod startup;
mod tree;

use crate::apply::apply;
use crate::code::failure_code;
use crate::command::{Gate, Input, Rejection};
use crate::fact::Fact;
use crate::failure::{Failure, FailureKind, ResultCode};
use crate::id::Millis;
use crate::pending::{BACK_OFF_MAX_MS, is_due};
use crate::plan::plan;
use crate::spec::ComponentKind;
use crate::state::{Job, Primitive, Run, State, Step};
use crate::status::ComponentState;

/// Attempts at a step that failed for a reason that may pass.
pub const ATTEMPTS_MAX: u32 = 3;
/// Attempts at reversing one change, whatever the reason: giving up leaves the device changed.
pub const REVERT_ATTEMPTS_MAX: u32 = 5;
/// How often the process may end in the middle of one job before the job is given up. Counted anew for reversing.
pub const INTERRUPTIONS_MAX: u32 = 5;
/// Attempts at setting a component right, or at collecting, before it waits for the next start.
pub const HOUSEKEEPING_ATTEMPTS_MAX: u32 = 3;

/// Decides what an input means. Nothing is changed; the facts are in the order in which they must be applied.
pub fn decide(state: &State, now: Millis, input: &Input) -> Result<Vec<Fact>, Rejection> {
    let mut draft = Draft { state: state.clone(), facts: Vec::new(), now };
    match input {
        Input::Command { caller, terms, command } => commands::decide(&mut draft, caller, terms, command)?,
        Input::ProcessStarted { boot, found } => startup::decide(&mut draft, boot, found),
        Input::Outcome { task, result } => outcome::decide(&mut draft, task, result),
        Input::Tick => draft.retry_when_due(),
    }
    Ok(draft.facts)
}

/// What a job needs next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Run a step.
    Step(Step),
    /// Put the package into the Delivered branch.
    Deliver,
    /// Fix the transaction.
    Plan,
    /// Make the transaction the truth.
    Commit,
    /// End the job.
    Finish(ResultCode, Option<Failure>),
}

/// What the job under way needs next, from how far it is.
#[must_use]
pub fn next_step(state: &State, job: &Job) -> Next {
    if let Some(failure) = &job.reverting {
        return next_revert(job, failure);
    }
    if job.primitive == Primitive::CollectGarbage {
        let done = state.garbage.is_empty();
        return if done { Next::Finish(ResultCode::SUCCESS, None) } else { Next::Step(Step::Collect) };
    }
    if job.primitive.downloads() || job.primitive.installs() {
        let Some(content) = &job.content else { return Next::Step(Step::Resolve) };
        if job.changes.is_none() && already_so(state, job) {
            return Next::Finish(ResultCode::ALREADY_SO, None);
        }
        if job.primitive.downloads() && job.fetched == 0 && job.stops_at(Gate::Download) {
            return Next::Step(Step::Await(Gate::Download));
        }
        if job.fetched < content.releases.len() {
            return Next::Step(Step::Fetch(job.fetched));
        }
        if !job.delivered {
            return Next::Deliver;
        }
        if !job.primitive.installs() {
            return Next::Finish(ResultCode::SUCCESS, None);
        }
    }
    next_change(job)
}

fn next_change(job: &Job) -> Next {
    let Some(changes) = &job.changes else { return Next::Plan };
    if let Some(index) = changes.iter().position(|c| !c.staged) {
        return Next::Step(Step::Stage(index));
    }
    // Once something is switched, only going on or going back makes the device whole.
    let open = !changes.is_empty() && changes.iter().all(|c| !c.touched);
    if let Some(gate) = [Gate::Boot, Gate::Install].into_iter().find(|gate| open && job.stops_at(*gate)) {
        return Next::Step(Step::Await(gate));
    }
    let reboot_needed = changes.iter().any(|c| c.reboot_needed);
    match changes.iter().position(|c| !c.switched) {
        // The OS comes first; what runs on it is switched once it is booted.
        Some(index) if !reboot_needed || changes.get(index).is_some_and(|c| c.kind == ComponentKind::Os) => {
            return Next::Step(Step::Switch(index));
        }
        Some(_) => return Next::Step(Step::AwaitBoot),
        None if reboot_needed => return Next::Step(Step::AwaitBoot),
        None => {}
    }
    if changes.iter().any(|c| c.ends_active() && !c.healthy) {
        return Next::Step(Step::Probe);
    }
    let os = |c: &crate::state::Change| c.kind == ComponentKind::Os && c.ends_active() && !c.confirmed;
    changes.iter().position(os).map_or(Next::Commit, |index| Next::Step(Step::Confirm(index)))
}

fn next_revert(job: &Job, failure: &Failure) -> Next {
    let changes = job.changes.as_deref().unwrap_or_default();
    if let Some(index) = changes.iter().rposition(|c| c.touched && !c.reverted) {
        return Next::Step(Step::Revert(index));
    }
    if changes.iter().any(|c| c.reboot_needed) {
        return Next::Step(Step::AwaitBoot);
    }
    let code = failure_code(job.primitive, job.delivered, failure.kind);
    Next::Finish(code, Some(failure.clone()))
}

/// Whether an install would change nothing.
fn already_so(state: &State, job: &Job) -> bool {
    let (Some(wanted), Some(content)) = (job.primitive.installs_to(), &job.content) else { return false };
    content.releases.iter().all(|release| {
        let found = state.components.get(&release.spec.id);
        found.is_some_and(|c| c.release.id == release.id && c.state == wanted && c.failure.is_none())
    })
}

/// A state that the facts decided so far have been applied to, so that the next fact is decided on what is true then.
struct Draft {
    state: State,
    facts: Vec<Fact>,
    now: Millis,
}

impl Draft {
    fn emit(&mut self, fact: Fact) {
        // An illegal fact is a defect that the engine finds when it applies the same facts; tests run every path.
        let legal = apply(&mut self.state, &fact);
        debug_assert!(legal.is_ok(), "{legal:?}");
        self.facts.push(fact);
    }

    /// Brings the job to its next running step, or to its end.
    fn advance(&mut self) {
        while let Some(job) = &self.state.job {
            match next_step(&self.state, job) {
                Next::Step(step) if step == job.step && matches!(job.run, Run::Attempt(_)) => return,
                Next::Step(step) => {
                    self.emit(Fact::StepStarted { step, attempt: 1 });
                    return;
                }
                Next::Deliver => self.emit(Fact::PackageDelivered),
                Next::Plan => match rules::check(&self.state, job).and_then(|()| plan(&self.state, job)) {
                    Ok(changes) => self.emit(Fact::Planned { changes }),
                    Err(failure) => return self.fail(failure),
                },
                Next::Commit => {
                    let nothing = job.changes.as_ref().is_some_and(Vec::is_empty);
                    let code = if nothing { ResultCode::ALREADY_SO } else { ResultCode::SUCCESS };
                    self.emit(Fact::Committed { at: self.now });
                    return self.finish(code, None);
                }
                Next::Finish(code, failure) => return self.finish(code, failure),
            }
        }
    }

    fn finish(&mut self, code: ResultCode, failure: Option<Failure>) {
        self.emit(Fact::JobFinished { at: self.now, code, failure });
    }

    /// Ends the job with a failure, after reversing what it switched.
    fn fail(&mut self, failure: Failure) {
        let Some(job) = &self.state.job else { return };
        if job.reverting.is_some() {
            return self.finish(ResultCode::ROLL_BACK_FAILED, Some(failure));
        }
        if job.changes.iter().flatten().any(|c| c.touched) {
            self.emit(Fact::RevertStarted { failure });
            return self.advance();
        }
        let code = failure_code(job.primitive, job.delivered, failure.kind);
        self.finish(code, Some(failure));
    }

    /// Tries the step again later when that makes sense, and gives up otherwise.
    fn retry_or_fail(&mut self, failure: Failure) {
        let Some(job) = &self.state.job else { return };
        let Run::Attempt(attempt) = job.run else { return };
        let again = if job.reverting.is_some() {
            attempt < REVERT_ATTEMPTS_MAX
        } else {
            failure.kind.is_transient() && attempt < ATTEMPTS_MAX
        };
        if again {
            let retry_at = self.now.plus(back_off_ms(attempt));
            self.emit(Fact::StepFailed { failure, retry_at });
        } else {
            self.fail(failure);
        }
    }

    fn retry_when_due(&mut self) {
        let Some(job) = &self.state.job else { return };
        if let Run::Waiting { attempts, until } = job.run
            && is_due(until, self.now)
        {
            let step = job.step;
            self.emit(Fact::StepStarted { step, attempt: attempts.saturating_add(1) });
        }
    }
}

/// Milliseconds to wait after the n-th failed attempt: long enough for a passing fault, short enough to watch.
fn back_off_ms(attempt: u32) -> u64 {
    match attempt {
        0 | 1 => 1_000,
        2 => 3_000,
        3 => 10_000,
        _ => BACK_OFF_MAX_MS,
    }
}

fn cancelled() -> Failure {
    Failure::new(FailureKind::Cancelled, "the job was cancelled")
}

/// Whether the component of the change is an OS that the change makes active.
fn activates_os(change: &crate::state::Change) -> bool {
    change.kind == ComponentKind::Os
        && change.after.as_ref().is_some_and(|c| c.state == ComponentState::Active)
}
