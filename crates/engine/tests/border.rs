//! The process border: the conformance suite through a worker executable, and everything that can happen to a worker.
#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::any::Any;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use scomo_core::command::{Caller, Command as Ask, Terms, Then};
use scomo_core::effect::{Effect, EffectOk, Inventory};
use scomo_core::failure::{FailureKind, ResultCode};
use scomo_core::id::{BootId, ComponentId, Millis, PackageId};
use scomo_core::spec::{ComponentKind, Release};
use scomo_engine::backend::{Backend, StepCx};
use scomo_engine::conformance::{self, Harness, ProcessBackend, Sources};
use scomo_engine::engine::{Engine, Options, Receipt, Refusal, View};
use scomo_engine::process::ProcessRunner;
use scomo_engine::runner::Runner;
use scomo_engine::sim::{FaultAction, SimWorld, StepName, source};
use scomo_engine::worker::{Answer, JOB_BYTES_MAX, Job, Line, PARENT_ENV, Request, WorkerCommand};
use tempfile::TempDir;

const DEADLINE: Duration = Duration::from_secs(90);

struct Device {
    dir: TempDir,
    component: &'static str,
}

impl Device {
    fn new(component: &'static str) -> Self {
        Self { dir: tempfile::tempdir().expect("dir"), component }
    }

    fn kind(&self) -> ComponentKind {
        if self.component == "os" { ComponentKind::Os } else { ComponentKind::Container }
    }

    fn world(&self) -> SimWorld {
        SimWorld::at(self.dir.path().join("state/world.json"))
    }

    fn config(&self) -> serde_json::Value {
        let (state, runtime) = (self.dir.path().join("state"), self.dir.path().join("run"));
        fs::create_dir_all(&state).expect("state");
        serde_json::json!({ "state_dir": state, "runtime_dir": runtime })
    }

    fn command(&self) -> WorkerCommand {
        WorkerCommand {
            program: env!("CARGO_BIN_EXE_scomo-worker-sim").into(),
            args: vec![self.kind().as_str().to_owned()],
        }
    }

    fn job(&self, request: Request) -> Job {
        Job { request, config: self.config() }
    }

    fn fetch(&self) -> Job {
        self.job(Request::Effect(Effect::Fetch { release: release("sim:demo@1?web") }))
    }
}

fn release(source: &str) -> Release {
    source::resolve(source).expect("resolve").releases.remove(0)
}

impl Harness for Device {
    fn open(&mut self) -> Box<dyn Backend> {
        Box::new(ProcessBackend::new(self.command(), self.kind(), self.config()))
    }

    fn sources(&mut self) -> Sources {
        // Slow enough for a cancel to arrive in the middle.
        self.config();
        self.world().with(|w| w.pace = Duration::from_millis(40));
        let component = self.component;
        Sources {
            package: PackageId::new("demo").expect("id"),
            v1: format!("sim:demo@1?{component}"),
            v2: format!("sim:demo@2?{component}"),
            corrupt: format!("sim:demo@3?{component}=corrupt"),
            unknown: "sim:missing@1".to_owned(),
            unhealthy: Some(format!("sim:demo@4?{component}=unhealthy")),
        }
    }

    fn reboot(&mut self) {
        self.world().reboot();
    }

    fn stored(&mut self) -> Vec<String> {
        self.world().with(|w| w.stored.keys().chain(&w.partial).map(ToString::to_string).collect())
    }

    fn fill_disk(&mut self) -> Option<Box<dyn Any>> {
        struct Full(SimWorld);
        impl Drop for Full {
            fn drop(&mut self) {
                self.0.with(|w| w.capacity = None);
            }
        }
        self.world().with(|w| w.capacity = Some(w.used()));
        Some(Box::new(Full(self.world())))
    }
}

#[test]
fn simulated_containers_conform_through_the_border() {
    conformance::run(&mut || Box::new(Device::new("web")));
}

#[test]
fn a_simulated_os_conforms_through_the_border() {
    conformance::run(&mut || Box::new(Device::new("os")));
}

/// A worker made of a few lines of shell.
fn script(dir: &Path, body: &str) -> WorkerCommand {
    let path = dir.join("worker");
    let new = dir.join("worker.new");
    fs::write(&new, format!("#!/bin/sh\nread job\n{body}\n")).expect("write");
    fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).expect("chmod");
    fs::rename(&new, &path).expect("rename");
    // Another test's fork may hold the file open for writing for a moment; a shell has no such trouble.
    WorkerCommand { program: "/bin/sh".into(), args: vec![path.to_string_lossy().into_owned()] }
}

#[test]
fn a_worker_that_goes_wrong_gives_a_failure_that_says_how() {
    let outcome = r#"{"outcome":{"Ok":{"inventory":{"running":[],"persistent":false}}}}"#;
    let cases = [
        ("exit 3".to_owned(), FailureKind::Interrupted, "ended with status 3"),
        ("exit 0".to_owned(), FailureKind::Interrupted, "ended with status 0"),
        ("kill -9 $$".to_owned(), FailureKind::Interrupted, "ended by SIGKILL"),
        ("echo hello; sleep 1000".to_owned(), FailureKind::Broken, "not understood"),
        (format!("printf '%s' '{}'", &outcome[..20]), FailureKind::Interrupted, "ended with status 0"),
        ("exec >&-; sleep 1000 & wait".to_owned(), FailureKind::Interrupted, "ended by SIGKILL"),
        ("tr '\\0' x </dev/zero".to_owned(), FailureKind::Broken, "more than 4194304 bytes"),
    ];
    for (body, kind, words) in cases {
        let device = Device::new("web");
        let worker = script(device.dir.path(), &body);
        let failure = worker.run(&device.job(Request::Observe), &StepCx::detached()).expect_err(&body);
        assert_eq!(failure.kind, kind, "{body}: {failure:?}");
        assert!(failure.detail.contains(words), "{body}: {}", failure.detail);
    }
}

#[test]
fn what_a_worker_prints_elsewhere_does_no_harm() {
    let outcome = r#"{"outcome":{"Ok":{"inventory":{"running":[],"persistent":true}}}}"#;
    let flood = "head -c 3000000 /dev/zero | tr '\\0' x >&2";
    // The child keeps the error output open: nobody waits for it.
    let body = format!("{flood}; tail --pid=$PPID -f /dev/null >/dev/null & echo '{outcome}'; echo after");
    let device = Device::new("web");
    let begun = Instant::now();
    let answer = script(device.dir.path(), &body).run(&device.job(Request::Observe), &StepCx::detached());
    assert_eq!(answer, Ok(Answer::Inventory(Inventory { persistent: true, ..Inventory::default() })));
    assert!(begun.elapsed() < DEADLINE);
}

#[test]
fn a_missing_executable_says_what_to_do() {
    let device = Device::new("web");
    let worker = WorkerCommand::new("/nonexistent/scomo-worker");
    let failure = worker.run(&device.job(Request::Observe), &StepCx::detached()).expect_err("missing");
    assert_eq!(failure.kind, FailureKind::Broken);
    assert!(failure.detail.contains("install the package"), "{}", failure.detail);
}

#[test]
fn a_job_that_is_not_understood_is_refused_by_the_worker() {
    let device = Device::new("web");
    let long = "x".repeat(JOB_BYTES_MAX);
    let request = Request::Logs { component: ComponentId::new("web").expect("id"), lines: 1 };
    let job = Job { request, config: serde_json::json!({ "state_dir": device.dir.path(), "long": long }) };
    let failure = device.command().run(&job, &StepCx::detached()).expect_err("too long");
    assert_eq!(failure.kind, FailureKind::Invalid);
    for text in ["", "\n", "{}\n", "{\"request\":\"sing\",\"config\":{}}\n", "\u{0}\n"] {
        let mut child = raw(&device, std::process::id());
        child.stdin.take().expect("stdin").write_all(text.as_bytes()).expect("write");
        let Line::Outcome(Err(failure)) = only_line(&mut child) else { panic!("{text:?} was taken") };
        assert_eq!(failure.kind, FailureKind::Invalid, "{text:?}");
        assert!(child.wait().expect("wait").success());
    }
}

fn raw(device: &Device, parent: u32) -> std::process::Child {
    Command::new(device.command().program)
        .args(device.command().args)
        .env(PARENT_ENV, parent.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("spawn")
}

fn only_line(child: &mut std::process::Child) -> Line {
    let mut text = String::new();
    child.stdout.take().expect("stdout").read_to_string(&mut text).expect("read");
    assert_eq!(text.lines().count(), 1, "{text}");
    serde_json::from_str(&text).expect("a line")
}

#[test]
fn cancelling_kills_a_worker_that_hangs() {
    let device = Device::new("web");
    device.config();
    device.world().order(StepName::Fetch, 0, FaultAction::Hang);
    let cancelled = Arc::new(AtomicBool::new(false));
    let cx = StepCx::new(|_| {}, Arc::clone(&cancelled));
    let (command, job, world) = (device.command(), device.fetch(), device.world());
    let running = std::thread::spawn(move || command.run(&job, &cx));
    until(|| world.with(|w| !w.calls.is_empty()));
    assert!(!running.is_finished());
    cancelled.store(true, Ordering::Relaxed);
    let failure = running.join().expect("join").expect_err("cancelled");
    assert_eq!(failure.kind, FailureKind::Cancelled);
    // The lock of the killed one is free again.
    assert_eq!(device.command().run(&device.fetch(), &StepCx::detached()), fetched());
}

fn fetched() -> Result<Answer, scomo_core::failure::Failure> {
    Ok(Answer::Effect(EffectOk::Fetched { size: source::SIZE }))
}

#[test]
fn a_worker_that_really_dies_is_interrupted_and_its_work_can_be_repeated() {
    for action in [FaultAction::DieHalfWay, FaultAction::DieAfter] {
        let device = Device::new("web");
        device.config();
        device.world().order(StepName::Fetch, 0, action);
        let failure = device.command().run(&device.fetch(), &StepCx::detached()).expect_err("dies");
        assert_eq!(failure.kind, FailureKind::Interrupted);
        assert!(failure.detail.contains("SIGABRT"), "{}", failure.detail);
        assert_eq!(device.command().run(&device.fetch(), &StepCx::detached()), fetched());
    }
}

#[test]
fn progress_arrives_in_order_and_the_last_one_before_the_outcome() {
    let device = Device::new("web");
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let cx = StepCx::new(move |p| log.lock().expect("lock").push(p.bytes_done), Arc::default());
    assert_eq!(device.command().run(&device.fetch(), &cx), fetched());
    let seen = seen.lock().expect("lock");
    assert!(seen.is_sorted() && seen.last() == Some(&source::SIZE), "{seen:?}");
}

#[test]
fn two_workers_of_one_kind_never_overlap() {
    let device = Device::new("web");
    let config = device.config();
    let lock = PathBuf::from(config["state_dir"].as_str().expect("text")).join("worker-container.lock");
    let held = File::create(&lock).expect("create");
    held.lock().expect("lock");
    let (command, job, world) = (device.command(), device.fetch(), device.world());
    let waiting = std::thread::spawn(move || command.run(&job, &StepCx::detached()));
    // Reading logs changes nothing: it does not wait. By the time that it has answered, the other one waits.
    let request = Request::Logs { component: ComponentId::new("web").expect("id"), lines: 1 };
    for _ in 0..3 {
        let logs = device.command().run(&device.job(request.clone()), &StepCx::detached());
        assert_eq!(logs.expect_err("no component").kind, FailureKind::NotFound);
    }
    // Another kind does not wait either.
    let os = WorkerCommand { args: vec!["os".to_owned()], ..device.command() };
    assert!(os.run(&device.job(Request::Observe), &StepCx::detached()).is_ok());
    assert!(!waiting.is_finished());
    assert!(!world.with(|w| w.calls.contains(&StepName::Fetch)), "the worker ran beside another one");
    drop(held);
    assert_eq!(waiting.join().expect("join"), fetched());
}

#[test]
fn a_worker_dies_with_the_daemon_that_started_it() {
    let device = Device::new("web");
    device.config();
    device.world().order(StepName::Fetch, 0, FaultAction::Hang);
    // A shell stands for the daemon: it starts the worker, says its number, and is killed.
    let job = device.dir.path().join("job");
    fs::write(&job, serde_json::to_vec(&device.fetch()).expect("json")).expect("write");
    let worker = device.command();
    let body = r#""$1" container <"$2" >/dev/null & echo $!; wait"#;
    let mut daemon = Command::new("/bin/sh")
        .args(["-c", body, "daemon"])
        .args([worker.program.as_os_str(), job.as_os_str()])
        .stdout(Stdio::piped())
        .spawn()
        .expect("spawn");
    let mut line = String::new();
    BufReader::new(daemon.stdout.take().expect("stdout")).read_line(&mut line).expect("read");
    let process = PathBuf::from(format!("/proc/{}/cmdline", line.trim()));
    until(|| device.world().with(|w| !w.calls.is_empty()));
    let alive = || fs::read(&process).is_ok_and(|text| !text.is_empty());
    assert!(alive());
    daemon.kill().expect("kill");
    daemon.wait().expect("wait");
    until(|| !alive());
}

#[test]
fn a_worker_whose_parent_is_already_gone_does_nothing() {
    let device = Device::new("web");
    let mut child = raw(&device, 1);
    let text = serde_json::to_vec(&device.fetch()).expect("json");
    // It may have ended before it read anything.
    let _ = child.stdin.take().expect("stdin").write_all(&text);
    assert!(!child.wait().expect("wait").success());
    assert!(device.world().with(|w| w.calls.is_empty()));
}

/// The engine as the daemon runs it, over worker processes.
fn engine(device: &Device) -> Engine {
    let workers = ["os", "container"].map(|kind| {
        let command = WorkerCommand { args: vec![kind.to_owned()], ..device.command() };
        (if kind == "os" { ComponentKind::Os } else { ComponentKind::Container }, command)
    });
    let options = Options {
        store: device.dir.path().join("state/facts.db"),
        boot: BootId::new("boot").expect("id"),
        clock: Arc::new(|| {
            let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("clock");
            Millis(u64::try_from(since.as_millis()).expect("fits"))
        }),
        publish: Box::new(|_| ()),
    };
    Engine::open(options, Arc::new(ProcessRunner::new(workers.into(), device.config()))).expect("open")
}

fn ask(engine: &Engine, source: &str) -> Result<Receipt, Refusal> {
    let caller = Caller { uid: 0, name: "test".to_owned() };
    let (id, source) = (PackageId::new("p").expect("id"), source.to_owned());
    engine.submit(caller, Terms::default(), Ask::FetchFrom { id, source, then: Then::Install })
}

fn at_rest(engine: &Engine) -> Arc<View> {
    let rest = |view: &View| view.started && view.state.job.is_none() && view.running.is_empty();
    until(|| rest(&engine.snapshot()));
    engine.snapshot()
}

#[test]
fn the_engine_updates_through_worker_processes_and_survives_its_own_end() {
    let device = Device::new("web");
    device.config();
    let first = engine(&device);
    ask(&first, "sim:p@1?db&web").expect("taken");
    let view = at_rest(&first);
    assert_eq!(view.state.history.back().map(|job| job.code), Some(ResultCode::SUCCESS));
    // The engine ends in the middle of a fetch: its worker is killed, and the next engine goes on.
    device.world().order(StepName::Fetch, 0, FaultAction::Hang);
    ask(&first, "sim:p@2?db&web").expect("taken");
    until(|| device.world().with(|w| w.faults.is_empty()));
    first.shutdown();
    let lock = File::open(device.dir.path().join("state/worker-container.lock")).expect("open");
    assert!(lock.try_lock().is_ok(), "a worker outlived the engine");
    drop(lock);
    drop(first);
    let second = engine(&device);
    let view = at_rest(&second);
    assert_eq!(view.state.history.back().map(|job| job.code), Some(ResultCode::SUCCESS));
    let web = &view.state.components[&ComponentId::new("web").expect("id")];
    assert_eq!(web.release.spec.version, "2");
    assert_eq!(device.world().running(&web.release.spec.id), Some(web.release.id.clone()));
    assert_eq!(second.logs(&web.release.spec.id, 1).expect("logs"), "web 2 is ready\n");
    // What is unhealthy goes back by itself.
    ask(&second, "sim:p@3?db&web=unhealthy").expect("taken");
    let view = at_rest(&second);
    assert_eq!(view.state.history.back().map(|job| job.code), Some(ResultCode::ROLLED_BACK_UNHEALTHY));
    assert_eq!(device.world().running(&web.release.spec.id), Some(web.release.id.clone()));
    second.shutdown();
}

#[test]
fn a_kind_without_a_worker_is_refused_with_a_hint() {
    let device = Device::new("web");
    let runner = ProcessRunner::new([].into(), device.config());
    let failure = runner.observe(ComponentKind::Files).expect_err("no worker");
    assert_eq!(failure.kind, FailureKind::Unsupported);
    assert!(failure.detail.contains("configure a worker"), "{}", failure.detail);
}

/// Waits for a condition; a test that waits longer than [`DEADLINE`] has failed.
#[track_caller]
fn until(mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < DEADLINE, "waited too long");
        std::thread::sleep(Duration::from_millis(2));
    }
}
