//! Random lives: commands, faults, kills and boots in any order. Jobs end, and the device is what the state says.

use proptest::prelude::*;
use scomo_core::command::{Command, Then};
use scomo_core::failure::FailureKind;
use scomo_core::id::JobId;
use scomo_core::state::Primitive;

use super::super::Refusal;
use super::lab::{Lab, assert_real, component, deployed, package};
use crate::sim::{FaultAction, StepName};

#[derive(Debug, Clone)]
enum Act {
    Command(Command),
    Fault(StepName, u32, FaultAction),
    /// Cancel whatever job runs, right after the next command.
    Cancel,
    Restart {
        reboot: bool,
        cut_at: u64,
    },
}

fn source() -> impl Strategy<Value = (String, String)> {
    let flags =
        prop_oneof![6 => Just(""), 1 => Just("=unhealthy"), 1 => Just("=corrupt"), 1 => Just("=huge")];
    let what = prop_oneof![
        3 => Just("web"), 3 => Just("db&web"), 2 => Just("os&web"), 1 => Just("os"), 1 => Just("db")
    ];
    (prop_oneof![Just("p"), Just("q")], 1..4_u8, what, flags)
        .prop_map(|(id, version, what, flag)| (id.to_owned(), format!("sim:{id}@{version}?{what}{flag}")))
}

fn command() -> impl Strategy<Value = Command> {
    let then = prop_oneof![4 => Just(Then::Install), 1 => Just(Then::Stop), 1 => Just(Then::InstallInactive)];
    let name = prop_oneof![Just("web"), Just("db"), Just("os")];
    prop_oneof![
        6 => (source(), then).prop_map(|((id, source), then)| Command::FetchFrom { id: package(&id), source, then }),
        1 => prop_oneof![Just("p"), Just("q")].prop_map(|id| Command::Install { id: package(id) }),
        1 => prop_oneof![Just("p"), Just("q")].prop_map(|id| Command::RemovePackage { id: package(id) }),
        1 => name.clone().prop_map(|id| Command::Activate { id: component(id) }),
        1 => name.clone().prop_map(|id| Command::Deactivate { id: component(id) }),
        1 => name.prop_map(|id| Command::RemoveComponent { id: component(id) }),
        1 => Just(Command::Rollback),
        1 => Just(Command::CollectGarbage),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    let step = prop_oneof![
        Just(StepName::Resolve),
        Just(StepName::Fetch),
        Just(StepName::Stage),
        Just(StepName::Switch),
        Just(StepName::Probe),
        Just(StepName::Confirm),
        Just(StepName::Collect),
    ];
    let action = prop_oneof![
        Just(FaultAction::Fail(FailureKind::Unavailable)),
        Just(FaultAction::Fail(FailureKind::Broken)),
        Just(FaultAction::DieHalfWay),
        Just(FaultAction::DieAfter),
    ];
    prop_oneof![
        6 => command().prop_map(Act::Command),
        2 => (step, 0..3_u32, action).prop_map(|(step, skip, action)| Act::Fault(step, skip, action)),
        1 => Just(Act::Cancel),
        3 => (any::<bool>(), 0..60_u64).prop_map(|(reboot, cut_at)| Act::Restart { reboot, cut_at }),
    ]
}

fn live(acts: Vec<Act>) {
    let mut lab = Lab::new();
    let mut life = lab.start(0);
    let mut cancel = false;
    for act in acts {
        match act {
            Act::Fault(step, skip, action) => lab.world.order(step, skip, action),
            Act::Cancel => cancel = true,
            Act::Restart { reboot, cut_at } => life = lab.restart(life, reboot, cut_at),
            Act::Command(command) => {
                let before = life.state();
                let result = life.submit(None, command);
                if let (Ok(receipt), true) = (&result, std::mem::take(&mut cancel)) {
                    let _ = life.submit(None, Command::Cancel { job: receipt.job.unwrap_or(JobId(0)) });
                }
                assert!(
                    life.cut.is_dead() || matches!(result, Ok(_) | Err(Refusal::Rejected(_))),
                    "{result:?}"
                );
                // Everything comes to rest, after as many boots and starts as it takes.
                let mut rounds = 0;
                let after = loop {
                    let view = life.until_idle();
                    if !life.cut.is_dead() && view.state.job.is_none() {
                        break view;
                    }
                    rounds += 1;
                    assert!(rounds < 30, "the job never ends: {:#?}", view.state.job);
                    let reboot = !life.cut.is_dead();
                    life = lab.restart(life, reboot, 0);
                };
                // A download that replaces another leaves data that the next collection deletes.
                life.cut.disarm();
                life.submit(None, Command::CollectGarbage).expect("at rest");
                let collected = life.until_idle();
                assert_real(&collected.state, &lab.world);
                assert_old_or_new(&before, &after.state);
            }
        }
    }
    life.die();
}

/// A job that succeeded did all of it, one that failed nothing.
fn assert_old_or_new(before: &scomo_core::state::State, after: &scomo_core::state::State) {
    let Some(job) = after.history.iter().find(|job| job.id.0 > before.last_job) else { return };
    let (old, new) = (deployed(before), deployed(after));
    let fell_back = after.components.values().any(|c| c.failure.is_some());
    if !job.code.is_success() && !fell_back {
        assert_eq!(old, new, "a failed job changed something: {job:?}");
    }
    if job.code.is_success() && matches!(job.primitive, Primitive::DownloadInstall) && !fell_back {
        for line in &job.changed {
            let (id, version) = line.split_once(' ').expect("id and version");
            assert_eq!(new[id], (version.to_owned(), true), "{job:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 200, ..ProptestConfig::default() })]
    #[test]
    fn whatever_happens_jobs_end_and_the_device_is_what_the_state_says(
        acts in prop::collection::vec(act(), 1..14)
    ) {
        live(acts);
    }
}
