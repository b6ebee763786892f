//! Hooks that are told how a job ended. They cannot change it, and no job waits for them.
//!
//! Each is told once at most: one whose turn had not come when the daemon ended is not told later.

use scomo_core::failure::ResultCode;
use scomo_core::id::JobId;
use scomo_core::state::{JobRecord, State};

use super::hooks::{Hooks, Said, Stage};
use super::place::{About, target};
use crate::link::Link;

/// Tells hooks until the engine ends.
pub async fn tell(hooks: Hooks, engine: Link) {
    let mut views = engine.watch();
    let mut last = newest(&engine.view().state);
    loop {
        let later = |state: &State| newest(state) > last;
        if views.wait_for(|view| view.as_ref().is_some_and(|view| later(&view.state))).await.is_err() {
            return;
        }
        let view = engine.view();
        for record in view.state.history.iter().filter(|record| record.id > last) {
            tell_of(&hooks, record).await;
        }
        last = newest(&view.state);
    }
}

fn newest(state: &State) -> JobId {
    state.history.back().map_or(JobId(0), |record| record.id)
}

async fn tell_of(hooks: &Hooks, record: &JobRecord) {
    let Some(stage) = stage(record) else { return };
    let about = About {
        job: record.id.0,
        primitive: record.primitive.as_str().to_owned(),
        target: target(&record.target),
        ..About::default()
    };
    let message = record.failure.as_ref().map(|failure| failure.detail.clone()).unwrap_or_default();
    let more = [
        ("SCOMO_RESULT_CODE", record.code.0.to_string()),
        ("SCOMO_CHANGED", record.changed.join(", ")),
        ("SCOMO_MESSAGE", message),
    ];
    match hooks.run(stage, &about, &more).await {
        Said::Yes => {}
        Said::NotNow(why) | Said::No(why) => tracing::warn!(job = record.id.0, "{why}"),
    }
}

fn stage(record: &JobRecord) -> Option<Stage> {
    if !record.code.is_success() {
        return (record.code != ResultCode::CANCELLED).then_some(Stage::PostFailure);
    }
    record.primitive.installs().then_some(Stage::PostInstall)
}
