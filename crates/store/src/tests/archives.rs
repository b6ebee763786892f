//! Forms of archives: long names, sparse files, compressions.

use super::kit::{Fixture, Image, Tar, digest, gzip, lacks_root, zstd};
use crate::Compression;

fn list(tar: Tar) -> Vec<String> {
    Fixture::new().list(&Image::of([tar.end()]))
}

#[test]
fn long_names_in_every_form() {
    if lacks_root("long_names_in_every_form") {
        return;
    }
    let long = format!("{}/{}", "d".repeat(200), "n".repeat(255));
    let expected = [format!("{}/ 755", "d".repeat(200)), format!("{long} 644 'x'")];
    assert_eq!(list(Tar::new().long(b'L', long.as_bytes()).file("short", "x")), expected);
    assert_eq!(list(Tar::new().pax(&[("path", long.as_bytes())]).file("short", "x")), expected);
    let prefixed =
        Tar::new().raw(b"name", b"x", |h| h.as_ustar_mut().unwrap().prefix[..3].copy_from_slice(b"a/b"));
    assert_eq!(list(prefixed), ["a/ 755", "a/b/ 755", "a/b/name 644 'x'"]);
    let target = "t".repeat(3000);
    let expected = [format!("l -> {target}")];
    assert_eq!(list(Tar::new().long(b'K', target.as_bytes()).symlink("l", "")), expected);
    assert_eq!(list(Tar::new().pax(&[("linkpath", target.as_bytes())]).symlink("l", "")), expected);
}

#[test]
fn the_size_in_a_pax_header_counts() {
    if lacks_root("the_size_in_a_pax_header_counts") {
        return;
    }
    let tar = Tar::new().pax(&[("size", b"3")]).raw(b"a", b"abc", |h| h.set_size(0)).file("b", "");
    assert_eq!(list(tar), ["a 644 'abc'", "b 644 ''"]);
}

/// Three extents of a file of 3 MiB: at the start, in the middle, and up to the end.
fn sparse_file() -> (Vec<(usize, usize)>, Vec<u8>, Vec<u8>) {
    let extents = vec![(0, 700), (1_500_000, 5000), (3 * 1024 * 1024 - 10, 10)];
    let mut whole = vec![0; 3 * 1024 * 1024];
    let mut stored = Vec::new();
    for (number, (offset, length)) in (1_u8..).zip(&extents) {
        whole[*offset..offset + length].fill(number);
        stored.extend_from_slice(&whole[*offset..offset + length]);
    }
    (extents, whole, stored)
}

#[test]
fn sparse_files_in_every_form() {
    if lacks_root("sparse_files_in_every_form") {
        return;
    }
    let (extents, whole, stored) = sparse_file();
    let size = whole.len().to_string();
    let numbers: Vec<String> = extents.iter().flat_map(|(o, l)| [o.to_string(), l.to_string()]).collect();
    let map = numbers.join(",");
    let mut in_data = format!("{}\n{}\n", extents.len(), numbers.join("\n")).into_bytes();
    in_data.resize(512, 0);
    in_data.extend_from_slice(&stored);
    let mut zero: Vec<(&str, &[u8])> = vec![("GNU.sparse.size", size.as_bytes())];
    for pair in numbers.chunks(2) {
        zero.push(("GNU.sparse.offset", pair[0].as_bytes()));
        zero.push(("GNU.sparse.numbytes", pair[1].as_bytes()));
    }
    let one: &[(&str, &[u8])] = &[
        ("GNU.sparse.major", b"1"),
        ("GNU.sparse.minor", b"0"),
        ("GNU.sparse.name", b"s"),
        ("GNU.sparse.realsize", size.as_bytes()),
    ];
    let forms =
        [
            ("gnu", gnu_sparse(&extents, whole.len(), &stored)),
            ("pax 0.0", Tar::new().pax(&zero).raw(b"s", &stored, |_| {})),
            (
                "pax 0.1",
                Tar::new()
                    .pax(&[("GNU.sparse.size", size.as_bytes()), ("GNU.sparse.map", map.as_bytes())])
                    .raw(b"s", &stored, |_| {}),
            ),
            ("pax 1.0", Tar::new().pax(one).raw(b"GNUSparseFile.0/s", &in_data, |_| {})),
        ];
    for (form, tar) in forms {
        let fixture = Fixture::new();
        let listed = fixture.list(&Image::of([tar.file("after", "x").end()]));
        assert_eq!(listed, ["after 644 'x'".to_owned(), format!("s 644 '{}'", digest(&whole))], "{form}");
        let blocks: u64 = fixture
            .objects()
            .iter()
            .map(|o| std::os::unix::fs::MetadataExt::blocks(&o.metadata().unwrap()))
            .sum();
        assert!(blocks * 512 < 100_000, "{form}: the holes take {blocks} blocks");
    }
}

fn gnu_sparse(extents: &[(usize, usize)], size: usize, stored: &[u8]) -> Tar {
    // All but the first in an extension block, although the header has room for four.
    let mut header = tar::Header::new_gnu();
    header.set_path("s").unwrap();
    header.set_entry_type(tar::EntryType::GNUSparse);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(stored.len() as u64);
    let gnu = header.as_gnu_mut().unwrap();
    gnu.set_real_size(size as u64);
    gnu.sparse[0].set_offset(extents[0].0 as u64);
    gnu.sparse[0].set_length(extents[0].1 as u64);
    gnu.set_is_extended(true);
    header.set_cksum();
    let mut block = tar::GnuExtSparseHeader::new();
    for (slot, (offset, length)) in block.sparse_mut().iter_mut().zip(&extents[1..]) {
        slot.set_offset(*offset as u64);
        slot.set_length(*length as u64);
    }
    let mut tar = Tar::new();
    tar.bytes.extend_from_slice(header.as_bytes());
    tar.bytes.extend_from_slice(block.as_bytes());
    tar.data(stored)
}

#[test]
fn archives_of_real_tools_are_read() {
    if lacks_root("archives_of_real_tools_are_read") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (_, whole, _) = sparse_file();
    std::fs::write(folder.path().join("s"), &whole).unwrap();
    std::fs::write(folder.path().join("n".repeat(200)), "x").unwrap();
    let punched = std::process::Command::new("fallocate").arg("-d").arg(folder.path().join("s")).status();
    assert!(punched.unwrap().success());
    for format in ["gnu", "posix", "oldgnu"] {
        for sparse in ["0.0", "0.1", "1.0"] {
            let output = std::process::Command::new("tar")
                .args(["-c", "-S", "--numeric-owner", "--owner=0", "--group=0", "--mode=644", "-H", format])
                .arg(format!("--sparse-version={sparse}"))
                .arg("-C")
                .arg(folder.path())
                .args(["s", &"n".repeat(200)])
                .output()
                .unwrap();
            assert!(output.status.success(), "{output:?}");
            let listed = Fixture::new().list(&Image::of([output.stdout]));
            let expected = [format!("{} 644 'x'", "n".repeat(200)), format!("s 644 '{}'", digest(&whole))];
            assert_eq!(listed, expected, "{format} {sparse}");
        }
    }
}

#[test]
fn compressions_give_the_same_files() {
    if lacks_root("compressions_give_the_same_files") {
        return;
    }
    let large: String = (0..300_000).map(|n| format!("{n}\n")).collect();
    let tar = Tar::new().file("a", "x").raw(b"large", large.as_bytes(), |_| {}).end();
    let (left, right) = tar.split_at(700_000);
    let several = |pack: fn(&[u8]) -> Vec<u8>| [pack(left), pack(b""), pack(right)].concat();
    // A frame that decoders skip; tools put their index of the layer into one.
    let skipped = [b"\x50\x2a\x4d\x18\x04\0\0\0abcd".to_vec(), zstd(&tar)].concat();
    for (form, blob, compression) in [
        ("none", tar.clone(), Compression::None),
        ("gzip", gzip(&tar), Compression::Gzip),
        ("gzip members", several(gzip), Compression::Gzip),
        ("zstd", zstd(&tar), Compression::Zstd),
        ("zstd frames", several(zstd), Compression::Zstd),
        ("zstd skippable", skipped, Compression::Zstd),
    ] {
        let mut image = Image::default();
        image.push_blob(&tar, blob, compression);
        let fixture = Fixture::new();
        assert_eq!(
            fixture.list(&image),
            ["a 644 'x'".to_owned(), format!("large 644 '{}'", digest(large.as_bytes()))],
            "{form}"
        );
    }
}

#[test]
fn what_follows_the_end_of_an_archive_is_hashed_and_ignored() {
    if lacks_root("what_follows_the_end_of_an_archive_is_hashed_and_ignored") {
        return;
    }
    let mut tar = Tar::new().file("a", "x").end();
    tar.extend_from_slice(&[0; 10_240]);
    tar.extend_from_slice(&Tar::new().file("hidden", "x").bytes);
    assert_eq!(Fixture::new().list(&Image::of([tar])), ["a 644 'x'"]);
    assert_eq!(
        Fixture::new().list(&Image::of([Tar::new().file("a", "x").bytes])),
        ["a 644 'x'"],
        "no end mark"
    );
}
