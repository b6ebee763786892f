//! The yardstick: `podman pull`, with a root of its own.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use scomo_tests::disk::Disk;

use super::usage::{self, Usage};

/// What a pull took.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pull {
    /// Until the command returned. Nothing is durable then.
    pub returned: Usage,
    /// Until everything was on the disk.
    pub durable: Usage,
    /// Bytes that reached the disk.
    pub written: u64,
}

/// Which podman it is.
pub fn version() -> Result<String> {
    Ok(scomo_tests::process::words(&["podman", "--version"])?.trim().to_owned())
}

/// Pulls an image onto the disk.
pub fn pull(disk: &Disk, image: &str) -> Result<Pull> {
    let root = disk.folder();
    let temporary = root.join("tmp");
    std::fs::create_dir_all(&temporary).context("cannot make a folder for podman")?;
    disk.sync()?;
    let before = disk.bytes_written()?;
    let mut command = podman(root);
    command.args(["pull", "--quiet", "--tls-verify=false", image]).env("TMPDIR", &temporary);
    let (_, returned) = usage::measure(&mut command, "")?;
    let started = std::time::Instant::now();
    disk.sync()?;
    let synced = Usage { wall: started.elapsed(), ..Usage::default() };
    let written = disk.bytes_written()?.saturating_sub(before);
    Ok(Pull { returned, durable: returned.then(synced), written })
}

fn podman(root: &Path) -> Command {
    let mut command = Command::new("podman");
    command.arg("--root").arg(root.join("root")).arg("--runroot").arg(root.join("run"));
    command.args(["--storage-driver=overlay", "--cgroup-manager=cgroupfs", "--events-backend=none"]);
    command
}
