//! The keeper of the gates: watches the snapshots of the engine, and permits or refuses what waits at a gate.
//!
//! It sleeps while no job waits. What it permits is a fact before anything follows from it.

use std::sync::Arc;
use std::time::Duration;

use scomo_core::command::{Command, Terms};
use scomo_core::failure::Failure;
use scomo_core::state::State;
use scomo_dbus::Error;
use scomo_engine::engine::View;
use tokio::sync::watch;

use super::place::Place;
use super::{Policy, myself};
use crate::link::Link;

/// How long to wait when the engine cannot take a command, for example because the disk is full.
const AGAIN_AFTER: Duration = Duration::from_secs(5);

/// Where the engine's snapshots come from.
pub type Views = watch::Receiver<Option<Arc<View>>>;

/// Keeps the gates until the engine ends.
pub async fn keep(policy: Arc<Policy>, engine: Link) {
    let mut views = engine.watch();
    while let Some(place) = arrival(&mut views, Place::at_gate).await {
        let allowed = tokio::select! {
            allowed = policy.until_allowed(&place) => Some(allowed),
            () = departure(&mut views, Place::at_gate, &place) => None,
        };
        policy.say(place.point, "");
        if let Some(allowed) = allowed {
            decide(&engine, &place, allowed).await;
        }
        policy.forget(&place);
    }
}

/// Tells the engine, until it has taken it or the job has ended some other way.
pub async fn decide(engine: &Link, place: &Place, allowed: Result<(), Failure>) {
    let Some(gate) = place.gate else { return };
    let command = match allowed {
        Ok(()) => Command::Permit { job: place.job, gate },
        Err(failure) => {
            tracing::info!(job = place.job.0, "the job may not {}: {}", place.point.as_str(), failure.detail);
            Command::Refuse { job: place.job, failure }
        }
    };
    loop {
        match engine.submit(myself(), Terms::default(), command.clone()).await {
            Ok(_) | Err(Error::UnknownJob(_) | Error::WrongState(_)) => return,
            Err(error) => {
                tracing::warn!(job = place.job.0, "the job cannot pass its gate yet: {error}");
                tokio::time::sleep(AGAIN_AFTER).await;
            }
        }
    }
}

/// Waits until something stands at a place. `None`: the engine ended.
pub async fn arrival(views: &mut Views, at: impl Fn(&State) -> Option<Place>) -> Option<Place> {
    // Before the device was observed the state is that of the last end, and may not be true any more.
    let known = |view: &Option<Arc<View>>| view.as_ref().is_some_and(|view| view.started);
    let found = views.wait_for(|view| known(view) && there(view, &at).is_some()).await;
    found.ok().and_then(|view| there(&view, &at))
}

/// Waits until nothing stands at the place any more.
pub async fn departure(views: &mut Views, at: impl Fn(&State) -> Option<Place>, place: &Place) {
    let ended = views.wait_for(|view| there(view, &at).as_ref() != Some(place)).await.is_err();
    if ended {
        std::future::pending::<()>().await;
    }
}

fn there(view: &Option<Arc<View>>, at: impl Fn(&State) -> Option<Place>) -> Option<Place> {
    // In safe mode nothing can be permitted.
    let view = view.as_ref().filter(|view| view.safe_mode.is_none())?;
    at(&view.state)
}
