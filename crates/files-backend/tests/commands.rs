//! Reload and health commands: what may run, and what their failure means.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::{Device, failed, ok};
use scomo_core::effect::Target;
use scomo_core::failure::FailureKind;
use scomo_engine::backend::{Backend, StepCx};
use serde_json::json;

/// A service that takes every version but 2; it says what it has loaded in the file `loaded`.
fn service(device: &mut Device) {
    let script = format!(
        "v=$(cat \"$SCOMO_FILES/a\"); if test \"$v\" = 2; then echo \"bad version $v\" >&2; exit 1; fi; echo \"$v\" >{}",
        device.path("loaded").display()
    );
    device.config["files"]["reload"] = json!({"service": ["/bin/sh", "-c", script]});
}

fn loaded(device: &Device) -> String {
    fs::read_to_string(device.path("loaded")).unwrap_or_default().trim().to_owned()
}

/// What the engine does after the failure of a switch: it switches back.
#[test]
fn a_failed_reload_fails_the_switch_and_is_reversed() {
    needs_root!();
    let mut device = Device::new();
    service(&mut device);
    let more = json!({"files": {"reload": ["service"]}});
    let (v1, v2, v3) = (device.release("1", &more), device.release("2", &more), device.release("3", &more));
    device.put(&v1);
    assert_eq!(loaded(&device), "1");
    device.prepare(&v2);
    let (kind, words) = failed(device.try_activate(&v2));
    assert_eq!(kind, FailureKind::Unhealthy);
    assert!(words.contains("certificates") && words.contains("exit status: 1: bad version 2"), "{words}");
    assert!(!device.runs(&v2) && !device.runs(&v1), "neither switch came to its end");
    assert_eq!(failed(device.backend().probe(&v2, &StepCx::detached())).0, FailureKind::Unhealthy);
    ok("reverse", device.try_activate(&v1));
    assert!(device.runs(&v1));
    assert_eq!(device.seen(&device.link()).as_deref(), Some("1"));
    device.put(&v3);
    assert_eq!(loaded(&device), "3");
}

#[test]
fn the_failed_reload_of_a_first_install_leaves_nothing_in_place() {
    needs_root!();
    let mut device = Device::new();
    service(&mut device);
    let v2 = device.release("2", &json!({"files": {"reload": ["service"]}}));
    device.prepare(&v2);
    failed(device.try_activate(&v2));
    ok("reverse", device.backend().switch(&v2.spec.id, &Target::Absent, &StepCx::detached()));
    assert!(fs::symlink_metadata(device.link()).is_err());
}

#[test]
fn a_reload_has_a_time_limit() {
    needs_root!();
    let mut device = Device::with(&json!({"reload": {"slow": ["/bin/sleep", "1000"]}}));
    let release = device.release("1", &json!({"files": {"reload": ["slow"], "reloadTimeoutS": 1}}));
    device.prepare(&release);
    let (kind, words) = failed(device.try_activate(&release));
    assert_eq!(kind, FailureKind::Unhealthy);
    assert!(words.contains("longer than 1 s"), "{words}");
}

#[test]
fn a_package_runs_nothing_that_the_device_does_not_allow() {
    needs_root!();
    let mut device = Device::with(&json!({"reload": {"service": ["/bin/true"]}}));
    let evil = device.path("evil");
    let touch = json!(["/bin/touch", evil]);
    let health = |command| json!({"health": {"command": command, "windowS": 0}});
    for (more, option) in [
        (json!({"files": {"reload": touch}}), "files.allow_reload"),
        (json!({"files": {"reload": ["service", "and", "more"]}}), "files.allow_reload"),
        (json!({"files": {"reload": ["reboot"]}}), "files.reload"),
        (health(touch.clone()), "files.allow_reload"),
        (health(json!(["reboot"])), "files.reload"),
    ] {
        let release = device.release("1", &more);
        ok("fetch", device.backend().fetch(&release, &StepCx::detached()));
        let (kind, words) = failed(device.backend().stage(&release, &StepCx::detached()));
        assert_eq!(kind, FailureKind::Invalid, "{words}");
        assert!(words.contains(option), "{words}");
    }
    assert!(!evil.exists());
    // Permission is looked at again when it counts.
    device.config["files"]["allow_reload"] = json!(true);
    let release = device.release("1", &json!({"files": {"reload": touch}}));
    device.prepare(&release);
    device.config["files"]["allow_reload"] = json!(false);
    assert_eq!(failed(device.try_activate(&release)).0, FailureKind::Invalid);
    assert!(!evil.exists() && fs::symlink_metadata(device.link()).is_err());
    device.config["files"]["allow_reload"] = json!(true);
    ok("switch", device.try_activate(&release));
    assert!(evil.exists());
}

/// The links are new and the service has not heard: the switch is done again, or reversed, from there.
#[test]
fn a_switch_that_is_killed_during_its_reload_can_be_done_again_or_reversed() {
    needs_root!();
    let mut device = Device::with(&json!({"allow_reload": true}));
    let script = format!(
        "echo x >>{0}; test -e {1} || sleep 1000",
        device.path("runs").display(),
        device.path("go").display()
    );
    let more = json!({"files": {"reload": ["/bin/sh", "-c", script]}});
    let (v1, v2) = (device.release("1", &json!({})), device.release("2", &more));
    device.put(&v1);
    device.prepare(&v2);
    let runs = || fs::read_to_string(device.path("runs")).map_or(0, |text| text.lines().count());
    for expected in 1..=2 {
        let cancelled = Arc::new(AtomicBool::new(false));
        let cx = StepCx::new(|_| {}, Arc::clone(&cancelled));
        std::thread::scope(|scope| {
            let killed =
                scope.spawn(|| device.worker().switch(&v2.spec.id, &Target::Active(v2.clone()), &cx));
            let deadline = Instant::now() + Duration::from_secs(60);
            while runs() < expected {
                assert!(Instant::now() < deadline, "the reload does not start");
                std::thread::sleep(Duration::from_millis(5));
            }
            cancelled.store(true, Ordering::Relaxed);
            assert_eq!(failed(killed.join().expect("thread")).0, FailureKind::Cancelled);
        });
        assert_eq!(device.seen(&device.link()).as_deref(), Some("2"));
        assert!(!device.runs(&v2));
        if expected == 1 {
            ok("reverse", device.try_activate(&v1));
            assert!(device.runs(&v1));
        }
    }
    fs::write(device.path("go"), "").expect("let it end");
    ok("again", device.try_activate(&v2));
    assert!(device.runs(&v2));
    assert_eq!(runs(), 3);
}

#[test]
fn a_health_command_decides() {
    needs_root!();
    let mut device =
        Device::with(&json!({"reload": {"check": ["/bin/sh", "-c", "grep -q 1 \"$SCOMO_FILES/a\""]}}));
    let more = json!({"health": {"command": ["check"], "windowS": 0, "retries": 0}});
    let (v1, v2) = (device.release("1", &more), device.release("2", &more));
    device.put(&v1);
    ok("probe", device.backend().probe(&v1, &StepCx::detached()));
    let (kind, words) = failed(device.backend().probe(&v2, &StepCx::detached()));
    assert_eq!(kind, FailureKind::Unhealthy);
    assert!(words.contains("not in place"), "{words}");
    device.put(&v2);
    let (kind, words) = failed(device.backend().probe(&v2, &StepCx::detached()));
    assert_eq!(kind, FailureKind::Unhealthy);
    assert!(words.contains("health command ended with exit status: 1"), "{words}");
}
