//! What the host sees of a file set: its links, from the first switch to the removal.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use common::{COMPONENT, Device, failed, ok};
use scomo_core::effect::Target;
use scomo_core::failure::FailureKind;
use scomo_core::spec::{ComponentKind, Release};
use scomo_engine::backend::{Backend, StepCx};
use serde_json::json;

/// A device that allows links below `links`, and a release that wants one there.
fn linked() -> (Device, serde_json::Value) {
    let mut device = Device::new();
    fs::create_dir(device.path("links")).expect("folder");
    device.config["files"]["allowed_links"] = json!([device.path("links")]);
    let more = json!({"files": {"path": device.path("links/web")}});
    (device, more)
}

/// Both files of what a link shows now, read through one opened folder.
fn read_both(link: &Path) -> std::io::Result<(String, String)> {
    let folder = File::open(link)?;
    let inside = |name| format!("/proc/self/fd/{}/{name}", folder.as_raw_fd());
    Ok((fs::read_to_string(inside("a"))?, fs::read_to_string(inside("b"))?))
}

#[test]
fn a_reader_sees_the_old_files_or_the_new_ones_at_every_moment() {
    needs_root!();
    let (mut device, more) = linked();
    let (v1, v2) = (device.release("1", &more), device.release("2", &more));
    device.put(&v1);
    device.prepare(&v2);
    let links = [device.link(), device.path("links/web")];
    let end = AtomicBool::new(false);
    let seen = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut seen = BTreeSet::new();
            while !end.load(Ordering::Relaxed) {
                for link in &links {
                    let (a, b) = read_both(link).expect("there is always something");
                    assert_eq!(a, b, "a mix of two versions");
                    seen.insert(a);
                }
            }
            seen
        });
        for _ in 0..50 {
            for release in [&v2, &v1] {
                ok("switch", device.try_activate(release));
            }
        }
        end.store(true, Ordering::Relaxed);
        reader.join().expect("the reader saw neither")
    });
    assert_eq!(seen, BTreeSet::from(["1".to_owned(), "2".to_owned()]));
}

#[test]
fn every_process_can_read_and_none_can_write() {
    needs_root!();
    let mut device = Device::new();
    let release = device.release("1", &json!({}));
    device.put(&release);
    // The folder of the test itself is not part of the device.
    fs::set_permissions(device.folder.path(), fs::Permissions::from_mode(0o755)).expect("mode");
    fs::set_permissions(device.path("state"), fs::Permissions::from_mode(0o711)).expect("mode");
    let file = device.link().join("a");
    let nobody = |script: &str| {
        let mut command = std::process::Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-c", script]);
        command.arg("sh").arg(&file).status().expect("setpriv").success()
    };
    assert!(nobody("test \"$(cat \"$1\")\" = 1"));
    assert!(!nobody("echo evil >\"$1\"") && !nobody("rm -f \"$1\""));
    assert!(
        !nobody("ls $(dirname $(dirname $(dirname $(readlink -f \"$1\"))))"),
        "releases cannot be listed"
    );
    assert_eq!(fs::metadata(&file).expect("file").mode() & 0o7777, 0o444);
}

#[test]
fn the_same_release_again_changes_and_runs_nothing() {
    needs_root!();
    let mut device = Device::with(&json!({"allow_reload": true}));
    let log = device.path("log");
    let script = format!("echo \"$SCOMO_COMPONENT $(cat \"$SCOMO_FILES/a\")\" >>{}", log.display());
    let more = json!({"files": {"reload": ["/bin/sh", "-c", script]}});
    let release = device.release("1", &more);
    device.put(&release);
    let before = fs::symlink_metadata(device.link()).expect("link").ino();
    for _ in 0..2 {
        ok("switch", device.try_activate(&release));
    }
    assert_eq!(fs::symlink_metadata(device.link()).expect("link").ino(), before);
    assert_eq!(fs::read_to_string(&log).expect("log"), format!("{COMPONENT} 1\n"));
}

#[test]
fn an_inactive_component_has_no_link_and_keeps_its_files() {
    needs_root!();
    let (mut device, more) = linked();
    let release = device.release("1", &more);
    device.put(&release);
    for target in [Target::Inactive(release.clone()), Target::Absent] {
        let cx = StepCx::detached();
        ok("switch", device.backend().switch(&release.spec.id, &target, &cx));
        assert!(fs::symlink_metadata(device.link()).is_err());
        assert_eq!(fs::read_dir(device.path("links")).expect("links").count(), 0);
        assert!(!device.runs(&release));
        ok("switch back", device.try_activate(&release));
        assert_eq!(device.seen(&device.path("links/web")).as_deref(), Some("1"));
    }
}

#[test]
fn a_link_moves_with_the_release_that_asks_for_another_place() {
    needs_root!();
    let (mut device, more) = linked();
    let other = json!({"files": {"path": device.path("links/new")}});
    let (v1, v2, v3) =
        (device.release("1", &more), device.release("2", &other), device.release("3", &json!({})));
    let links = || {
        let mut names: Vec<_> =
            fs::read_dir(device.path("links")).expect("links").flatten().map(|e| e.file_name()).collect();
        names.sort();
        names
    };
    for (release, expected) in [(&v1, vec!["web"]), (&v2, vec!["new"]), (&v3, vec![]), (&v1, vec!["web"])] {
        device.put(release);
        assert_eq!(links(), expected);
    }
    ok("collect", device.backend().collect(&[], &StepCx::detached()));
    assert_eq!(links(), Vec::<&str>::new());
}

#[test]
fn a_link_that_the_device_does_not_allow_is_refused_before_anything_changes() {
    needs_root!();
    let (mut device, more) = linked();
    let v1 = device.release("1", &more);
    device.put(&v1);
    fs::create_dir(device.path("elsewhere")).expect("folder");
    symlink(device.path("elsewhere"), device.path("links/out")).expect("link");
    for (path, word) in [
        (device.path("elsewhere/web"), "files.allowed_links"),
        (device.path("links/../elsewhere/web"), "'..'"),
        (device.path("links/out/web"), "a link or file"),
        (device.path("links/web/a"), "a link or file"),
        ("relative".into(), "absolute"),
        (device.path("links/gone/web"), "create it"),
    ] {
        let v2 = device.release("2", &json!({"files": {"path": path}}));
        ok("fetch", device.backend().fetch(&v2, &StepCx::detached()));
        let (kind, words) = failed(device.backend().stage(&v2, &StepCx::detached()));
        assert_eq!(kind, FailureKind::Invalid, "{words}");
        assert!(words.contains(word), "{words}");
        assert_eq!(failed(device.try_activate(&v2)).0, FailureKind::NotFound);
    }
    assert_eq!(fs::read_dir(device.path("elsewhere")).expect("list").count(), 0);
    assert_eq!(device.seen(&device.path("links/web")).as_deref(), Some("1"));
}

#[test]
fn what_somebody_else_put_there_stays() {
    needs_root!();
    let (mut device, more) = linked();
    let release = device.release("1", &more);
    device.prepare(&release);
    let place = device.path("links/web");
    let tries: [fn(&Path); 3] = [
        |place| fs::write(place, "mine").expect("file"),
        |place| fs::create_dir(place).expect("folder"),
        |place| symlink("/somewhere", place).expect("link"),
    ];
    for make in tries {
        make(&place);
        let before = fs::symlink_metadata(&place).expect("it").ino();
        let (kind, words) = failed(device.try_activate(&release));
        assert_eq!(kind, FailureKind::Broken);
        assert!(words.contains("links/web") && words.contains("remove it"), "{words}");
        assert_eq!(fs::symlink_metadata(&place).expect("it").ino(), before);
        assert!(fs::symlink_metadata(device.link()).is_err(), "nothing was switched");
        ok("remove", device.backend().switch(&release.spec.id, &Target::Absent, &StepCx::detached()));
        assert_eq!(fs::symlink_metadata(&place).expect("it").ino(), before);
        if place.is_dir() {
            fs::remove_dir(&place).expect("clean")
        } else {
            fs::remove_file(&place).expect("clean")
        }
    }
    ok("switch", device.try_activate(&release));
}

#[test]
fn what_is_in_place_stays_there_without_anybody_doing_anything() {
    needs_root!();
    let mut device = Device::new();
    let release = device.release("1", &json!({}));
    device.put(&release);
    // Nothing volatile is needed: this is what the next boot finds.
    let inventory = ok("observe", device.worker().observe());
    assert_eq!(inventory.running, std::slice::from_ref(&release.id));
    assert!(!device.path("run").join("files").exists());
    fs::remove_file(device.link()).expect("somebody removes the link");
    assert!(!device.runs(&release), "so that the engine sets it right");
    ok("set right", device.try_activate(&release));
    assert_eq!(device.seen(&device.link()).as_deref(), Some("1"));
}

#[test]
fn links_that_nothing_asked_for_are_collected() {
    needs_root!();
    let mut device = Device::new();
    let (v1, v2) = (device.release("1", &json!({})), device.release("2", &json!({})));
    device.put(&v1);
    device.prepare(&v2);
    let links = device.path("state/files");
    let tree = fs::read_link(device.link()).expect("link");
    let stray = tree
        .to_string_lossy()
        .replace(v1.id.as_str().trim_start_matches("sha256:"), v2.id.as_str().trim_start_matches("sha256:"));
    symlink(stray, links.join("stray")).expect("link");
    symlink(&tree, links.join(".certificates.scomo-new")).expect("link");
    fs::write(links.join("notes"), "of the administrator").expect("file");
    ok("collect", device.backend().collect(std::slice::from_ref(&v1), &StepCx::detached()));
    let mut names: Vec<_> = fs::read_dir(&links).expect("links").flatten().map(|e| e.file_name()).collect();
    names.sort();
    assert_eq!(names, [COMPONENT, "notes"]);
}

#[test]
fn hostile_layers_are_refused_and_what_is_in_place_stays() {
    needs_root!();
    let mut device = Device::new();
    let v1 = device.release("1", &json!({}));
    device.put(&v1);
    let raw = |name: &'static str, kind: tar::EntryType, link: &'static str| {
        move |archive: &mut scomo_tests::image::Archive<'_>| {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(kind);
            header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
            header.as_mut_bytes()[157..157 + link.len()].copy_from_slice(link.as_bytes());
            header.set_mode(0o644);
            header.set_size(0);
            header.set_cksum();
            archive.raw.append(&header, std::io::empty())?;
            Ok(())
        }
    };
    let file = tar::EntryType::Regular;
    for (name, kind, link) in [
        ("../evil", file, ""),
        ("/etc/evil", file, ""),
        ("x/../../evil", file, ""),
        ("hard", tar::EntryType::Link, "../../etc/shadow"),
    ] {
        let source = device.package("2", &json!({}), raw(name, kind, link));
        let v2 = device.resolve(&source);
        let (kind, words) = failed(device.worker().fetch(&v2, &StepCx::detached()));
        assert_eq!(kind, FailureKind::Invalid, "{name}: {words}");
        assert_eq!(failed(device.backend().stage(&v2, &StepCx::detached())).0, FailureKind::NotFound);
    }
    assert_eq!(device.seen(&device.link()).as_deref(), Some("1"));
    assert!(!device.path("evil").exists() && !Path::new("/etc/evil").exists());
}

#[test]
fn devices_and_rights_of_a_layer_do_not_reach_the_host() {
    needs_root!();
    let mut device = Device::new();
    let source = device.package("1", &json!({}), |archive| {
        archive.file("suid", b"#!/bin/sh\n", 0o6755)?;
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Block);
        header.set_mode(0o666);
        header.set_device_major(8)?;
        header.set_size(0);
        archive.raw.append_data(&mut header, "disk", std::io::empty())?;
        Ok(())
    });
    let release = device.resolve(&source);
    device.put(&release);
    assert_eq!(fs::metadata(device.link().join("suid")).expect("file").mode() & 0o7777, 0o555);
    assert!(fs::symlink_metadata(device.link().join("disk")).is_err());
}

#[test]
fn a_download_that_cannot_fit_is_not_begun() {
    needs_root!();
    let mut device = Device::new();
    let release = device.release("1", &json!({}));
    device.config["package"]["reserve_bytes"] = json!(u64::MAX / 2);
    let (kind, words) = failed(device.worker().fetch(&release, &StepCx::detached()));
    assert_eq!(kind, FailureKind::NoSpace);
    assert!(words.contains("bytes left") && words.contains(&(u64::MAX / 2).to_string()), "{words}");
    assert_eq!(failed(device.backend().stage(&release, &StepCx::detached())).0, FailureKind::NotFound);
}

#[test]
fn other_kinds_are_not_ours() {
    let mut device = Device::new();
    let mut release: Release = device.release("1", &json!({}));
    release.spec.kind = ComponentKind::Container;
    let (cx, mut backend) = (StepCx::detached(), device.backend());
    let target = Target::Active(release.clone());
    for result in [
        backend.fetch(&release, &cx).map(drop),
        backend.stage(&release, &cx),
        backend.probe(&release, &cx),
        backend.switch(&release.spec.id, &target, &cx).map(drop),
        backend.logs(&release.spec.id, 1).map(drop),
    ] {
        assert_eq!(failed(result).0, FailureKind::Unsupported);
    }
}
