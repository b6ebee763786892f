//! The store fails.

use std::fs;
use std::sync::atomic::Ordering;

use scomo_core::command::Command;
use scomo_core::failure::ResultCode;

use super::super::Refusal;
use super::lab::{Lab, assert_real, deployed, install};
use crate::sim::{FaultAction, StepName};

#[test]
fn a_command_that_cannot_be_stored_is_refused_and_changes_nothing() {
    let lab = Lab::new();
    let life = lab.start(0);
    life.submit(None, install("p", "sim:p@1?web")).expect("taken");
    let before = life.until_idle();
    life.cut.full.store(true, Ordering::SeqCst);
    let refused = life.submit(None, install("p", "sim:p@2?web"));
    assert!(matches!(refused, Err(Refusal::NotStored(_))), "{refused:?}");
    assert_eq!(life.state(), before.state);
    assert_real(&life.state(), &lab.world);
    life.cut.full.store(false, Ordering::SeqCst);
    life.submit(None, install("p", "sim:p@2?web")).expect("taken");
    assert_eq!(deployed(&life.until_idle().state)["web"], ("2".to_owned(), true));
}

#[test]
fn an_outcome_that_cannot_be_stored_is_stored_later_and_not_done_again() {
    let lab = Lab::new();
    let life = lab.start(0);
    lab.world.order(StepName::Fetch, 0, FaultAction::Hang);
    life.submit(None, install("p", "sim:p@1?web")).expect("taken");
    life.until("the hang", |_| lab.world.with(|w| w.calls.contains(&StepName::Fetch)));
    // The hanging fetch is replaced by one that ends while the store is full.
    let life = {
        life.die();
        lab.start(0)
    };
    lab.world.order(StepName::Stage, 0, FaultAction::Hang);
    life.until("the stage", |_| lab.world.with(|w| w.calls.contains(&StepName::Stage)));
    life.die();
    let life = lab.start(0);
    life.until("a fact", |view| view.started);
    life.cut.full.store(true, Ordering::SeqCst);
    let view = life.until("trouble", |view| view.store_trouble.is_some() || view.state.job.is_none());
    if view.state.job.is_some() {
        let calls = lab.world.with(|w| w.calls.len());
        for _ in 0..10 {
            life.engine.wake();
        }
        assert_eq!(lab.world.with(|w| w.calls.len()), calls, "the effect was done again");
    }
    life.cut.full.store(false, Ordering::SeqCst);
    let view = life.until_idle();
    assert_eq!(view.store_trouble, None);
    assert_eq!(view.state.history.back().map(|j| j.code), Some(ResultCode::SUCCESS));
    assert_real(&view.state, &lab.world);
}

#[test]
fn a_start_that_cannot_be_stored_comes_first_when_it_can() {
    let lab = Lab::new();
    let life = lab.start(0);
    life.submit(None, install("p", "sim:p@1?web")).expect("taken");
    life.until_idle();
    life.die();
    lab.world.with(|w| w.deployed.values_mut().for_each(|c| c.running = false));
    let full = lab.start_full();
    full.until("trouble", |view| view.store_trouble.is_some());
    assert!(!full.engine.snapshot().started);
    let refused = full.submit(None, Command::CollectGarbage);
    assert!(matches!(refused, Err(Refusal::NotStored(_))), "{refused:?}");
    full.cut.full.store(false, Ordering::SeqCst);
    full.submit(None, Command::CollectGarbage).expect("taken");
    let view = full.until_idle();
    assert!(view.started);
    assert_real(&view.state, &lab.world);
}

#[test]
fn a_damaged_store_means_safe_mode() {
    let lab = Lab::new();
    let life = lab.start(0);
    life.submit(None, install("p", "sim:p@1?web")).expect("taken");
    life.until_idle();
    let state = life.state();
    life.engine.shutdown();
    // The newest fact is damaged: all before it can be shown.
    let mut bytes = fs::read(lab.store()).expect("read");
    let text = b"\"fact\":\"";
    let at = bytes.windows(text.len()).position(|w| w == text).expect("a fact");
    bytes[at + text.len()] ^= 1;
    fs::write(lab.store(), &bytes).expect("write");

    let calls = lab.world.with(|w| w.calls.len());
    let life = lab.open();
    let view = life.until("safe mode", |view| view.safe_mode.is_some());
    assert!(view.safe_mode.as_ref().is_some_and(|why| why.contains("damaged")), "{view:?}");
    assert_ne!(view.state, state);
    let refused = life.submit(None, Command::CollectGarbage);
    assert!(matches!(refused, Err(Refusal::SafeMode(_))), "{refused:?}");
    assert!(format!("{}", refused.expect_err("refused")).contains("safe mode"));
    life.engine.shutdown();
    assert_eq!(lab.world.with(|w| w.calls.len()), calls, "something ran in safe mode");
    assert_eq!(fs::read(lab.store()).expect("read"), bytes, "the damaged store was changed");
    assert!(lab.world.running(&super::lab::component("web")).is_some(), "what ran was stopped");
}

#[test]
fn a_missing_store_is_a_new_device() {
    let lab = Lab::new();
    let life = lab.open();
    let view = life.until("the start", |view| view.started);
    assert_eq!(view.safe_mode, None);
    assert!(view.state.components.is_empty());
}
