//! The worker protocol: one request as JSON on standard input, JSON lines on standard output.
//!
//! A worker process carries out one request and ends. It writes any number of `{"progress":…}` lines, at most five a
//! second, and exactly one `{"outcome":…}` line. Whoever started it may kill it at any moment.

use scomo_core::effect::{Effect, EffectOk, Inventory, Progress};
use scomo_core::failure::Failure;
use scomo_core::id::ComponentId;
use serde::{Deserialize, Serialize};

/// What a worker is asked to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// Carry out an effect.
    Effect(Effect),
    /// Say what runs.
    Observe,
    /// The last lines of a component's output.
    Logs {
        /// Whose.
        component: ComponentId,
        /// How many.
        lines: usize,
    },
}

/// The one line on a worker's standard input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// What to do.
    pub request: Request,
    /// The backend's own section of the configuration, as the daemon read it.
    pub config: serde_json::Value,
}

/// What a request gave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// The effect succeeded.
    Effect(EffectOk),
    /// What runs.
    Inventory(Inventory),
    /// Output of a component.
    Logs(String),
}

/// A line on a worker's standard output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Line {
    /// How far it is.
    Progress(Progress),
    /// The end: nothing follows.
    Outcome(Result<Answer, Failure>),
}
