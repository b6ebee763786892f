//! Containers as transient units, under a real systemd.
//!
//! Where systemd does not run, one is booted in namespaces of its own, over a copy of the root file system that is
//! thrown away, and the test runs itself again in there.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::{Device, IDLE, PATIENCE, failed, is_alive, kill, mains_with, ok, until};
use scomo_core::failure::FailureKind;
use scomo_core::spec::{HealthCheck, Resources, Restart, RunSpec};
use scomo_engine::backend::{Backend, StepCx};
use serde_json::json;

/// Set where the test runs itself in the booted systemd.
const INSIDE: &str = "SCOMO_TEST_IN_SYSTEMD";
const SYSTEMD: &str = "/lib/systemd/systemd";

/// Boots systemd with nothing but a journal and a bus; its root is a scratch layer over the host's.
const BOOT: &str = r#"
set -e
dir=$1
mount --make-rprivate /
mount -t tmpfs -o mode=755 scratch "$dir"
mkdir "$dir/upper" "$dir/work" "$dir/root"
mount -t overlay -o "lowerdir=/,upperdir=$dir/upper,workdir=$dir/work" root "$dir/root"
cd "$dir/root"
mount -t proc proc proc
mount --rbind /sys sys
mount --rbind /dev dev
mount -t tmpfs -o mode=755 run run
mkdir -p run/old run/tmp
rm -rf etc/systemd/system
mkdir -p etc/systemd/system
printf '[Unit]\nRequires=dbus.socket systemd-journald.service\n' > etc/systemd/system/scomo-test.target
for unit in systemd-tmpfiles-setup systemd-tmpfiles-clean systemd-logind systemd-udevd systemd-sysctl; do
    ln -s /dev/null "etc/systemd/system/$unit.service"
done
pivot_root . run/old
exec env -i PATH="$PATH" container=scomo-test "$2" --system --unit=scomo-test.target --log-target=null
"#;

/// A systemd in namespaces of its own; ends with all that runs in it.
struct Booted {
    child: Child,
    _folder: tempfile::TempDir,
    before: Vec<String>,
}

impl Booted {
    fn boot() -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let before = groups();
        let child = Command::new("unshare")
            .args(["--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child", "sh", "-c", BOOT, "boot"])
            .arg(folder.path())
            .arg(SYSTEMD)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("unshare");
        let booted = Self { child, _folder: folder, before };
        until("systemd runs", || {
            let state = booted.enter().args(["systemctl", "is-system-running"]).output().ok()?;
            let state = String::from_utf8_lossy(&state.stdout).trim().to_owned();
            matches!(state.as_str(), "running" | "degraded").then_some(())
        });
        booted
    }

    /// A command that enters it.
    fn enter(&self) -> Command {
        let children = format!("/proc/{0}/task/{0}/children", self.child.id());
        let first = fs::read_to_string(children).unwrap_or_default();
        let mut command = Command::new("nsenter");
        command.arg(format!("--target={}", first.trim()));
        command.args(["--mount", "--pid", "--ipc", "--uts", "--", "env", "TMPDIR=/run/tmp"]);
        command
    }
}

impl Drop for Booted {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // It made control groups of its own in the host's hierarchies; they can be removed when the last of its
        // processes is gone.
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left: Vec<String> =
                groups().into_iter().filter(|group| !self.before.contains(group)).collect();
            if left.is_empty() || Instant::now() > deadline {
                break;
            }
            left.iter().rev().for_each(|group| drop(fs::remove_dir(group)));
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// The control groups that a systemd makes.
fn groups() -> Vec<String> {
    let mut found = Vec::new();
    for hierarchy in fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten() {
        for name in ["init.scope", "system.slice", "user.slice", "dev-hugepages.mount", "dev-mqueue.mount"] {
            let group = hierarchy.path().join(name);
            if group.is_dir() {
                found.push(group.to_string_lossy().into_owned());
                let below = common::listing(&group).into_iter().map(|below| group.join(below));
                found.extend(below.filter(|p| p.is_dir()).map(|p| p.to_string_lossy().into_owned()));
            }
        }
    }
    found
}

#[test]
fn containers_are_units_where_systemd_runs() {
    needs_root!();
    if std::env::var_os(INSIDE).is_some() || Path::new("/run/systemd/system").is_dir() {
        return on_systemd();
    }
    if !Path::new(SYSTEMD).exists() {
        eprintln!("SKIPPED: needs systemd: containers_are_units_where_systemd_runs");
        return;
    }
    let booted = Booted::boot();
    let inside = booted
        .enter()
        .arg(format!("{INSIDE}=1"))
        .arg(std::env::current_exe().expect("this test"))
        .args(["--exact", "containers_are_units_where_systemd_runs", "--nocapture"])
        .output()
        .expect("nsenter");
    let said =
        format!("{}{}", String::from_utf8_lossy(&inside.stdout), String::from_utf8_lossy(&inside.stderr));
    assert!(inside.status.success() && said.contains("all of it was seen"), "{said}");
}

fn on_systemd() {
    starting_stopping_updating();
    failing_to_start();
    policies();
    limits();
    killing();
    println!("all of it was seen");
}

fn device() -> Device {
    // What it finds out by itself.
    Device::with(&json!({"supervisor": "auto"}))
}

fn property(unit: &str, name: &str) -> String {
    let output = Command::new("systemctl")
        .args(["show", "--value", &format!("--property={name}"), unit])
        .output()
        .expect("systemctl");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// The one unit of a device, or none.
fn units(device: &Device) -> Vec<String> {
    let output = Command::new("systemctl")
        .args(["list-units", "--all", "--plain", "--no-legend", "scomo-*.service"])
        .output()
        .expect("systemctl");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let units = text.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned);
    let own = device.folder.path().to_string_lossy().into_owned();
    units.filter(|unit| property(unit, "ExecStart").contains(&own)).collect()
}

fn starting_stopping_updating() {
    eprintln!("starting, stopping, updating");
    let mut device = device();
    let (v1, v2) = (device.idle("web/ä", "1"), device.idle("web/ä", "2"));
    device.start(&v1);
    device.hear("web/ä", "up 1\n");
    assert!(device.runs(&v1));
    let unit = units(&device).pop().expect("a unit");
    assert_eq!(property(&unit, "ActiveState"), "active");
    ok("switch again", device.try_activate(&v1));
    assert_eq!(property(&unit, "NRestarts"), "0");
    device.start(&v2);
    device.hear("web/ä", "up 2\n");
    assert!(device.runs(&v2) && !device.runs(&v1));
    device.stop(&v2);
    assert!(!device.runs(&v2));
    assert_eq!(units(&device), Vec::<String>::new());
    let health = HealthCheck {
        command: ["/bin/sh", "-c", "grep -q 'Seccomp:.2' /proc/self/status"].map(str::to_owned).to_vec(),
        window_s: 1,
        ..HealthCheck::default()
    };
    let watched = device.watched(IDLE, health);
    device.start(&watched);
    ok("probe", device.backend().probe(&watched, &StepCx::detached()));
}

fn failing_to_start() {
    eprintln!("failing to start");
    let mut device = device();
    let release = device.release("web", "1", &["/bin/nothing-here"], RunSpec::default());
    device.prepare(&release);
    let (kind, words) = failed(device.try_activate(&release));
    assert_eq!(kind, FailureKind::Invalid, "{words}");
    assert!(words.contains("nothing-here"), "{words}");
    assert!(!device.runs(&release));
    assert_eq!(units(&device), Vec::<String>::new());
    let release = device.watched("echo bad; sleep 0.3; exit 3", HealthCheck::default());
    device.start(&release);
    let (kind, words) = failed(device.backend().probe(&release, &StepCx::detached()));
    assert_eq!(kind, FailureKind::Unhealthy, "{words}");
    assert!(words.contains("status 3"), "{words}");
}

fn policies() {
    eprintln!("restart policies");
    let mut device = device();
    let run = RunSpec { restart: Restart::Never, ..RunSpec::default() };
    let release = device.script("job", "echo life; exit 1", run);
    device.start(&release);
    until("it ended", || (device.state("job")?["phase"] == "ended").then_some(()));
    let unit = units(&device).pop();
    until("systemd knows", || {
        unit.as_ref().is_none_or(|u| property(u, "ActiveState") == "failed").then_some(())
    });
    assert!(device.runs(&release), "it is in its wanted state");
    ok("switch again", device.try_activate(&release));
    assert_eq!(device.logs("job").lines().filter(|line| *line == "life").count(), 1);
    device.stop(&release);
    let always = device.script("job", "echo again; exit 0", RunSpec::default());
    device.start(&always);
    until("it is started again", || (device.logs("job").matches("again\n").count() > 1).then_some(()));
    device.stop(&always);
    assert!(!device.runs(&always));
}

fn limits() {
    eprintln!("limits");
    let mut device = device();
    let resources = Resources { memory_bytes: 64 << 20, pids: 20, cpu_percent: 20 };
    let script = "for i in $(seq 40); do sleep 5 & done 2>&1; wait";
    let release = device.script("limited", script, RunSpec { resources, ..RunSpec::default() });
    device.start(&release);
    device.hear("limited", "can't fork");
    let unit = units(&device).pop().expect("a unit");
    assert_eq!(property(&unit, "MemoryMax"), (64 << 20).to_string());
    assert_eq!(property(&unit, "CPUQuotaPerSecUSec"), "200ms");
}

fn killing() {
    eprintln!("killing the main process of the unit");
    let mut device = device();
    let marker = format!("mark-{}", std::process::id());
    let release = device.script("web", &format!(": {marker}; echo up; {IDLE}"), RunSpec::default());
    device.start(&release);
    device.hear("web", "up\n");
    let first = mains_with(&marker);
    assert_eq!(first.len(), 1);
    let unit = units(&device).pop().expect("a unit");
    kill(property(&unit, "MainPID").parse().expect("a number"));
    until("it is started again", || (device.logs("web").matches("up\n").count() == 2).then_some(()));
    assert!(!is_alive(first[0]), "the first container must be gone");
    assert_eq!(mains_with(&marker).len(), 1);
    assert!(device.runs(&release));
}
