//! The view: what the bus shows, made from one snapshot of the engine. Pure; knows no bus connection.
//!
//! Nothing is kept here and nothing is decided here: the same snapshot always gives the same tree, and signals are the
//! difference of two trees.

use std::collections::BTreeMap;

use scomo_core::command::Gate;
use scomo_core::effect::Progress;
use scomo_core::failure::ResultCode;
use scomo_core::pending::TaskKey;
use scomo_core::percent::percent;
use scomo_core::spec::{ComponentKind, Metadata, PackageInfo};
use scomo_core::state::{self, Change, JobRecord, JobTarget, Run, State, Step};
use scomo_core::status::ComponentState;
use scomo_dbus::{DeliveryPackage, DeploymentComponent, Download, Job, Manager, Reports, path};

use crate::policy::{Inhibitor, Shown};

/// Jobs that ended and still have an object, so that a client that was late can read how its job ended.
pub const ENDED_JOBS_MAX: usize = 16;

/// What a tree is made from.
#[derive(Debug, Clone, Copy)]
pub struct Moment<'a> {
    /// The durable state.
    pub state: &'a State,
    /// How far the running effects are.
    pub progress: &'a [(TaskKey, Progress)],
    /// Why nothing can be changed; empty: it can.
    pub safe_mode: &'a str,
    /// Why facts cannot be stored at the moment; empty: they can.
    pub store_trouble: &'a str,
    /// What is waited for, and who holds updates back.
    pub policy: &'a Shown,
}

/// Objects of one kind by path.
pub type Branch<P> = BTreeMap<String, P>;

/// Everything on the bus.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    /// The entry.
    pub manager: Manager,
    /// The Download branch.
    pub downloads: Branch<Download>,
    /// The Delivered branch.
    pub delivered: Branch<DeliveryPackage>,
    /// The Deployed branch.
    pub deployed: Branch<DeploymentComponent>,
    /// The job under way and the last that ended.
    pub jobs: Branch<Job>,
    /// The outbox.
    pub reports: Reports,
    /// Number of the newest report there ever was.
    pub last_report: u64,
}

impl Tree {
    /// The tree of a moment.
    #[must_use]
    pub fn of(moment: Moment<'_>) -> Self {
        let state = moment.state;
        let running = state.job.as_ref().map(|job| running_job(job, &moment));
        let ended = state.history.iter().rev().take(ENDED_JOBS_MAX).map(ended_job);
        let entry = |job: Job| (path::job(job.id).to_string(), job);
        let manager = Manager {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            safe_mode: moment.safe_mode.to_owned(),
            store_trouble: moment.store_trouble.to_owned(),
            booted: booted(state).unwrap_or_default(),
            pending_reboot: running.as_ref().is_some_and(|job| job.reboot_needed),
            reboot_wanted: state.reboot_wanted.is_some() || state.job.as_ref().is_some_and(awaits_reboot),
            reboot_waits_for: moment.policy.reboot.clone(),
            inhibitors: moment.policy.inhibitors.iter().map(inhibitor).collect(),
            agents: u32::try_from(moment.policy.agents).unwrap_or(u32::MAX),
            rollback_possible: !state.rollback.is_empty(),
            jobs: running.iter().map(|job| path::job(job.id)).collect(),
        };
        Self {
            manager,
            downloads: state
                .downloads
                .iter()
                .map(|(id, d)| (path::download(id.as_str()).to_string(), download(id.as_str(), d)))
                .collect(),
            delivered: state
                .delivered
                .iter()
                .map(|(id, d)| (path::delivered(id.as_str()).to_string(), delivered(id.as_str(), d)))
                .collect(),
            deployed: state
                .components
                .iter()
                .map(|(id, c)| {
                    let previous = state.rollback.get(id).and_then(Option::as_ref);
                    (path::deployed(id.as_str()).to_string(), component(c, previous))
                })
                .collect(),
            jobs: ended.chain(running).map(entry).collect(),
            reports: Reports { pending: u32::try_from(state.reports.len()).unwrap_or(u32::MAX) },
            last_report: state.last_report,
        }
    }

    /// Whether `other` differs in how far jobs are and in nothing else: such a change may wait a little.
    #[must_use]
    pub fn differs_in_progress_only(&self, other: &Self) -> bool {
        let mut jobs = self.jobs.clone();
        for (path, job) in &mut jobs {
            if let Some(new) = other.jobs.get(path) {
                job.percent = new.percent;
                job.bytes_done = new.bytes_done;
                job.bytes_total = new.bytes_total;
                job.bytes_reused = new.bytes_reused;
                job.message.clone_from(&new.message);
            }
        }
        jobs == other.jobs
            && self.manager == other.manager
            && self.downloads == other.downloads
            && self.delivered == other.delivered
            && self.deployed == other.deployed
            && self.reports == other.reports
            && self.last_report == other.last_report
    }
}

/// The release of the OS that runs, by what was observed and done since the boot.
fn booted(state: &State) -> Option<String> {
    let is_os = |kind: ComponentKind| kind == ComponentKind::Os;
    let after_boot = state.job.iter().filter(|job| matches!(job.step, Step::Probe | Step::Confirm(_)));
    let mut trial =
        after_boot.flat_map(|job| job.changes.iter().flatten()).filter(|c| is_os(c.kind) && c.switched);
    if let Some(after) = trial.find_map(|change| change.after.as_ref()) {
        return Some(after.release.id.to_string());
    }
    let active = |c: &&state::Component| is_os(c.release.spec.kind) && c.state == ComponentState::Active;
    let component = state.components.values().find(active)?;
    // One that is to be set right is not what was booted.
    let drifted = state.drift.contains_key(&component.release.spec.id);
    (!drifted).then(|| component.release.id.to_string())
}

/// The first text that is not empty.
fn first(texts: [&str; 2]) -> String {
    texts.into_iter().find(|text| !text.is_empty()).unwrap_or_default().to_owned()
}

fn download(id: &str, download: &state::Download) -> Download {
    Download {
        pkg_id: id.to_owned(),
        name: download.leaves.name.clone(),
        pkg_url: download.source.clone(),
        description: download.leaves.description.clone(),
        env_type: download.leaves.env_type.clone(),
        pkg_type: download.leaves.pkg_type.clone(),
        status: download.status.value(),
        status_name: download.status.name().to_owned(),
    }
}

fn delivered(id: &str, package: &state::Delivered) -> DeliveryPackage {
    let unknown = PackageInfo::default();
    let content = package.content.as_ref();
    let info = content.map_or(&unknown, |content| &content.info);
    let leaves = &package.leaves;
    let Metadata {
        license,
        copyright,
        manufacturer,
        creator,
        creation_date,
        release_date,
        release_notes,
        ..
    } = info.metadata.clone();
    DeliveryPackage {
        pkg_id: id.to_owned(),
        name: first([&info.name, &leaves.name]),
        version: info.version.clone(),
        description: first([&info.description, &leaves.description]),
        env_type: first([&info.env_type, &leaves.env_type]),
        pkg_type: leaves.pkg_type.clone(),
        source: package.source.clone(),
        digest: content.map(|c| c.digest.to_string()).unwrap_or_default(),
        signed_by: content.map(|c| c.signed_by.clone()).unwrap_or_default(),
        components: content.iter().flat_map(|c| &c.releases).map(|r| r.spec.id.to_string()).collect(),
        state: package.state.value(),
        state_name: package.state.name().to_owned(),
        status: package.status.value(),
        status_name: package.status.name().to_owned(),
        license,
        copyright,
        manufacturer,
        creator,
        creation_date,
        release_date,
        release_notes,
    }
}

fn component(component: &state::Component, previous: Option<&state::Component>) -> DeploymentComponent {
    let spec = &component.release.spec;
    let Metadata {
        license,
        copyright,
        manufacturer,
        creator,
        creation_date,
        release_date,
        release_notes,
        ..
    } = spec.metadata.clone();
    DeploymentComponent {
        id: spec.id.to_string(),
        pkg_id_ref: component.package.as_ref().map(ToString::to_string).unwrap_or_default(),
        name: spec.name.clone(),
        description: spec.description.clone(),
        version: spec.version.clone(),
        component_type: spec.kind.as_str().to_owned(),
        env_type: spec.env_type.clone(),
        release: component.release.id.to_string(),
        previous_version: previous.map(|c| c.release.spec.version.clone()).unwrap_or_default(),
        size: component.release.size,
        since: component.since.0,
        state: component.state.value(),
        state_name: component.state.name().to_owned(),
        status: component.status.value(),
        status_name: component.status.name().to_owned(),
        message: component.failure.as_ref().map(|f| f.detail.clone()).unwrap_or_default(),
        license,
        copyright,
        manufacturer,
        creator,
        creation_date,
        release_date,
        release_notes,
    }
}

fn target(target: &JobTarget) -> (String, String) {
    match target {
        JobTarget::Package(id) => ("package".to_owned(), id.to_string()),
        JobTarget::Component(id) => ("component".to_owned(), id.to_string()),
        JobTarget::Device => ("device".to_owned(), String::new()),
    }
}

fn awaits_reboot(job: &state::Job) -> bool {
    matches!(job.step, Step::AwaitBoot | Step::Await(Gate::Boot))
}

type Held = (String, String, String, u32, u32, u64);

fn inhibitor(inhibitor: &Inhibitor) -> Held {
    let Inhibitor { what: _, who, why, uid, pid, since } = inhibitor.clone();
    (inhibitor.what_text(), who, why, uid, pid, since.0)
}

fn running_job(job: &state::Job, moment: &Moment<'_>) -> Job {
    let mine: Vec<&Progress> = moment
        .progress
        .iter()
        .filter(|(key, _)| key.job == Some(job.id))
        .map(|(_, progress)| progress)
        .collect();
    let sum = |of: fn(&Progress) -> u64| mine.iter().map(|p| of(p)).fold(0, u64::saturating_add);
    let (attempt, retry_at) = match job.run {
        Run::Idle => (0, 0),
        Run::Attempt(attempt) => (attempt, 0),
        Run::Waiting { attempts, until } => (attempts, until.0),
    };
    let said =
        mine.iter().map(|p| p.message.as_str()).find(|message| !message.is_empty()).unwrap_or_default();
    let reversing = job.reverting.as_ref().map(|failure| format!("reversing, because: {}", failure.detail));
    let (target_kind, target) = target(&job.target);
    Job {
        id: job.id.0,
        primitive: job.primitive.as_str().to_owned(),
        target_kind,
        target,
        user: job.caller.name.clone(),
        uid: job.caller.uid,
        started: job.started.0,
        finished: 0,
        phase: job.step.as_str().to_owned(),
        component: phase_component(job).unwrap_or_default(),
        attempt,
        retry_at,
        percent: u32::from(percent(job, &mine)),
        bytes_done: sum(|p| p.bytes_done),
        bytes_total: sum(|p| p.bytes_total),
        bytes_reused: sum(|p| p.bytes_reused),
        message: reversing.unwrap_or_else(|| said.to_owned()),
        waiting_for: waiting_for(job, moment.policy),
        reboot_needed: awaits_reboot(job),
        result: "running".to_owned(),
        failure_kind: job.reverting.as_ref().map(|f| f.kind.as_str().to_owned()).unwrap_or_default(),
        result_code: 0,
        changed: Vec::new(),
    }
}

fn waiting_for(job: &state::Job, policy: &Shown) -> String {
    match job.step {
        _ if awaits_reboot(job) => policy.reboot.clone(),
        Step::Await(_) => policy.gate.clone(),
        _ => String::new(),
    }
}

/// The one component that the present step works on.
fn phase_component(job: &state::Job) -> Option<String> {
    let changes: &[Change] = job.changes.as_deref().unwrap_or_default();
    match job.step {
        Step::Fetch(index) => {
            let release = job.content.as_ref()?.releases.get(index)?;
            Some(release.spec.id.to_string())
        }
        Step::Stage(index) | Step::Switch(index) | Step::Confirm(index) | Step::Revert(index) => {
            Some(changes.get(index)?.id.to_string())
        }
        Step::Probe => {
            let mut active = changes.iter().filter(|c| c.ends_active());
            let one = active.next()?;
            active.next().is_none().then(|| one.id.to_string())
        }
        Step::Resolve | Step::Await(_) | Step::AwaitBoot | Step::Collect => None,
    }
}

/// A job that ended, from the history.
#[must_use]
pub fn ended_job(record: &JobRecord) -> Job {
    let (target_kind, target) = target(&record.target);
    let success = record.code.is_success();
    let result = if success {
        "done"
    } else if record.code == ResultCode::CANCELLED {
        "cancelled"
    } else {
        "failed"
    };
    Job {
        id: record.id.0,
        primitive: record.primitive.as_str().to_owned(),
        target_kind,
        target,
        user: record.caller.name.clone(),
        uid: record.caller.uid,
        started: record.started.0,
        finished: record.finished.0,
        phase: "finished".to_owned(),
        percent: if success { 100 } else { 0 },
        message: record.failure.as_ref().map(|f| f.detail.clone()).unwrap_or_default(),
        result: result.to_owned(),
        failure_kind: record.failure.as_ref().map(|f| f.kind.as_str().to_owned()).unwrap_or_default(),
        result_code: record.code.0,
        changed: record.changed.clone(),
        ..Job::default()
    }
}

#[cfg(test)]
#[path = "view/tests.rs"]
mod tests;
