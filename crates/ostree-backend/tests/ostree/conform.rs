//! The suite that every backend passes, in-process and through the process border.

use std::any::Any;
use std::fs;

use scomo_core::id::PackageId;
use scomo_engine::backend::Backend;
use scomo_engine::conformance::{self, Harness, Sources};

use crate::common::{Device, Repository, Server, skip};
use crate::disk::Disk;

struct Machine {
    device: Device,
    disk: Disk,
    repository: Repository,
    server: Server,
    local: bool,
}

impl Machine {
    fn new(in_process: bool, local: bool) -> Self {
        let repository = Repository::new();
        let server = Server::start(repository.web_root()).expect("a server");
        let disk = Disk::new(64);
        let sysroot = disk.path().join("sysroot");
        let mut device = Device::in_folder(&repository, tempfile::tempdir().expect("dir"), sysroot);
        device.in_process = in_process;
        device.trust(&server);
        Self { device, disk, repository, server, local }
    }

    fn source(&self, version: &str) -> String {
        let branch = Repository::branch(version);
        if self.local { self.repository.local(&branch) } else { Repository::remote(&self.server, &branch) }
    }
}

impl Harness for Machine {
    fn open(&mut self) -> Box<dyn Backend> {
        self.device.open()
    }

    fn sources(&mut self) -> Sources {
        for version in ["1", "2"] {
            self.repository.commit(version, &[]);
        }
        let commit = self.repository.commit("3", &[("usr/share/demo/bad", b"good")]);
        self.repository.damage(&commit, "usr/share/demo/bad");
        Sources {
            package: PackageId::new("demo").expect("id"),
            v1: self.source("1"),
            v2: self.source("2"),
            corrupt: self.source("3"),
            unknown: self.source("missing"),
            unhealthy: None,
        }
    }

    fn reboot(&mut self) {
        self.device.reboot();
    }

    fn stored(&mut self) -> Vec<String> {
        self.device.stored()
    }

    fn fill_disk(&mut self) -> Option<Box<dyn Any>> {
        Some(Box::new(self.disk.fill()))
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Some cases leave the repository with a device that is gone; a broken sysroot would be a defect.
        assert!(fs::metadata(self.device.repo()).is_ok());
    }
}

#[test]
fn the_backend_conforms() {
    if skip("the_backend_conforms") {
        return;
    }
    conformance::run(&mut || Box::new(Machine::new(true, false)));
}

#[test]
fn the_backend_conforms_with_a_local_repository() {
    if skip("the_backend_conforms_with_a_local_repository") {
        return;
    }
    conformance::run(&mut || Box::new(Machine::new(true, true)));
}

#[test]
fn the_worker_conforms() {
    if skip("the_worker_conforms") {
        return;
    }
    conformance::run(&mut || Box::new(Machine::new(false, false)));
}
