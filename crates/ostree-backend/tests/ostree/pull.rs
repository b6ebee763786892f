//! Finding and pulling commits, and repositories that fail.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use scomo_core::failure::FailureKind;
use scomo_core::spec::Payload;
use scomo_engine::backend::{StepCx, chain};

use crate::common::{Device, Repository, Server, fails, run, skip, until};

fn world() -> (Repository, Server, Device) {
    let repository = Repository::new();
    let server = Server::start(repository.web_root()).expect("a server");
    let mut device = Device::new(&repository);
    device.trust(&server);
    (repository, server, device)
}

fn source(server: &Server, version: &str) -> String {
    Repository::remote(server, &Repository::branch(version))
}

#[test]
fn a_commit_is_pulled_once_and_described() {
    if skip("a_commit_is_pulled_once_and_described") {
        return;
    }
    let (repository, server, device) = world();
    let commit = repository.commit("1", &[]);
    let config = fs::read(device.repo().join("config")).expect("config");
    let content = device.try_resolve(&source(&server, "1")).expect("resolve");
    let v1 = content.releases[0].clone();
    assert_eq!(content.digest.as_str(), format!("sha256:{commit}"));
    assert_eq!((content.info.version.as_str(), v1.spec.version.as_str()), ("1", "1"));
    assert_eq!(v1.spec.description, "Demo OS 1");
    assert!(server.asked().iter().all(|path| !path.ends_with(".filez")), "resolving downloads no payload");
    let progress = device.fetch_watched(&v1);
    let asked = server.asked();
    let objects = asked.iter().filter(|path| path.ends_with(".filez")).count();
    assert!((25..40).contains(&objects), "only what is new is asked for: {asked:?}");
    let last = progress.last().expect("progress");
    assert!(last.bytes_done > 10_000 && last.bytes_total == last.bytes_done, "{last:?}");
    let size = device.fetch(&v1);
    assert!(size > last.bytes_done, "the installed size counts what was there and is not compressed: {size}");
    assert_eq!(server.asked(), Vec::<String>::new(), "nothing is asked for again");
    assert_eq!(
        fs::read(device.repo().join("config")).expect("config"),
        config,
        "the device's own settings stay"
    );
    let refs = run("ostree", &["refs", &format!("--repo={}", device.repo().display())]);
    assert_eq!(
        refs.lines().filter(|name| name.contains(':')).count(),
        0,
        "no branch of a remote is left: {refs}"
    );
    device.fsck();
}

#[test]
fn static_deltas_are_used() {
    if skip("static_deltas_are_used") {
        return;
    }
    for from_empty in [false, true] {
        let (repository, server, device) = world();
        let commit = repository.commit("1", &[]);
        repository.delta((!from_empty).then_some(device.base.as_str()), &commit);
        let v1 = device.resolve(&source(&server, "1"));
        server.asked();
        let progress = device.fetch_watched(&v1);
        let asked = server.asked();
        let with = |text: &str| asked.iter().filter(|path| path.contains(text)).count();
        assert!(with("/deltas/") >= 2, "the superblock and a part: {asked:?}");
        assert_eq!(with(".filez") + with(".dirtree") + with(".dirmeta"), 0, "no loose objects: {asked:?}");
        assert!(progress.iter().any(|p| p.message.contains("delta")) || progress.len() < 4, "{progress:?}");
        device.fsck();
    }
}

#[test]
fn a_commit_can_be_pinned() {
    if skip("a_commit_can_be_pinned") {
        return;
    }
    let (repository, server, device) = world();
    let old = repository.commit("1", &[]);
    let new = repository.commit("1", &[("usr/share/demo/more", b"more")]);
    let other = repository.commit("2", &[]);
    let pinned = |commit: &str| format!("{}&commit={commit}", source(&server, "1"));
    let commit_of = |source: &str| match device.resolve(source).spec.payload {
        Payload::Ostree { commit, .. } => commit,
        Payload::Image { .. } => panic!("not a commit"),
    };
    assert_eq!(commit_of(&source(&server, "1")), new);
    assert_eq!(commit_of(&pinned(&old)), old);
    fails(FailureKind::NotFound, device.try_resolve(&pinned(&"0".repeat(64))));
    // It exists, but was made for another branch.
    let text = fails(FailureKind::Corrupt, device.try_resolve(&pinned(&other)));
    assert!(text.contains("ref"), "{text}");
    fails(FailureKind::NotFound, device.try_resolve(&source(&server, "missing")));
    repository.summary();
    fs::remove_file(repository.path().join("summary")).expect("remove");
    assert_eq!(commit_of(&source(&server, "1")), new, "a repository needs no summary");
    fails(FailureKind::NotFound, device.try_resolve(&source(&server, "missing")));
    // A release whose commit is gone by the time that it is fetched.
    let mut gone = device.resolve(&source(&server, "1"));
    if let Payload::Ostree { commit, .. } = &mut gone.spec.payload {
        *commit = "0".repeat(64);
    }
    fails(FailureKind::NotFound, device.try_fetch(&gone));
}

#[test]
fn a_repository_that_goes_away_is_resumed() {
    if skip("a_repository_that_goes_away_is_resumed") {
        return;
    }
    let (repository, server, device) = world();
    let v1 = {
        repository.commit("1", &[]);
        device.resolve(&source(&server, "1"))
    };
    server.asked();
    let before = device.deployed();
    server.fail_after(20);
    for _ in 0..2 {
        fails(FailureKind::Unavailable, device.try_fetch(&v1));
    }
    assert_eq!(device.deployed(), before);
    server.mend();
    server.asked();
    device.fetch(&v1);
    let asked = server.asked().iter().filter(|path| path.ends_with(".filez")).count();
    assert!(asked < 25, "what was there is asked for again: {asked}");
    device.fsck();
    device.install(&source(&server, "1"));
    // A killed pull of what nobody wants any more leaves nothing.
    let kept = device.resolve(&source(&server, "1"));
    device.collect(&[&kept]);
    let stored = device.stored();
    repository.commit("2", &[]);
    let v2 = device.resolve(&source(&server, "2"));
    server.fail_after(20);
    fails(FailureKind::Unavailable, device.try_fetch(&v2));
    assert_ne!(device.stored(), stored);
    device.collect(&[&kept]);
    assert_eq!(device.stored(), stored);
    drop(server);
    fails(FailureKind::Unavailable, device.try_fetch(&v2));
}

#[test]
fn answers_of_the_server_are_told_apart() {
    if skip("answers_of_the_server_are_told_apart") {
        return;
    }
    let (repository, server, device) = world();
    repository.commit("1", &[]);
    let source = source(&server, "1");
    let v1 = device.resolve(&source);
    let cases = [
        (401, FailureKind::Unauthorized),
        (403, FailureKind::Unauthorized),
        (404, FailureKind::NotFound),
        (410, FailureKind::NotFound),
        (429, FailureKind::Unavailable),
        (500, FailureKind::Server),
        (503, FailureKind::Server),
    ];
    for (status, kind) in cases {
        server.fail_with(status);
        assert_eq!(device.try_fetch(&v1).expect_err("fetch").kind, kind, "{status}");
        if status != 403 {
            // libostree takes a refused summary for a missing one.
            assert_eq!(device.try_resolve(&source).expect_err("resolve").kind, kind, "{status}");
        }
    }
    server.mend();
    device.fetch(&v1);
}

#[test]
fn what_is_missing_on_the_device_is_fetched_again() {
    if skip("what_is_missing_on_the_device_is_fetched_again") {
        return;
    }
    let (repository, server, device) = world();
    repository.commit("1", &[]);
    let v1 = device.resolve(&source(&server, "1"));
    let size = device.fetch(&v1);
    let text = run(
        "ostree",
        &["ls", "-C", &repository.option(), &Repository::branch("1"), "/usr/share/demo/file-3"],
    );
    let checksum = text.split_whitespace().find(|word| word.len() == 64).expect("checksum");
    let object = device.repo().join("objects").join(&checksum[..2]).join(format!("{}.file", &checksum[2..]));
    fs::remove_file(&object).expect("remove");
    fails(FailureKind::NotFound, device.open().stage(&v1, &StepCx::detached()));
    assert_eq!(device.fetch(&v1), size);
    assert!(object.exists());
    device.fsck();
}

#[test]
fn a_corrupt_object_never_enters_the_repository() {
    if skip("a_corrupt_object_never_enters_the_repository") {
        return;
    }
    let (repository, server, device) = world();
    let commit = repository.commit("1", &[("usr/share/demo/bad", b"good")]);
    let over_http = device.resolve(&source(&server, "1"));
    let local = device.resolve(&repository.local(&Repository::branch("1")));
    repository.damage(&commit, "usr/share/demo/bad");
    for release in [&over_http, &local] {
        let text = fails(FailureKind::Corrupt, device.try_fetch(release));
        assert!(text.contains("orrupt"), "{text}");
        device.fsck();
    }
}

/// Ways in which a server, or the way to it, can spoil a file.
type Spoil = (&'static str, fn(&mut Vec<u8>));

const SPOILS: &[Spoil] = &[
    ("empty", Vec::clear),
    ("one byte", |bytes| bytes.truncate(1)),
    ("twenty bytes", |bytes| bytes.truncate(20)),
    ("half", |bytes| bytes.truncate(bytes.len() / 2)),
    ("last byte gone", |bytes| bytes.truncate(bytes.len() - 1)),
    ("one byte more", |bytes| bytes.push(0)),
    ("first byte changed", |bytes| bytes[0] ^= 0x55),
    ("byte in the middle changed", |bytes| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x55;
    }),
    ("last byte changed", |bytes| {
        let last = bytes.len() - 1;
        bytes[last] ^= 0x55;
    }),
    ("zeros", |bytes| bytes.fill(0)),
    ("ones", |bytes| bytes.fill(255)),
];

#[test]
fn a_spoiled_object_is_corrupt_however_it_is_spoiled() {
    if skip("a_spoiled_object_is_corrupt_however_it_is_spoiled") {
        return;
    }
    let (repository, server, device) = world();
    let commit =
        repository.commit("1", &[("usr/share/demo/new/file", b"of this version only, some bytes long")]);
    let v1 = device.resolve(&source(&server, "1"));
    let list = |path: &str| run("ostree", &["ls", "-d", "-C", &repository.option(), &commit, path]);
    let checksums = |path: &str| -> Vec<String> {
        list(path).split_whitespace().filter(|word| word.len() == 64).map(str::to_owned).collect()
    };
    let file = checksums("/usr/share/demo/new/file")[0].clone();
    let tree = checksums("/usr/share/demo/new")[0].clone();
    for (checksum, kind) in [(file, "filez"), (tree, "dirtree"), (commit, "commit")] {
        let name = format!("{}.{kind}", &checksum[2..]);
        let path = repository.path().join("objects").join(&checksum[..2]).join(name);
        let good = fs::read(&path).expect("object");
        for (how, spoil) in SPOILS {
            // The end of a compressed stream may hold nothing of the content, which is what the checksum is of.
            if kind == "filez" && (how.contains("last byte") || how.contains("more")) {
                continue;
            }
            let mut bytes = good.clone();
            spoil(&mut bytes);
            fs::write(&path, bytes).expect("spoil");
            // What came well the last time would not be asked for again.
            device.collect(&[]);
            let error = device.try_fetch(&v1).expect_err(how);
            assert_eq!(error.kind, FailureKind::Corrupt, "{kind}, {how}: {}", chain(&error));
        }
        fs::write(&path, good).expect("repair");
    }
    device.fsck();
    device.fetch(&v1);
    device.fsck();
}

#[test]
fn a_slow_server_can_be_cancelled() {
    if skip("a_slow_server_can_be_cancelled") {
        return;
    }
    let (repository, server, mut device) = world();
    repository.commit("1", &[]);
    let v1 = device.resolve(&source(&server, "1"));
    server.asked();
    server.slow(Duration::from_secs(20));
    // libostree looks at a cancellation only between two answers; a worker is killed.
    device.in_process = false;
    let cancelled = Arc::new(AtomicBool::new(false));
    let cx = StepCx::new(|_| {}, Arc::clone(&cancelled));
    let begun = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            until(|| server.count() > 0);
            cancelled.store(true, Ordering::Relaxed);
        });
        fails(FailureKind::Cancelled, device.open().fetch(&v1, &cx));
    });
    assert!(begun.elapsed() < Duration::from_secs(15), "it waited for the server");
    server.mend();
    device.fetch(&v1);
}
