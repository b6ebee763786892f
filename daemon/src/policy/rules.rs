//! The rules in their order: inhibitors, windows and approval, hooks, consent. Waiting for all of them is one future;
//! whoever drops it gives up the waiting, and a hook or question that is under way with it.

use std::time::Duration;

use futures_util::StreamExt as _;
use scomo_core::failure::{Failure, FailureKind};
use scomo_core::id::Millis;
use zbus::fdo::PropertiesChangedStream;

use super::agents::{Answer, Question};
use super::config::{Point, Unanswered};
use super::hooks::{Said, Stage};
use super::obstacle::{Obstacle, obstacle};
use super::place::Place;
use super::{Policy, terms};

/// Milliseconds after which a hook that said "not now", or a person who said nothing, is asked again; doubled each
/// time up to the second number.
const ASK_AGAIN_MS: (u64, u64) = (30_000, 1_800_000);

/// Why a place is not passed although nothing holds it back for good.
enum Later {
    /// What it waits for, for people.
    Because(String),
    /// Something holds it back again.
    HeldBack,
}

impl Policy {
    /// Waits until every rule lets the place be passed.
    ///
    /// # Errors
    /// Why it must not be passed at all.
    pub(super) async fn until_allowed(&self, place: &Place) -> Result<(), Failure> {
        if place.point != Point::Reboot {
            terms::unsupported(&self.config, &place.about.env_type)?;
        }
        let mut pause = ASK_AGAIN_MS.0;
        let mut agreed = false;
        loop {
            self.until_free(place).await;
            let mut changed = self.changed.subscribe();
            match self.try_pass(place, &mut agreed).await? {
                None => {
                    self.say(place.point, "");
                    return Ok(());
                }
                Some(Later::HeldBack) => {}
                Some(Later::Because(why)) => {
                    self.say(place.point, &why);
                    let again = self.now().plus(pause);
                    tokio::select! {
                        _ = changed.changed() => {}
                        () = self.until_time(again) => {}
                    }
                    pause = pause.saturating_mul(2).min(ASK_AGAIN_MS.1);
                }
            }
        }
    }

    /// What holds the place back at the moment.
    pub(super) async fn held_back(&self, place: &Place) -> Option<Obstacle> {
        let (approved, now) = (self.is_approved(place), self.now());
        let found = obstacle(&self.config, &self.inhibitors.list(), place, approved, now);
        match &self.logind {
            Some(logind) if found.is_none() && place.point == Point::Reboot => logind.obstacle(now).await,
            _ => found,
        }
    }

    pub(super) fn is_approved(&self, place: &Place) -> bool {
        self.approved().contains(&(place.job, place.point))
    }

    /// Waits for a time, however the clock is set meanwhile.
    pub(super) async fn until_time(&self, at: Millis) {
        while self.now() < at {
            self.clock.until(Some(at)).await;
        }
    }

    async fn until_free(&self, place: &Place) {
        loop {
            // Listened to before it is looked, so that no change is missed.
            let mut changed = self.changed.subscribe();
            let mut blocks = self.blocks(place).await;
            let Some(found) = self.held_back(place).await else { return };
            self.say(place.point, &found.why);
            tokio::select! {
                _ = changed.changed() => {}
                () = self.clock.until(found.until) => {}
                () = next(&mut blocks) => {}
            }
        }
    }

    async fn blocks(&self, place: &Place) -> Option<PropertiesChangedStream> {
        match &self.logind {
            Some(logind) if place.point == Point::Reboot => logind.changes().await,
            _ => None,
        }
    }

    async fn try_pass(&self, place: &Place, agreed: &mut bool) -> Result<Option<Later>, Failure> {
        let stage = match place.point {
            Point::Download => Stage::PreDownload,
            Point::Install => Stage::PreInstall,
            Point::Reboot => Stage::PreReboot,
        };
        match self.hooks.run(stage, &place.about, &[]).await {
            Said::Yes => {}
            Said::NotNow(why) => return Ok(Some(Later::Because(why))),
            Said::No(why) => return Err(Failure::new(FailureKind::Forbidden, why)),
        }
        if !*agreed && self.config.consent.contains(&place.point) && !self.is_approved(place) {
            if let Some(later) = self.consent(place).await? {
                return Ok(Some(later));
            }
            *agreed = true;
        }
        // Hooks and people take their time.
        Ok(self.held_back(place).await.map(|_| Later::HeldBack))
    }

    /// Asks people. `None`: they agree.
    async fn consent(&self, place: &Place) -> Result<Option<Later>, Failure> {
        let text = question(place);
        self.say(place.point, "consent of the user");
        let patience = Duration::from_secs(self.config.consent_timeout_s.into());
        let question = Question::Confirm(None);
        let answer = tokio::select! {
            answer = self.agents.ask(&text, &question, patience) => answer.ok().flatten(),
            () = self.until_approved(place) => Some(Answer::Yes(true)),
        };
        match (answer, self.config.consent_unanswered) {
            (Some(Answer::Yes(true)), _) | (None, Unanswered::Allow) => Ok(None),
            (Some(_), _) => Err(Failure::new(FailureKind::Cancelled, "the user did not agree")),
            (None, Unanswered::Deny) => {
                let detail = "nobody was there to agree ('consent_unanswered' is \"deny\")";
                Err(Failure::new(FailureKind::Forbidden, detail))
            }
            (None, Unanswered::Wait) => {
                let job = place.job;
                let why = format!("consent of the user, who did not answer: scomoctl approve {job}");
                Ok(Some(Later::Because(why)))
            }
        }
    }

    pub(super) async fn until_approved(&self, place: &Place) {
        let mut changed = self.changed.subscribe();
        while !self.is_approved(place) {
            if changed.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

/// What people are asked.
fn question(place: &Place) -> String {
    let about = &place.about;
    let what = [about.target.as_str(), about.version.as_str()].join(" ");
    match (place.point, what.trim()) {
        (Point::Download, what) => {
            format!("A software update is ready to be downloaded: {what}. Download it now?")
        }
        (Point::Install, what) => {
            format!("A software update is ready to be installed: {what}. Install it now?")
        }
        (Point::Reboot, what) => {
            format!("The device must be restarted for a software update: {what}. Restart it now?")
        }
    }
}

/// The next change of what blocks a shutdown; never, when it cannot be listened for.
async fn next(blocks: &mut Option<PropertiesChangedStream>) {
    let told = match blocks {
        Some(blocks) => blocks.next().await.is_some(),
        None => false,
    };
    if !told {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
#[path = "rules/tests.rs"]
mod tests;
