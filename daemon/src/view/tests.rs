use super::*;
use expect_test::expect;
use scomo_core::apply;
use scomo_core::command::{Caller, Command, Input, Terms, Then};
use scomo_core::decide;
use scomo_core::effect::EffectOk;
use scomo_core::failure::{Failure, FailureKind};
use scomo_core::id::{ComponentId, Digest, JobId, Millis, PackageId, ReleaseId};
use scomo_core::pending::{Task, TaskKey};
use scomo_core::spec::{ComponentKind, ComponentSpec, Content, FilesSpec, Payload, Release, RunSpec};
use scomo_dbus::Properties;

/// A state that is driven by inputs, as the engine does it.
#[derive(Default)]
struct Life {
    state: State,
    progress: Vec<(TaskKey, Progress)>,
    policy: Shown,
}

impl Life {
    fn input(&mut self, input: &Input) {
        for fact in decide(&self.state, Millis(1_000), input).unwrap() {
            apply(&mut self.state, &fact).unwrap();
        }
    }

    fn install(&mut self, id: &str) {
        let command = Command::FetchFrom {
            id: PackageId::new(id).unwrap(),
            source: format!("docker://r.example/{id}:1"),
            then: Then::Install,
        };
        let caller = Caller { uid: 0, name: "root".to_owned() };
        self.input(&Input::Command { caller, terms: Terms::default(), command });
    }

    fn outcome(&mut self, task: Task, result: Result<EffectOk, Failure>) {
        let task = TaskKey { job: Some(JobId(self.state.last_job)), task, attempt: 1 };
        self.input(&Input::Outcome { task, result });
    }

    /// An install of `app` up to the end.
    fn installed() -> Self {
        let mut life = Self::default();
        life.install("p");
        life.outcome(Task::Resolve, Ok(EffectOk::Resolved { content: content("1") }));
        life.outcome(Task::Fetch(0), Ok(EffectOk::Fetched { size: 4096 }));
        life.outcome(Task::Stage(0), Ok(EffectOk::Staged));
        life.outcome(Task::Switch(0), Ok(EffectOk::Switched { reboot_needed: false }));
        life.outcome(Task::Probe(0), Ok(EffectOk::Healthy));
        life.outcome(Task::Confirm(0), Ok(EffectOk::Confirmed));
        assert!(life.state.job.is_none(), "{:?}", life.state.job);
        life
    }

    fn tree(&self) -> Tree {
        Tree::of(Moment {
            state: &self.state,
            progress: &self.progress,
            safe_mode: "",
            store_trouble: "",
            policy: &self.policy,
        })
    }
}

fn content(version: &str) -> Content {
    let digest = Digest::new(format!("sha256:{}", version.repeat(64))).unwrap();
    let spec = ComponentSpec {
        id: ComponentId::new("app").unwrap(),
        name: "The app".to_owned(),
        version: version.to_owned(),
        kind: ComponentKind::Container,
        payload: Payload::Image { digest: digest.clone(), size: 1 },
        requires: Vec::new(),
        description: String::new(),
        env_type: String::new(),
        metadata: Metadata { license: "MIT".to_owned(), ..Metadata::default() },
        run: RunSpec::default(),
        files: FilesSpec::default(),
        health: Some(scomo_core::spec::HealthCheck::default()),
    };
    let id = ReleaseId::new(digest.to_string()).unwrap();
    let release = Release { id, spec, source: "docker://r.example/p:1".to_owned(), size: 0 };
    let info =
        PackageInfo { name: "Package".to_owned(), version: version.to_owned(), ..PackageInfo::default() };
    Content { digest, signed_by: "factory".to_owned(), info, releases: vec![release] }
}

/// Properties that are not empty, one a line.
fn shown<P: Properties>(properties: &P) -> String {
    let map = properties.to_map();
    let lines = map.iter().map(|(name, value)| format!("{name}: {value}\n"));
    lines.filter(|line| !line.ends_with(": \"\"\n") && !line.ends_with(": 0\n")).collect()
}

#[test]
fn an_empty_device_has_an_entry_and_nothing_else() {
    let tree = Life::default().tree();
    let version = tree.manager.version.clone();
    assert_eq!(tree, Tree { manager: Manager { version, ..Manager::default() }, ..Tree::default() });
}

#[test]
fn a_fetching_job_says_how_far_it_is() {
    let mut life = Life::default();
    life.install("p");
    life.outcome(Task::Resolve, Ok(EffectOk::Resolved { content: content("1") }));
    let key = TaskKey { job: Some(JobId(1)), task: Task::Fetch(0), attempt: 1 };
    let progress =
        Progress { bytes_done: 10, bytes_total: 100, bytes_reused: 40, message: "layer 1 of 2".to_owned() };
    life.progress.push((key, progress));
    let tree = life.tree();
    assert_eq!(tree.manager.jobs, [path::job(1)]);
    expect![[r#"
        Attempt: uint32 1
        BytesDone: uint64 10
        BytesReused: uint64 40
        BytesTotal: uint64 100
        Changed: @as []
        Component: "app"
        Finished: uint64 0
        Id: uint64 1
        Message: "layer 1 of 2"
        Percent: uint32 36
        Phase: "fetching"
        Primitive: "DownloadInstall"
        RebootNeeded: false
        Result: "running"
        ResultCode: uint32 0
        RetryAt: uint64 0
        Started: uint64 1000
        Target: "p"
        TargetKind: "package"
        Uid: uint32 0
        User: "root"
    "#]]
    .assert_eq(&shown(&tree.jobs[path::job(1).as_str()]));
}

#[test]
fn an_installed_component_shows_what_the_package_says() {
    let tree = Life::installed().tree();
    expect![[r#"
        ComponentType: "container"
        ID: "app"
        License: "MIT"
        Name: "The app"
        PkgIDRef: "p"
        Release: "sha256:1111111111111111111111111111111111111111111111111111111111111111"
        Since: uint64 1000
        Size: uint64 4096
        State: 20
        StateName: "active"
        Status: 10
        StatusName: "idle"
        Version: "1"
    "#]]
    .assert_eq(&shown(&tree.deployed[path::deployed("app").as_str()]));
    let package = &tree.delivered[path::delivered("p").as_str()];
    assert_eq!((package.state, package.state_name.as_str()), (20, "installed"));
    assert_eq!(
        (package.signed_by.as_str(), package.components.as_slice()),
        ("factory", &["app".to_owned()][..])
    );
    let job = &tree.jobs[path::job(1).as_str()];
    assert_eq!((job.result.as_str(), job.result_code, job.percent), ("done", 1200, 100));
    assert!(tree.manager.jobs.is_empty());
}

#[test]
fn a_job_that_is_reversed_says_why_and_never_reads_100() {
    let mut life = Life::installed();
    life.install("q");
    life.outcome(Task::Resolve, Ok(EffectOk::Resolved { content: content("2") }));
    life.outcome(Task::Fetch(0), Ok(EffectOk::Fetched { size: 1 }));
    life.outcome(Task::Stage(0), Ok(EffectOk::Staged));
    life.outcome(Task::Switch(0), Ok(EffectOk::Switched { reboot_needed: false }));
    life.outcome(Task::Probe(0), Err(Failure::new(FailureKind::Unhealthy, "it answers 500")));
    let tree = life.tree();
    let job = &tree.jobs[path::job(2).as_str()];
    assert_eq!((job.phase.as_str(), job.component.as_str()), ("reverting", "app"));
    assert_eq!(job.message, "reversing, because: it answers 500");
    assert_eq!(job.failure_kind, "unhealthy");
    life.outcome(Task::Revert(0), Ok(EffectOk::Switched { reboot_needed: false }));
    let tree = life.tree();
    let job = &tree.jobs[path::job(2).as_str()];
    assert_eq!((job.result.as_str(), job.result_code, job.percent), ("failed", 1450, 0));
    assert_eq!(tree.deployed[path::deployed("app").as_str()].version, "1");
}

#[test]
fn only_progress_may_wait() {
    let mut life = Life::default();
    life.install("p");
    life.outcome(Task::Resolve, Ok(EffectOk::Resolved { content: content("1") }));
    let before = life.tree();
    let key = TaskKey { job: Some(JobId(1)), task: Task::Fetch(0), attempt: 1 };
    life.progress.push((key, Progress { bytes_done: 1, bytes_total: 2, ..Progress::default() }));
    let moved = life.tree();
    assert!(moved != before && before.differs_in_progress_only(&moved));
    life.progress.clear();
    life.outcome(Task::Fetch(0), Ok(EffectOk::Fetched { size: 1 }));
    assert!(!moved.differs_in_progress_only(&life.tree()));
}

#[test]
fn the_last_jobs_that_ended_stay() {
    let mut life = Life::default();
    for _ in 0..20 {
        life.install("p");
        life.outcome(Task::Resolve, Err(Failure::new(FailureKind::Untrusted, "no trusted key signed it")));
    }
    let tree = life.tree();
    assert_eq!(tree.jobs.len(), ENDED_JOBS_MAX);
    let last = &tree.jobs[path::job(20).as_str()];
    assert_eq!((last.result_code, last.message.as_str()), (1407, "no trusted key signed it"));
    assert!(tree.downloads.is_empty(), "what was made for a job goes with it");
}
