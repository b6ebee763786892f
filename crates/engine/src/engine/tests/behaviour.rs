//! What the engine does while nothing goes wrong with it.

use std::sync::atomic::Ordering;

use scomo_core::command::{Command, Rejection, Terms, Then};
use scomo_core::failure::{FailureKind, ResultCode};
use scomo_core::id::JobId;
use scomo_core::spec::ComponentKind;
use scomo_core::state::Step;

use super::super::{Receipt, Refusal};
use super::lab::{Lab, assert_real, caller, component, deployed, install, package};
use crate::sim::{FaultAction, StepName};

#[test]
fn an_install_an_update_and_a_rollback_run_to_their_end() {
    let lab = Lab::new();
    let life = lab.start(0);
    for (source, web) in [("sim:p@1?db&web", "1"), ("sim:p@2?db&web", "2")] {
        life.submit(None, install("p", source)).expect("taken");
        let view = life.until_idle();
        assert_real(&view.state, &lab.world);
        assert_eq!(deployed(&view.state)["web"], (web.to_owned(), true));
    }
    life.submit(None, install("p", "sim:p@3?db&web=unhealthy")).expect("taken");
    let view = life.until_idle();
    assert_eq!(deployed(&view.state)["web"], ("2".to_owned(), true));
    assert_eq!(view.state.history.back().map(|j| j.code), Some(ResultCode::ROLLED_BACK_UNHEALTHY));
    assert_real(&view.state, &lab.world);
    life.submit(None, Command::Rollback).expect("taken");
    let view = life.until_idle();
    assert_eq!(deployed(&view.state)["web"], ("1".to_owned(), true));
    assert_real(&view.state, &lab.world);
    life.engine.shutdown();
}

#[test]
fn a_request_is_carried_out_once_even_over_a_restart() {
    let mut lab = Lab::new();
    let life = lab.start(0);
    let request = lab.request();
    let first = life.submit(Some(request.clone()), install("p", "sim:p@1")).expect("taken");
    assert_eq!(first, Receipt { job: Some(JobId(1)), already: false });
    let again = life.submit(Some(request.clone()), install("p", "sim:p@1")).expect("taken");
    assert_eq!(again, Receipt { job: Some(JobId(1)), already: true });
    life.until_idle();
    let life = lab.restart(life, false, 0);
    let again = life.submit(Some(request), install("p", "sim:p@1")).expect("taken");
    assert_eq!(again, Receipt { job: Some(JobId(1)), already: true });
    assert_eq!(life.state().history.len(), 1);
}

#[test]
fn two_updates_at_once_are_one_and_a_refusal() {
    let lab = Lab::new();
    let life = lab.start(0);
    lab.world.order(StepName::Fetch, 0, FaultAction::Hang);
    life.submit(None, install("p", "sim:p@1")).expect("taken");
    let refused = life.submit(None, install("q", "sim:q@1"));
    assert!(matches!(refused, Err(Refusal::Rejected(Rejection::Busy { .. }))), "{refused:?}");
    let (answer, answered) = std::sync::mpsc::channel();
    life.engine.submit_then(caller(), Terms::default(), Command::Cancel { job: JobId(1) }, move |result| {
        answer.send(result.map_err(|e| e.to_string())).expect("send");
    });
    assert_eq!(answered.recv().expect("answer"), Ok(Receipt { job: None, already: false }));
    let view = life.until_idle();
    assert_eq!(view.state.history.back().map(|j| j.code), Some(ResultCode::CANCELLED));
}

#[test]
fn a_job_is_cancelled_in_each_phase_and_leaves_the_old() {
    for step in [StepName::Resolve, StepName::Fetch, StepName::Stage, StepName::Probe] {
        let lab = Lab::new();
        let life = lab.start(0);
        life.submit(None, install("p", "sim:p@1?db&web")).expect("taken");
        life.until_idle();
        lab.world.order(step, 0, FaultAction::Hang);
        let before = lab.world.with(|w| w.calls.len());
        let job = life.submit(None, install("p", "sim:p@2?db&web")).expect("taken").job.expect("job");
        life.until("the hang", |_| lab.world.with(|w| w.calls[before..].contains(&step)));
        life.submit(None, Command::Cancel { job }).expect("taken");
        let view = life.until_idle();
        let record = view.state.history.back().expect("record");
        assert_eq!((record.id, record.code), (job, ResultCode::CANCELLED), "{step:?}");
        assert_eq!(deployed(&view.state)["web"], ("1".to_owned(), true), "{step:?}");
        assert_real(&view.state, &lab.world);
    }
}

#[test]
fn a_switch_cannot_be_cancelled() {
    let lab = Lab::new();
    let life = lab.start(0);
    lab.world.order(StepName::Switch, 0, FaultAction::Hang);
    let job = life.submit(None, install("p", "sim:p@1")).expect("taken").job.expect("job");
    life.until("the hang", |_| lab.world.with(|w| w.calls.contains(&StepName::Switch)));
    let refused = life.submit(None, Command::Cancel { job });
    assert!(matches!(refused, Err(Refusal::Rejected(Rejection::TooLate(_)))), "{refused:?}");
}

#[test]
fn what_fails_for_a_moment_is_tried_again() {
    let lab = Lab::new();
    let life = lab.start(0);
    lab.world.order(StepName::Fetch, 0, FaultAction::Fail(FailureKind::Unavailable));
    lab.world.order(StepName::Fetch, 0, FaultAction::DieHalfWay);
    life.submit(None, install("p", "sim:p@1")).expect("taken");
    let view = life.until_idle();
    assert_eq!(view.state.history.back().map(|j| j.code), Some(ResultCode::SUCCESS));
    let fetches = lab.world.with(|w| w.calls.iter().filter(|c| **c == StepName::Fetch).count());
    assert_eq!(fetches, 3);
}

#[test]
fn progress_is_shown_beside_the_state() {
    let lab = Lab::new();
    lab.world.with(|w| w.pace = std::time::Duration::from_millis(150));
    let life = lab.start(0);
    life.submit(None, install("p", "sim:p@1")).expect("taken");
    let view = life.until("progress", |view| view.running.iter().any(|(_, p)| p.bytes_done > 0));
    let percent = view.percent().expect("a job runs");
    assert!((2..97).contains(&percent), "{percent}");
    let facts = lab.facts.lock().expect("lock").len();
    let later = life.until("more progress", |later| later.percent() > Some(percent));
    assert!(later.revision > view.revision);
    assert_eq!(lab.facts.lock().expect("lock").len(), facts, "progress must not be stored");
    life.until_idle();
}

#[test]
fn an_os_update_waits_for_its_boot_and_ends_after_it() {
    let mut lab = Lab::new();
    let mut life = lab.start(0);
    for version in ["1", "2"] {
        life.submit(None, install("p", &format!("sim:p@{version}?os&web"))).expect("taken");
        let view = life.until_idle();
        assert_eq!(view.state.job.as_ref().map(|j| j.step), Some(Step::AwaitBoot));
        life = lab.restart(life, true, 0);
        let view = life.until_idle();
        assert_eq!(view.state.history.back().map(|j| j.code), Some(ResultCode::SUCCESS));
        assert_eq!(deployed(&view.state)["os"], (version.to_owned(), true));
        assert_eq!(deployed(&view.state)["web"], (version.to_owned(), true));
        assert_real(&view.state, &lab.world);
    }
    // A boot without an update brings the containers back.
    let life = lab.restart(life, true, 0);
    let view = life.until_idle();
    assert_real(&view.state, &lab.world);
}

#[test]
fn an_os_that_does_not_boot_takes_its_containers_back_with_it() {
    let mut lab = Lab::new();
    let life = lab.start(0);
    life.submit(None, install("p", "sim:p@1?os&web")).expect("taken");
    life.until_idle();
    let life = lab.restart(life, true, 0);
    life.until_idle();
    life.submit(None, install("p", "sim:p@2?os&web")).expect("taken");
    let view = life.until_idle();
    let changes = view.state.job.iter().flat_map(|j| j.changes.iter().flatten());
    let os = changes.filter(|c| c.kind == ComponentKind::Os).find_map(|c| c.after.as_ref());
    let os = os.expect("an OS").release.id.clone();
    lab.world.with(|w| w.boot.unbootable.insert(os));
    let mut life = lab.restart(life, true, 0);
    life.until_idle();
    if life.state().job.is_some() {
        life = lab.restart(life, true, 0);
        life.until_idle();
    }
    let view = life.engine.snapshot();
    assert_eq!(view.state.history.back().map(|j| j.code), Some(ResultCode::ROLLED_BACK_BOOT));
    assert_eq!(deployed(&view.state)["os"], ("1".to_owned(), true));
    assert_eq!(deployed(&view.state)["web"], ("1".to_owned(), true));
    assert_real(&view.state, &lab.world);
}

#[test]
fn what_stopped_by_itself_is_started_again_at_the_next_start() {
    let mut lab = Lab::new();
    let life = lab.start(0);
    life.submit(None, install("p", "sim:p@1?web")).expect("taken");
    life.until_idle();
    lab.world.with(|w| w.deployed.values_mut().for_each(|c| c.running = false));
    let life = lab.restart(life, false, 0);
    let view = life.until_idle();
    assert_real(&view.state, &lab.world);
    assert!(lab.world.running(&component("web")).is_some());
}

#[test]
fn nothing_is_concluded_of_what_cannot_be_observed() {
    let mut lab = Lab::new();
    let life = lab.start(0);
    life.submit(None, install("p", "sim:p@1?web")).expect("taken");
    life.until_idle();
    // The OS is looked at first, then the containers.
    lab.world.order(StepName::Observe, 1, FaultAction::Fail(FailureKind::Broken));
    let switches = |lab: &Lab| lab.world.with(|w| w.calls.iter().filter(|c| **c == StepName::Switch).count());
    let before = switches(&lab);
    lab.world.with(|w| w.deployed.values_mut().for_each(|c| c.running = false));
    let life = lab.restart(life, false, 0);
    let view = life.until_idle();
    assert!(view.state.drift.is_empty(), "something was concluded: {:?}", view.state.drift);
    assert_eq!(switches(&lab), before);
}

#[test]
fn a_backend_that_hangs_at_the_start_makes_nobody_wait_but_commands() {
    let lab = Lab::new();
    let (open, gate) = std::sync::mpsc::channel();
    let life = lab.start_slowly(gate);
    assert!(!life.engine.snapshot().started);
    let (answer, answered) = std::sync::mpsc::channel();
    life.engine.submit_then(caller(), Terms::default(), install("p", "sim:p@1?web"), move |result| {
        answer.send(result.is_ok()).expect("send");
    });
    life.engine.wake();
    assert!(answered.try_recv().is_err(), "a command overtook the first input");
    open.send(()).expect("send");
    assert_eq!(answered.recv(), Ok(true));
    let view = life.until_idle();
    assert_eq!(view.state.history.back().map(|j| j.code), Some(ResultCode::SUCCESS));

    life.engine.shutdown();
    let (open, gate) = std::sync::mpsc::channel();
    let life = lab.start_slowly(gate);
    let (answer, answered) = std::sync::mpsc::channel();
    life.engine.submit_then(caller(), Terms::default(), Command::CollectGarbage, move |result| {
        answer.send(matches!(result, Err(Refusal::Stopped))).expect("send");
    });
    life.engine.shutdown();
    assert_eq!(answered.recv(), Ok(true), "a command was forgotten");
    drop(open);
}

#[test]
fn health_checks_run_side_by_side_and_nothing_else_does() {
    let lab = Lab::new();
    let life = lab.start(0);
    lab.world.order(StepName::Probe, 0, FaultAction::Hang);
    lab.world.order(StepName::Probe, 0, FaultAction::Hang);
    let job = life.submit(None, install("p", "sim:p@1?a&b")).expect("taken").job.expect("job");
    let hang = || lab.world.with(|w| w.faults.is_empty());
    let view = life.until("two probes", |view| view.running.len() == 2 && hang());
    assert!(view.running.iter().all(|(key, _)| key.job == Some(job)));
    // Ending the process kills both; both are tried again.
    life.engine.shutdown();
    drop(life);
    let life = lab.start(0);
    let view = life.until_idle();
    assert_eq!(view.state.history.back().map(|j| j.code), Some(ResultCode::SUCCESS));
}

#[test]
fn a_collection_starts_anew_when_less_is_kept() {
    let lab = Lab::new();
    let life = lab.start(0);
    let fetch =
        |id: &str| Command::FetchFrom { id: package(id), source: format!("sim:{id}@1"), then: Then::Stop };
    for id in ["a", "b"] {
        life.submit(None, fetch(id)).expect("taken");
        life.until_idle();
    }
    lab.world.order(StepName::Collect, 0, FaultAction::Hang);
    life.submit(None, Command::RemovePackage { id: package("a") }).expect("taken");
    life.until("the hang", |_| lab.world.with(|w| w.faults.is_empty()));
    life.submit(None, Command::RemovePackage { id: package("b") }).expect("taken");
    let view = life.until_idle();
    assert_real(&view.state, &lab.world);
    assert!(lab.world.with(|w| w.stored.is_empty()));
}

#[test]
fn logs_are_asked_of_the_right_backend() {
    let lab = Lab::new();
    let life = lab.start(0);
    life.submit(None, install("p", "sim:p@1?web")).expect("taken");
    life.until_idle();
    assert_eq!(life.engine.logs(&component("web"), 1).expect("logs"), "web 1 is ready\n");
    let missing = life.engine.logs(&component("nothing"), 1).expect_err("missing");
    assert_eq!(missing.kind, FailureKind::NotFound);
}

#[test]
fn after_the_end_nothing_is_taken() {
    let lab = Lab::new();
    let life = lab.start(0);
    life.engine.shutdown();
    let refused = life.submit(None, install("p", "sim:p@1"));
    assert!(matches!(refused, Err(Refusal::Stopped)), "{refused:?}");
    assert!(!life.cut.full.load(Ordering::SeqCst));
    // The store is free at once.
    assert!(lab.open().engine.snapshot().safe_mode.is_none());
}
