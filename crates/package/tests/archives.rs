//! Archives made to harm, and archives that broke on their way.
// The exemption of tests from these lints does not reach helper functions.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

mod common;

use std::fs;
use std::io::Write;

use common::*;
use scomo_core::failure::FailureKind;
use scomo_core::spec::Payload;
use scomo_package::io_kind;
use tempfile::TempDir;

/// A tar header of an entry, with its checksum.
fn header(name: &str, size: u64, kind: tar::EntryType) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_path(name).expect("name");
    header.set_size(size);
    header.set_mode(0o644);
    header.set_entry_type(kind);
    header.set_cksum();
    header.as_bytes().to_vec()
}

#[test]
fn bad_archives_are_refused() {
    let dir = TempDir::new().expect("folder");
    let path = dir.path().join("x.scomo");
    let source = path.display().to_string();
    let regular = tar::EntryType::Regular;
    let marker =
        [&header("oci-layout", 30, regular)[..], br#"{"imageLayoutVersion":"1.0.0"}"#, &[0; 482]].concat();
    let end = vec![0; 1024];
    for (bytes, kind, expect) in [
        (Vec::new(), FailureKind::Corrupt, "damaged"),
        (b"not a tar at all, but long enough to be looked at".repeat(30), FailureKind::Invalid, "not a tar"),
        (end.clone(), FailureKind::NotFound, "not a .scomo archive"),
        ([&marker[..], &end].concat(), FailureKind::NotFound, "index.json"),
        (marker.clone(), FailureKind::Corrupt, "damaged"),
        // A size that reaches beyond the limit, and beyond what numbers hold.
        (header("x", 1 << 40, regular), FailureKind::Invalid, "limit"),
        (header("x", u64::MAX, regular), FailureKind::Invalid, "limit"),
        // A long name that claims to have gigabytes: it is passed over, not read.
        (header("././@LongLink", 8 << 30, tar::EntryType::GNULongName), FailureKind::Corrupt, "damaged"),
        // A link that calls itself the index.
        (
            [&marker[..], &header("index.json", 0, tar::EntryType::Symlink), &end].concat(),
            FailureKind::NotFound,
            "index.json",
        ),
    ] {
        fs::write(&path, bytes).expect("write");
        let error = resolve(&unsigned(), &source).expect_err(expect);
        check(&error, kind, expect);
    }
    let mut wrong = marker.clone();
    wrong[0] ^= 1;
    fs::write(&path, wrong).expect("write");
    check(&resolve(&unsigned(), &source).expect_err("checksum"), FailureKind::Invalid, "checksum");
    let many: Vec<u8> = (0..40_000).flat_map(|_| header("x", 0, regular)).collect();
    fs::write(&path, many).expect("write");
    check(&resolve(&unsigned(), &source).expect_err("entries"), FailureKind::Invalid, "entries");
    fs::remove_file(&path).expect("remove");
    check(&resolve(&unsigned(), &source).expect_err("gone"), FailureKind::NotFound, "is not there");
}

#[test]
fn bombs_and_large_windows_are_refused() {
    let dir = TempDir::new().expect("folder");
    let path = dir.path().join("x.scomo");
    let source = path.display().to_string();
    // Hundreds of megabytes of index in a few kilobytes.
    let mut encoder = zstd::Encoder::new(fs::File::create(&path).expect("create"), 3).expect("zstd");
    let regular = tar::EntryType::Regular;
    encoder.write_all(&header("oci-layout", 30, regular)).expect("write");
    encoder.write_all(br#"{"imageLayoutVersion":"1.0.0"}"#).expect("write");
    encoder.write_all(&[0; 482]).expect("write");
    encoder.write_all(&header("index.json", 200 << 20, regular)).expect("write");
    for _ in 0..200 {
        encoder.write_all(&vec![b' '; 1 << 20]).expect("write");
    }
    encoder.finish().expect("finish");
    assert!(fs::metadata(&path).expect("meta").len() < 100_000);
    check(&resolve(&unsigned(), &source).expect_err("bomb"), FailureKind::Invalid, "4194304");
    // A frame that wants more memory than a worker has.
    let mut encoder = zstd::Encoder::new(fs::File::create(&path).expect("create"), 3).expect("zstd");
    encoder.window_log(27).expect("window");
    for _ in 0..40 {
        encoder.write_all(&vec![0; 1 << 20]).expect("write");
    }
    encoder.finish().expect("finish");
    check(&resolve(&unsigned(), &source).expect_err("window"), FailureKind::Corrupt, "read");
}

#[test]
fn an_archive_cut_anywhere_is_noticed() {
    let world = World::new();
    world.build("p.scomo");
    let good = fs::read(world.path("p.scomo")).expect("read");
    let path = world.path("cut.scomo");
    let source = path.display().to_string();
    let lengths = (0..good.len()).step_by(good.len() / 40).chain([511, 512, 513, 1024, 2048]);
    for length in lengths {
        fs::write(&path, &good[..length]).expect("write");
        let outcome = resolve(&unsigned(), &source).map_err(|e| (e.kind(), chain(&e))).and_then(|content| {
            for release in content.releases {
                let Payload::Image { digest, .. } = &release.spec.payload else { continue };
                let mut payloads =
                    scomo_package::open(&unsigned(), &source).map_err(|e| (e.kind(), chain(&e)))?;
                let image = payloads.image(digest).map_err(|e| (e.kind(), chain(&e)))?;
                for layer in image.layers {
                    let mut reader = payloads.layer(&layer).map_err(|e| (e.kind(), chain(&e)))?;
                    std::io::copy(&mut reader, &mut std::io::sink()).map_err(|e| (io_kind(&e), chain(&e)))?;
                }
            }
            Ok(())
        });
        let (kind, text) = outcome.expect_err("a part of an archive must not pass for the whole");
        assert_eq!(kind, FailureKind::Corrupt, "{length} of {}: {text}", good.len());
    }
}
