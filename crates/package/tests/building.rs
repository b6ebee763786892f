//! Recipes, and images made from folders.
// The exemption of tests from these lints does not reach helper functions.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;

use common::*;
use scomo_core::failure::FailureKind;
use scomo_core::spec::{ComponentKind, FilesSpec, Payload};
use scomo_package::Compression;
use scomo_package::builder::parse_recipe;

#[test]
fn a_bad_recipe_says_what_is_wrong() {
    for (text, expect) in [
        ("", "unexpected end"),
        ("id: x\ncomponents: []\nsurprise: 1\n", "surprise"),
        ("id: x\nid: y\ncomponents: []\n", "id"),
        ("id: x\ncomponents:\n- id: c\n", "exactly one of"),
        ("id: x\ncomponents:\n- id: c\n  rootfs: a\n  image: oci:/b\n", "exactly one of"),
        ("id: x\ncomponents:\n- id: c\n  image: oci:/b\n  compression: gzip\n", "go with 'rootfs'"),
        ("id: x\ncomponents:\n- id: c\n  rootfs: a\n  compression: lzma\n", "lzma"),
        ("id: x\ncomponents:\n- id: c\n  rootfs: a\n  run: { privileged: true }\n", "privileged"),
        ("id: x\ncomponents:\n- id: c\n  folder: a\n  files: { target: /x }\n", "target"),
        ("id: x\ncomponents:\n- id: c\n  folder: a\n  files: {}\n  run: { user: x }\n", "no container"),
        ("id: x\ncomponents:\n- id: c\n  os: { url: u, commit: c }\n  files: {}\n", "at once"),
        ("id: x\ncomponents:\n- id: c\n  files: {}\n", "exactly one of"),
    ] {
        let error = parse_recipe(text).expect_err(text);
        assert!(error.to_string().contains(expect), "{text}: {error}");
        assert_eq!(error.kind(), FailureKind::Invalid);
    }
    let alias_bomb = "a: &a [x,x,x,x,x,x,x,x,x,x]\n".to_owned()
        + &(0..12).map(|n| format!("b{n}: &b{n} [*a,*a,*a,*a,*a,*a,*a,*a]\n")).collect::<String>();
    assert!(parse_recipe(&alias_bomb).is_err());
}

#[test]
fn a_failed_build_leaves_nothing_behind() {
    let world = World::new();
    let before = names(&world);
    for (recipe, expect) in [
        (world.recipe().replace("rootfs: web", "rootfs: nowhere"), "nowhere"),
        (world.recipe().replace("rootfs: web", "rootfs: web/etc/motd"), "not a folder"),
        (
            world
                .recipe()
                .replace("rootfs: web", "image: 'oci:nowhere'")
                .replace("  compression: gzip\n", ""),
            "nowhere",
        ),
        (world.recipe().replace("requires: [os]", "requires: ['os>=99']"), "os>=99"),
        (world.recipe().replace("id: db", "id: web"), "two components"),
        (format!("platform: amiga\n{}", world.recipe()), "os/architecture"),
    ] {
        for output in ["out", "out.scomo"] {
            let error = world.build_recipe(&recipe, output).expect_err(expect);
            assert!(chain(&error).contains(expect), "{}", chain(&error));
            assert_eq!(names(&world), before, "{expect}");
        }
    }
}

fn names(world: &World) -> Vec<String> {
    let entries = fs::read_dir(world.dir.path()).expect("dir");
    let mut names: Vec<String> =
        entries.map(|e| e.expect("entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn a_folder_becomes_a_faithful_layer() {
    let world = World::new();
    let root = world.path("root");
    let long = format!("{}/{}", "d".repeat(120), "f".repeat(200));
    fs::create_dir_all(root.join("d".repeat(120))).expect("mkdir");
    fs::write(root.join(&long), "long").expect("write");
    fs::write(root.join("empty"), "").expect("write");
    fs::write(root.join("setuid"), "x").expect("write");
    fs::set_permissions(root.join("setuid"), fs::Permissions::from_mode(0o4755)).expect("mode");
    fs::hard_link(root.join("setuid"), root.join("zlink")).expect("link");
    std::os::unix::fs::symlink("/absolute/../target", root.join("symlink")).expect("symlink");
    let has_xattr = xattr::set(root.join("empty"), "user.test", b"value\0with zero").is_ok();
    for (compression, name) in
        [("zstd", Compression::Zstd), ("gzip", Compression::Gzip), ("none", Compression::None)]
    {
        let recipe = format!("id: p\ncomponents:\n- {{ id: c, rootfs: root, compression: {compression} }}\n");
        world.build_recipe(&recipe, compression).unwrap_or_else(|e| panic!("{}", chain(&e)));
        let source = world.oci(compression);
        let content = resolve(&unsigned(), &source).expect("resolve");
        let Payload::Image { digest, .. } = &content.releases[0].spec.payload else { panic!() };
        let mut payloads = scomo_package::open(&unsigned(), &source).expect("open");
        let layer = payloads.image(digest).expect("image").layers.remove(0);
        assert_eq!(layer.compression, name);
        let reader = payloads.layer(&layer).expect("layer");
        let mut reader: Box<dyn Read> = match layer.compression {
            Compression::None => reader,
            Compression::Gzip => Box::new(flate2::read::MultiGzDecoder::new(reader)),
            Compression::Zstd => Box::new(zstd::Decoder::new(reader).expect("zstd")),
        };
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).expect("unpack");
        assert_eq!(sha(&bytes), layer.diff_id.to_string());
        check_tar(&bytes, &long, has_xattr);
    }
    run("mkfifo", &[&root.join("fifo").display().to_string()]);
    let recipe = "id: p\ncomponents:\n- { id: c, rootfs: root }\n";
    let error = world.build_recipe(recipe, "fifo").expect_err("a FIFO");
    assert!(error.to_string().contains("leave it out"), "{error}");
}

#[test]
fn a_folder_becomes_a_file_set() {
    let world = World::new();
    let recipe = "id: p\ncomponents:\n- id: certificates\n  folder: web\n  files: { path: /etc/ssl/scomo/web, reload: [nginx] }\n- { id: plain, folder: db, files: {} }\n";
    world.build_recipe(recipe, "layout").unwrap_or_else(|e| panic!("{}", chain(&e)));
    let releases = resolve(&unsigned(), &world.oci("layout")).expect("resolve").releases;
    for release in &releases {
        assert_eq!(release.spec.kind, ComponentKind::Files);
        assert!(matches!(release.spec.payload, Payload::Image { .. }));
    }
    let expected = FilesSpec {
        path: "/etc/ssl/scomo/web".to_owned(),
        reload: vec!["nginx".to_owned()],
        ..FilesSpec::default()
    };
    assert_eq!((&releases[0].spec.files, &releases[1].spec.files), (&expected, &FilesSpec::default()));
    let greedy = recipe.replace("[nginx]", "[nginx], reloadTimeoutS: 601");
    let error = world.build_recipe(&greedy, "greedy").expect_err("too long");
    assert!(chain(&error).contains("'files'"), "{}", chain(&error));
}

fn check_tar(bytes: &[u8], long: &str, has_xattr: bool) {
    let mut archive = tar::Archive::new(bytes);
    let mut found = BTreeMap::new();
    let mut order = Vec::new();
    for entry in archive.entries().expect("tar") {
        let mut entry = entry.expect("entry");
        let name = entry.path().expect("path").display().to_string();
        let kind = entry.header().entry_type();
        let link = entry.link_name().expect("link").map(|l| l.display().to_string());
        let mode = entry.header().mode().expect("mode");
        assert_eq!(
            (entry.header().mtime().expect("time"), entry.header().uid().expect("uid")),
            (0, 0),
            "{name}"
        );
        if name == "empty" && has_xattr {
            let records = entry.pax_extensions().expect("pax").expect("records");
            let record =
                records.map(|r| r.expect("record")).find(|r| r.key() == Ok("SCHILY.xattr.user.test"));
            assert_eq!(record.expect("attribute").value_bytes(), b"value\0with zero");
        }
        order.push(name.clone());
        found.insert(name, (kind, link, mode));
    }
    let mut sorted = order.clone();
    sorted.sort();
    assert_eq!(order, sorted);
    assert!(found.contains_key(long));
    assert_eq!(found["setuid"], (tar::EntryType::Regular, None, 0o4755));
    assert_eq!(found["zlink"].0, tar::EntryType::Link);
    assert_eq!(found["zlink"].1.as_deref(), Some("setuid"));
    assert_eq!(found["symlink"].1.as_deref(), Some("/absolute/../target"));
}

#[test]
fn a_package_for_another_processor_can_be_built_here() {
    let world = World::new();
    let recipe = format!("platform: linux/pdp11\n{}", world.recipe());
    world.build_recipe(&recipe, "layout").unwrap_or_else(|e| panic!("{}", chain(&e)));
    let report = scomo_package::builder::inspect(&unsigned(), &world.oci("layout")).expect("inspect");
    let platforms: Vec<_> =
        report.components.iter().filter_map(|c| c.image.as_ref()).map(|i| i.platform.as_str()).collect();
    assert_eq!(platforms, ["linux/pdp11", "linux/pdp11"]);
    // The device of this test is no such machine: fetching is refused, on the config's word.
    let content = resolve(&unsigned(), &world.oci("layout")).map(|c| c.releases);
    let error = match content {
        Err(error) => error,
        Ok(releases) => {
            let Payload::Image { digest, .. } = &releases[0].spec.payload else { panic!() };
            let mut payloads = scomo_package::open(&unsigned(), &world.oci("layout")).expect("open");
            payloads.image(digest).expect_err("another machine")
        }
    };
    assert_eq!(error.kind(), FailureKind::Unsupported, "{error}");
}
