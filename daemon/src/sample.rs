//! Software that does not exist, and a device to install it on in memory: for unit tests.

use scomo_core::command::{Caller, Command, Input, Terms, Then};
use scomo_core::effect::{EffectOk, Inventory};
use scomo_core::failure::Failure;
use scomo_core::id::{BootId, Digest, JobId, Millis, PackageId, ReleaseId};
use scomo_core::pending::{Task, TaskKey};
use scomo_core::spec::{ComponentKind, Content, PackageInfo, Payload, Release};
use scomo_core::state::State;
use scomo_core::{apply, decide};
use serde_json::json;

/// A release whose id is made of the component's and the version.
pub fn release(component: &str, kind: ComponentKind, version: &str) -> Release {
    let digest = Digest::new(format!("sha256:{}", "0".repeat(64))).unwrap();
    let payload = Payload::Image { digest, size: 1 };
    let id: String = format!("{component}-{version}").bytes().map(|byte| format!("{byte:02x}")).collect();
    let spec = json!({
        "id": component, "version": version, "type": kind, "payload": payload, "health": {"windowS": 1},
    });
    Release {
        id: ReleaseId::new(format!("sha256:{id:0>64}")).unwrap(),
        spec: serde_json::from_value(spec).unwrap(),
        source: "docker://r.example/p:1".to_owned(),
        size: 0,
    }
}

/// A state that is driven by inputs, as the engine does it.
#[derive(Default)]
pub struct Device {
    pub state: State,
}

impl Device {
    pub fn input(&mut self, input: &Input) {
        for fact in decide(&self.state, Millis(1_000), input).unwrap() {
            apply(&mut self.state, &fact).unwrap();
        }
    }

    pub fn command(&mut self, command: Command) {
        let caller = Caller { uid: 7, name: "jane".to_owned() };
        self.input(&Input::Command { caller, terms: Terms::default(), command });
    }

    /// Begins the install of a package called "p" and brings it to where its releases are staged.
    pub fn staged(&mut self, releases: Vec<Release>) {
        let (id, source) = (PackageId::new("p").unwrap(), "docker://r.example/p:1".to_owned());
        self.command(Command::FetchFrom { id, source, then: Then::Install });
        let (signed_by, count) = ("factory".to_owned(), releases.len());
        // A package of other releases is another package.
        let digest = Digest::new(releases[0].id.as_str()).unwrap();
        let content = Content { digest, signed_by, info: PackageInfo::default(), releases };
        self.ok(Task::Resolve, EffectOk::Resolved { content });
        for index in 0..count {
            self.ok(Task::Fetch(index), EffectOk::Fetched { size: 1 });
        }
        for index in 0..count {
            self.ok(Task::Stage(index), EffectOk::Staged);
        }
    }

    /// Installs a package of one release, that needs no reboot, to its end.
    pub fn installed(&mut self, release: Release) {
        self.staged(vec![release]);
        self.ok(Task::Switch(0), EffectOk::Switched { reboot_needed: false });
        self.ok(Task::Probe(0), EffectOk::Healthy);
        self.ok(Task::Confirm(0), EffectOk::Confirmed);
        assert!(self.state.job.is_none(), "{:?}", self.state.job);
    }

    pub fn ok(&mut self, task: Task, ok: EffectOk) {
        self.outcome(task, Ok(ok));
    }

    pub fn outcome(&mut self, task: Task, result: Result<EffectOk, Failure>) {
        let job = (!matches!(task, Task::Restore(_))).then_some(JobId(self.state.last_job));
        let attempt = if job.is_some() { 1 } else { 0 };
        self.input(&Input::Outcome { task: TaskKey { job, task, attempt }, result });
    }

    /// The process starts and finds these releases running.
    pub fn started(&mut self, boot: &str, kind: ComponentKind, running: &[Release]) {
        let running = running.iter().map(|release| release.id.clone()).collect();
        let inventory = Inventory { running, persistent: kind == ComponentKind::Os, ..Inventory::default() };
        let found = [(kind, inventory)].into();
        self.input(&Input::ProcessStarted { boot: BootId::new(boot).unwrap(), found });
    }
}
