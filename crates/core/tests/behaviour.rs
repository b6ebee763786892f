//! The machine's behaviour, one story a test, in the small world of `common`.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{Life, World, command, component, install_from, package, release};
use scomo_core::command::{Command, PackageLeaves, Rejection, Terms, Then};
use scomo_core::failure::{FailureKind, ResultCode};
use scomo_core::id::{JobId, RequestId};
use scomo_core::state::Step;
use scomo_core::status::{ComponentStatus, DeliveredState, DeliveredStatus, DownloadStatus};

fn shop() -> Life {
    let mut world = World::default();
    world.offer("v1", &[("db", "1"), ("web", "1")]);
    world.offer("v2", &[("db", "2"), ("web", "2")]);
    world.offer("v3", &[("db", "3"), ("web", "3")]);
    world.offer("os1", &[("os", "1")]);
    world.offer("os2", &[("web", "2"), ("os", "2")]);
    world.offer("other-os", &[("os-b", "1")]);
    Life::new(world)
}

fn install(life: &mut Life, id: &str) -> ResultCode {
    life.command(install_from(id, Then::Install)).unwrap();
    life.settle();
    life.last().code
}

/// Proves SCOMO-C-001-M, SCOMO-C-009-M, SCOMO-C-014-M, SCOMO-C-016-M, SCOMO-C-019-O, SCOMO-C-033-M, SCOMO-C-039-M.
#[test]
fn a_package_is_installed_and_updated() {
    let mut life = shop();
    assert_eq!(install(&mut life, "v1"), ResultCode::SUCCESS);
    assert_eq!(life.deployed(), ["db@1!", "web@1!"]);
    assert_eq!(install(&mut life, "v2"), ResultCode::SUCCESS);
    assert_eq!(life.deployed(), ["db@2!", "web@2!"]);
    assert!(life.state.downloads.is_empty());
    assert_eq!(life.state.delivered[&package("v2")].state, DeliveredState::Installed);
    assert_eq!(life.state.delivered[&package("v1")].state, DeliveredState::Delivered, "kept for roll back");
    assert_eq!(install(&mut life, "v3"), ResultCode::SUCCESS);
    assert!(!life.state.delivered.contains_key(&package("v1")), "nothing can roll back to it any more");
    assert!(!life.world.stored.contains(&release("db", "1").id), "and its data is collected");
    assert!(life.world.stored.contains(&release("db", "2").id));
    life.check_settled();
}

#[test]
fn the_same_package_again_changes_nothing() {
    let mut life = shop();
    install(&mut life, "v1");
    assert_eq!(install(&mut life, "v1"), ResultCode::ALREADY_SO);
    assert_eq!(life.deployed(), ["db@1!", "web@1!"]);
}

/// Proves SCOMO-C-031-M, SCOMO-C-032-M.
#[test]
fn one_sick_component_brings_all_back() {
    let mut life = shop();
    install(&mut life, "v2");
    life.world.sick.insert(release("web", "3").id);
    assert_eq!(install(&mut life, "v3"), ResultCode::ROLLED_BACK_UNHEALTHY);
    assert_eq!(life.deployed(), ["db@2!", "web@2!"]);
    let package = &life.state.delivered[&package("v3")];
    assert_eq!((package.state, package.status), (DeliveredState::Delivered, DeliveredStatus::InstallFailed));
    life.check_settled();
}

#[test]
fn roll_back_goes_back_and_forth() {
    let mut life = shop();
    assert_eq!(life.command(Command::Rollback), Err(Rejection::NothingToRollBack));
    install(&mut life, "v1");
    install(&mut life, "v2");
    for expected in [["db@1!", "web@1!"], ["db@2!", "web@2!"]] {
        life.command(Command::Rollback).unwrap();
        life.settle();
        assert_eq!(life.last().code, ResultCode::SUCCESS);
        assert_eq!(life.deployed(), expected);
        life.check_settled();
    }
}

#[test]
fn roll_back_of_the_first_install_removes_it() {
    let mut life = shop();
    install(&mut life, "v1");
    life.command(Command::Rollback).unwrap();
    life.settle();
    assert!(life.deployed().is_empty());
    life.check_settled();
}

/// Proves SCOMO-C-012-O.
#[test]
fn status_leaves_follow_the_job() {
    let mut life = shop();
    life.command(install_from("v1", Then::Install)).unwrap();
    let mut seen = Vec::new();
    loop {
        if let Some(download) = life.state.downloads.get(&package("v1")) {
            seen.push(download.status);
        }
        if !life.step() {
            break;
        }
    }
    seen.dedup();
    use DownloadStatus::{Downloaded, Downloading, Installing};
    assert_eq!(seen, [Downloading, Downloaded, Installing]);
    life.command(Command::Deactivate { id: component("web") }).unwrap();
    assert_eq!(life.state.components[&component("web")].status, ComponentStatus::Deactivating);
    life.settle();
    assert_eq!(life.deployed(), ["db@1!", "web@1"]);
    life.command(Command::Activate { id: component("web") }).unwrap();
    life.world.faults.push(FailureKind::Broken);
    life.settle();
    assert_eq!(life.last().code, ResultCode::ACTIVATE_FAILED);
    assert_eq!(life.state.components[&component("web")].status, ComponentStatus::ActivateFailed);
    life.check_settled();
}

/// Proves SCOMO-C-008-O, SCOMO-C-010-M, SCOMO-C-011-O, SCOMO-C-013-M, SCOMO-C-015-O, SCOMO-C-017-M, SCOMO-C-018-O, SCOMO-C-022-O, SCOMO-C-023-M, SCOMO-C-034-M.
#[test]
fn download_then_install_inactive_then_activate_then_remove() {
    let mut life = shop();
    let leaves = PackageLeaves { name: "Shop".into(), ..PackageLeaves::default() };
    let (id, source) = (package("v1"), "test:v1".to_owned());
    life.command(Command::AddDownload { id: id.clone(), source: source.clone(), leaves: leaves.clone() })
        .unwrap();
    let again = Command::AddDownload { id: id.clone(), source, leaves };
    assert_eq!(life.command(again), Err(Rejection::Exists(id.clone())));
    life.command(Command::Fetch { id: id.clone(), then: Then::Stop }).unwrap();
    life.settle();
    assert_eq!(life.state.delivered[&id].leaves.name, "Shop", "leaves are copied");
    life.command(Command::InstallInactive { id: id.clone() }).unwrap();
    life.settle();
    assert_eq!(life.deployed(), ["db@1", "web@1"]);
    assert!(matches!(
        life.command(Command::Install { id: id.clone() }),
        Err(Rejection::WrongState { state: "installed", .. })
    ));
    life.command(Command::Activate { id: component("db") }).unwrap();
    life.settle();
    life.command(Command::RemovePackage { id: id.clone() }).unwrap();
    life.settle();
    assert_eq!(life.deployed(), ["db@1!", "web@1"], "components stay when their package goes");
    for name in ["db", "web"] {
        life.command(Command::RemoveComponent { id: component(name) }).unwrap();
        life.settle();
    }
    assert!(life.deployed().is_empty());
    assert!(life.world.stored.is_empty(), "and their data goes with them");
    life.check_settled();
}

#[test]
fn only_one_job_at_a_time_and_cancel_before_the_switch() {
    let mut life = shop();
    install(&mut life, "v1");
    life.command(install_from("v2", Then::Install)).unwrap();
    let busy = life.command(install_from("v3", Then::Install));
    assert!(matches!(busy, Err(Rejection::Busy { job: JobId(2), .. })));
    while !matches!(life.state.job.as_ref().unwrap().step, Step::Stage(1)) {
        life.step();
    }
    life.command(Command::Cancel { job: JobId(2) }).unwrap();
    assert_eq!(life.last().code, ResultCode::CANCELLED);
    life.settle();
    assert_eq!(life.deployed(), ["db@1!", "web@1!"]);
    assert_eq!(install(&mut life, "v2"), ResultCode::SUCCESS, "the same command again works");
    assert_eq!(life.command(Command::Cancel { job: JobId(2) }), Err(Rejection::UnknownJob(JobId(2))));
}

#[test]
fn the_switch_cannot_be_cancelled_the_health_window_can() {
    let mut life = shop();
    install(&mut life, "v1");
    life.command(install_from("v2", Then::Install)).unwrap();
    while !matches!(life.state.job.as_ref().unwrap().step, Step::Switch(_)) {
        life.step();
    }
    assert_eq!(life.command(Command::Cancel { job: JobId(2) }), Err(Rejection::TooLate(JobId(2))));
    while life.state.job.as_ref().unwrap().step != Step::Probe {
        life.step();
    }
    life.command(Command::Cancel { job: JobId(2) }).unwrap();
    life.settle();
    assert_eq!(
        (life.last().code, life.deployed()),
        (ResultCode::CANCELLED, vec!["db@1!".into(), "web@1!".into()])
    );
    life.check_settled();
}

#[test]
fn a_passing_fault_is_tried_again_a_lasting_one_is_not() {
    let mut life = shop();
    life.world.faults = vec![FailureKind::Unavailable, FailureKind::Server];
    assert_eq!(install(&mut life, "v1"), ResultCode::SUCCESS);
    life.world.faults = vec![FailureKind::Unavailable; 3];
    assert_eq!(install(&mut life, "v2"), ResultCode::SERVER_UNAVAILABLE);
    life.world.faults = vec![FailureKind::Untrusted];
    assert_eq!(install(&mut life, "v2"), ResultCode::VALIDATION_FAILED);
    assert!(life.state.downloads.is_empty(), "what was made for the job goes with it");
    assert!(!life.state.delivered.contains_key(&package("v2")));
    assert_eq!(life.deployed(), ["db@1!", "web@1!"]);
}

#[test]
fn a_reverse_that_fails_for_ever_ends_and_says_so() {
    let mut life = shop();
    install(&mut life, "v1");
    life.command(install_from("v2", Then::Install)).unwrap();
    while life.state.job.as_ref().unwrap().step != Step::Probe {
        life.step();
    }
    life.world.faults = vec![FailureKind::Broken; 6];
    life.settle();
    assert_eq!(life.last().code, ResultCode::ROLL_BACK_FAILED);
    assert_eq!(life.deployed(), ["db@1!", "web@1!"]);
    life.check_settled();
}

#[test]
fn a_request_is_carried_out_once() {
    let mut life = shop();
    let request = Some(RequestId::new("r-1").unwrap());
    let input = |command| scomo_core::command::Input::Command {
        caller: common::caller(),
        terms: Terms { request: request.clone(), ..Terms::default() },
        command,
    };
    assert!(life.input(&input(install_from("v1", Then::Install))).unwrap());
    life.settle();
    assert!(life.input(&input(install_from("v1", Then::Install))).unwrap());
    assert_eq!(life.state.job, None);
    assert_eq!(life.state.request_job(request.as_ref().unwrap()), Some(JobId(1)));
}

#[test]
fn an_os_is_active_only_after_it_booted() {
    let mut life = shop();
    assert!(life.input(&command(install_from("os1", Then::Install))).unwrap());
    life.settle();
    assert_eq!(life.state.job.as_ref().unwrap().step, Step::AwaitBoot);
    assert!(life.deployed().is_empty());
    life.start();
    assert_eq!(life.state.job.as_ref().unwrap().step, Step::AwaitBoot, "a restart is not a reboot");
    life.reboot();
    life.settle();
    assert_eq!((life.last().code, life.deployed()), (ResultCode::SUCCESS, vec!["os@1!".to_owned()]));
    let stop = life.command(Command::Deactivate { id: component("os") });
    assert_eq!(stop, Err(Rejection::OsInUse(component("os"))));
}

fn with_os_and_web() -> Life {
    let mut life = shop();
    install(&mut life, "v1");
    life.command(install_from("os1", Then::Install)).unwrap();
    life.settle();
    life.reboot();
    life.settle();
    assert_eq!(life.deployed(), ["db@1!", "os@1!", "web@1!"]);
    life.check_settled();
    life
}

#[test]
fn os_and_container_change_together() {
    let mut life = with_os_and_web();
    life.command(install_from("os2", Then::Install)).unwrap();
    life.settle();
    assert_eq!(life.world.running[&component("web")], release("web", "1").id, "web waits for its OS");
    life.reboot();
    life.settle();
    assert_eq!(life.deployed(), ["db@1!", "os@2!", "web@2!"]);
    life.check_settled();
}

#[test]
fn a_container_that_is_sick_on_the_new_os_brings_the_old_os_back() {
    let mut life = with_os_and_web();
    life.world.sick.insert(release("web", "2").id);
    life.command(install_from("os2", Then::Install)).unwrap();
    life.settle();
    life.reboot();
    life.settle();
    assert_eq!(life.state.job.as_ref().unwrap().step, Step::AwaitBoot, "the old OS takes a reboot");
    life.reboot();
    life.settle();
    assert_eq!(life.last().code, ResultCode::ROLLED_BACK_UNHEALTHY);
    assert_eq!(life.world.booted, Some(release("os", "1").id));
    assert_eq!(life.deployed(), ["db@1!", "os@1!", "web@1!"]);
    life.check_settled();
}

#[test]
fn an_os_that_does_not_boot_is_given_up() {
    let mut life = with_os_and_web();
    life.world.sick.insert(release("os", "2").id);
    life.command(install_from("os2", Then::Install)).unwrap();
    life.settle();
    life.reboot();
    life.settle();
    assert_eq!(life.last().code, ResultCode::ROLLED_BACK_BOOT);
    assert_eq!(life.deployed(), ["db@1!", "os@1!", "web@1!"]);
    life.check_settled();
}

#[test]
fn containers_are_started_again_after_a_reboot() {
    let mut life = shop();
    install(&mut life, "v1");
    life.reboot();
    life.settle();
    life.check_settled();
    life.reboot();
    life.world.faults = vec![FailureKind::Broken; 5];
    life.settle();
    let failed = life.state.components.values().filter(|c| c.failure.is_some()).count();
    assert_eq!(failed, 1, "what cannot be started says why");
    assert_eq!(install(&mut life, "v1"), ResultCode::SUCCESS, "and installing it again starts it");
    life.check_settled();
}

#[test]
fn roll_back_needs_no_package() {
    let mut life = shop();
    install(&mut life, "v1");
    install(&mut life, "v2");
    life.command(Command::RemovePackage { id: package("v1") }).unwrap();
    life.settle();
    life.command(Command::Rollback).unwrap();
    life.settle();
    assert_eq!(
        (life.last().code, life.deployed()),
        (ResultCode::SUCCESS, vec!["db@1!".into(), "web@1!".into()])
    );
    life.check_settled();
}

#[test]
fn what_was_half_switched_is_reversed_before_the_job_ends() {
    let mut life = shop();
    install(&mut life, "v1");
    life.command(install_from("v2", Then::Install)).unwrap();
    while life.state.job.as_ref().unwrap().step != Step::Switch(1) {
        life.step();
    }
    life.world.faults = vec![FailureKind::Broken];
    while life.state.job.is_some() {
        life.step();
    }
    assert_eq!(life.last().code, ResultCode::INSTALL_FAILED);
    for id in ["db", "web"] {
        assert_eq!(life.world.running.get(&component(id)), Some(&release(id, "1").id), "{id} runs again");
    }
}

#[test]
fn another_os_component_takes_the_place_of_the_active_one() {
    let mut life = with_os_and_web();
    life.command(install_from("other-os", Then::Install)).unwrap();
    life.settle();
    life.reboot();
    life.settle();
    assert_eq!(
        (life.last().code, life.deployed()),
        (ResultCode::SUCCESS, vec!["db@1!".to_owned(), "os@1".into(), "os-b@1!".into(), "web@1!".into()],)
    );
    assert_eq!(life.world.booted, Some(release("os-b", "1").id));
    life.check_settled();
}

#[test]
fn a_package_that_was_added_keeps_its_failed_status() {
    let mut life = shop();
    let (id, source) = (package("gone"), "test:gone".to_owned());
    let leaves = PackageLeaves::default();
    life.command(Command::AddDownload { id: id.clone(), source, leaves }).unwrap();
    life.command(Command::Fetch { id: id.clone(), then: Then::Install }).unwrap();
    life.settle();
    assert_eq!(life.last().code, ResultCode::DOWNLOAD_FAILED);
    assert_eq!(life.state.downloads[&id].status, DownloadStatus::DownloadFailed);
}

#[test]
fn a_package_whose_install_failed_goes_with_the_next_success() {
    let mut life = shop();
    install(&mut life, "v1");
    life.world.sick.insert(release("web", "2").id);
    install(&mut life, "v2");
    assert!(life.state.delivered.contains_key(&package("v2")), "it can be tried again without a download");
    install(&mut life, "v3");
    assert!(!life.state.delivered.contains_key(&package("v2")));
    assert!(!life.world.stored.contains(&release("web", "2").id));
}

#[test]
fn a_download_that_replaces_its_namesake_frees_what_that_held() {
    let mut life = shop();
    for (offered, stored, gone) in [("v1", "1", "2"), ("v2", "2", "1")] {
        let (id, source) = (package("shop"), format!("test:{offered}"));
        life.world.offered.insert("shop".into(), life.world.offered[offered].clone());
        life.command(Command::FetchFrom { id, source, then: Then::Stop }).unwrap();
        life.settle();
        assert!(life.world.stored.contains(&release("db", stored).id));
        assert!(!life.world.stored.contains(&release("db", gone).id));
    }
}

#[test]
fn a_clock_that_was_set_back_holds_nothing_up() {
    let mut life = shop();
    life.now = scomo_core::id::Millis(1_000_000_000);
    life.world.faults = vec![FailureKind::Unavailable];
    life.command(install_from("v1", Then::Install)).unwrap();
    while matches!(life.state.job.as_ref().unwrap().run, scomo_core::state::Run::Attempt(_)) {
        life.step();
    }
    life.now = scomo_core::id::Millis(5);
    assert!(life.input(&scomo_core::command::Input::Tick).unwrap());
    assert!(matches!(life.state.job.as_ref().unwrap().run, scomo_core::state::Run::Attempt(2)));
}
