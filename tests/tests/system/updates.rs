//! Installing, updating, rolling back: from every kind of source, and when the new version is no good.

use scomo_tests::image::{Busybox, Compression, Layout};
use scomo_tests::needs_root;
use scomo_tests::package::Recipe;
use scomo_tests::world::{Behaviour, PACKAGE, World};
use serde_json::{Value, json};

use super::harness::{Installed, tidy_up};

#[test]
fn a_package_is_installed_updated_and_rolled_back() {
    if !needs_root("a_package_is_installed_updated_and_rolled_back") {
        return;
    }
    let installed = Installed::new();
    let v2 = installed.world.publish("2", Behaviour::Good).unwrap();
    installed.install(&v2).ok().unwrap();
    installed.device.runs("2").unwrap();
    installed.device.ctl(&["rollback"]).unwrap().ok().unwrap();
    installed.device.runs("1").unwrap();
    let history = installed.device.json(&["history"]).unwrap();
    let primitives: Vec<&str> =
        history["jobs"].as_array().unwrap().iter().filter_map(|job| job["primitive"].as_str()).collect();
    assert_eq!(primitives[0], "Rollback", "{history}");
    assert_eq!(primitives.iter().filter(|p| **p == "DownloadInstall").count(), 2, "{history}");
}

#[test]
fn an_unhealthy_version_is_rolled_back_by_itself() {
    if !needs_root("an_unhealthy_version_is_rolled_back_by_itself") {
        return;
    }
    let installed = Installed::new();
    let v2 = installed.world.publish("2", Behaviour::Unhealthy).unwrap();
    installed.install(&v2).fails(13, &["web", "health"]).unwrap();
    installed.is_as_before();
}

#[test]
fn a_version_that_crashes_is_rolled_back_by_itself() {
    if !needs_root("a_version_that_crashes_is_rolled_back_by_itself") {
        return;
    }
    let installed = Installed::new();
    let v2 = installed.world.publish("2", Behaviour::Crashes).unwrap();
    installed.install(&v2).fails(13, &["web"]).unwrap();
    installed.is_as_before();
}

#[test]
fn the_first_install_of_a_sick_package_leaves_nothing() {
    if !needs_root("the_first_install_of_a_sick_package_leaves_nothing") {
        return;
    }
    let world = World::new().unwrap();
    let v1 = world.publish("1", Behaviour::Unhealthy).unwrap();
    let device = world.device().start().unwrap();
    device.ctl(&["install", "--pkg-id", PACKAGE, &v1]).unwrap().fails(13, &["web"]).unwrap();
    tidy_up(&device);
    let left = device.leftovers().unwrap();
    assert!(left.processes.is_empty() && left.mounts.is_empty(), "{left:#?}");
    let stored: Vec<_> = left.files.iter().filter(|path| path.components().count() > 4).collect();
    assert!(stored.is_empty(), "{stored:#?}");
}

/// One component cannot even be prepared: the other one is not switched either.
#[test]
fn components_change_together_or_not_at_all() {
    if !needs_root("components_change_together_or_not_at_all") {
        return;
    }
    let installed = Installed::new();
    let images = installed.world.folder().join("mixed");
    let mut layout = Layout::create(&images).unwrap();
    for component in ["agent", "web"] {
        let image = Busybox::running("exec sleep 1000000").file("name", component).file("version", "2");
        image.write(&mut layout, component, Compression::Gzip).unwrap();
    }
    let image = |name: &str| format!("oci:{}:{name}", images.display());
    let forbidden = json!({"run": {"mounts": [{"source": "/etc", "target": "/data"}]}});
    let package = Recipe::new("com.example.demo", "2")
        .container("agent", &image("agent"), &json!({}))
        .container("web", &image("web"), &forbidden)
        .build(&installed.world.folder().join("mixed-package"))
        .unwrap();
    package.sign(installed.world.key()).unwrap();
    let failed = installed.install(&package.source);
    assert_ne!(failed.code, Some(0), "{failed}");
    assert!(failed.err.contains("/etc"), "{failed}");
    installed.is_as_before();
}

#[test]
fn a_layout_folder_and_an_archive_are_sources_too() {
    if !needs_root("a_layout_folder_and_an_archive_are_sources_too") {
        return;
    }
    let installed = Installed::new();
    let v2 = installed.world.build("2", Behaviour::Good).unwrap();
    installed.install(&v2.source).ok().unwrap();
    installed.device.runs("2").unwrap();

    let archive = installed.world.folder().join("v3.scomo");
    let v3 = installed.world.build_archive("3", &archive).unwrap();
    installed.install(v3.path.to_str().unwrap()).ok().unwrap();
    installed.device.runs("3").unwrap();
}

/// An archive that is handed over is kept by the device and can be installed when its file is gone.
#[test]
fn a_delivered_package_is_installed_later() {
    if !needs_root("a_delivered_package_is_installed_later") {
        return;
    }
    let world = World::new().unwrap();
    let archive = world.folder().join("v1.scomo");
    world.build_archive("1", &archive).unwrap();
    let device = world.device().start().unwrap();
    device.ctl(&["deliver", "--pkg-id", PACKAGE, archive.to_str().unwrap()]).unwrap().ok().unwrap();
    std::fs::remove_file(&archive).unwrap();
    device.ctl(&["install", PACKAGE]).unwrap().ok().unwrap();
    device.runs("1").unwrap();
}

#[test]
fn what_ran_runs_again_after_the_power_was_off() {
    if !needs_root("what_ran_runs_again_after_the_power_was_off") {
        return;
    }
    let mut installed = Installed::new();
    installed.device.power_off().unwrap();
    installed.device.power_on().unwrap();
    installed.device.start_daemon().unwrap();
    installed.device.wait_running("1").unwrap();
}

#[test]
fn components_are_stopped_started_and_removed() {
    if !needs_root("components_are_stopped_started_and_removed") {
        return;
    }
    let installed = Installed::new();
    let device = &installed.device;
    device.ctl(&["deactivate", "web"]).unwrap().ok().unwrap();
    assert_eq!(device.running().unwrap(), ["agent 1"]);
    device.ctl(&["activate", "web"]).unwrap().ok().unwrap();
    device.runs("1").unwrap();
    let logs = device.json(&["logs", "web"]).unwrap();
    assert!(logs["text"].as_str().is_some_and(|text| text.contains("web 1 starts")), "{logs}");
    device.ctl(&["remove", "--component", "web"]).unwrap().ok().unwrap();
    assert_eq!(device.running().unwrap(), ["agent 1"]);
    let shown = device.json(&["list"]).unwrap();
    let ids: Vec<&Value> = shown["components"].as_array().unwrap().iter().map(|c| &c["id"]).collect();
    assert_eq!(ids, ["agent"]);
}
