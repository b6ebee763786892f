//! The main process of a systemd unit: one life of a component. systemd decides whether there is another one.

use std::path::PathBuf;

use super::crun::enter_namespace;
use super::life::{Change, End, Life, Signals};
use super::places::ComponentPlace;
use super::state::{Lock, Phase, Plan, State};
use super::supervisor::{calm_oom_killer, describe, restarts};
use super::systemd::NOT_STARTED;
use crate::error::{Context, Error};

/// The `main` of a unit; gives its exit status.
pub(crate) fn run(folder: PathBuf, token: &str) -> Result<u8, Error> {
    let place = ComponentPlace::at(folder);
    let signals = Signals::block().context("watch signals for", place.folder())?;
    let (Some(lock), Some(plan)) = (Lock::take(&place)?, Plan::read(&place)?) else {
        return Ok(NOT_STARTED);
    };
    if plan.token != token {
        return Ok(NOT_STARTED);
    }
    calm_oom_killer();
    enter_namespace().context("make a mount namespace for", place.folder())?;
    let mut state = match State::read(&place)? {
        Some(state) if state.release == plan.release.id => State { phase: Phase::Starting, ..state },
        _ => State::new(&plan.release.id)?,
    };
    state.write(&place)?;
    let (end, stopping) = live(&plan, &place, &signals, &lock, &mut state)?;
    state.pid = None;
    state.last_end = Some(describe(&end));
    let status = match &end {
        End::NotStarted { message, by_package } => {
            eprintln!("scomo: {}", describe(&end));
            if state.starts == 0 {
                state.last_end = Some(message.clone());
                state.by_package = *by_package;
                state.phase = Phase::Failed;
                state.write(&place)?;
                return Ok(NOT_STARTED);
            }
            1
        }
        // Of a number that does not fit only that it is not zero matters.
        End::Exited(code) => u8::try_from(*code).unwrap_or(255),
    };
    state.phase = match (stopping, restarts(plan.release.spec.run.restart, &end)) {
        (true, _) => Phase::Stopping,
        (false, true) => Phase::Waiting,
        (false, false) => Phase::Ended,
    };
    state.write(&place)?;
    Ok(if stopping { 0 } else { status })
}

fn live(
    plan: &Plan,
    place: &ComponentPlace,
    signals: &Signals,
    lock: &Lock,
    state: &mut State,
) -> Result<(End, bool), Error> {
    let mut on_change = |change| {
        match change {
            Change::Running(pid) => {
                state.starts = state.starts.saturating_add(1);
                (state.phase, state.pid) = (Phase::Running, pid);
                // Written before systemd is told: whoever waits for that reads it.
                let written = state.write(place);
                let told = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
                if written.is_err() || told.is_err() {
                    eprintln!("scomo: cannot say that the component runs: {written:?} {told:?}");
                }
            }
            Change::Stopping => {
                state.phase = Phase::Stopping;
                let _ = state.write(place);
                let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
            }
        };
    };
    let mut life = Life { plan, place, signals, lock, log: None, on_change: &mut on_change, stopping: false };
    let end = life.live()?;
    Ok((end, life.stopping))
}
