//! Owners, modes, times and extended attributes.

use std::os::unix::fs::MetadataExt;

use super::kit::{Fixture, Image, Tar, lacks_root};
use crate::Rights;

#[test]
fn owners_and_modes_are_kept() {
    if lacks_root("owners_and_modes_are_kept") {
        return;
    }
    let tar = Tar::new()
        .raw(b"su", b"x", |h| {
            h.set_mode(0o4755);
            h.set_uid(7);
            h.set_gid(8);
        })
        .raw(b"sg", b"", |h| {
            h.set_entry_type(tar::EntryType::Directory);
            h.set_mode(0o2775);
            h.set_gid(50);
        })
        .raw(b"sg/in", b"", |h| {
            h.set_entry_type(tar::EntryType::Directory);
            h.set_mode(0o1700);
        })
        .raw(b"link", b"", |h| {
            h.set_entry_type(tar::EntryType::Symlink);
            h.set_link_name("su").unwrap();
            h.set_uid(9);
        })
        .pax(&[("uid", b"3000000000"), ("gid", b"4000000000")])
        .file("large", "");
    let fixture = Fixture::new();
    assert_eq!(
        fixture.list(&Image::of([tar.end()])),
        [
            "large 3000000000:4000000000 644 ''",
            "link 9:0 -> su",
            "sg/ 0:50 2775",
            "sg/in/ 1700",
            "su 7:8 4755 'x'"
        ]
    );
}

/// What every process of the host can reach must be of no use to one that means harm.
#[test]
fn a_read_only_store_lets_nobody_write_or_gain_rights() {
    if lacks_root("a_read_only_store_lets_nobody_write_or_gain_rights") {
        return;
    }
    let capability = b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let mode = |mode| move |h: &mut tar::Header| h.set_mode(mode);
    let tar = Tar::new()
        .raw(b"su", b"x", mode(0o6777))
        .pax(&[("SCHILY.xattr.security.capability", capability)])
        .raw(b"capable", b"x", mode(0o755))
        .raw(b"secret", b"x", |h| {
            h.set_mode(0o600);
            h.set_uid(33);
        })
        .raw(b"open", b"", |h| {
            h.set_entry_type(tar::EntryType::Directory);
            h.set_mode(0o1777);
        });
    let fixture = Fixture::with(Rights::ReadOnly);
    let image = Image::of([tar.end()]);
    assert_eq!(fixture.list(&image), ["capable 555 'x'", "open/ 555", "secret 33:0 400 'x'", "su 555 'x'"]);
    let path = fixture.path(image.id().as_str()).join("capable");
    let found = rustix::fs::getxattr(path, "security.capability", &mut [0; 64][..]);
    assert_eq!(found, Err(rustix::io::Errno::NODATA));
}

#[test]
fn the_root_has_the_metadata_of_its_entry() {
    if lacks_root("the_root_has_the_metadata_of_its_entry") {
        return;
    }
    let tar = Tar::new().raw(b"./", b"", |h| {
        h.set_entry_type(tar::EntryType::Directory);
        h.set_mode(0o711);
        h.set_uid(5);
    });
    let fixture = Fixture::new();
    let image = Image::of([tar.end()]);
    fixture.list(&image);
    let meta = std::fs::metadata(fixture.path(image.id().as_str())).unwrap();
    assert_eq!((meta.mode() & 0o7777, meta.uid(), meta.mtime()), (0o711, 5, 0));
}

fn xattr(fixture: &Fixture, image: &Image, path: &str, name: &str) -> Option<Vec<u8>> {
    let mut value = vec![0; 4096];
    let path = fixture.path(image.id().as_str()).join(path);
    match rustix::fs::lgetxattr(&path, name, value.as_mut_slice()) {
        Ok(length) => {
            value.truncate(length);
            Some(value)
        }
        Err(rustix::io::Errno::NODATA) => None,
        Err(error) => panic!("{error}"),
    }
}

/// Revision 2: cap_net_raw, effective and permitted. Has a line feed in it on purpose.
const CAPABILITY: &[u8] = b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\x0a\0\0\0\0\0\0\0";

#[test]
fn attributes_of_the_image_are_kept_and_those_of_the_host_are_not() {
    if lacks_root("attributes_of_the_image_are_kept_and_those_of_the_host_are_not") {
        return;
    }
    let records: &[(&str, &[u8])] = &[
        ("SCHILY.xattr.user.note", b"a\nb\0c"),
        ("SCHILY.xattr.security.capability", CAPABILITY),
        ("SCHILY.xattr.trusted.overlay.opaque", b"y"),
        ("SCHILY.xattr.user.overlay.redirect", b"/etc"),
        ("SCHILY.xattr.security.selinux", b"label"),
        ("LIBARCHIVE.xattr.user.other", b"x"),
    ];
    let tar = Tar::new().pax(records).file("f", "x").pax(records).dir("d").pax(records).symlink("s", "f");
    let fixture = Fixture::new();
    let image = Image::of([tar.end()]);
    fixture.list(&image);
    for (path, name, expected) in [
        ("f", "user.note", Some(b"a\nb\0c".as_slice())),
        ("f", "security.capability", Some(CAPABILITY)),
        ("f", "trusted.overlay.opaque", None),
        ("f", "user.overlay.redirect", None),
        ("f", "user.other", None),
        ("d", "user.note", Some(b"a\nb\0c".as_slice())),
        ("d", "security.capability", None),
        ("d", "trusted.overlay.opaque", None),
        ("s", "trusted.overlay.opaque", None),
    ] {
        assert_eq!(xattr(&fixture, &image, path, name).as_deref(), expected, "{path} {name}");
    }
    assert!(fixture.store.verify(&|| false).unwrap().is_clean());
}

#[test]
fn same_content_with_other_metadata_is_another_file() {
    if lacks_root("same_content_with_other_metadata_is_another_file") {
        return;
    }
    let tar = Tar::new()
        .file("a", "x")
        .raw(b"b", b"x", |h| h.set_mode(0o600))
        .raw(b"c", b"x", |h| h.set_uid(1))
        .raw(b"d", b"x", |h| h.set_gid(1))
        .pax(&[("SCHILY.xattr.user.a", b"1")])
        .file("e", "x")
        .raw(b"same", b"x", |h| h.set_mtime(5));
    let fixture = Fixture::new();
    let imported = fixture.import(&Image::of([tar.end()])).unwrap();
    assert_eq!(fixture.objects().len(), 5);
    assert_eq!((imported.size, imported.bytes_new, imported.bytes_reused), (5, 5, 1));
}

#[test]
fn files_have_no_time() {
    if lacks_root("files_have_no_time") {
        return;
    }
    let fixture = Fixture::new();
    let image = Image::of([Tar::new().file("a", "x").dir("d").symlink("s", "a").end()]);
    fixture.list(&image);
    for name in ["a", "d", "s"] {
        let meta = fixture.path(image.id().as_str()).join(name).symlink_metadata().unwrap();
        assert_eq!(meta.mtime(), 0, "{name}");
    }
}
