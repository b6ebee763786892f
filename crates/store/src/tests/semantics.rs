//! What layers mean: one line per rule of the OCI image specification.

use super::kit::{Fixture, Image, Tar, lacks_root};

/// Imports the layers and compares the checkout with `expected`.
fn check(case: &str, layers: &[Tar], expected: &[&str]) {
    let fixture = Fixture::new();
    let listed = fixture.list(&Image::of(layers.iter().cloned().map(Tar::end)));
    assert_eq!(listed, expected, "{case}");
    // The same once more from the manifests of the layers, which must say the same as the archives.
    let again = Fixture::new();
    let image = Image::of(layers.iter().cloned().map(Tar::end));
    again.import(&image).unwrap();
    std::fs::remove_file(again.path("store/trees").join(image.id().as_str())).unwrap();
    assert_eq!(again.list(&image), expected, "{case}: from known layers");
    assert!(again.opened.borrow().is_empty(), "{case}: a known layer was read");
}

fn t() -> Tar {
    Tar::new()
}

#[test]
fn files_of_every_kind() {
    if lacks_root("files_of_every_kind") {
        return;
    }
    check("plain", &[t().dir("a").file("a/b", "x")], &["a/ 755", "a/b 644 'x'"]);
    check("dot prefix", &[t().dir("./").file("./a", "x")], &["a 644 'x'"]);
    check("implicit parents", &[t().file("a/b/c", "x")], &["a/ 755", "a/b/ 755", "a/b/c 644 'x'"]);
    check("empty file", &[t().file("a", "")], &["a 644 ''"]);
    check("symbolic link", &[t().symlink("a", "/etc/../x")], &["a -> /etc/../x"]);
    check("fifo", &[t().kind("a", b'6', "")], &["a fifo 755"]);
    check("old directory", &[t().raw(b"a/", b"", |h| h.as_mut_bytes()[156] = 0)], &["a/ 644"]);
    check("contiguous file", &[t().raw(b"a", b"x", |h| h.as_mut_bytes()[156] = b'7')], &["a 644 'x'"]);
    check("empty layer", &[t()], &[]);
    check(
        "devices are left out",
        &[t().kind("null", b'3', "").kind("sda", b'4', "").file("a", "")],
        &["a 644 ''"],
    );
    check("name that is not UTF-8", &[t().raw(b"\xff\x01", b"x", |_| {})], &["\\xff\\x01 644 'x'"]);
    check(
        "global PAX header",
        &[t().raw(b"g", b"9 path=x\n", |h| h.as_mut_bytes()[156] = b'g').file("a", "")],
        &["a 644 ''"],
    );
}

#[test]
fn later_entries_replace_earlier_ones() {
    if lacks_root("later_entries_replace_earlier_ones") {
        return;
    }
    check("file twice", &[t().file("a", "1").file("a", "2")], &["a 644 '2'"]);
    check(
        "directory twice",
        &[t().dir("a").file("a/b", "x").raw(b"a/", b"", |h| {
            h.set_entry_type(tar::EntryType::Directory);
            h.set_mode(0o700);
        })],
        &["a/ 700", "a/b 644 'x'"],
    );
    check("directory, then file", &[t().file("a/b", "x").file("a", "y")], &["a 644 'y'"]);
    check(
        "file, then directory",
        &[t().file("a", "y").dir("a").file("a/b", "x")],
        &["a/ 755", "a/b 644 'x'"],
    );
    check(
        "link keeps what it was",
        &[t().file("a", "1").link("b", "a").file("a", "2")],
        &["a 644 '2'", "b 644 '1'"],
    );
}

#[test]
fn upper_layers_replace_lower_ones() {
    if lacks_root("upper_layers_replace_lower_ones") {
        return;
    }
    check("file", &[t().file("a", "1"), t().file("a", "2")], &["a 644 '2'"]);
    check("file by directory", &[t().file("a", "1"), t().file("a/b", "2")], &["a/ 755", "a/b 644 '2'"]);
    check("directory by file", &[t().file("a/b", "1"), t().file("a", "2")], &["a 644 '2'"]);
    check("back again", &[t().file("a/b", "1"), t().file("a", "2"), t().dir("a")], &["a/ 755"]);
    check(
        "directories merge",
        &[t().file("a/b", "1"), t().file("a/c", "2")],
        &["a/ 755", "a/b 644 '1'", "a/c 644 '2'"],
    );
    let private = |h: &mut tar::Header| {
        h.set_entry_type(tar::EntryType::Directory);
        h.set_mode(0o700);
    };
    check(
        "metadata of a directory",
        &[t().file("a/b", "1"), t().raw(b"a", b"", private)],
        &["a/ 700", "a/b 644 '1'"],
    );
    check(
        "an implicit directory changes nothing",
        &[t().raw(b"a", b"", private), t().file("a/b", "1")],
        &["a/ 700", "a/b 644 '1'"],
    );
    check(
        "a directory replaces a link to one",
        &[t().dir("usr").symlink("lib", "usr"), t().file("lib/x", "1")],
        &["lib/ 755", "lib/x 644 '1'", "usr/ 755"],
    );
}

#[test]
fn whiteouts_delete_from_lower_layers_only() {
    if lacks_root("whiteouts_delete_from_lower_layers_only") {
        return;
    }
    let base = || t().file("a/b", "1").file("a/c", "2").file("d", "3");
    check("file", &[base(), t().file("a/.wh.b", "")], &["a/ 755", "a/c 644 '2'", "d 644 '3'"]);
    check("directory", &[base(), t().file(".wh.a", "")], &["d 644 '3'"]);
    check("nothing there", &[t().file("d", "3"), t().file("x/.wh.y", "")], &["d 644 '3'", "x/ 755"]);
    check(
        "not in its own layer, before",
        &[base(), t().file(".wh.d", "").file("d", "4"), t().file(".wh.a", "")],
        &["d 644 '4'"],
    );
    check(
        "not in its own layer, after",
        &[base(), t().file("d", "4").file(".wh.d", ""), t().file(".wh.a", "")],
        &["d 644 '4'"],
    );
    check(
        "directory made anew",
        &[base(), t().file(".wh.a", "").file("a/x", "5")],
        &["a/ 755", "a/x 644 '5'", "d 644 '3'"],
    );
    check(
        "directory made anew, before",
        &[base(), t().file("a/x", "5").file(".wh.a", "")],
        &["a/ 755", "a/x 644 '5'", "d 644 '3'"],
    );
    check(
        "opaque",
        &[base(), t().file("a/.wh..wh..opq", "").file("a/x", "5")],
        &["a/ 755", "a/x 644 '5'", "d 644 '3'"],
    );
    check(
        "opaque, after",
        &[base(), t().file("a/x", "5").file("a/.wh..wh..opq", "")],
        &["a/ 755", "a/x 644 '5'", "d 644 '3'"],
    );
    check("opaque root", &[base(), t().file(".wh..wh..opq", "").file("x", "5")], &["x 644 '5'"]);
    check(
        "bookkeeping of aufs",
        &[t().file(".wh..wh.plnk/1", "").file(".wh..wh.aufs", "").file("a", "")],
        &["a 644 ''"],
    );
    check(
        "third layer brings it back",
        &[base(), t().file(".wh.d", ""), t().file("d", "4"), t().file(".wh.a", "")],
        &["d 644 '4'"],
    );
    check(
        "file in between hides the directory below",
        &[base(), t().file("a", "f").dir("a")],
        &["a/ 755", "d 644 '3'"],
    );
}

#[test]
fn hard_links_name_the_same_file() {
    if lacks_root("hard_links_name_the_same_file") {
        return;
    }
    check("in a layer", &[t().file("a", "1").link("b", "a")], &["a 644 '1'", "b 644 '1'"]);
    check("with dot", &[t().file("a", "1").link("b", "./a")], &["a 644 '1'", "b 644 '1'"]);
    check(
        "to a lower layer",
        &[t().file("x/a", "1"), t().link("b", "x/a")],
        &["b 644 '1'", "x/ 755", "x/a 644 '1'"],
    );
    check(
        "to a link to a lower layer",
        &[t().file("a", "1"), t().link("b", "a").link("c", "b")],
        &["a 644 '1'", "b 644 '1'", "c 644 '1'"],
    );
    check(
        "to what the same layer deletes",
        &[t().file("a", "1"), t().link("b", "a").file(".wh.a", "")],
        &["b 644 '1'"],
    );
    check("to a symbolic link", &[t().symlink("a", "x").link("b", "a")], &["a -> x", "b -> x"]);
    let fixture = Fixture::new();
    let image = Image::of([t().file("a", "1").link("b", "a").end()]);
    fixture.list(&image);
    let inode = |name: &str| {
        use std::os::unix::fs::MetadataExt as _;
        std::fs::metadata(fixture.path(image.id().as_str()).join(name)).unwrap().ino()
    };
    assert_eq!(inode("a"), inode("b"));
}
