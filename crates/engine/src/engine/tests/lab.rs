//! A simulated device with an engine that can be cut off anywhere, as by a power cut.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use scomo_core::command::{Caller, Command, Terms, Then};
use scomo_core::effect::{Effect, Inventory};
use scomo_core::fact::Fact;
use scomo_core::failure::{Failure, FailureKind};
use scomo_core::id::{BootId, ComponentId, Millis, PackageId, RequestId};
use scomo_core::spec::ComponentKind;
use scomo_core::state::{State, Step};
use scomo_core::status::ComponentState;
use scomo_core::{next_deadline, pending};
use tempfile::TempDir;

use super::super::log::{FactLog, replay};
use super::super::{Engine, Options, Receipt, Refusal, View};
use crate::runner::{OnEvent, Runner, Running};
use crate::sim::{FaultAction, SimRunner, SimWorld, StepName};
use crate::store::{Store, StoreError};

const DEADLINE: Duration = Duration::from_secs(90);

/// Counts the points at which the power can go, and cuts it at one of them. After that nothing happens any more.
#[derive(Debug, Default)]
pub struct Cut {
    seen: AtomicU64,
    /// The point to cut at, from 1; zero: none.
    at: AtomicU64,
    dead: AtomicBool,
    /// The store refuses facts, without a cut.
    pub full: AtomicBool,
}

impl Cut {
    fn at(point: u64) -> Arc<Self> {
        Arc::new(Self { at: AtomicU64::new(point), ..Self::default() })
    }

    /// True: the power is gone.
    fn point(&self) -> bool {
        let seen = self.seen.fetch_add(1, Ordering::SeqCst) + 1;
        if seen == self.at.load(Ordering::SeqCst) {
            self.dead.store(true, Ordering::SeqCst);
        }
        self.is_dead()
    }

    /// How many points there were.
    pub fn points(&self) -> u64 {
        self.seen.load(Ordering::SeqCst)
    }

    /// The power stays.
    pub fn disarm(&self) {
        self.at.store(0, Ordering::SeqCst);
    }

    pub fn is_dead(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }
}

struct CutLog {
    store: Store,
    cut: Arc<Cut>,
    names: Arc<Mutex<Vec<&'static str>>>,
}

fn power_cut() -> StoreError {
    StoreError::Illegal { seq: 0, why: "the power is gone".to_owned() }
}

impl CutLog {
    fn cut_around(
        &mut self,
        body: impl FnOnce(&mut Store) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        if self.cut.point() {
            return Err(power_cut());
        }
        if self.cut.full.load(Ordering::SeqCst) {
            return Err(StoreError::Full);
        }
        body(&mut self.store)?;
        if self.cut.point() { Err(power_cut()) } else { Ok(()) }
    }
}

impl FactLog for CutLog {
    fn append(&mut self, at: Millis, facts: &[Fact]) -> Result<(), StoreError> {
        self.cut_around(|store| store.append(at, facts))?;
        self.names.lock().expect("lock").extend(facts.iter().map(Fact::name));
        Ok(())
    }

    fn is_long(&self) -> bool {
        // Far more often than in earnest, so that every test meets checkpoints.
        self.store.last_seq().is_multiple_of(7)
    }

    fn compact(&mut self, at: Millis, checkpoint: &Fact) -> Result<(), StoreError> {
        self.cut_around(|store| store.compact(at, checkpoint))
    }
}

#[derive(Debug)]
struct CutRunner {
    inner: SimRunner,
    world: SimWorld,
    cut: Arc<Cut>,
    gate: Mutex<Option<Receiver<()>>>,
}

fn step_of(effect: &Effect) -> StepName {
    match effect {
        Effect::Resolve { .. } => StepName::Resolve,
        Effect::Fetch { .. } => StepName::Fetch,
        Effect::Stage { .. } => StepName::Stage,
        Effect::Switch { .. } => StepName::Switch,
        Effect::Probe { .. } => StepName::Probe,
        Effect::Confirm { .. } => StepName::Confirm,
        Effect::Collect { .. } => StepName::Collect,
    }
}

impl Runner for CutRunner {
    fn start(&self, effect: &Effect, on: OnEvent) -> Result<Box<dyn Running>, Failure> {
        let gone = || Failure::new(FailureKind::Interrupted, "the power is gone");
        if self.cut.point() {
            return Err(gone());
        }
        if self.cut.point() {
            // The power goes while the effect is half-way.
            self.world.order(step_of(effect), 0, FaultAction::DieHalfWay);
            return self.inner.start(effect, on);
        }
        let cut = Arc::clone(&self.cut);
        let on: OnEvent = Box::new(move |event| {
            if matches!(event, crate::runner::Event::Ended(_)) {
                cut.point();
            }
            on(event);
        });
        self.inner.start(effect, on)
    }

    fn observe(&self, kind: ComponentKind) -> Result<Inventory, Failure> {
        if let Some(gate) = self.gate.lock().expect("lock").take() {
            let _ = gate.recv();
        }
        self.inner.observe(kind)
    }

    fn logs(&self, kind: ComponentKind, component: &ComponentId, lines: usize) -> Result<String, Failure> {
        self.inner.logs(kind, component, lines)
    }

    fn kinds(&self) -> Vec<ComponentKind> {
        self.inner.kinds()
    }
}

/// A device. It outlives its engines.
pub struct Lab {
    dir: TempDir,
    pub world: SimWorld,
    boots: u64,
    clock: Arc<AtomicU64>,
    requests: u64,
    /// Names of all facts, in order, over all lives.
    pub facts: Arc<Mutex<Vec<&'static str>>>,
}

/// One life of the engine.
pub struct Life {
    pub engine: Engine,
    pub cut: Arc<Cut>,
    watch: Arc<(Mutex<Arc<View>>, Condvar)>,
    clock: Arc<AtomicU64>,
}

impl Lab {
    pub fn new() -> Self {
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("dir");
        let clock = Arc::new(AtomicU64::new(1_000_000));
        Self { dir, world: SimWorld::default(), boots: 1, clock, requests: 0, facts: Arc::default() }
    }

    pub fn store(&self) -> std::path::PathBuf {
        self.dir.path().join("facts.db")
    }

    fn options(&self, publish: super::super::Publish) -> Options {
        let clock = Arc::clone(&self.clock);
        Options {
            store: self.store(),
            boot: BootId::new(format!("boot-{}", self.boots)).expect("id"),
            clock: Arc::new(move || Millis(clock.load(Ordering::SeqCst))),
            publish,
        }
    }

    /// Starts an engine whose power goes at the given point, from 1; zero: never.
    pub fn start(&self, cut_at: u64) -> Life {
        self.start_with(Cut::at(cut_at))
    }

    /// Starts an engine on a full disk.
    pub fn start_full(&self) -> Life {
        self.start_with(Arc::new(Cut { full: AtomicBool::new(true), ..Cut::default() }))
    }

    /// Starts an engine that can look at the device only when something comes through the gate.
    pub fn start_slowly(&self, gate: Receiver<()>) -> Life {
        let cut = Cut::at(0);
        self.start_gated(cut, Some(gate))
    }

    fn start_with(&self, cut: Arc<Cut>) -> Life {
        self.start_gated(cut, None)
    }

    fn start_gated(&self, cut: Arc<Cut>, gate: Option<Receiver<()>>) -> Life {
        let mut state = State::default();
        let store = Store::open::<Fact>(&self.store(), &mut replay(&mut state)).expect("open");
        let log = CutLog { store, cut: Arc::clone(&cut), names: Arc::clone(&self.facts) };
        let inner = SimRunner::new(self.world.clone());
        let gate = Mutex::new(gate);
        let runner = CutRunner { inner, world: self.world.clone(), cut: Arc::clone(&cut), gate };
        let (watch, publish) = watch(&state);
        let engine = Engine::start(self.options(publish), Arc::new(runner), state, Ok(Box::new(log)));
        Life { engine: engine.expect("start"), cut, watch, clock: Arc::clone(&self.clock) }
    }

    /// Starts an engine as the daemon does.
    pub fn open(&self) -> Life {
        let (watch, publish) = watch(&State::default());
        let engine = Engine::open(self.options(publish), Arc::new(SimRunner::new(self.world.clone())));
        Life { engine: engine.expect("open"), cut: Cut::at(0), watch, clock: Arc::clone(&self.clock) }
    }

    /// Ends a life as a power cut or a kill does, waits until nothing of it runs, and begins the next. Containers
    /// outlive a kill of the daemon, but not a boot.
    pub fn restart(&mut self, life: Life, reboot: bool, cut_at: u64) -> Life {
        life.die();
        if reboot {
            self.boot();
        }
        self.start(cut_at)
    }

    /// Boots the device; no engine may run.
    pub fn boot(&mut self) {
        self.boots += 1;
        self.world.reboot();
    }

    pub fn request(&mut self) -> RequestId {
        self.requests += 1;
        RequestId::new(format!("request-{}", self.requests)).expect("id")
    }
}

type Watch = Arc<(Mutex<Arc<View>>, Condvar)>;

fn watch(state: &State) -> (Watch, super::super::Publish) {
    let watch: Watch = Arc::new((Mutex::new(Arc::new(View::first(state, None))), Condvar::new()));
    let told = Arc::clone(&watch);
    let publish = Box::new(move |view: &Arc<View>| {
        *told.0.lock().expect("lock") = Arc::clone(view);
        told.1.notify_all();
    });
    (watch, publish)
}

impl Life {
    pub fn die(self) {
        self.cut.dead.store(true, Ordering::SeqCst);
        self.engine.shutdown();
    }

    pub fn submit(&self, request: Option<RequestId>, command: Command) -> Result<Receipt, Refusal> {
        let terms = Terms { request, ..Terms::default() };
        self.engine.submit(caller(), terms, command)
    }

    pub fn state(&self) -> Arc<State> {
        Arc::clone(&self.engine.snapshot().state)
    }

    /// Waits for a snapshot. Time flies meanwhile: whatever is due becomes due soon.
    #[track_caller]
    pub fn until(&self, what: &str, mut condition: impl FnMut(&View) -> bool) -> Arc<View> {
        let begun = Instant::now();
        let mut view = self.watch.0.lock().expect("lock");
        loop {
            if condition(&view) {
                return Arc::clone(&view);
            }
            assert!(begun.elapsed() < DEADLINE, "waited too long for {what}: {view:#?}");
            let waited = self.watch.1.wait_timeout(view, Duration::from_millis(2)).expect("lock");
            view = waited.0;
            if waited.1.timed_out() {
                self.clock.fetch_add(500, Ordering::SeqCst);
                self.engine.wake();
            }
        }
    }

    /// Waits until nothing is left to do but what takes a boot, or until the power is gone.
    #[track_caller]
    pub fn until_idle(&self) -> Arc<View> {
        self.until("rest", |view| {
            let now = Millis(self.clock.load(Ordering::SeqCst));
            let waits = view.state.job.as_ref().is_some_and(|job| job.step != Step::AwaitBoot);
            let due = next_deadline(&view.state, now).is_some() || !pending(&view.state, now).is_empty();
            self.cut.is_dead() || (view.started && !waits && !due && view.running.is_empty())
        })
    }
}

pub fn caller() -> Caller {
    Caller { uid: 0, name: "test".to_owned() }
}

pub fn package(id: &str) -> PackageId {
    PackageId::new(id).expect("id")
}

pub fn component(id: &str) -> ComponentId {
    ComponentId::new(id).expect("id")
}

pub fn install(id: &str, source: &str) -> Command {
    Command::FetchFrom { id: package(id), source: source.to_owned(), then: Then::Install }
}

/// What is deployed: component, version, whether active.
pub fn deployed(state: &State) -> BTreeMap<String, (String, bool)> {
    let components = state.components.iter();
    components
        .map(|(id, c)| (id.to_string(), (c.release.spec.version.clone(), c.state == ComponentState::Active)))
        .collect()
}

/// The device is what the state says; call it at rest.
#[track_caller]
pub fn assert_real(state: &State, world: &SimWorld) {
    let world = world.with(|world| world.clone());
    for (id, component) in &state.components {
        let release = &component.release;
        if component.failure.is_some() {
            continue;
        }
        let running = if release.spec.kind == ComponentKind::Os {
            world.boot.booted.as_ref() == Some(&release.id)
        } else {
            world.deployed.get(id).is_some_and(|d| d.running && d.release.id == release.id)
        };
        let active = component.state == ComponentState::Active;
        assert_eq!(running, active, "{id} {} is not as the state says: {world:#?}", release.spec.version);
        assert!(world.stored.contains_key(&release.id), "{id} {} is not whole", release.spec.version);
    }
    if state.job.is_some() {
        return;
    }
    for (id, deployed) in &world.deployed {
        let known = state.components.contains_key(id);
        assert!(known || !deployed.running, "{id} runs and nothing asks for it");
    }
    let kept = state.kept_releases();
    for release in world.stored.keys() {
        let booted = world.boot.booted.as_ref() == Some(release);
        assert!(booted || kept.iter().any(|r| r.id == *release), "{release} was not collected");
    }
}
