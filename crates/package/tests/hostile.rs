//! Packages made to harm: every one is refused with a clear error, and no reader goes beyond its limits.
// The exemption of tests from these lints does not reach helper functions.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

mod common;

use std::fs;
use std::io::Read;
use std::os::unix::fs::symlink;
use std::path::Path;

use common::*;
use scomo_core::failure::FailureKind;
use scomo_core::spec::Payload;
use scomo_package::oci::{
    ARTIFACT_PACKAGE, MEDIA_CONFIG, MEDIA_INDEX, MEDIA_MANIFEST, MEDIA_PACKAGE, Platform,
};
use scomo_package::{io_kind, parse_manifest};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A layout that is put together by hand.
struct Layout {
    dir: TempDir,
}

impl Layout {
    fn new() -> Self {
        let dir = TempDir::new().expect("folder");
        fs::create_dir_all(dir.path().join("blobs/sha256")).expect("mkdir");
        fs::write(dir.path().join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).expect("write");
        Self { dir }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn source(&self) -> String {
        format!("oci:{}", self.path().display())
    }

    fn put(&self, media_type: &str, bytes: &[u8]) -> Value {
        let digest = sha(bytes);
        fs::write(blob_path(self.path(), &digest), bytes).expect("write");
        json!({ "mediaType": media_type, "digest": digest, "size": bytes.len() })
    }

    fn json(&self, media_type: &str, value: &Value) -> Value {
        self.put(media_type, value.to_string().as_bytes())
    }

    fn top(&self, entry: &Value) {
        let index = json!({ "schemaVersion": 2, "manifests": [entry] });
        fs::write(self.path().join("index.json"), index.to_string()).expect("write");
    }

    /// A good image of one layer, changed by `change` (manifest, config) before it is written.
    fn image(&self, change: impl FnOnce(&mut Value, &mut Value)) -> Value {
        let layer = self.put("application/vnd.oci.image.layer.v1.tar", b"a layer");
        let machine = Platform::this();
        let mut config = json!({
            "architecture": machine.architecture, "os": "linux",
            "rootfs": { "type": "layers", "diff_ids": [sha(b"a layer")] },
        });
        let mut manifest = json!({ "schemaVersion": 2, "mediaType": MEDIA_MANIFEST, "layers": [layer] });
        change(&mut manifest, &mut config);
        if manifest.get("config").is_none() {
            manifest["config"] = self.json(MEDIA_CONFIG, &config);
        }
        self.json(MEDIA_MANIFEST, &manifest)
    }

    /// A good package around an image, its manifest changed by `change` and its index by `change_index`.
    fn package(&self, change: impl FnOnce(&mut Value), change_index: impl FnOnce(&mut Value)) -> Value {
        let image = self.image(|_, _| {});
        let mut manifest = json!({
            "schemaVersion": 1, "id": "p", "components": [{
                "id": "c", "type": "container",
                "payload": { "kind": "image", "digest": image["digest"], "size": image["size"] },
            }],
        });
        change(&mut manifest);
        let artifact = json!({
            "schemaVersion": 2, "mediaType": MEDIA_MANIFEST, "artifactType": ARTIFACT_PACKAGE,
            "config": self.json(MEDIA_PACKAGE, &manifest), "layers": [],
        });
        let artifact = self.json(MEDIA_MANIFEST, &artifact);
        let mut index = json!({
            "schemaVersion": 2, "mediaType": MEDIA_INDEX, "manifests": [artifact, image],
            "annotations": { "org.scomo.artifact.type": ARTIFACT_PACKAGE },
        });
        change_index(&mut index);
        self.json(MEDIA_INDEX, &index)
    }

    fn refused(&self, kind: FailureKind, expect: &str) {
        let error = resolve(&unsigned(), &self.source()).expect_err(expect);
        check(&error, kind, expect);
    }
}

#[test]
fn the_hand_made_layouts_are_good_before_they_are_spoiled() {
    let layout = Layout::new();
    layout.top(&layout.image(|_, _| {}));
    assert_eq!(resolve(&unsigned(), &layout.source()).expect("image").releases.len(), 1);
    layout.top(&layout.package(|_| {}, |_| {}));
    assert_eq!(resolve(&unsigned(), &layout.source()).expect("package").info.id, "p");
    // The member of OCI 1.1 marks a package too.
    let entry = layout.package(
        |_| {},
        |index| {
            index["artifactType"] = json!(ARTIFACT_PACKAGE);
            index["annotations"] = json!({});
        },
    );
    layout.top(&entry);
    assert_eq!(resolve(&unsigned(), &layout.source()).expect("package").info.id, "p");
}

#[test]
fn a_bad_layout_is_refused() {
    let layout = Layout::new();
    layout.refused(FailureKind::NotFound, "index.json");
    fs::remove_file(layout.path().join("oci-layout")).expect("remove");
    layout.refused(FailureKind::NotFound, "not an OCI image layout");
    fs::write(layout.path().join("oci-layout"), r#"{"imageLayoutVersion":"9"}"#).expect("write");
    layout.refused(FailureKind::Invalid, "is not 1.0.0");
    let layout = Layout::new();
    for (text, expect) in
        [("", "JSON"), ("[]", "JSON"), ("{", "JSON"), ("{\"schemaVersion\":1,\"manifests\":[]}", "schema")]
    {
        fs::write(layout.path().join("index.json"), text).expect("write");
        layout.refused(FailureKind::Invalid, expect);
    }
    fs::write(layout.path().join("index.json"), r#"{"schemaVersion":2,"manifests":[]}"#).expect("write");
    layout.refused(FailureKind::NotFound, "any image or package");
    let image = layout.image(|_, _| {});
    let two = json!({ "schemaVersion": 2, "manifests": [image, image] });
    fs::write(layout.path().join("index.json"), two.to_string()).expect("write");
    layout.refused(FailureKind::NotFound, "add :ref");
    let error = resolve(&unsigned(), &format!("{}:nope", layout.source())).expect_err("no such ref");
    check(&error, FailureKind::NotFound, "ref 'nope'");
    let many = json!({ "schemaVersion": 2, "manifests": vec![image; 600] });
    fs::write(layout.path().join("index.json"), many.to_string()).expect("write");
    layout.refused(FailureKind::Invalid, "512 entries");
    fs::write(layout.path().join("index.json"), vec![b' '; 5 << 20]).expect("write");
    layout.refused(FailureKind::Invalid, "4194304");
}

#[test]
fn a_digest_cannot_become_a_path() {
    let layout = Layout::new();
    for evil in ["sha256:../../../etc/passwd", "sha256:/etc/passwd", "../x", "sha512:00", "sha256:", ""] {
        layout.top(&json!({ "mediaType": MEDIA_MANIFEST, "digest": evil, "size": 10 }));
        layout.refused(FailureKind::Invalid, "digest");
    }
}

#[test]
fn links_and_devices_in_a_layout_are_refused() {
    let layout = Layout::new();
    let image = layout.image(|_, _| {});
    layout.top(&image);
    let path = blob_path(layout.path(), image["digest"].as_str().expect("digest"));
    let good = fs::read(&path).expect("read");
    fs::rename(&path, layout.path().join("elsewhere")).expect("rename");
    symlink(layout.path().join("elsewhere"), &path).expect("symlink");
    layout.refused(FailureKind::Invalid, "regular files only");
    fs::remove_file(&path).expect("remove");
    run("mkfifo", &[&path.display().to_string()]);
    layout.refused(FailureKind::Invalid, "regular files only");
    fs::remove_file(&path).expect("remove");
    fs::create_dir(&path).expect("mkdir");
    layout.refused(FailureKind::Invalid, "regular files only");
    fs::remove_dir(&path).expect("remove");
    layout.refused(FailureKind::NotFound, "blobs/sha256");
    fs::write(&path, good).expect("restore");
    assert!(resolve(&unsigned(), &layout.source()).is_ok());
    let fifo = layout.path().join("f.scomo");
    run("mkfifo", &[&fifo.display().to_string()]);
    let error = resolve(&unsigned(), &fifo.display().to_string()).expect_err("a FIFO");
    check(&error, FailureKind::Invalid, "regular file");
}

#[test]
fn changed_bytes_are_noticed_everywhere() {
    let layout = Layout::new();
    let entry = layout.package(|_| {}, |_| {});
    layout.top(&entry);
    let content = resolve(&unsigned(), &layout.source()).expect("good");
    let Payload::Image { digest: image, .. } = content.releases[0].spec.payload.clone() else { panic!() };
    for blob in fs::read_dir(layout.path().join("blobs/sha256")).expect("dir") {
        let path = blob.expect("entry").path();
        let good = fs::read(&path).expect("read");
        if good == b"a layer" {
            continue; // Nobody has read it yet; whoever does hashes it.
        }
        let mut flipped = good.clone();
        *flipped.last_mut().expect("byte") ^= 1;
        for bad in [flipped, good[..good.len() - 1].to_vec(), [&good[..], b" "].concat()] {
            fs::write(&path, bad).expect("write");
            let error = resolve(&unsigned(), &layout.source()).err().or_else(|| {
                scomo_package::open(&unsigned(), &layout.source()).expect("open").image(&image).err()
            });
            assert_eq!(error.expect("noticed").kind(), FailureKind::Corrupt, "{}", path.display());
        }
        fs::write(&path, good).expect("restore");
    }
}

#[test]
fn a_bad_manifest_is_refused() {
    let digests = |n: usize| json!(vec![sha(b"a layer"); n]);
    type Change = Box<dyn Fn(&mut Value, &mut Value)>;
    let cases: Vec<(&str, Change)> = vec![
        (
            "128 layers",
            Box::new(move |m, c| {
                m["layers"] = json!(vec![m["layers"][0].clone(); 200]);
                c["rootfs"]["diff_ids"] = digests(200);
            }),
        ),
        ("one diff id", Box::new(|_, c| c["rootfs"]["diff_ids"] = json!([]))),
        ("one diff id", Box::new(|_, c| c["rootfs"]["type"] = json!("other"))),
        ("JSON", Box::new(|_, c| c["rootfs"] = json!(null))),
        ("JSON", Box::new(|_, c| c["rootfs"]["diff_ids"] = json!(["sha256:.."]))),
        ("not supported", Box::new(|m, _| m["layers"][0]["mediaType"] = json!("application/x-tar"))),
        (
            "not supported",
            Box::new(|m, _| {
                m["layers"][0]["mediaType"] =
                    json!("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip");
            }),
        ),
        ("larger than the limit", Box::new(|m, _| m["layers"][0]["size"] = json!(1_u64 << 60))),
        ("JSON", Box::new(|m, _| m["layers"][0]["size"] = json!(-1))),
        ("JSON", Box::new(|m, _| m["layers"][0]["size"] = json!(1.5))),
        ("schema version 1", Box::new(|m, _| m["schemaVersion"] = json!(1))),
        ("calls itself", Box::new(|m, _| m["mediaType"] = json!("text/html"))),
        ("either an index or", Box::new(|m, _| m["manifests"] = json!([]))),
        ("255 bytes", Box::new(|m, _| m["layers"][0]["mediaType"] = json!("x".repeat(300)))),
        (
            "128 annotations",
            Box::new(|m, _| {
                m["annotations"] =
                    (0..200).map(|n| (n.to_string(), json!("x"))).collect::<serde_json::Map<_, _>>().into();
            }),
        ),
    ];
    for (expect, change) in cases {
        let layout = Layout::new();
        layout.top(&layout.image(|m, c| change(m, c)));
        layout.refused(FailureKind::Invalid, expect);
    }
    let layout = Layout::new();
    layout.top(&layout.image(|_, c| c["architecture"] = json!("pdp11")));
    layout.refused(FailureKind::Unsupported, "linux/pdp11");
    layout.top(&layout.image(|_, c| c["os"] = json!("windows")));
    layout.refused(FailureKind::Unsupported, "windows/");
    let config = layout.json("application/vnd.example", &json!({}));
    layout.top(&layout.image(|m, _| m["config"] = config));
    layout.refused(FailureKind::Invalid, "not a container image's config");
    let mut config = layout.put(MEDIA_CONFIG, b"{}");
    config["size"] = json!(1_u64 << 40);
    layout.top(&layout.image(|m, _| m["config"] = config));
    layout.refused(FailureKind::Invalid, "4194304");
    let config = json!({ "mediaType": MEDIA_CONFIG, "digest": sha(b"missing"), "size": 7 });
    layout.top(&layout.image(|m, _| m["config"] = config));
    layout.refused(FailureKind::NotFound, "is not there");
}

#[test]
fn equal_keys_in_one_object_are_refused() {
    let layout = Layout::new();
    let image = layout.image(|_, _| {});
    let path = blob_path(layout.path(), image["digest"].as_str().expect("digest"));
    let good = fs::read_to_string(path).expect("read");
    for bad in [
        good.replacen("\"schemaVersion\"", "\"schemaVersion\":2,\"schemaVersion\"", 1),
        good.replacen('{', "{\"x\":1,\"x\":1,", 1),
        good.replacen("\"size\"", "\"y\":{\"a\":1,\"a\":2},\"size\"", 1),
    ] {
        assert_ne!(bad, good);
        layout.top(&layout.put(MEDIA_MANIFEST, bad.as_bytes()));
        layout.refused(FailureKind::Invalid, "stands twice");
    }
}

#[test]
fn images_are_chosen_by_platform() {
    let layout = Layout::new();
    let machine = Platform::this().architecture;
    let good = layout.image(|_, _| {});
    let for_machine = |entry: &Value, architecture: &str, variant: Option<&str>| {
        let mut entry = entry.clone();
        entry["platform"] = json!({ "os": "linux", "architecture": architecture });
        if let Some(variant) = variant {
            entry["platform"]["variant"] = json!(variant);
        }
        entry
    };
    let other = layout.image(|_, c| c["architecture"] = json!("pdp11"));
    let index =
        |entries: Vec<Value>| json!({ "schemaVersion": 2, "mediaType": MEDIA_INDEX, "manifests": entries });
    let both = vec![for_machine(&other, "pdp11", None), for_machine(&good, &machine, None)];
    layout.top(&layout.json(MEDIA_INDEX, &index(both)));
    let content = resolve(&unsigned(), &layout.source()).expect("the fitting one");
    assert!(
        matches!(&content.releases[0].spec.payload, Payload::Image { digest, .. } if digest.as_str() == good["digest"])
    );
    layout.top(&layout.json(MEDIA_INDEX, &index(vec![for_machine(&other, "pdp11", None)])));
    layout.refused(FailureKind::Unsupported, "linux/pdp11");
    // The index may lie about what an image is; the image's own config decides.
    layout.top(&layout.json(MEDIA_INDEX, &index(vec![for_machine(&other, &machine, None)])));
    layout.refused(FailureKind::Unsupported, "linux/pdp11");
    // A baseline variant stands above one that needs newer silicon.
    let newer = layout.image(|m, _| m["annotations"] = json!({ "newer": "yes" }));
    let variants = vec![for_machine(&newer, &machine, Some("v99")), for_machine(&good, &machine, None)];
    layout.top(&layout.json(MEDIA_INDEX, &index(variants)));
    let content = resolve(&unsigned(), &layout.source()).expect("the baseline");
    assert!(
        matches!(&content.releases[0].spec.payload, Payload::Image { digest, .. } if digest.as_str() == good["digest"])
    );
    // An index in an index is not followed.
    let inner = layout.json(MEDIA_INDEX, &index(vec![for_machine(&good, &machine, None)]));
    let mut lying = for_machine(&inner, &machine, None);
    lying["mediaType"] = json!(MEDIA_MANIFEST);
    layout.top(&layout.json(MEDIA_INDEX, &index(vec![lying])));
    layout.refused(FailureKind::Invalid, "not an image manifest");
}

#[test]
fn a_bad_package_is_refused() {
    type Change = Box<dyn Fn(&mut Value)>;
    let manifest = |expect: &'static str, change: Change| (expect, change);
    let cases: Vec<(&str, Change)> = vec![
        manifest("schema version 2", Box::new(|m| m["schemaVersion"] = json!(2))),
        manifest("no component", Box::new(|m| m["components"] = json!([]))),
        manifest(
            "33 components",
            Box::new(|m| {
                let one = m["components"][0].clone();
                let many = (0..33).map(|n| {
                    let mut next = one.clone();
                    next["id"] = json!(format!("c{n}"));
                    next
                });
                m["components"] = many.collect();
            }),
        ),
        manifest(
            "two components",
            Box::new(|m| {
                let one = m["components"][0].clone();
                m["components"] = json!([one, one]);
            }),
        ),
        manifest("JSON", Box::new(|m| m["surprise"] = json!(1))),
        manifest("JSON", Box::new(|m| m["components"][0]["run"] = json!({ "privileged": true }))),
        manifest("JSON", Box::new(|m| m["components"][0]["type"] = json!("virus"))),
        manifest("JSON", Box::new(|m| m["id"] = json!("a\nb"))),
        manifest("JSON", Box::new(|m| m["id"] = json!("x".repeat(300)))),
        manifest("over its limit", Box::new(|m| m["description"] = json!("x".repeat(5000)))),
        manifest(
            "not in the index",
            Box::new(|m| m["components"][0]["payload"]["digest"] = json!(sha(b"other"))),
        ),
        manifest("disagree", Box::new(|m| m["components"][0]["payload"]["size"] = json!(1))),
        manifest("circle", Box::new(|m| m["components"][0]["requires"] = json!(["c"]))),
        manifest("another version", Box::new(|m| m["components"][0]["requires"] = json!(["c>=9"]))),
        manifest("cannot have this kind", Box::new(|m| m["components"][0]["type"] = json!("os"))),
        manifest(
            "is not ref=",
            Box::new(|m| {
                m["components"][0]["type"] = json!("os");
                m["components"][0]["payload"] =
                    json!({ "kind": "ostree", "url": "https://a.org/r", "commit": "HEAD" });
            }),
        ),
        manifest(
            "starts with",
            Box::new(|m| {
                m["components"][0]["type"] = json!("os");
                m["components"][0]["payload"] =
                    json!({ "kind": "ostree", "url": "gopher://a.org/r", "commit": COMMIT });
            }),
        ),
    ];
    for (expect, change) in cases {
        let layout = Layout::new();
        layout.top(&layout.package(|m| change(m), |_| {}));
        layout.refused(FailureKind::Invalid, expect);
    }
    let cases: Vec<(&str, Change)> = vec![
        manifest("no entry", Box::new(|i| i["manifests"] = json!([]))),
        manifest("artifact manifest", Box::new(|i| i["manifests"].as_array_mut().expect("array").reverse())),
        manifest("not in the index", Box::new(|i| drop(i["manifests"].as_array_mut().expect("array").pop()))),
    ];
    for (expect, change) in cases {
        let layout = Layout::new();
        layout.top(&layout.package(|_| {}, |i| change(i)));
        layout.refused(FailureKind::Invalid, expect);
    }
}

#[test]
fn the_manifest_parser_takes_any_bytes() {
    for bytes in [&b""[..], b"\xff\xfe", b"null", b"[]", b"{}", b"{\"schemaVersion\":1}", &[b'['; 100_000]] {
        assert!(parse_manifest(bytes).is_err());
    }
    assert!(parse_manifest(&vec![b' '; (4 << 20) + 1]).is_err());
}

proptest::proptest! {
    /// Whatever stands in a manifest, the parsers end with a value within the limits or with an error.
    #[test]
    fn changed_manifests_do_not_harm_the_parsers(
        at in 0_usize..400, with in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..8), drop in 0_usize..8,
    ) {
        let manifest = json!({
            "schemaVersion": 1, "id": "p", "components": [{
                "id": "c", "type": "container", "requires": [], "health": { "windowS": 5 },
                "payload": { "kind": "image", "digest": sha(b""), "size": 7 },
            }],
        });
        let entry = json!({ "mediaType": MEDIA_MANIFEST, "digest": sha(b""), "size": 7, "platform": { "os": "a", "architecture": "b" } });
        let index = json!({ "schemaVersion": 2, "manifests": [entry], "annotations": { "a": "b" } });
        let image = json!({ "schemaVersion": 2, "config": entry, "layers": [entry] });
        for good in [manifest, index, image] {
            let mut bytes = good.to_string().into_bytes();
            let at = at.min(bytes.len());
            let end = (at + drop).min(bytes.len());
            bytes.splice(at..end, with.iter().copied());
            if let Ok(manifest) = parse_manifest(&bytes) {
                assert!(manifest.check().is_ok());
            }
            let _parsed = scomo_package::oci::parse_index(&bytes);
            let _parsed = scomo_package::oci::parse_image_manifest(&bytes);
            let _parsed = scomo_package::oci::looks_like_index(&bytes);
        }
    }

    #[test]
    fn any_text_is_a_source_or_an_error(text in "(docker://|oci:|file:|ostree\\+https://|/)?[ -~é]{0,60}") {
        if let Ok(source) = scomo_package::sources::Source::parse(&text) {
            let place = source.place();
            assert!(!place.contains("/../") && !place.ends_with("/.."), "{text}");
        }
    }
}

#[test]
fn a_blob_of_another_size_is_refused() {
    let layout = Layout::new();
    let image = layout.image(|_, _| {});
    layout.top(&image);
    let digest = scomo_core::id::Digest::new(image["digest"].as_str().expect("digest")).expect("digest");
    let mut payloads = scomo_package::open(&unsigned(), &layout.source()).expect("open");
    let layer = payloads.image(&digest).expect("image").layers.remove(0);
    let path = blob_path(layout.path(), layer.digest.as_str());
    let mut text = String::new();
    payloads.layer(&layer).expect("layer").read_to_string(&mut text).expect("read");
    assert_eq!(text, "a layer");
    for bad in ["a laye", "a layer and more", ""] {
        fs::write(&path, bad).expect("write");
        let error = payloads.layer(&layer).err().expect("size");
        assert_eq!(error.kind(), FailureKind::Corrupt, "{error}");
    }
    // It is cut while it is being read.
    fs::write(&path, "a layer").expect("write");
    let mut reader = payloads.layer(&layer).expect("layer");
    fs::File::options().write(true).open(&path).expect("open").set_len(3).expect("cut");
    let error = reader.read_to_end(&mut Vec::new()).expect_err("cut");
    assert_eq!(io_kind(&error), FailureKind::Corrupt, "{}", chain(&error));
    fs::remove_file(&path).expect("remove");
    assert_eq!(payloads.layer(&layer).err().expect("gone").kind(), FailureKind::NotFound);
}

#[test]
fn sources_of_others_are_left_to_them() {
    let error = resolve(&unsigned(), "ostree+https://a.org/repo?ref=x").expect_err("ostree");
    check(&error, FailureKind::Unsupported, "OS backend");
    let error = resolve(&unsigned(), "ftp://a.org/x").expect_err("unknown");
    check(&error, FailureKind::Invalid, "docker://host/repository");
}
