//! What the end of an effect means. An outcome of a task that is no longer wanted means nothing.

use super::{Draft, HOUSEKEEPING_ATTEMPTS_MAX, back_off_ms, rules};
use crate::effect::EffectOk;
use crate::fact::Fact;
use crate::failure::{Failure, FailureKind};
use crate::id::{ComponentId, Millis};
use crate::pending::{Task, TaskKey, pending};
use crate::spec::ComponentKind;

pub(super) fn decide(draft: &mut Draft, task: &TaskKey, result: &Result<EffectOk, Failure>) {
    if !pending(&draft.state, draft.now).iter().any(|wanted| wanted.key == *task) {
        return;
    }
    match &task.task {
        Task::Restore(id) => restored(draft, id, task.attempt, result),
        Task::Collect(kind) => collected(draft, *kind, task.attempt, result),
        step => match result.clone().and_then(|ok| step_fact(step, ok)) {
            Ok(fact) => {
                draft.emit(fact);
                // Nothing is downloaded that could not be installed.
                let job = draft.state.job.as_ref().filter(|_| task.task == Task::Resolve);
                match job.map_or(Ok(()), |job| rules::check(&draft.state, job)) {
                    Ok(()) => draft.advance(),
                    Err(failure) => draft.fail(failure),
                }
            }
            Err(failure) => draft.retry_or_fail(failure),
        },
    }
}

/// The fact that a step's success is. A worker that answers something else is broken.
fn step_fact(task: &Task, ok: EffectOk) -> Result<Fact, Failure> {
    Ok(match (task, ok) {
        (Task::Resolve, EffectOk::Resolved { content }) if !content.releases.is_empty() => {
            Fact::Resolved { content }
        }
        (Task::Fetch(index), EffectOk::Fetched { size }) => Fact::Fetched { index: *index, size },
        (Task::Stage(index), EffectOk::Staged) => Fact::Staged { index: *index },
        (Task::Switch(index), EffectOk::Switched { reboot_needed }) => {
            Fact::Switched { index: *index, reboot_needed }
        }
        (Task::Revert(index), EffectOk::Switched { reboot_needed }) => {
            Fact::Reverted { index: *index, reboot_needed }
        }
        (Task::Probe(index), EffectOk::Healthy) => Fact::Healthy { index: *index },
        (Task::Confirm(index), EffectOk::Confirmed) => Fact::Confirmed { index: *index },
        (task, _) => {
            let detail =
                format!("the worker gave an answer that does not fit {task:?}; install matching versions");
            return Err(Failure::new(FailureKind::Broken, detail));
        }
    })
}

fn restored(draft: &mut Draft, id: &ComponentId, attempt: u32, result: &Result<EffectOk, Failure>) {
    let (failure, retry_at) = match result {
        Ok(_) => (None, None),
        Err(failure) => (Some(failure.clone()), housekeeping_retry(draft.now, attempt)),
    };
    draft.emit(Fact::Restored { id: id.clone(), failure, retry_at });
}

fn collected(draft: &mut Draft, kind: ComponentKind, attempt: u32, result: &Result<EffectOk, Failure>) {
    let retry_at = result.as_ref().err().and_then(|_| housekeeping_retry(draft.now, attempt));
    draft.emit(Fact::Collected { kind, retry_at });
    draft.advance();
}

/// When a failed housekeeping task is tried again; None: not before the next start or job.
fn housekeeping_retry(now: Millis, attempt: u32) -> Option<Millis> {
    let next = attempt.saturating_add(1);
    (next < HOUSEKEEPING_ATTEMPTS_MAX).then(|| now.plus(back_off_ms(next)))
}
