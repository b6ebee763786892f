//! Our side, seen as a user sees it: a device with the real daemon, and `scomoctl install`.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use scomo_tests::device::Device;
use scomo_tests::disk::Disk;
use scomo_tests::wait;

use super::usage;

/// What an install took.
#[derive(Debug, Clone, Copy, Default)]
pub struct Install {
    /// From the command to its end; then all of it is durable.
    pub wall: Duration,
    /// Bytes that reached the disk, the database's among them.
    pub written: u64,
}

/// A device that keeps its data on a disk that is measured.
#[derive(Debug)]
pub struct Measured {
    // Dropped first: the device uses the disk.
    device: Device,
    disk: Disk,
}

impl Measured {
    /// A device that reads unsigned images from `registry` over plain HTTP.
    pub fn start(disk: Disk, registry: &str) -> Result<Self> {
        let device = Device::builder()
            .folder(&disk.folder().join("device"))
            .plain_http(registry)
            .accept_unsigned(&format!("docker://{registry}"))
            .start()?;
        Ok(Self { device, disk })
    }

    /// Installs an image without starting it.
    pub fn install(&self, image: &str) -> Result<Install> {
        self.disk.sync()?;
        let before = self.disk.bytes_written()?;
        let started = Instant::now();
        let source = format!("docker://{image}");
        self.device
            .ctl(&["install", "--inactive", "--pkg-id", "bench", &source])?
            .ok()
            .with_context(|| self.device.daemon_log())?;
        let wall = started.elapsed();
        self.disk.sync()?;
        Ok(Install { wall, written: self.disk.bytes_written()?.saturating_sub(before) })
    }

    /// Resident memory of the daemon, in bytes, once it no longer changes.
    pub fn idle_bytes(&self) -> Result<u64> {
        /// Equal readings in a row that count as idle.
        const SAME: u32 = 20;
        let id = self.device.daemon_id()?;
        let (mut last, mut same) = (0, 0);
        wait::until("the daemon is idle", wait::SOON, || {
            let now = usage::status_bytes(id, "VmRSS")?;
            same = if now == last { same + 1 } else { 0 };
            last = now;
            Ok((same >= SAME).then_some(now))
        })
    }
}
