//! What cannot run is refused in time, with words that help, and nothing of it stays.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{Device, IDLE, failed, is_alive, ok};
use scomo_core::effect::Target;
use scomo_core::failure::FailureKind;
use scomo_core::id::ReleaseId;
use scomo_core::spec::{ComponentKind, HealthCheck, Mount, Release, Resources, RunSpec};
use scomo_engine::backend::{Backend, StepCx};
use scomo_engine::conformance::ProcessBackend;
use scomo_engine::worker::WorkerCommand;
use serde_json::json;

/// Starts it in vain; gives kind and words.
#[track_caller]
fn does_not_start(device: &Device, release: &Release) -> (FailureKind, String) {
    device.prepare(release);
    let result = failed(device.try_activate(release));
    assert!(!device.runs(release));
    assert_eq!(device.processes(), [], "nothing of it may stay");
    assert!(!device.runtime(release.spec.id.as_str()).exists());
    result
}

#[test]
fn a_missing_program_is_the_packages_fault() {
    needs_root!();
    let mut device = Device::new();
    for (args, image) in [
        (vec!["/bin/nothing-here"], json!({})),
        (vec!["nothing-here"], json!({})),
        (vec!["/etc/passwd"], json!({})),
        (vec!["/etc"], json!({})),
    ] {
        let run = RunSpec { args: args.iter().map(|a| (*a).to_owned()).collect(), ..RunSpec::default() };
        let release = device.custom("web", "1", &image, run, None);
        let (kind, words) = does_not_start(&device, &release);
        assert_eq!(kind, FailureKind::Invalid, "{args:?}: {words}");
        assert!(words.contains("component 'web' does not start") && words.contains("xec"), "{words}");
    }
}

#[test]
fn a_program_for_another_machine_is_the_packages_fault() {
    needs_root!();
    let mut device = Device::new();
    let descriptor = device.layout.image(&[("bin/alien", b"\x7fELFnot really")], &json!({}));
    let run = RunSpec { args: vec!["/bin/alien".to_owned()], ..RunSpec::default() };
    let spec = common::spec("web", "1", &descriptor, run, None);
    device.layout.package("only", std::slice::from_ref(&spec));
    let id = ReleaseId::of(&spec).expect("id");
    let release = Release { id, spec, source: device.layout.source("only"), size: 0 };
    let (kind, words) = does_not_start(&device, &release);
    assert_eq!(kind, FailureKind::Invalid, "{words}");
    assert!(words.to_lowercase().contains("exec format"), "{words}");
}

#[test]
fn what_breaks_a_rule_is_refused_before_anything_stops() {
    needs_root!();
    let mut device = Device::new();
    let good = device.idle("web", "1");
    device.start(&good);
    let main = device.main_process("web");
    let mount = |source: &str, target: &str| RunSpec {
        mounts: vec![Mount { source: source.to_owned(), target: target.to_owned(), read_only: false }],
        ..RunSpec::default()
    };
    let one = |text: &str| vec![text.to_owned()];
    for (run, word) in [
        (RunSpec { user: "ghost".to_owned(), ..RunSpec::default() }, "no user 'ghost'"),
        (mount("data", "/x/../../etc"), "'..'"),
        (mount("a/b", "/x"), "volume name"),
        (mount("/etc", "/x"), "container.host_paths"),
        (RunSpec { devices: one("/dev/mem"), ..RunSpec::default() }, "container.devices"),
        (RunSpec { capabilities: one("CAP_SYS_ADMIN"), ..RunSpec::default() }, "container.capabilities"),
    ] {
        let bad = device.release("web", "2", &["/bin/sh"], run);
        let cx = StepCx::detached();
        ok("fetch", device.backend().fetch(&bad, &cx));
        let (kind, words) = failed(device.backend().stage(&bad, &cx));
        assert_eq!(kind, FailureKind::Invalid, "{words}");
        assert!(words.contains(word), "{words}");
        let (kind, words) = failed(device.try_activate(&bad));
        assert_eq!(kind, FailureKind::NotFound, "{words}");
    }
    assert!(is_alive(main) && device.runs(&good));
}

#[test]
fn without_a_runtime_nothing_is_stopped() {
    needs_root!();
    let mut device = Device::new();
    let (v1, v2) = (device.idle("web", "1"), device.idle("web", "2"));
    device.start(&v1);
    let cx = StepCx::detached();
    ok("fetch", device.backend().fetch(&v2, &cx));
    ok("stage", device.backend().stage(&v2, &cx));
    let good = device.config.clone();
    for runtime in ["/nonexistent/crun", "no-such-runtime", "/etc/passwd"] {
        device.config["container"]["runtime"] = json!(runtime);
        let (kind, words) = failed(device.backend().stage(&v2, &cx));
        assert_eq!(kind, FailureKind::Broken);
        assert!(words.contains("install crun") && words.contains(runtime), "{words}");
        assert_eq!(failed(device.try_activate(&v2)).0, FailureKind::Broken);
        assert!(device.runs(&v1));
    }
    device.config = good;
    ok("switch", device.try_activate(&v2));
}

#[test]
fn a_device_that_is_not_there_is_named() {
    needs_root!();
    let mut device = Device::with(&json!({"devices": ["/dev/scomo-*"]}));
    let run = RunSpec { devices: vec!["/dev/scomo-none".to_owned()], ..RunSpec::default() };
    let release = device.script("web", IDLE, run);
    let (kind, words) = does_not_start(&device, &release);
    assert_eq!(kind, FailureKind::Broken);
    assert!(words.contains("/dev/scomo-none"), "{words}");
}

#[test]
fn limits_that_cannot_be_had_are_not_ignored() {
    needs_root!();
    let mut device = Device::new();
    let free = device.idle("free", "1");
    let resources = Resources { pids: 10, ..Resources::default() };
    let limited = device.script("limited", IDLE, RunSpec { resources, ..RunSpec::default() });
    device.prepare(&free);
    device.prepare(&limited);
    // A worker on a host whose control groups cannot be changed.
    let read_only =
        "for c in /sys/fs/cgroup /sys/fs/cgroup/*; do mountpoint -q $c && mount -o remount,bind,ro $c; done";
    let script = format!("{read_only}; exec {}", common::WORKER);
    let args = ["-m", "sh", "-c", &script].map(str::to_owned).to_vec();
    let worker = WorkerCommand { program: "unshare".into(), args };
    let mut backend = ProcessBackend::new(worker, ComponentKind::Container, device.config.clone());
    let cx = StepCx::detached();
    let (kind, words) = failed(backend.switch(&limited.spec.id, &Target::Active(limited.clone()), &cx));
    assert_eq!(kind, FailureKind::Broken, "{words}");
    assert!(words.contains("resource limits cannot be set") && words.contains("control group"), "{words}");
    ok("switch", backend.switch(&free.spec.id, &Target::Active(free.clone()), &cx));
    let logs = device.hear("free", "up 1\n");
    assert!(logs.contains("running without control groups"), "{logs}");
}

#[test]
fn other_kinds_are_not_ours() {
    let mut device = Device::new();
    let mut release = device.custom("web", "1", &json!({}), RunSpec::default(), Some(HealthCheck::default()));
    release.spec.kind = ComponentKind::Files;
    let cx = StepCx::detached();
    let mut backend = device.backend();
    assert_eq!(failed(backend.fetch(&release, &cx)).0, FailureKind::Unsupported);
    assert_eq!(failed(backend.stage(&release, &cx)).0, FailureKind::Unsupported);
    assert_eq!(failed(backend.probe(&release, &cx)).0, FailureKind::Unsupported);
    let target = Target::Active(release.clone());
    assert_eq!(failed(backend.switch(&release.spec.id, &target, &cx)).0, FailureKind::Unsupported);
}
