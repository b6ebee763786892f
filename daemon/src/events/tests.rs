use std::collections::BTreeSet;
use std::process::Command;

use expect_test::{Expect, expect};
use scomo_core::command::{self, Input};
use scomo_core::effect::EffectOk;
use scomo_core::pending::{Task, TaskKey};
use scomo_core::spec::ComponentKind::{Container, Os};

use super::*;
use crate::sample::{Device, release};

const CATALOG: &str = include_str!("../../../packaging/scomo.catalog");
const NO_REBOOT: EffectOk = EffectOk::Switched { reboot_needed: false };
const REBOOT: EffectOk = EffectOk::Switched { reboot_needed: true };

fn view(device: &Device) -> View {
    View {
        revision: 1,
        state: Arc::new(device.state.clone()),
        running: Vec::new(),
        safe_mode: None,
        store_trouble: None,
        started: true,
    }
}

/// What is told of the difference.
#[track_caller]
fn check(old: Option<&View>, new: &View, expect: &Expect) {
    let line = |event: Event| {
        let about = [
            event.job.map(|job| format!("{}@{}", job.user, job.id)),
            event.component.map(|id| id.to_string()),
        ];
        let about: Vec<String> = about.into_iter().flatten().collect();
        let code = event.result_code.map(|code| format!(" {code}")).unwrap_or_default();
        let failure = event.failure.map(|kind| format!(" {}", kind.as_str())).unwrap_or_default();
        format!("{:?} {}{code}{failure}: {}\n", event.kind, about.join(" "), event.text)
    };
    expect.assert_eq(&events(old, new).into_iter().map(line).collect::<String>());
}

/// What is told of what `change` does to the device.
#[track_caller]
fn check_change(device: &mut Device, change: impl FnOnce(&mut Device), expect: &Expect) {
    let old = view(device);
    change(device);
    check(Some(&old), &view(device), expect);
}

fn failure(kind: FailureKind) -> Failure {
    Failure::new(kind, "because\nof this")
}

#[test]
fn a_job_is_told_from_its_start_to_its_end() {
    let mut device = Device::default();
    check_change(
        &mut device,
        |d| d.staged(vec![release("app", Container, "1")]),
        &expect![[r#"
        JobStarted jane@1: job 1 (DownloadInstall p) started for jane
    "#]],
    );
    check_change(&mut device, |d| d.ok(Task::Switch(0), NO_REBOOT), &expect![[""]]);
    check_change(
        &mut device,
        |d| d.ok(Task::Probe(0), EffectOk::Healthy),
        &expect![[r#"
        JobDone jane@1 1200: job 1 (DownloadInstall p) is done: app 1
    "#]],
    );
    let same = view(&device);
    check(Some(&same), &same, &expect![[""]]);
}

#[test]
fn a_job_that_came_and_went_between_two_looks_is_told_whole() {
    check_change(
        &mut Device::default(),
        |d| {
            d.installed(release("app", Container, "1"));
            d.staged(vec![release("app", Container, "2")]);
        },
        &expect![[r#"
            JobStarted jane@1: job 1 (DownloadInstall p) started for jane
            JobDone jane@1 1200: job 1 (DownloadInstall p) is done: app 1
            JobStarted jane@2: job 2 (DownloadInstall p) started for jane
        "#]],
    );
}

#[test]
fn a_failed_job_is_not_one_that_was_reversed() {
    let mut device = Device::default();
    device.command(command::Command::FetchFrom {
        id: scomo_core::id::PackageId::new("p").unwrap(),
        source: "docker://r.example/p:1".to_owned(),
        then: command::Then::Install,
    });
    check_change(
        &mut device,
        |d| d.outcome(Task::Resolve, Err(failure(FailureKind::Untrusted))),
        &expect![[r#"
            JobFailed jane@1 1407 untrusted: job 1 (DownloadInstall p) failed: because of this
        "#]],
    );
    device.staged(vec![release("app", Container, "1")]);
    device.ok(Task::Switch(0), NO_REBOOT);
    check_change(
        &mut device,
        |d| d.outcome(Task::Probe(0), Err(failure(FailureKind::Unhealthy))),
        &expect![[""]],
    );
    check_change(
        &mut device,
        |d| d.ok(Task::Revert(0), NO_REBOOT),
        &expect![[r#"
        RolledBack jane@2 1450 unhealthy: job 2 (DownloadInstall p) failed and was reversed: because of this
    "#]],
    );
    device.staged(vec![release("app", Container, "2")]);
    device.ok(Task::Switch(0), NO_REBOOT);
    let job = JobId(device.state.last_job);
    check_change(&mut device, |d| d.command(command::Command::Cancel { job }), &expect![[""]]);
    check_change(
        &mut device,
        |d| d.ok(Task::Revert(0), NO_REBOOT),
        &expect![[r#"
        JobCancelled jane@3 1401 cancelled: job 3 (DownloadInstall p) was cancelled
    "#]],
    );
    // Reversing is tried five times.
    device.staged(vec![release("app", Container, "3")]);
    device.ok(Task::Switch(0), NO_REBOOT);
    let job = device.state.job.as_mut().unwrap();
    job.reverting = Some(failure(FailureKind::Unhealthy));
    (job.step, job.run) = (Step::Revert(0), scomo_core::state::Run::Attempt(5));
    let broken = |d: &mut Device| {
        let task = TaskKey { job: Some(JobId(d.state.last_job)), task: Task::Revert(0), attempt: 5 };
        d.input(&Input::Outcome { task, result: Err(failure(FailureKind::Broken)) });
    };
    check_change(
        &mut device,
        broken,
        &expect![[r#"
        RollBackFailed jane@4 1452 broken: job 4 (DownloadInstall p) failed and could not be reversed: because of this
    "#]],
    );
}

#[test]
fn an_os_that_does_not_boot_is_told() {
    let mut device = Device::default();
    device.started("b0", Os, &[]);
    device.staged(vec![release("os", Os, "1")]);
    check_change(
        &mut device,
        |d| d.ok(Task::Switch(0), REBOOT),
        &expect![[r#"
        RebootNeeded jane@1: job 1 (DownloadInstall p) goes on after a reboot
    "#]],
    );
    check_change(
        &mut device,
        |d| d.started("b1", Os, &[]),
        &expect![[r#"
        OsFellBack jane@1 boot-failed: job 1 (DownloadInstall p) is reversed: the new OS did not boot
    "#]],
    );
}

#[test]
fn an_active_os_that_is_not_booted_is_told() {
    let mut device = Device::default();
    device.installed(release("os", Os, "1"));
    check_change(
        &mut device,
        |d| d.started("b1", Os, &[release("os", Os, "0")]),
        &expect![[r#"
        OsFellBack os boot-failed: component 'os' is not as it should be: another OS is booted
    "#]],
    );
}

#[test]
fn a_component_that_is_set_right_or_not_is_told() {
    let mut device = Device::default();
    device.installed(release("app", Container, "1"));
    device.started("b1", Container, &[]);
    let restore = || Task::Restore(ComponentId::new("app").unwrap());
    check_change(
        &mut device,
        |d| d.ok(restore(), NO_REBOOT),
        &expect![[r#"
        ComponentRestored app: component 'app' was not as it should be and was set right
    "#]],
    );
    device.started("b2", Container, &[]);
    check_change(
        &mut device,
        |d| d.outcome(restore(), Err(failure(FailureKind::Broken))),
        &expect![[r#"
        ComponentTrouble app broken: component 'app' is not as it should be: because of this
    "#]],
    );
    // That it runs when the daemon starts anew is nobody's repair.
    device.started("b3", Container, &[]);
    let old = View { started: false, ..view(&device) };
    device.started("b4", Container, &[release("app", Container, "1")]);
    check(Some(&old), &view(&device), &expect![[""]]);
}

#[test]
fn trouble_with_the_store_is_told_once_and_from_the_first_look_on() {
    let well = view(&Device::default());
    let trouble = View { store_trouble: Some("the disk is full".to_owned()), ..well.clone() };
    let worse = View { store_trouble: Some("the disk is still full".to_owned()), ..well.clone() };
    let safe = View { safe_mode: Some("damaged".to_owned()), ..well.clone() };
    check(None, &well, &expect![[""]]);
    check(
        None,
        &safe,
        &expect![[r#"
        SafeMode : safe mode, nothing is changed any more: damaged
    "#]],
    );
    check(Some(&safe), &safe, &expect![[""]]);
    check(
        Some(&well),
        &trouble,
        &expect![[r#"
        StoreTrouble : what happens cannot be stored, trying again: the disk is full
    "#]],
    );
    check(Some(&trouble), &worse, &expect![[""]]);
    check(
        Some(&worse),
        &well,
        &expect![[r#"
        StoreRecovered : what happens can be stored again
    "#]],
    );
    check(
        Some(&worse),
        &safe,
        &expect![[r#"
        SafeMode : safe mode, nothing is changed any more: damaged
    "#]],
    );
}

/// The entries of the catalogue: id, head and body.
fn catalog() -> Vec<(&'static str, &'static str, &'static str)> {
    let entries = CATALOG.split("\n-- ").skip(1);
    entries
        .map(|entry| {
            let (id, rest) = entry.split_once('\n').unwrap();
            let (head, body) = rest.split_once("\n\n").unwrap();
            (id, head, body)
        })
        .collect()
}

#[test]
fn the_catalogue_explains_every_kind_and_no_other() {
    let ids: Vec<&str> = catalog().iter().map(|(id, ..)| *id).collect();
    assert_eq!(ids, Kind::ALL.iter().map(|kind| kind.message_id()).collect::<Vec<_>>());
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
    for (id, head, body) in catalog() {
        assert!(id.len() == 32 && id.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f')), "{id}");
        let keys: Vec<&str> = head.lines().map(|line| line.split_once(": ").unwrap().0).collect();
        assert_eq!(keys, ["Subject", "Defined-By", "Documentation"], "{id}");
        assert!(body.contains("What to do: "), "{id}");
    }
}

#[test]
fn the_catalogue_names_only_fields_that_are_sent() {
    let sent = include_str!("../events.rs");
    for part in CATALOG.split('@').skip(1).step_by(2) {
        assert!(sent.contains(&format!("{} = $event", part.to_lowercase())), "{part}");
    }
}

#[test]
fn systemd_takes_the_catalogue() {
    let root = tempfile::tempdir().unwrap();
    for folder in ["usr/lib/systemd/catalog", "var/lib/systemd/catalog"] {
        std::fs::create_dir_all(root.path().join(folder)).unwrap();
    }
    std::fs::write(root.path().join("usr/lib/systemd/catalog/scomo.catalog"), CATALOG).unwrap();
    let journalctl = |option: &str| {
        let mut command = Command::new("journalctl");
        command.arg(format!("--root={}", root.path().display())).arg(option).output()
    };
    // Not every machine that builds this has systemd.
    let Ok(updated) = journalctl("--update-catalog") else { return };
    assert!(updated.status.success() && updated.stderr.is_empty(), "{updated:?}");
    let listed = String::from_utf8(journalctl("--list-catalog").unwrap().stdout).unwrap();
    for kind in Kind::ALL {
        assert!(listed.contains(&format!("{} scomo: ", kind.message_id())), "{kind:?}: {listed}");
    }
}
