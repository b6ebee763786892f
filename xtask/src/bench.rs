//! `cargo xtask bench`: time, memory, disk and writes, beside podman in the same run.
//!
//! Not a test: figures depend on the machine. What counts is the ratio of two measurements that were made one right
//! after the other, on the same kind of disk (ext4 in a file), of the same images from the same registry. Each figure
//! is the median of several rounds; each round starts with empty disks.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use clap::Args;
use scomo_tests::disk::{self, Disk};
use scomo_tests::image::{Compression, Layout};
use scomo_tests::process;
use scomo_tests::registry::Registry;
use tempfile::TempDir;

mod corpus;
mod device;
mod podman;
mod report;
mod usage;
mod worker;

use corpus::{Content, Version};
use report::{Round, Rounds, Update};

/// Megabytes of each disk: three versions of the image for podman, and room.
const DISK_MEGABYTES: u64 = 3072;

/// How to measure.
#[derive(Debug, Args)]
pub struct Options {
    /// Rounds; each figure is the median
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Take the executables as they are, do not build them
    #[arg(long)]
    built: bool,
    /// Do not compare with podman
    #[arg(long)]
    no_podman: bool,
}

/// Measures, prints the figures and says which goals are met; true when all are.
pub fn run(options: &Options) -> Result<bool> {
    ensure!(nix::unistd::geteuid().is_root(), "measuring mounts disks: run it as root");
    if !options.built {
        return build_and_again();
    }
    disk::private_mounts()?;
    let folder = tempfile::tempdir().context("cannot make a folder")?;
    let registry = Registry::start()?;
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("Load of the machine before: {}", load.trim());
    println!("Making the images and pushing them into a registry on loopback ...");
    let mut all = Vec::new();
    for compression in [Compression::Gzip, Compression::Zstd] {
        let contents = publish(&folder, &registry, compression)?;
        let mut rounds = Rounds { compression, contents, rounds: Vec::new() };
        for number in 1..=options.rounds {
            println!("Measuring {}, round {number} of {} ...", compression.name(), options.rounds);
            rounds.rounds.push(round(&folder, &registry, compression, options)?);
        }
        all.push(rounds);
    }
    if !options.no_podman {
        println!("Compared with {}.", podman::version()?);
    }
    report::print(&all)
}

/// Figures of a debug build would say nothing: builds for release, and starts again with those executables.
fn build_and_again() -> Result<bool> {
    let root = scomo_tests::workspace_root()?;
    let mut build = Command::new(scomo_tests::cargo());
    build.current_dir(&root).args(["build", "--locked", "--release", "--workspace", "--bins"]);
    ensure!(build.status().context("cannot run cargo")?.success(), "the release build failed");
    let release = scomo_tests::executables()?.join("../release");
    let mut again = Command::new(release.join("xtask"));
    again.arg("bench").arg("--built").args(std::env::args_os().skip(2)).env("SCOMO_BIN_DIR", &release);
    Ok(again.stdin(Stdio::null()).status().context("cannot start the release build")?.success())
}

/// Makes all versions and pushes them as they are.
fn publish(folder: &TempDir, registry: &Registry, compression: Compression) -> Result<Vec<Content>> {
    let root = folder.path().join(compression.name());
    let mut layout = Layout::create(&root)?;
    let contents = corpus::write(&mut layout, compression)?;
    for version in Version::ALL {
        let from = format!("oci:{}:{}", root.display(), version.name());
        let to = format!("docker://{}", reference(registry, compression, version));
        let copy = [
            "skopeo",
            "--insecure-policy",
            "copy",
            "-q",
            "--preserve-digests",
            "--dest-tls-verify=false",
            &from,
            &to,
        ];
        process::words(&copy)?;
    }
    std::fs::remove_dir_all(&root).context("cannot remove the layout")?;
    Ok(contents)
}

fn reference(registry: &Registry, compression: Compression, version: Version) -> String {
    format!("{}/bench-{}:{}", registry.address(), compression.name(), version.name())
}

fn round(
    folder: &TempDir,
    registry: &Registry,
    compression: Compression,
    options: &Options,
) -> Result<Round> {
    let new_disk = |name: &str| {
        let image = folder.path().join(format!("{name}.img"));
        // The file is unlinked while it is mounted, so that it cannot stay behind.
        let disk = Disk::create(&image, &folder.path().join(name), DISK_MEGABYTES)?;
        std::fs::remove_file(&image).context("cannot unlink a disk")?;
        anyhow::Ok(disk)
    };
    let (for_podman, for_worker) = (new_disk("podman")?, new_disk("worker")?);
    let device = device::Measured::start(new_disk("device")?, registry.address())?;
    let worker = worker::Worker::new(&for_worker, &folder.path().join("run"), registry.address())?;
    let (podman_empty, worker_empty) = (for_podman.bytes_used()?, for_worker.bytes_used()?);
    let mut updates = Vec::new();
    for version in Version::ALL {
        let image = reference(registry, compression, version);
        let podman =
            if options.no_podman { podman::Pull::default() } else { podman::pull(&for_podman, &image)? };
        let worker = worker.import(&for_worker, &image)?;
        let device = device.install(&image)?;
        updates.push(Update { podman, worker, device });
    }
    Ok(Round {
        updates,
        idle_bytes: device.idle_bytes()?,
        podman_disk: for_podman.bytes_used()?.saturating_sub(podman_empty),
        worker_disk: for_worker.bytes_used()?.saturating_sub(worker_empty),
    })
}
