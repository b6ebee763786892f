//! A store of every released version stays readable. A golden file, once released, is never written again.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use rusqlite::Connection;
use scomo_core::command::{Command, Gate, PackageLeaves, ReportTo, Terms};
use scomo_core::fact::Fact;
use scomo_core::failure::FailureKind;
use scomo_core::id::Millis;
use scomo_core::state::{State, Step};
use scomo_core::tree::Subject;
use scomo_core::tree::edit::{Edit, Given, What};
use serde_json::Value;

use super::super::log::replay;
use super::lab::{Lab, caller, deployed, install, package};
use crate::engine::View;
use crate::sim::source::resolve;
use crate::sim::{FaultAction, StepName};
use crate::store::Store;

/// Every fact of version 1.
const NAMES: [&str; 33] = [
    "Adopted",
    "Booted",
    "Checkpoint",
    "Collected",
    "Committed",
    "Confirmed",
    "DataSet",
    "DeliveredAdded",
    "DeliveredDeleted",
    "DeliveredSet",
    "DownloadAdded",
    "DownloadDeleted",
    "DownloadSet",
    "Fetched",
    "Healthy",
    "Interrupted",
    "JobFinished",
    "JobStarted",
    "PackageDelivered",
    "Permitted",
    "Planned",
    "ReportAcknowledged",
    "Resolved",
    "Restored",
    "RevertStarted",
    "Reverted",
    "Staged",
    "Started",
    "StepFailed",
    "StepStarted",
    "Switched",
    "TreeWritten",
    "Unsettled",
];

fn golden() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/facts-v1.sql")
}

/// A life in which everything happens once.
fn eventful() -> Lab {
    let mut lab = Lab::new();
    let mut store = Store::open::<Fact>(&lab.store(), &mut |_, _| Ok(())).expect("open");
    let mut factory = resolve("sim:factory@0?os").expect("content");
    let release = factory.releases.remove(0);
    let facts = [Fact::Checkpoint { state: Box::default() }, Fact::Adopted { at: Millis(1), release }];
    store.append(Millis(1), &facts).expect("append");
    drop(store);
    let (id, leaves) = (package("x"), PackageLeaves { name: "X".to_owned(), ..PackageLeaves::default() });
    let source = "sim:x@1".to_owned();
    let life = lab.open();
    let done = |command: Command| {
        life.submit(None, command).expect("taken");
        life.until_idle();
    };
    done(Command::AddDownload { id: id.clone(), source: source.clone(), leaves: leaves.clone() });
    done(Command::SetDownload { id: id.clone(), source: source.clone(), leaves: leaves.clone() });
    done(Command::DeleteDownload { id: id.clone() });
    done(Command::AddDelivered { id: id.clone(), source: source.clone(), leaves: leaves.clone() });
    done(Command::SetDelivered { id: id.clone(), leaves });
    done(Command::SetData { id: id.clone(), source });
    done(Command::RemovePackage { id });
    let report = ReportTo { to: "server".to_owned(), uri: "./SCOMO".to_owned(), correlator: "c".to_owned() };
    let terms = Terms { report: Some(report), gates: [Gate::Install].into(), ..Terms::default() };
    let started = life.engine.submit(caller(), terms, install("g", "sim:g@1?db"));
    let job = started.expect("taken").job.expect("a job");
    let waits =
        |view: &View| view.state.job.as_ref().is_some_and(|job| job.step == Step::Await(Gate::Install));
    life.until("the gate", waits);
    done(Command::Permit { job, gate: Gate::Install });
    done(Command::AcknowledgeReport { id: 1 });
    let edit = Edit { uri: "./SCOMO/Ext/Colour".to_owned(), what: What::Add(Given::value("blue")) };
    done(Command::Tree { settings: Box::default(), subject: Subject::Local, edits: vec![edit] });
    lab.world.order(StepName::Fetch, 0, FaultAction::Fail(FailureKind::Unavailable));
    done(install("p", "sim:p@1?os&web"));
    life.engine.shutdown();
    lab.boot();
    let life = lab.open();
    life.until_idle();
    life.submit(None, install("q", "sim:q@1?db&web=unhealthy")).expect("taken");
    life.until_idle();
    // A kill in the middle of a health check.
    lab.world.order(StepName::Probe, 0, FaultAction::Hang);
    life.submit(None, install("q", "sim:q@2?db")).expect("taken");
    life.until("the hang", |_| lab.world.with(|w| w.faults.is_empty()));
    life.engine.shutdown();
    lab.world.with(|w| w.deployed.values_mut().for_each(|c| c.running = false));
    let life = lab.open();
    life.until_idle();
    life.engine.shutdown();
    lab
}

fn dump(db: &Connection) -> String {
    let quote = |bytes: Vec<u8>| -> String { bytes.iter().map(|byte| format!("{byte:02x}")).collect() };
    let text = |sql: &str| -> Vec<String> {
        let mut rows = db.prepare(sql).expect("prepare");
        let rows = rows.query_map([], |row| row.get(0)).expect("query");
        rows.map(|row| row.expect("row")).collect()
    };
    let pragma = |name: &str| -> i64 {
        db.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0)).expect("pragma")
    };
    let mut lines = vec![
        format!("PRAGMA application_id = {};", pragma("application_id")),
        format!("PRAGMA user_version = {};", pragma("user_version")),
    ];
    lines.extend(text("SELECT sql FROM sqlite_schema ORDER BY rowid").iter().map(|sql| format!("{sql};")));
    let mut rows = db.prepare("SELECT seq, at, body, chain FROM fact ORDER BY seq").expect("prepare");
    let mut rows = rows.query([]).expect("query");
    while let Some(row) = rows.next().expect("row") {
        let (seq, at): (i64, i64) = (row.get(0).expect("seq"), row.get(1).expect("at"));
        let (body, chain): (String, Vec<u8>) = (row.get(2).expect("body"), row.get(3).expect("chain"));
        let (body, chain) = (body.replace('\'', "''"), quote(chain));
        lines.push(format!("INSERT INTO fact VALUES ({seq}, {at}, '{body}', x'{chain}');"));
    }
    let head = db.query_row("SELECT base_seq, base_chain, last_seq, last_chain FROM head", [], |row| {
        let (a, b): (i64, i64) = (row.get(0)?, row.get(2)?);
        let (c, d): (Vec<u8>, Vec<u8>) = (row.get(1)?, row.get(3)?);
        Ok(format!("INSERT INTO head VALUES (1, {a}, x'{}', {b}, x'{}');", quote(c), quote(d)))
    });
    lines.push(head.expect("head"));
    lines.join("\n") + "\n"
}

/// Every value of `old` is in `new`; `new` may have more fields.
fn is_part(old: &Value, new: &Value) -> bool {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            old.iter().all(|(key, value)| new.get(key).is_some_and(|new| is_part(value, new)))
        }
        (Value::Array(old), Value::Array(new)) => {
            old.len() == new.len() && old.iter().zip(new).all(|(old, new)| is_part(old, new))
        }
        (old, new) => old == new,
    }
}

#[test]
fn a_store_of_version_1_stays_readable() {
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        let lab = eventful();
        fs::write(golden(), dump(&Connection::open(lab.store()).expect("open"))).expect("write");
    }
    let dir = tempfile::tempdir().expect("dir");
    let path = dir.path().join("facts.db");
    let sql = fs::read_to_string(golden()).expect("the golden file");
    let db = Connection::open(&path).expect("open");
    db.execute_batch(&format!("BEGIN; {sql} COMMIT;")).expect("load");
    drop(db);

    let (mut names, mut bodies) = (BTreeSet::new(), Vec::new());
    let store = Store::open::<Fact>(&path, &mut |_, fact| {
        names.insert(fact.name());
        bodies.push(serde_json::to_value(&fact).map_err(|e| e.to_string())?);
        Ok(())
    });
    drop(store.expect("open"));
    assert_eq!(names.into_iter().collect::<Vec<_>>(), NAMES, "every fact must be in the golden file");
    let mut raw = Vec::new();
    Store::salvage::<Value>(&path, &mut |_, fact| {
        raw.push(fact);
        Ok(())
    })
    .expect("read");
    for (old, new) in raw.iter().zip(&bodies) {
        assert!(is_part(old, new), "a field was lost or changed: {old} became {new}");
    }

    let mut state = State::default();
    Store::open::<Fact>(&path, &mut replay(&mut state)).expect("replay");
    let expected = [("db", "2"), ("os", "1"), ("web", "1")];
    let expected = expected.map(|(id, version)| (id.to_owned(), (version.to_owned(), true)));
    assert_eq!(deployed(&state), expected.into());
    assert_eq!(
        state.history.iter().map(|job| job.code.0).collect::<Vec<_>>(),
        [1200, 1200, 1200, 1450, 1200]
    );
}
