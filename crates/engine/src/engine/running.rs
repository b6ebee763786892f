//! What runs, and how it is made to be what is pending.

use std::sync::mpsc::{SyncSender, TrySendError};

use scomo_core::effect::{Effect, EffectOk, Progress};
use scomo_core::failure::Failure;
use scomo_core::pending::{Pending, TaskKey};
use scomo_core::spec::ComponentKind;

use super::writer::Message;
use crate::runner::{Event, Runner, Running, kind_of};

/// Most effects at once: each is a process. Only health checks run side by side.
const RUNNING_MAX: usize = 8;

/// One run of an effect.
#[derive(Debug)]
struct Run {
    number: u64,
    key: TaskKey,
    effect: Effect,
    kind: ComponentKind,
    progress: Progress,
    stage: Stage,
}

/// How far a run is.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "there are at most RUNNING_MAX")]
enum Stage {
    /// It runs.
    Runs(Box<dyn Running>),
    /// It was killed; nothing else of its kind may start before it is over.
    Killed,
    /// It is over, and its outcome is not yet a fact.
    Over(Result<EffectOk, Failure>),
}

/// Everything that runs.
#[derive(Debug, Default)]
pub(super) struct RunningSet {
    runs: Vec<Run>,
    last_number: u64,
}

impl RunningSet {
    /// Kills what is not wanted, and starts what is and can. True: it did something.
    pub(super) fn reconcile(
        &mut self,
        wanted: Vec<Pending>,
        runner: &dyn Runner,
        to: &SyncSender<Message>,
    ) -> bool {
        let is = |run: &Run, pending: &Pending| run.key == pending.key && run.effect == pending.effect;
        let mut changed = self.drop_unwanted(|run| wanted.iter().any(|pending| is(run, pending)));
        for pending in wanted {
            let there = |run: &Run| !matches!(run.stage, Stage::Killed) && is(run, &pending);
            if !self.runs.iter().any(there) && self.may_start(&pending.effect) {
                self.start(pending, runner, to);
                changed = true;
            }
        }
        changed
    }

    /// Kills everything.
    pub(super) fn kill_all(&mut self) {
        self.drop_unwanted(|_| false);
    }

    fn drop_unwanted(&mut self, wanted: impl Fn(&Run) -> bool) -> bool {
        let mut changed = false;
        self.runs.retain_mut(|run| {
            if wanted(run) || matches!(run.stage, Stage::Killed) {
                return true;
            }
            changed = true;
            if let Stage::Runs(handle) = &run.stage {
                tracing::debug!("killing {:?}", run.key);
                handle.kill();
                run.stage = Stage::Killed;
            }
            matches!(run.stage, Stage::Killed)
        });
        changed
    }

    /// Two effects of one kind never run side by side, but that watching disturbs nothing.
    fn may_start(&self, effect: &Effect) -> bool {
        let watches = |effect: &Effect| matches!(effect, Effect::Probe { .. });
        let kind = kind_of(effect);
        let alone = |run: &Run| matches!(run.stage, Stage::Over(_)) || run.kind != kind;
        let together = |run: &Run| watches(effect) && watches(&run.effect);
        self.runs.len() < RUNNING_MAX && self.runs.iter().all(|run| alone(run) || together(run))
    }

    fn start(&mut self, pending: Pending, runner: &dyn Runner, to: &SyncSender<Message>) {
        self.last_number = self.last_number.wrapping_add(1);
        let number = self.last_number;
        let to = to.clone();
        tracing::debug!("starting {:?}", pending.key);
        let started = runner.start(
            &pending.effect,
            Box::new(move |event| {
                let ended = matches!(event, Event::Ended(_));
                match to.try_send(Message::Event { number, event }) {
                    // Progress may be dropped, an outcome may not.
                    Err(TrySendError::Full(message)) if ended => drop(to.send(message)),
                    Ok(()) | Err(_) => {}
                }
            }),
        );
        let kind = kind_of(&pending.effect);
        let stage = match started {
            Ok(handle) => Stage::Runs(handle),
            Err(failure) => Stage::Over(Err(failure)),
        };
        let progress = Progress::default();
        self.runs.push(Run { number, key: pending.key, effect: pending.effect, kind, progress, stage });
    }

    /// Takes an event in. True: something of the snapshot changed.
    pub(super) fn take(&mut self, number: u64, event: Event) -> bool {
        let Some(at) = self.runs.iter().position(|run| run.number == number) else { return false };
        let Some(run) = self.runs.get_mut(at) else { return false };
        match (event, &run.stage) {
            (Event::Progress(progress), Stage::Runs(_)) => run.progress = progress,
            (Event::Ended(result), Stage::Runs(_)) => run.stage = Stage::Over(result),
            (Event::Ended(_), Stage::Killed) => drop(self.runs.swap_remove(at)),
            (Event::Progress(_), _) | (Event::Ended(_), Stage::Over(_)) => return false,
        }
        true
    }

    /// The oldest outcome that is not yet a fact.
    pub(super) fn outcome(&self) -> Option<(u64, TaskKey, Result<EffectOk, Failure>)> {
        self.runs.iter().find_map(|run| match &run.stage {
            Stage::Over(result) => Some((run.number, run.key.clone(), result.clone())),
            Stage::Runs(_) | Stage::Killed => None,
        })
    }

    /// The outcome was dealt with.
    pub(super) fn forget(&mut self, number: u64) {
        self.runs.retain(|run| run.number != number);
    }

    /// Whether nothing is under way any more.
    pub(super) fn is_quiet(&self) -> bool {
        self.runs.iter().all(|run| matches!(run.stage, Stage::Over(_)))
    }

    /// What runs, for the snapshot.
    pub(super) fn progress(&self) -> Vec<(TaskKey, Progress)> {
        let runs = self.runs.iter().filter(|run| !matches!(run.stage, Stage::Killed));
        runs.map(|run| (run.key.clone(), run.progress.clone())).collect()
    }
}
