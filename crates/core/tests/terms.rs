//! What the terms of a command add: gates, reports, the memory of what failed, requirements, restarts; and packages
//! that are put together leaf by leaf.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{Life, World, caller, component, install_from, package, release};
use scomo_core::command::{Command, Gate, Input, PackageLeaves, Rejection, ReportTo, Terms, Then};
use scomo_core::failure::{Failure, FailureKind, ResultCode};
use scomo_core::id::JobId;
use scomo_core::requirement::Requirement;
use scomo_core::state::{FAILED_MAX, JobRecord, REPORTS_MAX, ReportNode, Step};
use scomo_core::status::{ComponentState, DownloadStatus};

fn shop() -> Life {
    let mut world = World::default();
    world.offer("v1", &[("db", "1"), ("web", "1")]);
    world.offer("v2", &[("db", "2"), ("web", "2")]);
    world.offer("os1", &[("os", "1")]);
    Life::new(world)
}

fn give(life: &mut Life, terms: Terms, command: Command) -> Result<bool, Rejection> {
    life.input(&Input::Command { caller: caller(), terms, command })
}

fn gated(gates: &[Gate]) -> Terms {
    Terms { gates: gates.iter().copied().collect(), ..Terms::default() }
}

fn step(life: &Life) -> Step {
    life.state.job.as_ref().unwrap().step
}

fn permit(life: &mut Life, gate: Gate) -> Result<(), Rejection> {
    let job = life.state.job.as_ref().map_or(JobId(9), |job| job.id);
    life.command(Command::Permit { job, gate })
}

fn install(life: &mut Life, id: &str) -> JobRecord {
    life.command(install_from(id, Then::Install)).unwrap();
    life.settle();
    life.last().clone()
}

#[test]
fn a_job_waits_at_every_gate_and_goes_on_when_permitted() {
    let mut life = shop();
    give(&mut life, gated(&Gate::ALL), install_from("v1", Then::Install)).unwrap();
    life.settle();
    assert_eq!(step(&life), Step::Await(Gate::Download));
    assert!(life.world.stored.is_empty(), "nothing is downloaded before it is permitted");
    assert_eq!(permit(&mut life, Gate::Install), Err(not_at(Gate::Install)));
    permit(&mut life, Gate::Download).unwrap();
    life.settle();
    assert_eq!(step(&life), Step::Await(Gate::Boot));
    assert_eq!(life.state.downloads[&package("v1")].status, DownloadStatus::Downloaded);
    assert_eq!(permit(&mut life, Gate::Boot), Err(not_at(Gate::Boot)), "only a restart opens this one");
    life.start();
    life.settle();
    assert_eq!(step(&life), Step::Await(Gate::Boot), "the same boot opens nothing");
    life.reboot();
    life.settle();
    assert_eq!(step(&life), Step::Await(Gate::Install));
    assert!(life.world.running.is_empty());
    permit(&mut life, Gate::Install).unwrap();
    life.settle();
    assert_eq!(life.deployed(), ["db@1!", "web@1!"]);
    assert_eq!(life.last().code, ResultCode::SUCCESS);
    assert_eq!(permit(&mut life, Gate::Install), Err(Rejection::UnknownJob(JobId(9))));
    life.check_settled();
}

fn not_at(gate: Gate) -> Rejection {
    Rejection::NotAtGate { job: JobId(1), gate: gate.as_str() }
}

#[test]
fn a_job_at_a_gate_can_be_cancelled_or_refused() {
    for gate in [Gate::Download, Gate::Install] {
        let mut life = shop();
        give(&mut life, gated(&[gate]), install_from("v1", Then::Install)).unwrap();
        life.settle();
        life.command(Command::Cancel { job: JobId(1) }).unwrap();
        assert_eq!(life.last().code, ResultCode::CANCELLED);
        give(&mut life, gated(&[gate]), install_from("v1", Then::Install)).unwrap();
        life.settle();
        let failure = Failure::new(FailureKind::Forbidden, "a hook says no");
        life.command(Command::Refuse { job: JobId(2), failure: failure.clone() }).unwrap();
        assert_eq!(life.last().code, ResultCode::INSTALL_FAILED);
        assert_eq!(life.last().failure, Some(failure.clone()));
        life.settle();
        assert!(life.deployed().is_empty());
        let late = life.command(Command::Refuse { job: JobId(2), failure });
        assert_eq!(late, Err(Rejection::UnknownJob(JobId(2))));
        life.check_settled();
    }
}

#[test]
fn gates_outlive_the_process_and_an_install_of_nothing_has_none() {
    let mut life = shop();
    install(&mut life, "v1");
    give(&mut life, gated(&[Gate::Download, Gate::Install]), install_from("v2", Then::Install)).unwrap();
    life.settle();
    permit(&mut life, Gate::Download).unwrap();
    life.settle();
    life.start();
    life.settle();
    assert_eq!(step(&life), Step::Await(Gate::Install), "what was permitted stays permitted");
    permit(&mut life, Gate::Install).unwrap();
    life.settle();
    give(&mut life, gated(&[Gate::Download, Gate::Install]), install_from("v2", Then::Install)).unwrap();
    life.settle();
    assert_eq!(life.last().code, ResultCode::ALREADY_SO);
}

fn report() -> Terms {
    let uri = "./SCOMO/Download/P/Operations/DownloadInstall".to_owned();
    let report = ReportTo { to: "server".to_owned(), uri, correlator: "c1".to_owned() };
    Terms { report: Some(report), ..Terms::default() }
}

/// Proves SCOMO-C-025-O, SCOMO-C-038-M.
#[test]
fn the_end_of_a_job_is_reported_until_it_is_acknowledged() {
    let mut life = shop();
    let leaves = PackageLeaves { pkg_id: "urn:shop".to_owned(), ..PackageLeaves::default() };
    let add = Command::AddDownload { id: package("v1"), source: "test:v1".to_owned(), leaves };
    life.command(add).unwrap();
    give(&mut life, report(), Command::Fetch { id: package("v1"), then: Then::Install }).unwrap();
    assert!(life.state.reports.is_empty(), "nothing is reported before the end");
    life.settle();
    life.start();
    let told = life.state.reports[0].clone();
    assert_eq!((told.id, told.code, told.identifier.as_str()), (1, ResultCode::SUCCESS, "urn:shop"));
    assert_eq!(told.to, report().report.unwrap());
    let node = |id| ReportNode::Deployed(component(id));
    assert_eq!(told.nodes, [node("db"), node("web")]);
    assert_eq!(life.state.components[&component("web")].pkg_id, "urn:shop");
    life.command(Command::AcknowledgeReport { id: 1 }).unwrap();
    assert_eq!(life.command(Command::AcknowledgeReport { id: 1 }), Err(Rejection::UnknownReport(1)));
    life.start();
    assert!(life.state.reports.is_empty());
}

#[test]
fn failures_and_downloads_are_reported_too() {
    let mut life = shop();
    give(&mut life, report(), install_from("v1", Then::Stop)).unwrap();
    life.settle();
    assert_eq!(life.state.reports[0].nodes, [ReportNode::Delivered(package("v1"))]);
    life.world.sick.insert(release("web", "1").id);
    give(&mut life, report(), Command::Install { id: package("v1") }).unwrap();
    life.settle();
    let told = &life.state.reports[1];
    assert_eq!((told.code, told.nodes.len()), (ResultCode::ROLLED_BACK_UNHEALTHY, 0));
    give(&mut life, report(), Command::RemovePackage { id: package("v1") }).unwrap();
    assert_eq!(life.state.reports[2].identifier, "v1");
}

#[test]
fn the_outbox_is_bounded_and_keeps_the_newest() {
    let mut life = shop();
    for _ in 0..=REPORTS_MAX {
        give(&mut life, report(), Command::CollectGarbage).unwrap();
    }
    assert_eq!(life.state.reports.len(), REPORTS_MAX);
    assert_eq!(life.state.reports.back().unwrap().id, u64::try_from(REPORTS_MAX).unwrap() + 1);
}

#[test]
fn a_package_that_failed_is_not_tried_again_unless_asked() {
    let mut life = shop();
    install(&mut life, "v1");
    life.world.sick.insert(release("web", "2").id);
    assert_eq!(install(&mut life, "v2").code, ResultCode::ROLLED_BACK_UNHEALTHY);
    life.start();
    let again = install(&mut life, "v2");
    assert_eq!(again.code, ResultCode::INSTALL_FAILED);
    let failure = again.failure.unwrap();
    assert_eq!(failure.kind, FailureKind::FailedBefore);
    assert!(failure.detail.contains("--retry-failed"), "{}", failure.detail);
    // It was cured.
    life.world.sick.clear();
    let terms = Terms { retry_failed: true, ..Terms::default() };
    give(&mut life, terms, install_from("v2", Then::Install)).unwrap();
    life.settle();
    assert_eq!(life.deployed(), ["db@2!", "web@2!"]);
    assert!(life.state.failed.is_empty(), "what went well once is not bad");
}

#[test]
fn a_failed_download_is_no_bad_package_and_the_memory_is_bounded() {
    let mut life = shop();
    life.world.faults.push(FailureKind::NotFound);
    assert_eq!(install(&mut life, "v1").code, ResultCode::DOWNLOAD_FAILED);
    assert!(life.state.failed.is_empty());
    for n in 0..=FAILED_MAX {
        let version = format!("bad{n}");
        life.world.offer("v", &[("web", &version)]);
        life.world.sick.insert(release("web", &version).id);
        install(&mut life, "v");
    }
    assert_eq!(life.state.failed.len(), FAILED_MAX);
}

#[test]
fn an_older_version_is_refused_to_whom_it_is_not_allowed_and_nothing_is_downloaded() {
    let mut life = shop();
    life.world.offer("mixed", &[("db", "3"), ("web", "1")]);
    let terms = || Terms { no_downgrade: true, ..Terms::default() };
    for (package, older) in
        [("v1", None), ("v2", None), ("v2", None), ("v1", Some("'db' 1")), ("mixed", Some("'web' 1"))]
    {
        let stored = life.world.stored.len();
        give(&mut life, terms(), install_from(package, Then::Install)).unwrap();
        life.settle();
        let failure = life.last().failure.as_ref();
        assert_eq!(failure.map(|failure| failure.kind), older.map(|_| FailureKind::Forbidden), "{package}");
        if let Some(older) = older {
            assert!(failure.unwrap().detail.starts_with(older), "{failure:?}");
            assert_eq!(life.world.stored.len(), stored);
            assert_eq!(life.deployed(), ["db@2!", "web@2!"]);
        }
    }
    assert_eq!(install(&mut life, "v1").code, ResultCode::SUCCESS, "others may");
}

#[test]
fn what_a_package_requires_must_be_on_the_device() {
    let mut life = shop();
    let content = life.world.offered.get_mut("v1").unwrap();
    content.releases[1].spec.requires = vec![Requirement::try_from("os>=1".to_owned()).unwrap()];
    let missing = install(&mut life, "v1");
    assert_eq!(
        (missing.code, missing.failure.unwrap().kind),
        (ResultCode::INSTALL_FAILED, FailureKind::Unmet)
    );
    assert!(life.world.stored.is_empty(), "nothing is downloaded that cannot be installed");
    life.command(install_from("os1", Then::Install)).unwrap();
    life.settle();
    life.reboot();
    life.settle();
    assert_eq!(install(&mut life, "v1").code, ResultCode::SUCCESS);
    let content = life.world.offered.get_mut("v2").unwrap();
    content.releases[1].spec.requires = vec![Requirement::try_from("os>=2".to_owned()).unwrap()];
    let detail = install(&mut life, "v2").failure.unwrap().detail;
    assert_eq!(detail, "component 'web' requires os>=2, but 'os' is 1");
}

#[test]
fn what_an_active_component_requires_is_not_taken_away() {
    let mut life = shop();
    let content = life.world.offered.get_mut("v1").unwrap();
    content.releases[1].spec.requires = vec![component("db").into()];
    install(&mut life, "v1");
    for command in
        [Command::Deactivate { id: component("db") }, Command::RemoveComponent { id: component("db") }]
    {
        let refused = life.command(command);
        assert_eq!(refused, Err(Rejection::Required { id: component("db"), by: component("web") }));
    }
    life.command(Command::Deactivate { id: component("web") }).unwrap();
    life.settle();
    life.command(Command::Deactivate { id: component("db") }).unwrap();
    life.settle();
    assert_eq!(life.deployed(), ["db@1", "web@1"]);
}

#[test]
fn a_job_that_wants_a_restart_says_so_until_it_came() {
    let mut life = shop();
    let terms = Terms { reboot_after: true, ..Terms::default() };
    give(&mut life, terms.clone(), install_from("v1", Then::Install)).unwrap();
    life.settle();
    assert_eq!(life.state.reboot_wanted, Some(JobId(1)));
    life.start();
    assert_eq!(life.state.reboot_wanted, Some(JobId(1)), "a new process is no new boot");
    life.reboot();
    assert_eq!(life.state.reboot_wanted, None);
    give(&mut life, terms, install_from("v1", Then::Install)).unwrap();
    life.settle();
    assert_eq!(life.state.reboot_wanted, None, "nothing was changed");
}

/// Proves SCOMO-C-036-O.
#[test]
fn what_is_refused_before_the_start_has_a_result_all_the_same() {
    let mut life = shop();
    let refused = Some(Failure::new(FailureKind::Unsupported, "the environment is not supported"));
    give(&mut life, Terms { refused, ..report() }, install_from("v1", Then::Install)).unwrap();
    assert_eq!(life.last().code, ResultCode::UNSUPPORTED_ENVIRONMENT);
    assert_eq!(life.state.reports[0].code, ResultCode::UNSUPPORTED_ENVIRONMENT);
    life.settle();
    life.check_settled();
}

#[test]
fn software_of_the_device_itself_belongs_to_no_package() {
    let mut life = shop();
    let terms = Terms { factory: true, ..Terms::default() };
    give(&mut life, terms, install_from("v1", Then::Install)).unwrap();
    life.settle();
    assert!(life.state.components.values().all(|c| c.package.is_none()));
    assert!(life.state.delivered.is_empty() && life.state.downloads.is_empty());
    assert_eq!(life.world.stored.len(), 2, "its data stays");
    install(&mut life, "v2");
    assert_eq!(life.state.components[&component("web")].package, Some(package("v2")));
}

#[test]
fn an_os_that_came_by_other_means_is_in_the_inventory() {
    let mut life = shop();
    let factory = release("os", "0");
    life.world.booted = Some(factory.id.clone());
    life.world.boots_next = Some(factory.id.clone());
    life.world.falls_back_to = Some(factory.id.clone());
    life.world.staged.insert(factory.id.clone());
    life.world.foreign = vec![factory];
    life.start();
    let os = &life.state.components[&component("os")];
    assert_eq!((os.package.clone(), os.state), (None, ComponentState::Active));
    let facts = life.durable.len();
    life.start();
    assert_eq!(life.durable.len(), facts + 1, "it is adopted once");
    // An update replaces it, and a bad one brings it back.
    life.world.sick.insert(release("os", "1").id);
    life.command(install_from("os1", Then::Install)).unwrap();
    life.settle();
    life.reboot();
    life.settle();
    assert_eq!(life.deployed(), ["os@0!"]);
    assert_eq!(life.last().code, ResultCode::ROLLED_BACK_BOOT);
    life.world.sick.clear();
    let terms = Terms { retry_failed: true, ..Terms::default() };
    give(&mut life, terms, install_from("os1", Then::Install)).unwrap();
    life.settle();
    life.reboot();
    life.settle();
    assert_eq!(life.deployed(), ["os@1!"]);
    life.world.foreign.clear();
    life.start();
    assert_eq!(life.deployed(), ["os@1!"]);
}

/// Proves SCOMO-C-026-M, SCOMO-C-027-O, SCOMO-C-029-O, SCOMO-C-021-O.
#[test]
fn a_package_can_be_put_together_leaf_by_leaf() {
    let mut life = shop();
    let (id, leaves) = (package("x"), PackageLeaves::default());
    let add = Command::AddDownload { id: id.clone(), source: String::new(), leaves: leaves.clone() };
    life.command(add).unwrap();
    let fetch = Command::Fetch { id: id.clone(), then: Then::Stop };
    let incomplete = Rejection::Incomplete { id: id.clone(), leaf: "PkgURL" };
    assert_eq!(life.command(fetch.clone()), Err(incomplete));
    let set = Command::SetDownload { id: id.clone(), source: "test:v1".to_owned(), leaves: leaves.clone() };
    life.command(set.clone()).unwrap();
    life.command(fetch).unwrap();
    assert!(matches!(life.command(set.clone()), Err(Rejection::Busy { .. })));
    life.command(Command::Cancel { job: JobId(1) }).unwrap();
    life.command(Command::DeleteDownload { id: id.clone() }).unwrap();
    assert!(matches!(life.command(set), Err(Rejection::UnknownPackage { .. })));

    let add = Command::AddDelivered { id: id.clone(), source: String::new(), leaves };
    life.command(add).unwrap();
    let incomplete = Rejection::Incomplete { id: id.clone(), leaf: "Data" };
    assert_eq!(life.command(Command::Install { id: id.clone() }), Err(incomplete));
    let data = Command::SetData { id: id.clone(), source: "test:v1".to_owned() };
    life.command(data.clone()).unwrap();
    let named = PackageLeaves { name: "X".to_owned(), ..PackageLeaves::default() };
    life.command(Command::SetDelivered { id: id.clone(), leaves: named }).unwrap();
    life.world.offer("x", &[("db", "1")]);
    life.command(Command::Install { id: id.clone() }).unwrap();
    life.settle();
    assert_eq!(life.deployed(), ["db@1!"]);
    assert_eq!(life.state.delivered[&id].leaves.name, "X");
    assert!(matches!(life.command(data), Err(Rejection::WrongState { .. })), "installed data stays");
}

/// Proves SCOMO-DMS-002-M.
#[test]
fn a_pkg_id_is_there_once() {
    let mut life = shop();
    let leaves = PackageLeaves { pkg_id: "same".to_owned(), ..PackageLeaves::default() };
    for id in ["v1", "v2"] {
        let (id, source, leaves) = (package(id), format!("test:{id}"), leaves.clone());
        life.command(Command::AddDownload { id, source, leaves }).unwrap();
    }
    let twin = life.command(Command::Fetch { id: package("v1"), then: Then::Stop });
    let pkg_id = "same".to_owned();
    assert_eq!(twin, Err(Rejection::DuplicatePkgId { pkg_id, other: package("v2") }));
}
