//! Processes are killed wherever it hurts; the next step sets everything right.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::sync::atomic::Ordering;
use std::time::Duration;

use common::{Device, IDLE, cancellable, is_alive, kill, mains_with, ok, processes_with, until};
use scomo_core::effect::Target;
use scomo_core::spec::{Release, RunSpec};
use scomo_engine::backend::{Backend, StepCx};

/// A release whose main process can be found on the machine.
fn marked(device: &mut Device, version: &str) -> (Release, String) {
    let marker =
        format!("mark-{}-{version}", device.folder.path().file_name().expect("name").to_string_lossy());
    let script = format!(": {marker}; echo up {version}; {IDLE}");
    let release = device.release("web", version, &["/bin/sh", "-c", &script], RunSpec::default());
    (release, marker)
}

#[test]
fn a_container_without_its_supervisor_is_ended() {
    needs_root!();
    let mut device = Device::new();
    let (v1, mark1) = marked(&mut device, "1");
    device.start(&v1);
    device.hear("web", "up 1\n");
    kill(device.supervisor("web"));
    // A look is enough to find out, and to clean up.
    until("it does not count as running", || (!device.runs(&v1)).then_some(()));
    assert_eq!(processes_with(&mark1).len(), 0);
    assert!(!device.runtime("web").exists());
    ok("switch", device.try_activate(&v1));
    assert_eq!(mains_with(&mark1).len(), 1);
    // And without a look before.
    let (v2, mark2) = marked(&mut device, "2");
    device.prepare(&v2);
    let supervisor = device.supervisor("web");
    kill(supervisor);
    until("it is gone", || (!is_alive(supervisor)).then_some(()));
    ok("switch", device.try_activate(&v2));
    assert_eq!((processes_with(&mark1).len(), mains_with(&mark2).len()), (0, 1));
    assert!(device.runs(&v2) && !device.runs(&v1));
}

#[test]
fn a_killed_runtime_is_a_restart() {
    needs_root!();
    let mut device = Device::new();
    let (release, mark) = marked(&mut device, "1");
    device.start(&release);
    device.hear("web", "up 1\n");
    let main = device.main_process("web");
    let status = std::fs::read_to_string(format!("/proc/{main}/status")).expect("status");
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")).expect("parent");
    kill(parent.trim().parse().expect("a number"));
    until("it is started again", || (device.logs("web").matches("up 1\n").count() == 2).then_some(()));
    assert!(!is_alive(main), "the first container must not go on");
    assert_eq!(mains_with(&mark).len(), 1);
}

#[test]
fn a_switch_that_is_killed_anywhere_can_be_done_again() {
    needs_root!();
    let mut device = Device::new();
    let (v1, mark1) = marked(&mut device, "1");
    let (v2, mark2) = marked(&mut device, "2");
    device.prepare(&v1);
    device.prepare(&v2);
    for round in 0..24_u64 {
        let (wanted, mark, other, other_mark) =
            if round % 2 == 0 { (&v1, &mark1, &v2, &mark2) } else { (&v2, &mark2, &v1, &mark1) };
        // Through the process border a cancel is a SIGKILL of the worker's whole group.
        let (cx, flag) = cancellable();
        std::thread::scope(|scope| {
            let switch =
                scope.spawn(|| device.worker().switch(&wanted.spec.id, &Target::Active(wanted.clone()), &cx));
            std::thread::sleep(Duration::from_millis(round * 9));
            flag.store(true, Ordering::Relaxed);
            let _ = switch.join().expect("a switch");
        });
        if round % 3 == 0 {
            // What a new daemon does first.
            ok("observe", device.worker().observe());
        }
        ok(
            "switch",
            device.worker().switch(&wanted.spec.id, &Target::Active(wanted.clone()), &StepCx::detached()),
        );
        assert!(device.runs(wanted) && !device.runs(other), "round {round}");
        assert_eq!(mains_with(mark).len(), 1, "round {round}");
        assert_eq!(processes_with(other_mark).len(), 0, "round {round}");
    }
}

#[test]
fn a_supervisor_that_is_killed_anywhere_leaves_nothing() {
    needs_root!();
    let mut device = Device::new();
    let (release, mark) = marked(&mut device, "1");
    device.prepare(&release);
    for round in 0..24_u64 {
        std::thread::scope(|scope| {
            let switch = scope.spawn(|| device.try_activate(&release));
            std::thread::sleep(Duration::from_millis(round * 6));
            // All of its processes at once: supervisor, runtime, and what is in between.
            let doomed = device.processes();
            for (pid, _) in &doomed {
                let _ = nix::sys::signal::kill(
                    nix::unistd::Pid::from_raw(*pid),
                    nix::sys::signal::Signal::SIGKILL,
                );
            }
            until("they are gone", || doomed.iter().all(|(pid, _)| !is_alive(*pid)).then_some(()));
            let _ = switch.join().expect("a switch");
        });
        ok("switch", device.try_activate(&release));
        assert!(device.runs(&release), "round {round}");
        assert_eq!(mains_with(&mark).len(), 1, "round {round}");
        device.stop(&release);
        assert_eq!((processes_with(&mark), device.processes()), (vec![], vec![]), "round {round}");
    }
}

#[test]
fn damaged_volatile_files_do_not_matter() {
    needs_root!();
    let mut device = Device::new();
    let (release, mark) = marked(&mut device, "1");
    device.start(&release);
    for name in ["state.json", "plan.json"] {
        std::fs::write(device.runtime("web").join(name), "{").expect("damage");
        ok("observe", device.backend().observe());
        ok("switch", device.try_activate(&release));
        assert_eq!(mains_with(&mark).len(), 1, "{name}");
        assert!(device.runs(&release), "{name}");
    }
    device.stop(&release);
    assert_eq!(processes_with(&mark).len(), 0);
}

#[test]
fn a_release_that_is_half_removed_is_not_staged() {
    needs_root!();
    let mut device = Device::new();
    let (v1, _) = marked(&mut device, "1");
    let (v2, _) = marked(&mut device, "2");
    device.prepare(&v1);
    device.prepare(&v2);
    let releases = device.state_dir().join("containers/releases");
    // What a collect that was killed half-way leaves.
    let hex = v2.id.as_str().replace("sha256:", "");
    std::fs::rename(releases.join(&hex), releases.join(format!(".gone-{hex}"))).expect("rename");
    common::failed(device.try_activate(&v2));
    let cx = StepCx::detached();
    ok("collect", device.backend().collect(std::slice::from_ref(&v1), &cx));
    assert_eq!(std::fs::read_dir(&releases).expect("releases").count(), 1);
    device.start(&v2);
    assert!(device.runs(&v2));
}

#[test]
fn a_supervisor_that_nobody_can_find_ends() {
    needs_root!();
    let mut device = Device::new();
    let release = device.release("web", "1", &["/bin/sh", "-c", "sleep 0.2; exit 1"], RunSpec::default());
    device.start(&release);
    let supervisor = device.supervisor("web");
    std::fs::remove_dir_all(device.runtime("web")).expect("remove");
    until("it ends", || (!is_alive(supervisor)).then_some(()));
    assert_eq!(device.processes(), []);
}
