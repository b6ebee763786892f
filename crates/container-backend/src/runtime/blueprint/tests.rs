//! Tests of the rules.

use std::collections::BTreeMap;

use scomo_core::failure::FailureKind;
use scomo_core::id::{ComponentId, Digest, ReleaseId};
use scomo_core::spec::{ComponentKind, ComponentSpec, FilesSpec, Metadata, Payload, RunSpec};

use super::*;

fn release(run: RunSpec) -> Release {
    let payload = Payload::Image { digest: Digest::from_sha256([1; 32]), size: 1 };
    let spec = ComponentSpec {
        id: ComponentId::new("web/1").expect("id"),
        name: String::new(),
        version: "1".to_owned(),
        kind: ComponentKind::Container,
        payload,
        requires: Vec::new(),
        description: String::new(),
        env_type: String::new(),
        metadata: Metadata::default(),
        run,
        files: FilesSpec::default(),
        health: None,
    };
    Release { id: ReleaseId::from_sha256([2; 32]), spec, source: "oci:/x".to_owned(), size: 0 }
}

fn image() -> ImageConfig {
    let text = |s: &str| Some(s.to_owned());
    ImageConfig {
        user: text("5:6"),
        env: Some(vec!["PATH=/bin".to_owned(), "A=1=2".to_owned()]),
        entrypoint: Some(vec!["/bin/app".to_owned()]),
        cmd: Some(vec!["--serve".to_owned()]),
        working_dir: text("/srv"),
        stop_signal: text("SIGINT"),
        volumes: None,
    }
}

fn policy() -> Policy {
    Policy {
        host_paths: vec![PathBuf::from("/srv/data")],
        devices: vec!["/dev/ttyS*".to_owned(), "/dev/i2c-1".to_owned()],
        capabilities: vec!["CAP_NET_ADMIN".to_owned()],
    }
}

fn draw(run: RunSpec) -> Result<Blueprint, Error> {
    let rootfs = tempfile::tempdir().expect("folder");
    Blueprint::draw(&release(run), &image(), rootfs.path(), &policy())
}

#[track_caller]
fn refused(run: RunSpec, word: &str) {
    let error = draw(run).expect_err("must be refused");
    assert_eq!(error.kind(), FailureKind::Invalid);
    assert!(error.to_string().contains(word), "{error}");
}

fn mount(source: &str, target: &str) -> Mount {
    Mount { source: source.to_owned(), target: target.to_owned(), read_only: false }
}

#[test]
fn the_image_says_how_it_runs() {
    let blueprint = draw(RunSpec::default()).expect("a blueprint");
    assert_eq!(blueprint.args, ["/bin/app", "--serve"]);
    assert_eq!(blueprint.env, ["A=1=2", "HOME=/", "PATH=/bin"]);
    assert_eq!((blueprint.identity.uid, blueprint.identity.gid), (5, 6));
    assert_eq!(blueprint.working_dir, "/srv");
    assert_eq!(blueprint.stop_signal, 2);
    assert_eq!(blueprint.hostname, "web-1");
    assert!(!blueprint.host_network && blueprint.extra_capabilities.is_empty());
    assert_eq!(blueprint.capabilities, DEFAULT_CAPABILITIES);
}

#[test]
fn the_release_stands_above_the_image() {
    let run = RunSpec {
        args: vec!["x".to_owned()],
        env: BTreeMap::from([("A".to_owned(), "3".to_owned())]),
        user: "7".to_owned(),
        working_dir: "/tmp".to_owned(),
        capabilities: vec!["CAP_NET_ADMIN".to_owned(), "CAP_KILL".to_owned()],
        ..RunSpec::default()
    };
    let blueprint = draw(run).expect("a blueprint");
    assert_eq!(blueprint.args, ["x"]);
    assert!(blueprint.env.contains(&"A=3".to_owned()));
    assert_eq!(blueprint.identity.uid, 7);
    assert_eq!(blueprint.working_dir, "/tmp");
    assert_eq!(blueprint.extra_capabilities, ["CAP_NET_ADMIN"]);
}

#[test]
fn mounts_are_sorted_and_kept_apart() {
    let mounts = vec![mount("data", "/var/lib/app/"), mount("/srv/data/x", "/a"), mount("b.2", "/a/b")];
    let blueprint = draw(RunSpec { mounts, ..RunSpec::default() }).expect("a blueprint");
    let targets: Vec<&str> = blueprint.binds.iter().map(|bind| bind.target.as_str()).collect();
    assert_eq!(targets, ["/a", "/a/b", "/var/lib/app"]);
    assert_eq!(blueprint.binds[0].source, BindSource::Host(PathBuf::from("/srv/data/x")));
}

#[test]
fn hostile_mounts_are_refused() {
    for (source, target, word) in [
        ("data", "/a/../../etc", "without '..'"),
        ("data", "relative", "absolute path"),
        ("data", "/", "nothing can be mounted"),
        ("data", "/proc/sys", "nothing can be mounted"),
        ("data", "//sys", "nothing can be mounted"),
        ("data", "/dev", "nothing can be mounted"),
        ("data", "/a\nb", "absolute path"),
        ("a/b", "/a", "neither a volume name"),
        ("..", "/a", "neither a volume name"),
        (".new-x", "/a", "neither a volume name"),
        ("", "/a", "neither a volume name"),
        ("/srv/data/../../etc", "/a", "without '..'"),
        ("/etc", "/a", "container.host_paths"),
        ("/srv/database", "/a", "container.host_paths"),
    ] {
        refused(RunSpec { mounts: vec![mount(source, target)], ..RunSpec::default() }, word);
    }
    let twice = vec![mount("a", "/x"), mount("b", "/x/")];
    refused(RunSpec { mounts: twice, ..RunSpec::default() }, "two mounts");
}

#[test]
fn devices_and_capabilities_need_permission() {
    let devices = |device: &str| RunSpec { devices: vec![device.to_owned()], ..RunSpec::default() };
    assert_eq!(draw(devices("/dev/ttyS0")).expect("allowed").devices, ["/dev/ttyS0"]);
    assert!(draw(devices("/dev/i2c-1")).is_ok());
    for (device, word) in [
        ("/dev/sda", "container.devices"),
        ("/dev/i2c-12", "container.devices"),
        ("/dev/ttyS", "container.devices"),
        ("/dev/ttyS/../sda", "not a device"),
        ("/etc/passwd", "not a device"),
        ("ttyS0", "not a device"),
    ] {
        refused(devices(device), word);
    }
    let capability = |name: &str| RunSpec { capabilities: vec![name.to_owned()], ..RunSpec::default() };
    refused(capability("CAP_SYS_ADMIN"), "container.capabilities");
    refused(capability("ALL"), "not a capability");
}

#[test]
fn what_cannot_be_executed_is_refused() {
    let text = |s: &str| vec![s.to_owned()];
    refused(RunSpec { args: text(""), ..RunSpec::default() }, "names no command");
    refused(RunSpec { args: text("a\0b"), ..RunSpec::default() }, "NUL");
    refused(RunSpec { working_dir: "here".to_owned(), ..RunSpec::default() }, "working folder");
    refused(RunSpec { user: "nobody".to_owned(), ..RunSpec::default() }, "no user 'nobody'");
    refused(RunSpec { user: "4294967295".to_owned(), ..RunSpec::default() }, "not a user");
    let env = BTreeMap::from([("A=B".to_owned(), String::new())]);
    refused(RunSpec { env, ..RunSpec::default() }, "environment variable");
    let rootfs = tempfile::tempdir().expect("folder");
    let nothing = ImageConfig::default();
    let error = Blueprint::draw(&release(RunSpec::default()), &nothing, rootfs.path(), &policy());
    assert!(error.expect_err("no command").to_string().contains("names no command"));
}

#[test]
fn signals_have_many_names() {
    for (text, number) in
        [("SIGTERM", 15), ("TERM", 15), ("9", 9), ("SIGRTMIN+3", 37), ("RTMIN", 34), ("SIGUSR1", 10)]
    {
        assert_eq!(parse_signal(text), Some(number), "{text}");
    }
    for text in ["", "0", "65", "-1", "SIGNONE", "SIGRTMIN+31", "RTMIN-1"] {
        assert_eq!(parse_signal(text), None, "{text}");
    }
}

#[test]
fn hostnames_are_made_fit() {
    assert_eq!(hostname("../a b"), "a-b");
    assert_eq!(hostname("///"), "component");
    assert_eq!(hostname(&"x".repeat(255)).len(), HOSTNAME_BYTES_MAX);
}
