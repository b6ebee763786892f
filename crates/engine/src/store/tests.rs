use std::os::unix::fs::PermissionsExt;

use nix::mount::{MsFlags, mount, umount};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;

/// A folder in memory where there is one: these tests open some ten thousand stores.
fn folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("dir")
}

fn facts() -> Vec<Value> {
    (0..3).map(|n| json!({ "fact": "counted", "n": n, "text": "ä ".repeat(n) })).collect()
}

fn collect(into: &mut Vec<Value>) -> impl FnMut(u64, Value) -> Result<(), String> {
    |_, fact| {
        into.push(fact);
        Ok(())
    }
}

fn open(path: &Path) -> Result<(Store, Vec<Value>), StoreError> {
    let mut seen = Vec::new();
    let store = Store::open(path, &mut collect(&mut seen))?;
    Ok((store, seen))
}

fn salvage(path: &Path) -> (Result<(), StoreError>, Vec<Value>) {
    let mut seen = Vec::new();
    let result = Store::salvage(path, &mut collect(&mut seen));
    (result, seen)
}

/// A closed store with the facts of [`facts`], and its bytes.
fn sample(dir: &Path) -> (PathBuf, Vec<u8>) {
    let path = dir.join("facts.db");
    let (mut store, _) = open(&path).expect("open");
    store.append(Millis(1), &facts()[..2]).expect("append");
    store.append(Millis(2), &facts()[2..]).expect("append");
    drop(store);
    let bytes = fs::read(&path).expect("read");
    (path, bytes)
}

#[test]
fn facts_come_back_in_order() {
    let dir = folder();
    let (path, _) = sample(dir.path());
    let (store, seen) = open(&path).expect("open");
    assert_eq!(seen, facts());
    assert_eq!(store.last_seq(), 3);
    drop(store);
    let names: Vec<_> =
        fs::read_dir(dir.path()).expect("dir").map(|e| e.expect("entry").file_name()).collect();
    assert_eq!(names, ["facts.db"], "nothing else may be left");
    assert_eq!(salvage(&path).1, facts());
}

#[test]
fn an_append_is_all_or_nothing() {
    struct Bad;
    impl Serialize for Bad {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("never"))
        }
    }
    let dir = folder();
    let (path, _) = sample(dir.path());
    let (mut store, _) = open(&path).expect("open");
    let mixed: [Result<Value, Bad>; 2] = [Ok(json!(1)), Err(Bad)];
    let failed = store.append(Millis(3), &mixed);
    assert!(matches!(failed, Err(StoreError::Encode(_))), "{failed:?}");
    store.append(Millis(4), &[json!("after")]).expect("append");
    drop(store);
    let mut expected = facts();
    expected.push(json!("after"));
    assert_eq!(open(&path).expect("open").1, expected);
}

#[test]
fn a_refused_fact_stops_the_opening() {
    let dir = folder();
    let (path, _) = sample(dir.path());
    let refuse = &mut |seq: u64, _: Value| if seq == 2 { Err("no".to_owned()) } else { Ok(()) };
    let error = Store::open(&path, refuse).expect_err("refused");
    assert!(matches!(&error, StoreError::Illegal { seq: 2, why } if why == "no"), "{error:?}");
    let unknown = Store::open(&path, &mut |_, _: u8| Ok(())).expect_err("not a number");
    assert!(matches!(unknown, StoreError::Unknown { seq: 1, .. }), "{unknown:?}");
}

/// A changed store is refused, or the change made no difference: then it must also take one more fact.
fn assert_noticed_or_harmless(path: &Path, what: &str) -> bool {
    let Ok((mut store, seen)) = open(path) else {
        let (_, prefix) = salvage(path);
        assert!(facts().starts_with(&prefix), "{what}: another history was salvaged: {prefix:?}");
        return false;
    };
    assert_eq!(seen, facts(), "{what}: another history");
    if store.append(Millis(9), &[json!("more")]).is_ok() {
        drop(store);
        let (_, seen) = open(path).unwrap_or_else(|e| panic!("{what}: lost after an append: {e}"));
        assert_eq!((&seen[..3], &seen[3]), (&facts()[..], &json!("more")), "{what}");
    }
    true
}

fn rewrite(path: &Path, bytes: &[u8]) {
    for suffix in ["-wal", "-shm", "-journal"] {
        let _ = fs::remove_file(beside(path, suffix));
    }
    fs::write(path, bytes).expect("write");
}

#[test]
fn every_changed_byte_is_noticed_or_harmless() {
    let dir = folder();
    let (path, good) = sample(dir.path());
    let mut harmless = 0;
    for position in 0..good.len() {
        for change in [0x01, 0xff] {
            let mut bytes = good.clone();
            bytes[position] ^= change;
            rewrite(&path, &bytes);
            harmless +=
                usize::from(assert_noticed_or_harmless(&path, &format!("byte {position} ^ {change:#x}")));
        }
    }
    assert!(harmless < good.len() * 2, "the checks check nothing");
}

#[test]
fn a_store_of_any_other_length_is_refused() {
    let dir = folder();
    let (path, good) = sample(dir.path());
    for length in 0..good.len() {
        rewrite(&path, &good[..length]);
        assert!(open(&path).is_err(), "{length} of {} bytes were taken for whole", good.len());
        assert_eq!(fs::read(&path).expect("read").len(), length, "a damaged store was changed");
    }
}

#[test]
fn a_damaged_log_gives_the_old_state_or_the_new() {
    let dir = folder();
    let path = dir.path().join("facts.db");
    let (mut store, _) = open(&path).expect("open");
    store.append(Millis(1), &facts()[..2]).expect("append");
    // As after a power cut between the commit and what follows it.
    store.commit(Millis(2), &facts()[2..], false).expect("commit");
    let (db, wal) = (fs::read(&path).expect("db"), fs::read(beside(&path, "-wal")).expect("wal"));
    drop(store);
    assert!(!wal.is_empty());
    let check = |wal: &[u8], what: &str| {
        rewrite(&path, &db);
        fs::write(beside(&path, "-wal"), wal).expect("wal");
        match open(&path) {
            Ok((_, seen)) => assert!(seen == facts() || seen == facts()[..2], "{what}: {seen:?}"),
            Err(error) => assert!(matches!(error, StoreError::Corrupt(_)), "{what}: {error:?}"),
        }
    };
    for position in 0..wal.len() {
        let mut bytes = wal.clone();
        bytes[position] ^= 0xff;
        check(&bytes, &format!("byte {position}"));
    }
    for length in 0..=wal.len() {
        check(&wal[..length], &format!("length {length}"));
    }
    rewrite(&path, &db);
    fs::write(beside(&path, "-wal"), &wal).expect("wal");
    assert_eq!(open(&path).expect("open").1, facts(), "a whole log is recovered");
}

#[test]
fn an_acknowledged_fact_needs_no_log() {
    let dir = folder();
    let path = dir.path().join("facts.db");
    let (mut store, _) = open(&path).expect("open");
    store.append(Millis(1), &facts()).expect("append");
    let db = fs::read(&path).expect("db");
    assert_eq!(fs::read(beside(&path, "-wal")).map_or(0, |wal| wal.len()), 0);
    drop(store);
    rewrite(&path, &db);
    assert_eq!(open(&path).expect("open").1, facts());
}

#[test]
fn what_is_not_a_store_is_refused_and_left_alone() {
    let dir = folder();
    let path = dir.path().join("facts.db");
    for garbage in [&b""[..], b"\0", b"hello", &[0; 4096], &[0xff; 10_000], b"SQLite format 3\0"] {
        rewrite(&path, garbage);
        let error = open(&path).expect_err("garbage");
        assert!(matches!(error, StoreError::Corrupt(_)), "{error:?}");
        assert_eq!(fs::read(&path).expect("read"), garbage, "it was changed");
        assert_eq!(salvage(&path).1, Vec::<Value>::new());
    }
    rewrite(&path, b"");
    fs::remove_file(&path).expect("remove");
    fs::write(beside(&path, "-wal"), "left").expect("write");
    let error = open(&path).expect_err("only a log");
    assert!(matches!(error, StoreError::Corrupt(_)), "{error:?}");
    assert!(!path.exists(), "a damaged store was started anew");
    // Another program's database is not ours either.
    fs::remove_file(beside(&path, "-wal")).expect("remove");
    Connection::open(&path).expect("open").execute_batch("CREATE TABLE t (x)").expect("create");
    assert!(matches!(open(&path), Err(StoreError::Corrupt(_))));
}

#[test]
fn a_newer_store_is_refused() {
    let dir = folder();
    let (path, _) = sample(dir.path());
    Connection::open(&path).expect("open").execute_batch("PRAGMA user_version = 2").expect("pragma");
    let error = open(&path).expect_err("newer");
    assert!(matches!(error, StoreError::TooNew { found: 2, known: 1 }), "{error:?}");
    assert_eq!(salvage(&path).1, Vec::<Value>::new());
}

#[test]
fn a_store_is_held_by_one() {
    let dir = folder();
    let (path, _) = sample(dir.path());
    let (store, _) = open(&path).expect("open");
    let error = open(&path).expect_err("held");
    assert!(matches!(error, StoreError::Locked), "{error:?}");
    drop(store);
    assert!(open(&path).is_ok());
}

#[test]
fn half_a_creation_is_begun_again() {
    let dir = folder();
    let path = dir.path().join("facts.db");
    fs::write(beside(&path, ".new"), "half").expect("write");
    fs::write(beside(&path, ".new-wal"), "half").expect("write");
    assert_eq!(open(&path).expect("open").1, Vec::<Value>::new());
}

#[test]
fn a_checkpoint_replaces_what_was_before() {
    let dir = folder();
    let (path, _) = sample(dir.path());
    let (mut store, _) = open(&path).expect("open");
    assert!(!store.is_long());
    let many = vec![json!("x"); usize::try_from(ROWS_MAX).expect("fits") - 3];
    store.append(Millis(3), &many).expect("append");
    assert!(!store.is_long());
    store.append(Millis(3), &[json!("x")]).expect("append");
    assert!(store.is_long());
    store.compact(Millis(4), &json!("all")).expect("compact");
    assert!(!store.is_long());
    store.append(Millis(5), &[json!("after")]).expect("append");
    drop(store);
    let (store, seen) = open(&path).expect("open");
    assert_eq!(seen, [json!("all"), json!("after")]);
    assert_eq!(store.last_seq(), ROWS_MAX + 3);
    drop(store);
    // Rows that were cut off are noticed at the new beginning too.
    let db = Connection::open(&path).expect("open");
    db.execute("DELETE FROM fact WHERE seq = (SELECT min(seq) FROM fact)", []).expect("delete");
    drop(db);
    assert!(matches!(open(&path), Err(StoreError::Corrupt(_))));
}

/// Appends until the disk is full; then nothing of the last append may be there.
fn fill(path: &Path, store: &mut Store, mut seen: usize) -> usize {
    let big = json!("x".repeat(3000));
    loop {
        match store.append(Millis(1), &[big.clone(), big.clone()]) {
            Ok(()) => seen += 2,
            Err(error) => {
                assert!(matches!(error, StoreError::Full), "{}: {error:?}", path.display());
                return seen;
            }
        }
        assert!(seen < 10_000, "the disk never fills");
    }
}

#[test]
fn a_store_that_may_not_grow_keeps_what_it_has() {
    let dir = folder();
    let (path, _) = sample(dir.path());
    let (mut store, _) = open(&path).expect("open");
    store.db.execute_batch("PRAGMA max_page_count = 20").expect("pragma");
    let count = fill(&path, &mut store, 3);
    store.db.execute_batch("PRAGMA max_page_count = 1000000").expect("pragma");
    store.append(Millis(2), &[json!("after")]).expect("append");
    drop(store);
    let (_, seen) = open(&path).expect("open");
    assert_eq!((seen.len(), seen.last()), (count + 1, Some(&json!("after"))));
}

struct Mounted(PathBuf);

impl Mounted {
    fn new(dir: &Path, options: &str) -> Option<Self> {
        if !nix::unistd::Uid::effective().is_root() {
            return None;
        }
        mount(Some("tmpfs"), dir, Some("tmpfs"), MsFlags::empty(), Some(options)).expect("mount");
        Some(Self(dir.to_owned()))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        umount(&self.0).expect("umount");
    }
}

#[test]
fn a_full_disk_loses_nothing() {
    let dir = folder();
    let Some(_mounted) = Mounted::new(dir.path(), "size=256k") else {
        eprintln!("SKIPPED: needs root: a_full_disk_loses_nothing");
        return;
    };
    let (path, _) = sample(dir.path());
    let ballast = dir.path().join("ballast");
    fs::write(&ballast, vec![0; 64 << 10]).expect("ballast");
    let (mut store, _) = open(&path).expect("open");
    let count = fill(&path, &mut store, 3);
    // Whatever happens now: a crash keeps all that was acknowledged.
    let elsewhere = folder();
    for name in ["facts.db", "facts.db-wal"] {
        fs::copy(dir.path().join(name), elsewhere.path().join(name)).expect("copy");
    }
    assert_eq!(open(&elsewhere.path().join("facts.db")).expect("open").1.len(), count);
    fs::remove_file(&ballast).expect("remove");
    store.append(Millis(2), &[json!("after")]).expect("append");
    drop(store);
    let (_, seen) = open(&path).expect("open");
    assert_eq!((seen.len(), seen.last()), (count + 1, Some(&json!("after"))));
}

#[test]
fn a_full_disk_at_the_first_start_leaves_no_store() {
    let dir = folder();
    let Some(_mounted) = Mounted::new(dir.path(), "size=8k") else {
        eprintln!("SKIPPED: needs root: a_full_disk_at_the_first_start_leaves_no_store");
        return;
    };
    let path = dir.path().join("facts.db");
    let error = open(&path).expect_err("full");
    assert!(matches!(error, StoreError::Full), "{error:?}");
    assert!(!path.exists());
}

#[test]
fn a_read_only_store_can_be_read() {
    let dir = folder();
    let Some(_mounted) = Mounted::new(dir.path(), "size=1m") else {
        eprintln!("SKIPPED: needs root: a_read_only_store_can_be_read");
        return;
    };
    let (path, _) = sample(dir.path());
    let again = MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
    mount(None::<&str>, dir.path(), None::<&str>, again, None::<&str>).expect("remount");
    let error = open(&path).expect_err("read-only");
    assert!(matches!(error, StoreError::ReadOnly), "{error:?}");
    let (result, seen) = salvage(&path);
    assert!(result.is_ok(), "{result:?}");
    assert_eq!(seen, facts());
}

#[test]
fn a_file_that_must_not_be_written_is_read_only() {
    if nix::unistd::Uid::effective().is_root() {
        return;
    }
    let dir = folder();
    let (path, _) = sample(dir.path());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).expect("chmod");
    assert!(matches!(open(&path), Err(StoreError::ReadOnly)));
}
