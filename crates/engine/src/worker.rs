//! The worker protocol: one request as JSON on standard input, JSON lines on standard output.
//!
//! A worker process carries out one request and ends. It writes any number of `{"progress":…}` lines, at most five a
//! second, and exactly one `{"outcome":…}` line. Whoever started it may kill it at any moment.

use scomo_core::effect::{Effect, EffectOk, Inventory, Progress};
use scomo_core::failure::Failure;
use scomo_core::id::ComponentId;
use serde::{Deserialize, Serialize};

mod client;
mod progress;
mod serve;
mod settings;

pub use client::WorkerCommand;
pub use serve::{Worker, serve, serve_with};
pub use settings::{settings, wrong_setting};

/// Longest job in bytes. A collect names every release that is kept, each with texts of up to a few KiB.
pub const JOB_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Longest line that a worker writes, in bytes.
pub const LINE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Most bytes of a component's output in one answer; JSON escapes may make six of one.
pub const LOG_BYTES_MAX: usize = 512 * 1024;
/// Environment variable with the process id of whoever started the worker: it ends when another one is its parent.
pub const PARENT_ENV: &str = "SCOMO_PARENT_PID";
/// Environment variable with the log filter of a worker, for example `info,scomo_package=debug`.
pub const LOG_ENV: &str = "SCOMO_LOG";

/// What a worker is asked to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(clippy::large_enum_variant, reason = "a process holds one or two of them")]
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
#[allow(clippy::large_enum_variant, reason = "a process holds one or two of them")]
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
#[allow(clippy::large_enum_variant, reason = "a process holds one or two of them")]
pub enum Line {
    /// How far it is.
    Progress(Progress),
    /// The end: nothing follows.
    Outcome(Result<Answer, Failure>),
}
