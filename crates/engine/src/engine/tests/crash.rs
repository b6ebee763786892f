//! The power goes at every fact and at every border of every effect; in the end it makes no difference.

use std::collections::BTreeMap;

use scomo_core::command::Command;
use scomo_core::failure::ResultCode;
use scomo_core::state::State;

use super::lab::{Lab, assert_real, component, deployed, install};

/// What must be the same whether the power went or not.
type Outcome = (BTreeMap<String, (String, bool)>, Vec<ResultCode>);

fn outcome(state: &State) -> Outcome {
    (deployed(state), state.history.iter().map(|job| job.code).collect())
}

/// When the power goes: given how many points all lives before have seen, the point of the next one; zero: never.
type Plan<'a> = &'a mut dyn FnMut(u64) -> u64;

/// Runs a script through as many lives as it takes. Returns the outcome and whether the power ever went.
fn play(script: &[Command], plan: Plan<'_>, boots: bool) -> (Outcome, bool) {
    let mut lab = Lab::new();
    let (mut seen, mut was_cut) = (0, false);
    let mut life = lab.start(plan(seen));
    for command in script {
        let request = lab.request();
        let mut taken = false;
        loop {
            if !taken {
                match life.submit(Some(request.clone()), command.clone()) {
                    Ok(_) => taken = true,
                    Err(error) => assert!(life.cut.is_dead(), "{command:?}: {error:?}"),
                }
            }
            let view = life.until_idle();
            let dead = life.cut.is_dead();
            if !dead && view.state.job.is_none() {
                assert_real(&view.state, &lab.world);
                break;
            }
            // It may have been taken and stored, and only the answer was lost: asking again tells.
            taken &= !dead;
            was_cut |= dead;
            seen += life.cut.points();
            life = lab.restart(life, boots || !dead, plan(seen));
        }
    }
    let state = life.state();
    life.die();
    (outcome(&state), was_cut)
}

fn containers() -> Vec<Command> {
    vec![
        install("p", "sim:p@1?db&web"),
        install("p", "sim:p@2?db&web"),
        install("p", "sim:p@3?db&web=unhealthy"),
        install("p", "sim:p@4?db=corrupt&web"),
    ]
}

fn components() -> Vec<Command> {
    let id = || component("web");
    vec![
        install("p", "sim:p@1?web"),
        Command::Deactivate { id: id() },
        Command::Activate { id: id() },
        install("p", "sim:p@2?web"),
        Command::Rollback,
        Command::RemoveComponent { id: id() },
        Command::CollectGarbage,
    ]
}

fn system() -> Vec<Command> {
    vec![
        install("p", "sim:p@1?os&web"),
        install("p", "sim:p@2?os&web"),
        install("p", "sim:p@3?os=unhealthy&web"),
    ]
}

/// Cuts once at every point of the script.
fn cut_everywhere(script: &[Command], boots: bool) {
    let (expected, _) = play(script, &mut |_| 0, boots);
    for point in 1_u64.. {
        let mut done = false;
        let plan = &mut |seen: u64| {
            let next = if done { 0 } else { point.saturating_sub(seen) };
            done |= next == 0;
            next
        };
        let (result, was_cut) = play(script, plan, boots);
        assert_eq!(result, expected, "after a cut at point {point}");
        if !was_cut {
            assert!(point > 50, "the script has {point} points only");
            return;
        }
    }
}

#[test]
fn a_killed_daemon_finishes_container_updates() {
    cut_everywhere(&containers(), false);
}

#[test]
fn a_power_cut_in_container_updates_makes_no_difference() {
    cut_everywhere(&containers(), true);
}

#[test]
fn a_killed_daemon_finishes_what_is_done_with_components() {
    cut_everywhere(&components(), false);
}

#[test]
fn a_killed_daemon_finishes_os_updates() {
    cut_everywhere(&system(), false);
}

#[test]
fn several_cuts_in_one_life_make_no_difference() {
    for (script, boots) in [(containers(), true), (components(), false)] {
        let (expected, _) = play(&script, &mut |_| 0, boots);
        // Points of each life are counted from its start, and a life that restarts a step sees some before it.
        for first in (3..120).step_by(13) {
            for second in [1, 4, 9, 16] {
                let mut cuts = [first, second, second + 3, 2].into_iter();
                let (result, _) = play(&script, &mut |_| cuts.next().unwrap_or(0), boots);
                assert_eq!(result, expected, "after cuts at {first}, {second}, {}, 2", second + 3);
            }
        }
    }
}
