//! Where something waits for permission, read off the state. Pure.

use scomo_core::command::Gate;
use scomo_core::id::JobId;
use scomo_core::state::{Job, JobTarget, State, Step};

use super::config::Point;

/// A place at which a job, or the device, waits for permission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// What it wants to do.
    pub point: Point,
    /// The job that waits, or that ended and left the wish to restart.
    pub job: JobId,
    /// The gate at which that job stands, if it does.
    pub gate: Option<Gate>,
    /// Windows do not count for it.
    pub ignore_window: bool,
    /// What hooks are told.
    pub about: About,
}

/// What is known of a job, for hooks and for people.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// Its number.
    pub job: u64,
    /// What it does; empty: not known any more.
    pub primitive: String,
    /// PkgID or component ID that it works on; empty: the whole device.
    pub target: String,
    /// Version of the package; empty: not known.
    pub version: String,
    /// Environment of the package; empty: any.
    pub env_type: String,
}

impl About {
    /// What is known of a job under way.
    pub fn job(job: &Job) -> Self {
        let info = job.content.as_ref().map(|content| &content.info);
        Self {
            job: job.id.0,
            primitive: job.primitive.as_str().to_owned(),
            target: target(&job.target),
            version: info.map(|info| info.version.clone()).unwrap_or_default(),
            env_type: info.map(|info| info.env_type.clone()).unwrap_or_default(),
        }
    }
}

/// The id in a target; empty: the whole device.
pub fn target(target: &JobTarget) -> String {
    match target {
        JobTarget::Package(id) => id.to_string(),
        JobTarget::Component(id) => id.to_string(),
        JobTarget::Device => String::new(),
    }
}

impl Place {
    fn of(job: &Job, point: Point, gate: Option<Gate>) -> Self {
        Self { point, job: job.id, gate, ignore_window: job.terms.ignore_window, about: About::job(job) }
    }

    /// The gate at which a job waits for permission, but not for a restart.
    pub fn at_gate(state: &State) -> Option<Self> {
        let job = state.job.as_ref()?;
        match job.step {
            Step::Await(gate @ (Gate::Download | Gate::Install)) => {
                Some(Self::of(job, Point::of_gate(gate), Some(gate)))
            }
            _ => None,
        }
    }

    /// What waits for a restart: the job under way, or the wish of one that ended, unless a job works.
    pub fn at_reboot(state: &State) -> Option<Self> {
        match state.job.as_ref().map(|job| (job, job.step)) {
            Some((job, Step::AwaitBoot)) => return Some(Self::of(job, Point::Reboot, None)),
            Some((job, Step::Await(Gate::Boot))) => {
                return Some(Self::of(job, Point::Reboot, Some(Gate::Boot)));
            }
            None | Some((_, Step::Await(_))) => {}
            Some(_) => return None,
        }
        let job = state.reboot_wanted?;
        let record = state.history.iter().rev().find(|record| record.id == job);
        let about = About {
            job: job.0,
            primitive: record.map(|r| r.primitive.as_str().to_owned()).unwrap_or_default(),
            target: record.map(|r| target(&r.target)).unwrap_or_default(),
            ..About::default()
        };
        Some(Self { point: Point::Reboot, job, gate: None, ignore_window: false, about })
    }
}
