//! Power cuts and kills at every fact and every effect of a life, alone and in combination: old or new, never neither.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{Cut, Life, World, install_from, release};
use scomo_core::command::Then;
use scomo_core::failure::ResultCode;

/// A device with version 1 (and an OS when asked for), about to be updated.
fn before_update(with_os: bool) -> Life {
    let mut world = World::default();
    world.offer("v1", &[("db", "1"), ("web", "1")]);
    world.offer("os1", &[("os", "1")]);
    let update: &[(&str, &str)] =
        if with_os { &[("db", "2"), ("os", "2"), ("web", "2")] } else { &[("db", "2"), ("web", "2")] };
    world.offer("v2", update);
    let mut life = Life::new(world);
    for id in ["v1", "os1"].iter().take(if with_os { 2 } else { 1 }) {
        life.command(install_from(id, Then::Install)).unwrap();
        run_with_reboots(&mut life);
    }
    life
}

/// Runs to rest; reboots when the machine waits for it, a limited number of times.
fn run_with_reboots(life: &mut Life) {
    for _ in 0..8 {
        life.settle();
        if life.state.job.is_none() {
            return;
        }
        life.reboot();
    }
    panic!("the job never ends: {:?}", life.state.job);
}

fn update(mut life: Life, cuts: &[(usize, Cut, bool)]) -> Life {
    let base = life.events;
    life.cuts = cuts.iter().map(|(at, cut, reboot)| (base + at, (*cut, *reboot))).collect();
    life.command(install_from("v2", Then::Install)).unwrap();
    run_with_reboots(&mut life);
    life
}

fn check_old_or_new(life: &Life, with_os: bool, what: &str) {
    life.check_settled();
    let code = life.last().code;
    let (old, new): (&[&str], &[&str]) = if with_os {
        (&["db@1!", "os@1!", "web@1!"], &["db@2!", "os@2!", "web@2!"])
    } else {
        (&["db@1!", "web@1!"], &["db@2!", "web@2!"])
    };
    assert_eq!(life.deployed(), if code.is_success() { new } else { old }, "{what}: {code:?}");
    if with_os {
        let version = if code.is_success() { "2" } else { "1" };
        assert_eq!(life.world.booted, Some(release("os", version).id), "{what}");
    }
}

const KINDS: [Cut; 3] = [Cut::Before, Cut::Half, Cut::After];

fn every_cut(with_os: bool, sick: Option<&str>) -> usize {
    let mut start = before_update(with_os);
    start.world.sick.extend(sick.map(|id| release(id, "2").id));
    let events = update(start.clone(), &[]).events - start.events;
    let mut lives = 0;
    for at in 1..=events {
        for cut in KINDS {
            for reboot in [false, true] {
                let life = update(start.clone(), &[(at, cut, reboot)]);
                check_old_or_new(&life, with_os, &format!("{cut:?} at {at}, reboot {reboot}, sick {sick:?}"));
                if sick.is_none() {
                    assert_eq!(life.last().code, ResultCode::SUCCESS, "one cut does not undo a good update");
                } else {
                    assert!(!life.last().code.is_success(), "a sick release is never confirmed");
                }
                lives += 1;
            }
        }
    }
    assert!(events > 20, "the update has enough places to cut: {events}");
    lives
}

#[test]
fn a_cut_anywhere_in_a_container_update() {
    every_cut(false, None);
    every_cut(false, Some("web"));
}

#[test]
fn a_cut_anywhere_in_an_update_of_os_and_containers() {
    every_cut(true, None);
    every_cut(true, Some("web"));
    every_cut(true, Some("os"));
}

#[test]
fn two_cuts_anywhere() {
    for sick in [None, Some("web")] {
        let mut start = before_update(false);
        start.world.sick.extend(sick.map(|id| release(id, "2").id));
        let events = update(start.clone(), &[]).events - start.events;
        for first in 1..=events {
            for second in first + 1..=events + 12 {
                let cut = KINDS[(first + second) % 3];
                let cuts = [(first, cut, second % 2 == 0), (second, KINDS[second % 3], first % 2 == 0)];
                check_old_or_new(&update(start.clone(), &cuts), false, &format!("{cuts:?}"));
            }
        }
    }
}

#[test]
fn a_process_that_dies_again_and_again_gives_up_and_reverses() {
    let start = before_update(false);
    let events = update(start.clone(), &[]).events - start.events;
    for from in 1..=events {
        let cuts: Vec<_> = (from..from + 24).map(|at| (at, Cut::Half, false)).collect();
        let life = update(start.clone(), &cuts);
        check_old_or_new(&life, false, &format!("dies from {from}"));
    }
}
