//! A device that lacks something: space, the container runtime, a whole database.

use std::os::unix::fs::FileExt;

use scomo_tests::image::{Busybox, Compression, Layout};
use scomo_tests::needs_root;
use scomo_tests::package::Recipe;
use scomo_tests::world::Behaviour;
use serde_json::json;

use super::harness::Installed;

/// Megabytes of a disk on which version 1 fits, and version 2 of the next test does not.
const DISK_MEGABYTES: u64 = 32;

#[test]
fn a_full_disk_is_no_harm() {
    if !needs_root("a_full_disk_is_no_harm") {
        return;
    }
    let installed = Installed::with(|_, builder| builder.disk(DISK_MEGABYTES));
    let images = installed.world.folder().join("large");
    let mut layout = Layout::create(&images).unwrap();
    let content = vec![b'x'; usize::try_from(DISK_MEGABYTES).unwrap() << 20];
    let image = Busybox::running("exec sleep 1000000").file("data/large", content);
    image.write(&mut layout, "web", Compression::Zstd).unwrap();
    let package = Recipe::new("com.example.demo", "2")
        .container("web", &format!("oci:{}:web", images.display()), &json!({}))
        .build(&installed.world.folder().join("large-package"))
        .unwrap();
    package.sign(installed.world.key()).unwrap();
    installed.install(&package.source).fails(12, &["space"]).unwrap();
    installed.is_as_before();
    // There is room again for what fits.
    let v2 = installed.world.publish("2", Behaviour::Good).unwrap();
    installed.install(&v2).ok().unwrap();
    installed.device.runs("2").unwrap();
}

#[test]
fn a_missing_container_runtime_is_said_so() {
    if !needs_root("a_missing_container_runtime_is_said_so") {
        return;
    }
    let mut installed = Installed::new();
    let v2 = installed.world.publish("2", Behaviour::Good).unwrap();
    installed.device.stop_daemon().unwrap();
    installed.device.write_config("runtime = '/nonexistent/crun'").unwrap();
    installed.device.start_daemon().unwrap();
    installed.install(&v2).fails(13, &["/nonexistent/crun"]).unwrap();
    installed.device.runs("1").unwrap();
    installed.device.stop_daemon().unwrap();
    installed.device.write_config("").unwrap();
    installed.device.start_daemon().unwrap();
    installed.is_as_before();
}

#[test]
fn a_damaged_database_is_never_overwritten() {
    if !needs_root("a_damaged_database_is_never_overwritten") {
        return;
    }
    let mut installed = Installed::new();
    let v2 = installed.world.publish("2", Behaviour::Good).unwrap();
    installed.device.stop_daemon().unwrap();
    let database = installed.device.path("state/facts.db");
    let good = std::fs::read(&database).unwrap();
    damage(&database);
    let damaged = std::fs::read(&database).unwrap();
    installed.device.start_daemon().unwrap();
    let status = installed.device.json(&["status"]).unwrap();
    assert!(status["device"]["safeMode"].as_str().is_some_and(|why| !why.is_empty()), "{status}");
    installed.install(&v2).fails(30, &["safe mode"]).unwrap();
    // What ran still runs, also without the daemon knowing what it is.
    assert_eq!(installed.device.running().unwrap(), ["agent 1", "web 1"]);
    installed.device.stop_daemon().unwrap();
    assert!(std::fs::read(&database).unwrap() == damaged, "the damaged database was changed");
    // With the database back, everything goes on.
    std::fs::write(&database, good).unwrap();
    installed.device.start_daemon().unwrap();
    installed.install(&v2).ok().unwrap();
    installed.device.runs("2").unwrap();
}

/// Changes one byte in every page but the first, where SQLite has its head.
fn damage(database: &std::path::Path) {
    let file = std::fs::OpenOptions::new().write(true).open(database).unwrap();
    let length = file.metadata().unwrap().len();
    assert!(length > 8192, "{length}");
    for page in 1..length / 4096 {
        file.write_all_at(&[0xA5; 64], page * 4096 + 2048).unwrap();
    }
}
