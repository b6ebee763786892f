//! What others see of the engine: plain data, shared, never locked.

use std::sync::Arc;

use scomo_core::effect::Progress;
use scomo_core::pending::TaskKey;
use scomo_core::percent::percent;
use scomo_core::state::State;

/// A snapshot.
#[derive(Debug, Clone)]
pub struct View {
    /// Rises with every snapshot of this process.
    pub revision: u64,
    /// The state. Shared between snapshots that differ in progress only.
    pub state: Arc<State>,
    /// What runs, and how far it is; in no particular order.
    pub running: Vec<(TaskKey, Progress)>,
    /// Why nothing may change, if so. Then the state is what could be read.
    pub safe_mode: Option<String>,
    /// Why facts cannot be stored at the moment, if so. It is tried again and again.
    pub store_trouble: Option<String>,
    /// Whether the device was observed and work goes on; before that the state is what it was at the last end.
    pub started: bool,
}

impl View {
    /// The snapshot before anything happened.
    pub(super) fn first(state: &State, safe_mode: Option<String>) -> Self {
        Self {
            revision: 0,
            state: Arc::new(state.clone()),
            running: Vec::new(),
            safe_mode,
            store_trouble: None,
            started: false,
        }
    }

    /// Percent of the job under way, 0 to 99; `None`: there is none.
    #[must_use]
    pub fn percent(&self) -> Option<u8> {
        let job = self.state.job.as_ref()?;
        let of_job: Vec<&Progress> =
            self.running.iter().filter(|(key, _)| key.job == Some(job.id)).map(|(_, p)| p).collect();
        Some(percent(job, &of_job))
    }
}
