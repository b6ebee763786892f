//! Restarting the device: when an update wants it and the rules allow it, or when somebody says so.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use scomo_core::failure::Failure;
use scomo_core::id::JobId;
use scomo_core::state::{State, Step};
use scomo_dbus::Error;
use tokio::process::Command;

use super::hooks::{Said, Stage};
use super::keeper::{arrival, decide, departure};
use super::obstacle::{Obstacle, obstacle};
use super::place::{About, Place};
use super::{Point, Policy};
use crate::link::Link;

/// How long a device may take to go down before it is told again, in milliseconds.
const GOING_DOWN_MS: u64 = 900_000;
/// How long to wait after a restart could not be begun, in milliseconds.
const AGAIN_AFTER_MS: u64 = 60_000;
/// How long the command that restarts the device may take to say that it will.
const COMMAND_MAX: Duration = Duration::from_secs(60);

/// Looks after restarts until the engine ends.
pub async fn look_after(policy: Arc<Policy>, engine: Link) {
    let mut views = engine.watch();
    while let Some(place) = arrival(&mut views, Place::at_reboot).await {
        tokio::select! {
            () = policy.restart_for(&engine, &place) => {}
            () = departure(&mut views, Place::at_reboot, &place) => {}
        }
        policy.say(Point::Reboot, "");
        policy.forget(&place);
    }
}

impl Policy {
    /// Restarts the device for what stands at the place. It ends when the job was refused.
    async fn restart_for(&self, engine: &Link, place: &Place) {
        loop {
            if let Err(failure) = self.until_allowed(place).await {
                if place.gate.is_some() {
                    return decide(engine, place, Err(failure)).await;
                }
                self.until_asked_again(place, &failure).await;
                continue;
            }
            self.delay().await;
            if self.held_back(place).await.is_some() {
                continue;
            }
            tracing::warn!(job = place.job.0, "restarting the device for a software update");
            let pause = match self.restart().await {
                Ok(()) => {
                    self.say(Point::Reboot, "the device to go down");
                    GOING_DOWN_MS
                }
                Err(why) => {
                    tracing::error!("cannot restart the device: {why}");
                    self.say(Point::Reboot, &format!("a reboot by hand, because {why}"));
                    AGAIN_AFTER_MS
                }
            };
            self.until_time(self.now().plus(pause)).await;
        }
    }

    /// What is installed already cannot be refused any more, only left as it is until somebody approves.
    async fn until_asked_again(&self, place: &Place, failure: &Failure) {
        self.approved().remove(&(place.job, place.point));
        self.say(Point::Reboot, &format!("scomoctl approve {}, because: {}", place.job, failure.detail));
        self.until_approved(place).await;
    }

    async fn delay(&self) {
        let seconds = self.config.reboot_delay_s;
        if seconds > 0 {
            self.say(Point::Reboot, &format!("the end of {seconds} s of delay"));
            self.until_time(self.now().plus(u64::from(seconds).saturating_mul(1000))).await;
        }
    }

    /// Restarts the device because somebody said so.
    ///
    /// # Errors
    /// When a job works, somebody holds it back, a hook refuses, or nothing can restart it.
    pub async fn restart_now(&self, state: &State, ignore_inhibitors: bool) -> Result<(), Error> {
        let rests = |step| matches!(step, Step::Await(_) | Step::AwaitBoot);
        if let Some(job) = state.job.as_ref().filter(|job| !rests(job.step)) {
            let text = format!("job {} is at work; wait for it or cancel it, then reboot", job.id);
            return Err(Error::Busy(text));
        }
        let place = Place::at_reboot(state);
        let about = place.map_or_else(About::default, |place| place.about);
        if let Some(found) = self.inhibited().await.filter(|_| !ignore_inhibitors) {
            return Err(Error::Inhibited(format!("the reboot is held back: {}", found.why)));
        }
        match self.hooks.run(Stage::PreReboot, &about, &[]).await {
            Said::Yes => {}
            Said::NotNow(why) | Said::No(why) => return Err(Error::Inhibited(why)),
        }
        tracing::warn!("restarting the device because somebody asked for it");
        self.restart().await.map_err(|why| Error::Failed(format!("cannot restart the device: {why}")))
    }

    /// Who holds a restart back, whatever the windows.
    async fn inhibited(&self) -> Option<Obstacle> {
        let place = Place {
            point: Point::Reboot,
            job: JobId(0),
            gate: None,
            ignore_window: true,
            about: About::default(),
        };
        let now = self.now();
        let found = obstacle(&self.config, &self.inhibitors.list(), &place, true, now);
        match &self.logind {
            Some(logind) if found.is_none() => logind.obstacle(now).await,
            _ => found,
        }
    }

    /// Err: why not, to follow "because".
    async fn restart(&self) -> Result<(), String> {
        let by_logind = match &self.logind {
            Some(logind) => logind.reboot().await.map_err(|error| format!("systemd-logind refuses: {error}")),
            None => Ok(false),
        };
        match (by_logind, self.config.reboot_command.split_first()) {
            (Ok(true), _) => Ok(()),
            (_, Some((program, arguments))) => run(program, arguments).await,
            (Ok(false), None) => Err("there is no systemd-logind and 'reboot_command' is empty".to_owned()),
            (Err(why), None) => Err(why),
        }
    }
}

async fn run(program: &str, arguments: &[String]) -> Result<(), String> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let ended = tokio::time::timeout(COMMAND_MAX, command.kill_on_drop(true).status()).await;
    match ended {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(format!("'{program}' ended with {status}")),
        Ok(Err(error)) => Err(format!("'{program}' cannot be run: {error}")),
        Err(_) => Err(format!("'{program}' did not end within {} s", COMMAND_MAX.as_secs())),
    }
}
