//! Deploying, switching, and what is left alone.

use std::fs;

use scomo_core::effect::Target;
use scomo_core::failure::FailureKind;
use scomo_core::id::ReleaseId;
use scomo_core::spec::{HealthCheck, Release};
use scomo_engine::backend::StepCx;
use serde_json::json;

use crate::common::{Device, OS_NAME, Repository, fails, ok, run, skip};

fn device(versions: &[&str]) -> (Repository, Device, Vec<String>) {
    let repository = Repository::new();
    let device = Device::new(&repository);
    let commits = versions.iter().map(|version| repository.commit(version, &[])).collect();
    (repository, device, commits)
}

fn source(repository: &Repository, version: &str) -> String {
    repository.local(&Repository::branch(version))
}

#[test]
fn kernel_arguments_and_etc_come_from_the_current_deployment() {
    if skip("kernel_arguments_and_etc_come_from_the_current_deployment") {
        return;
    }
    let (repository, mut device, commits) = device(&["1", "2"]);
    device.os["kernel_args"] = json!(["only.for.the.first"]);
    fs::write(device.file(&device.base, "etc/demo.conf"), "from = this device\n").expect("write");
    fs::write(device.file(&device.base, "etc/added.conf"), "added\n").expect("write");
    let before = device.entries();
    let v1 = device.resolve(&source(&repository, "1"));
    device.fetch(&v1);
    device.stage(&v1);
    // Not the default, and the old one is untouched.
    assert_eq!(device.deployed(), [device.base.clone(), commits[0].clone()]);
    let entries = device.entries();
    assert_eq!(entries.len(), 2);
    assert!(entries[0].contains("Demo 0") && entries[1].contains("Demo 1"), "{entries:?}");
    let options = |entry: &str| -> Vec<String> {
        let line = entry.lines().find_map(|line| line.strip_prefix("options ")).expect("options");
        line.split(' ').map(str::to_owned).filter(|arg| !arg.starts_with("ostree=")).collect()
    };
    assert_eq!(options(&entries[1]), ["rw", "root=LABEL=demo"]);
    assert_eq!(options(&entries[0]), options(&before[0]));
    assert_eq!(entries[1].matches("ostree=/ostree/boot.").count(), 1, "{}", entries[1]);
    assert!(entries[1].contains("linux /") && entries[1].contains("initrd /"), "{}", entries[1]);
    let text = |commit: &str, file: &str| fs::read_to_string(device.file(commit, file)).expect("read");
    assert_eq!(text(&commits[0], "etc/demo.conf"), "from = this device\n");
    assert_eq!(text(&commits[0], "etc/added.conf"), "added\n");
    assert_eq!(text(&commits[0], "etc/version.conf"), "version = 1\n");

    // What is booted counts, not what is the default: changes made there come along.
    assert!(device.activate(&v1));
    device.reboot();
    fs::write(device.file(&commits[0], "etc/later.conf"), "later\n").expect("write");
    device.confirm(&v1);
    device.install(&source(&repository, "2"));
    assert_eq!(text(&commits[1], "etc/later.conf"), "later\n");
    assert_eq!(text(&commits[1], "etc/demo.conf"), "from = this device\n");
    assert_eq!(options(&device.entries()[0]), ["rw", "root=LABEL=demo"]);
    assert_eq!(device.deployed(), [commits[1].clone(), commits[0].clone(), device.base.clone()]);
}

#[test]
fn the_first_deployment_takes_its_arguments_from_the_configuration() {
    if skip("the_first_deployment_takes_its_arguments_from_the_configuration") {
        return;
    }
    let (repository, mut device, commits) = device(&["1"]);
    run("ostree", &["admin", "undeploy", &format!("--sysroot={}", device.sysroot().display()), "0"]);
    device.os["kernel_args"] = json!(["root=LABEL=first", "quiet"]);
    device.install(&source(&repository, "1"));
    assert_eq!(device.deployed(), commits);
    assert!(device.entries()[0].contains("options root=LABEL=first quiet ostree="), "{:?}", device.entries());
}

#[test]
fn staging_twice_deploys_once() {
    if skip("staging_twice_deploys_once") {
        return;
    }
    let (repository, device, commits) = device(&["1"]);
    let v1 = device.resolve(&source(&repository, "1"));
    device.fetch(&v1);
    device.stage(&v1);
    let stored = device.stored();
    device.stage(&v1);
    assert_eq!(device.stored(), stored);
    assert_eq!(device.deployed(), [device.base.clone(), commits[0].clone()]);
}

#[test]
fn what_the_device_came_with_is_adopted_and_never_removed() {
    if skip("what_the_device_came_with_is_adopted_and_never_removed") {
        return;
    }
    let (repository, device, commits) = device(&["1"]);
    let v0 = device.install(&source(&repository, "0"));
    assert_eq!(device.deployed(), std::slice::from_ref(&device.base));
    assert_eq!(device.running(), Some(v0.id.clone()));
    let v1 = device.install(&source(&repository, "1"));
    device.collect(&[&v1]);
    assert_eq!(device.deployed(), [commits[0].clone(), device.base.clone()]);
    device.fsck();
}

#[test]
fn two_releases_of_one_commit_share_a_deployment() {
    if skip("two_releases_of_one_commit_share_a_deployment") {
        return;
    }
    let (repository, device, commits) = device(&["1", "2"]);
    let first = device.install(&source(&repository, "1"));
    let mut second = first.clone();
    second.spec.health = Some(HealthCheck { window_s: 0, ..HealthCheck::default() });
    second.id = ReleaseId::of(&second.spec).expect("id");
    assert_ne!(first.id, second.id);
    let progress = device.fetch_watched(&second);
    assert_eq!(progress.last().expect("progress").bytes_done, 0, "nothing had to be moved");
    assert_eq!(device.running(), Some(first.id.clone()), "fetching is not running");
    device.stage(&second);
    assert!(!device.activate(&second), "the same commit is booted already");
    assert_eq!(device.running(), Some(second.id.clone()));
    device.confirm(&second);
    device.collect(&[&second]);
    assert_eq!(device.deployed(), [commits[0].clone(), device.base.clone()]);
    assert_eq!(device.running(), Some(second.id.clone()));
    // And back, after the other one was forgotten.
    device.fetch(&first);
    device.stage(&first);
    assert!(!device.activate(&first));
    assert_eq!(device.running(), Some(first.id.clone()));
    // After a fallback it is the one that was switched to last.
    let v2 = device.install(&source(&repository, "2"));
    assert!(device.activate(&first));
    device.reboot();
    assert_eq!(device.running(), Some(first.id));
    assert_ne!(device.running(), Some(v2.id));
}

#[test]
fn absent_leaves_what_is_booted_by_a_reboot_only() {
    if skip("absent_leaves_what_is_booted_by_a_reboot_only") {
        return;
    }
    let (repository, device, commits) = device(&["1", "2"]);
    let v1 = device.install(&source(&repository, "1"));
    let v2 = device.resolve(&source(&repository, "2"));
    device.fetch(&v2);
    device.stage(&v2);
    for _ in 0..2 {
        assert!(ok(device.try_switch(&v1, &Target::Absent)), "the booted OS goes by a reboot");
        assert_eq!(device.deployed(), [device.base.clone(), commits[0].clone()]);
        assert_eq!(device.running(), Some(v1.id.clone()));
    }
    assert_eq!(device.reboot(), None, "what the device came with boots again");
    for _ in 0..2 {
        assert!(!ok(device.try_switch(&v1, &Target::Absent)));
        assert_eq!(device.deployed(), std::slice::from_ref(&device.base));
    }
    fails(FailureKind::NotFound, device.try_switch(&v1, &Target::Active(v1.clone())));
    device.collect(&[]);
    device.fsck();
    device.install(&source(&repository, "1"));
}

#[test]
fn inactive_stays_deployed_and_does_not_boot() {
    if skip("inactive_stays_deployed_and_does_not_boot") {
        return;
    }
    let (repository, device, commits) = device(&["1"]);
    let v1 = device.resolve(&source(&repository, "1"));
    fails(FailureKind::NotFound, device.try_switch(&v1, &Target::Inactive(v1.clone())));
    device.fetch(&v1);
    fails(FailureKind::NotFound, device.try_switch(&v1, &Target::Inactive(v1.clone())));
    device.stage(&v1);
    assert!(!ok(device.try_switch(&v1, &Target::Inactive(v1.clone()))));
    assert_eq!(device.deployed(), [device.base.clone(), commits[0].clone()]);
    // Activated and taken back before the reboot.
    assert!(device.activate(&v1));
    assert!(!ok(device.try_switch(&v1, &Target::Inactive(v1.clone()))));
    assert_eq!(device.deployed(), [device.base.clone(), commits[0].clone()]);
    assert_eq!(device.reboot(), None);
    // And after the reboot.
    assert!(device.activate(&v1));
    assert_eq!(device.reboot(), Some(v1.id.clone()));
    assert!(ok(device.try_switch(&v1, &Target::Inactive(v1.clone()))));
    assert_eq!(device.reboot(), None);
    assert_eq!(device.deployed(), [device.base.clone(), commits[0].clone()]);
}

#[test]
fn the_only_os_cannot_be_taken_away() {
    if skip("the_only_os_cannot_be_taken_away") {
        return;
    }
    let (repository, device, commits) = device(&["1"]);
    let v1 = device.install(&source(&repository, "1"));
    run("ostree", &["admin", "undeploy", &format!("--sysroot={}", device.sysroot().display()), "1"]);
    assert_eq!(device.deployed(), commits);
    for target in [Target::Absent, Target::Inactive(v1.clone())] {
        let text = fails(FailureKind::Unsupported, device.try_switch(&v1, &target));
        assert!(text.contains("activate another OS first"), "{text}");
    }
    device.collect(&[]);
    assert_eq!(device.deployed(), commits, "the booted OS stays");
    assert_eq!(device.running(), Some(v1.id));
}

#[test]
fn an_os_that_does_not_come_up_is_left_after_its_tries() {
    if skip("an_os_that_does_not_come_up_is_left_after_its_tries") {
        return;
    }
    let (repository, device, commits) = device(&["1", "2"]);
    let v1 = device.install(&source(&repository, "1"));
    let v2 = device.resolve(&source(&repository, "2"));
    device.fetch(&v2);
    device.stage(&v2);
    let unbootable = commits[1].clone();
    device.loader().update(|loader| loader.unbootable.extend([unbootable])).expect("loader");
    assert!(device.activate(&v2));
    assert_eq!(device.reboot(), Some(v1.id.clone()));
    let text = fails(FailureKind::BootFailed, device.open().probe(&v2, &StepCx::detached()));
    assert!(text.contains("os 2 is not booted"), "{text}");
    assert_eq!(device.running(), Some(v1.id.clone()));
    for _ in 0..2 {
        assert!(!device.activate(&v1), "going back needs no reboot");
    }
    assert_eq!(device.loader().loader().expect("loader").trial, None);
    assert_eq!(device.deployed(), [commits[0].clone(), commits[1].clone(), device.base.clone()]);
    device.collect(&[&v1]);
    assert_eq!(device.deployed(), [commits[0].clone(), device.base.clone()]);
}

#[test]
fn health_is_what_the_release_says() {
    if skip("health_is_what_the_release_says") {
        return;
    }
    let (repository, device, _) = device(&["1"]);
    let with = |release: &Release, script: &str| {
        let command = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
        let mut release = release.clone();
        release.spec.health =
            Some(HealthCheck { command, window_s: 0, retries: 0, ..HealthCheck::default() });
        release
    };
    let v1 = device.install(&source(&repository, "1"));
    ok(device.open().probe(&with(&v1, "true"), &StepCx::detached()));
    fails(FailureKind::Unhealthy, device.open().probe(&with(&v1, "false"), &StepCx::detached()));
    let text = fails(FailureKind::Unsupported, device.open().logs(&v1.spec.id, 5));
    assert!(text.contains("journalctl"), "{text}");
}

#[test]
fn a_damaged_state_file_is_an_error_and_not_an_absent_release() {
    if skip("a_damaged_state_file_is_an_error_and_not_an_absent_release") {
        return;
    }
    let (repository, device, _) = device(&["1", "2"]);
    let v1 = device.install(&source(&repository, "1"));
    let file = device.state().join("os/releases").join(format!("{}.json", &v1.id.as_str()[7..]));
    let good = fs::read(&file).expect("state file");
    let deployed = device.deployed();
    for damage in [&b""[..], b"{}", &good[..good.len() / 2], b"\0\0\0"] {
        fs::write(&file, damage).expect("write");
        let names_it = |text: String| assert!(text.contains(file.to_str().expect("path")), "{text}");
        names_it(fails(FailureKind::Broken, device.open().observe()));
        names_it(fails(FailureKind::Broken, device.try_fetch(&v1)));
        names_it(fails(FailureKind::Broken, device.try_switch(&v1, &Target::Active(v1.clone()))));
        names_it(fails(FailureKind::Broken, device.try_switch(&v1, &Target::Absent)));
        names_it(fails(FailureKind::Broken, device.open().collect(&[], &StepCx::detached())));
        assert_eq!(device.deployed(), deployed);
        assert!(file.exists());
    }
    fs::write(&file, &good).expect("write");
    assert_eq!(device.running(), Some(v1.id.clone()));
    fs::write(device.state().join("os/boot.json"), "{").expect("write");
    fails(FailureKind::Broken, device.open().observe());
    fails(FailureKind::Broken, device.open().collect(&[], &StepCx::detached()));
    assert_eq!(device.deployed(), deployed);
}

#[test]
fn a_wrong_set_up_says_what_to_do() {
    if skip("a_wrong_set_up_says_what_to_do") {
        return;
    }
    let (repository, mut device, _) = device(&["1"]);
    let v1 = device.resolve(&source(&repository, "1"));
    device.fetch(&v1);
    for boot in ["u-boot", "grub", "systemd-boot"] {
        device.os["boot"] = json!(boot);
        let text = fails(FailureKind::Unsupported, device.open().observe());
        assert!(text.contains(boot) && text.contains("auto"), "{text}");
        fails(FailureKind::Unsupported, device.try_switch(&v1, &Target::Active(v1.clone())));
    }
    device.os["boot"] = json!("auto");
    device.os["stateroot"] = json!("other");
    let text = fails(FailureKind::Broken, device.open().stage(&v1, &StepCx::detached()));
    assert!(text.contains("os-init other"), "{text}");
    let option = format!("--sysroot={}", device.sysroot().display());
    run("ostree", &["admin", "os-init", "other", &option]);
    device.stage(&v1);
    assert!(device.sysroot().join("ostree/deploy/other/deploy").read_dir().expect("dir").next().is_some());
    device.os["sysroot"] = json!("/nonexistent");
    let text = fails(FailureKind::Broken, device.try_fetch(&v1));
    assert!(text.contains("init-fs"), "{text}");
    // Through the process border a wrong section is a clear failure too.
    device.in_process = false;
    device.os["sysrot"] = json!("/");
    let text = fails(FailureKind::Broken, device.open().observe());
    assert!(text.contains("'os.sysrot'"), "{text}");
}

#[test]
fn several_stateroots_need_a_name() {
    if skip("several_stateroots_need_a_name") {
        return;
    }
    let (repository, device, _) = device(&["1"]);
    let option = format!("--sysroot={}", device.sysroot().display());
    run("ostree", &["admin", "os-init", "other", &option]);
    let v1 = device.resolve(&source(&repository, "1"));
    device.fetch(&v1);
    device.stage(&v1);
    let demo = device.sysroot().join("ostree/deploy").join(OS_NAME).join("deploy");
    assert_eq!(
        demo.read_dir().expect("dir").filter(|e| e.as_ref().expect("entry").path().is_dir()).count(),
        2
    );
    for index in ["1", "0"] {
        run("ostree", &["admin", "undeploy", &option, index]);
    }
    let text = fails(FailureKind::Broken, device.open().stage(&v1, &StepCx::detached()));
    assert!(text.contains("several stateroots"), "{text}");
}
