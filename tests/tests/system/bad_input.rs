//! Input that is wrong before a byte of payload moves: options, references, signatures.

use scomo_tests::keys::KeyPair;
use scomo_tests::needs_root;
use scomo_tests::world::Behaviour;

use super::harness::Installed;

#[test]
fn an_unknown_option_is_refused_by_name() {
    if !needs_root("an_unknown_option_is_refused_by_name") {
        return;
    }
    let installed = Installed::new();
    let v2 = installed.world.publish("2", Behaviour::Good).unwrap();
    let device = &installed.device;
    device.ctl(&["install", "--colour", &v2]).unwrap().fails(2, &["--colour"]).unwrap();
    let call = ["call", "org.scomo1", "/org/scomo1", "org.scomo1.Manager", "Install", "sa{sv}"];
    let error = device.bus().busctl(&[&call[..], &[&v2, "1", "colour", "s", "red"]].concat()).unwrap_err();
    assert!(error.to_string().contains("colour"), "{error}");
    installed.is_as_before();
}

#[test]
fn a_malformed_reference_is_refused() {
    if !needs_root("a_malformed_reference_is_refused") {
        return;
    }
    let installed = Installed::new();
    for bad in [
        "nonsense",
        "docker://",
        "docker://host",
        "docker://host/UPPER",
        "docker://host/x@sha256:12",
        "ftp://host/x",
    ] {
        let refused = installed.install(bad);
        assert!(matches!(refused.code, Some(2 | 11 | 14)), "{bad}: {refused}");
        assert!(refused.err.contains(bad.trim_start_matches("docker://")), "{bad}: {refused}");
    }
    installed.is_as_before();
}

#[test]
fn a_wrong_signature_is_refused() {
    if !needs_root("a_wrong_signature_is_refused") {
        return;
    }
    let installed = Installed::new();
    let package = installed.world.build_unsigned("2", Behaviour::Good).unwrap();
    installed.install(&package.source).fails(11, &["sign"]).unwrap();
    let other = KeyPair::ed25519(installed.world.folder(), "other").unwrap();
    package.sign(&other).unwrap();
    installed.install(&package.source).fails(11, &["factory"]).unwrap();
    installed.is_as_before();
    // The same package with a good signature beside the wrong one is taken.
    package.sign(installed.world.key()).unwrap();
    installed.install(&package.source).ok().unwrap();
    installed.device.runs("2").unwrap();
}

#[test]
fn two_updates_at_once_are_refused() {
    if !needs_root("two_updates_at_once_are_refused") {
        return;
    }
    let installed = Installed::new();
    let v2 = installed.world.publish("2", Behaviour::Good).unwrap();
    let v3 = installed.world.publish("3", Behaviour::Good).unwrap();
    installed.device.ctl(&["install", "--no-wait", "--pkg-id", "demo", &v2]).unwrap().ok().unwrap();
    installed.install(&v3).fails(4, &["job"]).unwrap();
    installed.device.wait_idle().unwrap();
    installed.device.runs("2").unwrap();
}

#[test]
fn what_is_not_there_is_said_so() {
    if !needs_root("what_is_not_there_is_said_so") {
        return;
    }
    let installed = Installed::new();
    let missing = installed.world.source("nowhere");
    installed.install(&missing).fails(10, &["nowhere"]).unwrap();
    installed.device.ctl(&["show", "nowhere"]).unwrap().fails(3, &["nowhere"]).unwrap();
    installed.device.ctl(&["cancel", "999"]).unwrap().fails(3, &["999"]).unwrap();
    installed.is_as_before();
}
