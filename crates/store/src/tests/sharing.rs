//! What versions share, what collecting deletes, what verifying finds.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;

use sha2::Digest as _;

use super::kit::{Fixture, Image, Tar, lacks_root, list};
use crate::names::digits;
use crate::{Damage, StoreError, TreeId};

fn tar(files: &[(&str, &str)]) -> Vec<u8> {
    files.iter().fold(Tar::new(), |tar, (path, data)| tar.file(path, data)).end()
}

#[test]
fn a_known_layer_is_not_opened_and_a_known_file_is_not_written() {
    if lacks_root("a_known_layer_is_not_opened_and_a_known_file_is_not_written") {
        return;
    }
    let fixture = Fixture::new();
    let base = tar(&[("a", "12345"), ("b", "123")]);
    let one = Image::of([base.clone(), tar(&[("c", "1")])]);
    let imported = fixture.import(&one).unwrap();
    assert_eq!((imported.size, imported.bytes_new, imported.bytes_reused), (9, 9, 0));
    assert_eq!(*fixture.opened.borrow(), [0, 1]);

    let two = Image::of([base, tar(&[("c", "22"), ("d", "12345")])]);
    let imported = fixture.import(&two).unwrap();
    assert_eq!((imported.size, imported.bytes_new, imported.bytes_reused), (10, 2, 13));
    assert_eq!(*fixture.opened.borrow(), [1]);

    let rebuilt = Image::of([tar(&[("b", "123"), ("a", "12345"), ("c", "22"), ("d", "12345")])]);
    let imported = fixture.import(&rebuilt).unwrap();
    assert_eq!((imported.bytes_new, imported.bytes_reused), (0, 15));

    let again = fixture.import(&two).unwrap();
    assert_eq!((again.size, again.bytes_new, again.bytes_reused), (10, 0, 10));
    assert!(fixture.opened.borrow().is_empty(), "an image that is there is not read");
}

#[test]
fn the_same_layer_twice_in_an_image() {
    if lacks_root("the_same_layer_twice_in_an_image") {
        return;
    }
    let fixture = Fixture::new();
    let base = tar(&[("a", "1")]);
    let image = Image::of([base.clone(), Tar::new().file(".wh.a", "").end(), base]);
    assert_eq!(fixture.list(&image), ["a 644 '1'"]);
}

#[test]
fn collect_keeps_what_kept_images_need_and_nothing_else() {
    if lacks_root("collect_keeps_what_kept_images_need_and_nothing_else") {
        return;
    }
    let fixture = Fixture::new();
    let base = tar(&[("a", "shared")]);
    let (one, two) =
        (Image::of([base.clone(), tar(&[("b", "one")])]), Image::of([base, tar(&[("b", "two")])]));
    let expected = fixture.list(&one);
    fixture.import(&two).unwrap();
    let keep = BTreeSet::from([one.id(), TreeId::new("0".repeat(64)).unwrap()]);
    let collected = fixture.store.collect(&keep).unwrap();
    assert_eq!((collected.manifests, collected.objects), (2, 1));
    assert!(collected.bytes > 0);
    assert!(fixture.store.has(&one.id()).unwrap());
    assert!(!fixture.store.has(&two.id()).unwrap());
    let dest = fixture.path("again");
    fixture.store.checkout(&one.id(), &dest).unwrap();
    assert_eq!(list(&dest), expected);
    fixture.store.collect(&BTreeSet::new()).unwrap();
    assert!(fixture.objects().is_empty());
    assert_eq!(list(&dest), expected, "a checkout outlives its objects");
}

#[test]
fn collect_deletes_nothing_when_a_kept_manifest_is_damaged() {
    if lacks_root("collect_deletes_nothing_when_a_kept_manifest_is_damaged") {
        return;
    }
    let fixture = Fixture::new();
    let image = Image::of([tar(&[("a", "1")]), tar(&[("b", "2")])]);
    fixture.import(&image).unwrap();
    let layer = digits(image.layers[0].diff_id.as_str());
    let id = image.id();
    for manifest in [fixture.path("store/trees").join(id.as_str()), fixture.path("store/layers").join(layer)]
    {
        let good = std::fs::read(&manifest).unwrap();
        for position in 0..good.len() {
            let mut bad = good.clone();
            bad[position] ^= 1;
            std::fs::write(&manifest, &bad).unwrap();
            let error = fixture.store.collect(&BTreeSet::from([image.id()])).unwrap_err();
            let is_format = position == 7;
            assert_eq!(matches!(error, StoreError::TooNew { .. }), is_format, "byte {position}: {error:?}");
            assert_eq!(
                matches!(error, StoreError::Manifest { .. }),
                !is_format,
                "byte {position}: {error:?}"
            );
            assert_eq!(fixture.objects().len(), 2);
            let dest = fixture.path("dest");
            assert!(fixture.store.checkout(&image.id(), &dest).is_err(), "byte {position}");
            assert!(!dest.exists(), "byte {position}");
        }
        for length in 0..good.len() {
            std::fs::write(&manifest, &good[..length]).unwrap();
            assert!(!fixture.store.has(&image.id()).unwrap(), "cut to {length}");
        }
        std::fs::write(&manifest, [good.as_slice(), b"x"].concat()).unwrap();
        assert!(!fixture.store.has(&image.id()).unwrap());
        fixture.import(&image).unwrap();
        assert_eq!(std::fs::read(&manifest).unwrap(), good, "importing again replaces it");
    }
}

/// A small update must not pay for what did not change.
#[test]
fn the_manifest_of_an_image_does_not_grow_with_its_files() {
    if lacks_root("the_manifest_of_an_image_does_not_grow_with_its_files") {
        return;
    }
    let fixture = Fixture::new();
    let length = |files: u32| {
        let tar = (0..files).fold(Tar::new(), |tar, n| tar.file(&format!("f{n}"), "x")).end();
        let image = Image::of([tar]);
        fixture.import(&image).unwrap();
        std::fs::metadata(fixture.path("store/trees").join(image.id().as_str())).unwrap().len()
    };
    assert_eq!(length(2), length(100));
}

#[test]
fn an_image_without_one_of_its_layers_is_not_there() {
    if lacks_root("an_image_without_one_of_its_layers_is_not_there") {
        return;
    }
    let image = Image::of([tar(&[("a", "1")]), tar(&[("b", "2")])]);
    for unfinished in [false, true] {
        let fixture = Fixture::new();
        let expected = fixture.list(&image);
        let layer = fixture.path("store/layers").join(digits(image.layers[0].diff_id.as_str()));
        std::fs::remove_file(layer).unwrap();
        assert!(!fixture.store.has(&image.id()).unwrap());
        let keep = BTreeSet::from([image.id()]);
        assert!(matches!(fixture.store.collect(&keep), Err(StoreError::Manifest { .. })));
        assert!(matches!(
            fixture.store.checkout(&image.id(), &fixture.path("d")),
            Err(StoreError::Manifest { .. })
        ));
        let report = fixture.store.verify(&|| false).unwrap();
        assert_eq!((report.images.len(), report.manifests.len()), (1, 1), "{report:?}");
        if unfinished {
            std::fs::write(fixture.path("store/unfinished"), "").unwrap();
        }
        fixture.import(&image).unwrap();
        assert_eq!(*fixture.opened.borrow(), [0]);
        let dest = fixture.path("again");
        fixture.store.checkout(&image.id(), &dest).unwrap();
        assert_eq!(list(&dest), expected);
        assert!(fixture.store.verify(&|| false).unwrap().is_clean());
        assert_eq!(fixture.store.collect(&keep).unwrap().manifests, 0);
    }
}

/// In format 1 an image had its tree after the list of its layers, as a layer has.
#[test]
fn manifests_of_format_1_are_read() {
    if lacks_root("manifests_of_format_1_are_read") {
        return;
    }
    let fixture = Fixture::new();
    let image = Image::of([tar(&[("d/a", "1")])]);
    let expected = fixture.list(&image);
    let layer = fixture.path("store/layers").join(digits(image.layers[0].diff_id.as_str()));
    let mut old = std::fs::read(&layer).unwrap();
    let end = old.len() - 32;
    old[7] = 1;
    old.truncate(end);
    let digest = sha2::Sha256::digest(&old);
    old.extend_from_slice(&digest);
    std::fs::write(&layer, &old).unwrap();
    std::fs::write(fixture.path("store/trees").join(image.id().as_str()), &old).unwrap();
    assert!(fixture.store.verify(&|| false).unwrap().is_clean());
    assert_eq!(fixture.store.size(&image.id()).unwrap(), Some(1));
    let dest = fixture.path("again");
    fixture.store.checkout(&image.id(), &dest).unwrap();
    assert_eq!(list(&dest), expected);
    assert_eq!(fixture.store.collect(&BTreeSet::from([image.id()])).unwrap().manifests, 0);
}

#[test]
fn repair_removes_damage_and_import_brings_it_back() {
    if lacks_root("repair_removes_damage_and_import_brings_it_back") {
        return;
    }
    let fixture = Fixture::new();
    let damaged = Image::of([tar(&[("a", "original"), ("b", "deleted"), ("m", "mode"), ("x", "fine")])]);
    let sound = Image::of([tar(&[("x", "fine")])]);
    fixture.import(&damaged).unwrap();
    fixture.import(&sound).unwrap();
    assert!(fixture.store.verify(&|| false).unwrap().is_clean());
    for object in fixture.objects() {
        match std::fs::read_to_string(&object).unwrap().as_str() {
            "original" => std::fs::write(&object, "0riginal").unwrap(),
            "deleted" => std::fs::remove_file(&object).unwrap(),
            "mode" => {
                let mode = std::os::unix::fs::PermissionsExt::from_mode(0o4644);
                std::fs::set_permissions(&object, mode).unwrap();
            }
            other => assert_eq!(other, "fine"),
        }
    }
    let report = fixture.store.verify(&|| false).unwrap();
    let mut kinds: Vec<_> = report.damaged.values().copied().collect();
    kinds.sort_by_key(|kind| format!("{kind:?}"));
    assert_eq!(kinds, [Damage::Changed, Damage::Changed, Damage::Missing]);
    assert_eq!(report.images, BTreeSet::from([damaged.id()]));
    assert_eq!(report.manifests.len(), 2, "{report:?}");
    assert_eq!(fixture.store.repair(&|| false).unwrap(), report);
    assert!(!fixture.store.has(&damaged.id()).unwrap());
    assert!(fixture.store.has(&sound.id()).unwrap());
    let imported = fixture.import(&damaged).unwrap();
    assert_eq!((imported.bytes_new, imported.bytes_reused), (19, 4));
    assert!(fixture.store.verify(&|| false).unwrap().is_clean());
}

#[test]
fn a_missing_object_is_named() {
    if lacks_root("a_missing_object_is_named") {
        return;
    }
    let fixture = Fixture::new();
    let image = Image::of([tar(&[("d/a", "1")])]);
    fixture.import(&image).unwrap();
    std::fs::remove_file(&fixture.objects()[0]).unwrap();
    let dest = fixture.path("dest");
    match fixture.store.checkout(&image.id(), &dest).unwrap_err() {
        StoreError::MissingObject { entry, .. } => assert_eq!(entry, "a"),
        other => panic!("{other:?}"),
    }
    assert!(!dest.exists());
    assert!(!crate::checkout::temporary(&dest).exists());
}

#[test]
fn checkout_is_idempotent_and_replaces_its_own_leftovers() {
    if lacks_root("checkout_is_idempotent_and_replaces_its_own_leftovers") {
        return;
    }
    let fixture = Fixture::new();
    let image = Image::of([tar(&[("d/a", "1")])]);
    let dest = fixture.path("dest");
    assert!(matches!(fixture.store.checkout(&image.id(), &dest), Err(StoreError::NotImported(_))));
    fixture.import(&image).unwrap();
    let leftover = crate::checkout::temporary(&dest);
    std::fs::create_dir_all(leftover.join("d")).unwrap();
    std::fs::write(leftover.join("d/a"), "wrong").unwrap();
    fixture.store.checkout(&image.id(), &dest).unwrap();
    assert_eq!(list(&dest), ["d/ 755", "d/a 644 '1'"]);
    let inode = std::fs::metadata(&dest).unwrap().ino();
    fixture.store.checkout(&image.id(), &dest).unwrap();
    assert_eq!(std::fs::metadata(&dest).unwrap().ino(), inode);
    let file = fixture.path("file");
    std::fs::write(&file, "").unwrap();
    assert!(fixture.store.checkout(&image.id(), &file).is_err(), "a file in the way is not replaced");
}

#[test]
fn checkout_does_not_follow_links_that_stand_in_its_way() {
    if lacks_root("checkout_does_not_follow_links_that_stand_in_its_way") {
        return;
    }
    let fixture = Fixture::new();
    let image = Image::of([tar(&[("a", "1")])]);
    fixture.import(&image).unwrap();
    let (dest, victim) = (fixture.path("dest"), fixture.path("victim"));
    std::fs::create_dir(&victim).unwrap();
    std::os::unix::fs::symlink(&victim, &dest).unwrap();
    assert!(fixture.store.checkout(&image.id(), &dest).is_err());
    std::fs::remove_file(&dest).unwrap();
    std::os::unix::fs::symlink(&victim, crate::checkout::temporary(&dest)).unwrap();
    let _ = fixture.store.checkout(&image.id(), &dest);
    assert!(list(&victim).is_empty());
}

#[test]
fn a_file_with_too_many_links_is_copied() {
    if lacks_root("a_file_with_too_many_links_is_copied") {
        return;
    }
    let fixture = Fixture::new();
    let image = Image::of([tar(&[("a", "1")])]);
    fixture.import(&image).unwrap();
    let object = &fixture.objects()[0];
    let folder = fixture.path("links");
    std::fs::create_dir(&folder).unwrap();
    // ext4 allows 65,000; a file system that allows more than this has nothing to test.
    let full = (0..70_000).any(|n| std::fs::hard_link(object, folder.join(n.to_string())).is_err());
    let dest = fixture.path("dest");
    fixture.store.checkout(&image.id(), &dest).unwrap();
    assert_eq!(list(&dest), ["a 644 '1'"]);
    let inode = |path: &std::path::Path| std::fs::metadata(path).unwrap().ino();
    assert_eq!(inode(&dest.join("a")) != inode(object), full);
}

#[test]
fn a_large_file_that_is_there_is_not_written_again() {
    if lacks_root("a_large_file_that_is_there_is_not_written_again") {
        return;
    }
    let fixture = Fixture::new();
    let original: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let layer = |data: &[u8], mode: u32, marker: &str| {
        Image::of([Tar::new().raw(b"large", data, |h| h.set_mode(mode)).file("marker", marker).end()])
    };
    let changed_at = |position: usize| {
        let mut data = original.clone();
        data[position] ^= 1;
        data
    };
    fixture.import(&layer(&original, 0o644, "1")).unwrap();
    let same = fixture.import(&layer(&original, 0o644, "2")).unwrap();
    assert_eq!((same.bytes_new, same.bytes_reused), (1, 3_000_000));
    // First and last byte, both sides of a buffer's end, other metadata: all must come out exact.
    for (number, position) in (3..).zip([0, 1, 262_143, 262_144, 1_500_000, 2_999_999]) {
        let data = changed_at(position);
        let listed = fixture.list(&layer(&data, 0o644, &number.to_string()));
        assert_eq!(listed[0], format!("large 644 '{}'", super::kit::digest(&data)), "{position}");
    }
    let listed = fixture.list(&layer(&original, 0o600, "0"));
    assert_eq!(listed[0], format!("large 600 '{}'", super::kit::digest(&original)));
    assert!(fixture.store.verify(&|| false).unwrap().is_clean());
    assert_eq!(fixture.objects().len(), 9 + 8);
    assert!(super::kit::files_below(&fixture.path("store/tmp")).is_empty());
}

/// Bytes that this thread's process wrote, as the kernel counts them, are not exact enough for a test; whether the
/// temporary file was made can be seen from outside: a folder in its place makes every attempt fail.
#[test]
fn a_large_file_that_is_there_needs_no_temporary_file() {
    if lacks_root("a_large_file_that_is_there_needs_no_temporary_file") {
        return;
    }
    let fixture = Fixture::new();
    let data = vec![7_u8; 2_000_000];
    let layer = |data: &[u8], marker: &str| {
        Image::of([Tar::new().raw(b"large", data, |_| {}).file("m", marker).end()])
    };
    fixture.import(&layer(&data, "1")).unwrap();
    let blocked = |image: &Image| {
        let mut open = |index: usize| -> Result<Box<dyn std::io::Read + Send>, crate::BoxError> {
            std::fs::create_dir_all(fixture.path("store/tmp/object")).unwrap();
            Ok(Box::new(std::io::Cursor::new(image.blobs[index].clone())))
        };
        let result = fixture.import_with(image, &mut open, &|| false);
        std::fs::remove_dir(fixture.path("store/tmp/object")).unwrap();
        result
    };
    blocked(&layer(&data, "2")).unwrap();
    assert!(blocked(&layer(&vec![8_u8; 2_000_000], "3")).is_err());
}
