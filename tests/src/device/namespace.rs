//! The namespaces of a device, and its first process.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process::{self, Process};
use crate::wait;

/// The first process: sets up mounts, then does nothing but take leave of orphans that end.
///
/// A second cgroup hierarchy beside the first one, as some systemd machines have it, is more than crun can use. `wait`
/// of a shell takes every child that ends, also those that it inherited.
const INIT: &str = r#"
mount --make-rprivate /
if mountpoint -q /sys/fs/cgroup/unified; then umount /sys/fs/cgroup/unified; fi
mount -t tmpfs -o mode=0755 tmpfs "$1/run" || exit 1
if [ -n "$2" ]; then mount -t ext4 -o loop "$2" "$1/state" || exit 1; fi
echo ready
while :; do sleep 3600 & wait $!; done
"#;

/// Namespaces for processes and mounts.
#[derive(Debug)]
pub struct Namespace {
    /// The program that made them; the first process ends with it.
    maker: Process,
    init: u32,
}

impl Namespace {
    /// Makes them, with the disk (if any) mounted at the folder `state` below `root`.
    pub fn start(root: &Path, disk: Option<&Path>) -> Result<Self> {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--pid", "--fork", "--kill-child=KILL", "--mount-proc"]);
        command.args(["sh", "-c", INIT, "init"]).arg(root).arg(disk.unwrap_or(Path::new("")));
        let mut maker = Process::start(&command)?;
        maker.wait_for_line("the device starts", |line| (line == "ready").then_some(()))?;
        let init = child_of(maker.id())?.context("the device has no first process")?;
        Ok(Self { maker, init })
    }

    /// The root folder that processes of the device see.
    pub fn root(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root", self.init))
    }

    /// Process id of the first process on the host.
    pub fn init(&self) -> u32 {
        self.init
    }

    /// A command that runs inside.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--target={}", self.init)).args(["--mount", "--pid", "--"]).arg(program);
        command
    }

    /// Kills every process inside, and waits until the last one is gone.
    pub fn end(&mut self) -> Result<()> {
        self.maker.kill()?;
        let folder = PathBuf::from(format!("/proc/{}", self.init));
        wait::until_true("the processes of the device end", wait::SOON, || Ok(!folder.exists()))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // The folders of the device can go only when nothing uses them; a failure shows there.
        let _ = self.end();
    }
}

/// A file with an empty ext4 below `root`.
pub fn make_disk(root: &Path, megabytes: u64) -> Result<PathBuf> {
    let image = root.join("disk.img");
    if !image.exists() {
        let bytes = megabytes.checked_mul(1 << 20).context("the disk is too large")?;
        let file = std::fs::File::create(&image).context("cannot create the disk")?;
        file.set_len(bytes).context("cannot size the disk")?;
        process::output(Command::new("mkfs.ext4").args(["-q", "-F", "-m", "0"]).arg(&image))?;
    }
    Ok(image)
}

/// The child of a process that has one at most.
pub fn child_of(parent: u32) -> Result<Option<u32>> {
    Ok(all_processes()?.into_iter().find(|id| parent_of(*id) == Some(parent)))
}

/// Ids of all processes of the host.
pub fn all_processes() -> Result<Vec<u32>> {
    let mut ids = Vec::new();
    for entry in std::fs::read_dir("/proc").context("cannot read /proc")? {
        let name = entry.context("cannot read /proc")?.file_name();
        ids.extend(name.to_str().and_then(|name| name.parse::<u32>().ok()));
    }
    Ok(ids)
}

/// The parent of a process; none when it has ended.
pub fn parent_of(id: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name in parentheses may hold anything; the numbers are behind its end.
    stat.rsplit(')').next()?.split_whitespace().nth(1)?.parse().ok()
}
