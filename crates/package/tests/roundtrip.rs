//! What is built can be signed, pushed, copied by other tools, and resolved again, from every kind of source.

// The exemption of tests from these lints does not reach helper functions.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

mod common;

use std::fs;
use std::io::Read;

use common::*;
use scomo_core::failure::FailureKind;
use scomo_core::spec::{ComponentKind, Payload};
use scomo_package::builder::{self, BuildOptions, SignatureReport};
use scomo_package::{Config, RegistryConfig};

/// Reads every payload of a package to its end and compares all digests.
fn fetch_all(config: &Config, source: &str) -> usize {
    let content = resolve(config, source).unwrap_or_else(|e| panic!("{source}: {}", chain(&e)));
    let mut layers = 0;
    for release in &content.releases {
        let Payload::Image { digest, .. } = &release.spec.payload else { continue };
        let mut payloads = scomo_package::open(config, &release.source).expect("open");
        let image = payloads.image(digest).unwrap_or_else(|e| panic!("{}", chain(&e)));
        assert_eq!(sha(&image.config_json), image.config_digest.to_string());
        for layer in &image.layers {
            let mut bytes = Vec::new();
            payloads.layer(layer).expect("layer").read_to_end(&mut bytes).expect("read");
            assert_eq!((sha(&bytes), bytes.len() as u64), (layer.digest.to_string(), layer.size));
            layers += 1;
        }
    }
    layers
}

#[test]
fn a_layout_and_an_archive_hold_the_same_package() {
    let world = World::new();
    let built = world.build("layout");
    let archive = world.build("p.scomo");
    assert_eq!(built.digest, archive.digest);
    let (layout, archive) = (world.oci("layout"), format!("file:{}", world.path("p.scomo").display()));
    world.sign(&layout);
    world.sign(&archive);
    for source in [&layout, &archive] {
        let content = resolve(&world.trusting(), source).unwrap_or_else(|e| panic!("{}", chain(&e)));
        assert_eq!(content.digest, built.digest);
        assert_eq!(content.signed_by, "factory");
        assert_eq!(content.info.id, "com.example.gateway");
        assert_eq!(content.info.metadata.license, "MIT");
        let ids: Vec<&str> = content.releases.iter().map(|r| r.spec.id.as_str()).collect();
        assert_eq!(ids, ["db", "os", "web"], "what is required comes first, otherwise as written");
        assert_eq!(content.releases[0].spec.version, "1.10", "a version is a text, not a number");
        assert_eq!(content.releases[1].spec.kind, ComponentKind::Os);
        assert!(content.releases.iter().all(|r| r.source == *source));
        assert_eq!(fetch_all(&world.trusting(), source), 2);
    }
}

#[test]
fn a_compressed_archive_reads_in_any_order() {
    let world = World::new();
    let recipe = builder::parse_recipe(&world.recipe().replace("compression: gzip", "compression: none"))
        .expect("yaml");
    let options = BuildOptions {
        base: world.dir.path().to_owned(),
        output: world.path("z.scomo"),
        zstd: true,
        epoch_s: 0,
    };
    builder::build(&Config::default(), &recipe, &options).expect("build");
    let source = world.path("z.scomo").display().to_string();
    assert!(fs::read(world.path("z.scomo")).expect("read").starts_with(&[0x28, 0xb5, 0x2f, 0xfd]));
    world.sign(&source);
    assert!(fs::read(world.path("z.scomo")).expect("read").starts_with(&[0x28, 0xb5, 0x2f, 0xfd]));
    assert_eq!(fetch_all(&world.trusting(), &source), 2);
    // Backwards, with one reader still open while the next is made.
    let content = resolve(&world.trusting(), &source).expect("resolve");
    let mut payloads = scomo_package::open(&world.trusting(), &source).expect("open");
    let mut open = Vec::new();
    for release in content.releases.iter().rev() {
        let Payload::Image { digest, .. } = &release.spec.payload else { continue };
        for layer in payloads.image(digest).expect("image").layers {
            open.push((payloads.layer(&layer).expect("layer"), layer));
        }
    }
    for (mut reader, layer) in open.into_iter().rev() {
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).expect("read");
        assert_eq!(sha(&bytes), layer.digest.to_string());
    }
    // What GNU tar makes of a layout, in its own order, is an archive too.
    world.build("layout");
    let layout = world.path("layout").display().to_string();
    for (name, args) in [("gnu.scomo", "--format=gnu"), ("pax.scomo", "--format=pax")] {
        let file = world.path(name).display().to_string();
        run("tar", &[args, "--sort=name", "-cf", &file, "-C", &layout, "."]);
        assert_eq!(fetch_all(&unsigned(), &file), 2, "{name}");
    }
    let packed = world.path("cli.scomo").display().to_string();
    run("zstd", &["-q", "-o", &packed, &world.path("gnu.scomo").display().to_string()]);
    assert_eq!(fetch_all(&unsigned(), &packed), 2);
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let world = World::new();
    world.build("a.scomo");
    for file in ["web/etc/motd", "db/noise"] {
        // Other time stamps must make no difference.
        let file = fs::File::options().write(true).open(world.path(file)).expect("open");
        file.set_modified(std::time::UNIX_EPOCH).expect("touch");
    }
    world.build("b.scomo");
    assert_eq!(
        fs::read(world.path("a.scomo")).expect("read"),
        fs::read(world.path("b.scomo")).expect("read"),
        "the archives differ"
    );
    let error = world.build_recipe(&world.recipe(), "a.scomo").expect_err("exists");
    assert!(error.to_string().contains("exists"), "{error}");
}

#[test]
fn a_registry_gives_what_was_pushed() {
    let world = World::new();
    let registry = Registry::start();
    let built = world.build("layout");
    world.sign(&world.oci("layout"));
    let config = registry.plain(world.trusting());
    let target = registry.source("factory/gateway:2.0");
    let report =
        builder::push(&config, &world.oci("layout"), &target).unwrap_or_else(|e| panic!("{}", chain(&e)));
    assert!(report.signed && report.sent > 0, "{report:?}");
    assert_eq!(report.digest, built.digest.to_string());
    let again = builder::push(&config, &world.oci("layout:2.0"), &target).expect("push again");
    assert_eq!(again.sent, 0, "nothing is sent twice");
    for source in [&target, &report.pinned] {
        let content = resolve(&config, source).unwrap_or_else(|e| panic!("{}", chain(&e)));
        assert_eq!(
            (content.digest.to_string(), content.signed_by.as_str()),
            (report.digest.clone(), "factory")
        );
        assert_eq!(fetch_all(&config, source), 2);
    }
    // The release does not depend on where it came from.
    let ids = |source: &str| -> Vec<String> {
        resolve(&config, source).expect("resolve").releases.into_iter().map(|r| r.id.to_string()).collect()
    };
    assert_eq!(ids(&target), ids(&world.oci("layout")));
}

#[test]
fn signing_in_the_registry_works_too() {
    let world = World::new();
    let registry = Registry::start();
    world.build("p.scomo");
    let config = registry.plain(world.trusting());
    let target = registry.source("gateway:latest");
    builder::push(&config, &world.path("p.scomo").display().to_string(), &target).expect("push");
    let error = resolve(&config, &target).expect_err("unsigned");
    assert_eq!(error.kind(), FailureKind::Untrusted);
    assert!(error.to_string().contains("scomoctl package sign"), "{error}");
    world.sign_as(&config, &target);
    assert_eq!(resolve(&config, &target).expect("signed").signed_by, "factory");
    // A second key: both count.
    let other = builder::keygen(builder::KeyKind::Ed25519).expect("key");
    let report = builder::sign_with(&config, &target, &other.private_pem, &Default::default()).expect("sign");
    assert_eq!(report.signatures, 2);
    let only_other = registry.plain(trusting(&[("second", &other.public_pem)]));
    assert_eq!(resolve(&only_other, &target).expect("second").signed_by, "second");
    assert_eq!(resolve(&config, &target).expect("first").signed_by, "factory");
    let again = builder::sign_with(&config, &target, &other.private_pem, &Default::default()).expect("sign");
    assert_eq!(again.signatures, 2, "the same signature twice is one");
}

#[test]
fn skopeo_understands_layouts_and_registries() {
    let world = World::new();
    let registry = Registry::start();
    let built = world.build("layout");
    world.sign(&world.oci("layout"));
    let layout = format!("oci:{}:2.0", world.path("layout").display());
    let remote = registry.source("factory/gateway:v2");
    run("skopeo", &["copy", "--all", "--dest-tls-verify=false", &layout, &remote]);
    let raw = run("skopeo", &["inspect", "--raw", "--tls-verify=false", &remote]);
    assert_eq!(sha(raw.as_bytes()), built.digest.to_string(), "skopeo changes nothing");
    for source in [&layout, &remote] {
        let text = run("skopeo", &["inspect", "--tls-verify=false", source]);
        let json: serde_json::Value = serde_json::from_str(&text).expect("json");
        assert_eq!(json["Architecture"], scomo_package::oci::Platform::this().architecture, "{text}");
    }
    // The signature is an image like any other, so skopeo takes it along by its name.
    let name = scomo_package::signature::tag_of(&built.digest);
    let signature = format!("oci:{}:{name}", world.path("layout").display());
    run(
        "skopeo",
        &[
            "copy",
            "--dest-tls-verify=false",
            &signature,
            &registry.source(&format!("factory/gateway:{name}")),
        ],
    );
    let config = registry.plain(world.trusting());
    assert_eq!(resolve(&config, &remote).unwrap_or_else(|e| panic!("{}", chain(&e))).signed_by, "factory");
    assert_eq!(fetch_all(&config, &remote), 2);
    // And back into a fresh layout.
    let back = format!("oci:{}:2.0", world.path("back").display());
    run("skopeo", &["copy", "--all", "--src-tls-verify=false", &remote, &back]);
    assert_eq!(resolve(&unsigned(), &back).expect("resolve").digest, built.digest);
    assert_eq!(fetch_all(&unsigned(), &back), 2);
}

#[test]
fn a_plain_image_is_a_package_of_one_container() {
    let world = World::new();
    let registry = Registry::start();
    world.build("layout");
    let text = run("skopeo", &["inspect", "--raw", &format!("oci:{}:2.0", world.path("layout").display())]);
    let index: serde_json::Value = serde_json::from_str(&text).expect("json");
    // The second entry of the index is the image of the first component.
    let remote = registry.source("team/web:v7");
    let source = registry.plain(unsigned());
    builder::push(&source, &world.oci("layout"), &registry.source("team/web:package")).expect("push");
    let image = index["manifests"][1]["digest"].as_str().expect("digest").to_owned();
    let pinned = registry.source(&format!("team/web@{image}"));
    run("skopeo", &["copy", "--src-tls-verify=false", "--dest-tls-verify=false", &pinned, &remote]);
    let content = resolve(&source, &remote).unwrap_or_else(|e| panic!("{}", chain(&e)));
    let release = &content.releases[0];
    assert_eq!(
        (content.releases.len(), release.spec.id.as_str(), release.spec.version.as_str()),
        (1, "web", "v7")
    );
    assert_eq!(release.spec.kind, ComponentKind::Container);
    assert_eq!(content.info.id, "web");
    assert_eq!(fetch_all(&source, &remote), 1);
    assert_eq!(fetch_all(&source, &pinned), 1);
    // Docker's own media types are read too.
    let docker = registry.source("team/web:docker");
    let flags = ["copy", "--format", "v2s2", "--src-tls-verify=false", "--dest-tls-verify=false"];
    run("skopeo", &[&flags[..], &[&remote, &docker]].concat());
    let raw = run("skopeo", &["inspect", "--raw", "--tls-verify=false", &docker]);
    assert!(raw.contains("vnd.docker.distribution.manifest.v2+json"), "{raw}");
    assert_eq!(fetch_all(&source, &docker), 1);
    // From a folder it takes the folder's name.
    let folder = format!("oci:{}:v7", world.path("somewhere").display());
    run("skopeo", &["copy", "--src-tls-verify=false", &remote, &folder]);
    let content = resolve(&unsigned(), &folder).expect("resolve");
    assert_eq!((content.info.id.as_str(), content.info.version.as_str()), ("somewhere", "v7"));
    // It can be a component of a package in turn.
    let recipe = format!(
        "id: p\ncomponents:\n- id: web\n  image: {folder}\n- id: web2\n  image: 'oci:somewhere:v7'\n"
    );
    let built = world.build_recipe(&recipe, "again.scomo").unwrap_or_else(|e| panic!("{}", chain(&e)));
    assert_eq!(built.name, "latest");
    assert_eq!(fetch_all(&unsigned(), &world.path("again.scomo").display().to_string()), 2);
}

#[test]
fn credentials_come_from_the_configuration_or_an_auth_file() {
    let world = World::new();
    let registry = Registry::with_password("dev", "se:cret");
    world.build("layout");
    let target = registry.source("a/b:1");
    let settings =
        RegistryConfig { username: Some("dev".to_owned()), password: Some("se:cret".to_owned()), ..plain() };
    let good = with_registry(unsigned(), &registry.host, settings.clone());
    builder::push(&good, &world.oci("layout"), &target).unwrap_or_else(|e| panic!("{}", chain(&e)));
    assert_eq!(fetch_all(&good, &target), 2);

    let file = world.path("password");
    fs::write(&file, "se:cret\n").expect("write");
    let by_file = RegistryConfig { password: None, password_file: Some(file), ..settings.clone() };
    assert_eq!(fetch_all(&with_registry(unsigned(), &registry.host, by_file), &target), 2);

    let auth = world.path("auth.json");
    run(
        "skopeo",
        &[
            "login",
            "--tls-verify=false",
            "--authfile",
            &auth.display().to_string(),
            "-u",
            "dev",
            "-p",
            "se:cret",
            &registry.host,
        ],
    );
    let by_auth = Config { auth_file: Some(auth), ..registry.plain(unsigned()) };
    assert_eq!(fetch_all(&by_auth, &target), 2);

    let error = resolve(&registry.plain(unsigned()), &target).expect_err("no password");
    assert_eq!(error.kind(), FailureKind::Unauthorized, "{error}");
    assert!(error.to_string().contains("set username and password"), "{error}");
    let wrong = RegistryConfig { password: Some("x".to_owned()), ..settings.clone() };
    let wrong = with_registry(unsigned(), &registry.host, wrong);
    let error = resolve(&wrong, &target).expect_err("wrong password");
    assert_eq!(error.kind(), FailureKind::Unauthorized, "{error}");
    assert!(!format!("{error:?}{settings:?}").contains("se:cret"), "a password must not be shown");
    let error = builder::push(&wrong, &world.oci("layout"), &target).expect_err("wrong password");
    assert_eq!(error.kind(), FailureKind::Unauthorized, "{}", chain(&error));
}

#[test]
fn tls_trusts_the_configured_authority_only() {
    let world = World::new();
    let path = |name: &str| world.path(name).display().to_string();
    make_certificate(world.dir.path());
    let tls = format!("  tls: {{ certificate: {}, key: {} }}", path("tls.crt"), path("tls.key"));
    let registry = Registry::start_with(&tls, "");
    world.build("layout");
    let target = registry.source("a/b:1");
    let settings = RegistryConfig { ca_file: Some(world.path("ca.crt")), ..RegistryConfig::default() };
    let trusting = with_registry(unsigned(), &registry.host, settings);
    builder::push(&trusting, &world.oci("layout"), &target).unwrap_or_else(|e| panic!("{}", chain(&e)));
    assert_eq!(fetch_all(&trusting, &target), 2);
    let error = resolve(&unsigned(), &target).expect_err("unknown authority");
    assert_eq!(error.kind(), FailureKind::Unavailable);
    assert!(
        chain(&error).contains("UnknownIssuer") || chain(&error).contains("certificate"),
        "{}",
        chain(&error)
    );
    // Plain http is used only where it is asked for, and never as a way round a failed handshake.
    let plain_registry = Registry::start();
    let error = resolve(&unsigned(), &plain_registry.source("a/b:1")).expect_err("not encrypted");
    assert_eq!(error.kind(), FailureKind::Unavailable, "{}", chain(&error));
}

#[test]
fn inspect_reports_and_does_not_refuse() {
    let world = World::new();
    let built = world.build("layout");
    let source = world.oci("layout");
    let report = builder::inspect(&world.trusting(), &source).expect("inspect");
    assert_eq!((report.digest.clone(), report.signature.clone()), (built.digest, SignatureReport::None));
    world.sign(&source);
    let report = builder::inspect(&world.trusting(), &source).expect("inspect");
    assert_eq!(report.signature, SignatureReport::Good { identity: "factory".to_owned() });
    let text = report.to_string();
    assert!(
        text.contains("good, by 'factory'") && text.contains("os os") && text.contains("container web 1.8"),
        "{text}"
    );
    let json = serde_json::to_value(&report).expect("json");
    assert_eq!(
        (json["reportVersion"].as_u64(), json["components"][1]["type"].as_str()),
        (Some(1), Some("os"))
    );
    let stranger = builder::keygen(builder::KeyKind::P256).expect("key");
    let report = builder::inspect(&trusting(&[("other", &stranger.public_pem)]), &source).expect("inspect");
    assert!(matches!(report.signature, SignatureReport::Untrusted { .. }), "{report:?}");
}
