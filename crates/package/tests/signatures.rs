//! Whose signature counts, and for what. Keys and signatures by OpenSSL count like our own.
// The exemption of tests from these lints does not reach helper functions.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

mod common;

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use common::*;
use scomo_core::failure::FailureKind;
use scomo_package::builder::{self, KeyKind, SignOptions};
use scomo_package::signature::tag_of;
use scomo_package::{Config, KeyConfig, PackageError, Policy, SignaturePolicy};
use serde_json::{Value, json};

/// A signed layout, and the digest of what is signed.
fn signed() -> (World, String, scomo_core::id::Digest) {
    let world = World::new();
    let built = world.build("layout");
    let source = world.oci("layout");
    world.sign(&source);
    (world, source, built.digest)
}

fn put(layout: &Path, bytes: &[u8]) -> Value {
    let digest = sha(bytes);
    fs::write(blob_path(layout, &digest), bytes).expect("write blob");
    json!({ "digest": digest, "size": bytes.len() })
}

fn index(layout: &Path) -> Value {
    serde_json::from_slice(&fs::read(layout.join("index.json")).expect("read")).expect("json")
}

/// Makes `layers` the signatures of `digest` in the layout, in place of what there was.
fn set_signatures(layout: &Path, digest: &scomo_core::id::Digest, layers: Vec<Value>) {
    let mut config = put(layout, br#"{"architecture":"","os":"","rootfs":{"type":"layers","diff_ids":[]}}"#);
    config["mediaType"] = json!("application/vnd.oci.image.config.v1+json");
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    let manifest = json!({ "schemaVersion": 2, "mediaType": media_type, "config": config, "layers": layers });
    let mut entry = put(layout, manifest.to_string().as_bytes());
    entry["mediaType"] = json!(media_type);
    let name = tag_of(digest);
    entry["annotations"] = json!({ "org.opencontainers.image.ref.name": name });
    let mut index = index(layout);
    let entries = index["manifests"].as_array_mut().expect("array");
    entries.retain(|e| e["annotations"]["org.opencontainers.image.ref.name"] != name.as_str());
    entries.push(entry);
    fs::write(layout.join("index.json"), index.to_string()).expect("write index");
}

fn layer(layout: &Path, payload: &[u8], signature: &[u8]) -> Value {
    let mut layer = put(layout, payload);
    layer["mediaType"] = json!("application/vnd.dev.cosign.simplesigning.v1+json");
    layer["annotations"] = json!({ "dev.cosignproject.cosign/signature": BASE64.encode(signature) });
    layer
}

/// The layers that are signatures of `digest` now.
fn signatures(layout: &Path, digest: &scomo_core::id::Digest) -> Vec<Value> {
    let index = index(layout);
    let entry = index["manifests"]
        .as_array()
        .expect("array")
        .iter()
        .find(|e| e["annotations"]["org.opencontainers.image.ref.name"] == tag_of(digest).as_str());
    let path = blob_path(layout, entry.expect("signature")["digest"].as_str().expect("digest"));
    let manifest: Value = serde_json::from_slice(&fs::read(path).expect("read")).expect("json");
    manifest["layers"].as_array().expect("array").clone()
}

fn refused(config: &Config, source: &str) -> PackageError {
    let error = resolve(config, source).expect_err("must be refused");
    assert_eq!(error.kind(), FailureKind::Untrusted, "{}", chain(&error));
    error
}

#[test]
fn signatures_made_by_openssl_count() {
    let world = World::new();
    let digest = world.build("layout").digest;
    let layout = world.path("layout");
    let path = |name: &str| world.path(name).display().to_string();
    // Written by hand, spaces and all: what is signed is the bytes, not a form of ours.
    let payload = format!(
        "{{ \"critical\": {{\"identity\":{{\"docker-reference\":\"a.org/x\"}},\n \
         \"image\":{{\"docker-manifest-digest\":\"{digest}\"}},\"type\":\"cosign container image signature\"}},\
         \"optional\":{{\"creator\":\"hand\",\"timestamp\":1}} }}"
    );
    fs::write(path("payload"), &payload).expect("write");
    for (kind, make, sign) in [
        (
            "p256",
            vec!["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
            vec!["dgst", "-sha256", "-sign"],
        ),
        ("ed25519", vec!["genpkey", "-algorithm", "ED25519"], vec!["pkeyutl", "-sign", "-rawin", "-inkey"]),
    ] {
        let (key, public, signature) =
            (path(&format!("{kind}.key")), path(&format!("{kind}.pub")), path("signature"));
        run("openssl", &[&make[..], &["-out", &key]].concat());
        run("openssl", &["pkey", "-in", &key, "-pubout", "-out", &public]);
        let input = path("payload");
        let mut args = sign.clone();
        args.extend([key.as_str(), "-out", &signature]);
        args.extend(if kind == "p256" { vec![input.as_str()] } else { vec!["-in", &input] });
        run("openssl", &args);
        let made = layer(&layout, payload.as_bytes(), &fs::read(&signature).expect("read"));
        set_signatures(&layout, &digest, vec![made]);
        let mut config = Config::default();
        config.keys.insert(kind.to_owned(), KeyConfig { file: Some(public.into()), pem: None });
        let content =
            resolve(&config, &world.oci("layout")).unwrap_or_else(|e| panic!("{kind}: {}", chain(&e)));
        assert_eq!(content.signed_by, kind);
        // And the other way round: OpenSSL takes what we sign with OpenSSL's key.
        builder::sign(&config, &world.oci("layout"), Path::new(&key), &SignOptions::default()).expect("sign");
        let ours = signatures(&layout, &digest).pop().expect("layer");
        let text = ours["annotations"]["dev.cosignproject.cosign/signature"].as_str().expect("signature");
        fs::write(&signature, BASE64.decode(text).expect("base64")).expect("write");
        let signed = blob_path(&layout, ours["digest"].as_str().expect("digest")).display().to_string();
        let public = path(&format!("{kind}.pub"));
        let check = match kind {
            "p256" => vec!["dgst", "-sha256", "-verify", &public, "-signature", &signature, &signed],
            _ => vec![
                "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", &public, "-in", &signed, "-sigfile",
                &signature,
            ],
        };
        run("openssl", &check);
    }
}

#[test]
fn openssl_reads_our_keys() {
    let dir = tempfile::TempDir::new().expect("folder");
    for kind in [KeyKind::P256, KeyKind::Ed25519] {
        let pair = builder::keygen(kind).expect("keygen");
        let path = dir.path().join("key.pem");
        fs::write(&path, &pair.private_pem).expect("write");
        let public = run("openssl", &["pkey", "-in", &path.display().to_string(), "-pubout"]);
        assert_eq!(public, pair.public_pem, "{kind:?}");
        assert!(!format!("{pair:?}").contains("PRIVATE"));
        assert_ne!(builder::keygen(kind).expect("keygen").public_pem, pair.public_pem);
    }
}

#[test]
fn unsigned_is_refused_unless_the_policy_takes_it() {
    let world = World::new();
    world.build("layout");
    let source = world.oci("layout");
    let error = refused(&Config::default(), &source).to_string();
    assert!(error.contains("scomoctl package sign") && error.contains("insecure-accept-unsigned"), "{error}");
    refused(&world.trusting(), &source);
    let content = resolve(&unsigned(), &source).expect("policy");
    assert_eq!(content.signed_by, "");
}

#[test]
fn only_trusted_keys_count() {
    let (world, source, digest) = signed();
    let stranger = builder::keygen(KeyKind::P256).expect("key");
    let error = refused(&trusting(&[("stranger", &stranger.public_pem)]), &source).to_string();
    assert!(error.contains("stranger"), "{error}");
    let error = refused(&Config::default(), &source).to_string();
    assert!(error.contains("no key is configured"), "{error}");
    // Several keys: any one is enough, and it is named.
    let both = trusting(&[("a-stranger", &stranger.public_pem), ("factory", &world.key.public_pem)]);
    assert_eq!(resolve(&both, &source).expect("trusted").signed_by, "factory");
    // One good signature among bad ones.
    let good = signatures(&world.path("layout"), &digest);
    let bad = layer(&world.path("layout"), b"{}", b"nonsense");
    let odd = json!({ "mediaType": "text/plain", "digest": sha(b"{}"), "size": 2 });
    set_signatures(&world.path("layout"), &digest, [vec![bad, odd], good].concat());
    assert_eq!(resolve(&both, &source).expect("one is enough").signed_by, "factory");
}

#[test]
fn a_changed_payload_or_signature_is_refused() {
    let (world, source, digest) = signed();
    let layout = world.path("layout");
    let good = signatures(&layout, &digest).remove(0);
    let payload = fs::read(blob_path(&layout, good["digest"].as_str().expect("digest"))).expect("read");
    let signature = good["annotations"]["dev.cosignproject.cosign/signature"].as_str().expect("text");
    let signature = BASE64.decode(signature).expect("base64");
    let mut changed = payload.clone();
    changed.push(b' ');
    for at in [0, 5, signature.len() / 2, signature.len() - 1] {
        let mut flipped = signature.clone();
        flipped[at] ^= 1;
        let made = layer(&layout, &payload, &flipped);
        set_signatures(&layout, &digest, vec![made]);
        refused(&world.trusting(), &source);
    }
    for (payload, signature) in [(changed, signature.clone()), (payload.clone(), Vec::new())] {
        let made = layer(&layout, &payload, &signature);
        set_signatures(&layout, &digest, vec![made]);
        refused(&world.trusting(), &source);
    }
    let mut not_base64 = layer(&layout, &payload, &signature);
    not_base64["annotations"]["dev.cosignproject.cosign/signature"] = json!("%%%");
    set_signatures(&layout, &digest, vec![not_base64]);
    refused(&world.trusting(), &source);
    set_signatures(&layout, &digest, Vec::new());
    refused(&world.trusting(), &source);
    set_signatures(&layout, &digest, vec![layer(&layout, &payload, &signature)]);
    assert_eq!(resolve(&world.trusting(), &source).expect("restored").signed_by, "factory");
}

#[test]
fn a_signature_of_another_package_does_not_count() {
    let (world, source, digest) = signed();
    let other = world.build_recipe(&world.recipe().replace("2.0", "2.1"), "other").expect("build");
    assert_ne!(other.digest, digest);
    world.sign(&world.oci("other"));
    let foreign = signatures(&world.path("other"), &other.digest).remove(0);
    let from = blob_path(&world.path("other"), foreign["digest"].as_str().expect("digest"));
    fs::copy(from, blob_path(&world.path("layout"), foreign["digest"].as_str().expect("digest")))
        .expect("copy");
    set_signatures(&world.path("layout"), &digest, vec![foreign]);
    let error = refused(&world.trusting(), &source).to_string();
    assert!(error.contains("another package"), "{error}");
}

#[test]
fn a_payload_must_be_what_it_claims_even_when_signed() {
    let (world, source, digest) = signed();
    let layout = world.path("layout");
    let good = String::from_utf8(scomo_package::signature::payload(&digest, "a.org/x")).expect("text");
    let path = |name: &str| world.path(name).display().to_string();
    fs::write(path("key"), &world.key.private_pem).expect("write");
    let sign = |payload: &str| {
        fs::write(path("payload"), payload).expect("write");
        run("openssl", &["dgst", "-sha256", "-sign", &path("key"), "-out", &path("sig"), &path("payload")]);
        let made = layer(&layout, payload.as_bytes(), &fs::read(path("sig")).expect("read"));
        set_signatures(&layout, &digest, vec![made]);
    };
    sign(&good);
    assert_eq!(resolve(&world.trusting(), &source).expect("good").signed_by, "factory");
    let zero = format!("sha256:{}", "0".repeat(64));
    let twice = good.replacen(
        "\"docker-manifest-digest\"",
        &format!("\"docker-manifest-digest\":\"{zero}\",\"docker-manifest-digest\""),
        1,
    );
    for bad in [
        good.replace("cosign container image signature", "something else"),
        good.replace("\"critical\"", "\"uncritical\""),
        twice,
        "[]".to_owned(),
        String::new(),
    ] {
        sign(&bad);
        refused(&world.trusting(), &source);
    }
}

#[test]
fn the_reference_is_checked_where_the_policy_says_so() {
    let world = World::new();
    world.build("layout");
    let source = world.oci("layout");
    let options = SignOptions { reference: Some("a.org/team/app".to_owned()) };
    builder::sign_with(&world.trusting(), &source, &world.key.private_pem, &options).expect("sign");
    let with = |reference: Option<&str>| Config {
        policies: vec![Policy { reference: reference.map(str::to_owned), ..Policy::default() }],
        ..world.trusting()
    };
    assert!(resolve(&with(None), &source).is_ok());
    assert!(resolve(&with(Some("a.org/team/app")), &source).is_ok());
    let error = refused(&with(Some("a.org/team/other")), &source).to_string();
    assert!(error.contains("a.org/team/app"), "{error}");
}

#[test]
fn the_longest_policy_counts() {
    let (world, source, _) = signed();
    let stranger = builder::keygen(KeyKind::Ed25519).expect("key");
    let policy = |source: &str, signature, keys: &[&str]| Policy {
        source: source.to_owned(),
        signature,
        keys: keys.iter().map(|k| (*k).to_owned()).collect(),
        reference: None,
    };
    let keys = [("factory", world.key.public_pem.as_str()), ("stranger", &stranger.public_pem)];
    let check = |policies: Vec<Policy>| resolve(&Config { policies, ..trusting(&keys) }, &source);
    use SignaturePolicy::{InsecureAcceptUnsigned, Require};
    let folder = world.oci("");
    let folder = folder.trim_end_matches('/');
    assert_eq!(check(vec![policy("", Require, &["factory"])]).expect("good").signed_by, "factory");
    let strict = policy("", Require, &["stranger"]);
    assert!(check(vec![strict.clone()]).is_err());
    // The narrower entry wins in both directions, wherever it stands.
    let open = policy(folder, InsecureAcceptUnsigned, &[]);
    assert_eq!(check(vec![strict.clone(), open.clone()]).expect("open").signed_by, "");
    assert_eq!(check(vec![open.clone(), strict.clone()]).expect("open").signed_by, "");
    let narrow = policy(&source, Require, &["stranger"]);
    assert!(check(vec![narrow, open.clone()]).is_err());
    // Half a name is no prefix.
    let half = policy(&folder[..folder.len() - 1], InsecureAcceptUnsigned, &[]);
    assert!(check(vec![strict, half]).is_err());
    let never = policy("docker://A.org/x:1", Require, &["stranger"]);
    let error = check(vec![open.clone(), never]).expect_err("can never match");
    assert!(error.kind() == FailureKind::Broken && error.to_string().contains("lower case"), "{error}");
    let error = check(vec![open.clone(), open]).expect_err("twice");
    assert_eq!(error.kind(), FailureKind::Broken, "{error}");
}

#[test]
fn a_broken_key_is_not_a_key_less() {
    let (world, source, _) = signed();
    let broken = |config: Config, expect: &str| {
        let error = resolve(&config, &source).expect_err("broken");
        assert_eq!(error.kind(), FailureKind::Broken, "{error}");
        assert!(error.to_string().contains(expect), "{error}");
    };
    broken(trusting(&[("k", "nonsense")]), "BEGIN PUBLIC KEY");
    broken(trusting(&[("k", &world.key.private_pem)]), "private key");
    broken(trusting(&[("factory", &world.key.public_pem), ("k", "")]), "BEGIN PUBLIC KEY");
    let rsa = run("sh", &["-c", "openssl genrsa 2048 2>/dev/null | openssl pkey -pubout"]);
    broken(trusting(&[("rsa", &rsa)]), "P-256 or ed25519");
    let p384 = run(
        "sh",
        &["-c", "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 | openssl pkey -pubout"],
    );
    broken(trusting(&[("p384", &p384)]), "P-256 or ed25519");
    let mut config = world.trusting();
    config.keys.insert("gone".to_owned(), KeyConfig { file: Some(world.path("gone.pub")), pem: None });
    broken(config.clone(), "gone.pub");
    config.keys.insert("gone".to_owned(), KeyConfig::default());
    broken(config, "exactly one");
    let policies = vec![Policy { keys: vec!["nobody".to_owned()], ..Policy::default() }];
    broken(Config { policies, ..world.trusting() }, "[package.keys]");
}

#[test]
fn a_bad_signing_key_says_what_to_do() {
    let world = World::new();
    world.build("layout");
    let sec1 = run("openssl", &["ecparam", "-name", "prime256v1", "-genkey", "-noout"]);
    let locked = run("openssl", &["genpkey", "-algorithm", "ED25519", "-aes256", "-pass", "pass:x"]);
    for (pem, expect) in [
        (world.key.public_pem.as_str(), "public key"),
        (sec1.as_str(), "pkcs8 -topk8"),
        (locked.as_str(), "encrypted"),
        ("", "BEGIN PRIVATE KEY"),
    ] {
        let made = builder::sign_with(&unsigned(), &world.oci("layout"), pem, &SignOptions::default());
        let error = made.expect_err("bad key").to_string();
        assert!(error.contains(expect), "{error}");
    }
}
