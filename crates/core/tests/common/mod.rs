//! A small world for the tests of the state machine: packages, releases, what is stored, what runs, and a life that
//! drives the machine through it. The world carries out effects whole, by half, or not at all.

#![allow(
    dead_code,
    missing_docs,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing
)]

pub mod tree;

use std::collections::{BTreeMap, BTreeSet};

use scomo_core::command::{Caller, Command, Input, Rejection, Terms, Then};
use scomo_core::effect::{Effect, EffectOk, Inventory, Target};
use scomo_core::fact::Fact;
use scomo_core::failure::{Failure, FailureKind};
use scomo_core::id::{BootId, ComponentId, Digest, Millis, PackageId, ReleaseId};
use scomo_core::pending::Pending;
use scomo_core::spec::{
    ComponentKind, ComponentSpec, Content, FilesSpec, Metadata, PackageInfo, Payload, Release, RunSpec,
};
use scomo_core::state::{JobRecord, State};
use scomo_core::status::ComponentState;
use scomo_core::{apply, decide, next_deadline, pending};

pub fn package(id: &str) -> PackageId {
    PackageId::new(id).unwrap()
}

pub fn component(id: &str) -> ComponentId {
    ComponentId::new(id).unwrap()
}

pub fn boot(n: u32) -> BootId {
    BootId::new(format!("boot-{n}")).unwrap()
}

fn digest(name: &str) -> String {
    let byte = name.bytes().fold(7u64, |a, b| a.wrapping_mul(31).wrapping_add(u64::from(b)));
    format!("sha256:{byte:064x}")
}

/// The release of component `id` in version `version`; `os…` is an OS, everything else a container.
pub fn release(id: &str, version: &str) -> Release {
    let kind = if id.starts_with("os") { ComponentKind::Os } else { ComponentKind::Container };
    let payload = match kind {
        ComponentKind::Os => {
            Payload::Ostree { url: "http://x".into(), ref_name: String::new(), commit: "0".repeat(64) }
        }
        _ => Payload::Image { digest: Digest::new(digest(id)).unwrap(), size: 1 },
    };
    Release {
        id: ReleaseId::new(digest(&format!("{id}@{version}"))).unwrap(),
        spec: ComponentSpec {
            id: component(id),
            name: String::new(),
            version: version.into(),
            kind,
            payload,
            requires: Vec::new(),
            description: String::new(),
            env_type: String::new(),
            metadata: Metadata::default(),
            run: RunSpec::default(),
            files: FilesSpec::default(),
            health: None,
        },
        source: "test:".into(),
        size: 0,
    }
}

pub fn content(releases: &[(&str, &str)]) -> Content {
    let releases: Vec<Release> = releases.iter().map(|(id, version)| release(id, version)).collect();
    let names: Vec<String> = releases.iter().map(|r| r.id.to_string()).collect();
    Content {
        digest: Digest::new(digest(&names.join("+"))).unwrap(),
        signed_by: "test".into(),
        info: PackageInfo::default(),
        releases,
    }
}

pub fn caller() -> Caller {
    Caller { uid: 0, name: "root".into() }
}

pub fn command(command: Command) -> Input {
    Input::Command { caller: caller(), terms: Terms::default(), command }
}

pub fn install_from(id: &str, then: Then) -> Command {
    Command::FetchFrom { id: package(id), source: format!("test:{id}"), then }
}

/// What is really on the device.
#[derive(Debug, Clone, Default)]
pub struct World {
    /// What a source holds, by package id.
    pub offered: BTreeMap<String, Content>,
    pub stored: BTreeSet<ReleaseId>,
    pub staged: BTreeSet<ReleaseId>,
    pub running: BTreeMap<ComponentId, ReleaseId>,
    pub booted: Option<ReleaseId>,
    pub boots_next: Option<ReleaseId>,
    /// The OS that a boot loader falls back to.
    pub falls_back_to: Option<ReleaseId>,
    /// Releases that are never healthy, or never boot.
    pub sick: BTreeSet<ReleaseId>,
    /// Failures to give, oldest first, before anything succeeds.
    pub faults: Vec<FailureKind>,
    pub boots: u32,
    /// What is on the device and came by other means.
    pub foreign: Vec<Release>,
}

impl World {
    pub fn offer(&mut self, id: &str, releases: &[(&str, &str)]) {
        self.offered.insert(id.into(), content(releases));
    }

    pub fn reboot(&mut self) {
        self.boots += 1;
        self.running.clear();
        if let Some(next) = &self.boots_next {
            if self.sick.contains(next) {
                self.boots_next = self.falls_back_to.clone();
            }
            self.booted = self.boots_next.clone();
        }
    }

    pub fn found(&self) -> BTreeMap<ComponentKind, Inventory> {
        let containers =
            Inventory { running: self.running.values().cloned().collect(), ..Inventory::default() };
        let os = Inventory {
            running: self.booted.iter().cloned().collect(),
            persistent: true,
            foreign: self.foreign.clone(),
        };
        BTreeMap::from([(ComponentKind::Container, containers), (ComponentKind::Os, os)])
    }

    /// Carries out an effect; `half`: it is killed in the middle, and what it would have said is lost.
    pub fn run(&mut self, state: &State, effect: &Effect, half: bool) -> Result<EffectOk, Failure> {
        if !half && !self.faults.is_empty() {
            let failure = Failure::new(self.faults.remove(0), "scripted");
            if let Effect::Switch { component, kind: ComponentKind::Container, .. } = effect {
                // A switch that fails has stopped the old one.
                self.running.remove(component);
            }
            return Err(failure);
        }
        match effect {
            Effect::Resolve { package, .. } => match self.offered.get(package.as_str()) {
                Some(content) => Ok(EffectOk::Resolved { content: content.clone() }),
                None => Err(Failure::new(FailureKind::NotFound, "not offered")),
            },
            Effect::Fetch { release } => {
                if !half {
                    self.stored.insert(release.id.clone());
                }
                Ok(EffectOk::Fetched { size: 10 })
            }
            Effect::Stage { release } => {
                assert!(self.stored.contains(&release.id), "staging what was not fetched");
                if !half {
                    self.staged.insert(release.id.clone());
                }
                Ok(EffectOk::Staged)
            }
            Effect::Switch { component, kind, target } => self.switch(state, component, *kind, target, half),
            Effect::Probe { release } if self.sick.contains(&release.id) => {
                Err(Failure::new(FailureKind::Unhealthy, "sick"))
            }
            Effect::Probe { release } => {
                let os = release.spec.kind == ComponentKind::Os;
                let runs = self.running.get(&release.spec.id) == Some(&release.id);
                let boots = self.booted.as_ref() == Some(&release.id);
                assert!(if os { boots } else { runs }, "probing what does not run");
                Ok(EffectOk::Healthy)
            }
            Effect::Confirm { release } => {
                assert_eq!(self.booted.as_ref(), Some(&release.id), "confirming what is not booted");
                self.falls_back_to = Some(release.id.clone());
                Ok(EffectOk::Confirmed)
            }
            Effect::Collect { kind, keep } => {
                let keep: BTreeSet<&ReleaseId> = keep.iter().map(|r| &r.id).collect();
                for kept in state.kept_releases().iter().filter(|r| r.spec.kind == *kind) {
                    assert!(keep.contains(&kept.id), "collecting what is needed");
                }
                if *kind == ComponentKind::Container {
                    self.running.retain(|_, id| keep.contains(id));
                    let os = |id: &ReleaseId| {
                        self.booted.as_ref() == Some(id) || self.boots_next.as_ref() == Some(id)
                    };
                    let spare: BTreeSet<_> = self.stored.iter().filter(|id| os(id)).cloned().collect();
                    let others = state.kept_releases();
                    let needed = |id: &ReleaseId| spare.contains(id) || others.iter().any(|r| r.id == *id);
                    self.stored.retain(|id| keep.contains(id) || needed(id));
                    self.staged.retain(|id| keep.contains(id) || needed(id));
                }
                Ok(EffectOk::Collected)
            }
        }
    }

    fn switch(
        &mut self,
        state: &State,
        id: &ComponentId,
        kind: ComponentKind,
        target: &Target,
        half: bool,
    ) -> Result<EffectOk, Failure> {
        let forward = state.job.iter().any(|job| job.reverting.is_none() && job.changes.is_some());
        if forward && let Some(changes) = state.job.as_ref().and_then(|job| job.changes.as_ref()) {
            let ours = changes.iter().any(|c| c.id == *id && c.touched);
            assert!(!ours || changes.iter().all(|c| c.staged), "switching before all is staged");
        }
        if let Some(release) = target.release() {
            assert!(self.staged.contains(&release.id), "switching to what is not staged: {release:?}");
        }
        if kind == ComponentKind::Os {
            if let (Target::Active(release), false) = (target, half) {
                self.boots_next = Some(release.id.clone());
            }
            if *target == Target::Absent {
                self.boots_next = self.falls_back_to.clone();
            }
            return Ok(EffectOk::Switched { reboot_needed: self.boots_next != self.booted });
        }
        self.running.remove(id);
        if let (Target::Active(release), false) = (target, half) {
            self.running.insert(id.clone(), release.id.clone());
        }
        Ok(EffectOk::Switched { reboot_needed: false })
    }
}

/// Where a life is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// The process dies before the n-th thing happens.
    Before,
    /// An effect is carried out by half, then the process dies.
    Half,
    /// An effect is carried out whole, then the process dies before it hears of it.
    After,
}

/// A device: durable facts, the process's state, and the world.
#[derive(Debug, Clone)]
pub struct Life {
    pub world: World,
    pub durable: Vec<Fact>,
    pub state: State,
    pub now: Millis,
    /// Things that happened so far: each is a place to cut.
    pub events: usize,
    /// Where to cut, by event number.
    pub cuts: BTreeMap<usize, (Cut, bool)>,
}

impl Life {
    pub fn new(world: World) -> Self {
        let mut life = Self {
            world,
            durable: Vec::new(),
            state: State::default(),
            now: Millis(1),
            events: 0,
            cuts: BTreeMap::new(),
        };
        life.start();
        life
    }

    /// Decides and applies an input; false: the process died before it was durable.
    pub fn input(&mut self, input: &Input) -> Result<bool, Rejection> {
        let facts = decide(&self.state, self.now, input)?;
        if let Some((_, reboot)) = self.cut_here() {
            self.die(reboot);
            return Ok(false);
        }
        for fact in &facts {
            apply(&mut self.state, fact).unwrap_or_else(|e| panic!("{e} after {input:?}"));
        }
        self.durable.extend(facts);
        self.check();
        Ok(true)
    }

    fn cut_here(&mut self) -> Option<(Cut, bool)> {
        self.events += 1;
        self.cuts.get(&self.events).copied()
    }

    fn die(&mut self, reboot: bool) {
        if reboot {
            self.world.reboot();
        }
    }

    /// A process starts: replay, observe, go on.
    pub fn start(&mut self) {
        loop {
            self.state = State::default();
            for fact in &self.durable {
                apply(&mut self.state, fact).expect("replay is legal");
            }
            let found = self.world.found();
            if self
                .input(&Input::ProcessStarted { boot: boot(self.world.boots), found })
                .expect("never refused")
            {
                return;
            }
        }
    }

    /// One step of the engine: an effect, a deadline, or nothing. False: nothing is left to do.
    pub fn step(&mut self) -> bool {
        let Some(Pending { key, effect }) = pending(&self.state, self.now).into_iter().next() else {
            let Some(at) = next_deadline(&self.state, self.now) else { return false };
            self.now = at.max(self.now);
            if !self.input(&Input::Tick).expect("never refused") {
                self.start();
            }
            return true;
        };
        let cut = self.cut_here();
        let how = cut.map(|(cut, _)| cut);
        if how != Some(Cut::Before) {
            let result = self.world.run(&self.state, &effect, how == Some(Cut::Half));
            if how.is_none() {
                self.now = self.now.plus(1);
                if self.input(&Input::Outcome { task: key, result }).expect("never refused") {
                    return true;
                }
            }
        }
        self.die(cut.is_some_and(|(_, reboot)| reboot));
        self.start();
        true
    }

    /// Steps until nothing is left to do. Panics when that does not come.
    pub fn settle(&mut self) {
        for _ in 0..2000 {
            if !self.step() {
                return;
            }
        }
        panic!("the machine does not come to rest: {:?}", self.state.job);
    }

    /// Gives a command, again and again when the process dies before it is durable.
    pub fn command(&mut self, wanted: Command) -> Result<(), Rejection> {
        while !self.input(&command(wanted.clone()))? {
            self.start();
        }
        Ok(())
    }

    pub fn reboot(&mut self) {
        self.world.reboot();
        self.start();
    }

    pub fn last(&self) -> &JobRecord {
        self.state.history.back().expect("a job ended")
    }

    /// Versions of the components, with `!` for active ones.
    pub fn deployed(&self) -> Vec<String> {
        let text = |(id, c): (&ComponentId, &scomo_core::state::Component)| {
            let mark = if c.state == ComponentState::Active { "!" } else { "" };
            format!("{id}@{}{mark}", c.release.spec.version)
        };
        self.state.components.iter().map(text).collect()
    }

    /// What must hold after every step.
    pub fn check(&self) {
        let tasks = pending(&self.state, self.now);
        let keys: BTreeSet<_> = tasks.iter().map(|t| &t.key).collect();
        assert_eq!(keys.len(), tasks.len(), "task keys are unique");
        if let Some(job) = &self.state.job {
            assert!(!matches!(job.run, scomo_core::state::Run::Idle), "a job is never between steps");
        }
        let text = serde_json::to_string(&self.state).expect("a state is JSON");
        let back: State = serde_json::from_str(&text).expect("a state reads back");
        assert_eq!(back, self.state, "a state survives a checkpoint");
    }

    /// What must hold when nothing is left to do and no job runs.
    pub fn check_settled(&self) {
        assert_eq!(self.state.job, None);
        for (id, component) in &self.state.components {
            if component.release.spec.kind == ComponentKind::Os {
                continue;
            }
            let expected = (component.state == ComponentState::Active).then_some(&component.release.id);
            assert_eq!(self.world.running.get(id), expected, "{id} is what the state says");
        }
        for id in self.world.running.keys() {
            assert!(self.state.components.contains_key(id), "{id} runs and nobody knows");
        }
    }
}
