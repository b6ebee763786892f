//! OS commits: deployed next to the current one, together with containers or not at all.

use std::path::Path;

use scomo_tests::device::Device;
use scomo_tests::http::Server;
use scomo_tests::needs_root;
use scomo_tests::ostree::{BRANCH, Repository, Sysroot};
use scomo_tests::package::Recipe;
use scomo_tests::world::{Behaviour, World};
use serde_json::json;

/// A device whose sysroot has the first commit of a repository that is served over HTTP.
struct OsDevice {
    device: Device,
    sysroot: Sysroot,
    server: Server,
    commits: [String; 2],
    world: World,
    _repository: Repository,
}

impl OsDevice {
    fn new() -> Self {
        let world = World::new().unwrap();
        let repository = Repository::create().unwrap();
        let first = repository.commit("1", &[]).unwrap();
        let sysroot = Sysroot::create(&world.folder().join("sysroot"), &repository, &first).unwrap();
        let second = repository.commit("2", &[("usr/bin/new", b"new")]).unwrap();
        let server = Server::start(repository.web_root()).unwrap();
        let device = world.device().config(&config(sysroot.path(), &server)).start().unwrap();
        Self { device, sysroot, server, commits: [first, second], world, _repository: repository }
    }

    fn source(&self) -> String {
        format!("ostree+{}/repo?ref={BRANCH}", self.server.url())
    }

    fn entries(&self) -> Vec<String> {
        self.sysroot.entries().unwrap()
    }

    /// Only the first OS is there, and it is the default.
    fn is_as_before(&self) {
        let entries = self.entries();
        assert_eq!(entries.len(), 1, "{entries:#?}");
        assert!(entries.concat().contains("Demo OS 1"), "{entries:#?}");
        assert!(!self.sysroot.deployed(&self.commits[1], "usr").exists());
    }
}

fn config(sysroot: &Path, server: &Server) -> String {
    let remote = format!("{}/repo", server.url());
    format!(
        "[os]\nsysroot = '{}'\nboot = 'none'\n[os.remotes.\"{remote}\"]\ninsecure_accept_unsigned = true",
        sysroot.display()
    )
}

#[test]
fn a_commit_is_deployed_next_to_the_current_one() {
    if !needs_root("a_commit_is_deployed_next_to_the_current_one") {
        return;
    }
    let os = OsDevice::new();
    let changed = os.sysroot.deployed(&os.commits[0], "etc/demo.conf");
    std::fs::write(&changed, "from = the user\n").unwrap();
    os.device.ctl(&["install", "--pkg-id", "os", &os.source()]).unwrap().fails(100, &["reboot"]).unwrap();
    let entries = os.entries();
    assert_eq!(entries.len(), 2, "{entries:#?}");
    // The new one is the default, with the kernel arguments of the one before.
    assert!(entries[0].contains("Demo OS 2") && entries[0].contains("root=LABEL=demo"), "{entries:#?}");
    assert!(entries[1].contains("Demo OS 1"), "{entries:#?}");
    let merged = std::fs::read_to_string(os.sysroot.deployed(&os.commits[1], "etc/demo.conf")).unwrap();
    assert_eq!(merged, "from = the user\n");
    assert!(os.device.json(&["status"]).unwrap()["device"]["pendingReboot"].as_bool().unwrap());
}

#[test]
fn a_commit_that_is_not_wanted_any_more_is_taken_back() {
    if !needs_root("a_commit_that_is_not_wanted_any_more_is_taken_back") {
        return;
    }
    let os = OsDevice::new();
    os.device.ctl(&["install", "--pkg-id", "os", &os.source()]).unwrap().exits(100).unwrap();
    os.device.ctl(&["cancel", "1"]).unwrap().ok().unwrap();
    os.device.ctl(&["remove", "--package", "os"]).unwrap();
    os.device.ctl(&["gc"]).unwrap().ok().unwrap();
    os.is_as_before();
}

/// A repository that vanishes in the middle of a pull.
#[test]
fn a_repository_that_goes_away_half_way_is_no_harm() {
    if !needs_root("a_repository_that_goes_away_half_way_is_no_harm") {
        return;
    }
    let os = OsDevice::new();
    os.server.fail_after(6);
    os.device.ctl(&["install", "--pkg-id", "os", &os.source()]).unwrap().fails(10, &["127.0.0.1"]).unwrap();
    os.is_as_before();
    os.server.mend();
    os.device.ctl(&["install", "--pkg-id", "os", &os.source()]).unwrap().exits(100).unwrap();
}

#[test]
fn an_unsigned_commit_is_refused() {
    if !needs_root("an_unsigned_commit_is_refused") {
        return;
    }
    let mut os = OsDevice::new();
    os.device.stop_daemon().unwrap();
    let own = std::fs::read_to_string(os.device.config_file()).unwrap();
    let strict = own.replace("insecure_accept_unsigned = true", "insecure_accept_unsigned = false");
    std::fs::write(os.device.config_file(), strict).unwrap();
    os.device.start_daemon().unwrap();
    os.device.ctl(&["install", "--pkg-id", "os", &os.source()]).unwrap().fails(11, &["sign"]).unwrap();
    os.is_as_before();
}

/// The OS and the container of a package change together: a container that cannot be prepared keeps the OS away.
#[test]
fn an_os_does_not_change_without_its_containers() {
    if !needs_root("an_os_does_not_change_without_its_containers") {
        return;
    }
    let os = OsDevice::new();
    let good = os.world.build("1", Behaviour::Good).unwrap();
    os.device.ctl(&["install", "--pkg-id", "demo", &good.source]).unwrap().ok().unwrap();
    let image = format!("oci:{}:web", os.world.folder().join("images-1").display());
    let forbidden = json!({"run": {"mounts": [{"source": "/etc", "target": "/data"}]}});
    let package = Recipe::new("com.example.whole", "2")
        .os("os", &format!("{}/repo", os.server.url()), &os.commits[1])
        .container("web", &image, &forbidden)
        .build(&os.world.folder().join("whole"))
        .unwrap();
    package.sign(os.world.key()).unwrap();
    let failed = os.device.ctl(&["install", "--pkg-id", "whole", &package.source]).unwrap();
    assert!(!matches!(failed.code, Some(0 | 100)), "{failed}");
    os.device.ctl(&["remove", "--package", "whole"]).unwrap();
    os.device.ctl(&["gc"]).unwrap().ok().unwrap();
    os.is_as_before();
    os.device.runs("1").unwrap();
}
