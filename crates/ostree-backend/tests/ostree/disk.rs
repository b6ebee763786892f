//! Small disks, and what happens when they are full.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::common::run;

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
