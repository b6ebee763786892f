//! Sets of files: installed, updated, refused by the service that reads them, and removed.

use std::path::{Path, PathBuf};

use scomo_tests::device::{Builder, Device};
use scomo_tests::image::{Compression, Layout};
use scomo_tests::needs_root;
use scomo_tests::package::{Recipe, plain_http};
use scomo_tests::world::World;
use serde_json::json;

/// PkgID, and the component in it.
const ID: &str = "settings";

/// A registry, and a service on the device that takes every version of its settings but one that says "bad".
struct Service {
    world: World,
}

impl Service {
    fn new() -> Self {
        let world = World::new().unwrap();
        std::fs::create_dir(world.folder().join("links")).unwrap();
        Self { world }
    }

    fn link(&self) -> PathBuf {
        self.world.folder().join("links/service")
    }

    /// What the service has loaded, as far as it said.
    fn loaded(&self) -> String {
        std::fs::read_to_string(self.world.folder().join("loaded")).unwrap_or_default().trim().to_owned()
    }

    fn device(&self) -> Builder {
        let folder = self.world.folder().display();
        let script = format!(
            "set -e; grep -v bad \"$SCOMO_FILES/version\" >{folder}/loaded.new; mv {folder}/loaded.new {folder}/loaded"
        );
        self.world.device().config(&format!(
            "[files]\nallowed_links = ['{folder}/links']\n[files.reload]\nservice = ['/bin/sh', '-c', '{script}']"
        ))
    }

    /// Builds, signs and pushes a version; gives its source.
    fn publish(&self, version: &str, files: &serde_json::Value) -> String {
        let images = self.world.folder().join(format!("files-{version}"));
        let mut layout = Layout::create(&images).unwrap();
        let layer = layout.layer(Compression::Zstd, |archive| {
            archive.folder("conf.d", 0o755)?;
            archive.file("conf.d/common", b"the same in every version", 0o644)?;
            archive.file("version", version.as_bytes(), 0o644)
        });
        layout.image("files", &[layer.unwrap()], &json!({})).unwrap();
        let recipe = Recipe::new("com.example.settings", version);
        let image = format!("oci:{}:files", images.display());
        let package = recipe.files(ID, &image, &json!({"files": files}));
        let package = package.build(&self.world.folder().join(format!("package-{version}"))).unwrap();
        package.sign(self.world.key()).unwrap();
        let source = format!("docker://{}/settings:{version}", self.world.registry().address());
        package.push(&plain_http(self.world.registry().address()), &source).unwrap();
        source
    }

    fn publish_good(&self, version: &str) -> String {
        self.publish(version, &json!({"path": self.link(), "reload": ["service"]}))
    }
}

fn install(device: &Device, source: &str) -> scomo_tests::device::Ctl {
    device.ctl(&["install", "--pkg-id", ID, source]).unwrap()
}

/// The version that is seen through the component's own link and through the one that the package asked for.
fn seen(device: &Device, link: &Path) -> [Option<String>; 2] {
    let own = device.state_dir().join("files").join(ID);
    [own.as_path(), link].map(|link| std::fs::read_to_string(link.join("version")).ok())
}

fn both(version: &str) -> [Option<String>; 2] {
    [Some(version.to_owned()), Some(version.to_owned())]
}

#[test]
fn a_set_of_files_is_installed_updated_reversed_and_removed() {
    if !needs_root("a_set_of_files_is_installed_updated_reversed_and_removed") {
        return;
    }
    let service = Service::new();
    let (v1, v2, bad) = (service.publish_good("1"), service.publish_good("2"), service.publish_good("bad"));
    let mut device = service.device().start().unwrap();

    install(&device, &v1).ok().unwrap();
    assert_eq!((seen(&device, &service.link()), service.loaded()), (both("1"), "1".to_owned()));
    install(&device, &v2).ok().unwrap();
    assert_eq!((seen(&device, &service.link()), service.loaded()), (both("2"), "2".to_owned()));
    assert_eq!(device.active_version(ID).unwrap().as_deref(), Some("2"));

    install(&device, &bad).fails(13, &[ID, "reload command ended with"]).unwrap();
    assert_eq!((seen(&device, &service.link()), service.loaded()), (both("2"), "2".to_owned()));
    assert_eq!(device.active_version(ID).unwrap().as_deref(), Some("2"));

    device.power_off().unwrap();
    device.power_on().unwrap();
    assert_eq!(seen(&device, &service.link()), both("2"), "files are there before anything runs");
    device.start_daemon().unwrap();
    assert_eq!(device.active_version(ID).unwrap().as_deref(), Some("2"));

    device.ctl(&["deactivate", ID]).unwrap().ok().unwrap();
    assert_eq!(seen(&device, &service.link()), [None, None]);
    device.ctl(&["activate", ID]).unwrap().ok().unwrap();
    assert_eq!(seen(&device, &service.link()), both("2"));

    device.ctl(&["remove", "--component", ID]).unwrap().ok().unwrap();
    assert_eq!(seen(&device, &service.link()), [None, None]);
    device.ctl(&["remove", "--package", ID]).unwrap();
    device.ctl(&["gc"]).unwrap().ok().unwrap();
    let left = device.leftovers().unwrap();
    assert!(left.processes.is_empty() && left.mounts.is_empty(), "{left:#?}");
    let stored = |path: &&PathBuf| path.components().count() > 4;
    let stored: Vec<_> = left.files.iter().filter(stored).collect();
    assert!(stored.is_empty(), "{stored:#?}");
}

#[test]
fn what_the_device_does_not_allow_changes_nothing() {
    if !needs_root("what_the_device_does_not_allow_changes_nothing") {
        return;
    }
    let service = Service::new();
    let device = service.device().start().unwrap();
    let evil = service.world.folder().join("evil");
    for (version, files, words) in [
        ("1", json!({"path": evil}), "files.allowed_links"),
        ("2", json!({"reload": ["/bin/touch", evil]}), "files.allow_reload"),
        ("3", json!({"reload": ["reboot"]}), "files.reload"),
    ] {
        let refused = install(&device, &service.publish(version, &files));
        assert!(refused.code != Some(0) && refused.err.contains(words), "{refused}");
    }
    assert!(std::fs::symlink_metadata(&evil).is_err());
    assert_eq!(seen(&device, &service.link()), [None, None]);
}
