//! Random histories of commands, outcomes, restarts and reboots, with the invariants checked after every step.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::{Cut, Life, World, component, install_from, package, release};
use proptest::prelude::*;
use scomo_core::command::{Command, Gate, Input, PackageLeaves, Terms, Then};
use scomo_core::failure::{Failure, FailureKind};
use scomo_core::id::JobId;
use scomo_core::state::{Component, Step};

#[derive(Debug, Clone)]
enum Act {
    Give(Command),
    CancelNow,
    Gated(Command, BTreeSet<Gate>),
    Permit(Gate),
    RefuseNow,
    Steps(usize),
    Settle,
    Reboot,
    Restart,
    Cut(usize, Cut, bool),
    Fault(FailureKind, usize),
    Sick(&'static str, &'static str, bool),
}

fn acts() -> impl Strategy<Value = Act> {
    let packages = || prop::sample::select(vec!["v1", "v2", "os1", "both", "none"]);
    let components = || prop::sample::select(vec!["db", "web", "os"]);
    let then = prop::sample::select(vec![Then::Stop, Then::Install, Then::InstallInactive]);
    let with_package: fn(&str) -> Vec<Command> = |id| {
        let id = package(id);
        let (source, leaves) = (format!("test:{id}"), PackageLeaves::default());
        vec![
            Command::AddDownload { id: id.clone(), source: source.clone(), leaves: leaves.clone() },
            Command::DeleteDownload { id: id.clone() },
            Command::AddDelivered { id: id.clone(), source, leaves },
            Command::Fetch { id: id.clone(), then: Then::Install },
            Command::Install { id: id.clone() },
            Command::InstallInactive { id: id.clone() },
            Command::RemovePackage { id },
        ]
    };
    let with_component: fn(&str) -> Vec<Command> = |id| {
        let id = component(id);
        vec![
            Command::Activate { id: id.clone() },
            Command::Deactivate { id: id.clone() },
            Command::RemoveComponent { id },
        ]
    };
    let cut = prop::sample::select(vec![Cut::Before, Cut::Half, Cut::After]);
    let fault = prop::sample::select(FailureKind::ALL.to_vec());
    prop_oneof![
        6 => (packages(), then).prop_map(|(id, then)| Act::Give(install_from(id, then))),
        4 => (packages(), 0..7usize).prop_map(move |(id, n)| Act::Give(with_package(id).swap_remove(n))),
        3 => (components(), 0..3usize).prop_map(move |(id, n)| Act::Give(with_component(id).swap_remove(n))),
        2 => (packages(), gates()).prop_map(|(id, gates)| Act::Gated(install_from(id, Then::Install), gates)),
        2 => prop::sample::select(Gate::ALL.to_vec()).prop_map(Act::Permit),
        1 => Just(Act::RefuseNow),
        2 => Just(Act::Give(Command::Rollback)),
        1 => Just(Act::Give(Command::CollectGarbage)),
        1 => Just(Act::Give(Command::ConfirmBoot)),
        2 => Just(Act::CancelNow),
        6 => (1..12usize).prop_map(Act::Steps),
        6 => Just(Act::Settle),
        3 => Just(Act::Reboot),
        2 => Just(Act::Restart),
        3 => (1..20usize, cut, any::<bool>()).prop_map(|(n, cut, reboot)| Act::Cut(n, cut, reboot)),
        2 => (fault, 1..4usize).prop_map(|(kind, n)| Act::Fault(kind, n)),
        2 => (prop::sample::select(vec![("web", "2"), ("db", "2"), ("os", "1"), ("os", "2")]), any::<bool>())
            .prop_map(|((id, version), sick)| Act::Sick(id, version, sick)),
    ]
}

fn gates() -> impl Strategy<Value = BTreeSet<Gate>> {
    prop::collection::btree_set(prop::sample::select(Gate::ALL.to_vec()), 1..=Gate::ALL.len())
}

fn world() -> World {
    let mut world = World::default();
    world.offer("v1", &[("db", "1"), ("web", "1")]);
    world.offer("v2", &[("db", "2"), ("web", "2")]);
    world.offer("os1", &[("os", "1")]);
    world.offer("both", &[("web", "2"), ("os", "2")]);
    world
}

/// What a job may change, as it was when the job began.
type Before = BTreeMap<String, String>;

fn images(components: &BTreeMap<scomo_core::id::ComponentId, Component>) -> Before {
    components.iter().map(|(id, c)| (id.to_string(), format!("{}{:?}", c.release.id, c.state))).collect()
}

fn act(life: &mut Life, act: Act) {
    match act {
        // A refusal is as good as an acceptance: the invariants decide.
        Act::Give(command) => drop(life.command(command)),
        Act::CancelNow => drop(life.command(Command::Cancel { job: JobId(life.state.last_job) })),
        Act::Gated(command, gates) => {
            let terms = Terms { gates, ..Terms::default() };
            let _ = life.input(&Input::Command { caller: common::caller(), terms, command });
        }
        Act::Permit(gate) => {
            drop(life.command(Command::Permit { job: JobId(life.state.last_job), gate }));
        }
        Act::RefuseNow => {
            let failure = Failure::new(FailureKind::Forbidden, "no");
            drop(life.command(Command::Refuse { job: JobId(life.state.last_job), failure }));
        }
        Act::Steps(n) => {
            for _ in 0..n {
                watched_step(life);
            }
        }
        Act::Settle => {
            for _ in 0..2000 {
                if !watched_step(life) {
                    return;
                }
            }
            panic!("no rest: {:?}", life.state.job);
        }
        Act::Reboot => life.reboot(),
        Act::Restart => life.start(),
        Act::Cut(n, cut, reboot) => drop(life.cuts.insert(life.events + n, (cut, reboot))),
        Act::Fault(kind, n) => life.world.faults.extend(std::iter::repeat_n(kind, n)),
        Act::Sick(id, version, sick) => {
            let id = release(id, version).id;
            let _ = if sick { life.world.sick.insert(id) } else { life.world.sick.remove(&id) };
        }
    }
}

/// A step during which a job may end: it ends with all of its changes or with none.
fn watched_step(life: &mut Life) -> bool {
    let (before, jobs) = (images(&life.state.components), life.state.history.len());
    let going = life.step();
    if life.state.history.len() > jobs && !life.last().code.is_success() {
        let after = images(&life.state.components);
        let changed_os = |id: &String| id.starts_with("os");
        let same = |a: &Before, b: &Before| a.iter().all(|(id, v)| changed_os(id) || b.get(id) == Some(v));
        assert!(same(&before, &after) && same(&after, &before), "a failed job changes no component");
    }
    going
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, max_shrink_iters: 2000, ..ProptestConfig::default() })]

    #[test]
    fn random_histories_keep_the_invariants(history in prop::collection::vec(acts(), 1..60)) {
        let mut life = Life::new(world());
        for step in history {
            act(&mut life, step);
            life.check();
        }
        // Whatever happened: without further faults everything comes to rest and is what the state says.
        life.cuts.clear();
        life.world.faults.clear();
        for _ in 0..12 {
            life.settle();
            let Some(job) = &life.state.job else { break };
            match job.step {
                Step::Await(gate) if gate != Gate::Boot => {
                    life.command(Command::Permit { job: job.id, gate }).unwrap();
                }
                _ => life.reboot(),
            }
        }
        life.start();
        life.settle();
        life.check_settled();
    }
}
