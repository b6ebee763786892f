//! Hostile archives: each is refused for its own reason and leaves nothing behind.

use tar::EntryType;

use super::kit::{Fixture, Image, Tar, digest, lacks_root};
use crate::layer::{Budget, Tally, unpack};
use crate::limits;
use crate::session::{Rights, Session};
use crate::stream::{Input, Watch};
use crate::{Refusal, StoreError};

/// Imports and returns the rule that was broken, and the entry that broke it.
fn refusal(case: &str, tars: &[Tar]) -> (Refusal, String) {
    let fixture = Fixture::new();
    let image = Image::of(tars.iter().cloned().map(Tar::end));
    let error = fixture.import(&image).expect_err(case);
    fixture.assert_nothing_left(&image);
    match error {
        StoreError::Refused { source, entry, layer } => {
            assert_eq!(&layer, &image.layers.last().unwrap().digest, "{case}");
            (source, entry)
        }
        other => panic!("{case}: {other:?}"),
    }
}

fn check(case: &str, tars: &[Tar], expected: Refusal) {
    assert_eq!(refusal(case, tars).0, expected, "{case}");
}

fn t() -> Tar {
    Tar::new()
}

#[test]
fn paths_that_leave_the_image() {
    if lacks_root("paths_that_leave_the_image") {
        return;
    }
    check("absolute", &[t().file("/etc/passwd", "x")], Refusal::Absolute);
    check("up", &[t().file("../x", "x")], Refusal::Parent);
    check("down and up", &[t().file("a/../../x", "x")], Refusal::Parent);
    check("up inside", &[t().file("a/../x", "x")], Refusal::Parent);
    check("up at the end", &[t().dir("a/..")], Refusal::Parent);
    check("absolute in PAX", &[t().pax(&[("path", b"/x")]).file("a", "x")], Refusal::Absolute);
    check("up in a GNU name", &[t().long(b'L', b"../x").file("a", "x")], Refusal::Parent);
    check("NUL", &[t().pax(&[("path", b"a\0b")]).file("a", "x")], Refusal::Name);
    check("empty", &[t().pax(&[("path", b"")]).file("a", "x")], Refusal::Name);
    check("root as file", &[t().file("./", "x")], Refusal::Root);
    check("root as link", &[t().symlink(".", "/")], Refusal::Root);
    check("through a link", &[t().symlink("a", "/etc").file("a/passwd", "x")], Refusal::ThroughNonDirectory);
    check(
        "through two links",
        &[t().symlink("a", "b").symlink("b", "/").file("a/x", "x")],
        Refusal::ThroughNonDirectory,
    );
    check("through a file", &[t().file("a", "").file("a/b", "x")], Refusal::ThroughNonDirectory);
    check("directory through a link", &[t().symlink("a", "/etc").dir("a/b")], Refusal::ThroughNonDirectory);
    check(
        "whiteout through a link",
        &[t().symlink("a", "/etc").file("a/.wh.passwd", "")],
        Refusal::ThroughNonDirectory,
    );
    check(
        "opaque through a link",
        &[t().symlink("a", "/etc").file("a/.wh..wh..opq", "")],
        Refusal::ThroughNonDirectory,
    );
    assert_eq!(
        refusal("entry", &[t().file("a/../\x1b[31mx", "x")]).1,
        "a/../\\u{1b}[31mx",
        "what is shown is printable"
    );
}

#[test]
fn whiteouts_that_name_no_file() {
    if lacks_root("whiteouts_that_name_no_file") {
        return;
    }
    check("nothing", &[t().file("a/.wh.", "")], Refusal::Whiteout);
    check("dot", &[t().file("a/.wh..", "")], Refusal::Whiteout);
    check("parent", &[t().file("a/.wh...", "")], Refusal::Whiteout);
    check("used as directory", &[t().file(".wh.a/b", "")], Refusal::Whiteout);
}

#[test]
fn hard_links_that_lead_out() {
    if lacks_root("hard_links_that_lead_out") {
        return;
    }
    let target = |text: &str| Refusal::LinkTarget(text.to_owned());
    check("absolute", &[t().link("a", "/etc/shadow")], target("/etc/shadow"));
    check("up", &[t().link("a", "../x")], target("../x"));
    check("missing", &[t().link("a", "b")], target("b"));
    check("later in the archive", &[t().link("a", "b").file("b", "x")], target("b"));
    check("itself", &[t().link("a", "a")], target("a"));
    check("empty", &[t().link("a", "")], target(""));
    check("directory", &[t().dir("d").link("a", "d")], target("d"));
    check("directory below", &[t().dir("d"), t().link("a", "d")], target("d"));
    check("root", &[t().link("a", ".")], target("."));
    check("through a link", &[t().symlink("s", "/etc").link("a", "s/shadow")], target("s/shadow"));
    check("through a link below", &[t().symlink("s", "/etc"), t().link("a", "s/shadow")], target("s/shadow"));
    check("deleted below", &[t().file("b", "x"), t().file(".wh.b", ""), t().link("a", "b")], target("b"));
}

#[test]
fn entries_that_lie() {
    if lacks_root("entries_that_lie") {
        return;
    }
    let malformed = Refusal::Malformed;
    let typed = |kind: u8| t().raw(b"a", b"content", |h| h.set_entry_type(EntryType::new(kind)));
    for kind in *b"123456" {
        check("content where none can be", &[typed(kind)], Refusal::UnexpectedContent);
    }
    let size = [("size", b"512".as_slice())];
    check("content by PAX", &[t().pax(&size).dir("a").file("x", "")], Refusal::UnexpectedContent);
    check("unknown type", &[typed(b'V')], Refusal::EntryType('V'));
    check("owner -1", &[t().pax(&[("uid", b"4294967295")]).file("a", "")], Refusal::Owner);
    check("owner too large", &[t().pax(&[("gid", b"4294967296")]).file("a", "")], Refusal::Owner);
    check("symbolic link to nothing", &[t().symlink("a", "")], Refusal::SymlinkTarget);
    check(
        "symbolic link with NUL",
        &[t().pax(&[("linkpath", b"a\0b")]).symlink("a", "")],
        Refusal::SymlinkTarget,
    );
    let pax = t().pax(&[("path", b"x")]);
    check(
        "two PAX headers",
        &[pax.clone().pax(&[("uid", b"1")]).file("a", "")],
        malformed("two extended headers of a kind stand before one entry"),
    );
    check("nothing after PAX", &[pax], malformed("it ends after an extended header"));
    let mut wrong = t().file("a", "x");
    wrong.bytes[0] = b'b';
    check("checksum", &[wrong], malformed("a header has a wrong checksum"));
    let broken_pax =
        |data: &[u8]| t().raw(b"p", data, |h| h.set_entry_type(EntryType::XHeader)).file("a", "");
    for data in [
        b"x path=a\n".as_slice(),
        b"99 path=a\n",
        b"9 path=a",
        b"3 a",
        b"0 path=a\n",
        b"-1 path=a\n",
        b"9 path-a\n",
    ] {
        check(
            "PAX record",
            &[broken_pax(data)],
            match data {
                b"x path=a\n" | b"-1 path=a\n" => malformed("a number makes no sense"),
                _ => malformed("a PAX record makes no sense"),
            },
        );
    }
}

#[test]
fn archives_that_end_early() {
    if lacks_root("archives_that_end_early") {
        return;
    }
    let whole = t().file("a", "x").pax(&[("path", b"longer")]).file("b", &"y".repeat(2_000_000)).bytes;
    for cut in [100, 512, 600, 1100, 1536, 1600, 2048, 2600, 5000, 1_500_000, whole.len() - 100] {
        let fixture = Fixture::new();
        let image = Image::of([whole[..cut].to_vec()]);
        match fixture.import(&image) {
            Err(StoreError::Refused { source: Refusal::Malformed(_), .. }) => {
                fixture.assert_nothing_left(&image)
            }
            other => panic!("cut at {cut}: {other:?}"),
        }
    }
}

#[test]
fn sparse_maps_that_lie() {
    if lacks_root("sparse_maps_that_lie") {
        return;
    }
    let sparse = |map: &str, size: &str, stored: &[u8]| {
        let records: [(&str, &[u8]); 2] =
            [("GNU.sparse.map", map.as_bytes()), ("GNU.sparse.size", size.as_bytes())];
        t().pax(&records).raw(b"a", stored, |_| {})
    };
    for (case, map, size, stored) in [
        ("past the end", "0,5", "4", "xxxxx"),
        ("overlap", "0,5,4,5", "20", "xxxxxxxxxx"),
        ("wrong order", "5,2,0,2", "10", "xxxx"),
        ("less stored", "0,5", "10", "xxx"),
        ("more stored", "0,5", "10", "xxxxxxx"),
        ("overflow", "18446744073709551615,5", "10", "xxxxx"),
        ("half an extent", "0,5,7", "10", "xxxxx"),
    ] {
        check(case, &[sparse(map, size, stored.as_bytes())], Refusal::Sparse);
    }
    let one: &[(&str, &[u8])] =
        &[("GNU.sparse.major", b"1"), ("GNU.sparse.minor", b"0"), ("GNU.sparse.realsize", b"10")];
    check(
        "map longer than the data",
        &[t().pax(one).raw(b"a", b"", |_| {}).file("b", &"1\n".repeat(400))],
        Refusal::Sparse,
    );
    check(
        "no such version",
        &[t().pax(&[("GNU.sparse.major", b"2"), ("GNU.sparse.size", b"0")]).file("a", "")],
        Refusal::Sparse,
    );
}

fn limit(what: &'static str, limit: u64) -> Refusal {
    Refusal::Limit { what, limit }
}

#[test]
fn everything_has_a_limit() {
    if lacks_root("everything_has_a_limit") {
        return;
    }
    let name = "n".repeat(limits::NAME_BYTES_MAX + 1);
    check("name", &[t().pax(&[("path", name.as_bytes())]).file("a", "")], limit("bytes in a file name", 255));
    let path = "dir/".repeat(1025);
    check("path", &[t().pax(&[("path", path.as_bytes())]).file("a", "")], limit("bytes in a path", 4096));
    let deep = "d/".repeat(limits::DEPTH_MAX + 1);
    check(
        "depth",
        &[t().pax(&[("path", deep.as_bytes())]).file("a", "")],
        limit("levels of directories", 256),
    );
    let target = "t".repeat(limits::SYMLINK_BYTES_MAX + 1);
    check("target", &[t().pax(&[("linkpath", target.as_bytes())]).symlink("a", "")], Refusal::SymlinkTarget);
    let value = vec![b'x'; limits::XATTR_BYTES_MAX];
    let tar = t().pax(&[("SCHILY.xattr.user.a", value.as_slice())]).file("a", "");
    check("attributes", &[tar], limit("bytes of extended attributes", limits::XATTR_BYTES_MAX as u64));
    // Only the header: the size alone must be enough to refuse.
    for kind in *b"xLK" {
        let tar = t().raw(b"x", b"", |h| {
            h.set_entry_type(EntryType::new(kind));
            h.set_size(limits::EXTENSION_BYTES_MAX + 1);
        });
        check("extension", &[tar], limit("bytes in an extended header", limits::EXTENSION_BYTES_MAX));
    }
    let mut devices = t();
    for n in 0..=limits::DEVICES_MAX {
        devices = devices.kind(&format!("dev/{n}"), b'3', "");
    }
    check("devices", &[devices], limit("device nodes in one image", limits::DEVICES_MAX));
    let unpacked = limit("unpacked bytes in one image", limits::UNPACKED_BYTES_MAX);
    let size = (limits::UNPACKED_BYTES_MAX + 1).to_string();
    check("file", &[t().pax(&[("size", size.as_bytes())]).file("a", "")], unpacked.clone());
    let sparse: &[(&str, &[u8])] = &[("GNU.sparse.map", b""), ("GNU.sparse.size", size.as_bytes())];
    check("sparse file", &[t().pax(sparse).file("a", "")], unpacked);
}

/// The limits on a whole image are too large to reach in a test, so the budget starts small here.
#[test]
fn layers_share_one_budget() {
    if lacks_root("layers_share_one_budget") {
        return;
    }
    let run = |tar: Tar, change: fn(&mut Budget)| {
        let fixture = Fixture::new();
        let session = Session::begin(&fixture.layout()).unwrap();
        let image = Image::of([tar.end()]);
        let mut budget = Budget::new();
        change(&mut budget);
        let mut archive = budget.archive;
        let watch = Watch { progress: &mut |_| {}, cancelled: &|| false };
        let source = Box::new(std::io::Cursor::new(image.blobs[0].clone()));
        let mut input = Input::start(&image.layers[0], source, watch, &mut archive).unwrap();
        let tree = unpack(&mut input, &session.objects, Rights::Kept, &mut budget, &mut Tally::default())?;
        // What was unpacked takes as much from the budget when it is known already.
        let mut again = Budget::new();
        change(&mut again);
        again.entries += 1;
        again.take_tree(&tree).unwrap();
        Ok(())
    };
    let two = || t().file("a", "12345").file("b", "12345");
    type Change = fn(&mut Budget);
    let cases: [(Tar, Change, Option<Refusal>); 6] = [
        (two(), |b| b.entries = 2, None),
        (two(), |b| b.entries = 1, Some(limit("entries in one image", limits::ENTRIES_MAX))),
        (two(), |b| b.files = 10, None),
        (two(), |b| b.files = 9, Some(limit("unpacked bytes in one image", limits::UNPACKED_BYTES_MAX))),
        (two(), |b| b.archive = 3072, None),
        (two(), |b| b.archive = 3071, Some(limit("unpacked bytes in one image", limits::UNPACKED_BYTES_MAX))),
    ];
    for (number, (tar, change, expected)) in cases.into_iter().enumerate() {
        let found = match run(tar, change) {
            Ok(()) => None,
            Err(StoreError::Refused { source, .. }) => Some(source),
            Err(error) => panic!("{number}: {error:?}"),
        };
        assert_eq!(found, expected, "{number}");
    }
}

#[test]
fn extended_attributes_that_cannot_be_kept() {
    if lacks_root("extended_attributes_that_cannot_be_kept") {
        return;
    }
    let with =
        |name: &str, value: &[u8]| [t().pax(&[(&format!("SCHILY.xattr.{name}"), value)]).file("a", "")];
    let refused = |name: &str| Refusal::Xattr(name.to_owned());
    check("access list", &with("system.posix_acl_access", b"\x02\0\0\0"), refused("system.posix_acl_access"));
    check("capability of nonsense", &with("security.capability", b"x"), refused("security.capability"));
    check(
        "capability of a namespace",
        &with(
            "security.capability",
            &[1, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0],
        ),
        refused("security.capability"),
    );
    let long = format!("user.{}", "n".repeat(limits::XATTR_NAME_BYTES_MAX));
    assert!(matches!(refusal("name", &with(&long, b"x")).0, Refusal::Xattr(_)));
}

#[test]
fn a_bomb_of_zeros_is_refused_by_its_size_and_needs_no_memory() {
    if lacks_root("a_bomb_of_zeros_is_refused_by_its_size_and_needs_no_memory") {
        return;
    }
    // 64 MiB of zeros in 64 KiB: allowed, but it takes neither disk nor memory.
    let tar = t().raw(b"a", &vec![0; 64 << 20], |_| {}).end();
    let mut image = Image::default();
    image.push(&tar, crate::Compression::Gzip);
    let fixture = Fixture::new();
    fixture.import(&image).unwrap();
    let blocks: u64 = fixture
        .objects()
        .iter()
        .map(|o| std::os::unix::fs::MetadataExt::blocks(&o.metadata().unwrap()))
        .sum();
    assert!(blocks < 100, "{blocks} blocks");
    assert_eq!(fixture.list(&image), [format!("a 644 '{}'", digest(&vec![0; 64 << 20]))]);
}

#[test]
fn a_zstd_window_above_the_limit_is_refused() {
    if lacks_root("a_zstd_window_above_the_limit_is_refused") {
        return;
    }
    let tar = t().file("a", "x").end();
    let mut encoder = zstd::stream::Encoder::new(Vec::new(), 3).unwrap();
    encoder.window_log(limits::ZSTD_WINDOW_LOG_MAX + 1).unwrap();
    std::io::Write::write_all(&mut encoder, &tar).unwrap();
    let mut image = Image::default();
    image.push_blob(&tar, encoder.finish().unwrap(), crate::Compression::Zstd);
    let fixture = Fixture::new();
    let error = fixture.import(&image).unwrap_err();
    assert!(matches!(error, StoreError::Decompress { .. }), "{error:?}");
    fixture.assert_nothing_left(&image);
}
