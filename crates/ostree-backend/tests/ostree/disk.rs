//! Small disks, and what happens when they are full.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use scomo_core::failure::FailureKind;
use scomo_engine::backend::StepCx;

use crate::common::{Device, Repository, fails, run, skip};

/// A small ext4 file system in a file.
#[derive(Debug)]
pub struct Disk {
    dir: TempDir,
}

impl Disk {
    /// One of so many MiB.
    pub fn new(mib: u64) -> Self {
        let dir = tempfile::tempdir().expect("dir");
        let image = dir.path().join("image");
        File::create(&image).and_then(|file| file.set_len(mib << 20)).expect("image");
        let (image, mount) = (image.to_str().expect("path"), dir.path().join("mount"));
        fs::create_dir(&mount).expect("mount point");
        run("mkfs.ext4", &["-q", "-m", "0", "-N", "8192", image]);
        run("mount", &["-o", "loop", image, mount.to_str().expect("path")]);
        Self { dir }
    }

    pub fn path(&self) -> PathBuf {
        self.dir.path().join("mount")
    }

    /// Fills it to the last block until the value is dropped.
    pub fn fill(&self) -> Filler {
        Filler::new(&self.path().join("filler"), 0)
    }

    /// Fills it up to so many free KiB.
    pub fn fill_up_to(&self, kib: u64) -> Filler {
        Filler::new(&self.path().join("filler"), kib)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(self.path()).output();
    }
}

/// A file that takes all the room.
#[derive(Debug)]
pub struct Filler(PathBuf);

impl Filler {
    fn new(path: &Path, leave_kib: u64) -> Self {
        let mut file = File::create(path).expect("filler");
        let block = vec![7_u8; 4096];
        while file.write_all(&block).is_ok() {}
        let length = file.metadata().expect("length").len();
        file.set_len(length.saturating_sub(leave_kib << 10)).expect("shorten");
        file.sync_all().expect("sync");
        Self(path.to_owned())
    }
}

impl Drop for Filler {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// The commit says how large its objects are, so none of them is asked for.
#[test]
fn a_pull_that_cannot_fit_is_not_begun() {
    if skip("a_pull_that_cannot_fit_is_not_begun") {
        return;
    }
    let repository = Repository::new();
    let disk = Disk::new(64);
    let sysroot = disk.path().join("sysroot");
    let device = Device::in_folder(&repository, tempfile::tempdir().expect("dir"), sysroot);
    let noise: Vec<u8> =
        (0..6_u64 << 20).map(|n| (n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8).collect();
    let large: &[(&str, &[u8])] = &[("usr/share/demo/large", &noise)];
    repository.commit_with("1", large, &["--generate-sizes"]);
    let v1 = device.resolve(&repository.local(&Repository::branch("1")));
    let objects = || {
        let found = run("find", &[device.repo().join("objects").to_str().expect("path"), "-type", "f"]);
        found.lines().filter(|name| !name.contains(".commit")).count()
    };
    let before = objects();
    {
        // Room for the large file, but not for the reserve too.
        let _full = disk.fill_up_to(7 << 10);
        let text = fails(FailureKind::NoSpace, device.try_fetch(&v1));
        let reserve = (2 << 20).to_string();
        assert!(text.contains("bytes free") && text.contains(&reserve), "{text}");
        assert_eq!(objects(), before, "objects were fetched");
    }
    device.fetch(&v1);
    assert!(objects() > before);
    // What is there is not counted.
    repository.commit_with("2", large, &["--generate-sizes"]);
    let v2 = device.resolve(&repository.local(&Repository::branch("2")));
    let _full = disk.fill_up_to(5 << 10);
    device.fetch(&v2);
}

#[test]
fn a_full_disk_is_said_and_harms_nothing() {
    if skip("a_full_disk_is_said_and_harms_nothing") {
        return;
    }
    let repository = Repository::new();
    let disk = Disk::new(64);
    let sysroot = disk.path().join("sysroot");
    let device = Device::in_folder(&repository, tempfile::tempdir().expect("dir"), sysroot);
    let noise: Vec<u8> =
        (0..6_u64 << 20).map(|n| (n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8).collect();
    repository.commit("1", &[]);
    repository.commit(
        "2",
        &[("usr/share/demo/large", &noise), ("usr/lib/modules/6.1.0-demo/vmlinuz", &noise[1..])],
    );
    let source = |version: &str| repository.local(&Repository::branch(version));
    let v1 = device.install(&source("1"));
    device.collect(&[&v1]);
    let (deployed, stored) = (device.deployed(), device.stored());
    let v2 = device.resolve(&source("2"));
    // At once; in the middle; by the margin that the repository is set to keep.
    for kib in [0, 4096] {
        let _full = disk.fill_up_to(kib);
        let text = fails(FailureKind::NoSpace, device.try_fetch(&v2));
        assert!(kib != 0 || text.contains("bytes free"), "{text}");
        assert_eq!(device.deployed(), deployed);
        assert_eq!(device.running(), Some(v1.id.clone()));
    }
    device.collect(&[&v1]);
    assert_eq!(device.stored(), stored);
    let repo = format!("--repo={}", device.repo().display());
    run("ostree", &["config", "set", "core.min-free-space-size", "60MB", &repo]);
    fails(FailureKind::NoSpace, device.try_fetch(&v2));
    run("ostree", &["config", "unset", "core.min-free-space-size", &repo]);
    device.fetch(&v2);
    {
        let _full = disk.fill();
        fails(FailureKind::NoSpace, device.open().stage(&v2, &StepCx::detached()));
        assert_eq!(device.deployed(), deployed);
    }
    device.stage(&v2);
    device.collect(&[&v1]);
    assert_eq!(device.stored(), stored);
    device.fsck();
}
