//! Whom a device trusts: GPG and ed25519 signatures that are good, bad and absent.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer, SigningKey};
use ostree::prelude::*;
use ostree::{gio, glib};
use scomo_core::failure::FailureKind;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::{Device, Repository, Server, fails, run, skip};

struct World {
    repository: Repository,
    server: Server,
    device: Device,
}

impl World {
    fn new() -> Self {
        let repository = Repository::new();
        let server = Server::start(repository.web_root()).expect("a server");
        let device = Device::new(&repository);
        Self { repository, server, device }
    }

    fn source(&self, version: &str) -> String {
        Repository::remote(&self.server, &Repository::branch(version))
    }

    fn settings(&mut self, settings: Value) {
        self.device.os["remotes"] = json!({ self.server.url(): settings });
    }

    /// Signs a commit with ed25519 as `ostree sign` does: its list of signatures over the bytes of the commit.
    fn sign(&self, commit: &str, keys: &[&SigningKey], over: Option<&[u8]>) {
        let repo = ostree::Repo::new_for_path(self.repository.path());
        repo.open(gio::Cancellable::NONE).expect("open");
        let object = repo.load_variant(ostree::ObjectType::Commit, commit).expect("commit");
        let bytes = over.unwrap_or(object.data());
        let signatures: Vec<Vec<u8>> = keys.iter().map(|key| key.sign(bytes).to_bytes().to_vec()).collect();
        let dict = glib::VariantDict::new(None);
        dict.insert_value("ostree.sign.ed25519", &signatures.to_variant());
        repo.write_commit_detached_metadata(commit, Some(&dict.end()), gio::Cancellable::NONE)
            .expect("write");
    }
}

fn public(key: &SigningKey) -> String {
    STANDARD.encode(key.verifying_key().as_bytes())
}

#[test]
fn nothing_is_trusted_by_default() {
    if skip("nothing_is_trusted_by_default") {
        return;
    }
    let mut world = World::new();
    let source = world.source("0");
    world.device.os["remotes"] = json!({});
    for source in [source.clone(), world.repository.local(&Repository::branch("0"))] {
        let text = fails(FailureKind::Untrusted, world.device.try_resolve(&source));
        assert!(text.contains("os.remotes"), "{text}");
    }
    world.settings(json!({}));
    fails(FailureKind::Untrusted, world.device.try_resolve(&source));
    world.settings(json!({ "insecure_accept_unsigned": true }));
    assert_eq!(world.device.try_resolve(&source).expect("resolve").signed_by, "");
}

#[test]
fn wrong_settings_are_not_a_way_around() {
    if skip("wrong_settings_are_not_a_way_around") {
        return;
    }
    let mut world = World::new();
    let source = world.source("0");
    let key = public(&SigningKey::from_bytes(&[1; 32]));
    let cases = [
        json!({ "sign_verify": true }),
        json!({ "sign_verify": true, "ed25519_keys": ["AAAA"] }),
        json!({ "sign_verify": true, "ed25519_keys": ["!"] }),
        json!({ "sign_verify": true, "ed25519_key_files": ["/nonexistent"] }),
        json!({ "gpg_verify": true }),
        json!({ "gpg_verify": true, "gpg_keyring": "/nonexistent" }),
        json!({ "gpg_verify": true, "gpg_keyring": "/dev/null" }),
        json!({ "insecure_accept_unsigned": true, "sign_verify": true, "ed25519_keys": [key] }),
        json!({ "insecure_accept_unsigned": true, "tls_ca": "/nonexistent" }),
    ];
    for settings in cases {
        world.settings(settings.clone());
        let text = fails(FailureKind::Broken, world.device.try_resolve(&source));
        assert!(text.contains("settings of the repository"), "{settings}: {text}");
    }
}

#[test]
fn ed25519_signatures_decide() {
    if skip("ed25519_signatures_decide") {
        return;
    }
    let mut world = World::new();
    let commit = world.repository.commit("1", &[]);
    let source = world.source("1");
    let [ours, second, other] = [1, 2, 3].map(|n| SigningKey::from_bytes(&[n; 32]));
    let file = world.device.state().with_extension("keys");
    fs::write(&file, format!("{}\n\n", public(&second))).expect("write");
    world.settings(
        json!({ "sign_verify": true, "ed25519_keys": [public(&ours)], "ed25519_key_files": [file] }),
    );
    let refused = |world: &World, words: &str| {
        let text = fails(FailureKind::Untrusted, world.device.try_resolve(&source));
        assert!(text.contains(words), "{text}");
        assert!(!world.device.state().join("os/tmp").exists(), "something is left");
    };
    refused(&world, "no ed25519 signature");
    world.sign(&commit, &[], None);
    refused(&world, "no ed25519 signature");
    world.sign(&commit, &[&other], None);
    refused(&world, "by others");
    world.sign(&commit, &[&ours], Some(b"something else"));
    refused(&world, "by others");
    for key in [&ours, &second] {
        world.sign(&commit, &[&other, key], None);
        let content = world.device.try_resolve(&source).expect("resolve");
        assert_eq!(content.signed_by, format!("ed25519:{}", public(key)));
    }
    world.device.in_process = false;
    world.device.install(&source);
    // A signature of one commit is none of another.
    let next = world.repository.commit("1", &[("usr/share/demo/more", b"more")]);
    let from = world
        .repository
        .path()
        .join("objects")
        .join(&commit[..2])
        .join(format!("{}.commitmeta", &commit[2..]));
    let folder = world.repository.path().join("objects").join(&next[..2]);
    fs::copy(from, folder.join(format!("{}.commitmeta", &next[2..]))).expect("copy");
    refused(&world, "by others");
}

#[test]
fn a_commit_that_a_package_names_needs_no_signature() {
    if skip("a_commit_that_a_package_names_needs_no_signature") {
        return;
    }
    let mut world = World::new();
    world.repository.commit("1", &[]);
    world.settings(json!({ "insecure_accept_unsigned": true }));
    let mut release = world.device.resolve(&world.source("1"));
    release.source = "docker://registry.example.com/device:1".to_owned();
    world.device.os["remotes"] = json!({});
    world.device.fetch(&release);
    world.device.stage(&release);
}

/// A folder with a GPG key of its own.
struct Gpg {
    home: TempDir,
    keyring: PathBuf,
}

impl Gpg {
    fn new(name: &str) -> Self {
        let home = tempfile::tempdir().expect("dir");
        let folder = home.path().to_str().expect("path").to_owned();
        fs::set_permissions(home.path(), std::os::unix::fs::PermissionsExt::from_mode(0o700)).expect("mode");
        let base =
            ["--homedir", &folder, "--batch", "--quiet", "--passphrase", "", "--pinentry-mode", "loopback"];
        let gpg = |args: &[&str]| run("gpg", &[&base, args].concat());
        gpg(&["--quick-generate-key", name, "ed25519", "sign", "never"]);
        let keyring = home.path().join("public.asc");
        gpg(&["--armor", "--output", keyring.to_str().expect("path"), "--export", name]);
        Self { home, keyring }
    }

    fn sign(&self, repository: &Repository, commit: &str, name: &str) {
        let home = format!("--gpg-homedir={}", self.home.path().display());
        run("ostree", &["gpg-sign", &repository.option(), &home, commit, name]);
    }

    fn keyring(&self) -> &Path {
        &self.keyring
    }
}

impl Drop for Gpg {
    fn drop(&mut self) {
        let home = self.home.path().to_str().unwrap_or_default().to_owned();
        let _ = std::process::Command::new("gpgconf").args(["--homedir", &home, "--kill", "all"]).output();
    }
}

#[test]
fn gpg_signatures_decide() {
    if skip("gpg_signatures_decide") {
        return;
    }
    let (ours, other) = (Gpg::new("ours@example.org"), Gpg::new("other@example.org"));
    let mut world = World::new();
    let commit = world.repository.commit("1", &[]);
    let source = world.source("1");
    world.settings(json!({ "gpg_verify": true, "gpg_keyring": ours.keyring() }));
    for in_process in [true, false] {
        world.device.in_process = in_process;
        fails(FailureKind::Untrusted, world.device.try_resolve(&source));
    }
    other.sign(&world.repository, &commit, "other@example.org");
    fails(FailureKind::Untrusted, world.device.try_resolve(&source));
    ours.sign(&world.repository, &commit, "ours@example.org");
    for in_process in [true, false] {
        world.device.in_process = in_process;
        let content = world.device.try_resolve(&source).expect("resolve");
        assert!(content.signed_by.starts_with("gpg:"), "{}", content.signed_by);
        assert_eq!(content.signed_by.len(), "gpg:".len() + 40);
    }
    world.device.install(&source);
    // Both kinds are asked for: one is not enough.
    let key = SigningKey::from_bytes(&[1; 32]);
    world.settings(json!({
        "gpg_verify": true, "gpg_keyring": ours.keyring(), "sign_verify": true, "ed25519_keys": [public(&key)],
    }));
    let text = fails(FailureKind::Untrusted, world.device.try_resolve(&source));
    assert!(text.contains("ed25519"), "{text}");
}
