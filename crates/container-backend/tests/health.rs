//! Health checks and restart policies.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::{Device, IDLE, failed, kill, ok, processes_with, until};
use scomo_core::failure::FailureKind;
use scomo_core::id::ReleaseId;
use scomo_core::spec::{HealthCheck, Release, Restart, RunSpec};
use scomo_engine::backend::{Backend, StepCx};

fn command(script: &str, window_s: u64) -> HealthCheck {
    let command = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
    HealthCheck { command, window_s, interval_s: 0, timeout_s: 1, retries: 1 }
}

fn stay_up(window_s: u64) -> HealthCheck {
    HealthCheck { window_s, ..HealthCheck::default() }
}

/// Probes a release that must fail; gives the reason and how long it took.
#[track_caller]
fn unhealthy(device: &Device, release: &Release) -> (String, Duration) {
    let begun = Instant::now();
    let (kind, words) = failed(device.backend().probe(release, &StepCx::detached()));
    assert_eq!(kind, FailureKind::Unhealthy, "{words}");
    (words, begun.elapsed())
}

#[test]
fn staying_up_is_healthy() {
    needs_root!();
    let mut device = Device::new();
    let release = device.watched(IDLE, stay_up(2));
    device.start(&release);
    let messages: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = Arc::clone(&messages);
    let cx = StepCx::new(move |p| seen.lock().expect("lock").push(p.message), Arc::default());
    let begun = Instant::now();
    ok("probe", device.backend().probe(&release, &cx));
    assert!(begun.elapsed() >= Duration::from_secs(2), "the window must be waited for");
    let messages = messages.lock().expect("lock").clone();
    assert!(messages.iter().any(|m| m.contains("healthy so far, 2 s left")), "{messages:?}");
    assert!(messages.iter().any(|m| m.contains("1 s left")), "{messages:?}");
}

#[test]
fn an_end_is_unhealthy_at_once() {
    needs_root!();
    let mut device = Device::new();
    let release = device.watched("echo all is lost; sleep 0.3; exit 7", stay_up(600));
    device.start(&release);
    let (words, _) = unhealthy(&device, &release);
    assert!(words.contains("status 7") && words.contains("all is lost"), "{words}");
    // Also for one that begins to watch when the process is gone already, and for a clean end.
    let release = device.watched("exit 0", stay_up(600));
    device.start(&release);
    let (words, _) = unhealthy(&device, &release);
    assert!(words.contains("status 0"), "{words}");
}

#[test]
fn a_command_decides() {
    needs_root!();
    let mut device = Device::new();
    let release = device.watched(IDLE, command("test -e /version", 1));
    device.start(&release);
    ok("probe", device.backend().probe(&release, &StepCx::detached()));

    let release = device.watched(IDLE, command("echo no database; exit 3", 600));
    device.start(&release);
    let (words, _) = unhealthy(&device, &release);
    assert!(words.contains("2 times in a row") && words.contains("exit status: 3"), "{words}");
    assert!(words.contains("no database"), "{words}");
}

#[test]
fn failures_are_tolerated_until_they_are_too_many() {
    needs_root!();
    let mut device = Device::new();
    // Fails, succeeds, fails, … : never twice in a row.
    let alternate = "if test -e /tmp/x; then busybox rm /tmp/x; else touch /tmp/x; exit 1; fi";
    let release = device.watched(IDLE, command(alternate, 2));
    device.start(&release);
    ok("probe", device.backend().probe(&release, &StepCx::detached()));
    // Tolerated for the whole window, but never once a success.
    let never = HealthCheck { retries: 1_000_000, ..command("exit 1", 1) };
    let release = device.watched(IDLE, never);
    device.start(&release);
    let (words, took) = unhealthy(&device, &release);
    assert!(words.contains("not succeed once"), "{words}");
    assert!(took >= Duration::from_secs(1), "{took:?}");
}

#[test]
fn a_command_that_hangs_is_ended() {
    needs_root!();
    let mut device = Device::new();
    // Unique, to find it among all processes of the machine.
    let seconds = 100_000 + std::process::id();
    let release = device.watched(IDLE, command(&format!("echo stuck; exec sleep {seconds}"), 600));
    device.start(&release);
    let (words, _) = unhealthy(&device, &release);
    assert!(words.contains("no answer within 1 s") && words.contains("stuck"), "{words}");
    assert_eq!(processes_with(&format!("sleep\0{seconds}")).len(), 0, "the command must be gone");
    assert!(device.runs(&release), "a probe stops nothing");
}

#[test]
fn a_command_has_the_rights_of_the_component() {
    needs_root!();
    let mut device = Device::new();
    let script = "cat /proc/self/status; id; exit 1";
    let mut release = device.watched(IDLE, command(&format!("({script}) > /proc/1/fd/1; exit 1"), 600));
    release.spec.run.user = "app".to_owned();
    release.id = ReleaseId::of(&release.spec).expect("id");
    device.start(&release);
    unhealthy(&device, &release);
    let logs = device.hear("watched", "uid=1000(app)");
    for line in ["NoNewPrivs:\t1", "Seccomp:\t2", "CapEff:\t0000000000000000", "CapBnd:\t00000000000004fb"] {
        assert!(logs.contains(line), "no '{line}' in\n{logs}");
    }
}

#[test]
fn a_probe_ends_when_it_is_cancelled() {
    needs_root!();
    let mut device = Device::new();
    let release = device.watched(IDLE, HealthCheck { timeout_s: 600, ..command("sleep 1000", 600) });
    device.start(&release);
    let (cx, flag) = common::cancellable();
    std::thread::scope(|scope| {
        let probe = scope.spawn(|| device.backend().probe(&release, &cx));
        std::thread::sleep(Duration::from_millis(300));
        flag.store(true, Ordering::Relaxed);
        assert_eq!(failed(probe.join().expect("a probe")).0, FailureKind::Cancelled);
    });
    let folder = device.runtime("watched");
    assert!(common::listing(&folder).iter().all(|name| !name.starts_with("check-")), "nothing is left");
}

#[test]
fn what_does_not_run_is_unhealthy() {
    needs_root!();
    let mut device = Device::new();
    let release = device.watched(IDLE, stay_up(600));
    device.prepare(&release);
    let (words, _) = unhealthy(&device, &release);
    assert!(words.contains("does not run"), "{words}");
    device.start(&release);
    let mut other = release.clone();
    other.spec.version = "2".to_owned();
    other.id = ReleaseId::of(&other.spec).expect("id");
    let (words, _) = unhealthy(&device, &other);
    assert!(words.contains("another release"), "{words}");
}

#[test]
fn a_restart_in_the_window_is_unhealthy() {
    needs_root!();
    let mut device = Device::new();
    let release = device.watched(IDLE, stay_up(600));
    device.start(&release);
    let main = device.main_process("watched");
    std::thread::scope(|scope| {
        let probe = scope.spawn(|| device.backend().probe(&release, &StepCx::detached()));
        kill(main);
        let (kind, words) = failed(probe.join().expect("a probe"));
        assert_eq!(kind, FailureKind::Unhealthy);
        assert!(words.contains("status 137"), "{words}");
    });
}

#[test]
fn what_ends_is_started_again_with_growing_pauses() {
    needs_root!();
    let mut device = Device::new();
    let release = device.script("crash", "echo life; exit 3", RunSpec::default());
    device.start(&release);
    let logs = device.hear("crash", "again in 2 s");
    assert!(logs.contains("status 3, last output: life; starting again in 1 s"), "{logs}");
    assert!(device.runs(&release), "between two lives it still counts as running");
    // A stop does not wait for the pause.
    let begun = Instant::now();
    device.hear("crash", "again in 4 s");
    let pausing = Instant::now();
    device.stop(&release);
    assert!(pausing.elapsed() < Duration::from_secs(3), "{:?} {:?}", begun.elapsed(), pausing.elapsed());
}

/// How often the job of a device said that it lives.
fn lives(device: &Device) -> usize {
    device.logs("job").lines().filter(|line| *line == "life").count()
}

#[test]
fn policies_leave_some_ended() {
    needs_root!();
    for (restart, status, again) in [
        (Restart::OnFailure, 0, false),
        (Restart::OnFailure, 1, true),
        (Restart::Never, 0, false),
        (Restart::Never, 1, false),
        (Restart::Always, 0, true),
    ] {
        let mut device = Device::new();
        let run = RunSpec { restart, ..RunSpec::default() };
        let release = device.script("job", &format!("echo life; exit {status}"), run);
        device.start(&release);
        if again {
            until("it is started again", || (lives(&device) > 1).then_some(()));
            continue;
        }
        until("it ended", || (device.state("job")?["phase"] == "ended").then_some(()));
        until("the supervisor is gone", || device.processes().is_empty().then_some(()));
        // It is in its wanted state: neither a look nor a repeated switch runs it a second time.
        assert!(device.runs(&release));
        ok("switch again", device.try_activate(&release));
        assert_eq!(lives(&device), 1, "{restart:?} {status}");
        device.stop(&release);
        assert!(!device.runs(&release));
        ok("start again", device.try_activate(&release));
        until("it ran again", || (lives(&device) == 2).then_some(()));
    }
}
