//! Streams that break, cancels, full disks, power cuts and kills.

use std::cell::Cell;
use std::io::{self, Cursor, Read};
use std::process::Command;
use std::time::Duration;

use scomo_core::failure::FailureKind;

use super::kit::{Fixture, Image, Tar, digest, files_below, gzip, lacks_root, zstd};
use crate::import::{Hooks, import};
use crate::session::Session;
use crate::{BoxError, Compression, Store, StoreError};

fn small() -> Vec<u8> {
    Tar::new().file("a", "x").file("b/c", "y").end()
}

/// 3 MB in files of 100 bytes to 1.5 MB, different for every seed.
fn large(seed: u64) -> Vec<u8> {
    let mut tar = Tar::new();
    let mut state = seed;
    for n in 0..30 {
        let length = if n == 7 { 1_500_000 } else { 100 + n * 3000 };
        let data: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            state.to_be_bytes()[0]
        })
        .take(length)
        .collect();
        tar = tar.raw(format!("f{n}").as_bytes(), &data, |_| {});
    }
    tar.end()
}

fn image(tar: &[u8], blob: Vec<u8>, compression: Compression) -> Image {
    let mut image = Image::default();
    image.push_blob(tar, blob, compression);
    image
}

/// Imports and expects an error; checks that nothing is left.
fn fails(case: &str, image: &Image) -> StoreError {
    let fixture = Fixture::new();
    let error = fixture.import(image).expect_err(case);
    fixture.assert_nothing_left(image);
    error
}

#[test]
fn damaged_streams_are_refused() {
    if lacks_root("damaged_streams_are_refused") {
        return;
    }
    for tar in [small(), large(1)] {
        for (pack, compression) in [
            (gzip as fn(&[u8]) -> Vec<u8>, Compression::Gzip),
            (zstd, Compression::Zstd),
            (<[u8]>::to_vec, Compression::None),
        ] {
            let blob = pack(&tar);
            let truncated = image(&tar, blob[..blob.len() - 9].to_vec(), compression);
            let error = fails("truncated", &truncated);
            match compression {
                Compression::None => assert!(matches!(error, StoreError::DiffId { .. }), "{error:?}"),
                _ => assert!(matches!(error, StoreError::Decompress { .. }), "{compression:?} {error:?}"),
            }
            let garbage =
                image(&tar, [blob.as_slice(), b"garbage that follows the end"].concat(), compression);
            let error = fails("garbage", &garbage);
            match compression {
                Compression::None => assert!(matches!(error, StoreError::DiffId { .. }), "{error:?}"),
                _ => assert!(matches!(error, StoreError::Decompress { .. }), "{compression:?} {error:?}"),
            }
            let mut wrong = image(&tar, blob.clone(), compression);
            wrong.layers[0].digest = digest(b"other");
            let error = fails("digest", &wrong);
            assert!(matches!(error, StoreError::Digest { .. }), "{error:?}");
            assert_eq!(error.kind(), FailureKind::Corrupt);

            let mut wrong = image(&tar, blob.clone(), compression);
            wrong.layers[0].diff_id = digest(b"other");
            let error = fails("diff id", &wrong);
            assert!(matches!(error, StoreError::DiffId { .. }), "{error:?}");
            assert_eq!(error.kind(), FailureKind::Invalid);

            for change in [-1_i64, 1, -500, 500, 1 << 40] {
                let mut wrong = image(&tar, blob.clone(), compression);
                wrong.layers[0].size = wrong.layers[0].size.saturating_add_signed(change);
                let error = fails("size", &wrong);
                assert!(matches!(error, StoreError::Size { .. }), "{change} {error:?}");
                assert_eq!(error.kind(), FailureKind::Corrupt);
            }
        }
    }
    let error = fails("not compressed at all", &image(&small(), small(), Compression::Gzip));
    assert!(matches!(error, StoreError::Decompress { .. }), "{error:?}");
}

/// Compresses a layer.
type Pack = fn(&[u8]) -> Vec<u8>;

/// What breaks a decompressor or the archive may have been damaged on the way: only the digest tells.
#[test]
fn bytes_that_are_not_the_promised_ones_are_damage_and_no_bad_image() {
    if lacks_root("bytes_that_are_not_the_promised_ones_are_damage_and_no_bad_image") {
        return;
    }
    let tar = large(10);
    let packs: [(Pack, Compression); 3] =
        [(gzip, Compression::Gzip), (zstd, Compression::Zstd), (<[u8]>::to_vec, Compression::None)];
    for (pack, compression) in packs {
        let blob = pack(&tar);
        // The magic number, headers, names in the archive, content, checksums at the end.
        for position in [0, 3, 20, 100, 1000, blob.len() / 2, blob.len() - 1100, blob.len() - 2] {
            let mut wrong = image(&tar, blob.clone(), compression);
            wrong.blobs[0][position] ^= 0x55;
            let error = fails("damaged", &wrong);
            assert!(matches!(error, StoreError::Digest { .. }), "{compression:?} {position} {error:?}");
            assert_eq!(error.kind(), FailureKind::Corrupt);
            wrong.layers[0].digest = digest(&wrong.blobs[0]);
            let error = fails("built so", &wrong);
            assert_eq!(error.kind(), FailureKind::Invalid, "{compression:?} {position} {error:?}");
        }
    }
}

#[test]
fn a_refused_layer_that_breaks_off_was_not_seen_whole() {
    if lacks_root("a_refused_layer_that_breaks_off_was_not_seen_whole") {
        return;
    }
    let mut tar = Tar::new().file("../a", "x").bytes;
    tar.extend_from_slice(&large(11));
    let image = Image::of([tar]);
    let fixture = Fixture::new();
    let good = image.layers[0].size - 1;
    let mut open = |_| -> Result<Box<dyn Read + Send>, BoxError> {
        Ok(Box::new(Breaks { data: Cursor::new(image.blobs[0].clone()), good }))
    };
    let error = fixture.import_with(&image, &mut open, &|| false).unwrap_err();
    assert!(matches!(error, StoreError::Transfer { .. }), "{error:?}");
    let error = fixture.import(&image).unwrap_err();
    assert!(matches!(error, StoreError::Refused { .. }), "{error:?}");
    fixture.assert_nothing_left(&image);
}

#[test]
fn an_upper_layer_that_is_damaged_shows_nothing_of_the_lower_one() {
    if lacks_root("an_upper_layer_that_is_damaged_shows_nothing_of_the_lower_one") {
        return;
    }
    let mut image = Image::of([small(), large(2)]);
    image.layers[1].digest = digest(b"other");
    fails("upper layer", &image);
}

/// Gives `good` bytes, then an error.
struct Breaks {
    data: Cursor<Vec<u8>>,
    good: u64,
}

impl Read for Breaks {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let rest = usize::try_from(self.good - self.data.position()).unwrap();
        if rest == 0 {
            return Err(io::Error::from(io::ErrorKind::ConnectionReset));
        }
        let length = out.len().min(rest);
        self.data.read(&mut out[..length])
    }
}

#[test]
fn a_broken_transfer_keeps_whole_files_for_the_next_attempt() {
    if lacks_root("a_broken_transfer_keeps_whole_files_for_the_next_attempt") {
        return;
    }
    let fixture = Fixture::new();
    let image = image(&large(3), zstd(&large(3)), Compression::Zstd);
    let size = image.layers[0].size;
    for good in [0, 1, 1000, size / 2, size - 1] {
        let data = image.blobs[0].clone();
        let mut open = |_| -> Result<Box<dyn Read + Send>, BoxError> {
            Ok(Box::new(Breaks { data: Cursor::new(data.clone()), good }))
        };
        let error = fixture.import_with(&image, &mut open, &|| false).unwrap_err();
        assert!(matches!(error, StoreError::Transfer { .. }), "{good}: {error:?}");
        assert!(!fixture.store.has(&image.id()).unwrap());
    }
    assert!(!fixture.objects().is_empty());
    assert!(fixture.store.verify(&|| false).unwrap().is_clean());
    let imported = fixture.import(&image).unwrap();
    assert!(imported.bytes_reused > 0, "{imported:?}");
    let other = Fixture::new();
    assert_eq!(fixture.list(&image), other.list(&image));
}

#[test]
fn a_source_that_cannot_be_opened_says_so() {
    if lacks_root("a_source_that_cannot_be_opened_says_so") {
        return;
    }
    let fixture = Fixture::new();
    let image = Image::of([small()]);
    let error = fixture.import_with(&image, &mut |_| Err("no network".into()), &|| false).unwrap_err();
    assert!(matches!(error, StoreError::Open { .. }), "{error:?}");
    fixture.assert_nothing_left(&image);
}

#[test]
fn layers_that_are_durable_survive_the_failure_of_a_later_one() {
    if lacks_root("layers_that_are_durable_survive_the_failure_of_a_later_one") {
        return;
    }
    let mut image = Image::of([small(), large(9)]);
    let good = image.layers[1].clone();
    image.layers[1].digest = digest(b"other");
    let fixture = Fixture::new();
    let mut session = Session::begin(&fixture.layout()).unwrap();
    let mut open = |index: usize| -> Result<Box<dyn Read + Send>, BoxError> {
        Ok(Box::new(Cursor::new(image.blobs[index].clone())))
    };
    let hooks = Hooks { open: &mut open, progress: &mut |_| {}, cancelled: &|| false };
    let error = import(&mut session, &image.layers, &image.id(), hooks, Duration::ZERO).unwrap_err();
    assert!(matches!(error, StoreError::Digest { .. }), "{error:?}");
    drop(session);
    assert!(!fixture.store.has(&image.id()).unwrap());
    assert_eq!(fixture.objects().len(), 2, "those of the first layer");
    image.layers[1] = good;
    fixture.import(&image).unwrap();
    assert_eq!(*fixture.opened.borrow(), [1]);
    assert!(fixture.store.verify(&|| false).unwrap().is_clean());
}

/// Never gives a byte and never ends, as a server that stalls.
struct Stalls(std::sync::mpsc::Receiver<()>);

impl Read for Stalls {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        let _ = self.0.recv();
        Err(io::Error::other("the test is over"))
    }
}

#[test]
fn a_cancel_ends_the_import_even_when_the_source_stalls() {
    if lacks_root("a_cancel_ends_the_import_even_when_the_source_stalls") {
        return;
    }
    let fixture = Fixture::new();
    let image = Image::of([small()]);
    let (hold, stalled) = std::sync::mpsc::channel();
    let mut source = Some(stalled);
    let mut open =
        |_| -> Result<Box<dyn Read + Send>, BoxError> { Ok(Box::new(Stalls(source.take().unwrap()))) };
    let asked = Cell::new(0);
    let cancelled = || {
        asked.set(asked.get() + 1);
        asked.get() > 3
    };
    let error = fixture.import_with(&image, &mut open, &cancelled).unwrap_err();
    assert!(matches!(error, StoreError::Cancelled), "{error:?}");
    assert_eq!(error.kind(), FailureKind::Cancelled);
    fixture.assert_nothing_left(&image);
    drop(hold);
}

#[test]
fn a_cancel_at_any_moment_leaves_nothing() {
    if lacks_root("a_cancel_at_any_moment_leaves_nothing") {
        return;
    }
    let image = Image::of([small(), large(4)]);
    for after in 0..100 {
        let fixture = Fixture::new();
        let asked = Cell::new(0);
        let cancelled = || {
            asked.set(asked.get() + 1);
            asked.get() > after
        };
        let mut open = |index: usize| -> Result<Box<dyn Read + Send>, BoxError> {
            Ok(Box::new(Cursor::new(image.blobs[index].clone())))
        };
        match fixture.import_with(&image, &mut open, &cancelled) {
            Ok(_) => {
                assert!(after > 5, "cancelling was never asked for");
                return;
            }
            Err(error) => assert!(matches!(error, StoreError::Cancelled), "{error:?}"),
        }
        fixture.assert_nothing_left(&image);
    }
    panic!("an import asks too often");
}

#[test]
fn progress_rises_to_the_total() {
    if lacks_root("progress_rises_to_the_total") {
        return;
    }
    let fixture = Fixture::new();
    let image = Image::of([small(), large(5)]);
    let mut seen = Vec::new();
    let mut open = |index: usize| -> Result<Box<dyn Read + Send>, BoxError> {
        Ok(Box::new(Cursor::new(image.blobs[index].clone())))
    };
    let mut progress = |progress| seen.push(progress);
    fixture.store.import(&image.layers, &mut open, &image.id(), &mut progress, &|| false).unwrap();
    let total: u64 = image.layers.iter().map(|layer| layer.size).sum();
    assert!(seen.iter().all(|p| p.total == total && p.done <= total));
    assert!(seen.is_sorted_by_key(|p| p.done));
    assert_eq!(seen.last().unwrap().done, total);
    assert!(seen.len() > 4, "{seen:?}");
}

#[test]
fn writers_exclude_each_other() {
    if lacks_root("writers_exclude_each_other") {
        return;
    }
    let fixture = Fixture::new();
    let known = Image::of([small()]);
    fixture.import(&known).unwrap();
    let image = Image::of([large(6)]);
    let other = Store::open(&fixture.path("store")).unwrap();
    let tried = Cell::new(false);
    let cancelled = || {
        tried.set(true);
        assert!(matches!(other.collect(&[].into()), Err(StoreError::Busy(_))));
        assert!(matches!(other.verify(&|| false), Err(StoreError::Busy(_))));
        let second = Image::of([small(), small()]);
        let mut open = |_| -> Result<Box<dyn Read + Send>, BoxError> { panic!("opened") };
        let result = other.import(&second.layers, &mut open, &second.id(), &mut |_| {}, &|| false);
        assert!(matches!(result, Err(StoreError::Busy(_))), "{result:?}");
        assert!(other.has(&known.id()).unwrap(), "reading needs no lock");
        false
    };
    let mut open = |index: usize| -> Result<Box<dyn Read + Send>, BoxError> {
        Ok(Box::new(Cursor::new(image.blobs[index].clone())))
    };
    fixture.import_with(&image, &mut open, &cancelled).unwrap();
    assert!(tried.get());
}

#[test]
fn objects_of_an_unfinished_import_are_not_trusted() {
    if lacks_root("objects_of_an_unfinished_import_are_not_trusted") {
        return;
    }
    let image = Image::of([small(), large(7)]);
    let whole = Fixture::new();
    let expected = whole.list(&image);
    let names = whole.objects();
    let kept = Image::of([Tar::new().file("kept", "by another image").end()]);
    for damage in ["empty", "torn", "missing"] {
        let fixture = Fixture::new();
        fixture.import(&kept).unwrap();
        // What a power cut leaves: names without their content, temporaries, and the mark.
        for (number, name) in names.iter().enumerate() {
            let copy = fixture.path("store").join(name.strip_prefix(whole.path("store")).unwrap());
            std::fs::create_dir_all(copy.parent().unwrap()).unwrap();
            let data = std::fs::read(name).unwrap();
            match damage {
                "empty" => std::fs::write(&copy, "").unwrap(),
                "torn" => std::fs::write(&copy, &data[..data.len() * (number % 3) / 3]).unwrap(),
                _ => {}
            }
        }
        std::fs::write(fixture.path("store/tmp/object"), "half").unwrap();
        std::fs::write(fixture.path("store/tmp/manifest-0"), "half").unwrap();
        std::fs::write(fixture.path("store/unfinished"), "").unwrap();
        assert_eq!(fixture.list(&image), expected, "{damage}");
        assert!(fixture.store.verify(&|| false).unwrap().is_clean(), "{damage}");
        assert!(fixture.store.has(&kept.id()).unwrap());
        assert!(!fixture.path("store/unfinished").exists());
        assert!(files_below(&fixture.path("store/tmp")).is_empty());
    }
}

#[test]
fn a_full_disk_fails_the_import_and_collect_frees_everything() {
    if lacks_root("a_full_disk_fails_the_import_and_collect_frees_everything") {
        return;
    }
    let image = Image::of([small(), large(8)]);
    // Inodes or blocks run out at every stage of the import.
    for (size, inodes) in
        [("64k", 100), ("600k", 100), ("2m", 100), ("2800k", 100), ("8m", 12), ("8m", 20), ("8m", 30)]
    {
        let fixture = Fixture::new();
        let mount = fixture.path("small");
        std::fs::create_dir(&mount).unwrap();
        let options = format!("size={size},nr_inodes={inodes}");
        let status =
            Command::new("mount").args(["-t", "tmpfs", "-o", &options, "none"]).arg(&mount).status().unwrap();
        assert!(status.success());
        let result = fill(&mount, &image);
        let status = Command::new("umount").arg(&mount).status().unwrap();
        assert!(status.success());
        if let Err(problem) = result {
            panic!("{size}, {inodes} inodes: {problem}");
        }
    }
}

fn fill(mount: &std::path::Path, image: &Image) -> Result<(), String> {
    let store = Store::open(&mount.join("store")).map_err(|e| e.to_string())?;
    let mut open = |index: usize| -> Result<Box<dyn Read + Send>, BoxError> {
        Ok(Box::new(Cursor::new(image.blobs[index].clone())))
    };
    let Err(error) = store.import(&image.layers, &mut open, &image.id(), &mut |_| {}, &|| false) else {
        return Err("it fits".to_owned());
    };
    if error.kind() != FailureKind::NoSpace {
        return Err(format!("{error:?}"));
    }
    if store.has(&image.id()).map_err(|e| e.to_string())? {
        return Err("the image is there".to_owned());
    }
    store.collect(&[].into()).map_err(|e| format!("collect: {e:?}"))?;
    let left: Vec<_> = ["objects", "trees", "layers", "tmp"]
        .iter()
        .flat_map(|f| files_below(&mount.join("store").join(f)))
        .collect();
    if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
}
