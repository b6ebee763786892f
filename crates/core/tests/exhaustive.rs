//! Every kind of state against every kind of input.
//!
//! The state space is explored breadth first. Two states are of one kind when they agree on everything that the
//! machine can decide on, counters and names apart. In each kind, every command, every outcome of every task, a
//! tick and every way to start is tried: whatever is decided must be legal facts. What was seen is written as
//! diagrams to `docs/generated/states.md`; the test fails when they drift (`UPDATE_EXPECT=1` writes them anew).

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;

use common::{boot, caller, command, component, content, install_from, package};
use scomo_core::command::{Command, Gate, Input, PackageLeaves, Terms, Then};
use scomo_core::decide::decide;
use scomo_core::effect::{Effect, EffectOk, Inventory};
use scomo_core::fact::Fact;
use scomo_core::failure::{Failure, FailureKind};
use scomo_core::id::{JobId, Millis};
use scomo_core::pending::Pending;
use scomo_core::spec::{ComponentKind, Content};
use scomo_core::state::{Retry, Run, State};
use scomo_core::status::DownloadStatus;
use scomo_core::{apply, pending};

const NOW: Millis = Millis(1_000_000);

/// Everything that can be asked.
fn commands() -> Vec<Command> {
    let mut all = vec![
        Command::Rollback,
        Command::Cancel { job: JobId(1) },
        Command::Cancel { job: JobId(9) },
        Command::ConfirmBoot,
        Command::CollectGarbage,
        Command::Refuse { job: JobId(1), failure: Failure::new(FailureKind::Forbidden, "scripted") },
        Command::AcknowledgeReport { id: 1 },
    ];
    all.extend(Gate::ALL.map(|gate| Command::Permit { job: JobId(1), gate }));
    for id in ["apps", "osp"] {
        for then in [Then::Stop, Then::Install, Then::InstallInactive] {
            all.push(install_from(id, then));
            all.push(Command::Fetch { id: package(id), then });
        }
        let (source, leaves) = (format!("test:{id}"), PackageLeaves::default());
        let id = package(id);
        all.extend([
            Command::SetDownload { id: id.clone(), source: source.clone(), leaves: leaves.clone() },
            Command::SetDelivered { id: id.clone(), leaves: leaves.clone() },
            Command::SetData { id: id.clone(), source: source.clone() },
            Command::AddDownload { id: id.clone(), source: source.clone(), leaves: leaves.clone() },
            Command::DeleteDownload { id: id.clone() },
            Command::AddDelivered { id: id.clone(), source, leaves },
            Command::Install { id: id.clone() },
            Command::InstallInactive { id: id.clone() },
            Command::RemovePackage { id },
        ]);
    }
    for id in ["web", "os"] {
        let id = component(id);
        all.extend([
            Command::Activate { id: id.clone() },
            Command::Deactivate { id: id.clone() },
            Command::RemoveComponent { id },
        ]);
    }
    all
}

fn offered(id: &str) -> Content {
    match id {
        "apps" => content(&[("web", "1")]),
        _ => content(&[("os", "1"), ("web", "2")]),
    }
}

fn good(effect: &Effect) -> Vec<EffectOk> {
    match effect {
        Effect::Resolve { package, .. } => vec![EffectOk::Resolved { content: offered(package.as_str()) }],
        Effect::Fetch { .. } => vec![EffectOk::Fetched { size: 1 }],
        Effect::Stage { .. } => vec![EffectOk::Staged],
        Effect::Switch { kind, .. } => {
            let mut ends = vec![EffectOk::Switched { reboot_needed: false }];
            if *kind == ComponentKind::Os {
                ends.push(EffectOk::Switched { reboot_needed: true });
            }
            ends
        }
        Effect::Probe { .. } => vec![EffectOk::Healthy],
        Effect::Confirm { .. } => vec![EffectOk::Confirmed],
        Effect::Collect { .. } => vec![EffectOk::Collected],
    }
}

fn outcomes(state: &State) -> Vec<Input> {
    let mut all = Vec::new();
    for Pending { key, effect } in pending(state, NOW) {
        let ends = good(&effect).into_iter().map(Ok);
        let failures = FailureKind::ALL.into_iter().map(|kind| Err(Failure::new(kind, "scripted")));
        let misfit = std::iter::once(Ok(EffectOk::Collected));
        all.extend(
            ends.chain(failures).chain(misfit).map(|result| Input::Outcome { task: key.clone(), result }),
        );
    }
    all
}

/// The ways in which a process can find the world when it starts.
fn starts(state: &State) -> Vec<Input> {
    let kinds = [ComponentKind::Container, ComponentKind::Os];
    let found = |running: &dyn Fn(ComponentKind) -> Vec<_>| {
        let inventory = |kind| Inventory {
            running: running(kind),
            persistent: kind == ComponentKind::Os,
            ..Inventory::default()
        };
        kinds.iter().map(|kind| (*kind, inventory(*kind))).collect::<BTreeMap<_, _>>()
    };
    let of = |kind: ComponentKind, after: bool| {
        let changes = state.job.iter().flat_map(|job| job.changes.iter().flatten());
        let images = changes.filter_map(|c| if after { c.after.as_ref() } else { c.before.as_ref() });
        let deployed = state.components.values().filter(|_| !after);
        images
            .chain(deployed)
            .map(|c| &c.release)
            .filter(|r| r.spec.kind == kind)
            .map(|r| r.id.clone())
            .collect()
    };
    let mut all = Vec::new();
    for boot_number in [1, 2] {
        for found in [
            BTreeMap::new(),
            found(&|_| Vec::new()),
            found(&|kind| of(kind, false)),
            found(&|kind| of(kind, true)),
        ] {
            all.push(Input::ProcessStarted { boot: boot(boot_number), found });
        }
    }
    all
}

fn inputs(state: &State) -> Vec<Input> {
    let mut all: Vec<Input> = commands().into_iter().map(command).collect();
    let gates = Gate::ALL.into_iter().collect();
    let terms = Terms { gates, ..Terms::default() };
    let gated = install_from("apps", Then::Install);
    all.push(Input::Command { caller: caller(), terms, command: gated });
    all.push(Input::Tick);
    all.extend(outcomes(state));
    all.extend(starts(state));
    all
}

/// What is left of a state when counters, times and names of no consequence are taken away. While a job runs, only
/// what it works on counts: commands on anything else are refused then.
fn kind_of(state: &State) -> String {
    let mut kind = String::new();
    for (id, component) in &state.components {
        let version = &component.release.spec.version;
        let broken = component.failure.is_some();
        write!(kind, "C{id}{version}{}{broken}", component.state.value()).unwrap();
    }
    write!(kind, "R{}d{}", !state.rollback.is_empty(), !state.drift.is_empty()).unwrap();
    if let Some(job) = &state.job {
        let run = match job.run {
            Run::Idle => 'i',
            Run::Attempt(_) => 'a',
            Run::Waiting { .. } => 'w',
        };
        let reverting = job.reverting.is_some();
        write!(kind, "J{:?}{:?}{:?}{run}{reverting:?}", job.primitive, job.target, job.step).unwrap();
        write!(kind, "G{:?}", Gate::ALL.map(|gate| job.stops_at(gate))).unwrap();
    } else {
        for (id, download) in &state.downloads {
            write!(kind, "D{id}{}", download.status == DownloadStatus::Idle).unwrap();
        }
        for (id, package) in &state.delivered {
            write!(kind, "P{id}{}{}", package.state.value(), package.content.is_some()).unwrap();
        }
        let statuses: Vec<_> = state.components.values().map(|c| c.status.value()).collect();
        write!(kind, "g{}s{statuses:?}", !state.garbage.is_empty()).unwrap();
    }
    kind
}

/// Counters back to their first values, so that exploring ends.
fn normal(mut state: State) -> State {
    state.history.clear();
    state.requests.clear();
    state.failed.clear();
    state.reports.clear();
    state.last_report = 0;
    state.last_job = 0;
    state.boot = Some(boot(1));
    let due = |retry: &mut Retry| retry.not_before = Millis(retry.not_before.0.min(NOW.0));
    state.drift.values_mut().for_each(due);
    state.garbage.values_mut().for_each(due);
    if let Some(job) = &mut state.job {
        job.id = JobId(1);
        state.last_job = 1;
        job.interruptions = job.interruptions.min(1);
        if let Run::Waiting { until, .. } = &mut job.run {
            *until = NOW;
        }
    }
    state
}

/// The diagrams: edges seen, by what they connect.
#[derive(Default)]
struct Seen {
    package: BTreeSet<(String, String, String)>,
    component: BTreeSet<(String, String, String)>,
    job: BTreeSet<(String, String, String)>,
    kinds: usize,
    decisions: usize,
    refused: usize,
}

fn package_state(state: &State) -> String {
    let id = package("apps");
    match (state.delivered.get(&id), state.downloads.get(&id)) {
        (Some(p), _) => format!("{}: {}", p.state.name(), p.status.name()),
        (None, Some(d)) => format!("not-downloaded: {}", d.status.name()),
        (None, None) => "unknown".into(),
    }
}

fn component_state(state: &State) -> String {
    let found = state.components.get(&component("web"));
    found.map_or_else(|| "absent".into(), |c| format!("{}: {}", c.state.name(), c.status.name()))
}

fn job_state(state: &State) -> String {
    let Some(job) = &state.job else { return "none".into() };
    let back = if job.reverting.is_some() { "reverse " } else { "" };
    let wait = if matches!(job.run, Run::Waiting { .. }) { " (waiting)" } else { "" };
    format!("{back}{}{wait}", job.step.as_str())
}

fn label(state: &State, fact: &Fact) -> String {
    match fact {
        Fact::JobStarted { primitive, .. } => primitive.as_str().into(),
        Fact::JobFinished { code, .. } => {
            let primitive = state.job.as_ref().map_or("", |job| job.primitive.as_str());
            format!("{primitive} {}", if code.is_success() { "succeeds" } else { "fails" })
        }
        fact => fact.name().into(),
    }
}

impl Seen {
    fn fact(&mut self, before: &State, after: &State, fact: &Fact) {
        let label = label(before, fact);
        let edge = |from: String, to: String, keep_loops: bool| {
            (from != to || keep_loops).then(|| (from, label.clone(), to))
        };
        self.package.extend(edge(package_state(before), package_state(after), false));
        self.component.extend(edge(component_state(before), component_state(after), false));
        self.job.extend(edge(job_state(before), job_state(after), false));
    }

    fn explore(&mut self) {
        let mut kinds = BTreeSet::new();
        let mut open = VecDeque::from([normal(State::default())]);
        while let Some(state) = open.pop_front() {
            if !kinds.insert(kind_of(&state)) {
                continue;
            }
            for input in inputs(&state) {
                self.decisions += 1;
                let Ok(facts) = decide(&state, NOW, &input) else {
                    self.refused += 1;
                    continue;
                };
                let mut next = state.clone();
                for fact in &facts {
                    let before = next.clone();
                    apply(&mut next, fact).unwrap_or_else(|e| panic!("{e}\nin {state:#?}\nafter {input:?}"));
                    self.fact(&before, &next, fact);
                }
                let next = normal(next);
                if !kinds.contains(&kind_of(&next)) {
                    open.push_back(next);
                }
            }
        }
        self.kinds = kinds.len();
    }

    fn document(&self) -> String {
        let mut text = String::from(
            "# State machines\n\nGenerated by `cargo test -p scomo-core --test exhaustive`; do not edit.\n\
             An edge carries the primitive or the fact that makes it.\n",
        );
        let parts = [
            ("A Delivery Package: state and status", &self.package),
            ("A Deployment Component: state and status", &self.component),
            ("A job: its step", &self.job),
        ];
        for (title, edges) in parts {
            write!(text, "\n## {title}\n\n```mermaid\nstateDiagram-v2\n").unwrap();
            let states: BTreeSet<&String> = edges.iter().flat_map(|(from, _, to)| [from, to]).collect();
            let id = |state: &String| states.iter().position(|s| *s == state).unwrap();
            for state in &states {
                writeln!(text, "    s{} : {}", id(state), state.replace(": ", ", ")).unwrap();
            }
            let mut grouped: BTreeMap<(usize, usize), BTreeSet<&str>> = BTreeMap::new();
            for (from, label, to) in edges {
                grouped.entry((id(from), id(to))).or_default().insert(label);
            }
            for ((from, to), labels) in grouped {
                let labels: Vec<&str> = labels.into_iter().collect();
                writeln!(text, "    s{from} --> s{to} : {}", labels.join(" / ")).unwrap();
            }
            text.push_str("```\n");
        }
        text
    }
}

#[test]
fn every_state_against_every_input() {
    let mut seen = Seen::default();
    seen.explore();
    println!("{} kinds of states, {} decisions, {} refused", seen.kinds, seen.decisions, seen.refused);
    assert!(seen.kinds > 500, "the machine is explored: {}", seen.kinds);
    expect_test::expect_file!["../../../docs/generated/states.md"].assert_eq(&seen.document());
}
