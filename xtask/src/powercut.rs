//! `cargo xtask powercut`: the power is cut at every disk write of an install and of an update.
//!
//! The real daemon installs and updates a package on a disk that records every write and every flush (`recorder`, `scene`).
//! Then, for every recorded write, the disk is made as a power cut right after it could have left it: with all writes,
//! and with random parts of those that no flush made durable (`cuts`). Each of these disks is mounted and must hold
//! the old state or the new one, whole, and the new one once `scomoctl` said so (`check`). On some of them the real
//! daemon is started and must finish or reverse by itself (`trial`).
//!
//! A checker that cannot fail proves nothing: `--sabotage` makes the disk or the programs lie about syncs, and then
//! success means that the lie was found out.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use scomo_tests::{cargo, executables, workspace_root};

#[cfg(feature = "powercut")]
mod check;
#[cfg(feature = "powercut")]
mod cuts;
#[cfg(feature = "powercut")]
mod recorder;
#[cfg(feature = "powercut")]
mod run;
#[cfg(feature = "powercut")]
mod scene;
#[cfg(feature = "powercut")]
mod trial;

/// What to try.
#[derive(Debug, Args)]
#[cfg_attr(
    not(feature = "powercut"),
    allow(dead_code, reason = "the build with the recorder reads the rest")
)]
pub struct Options {
    /// Random parts of the unflushed writes to try at each write, beside all of them
    #[arg(long, default_value_t = 8)]
    subsets: u32,
    /// Seed of the random parts
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Try every n-th image only
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    every: u64,
    /// On how many of the images the real daemon is started
    #[arg(long, default_value_t = 12)]
    daemons: u64,
    /// Lie about syncs; then success means that bad images were found
    #[arg(long)]
    sabotage: Option<Sabotage>,
    /// Take the executables as they are, do not build them
    #[arg(long)]
    built: bool,
}

/// Who lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Sabotage {
    /// The disk: it ignores flushes
    Flushes,
    /// The system under daemon and workers: fsync, fdatasync and syncfs do nothing
    Syncs,
    /// The same, for syncfs alone: the one sync that makes the content store durable
    Syncfs,
}

/// Records, cuts, checks, prints the figures; true when no image was bad, or with sabotage when some were.
pub fn run(options: &Options) -> Result<bool> {
    ensure!(nix::unistd::geteuid().is_root(), "cutting the power mounts disks: run it as root");
    if options.built { with_recorder(options) } else { build_and_again(options) }
}

#[cfg(feature = "powercut")]
fn with_recorder(options: &Options) -> Result<bool> {
    run::run(options)
}

#[cfg(not(feature = "powercut"))]
fn with_recorder(_: &Options) -> Result<bool> {
    anyhow::bail!(
        "this xtask was built without the recorder; leave out --built, or build it with --features powercut"
    )
}

/// Builds the product, and this program with the recorder, and starts that.
fn build_and_again(options: &Options) -> Result<bool> {
    let root = workspace_root()?;
    for what in [&["--workspace", "--bins"][..], &["--package", "xtask", "--features", "powercut"]] {
        let mut build = Command::new(cargo());
        build.current_dir(&root).args(["build", "--locked"]).args(what);
        ensure!(build.status().context("cannot run cargo")?.success(), "the build failed");
    }
    let folder = executables()?;
    let lying = match options.sabotage {
        Some(Sabotage::Syncs) => Some(lying_executables(&folder, "fsync,fdatasync,syncfs,sync")?),
        Some(Sabotage::Syncfs) => Some(lying_executables(&folder, "syncfs")?),
        Some(Sabotage::Flushes) | None => None,
    };
    let mut again = Command::new(folder.join("xtask"));
    again.arg("powercut").arg("--built").args(std::env::args_os().skip(2));
    again.env("SCOMO_BIN_DIR", lying.as_ref().map_or(folder.as_path(), tempfile::TempDir::path));
    Ok(again.stdin(Stdio::null()).status().context("cannot start the build with the recorder")?.success())
}

/// A folder with the executables, in which the daemon and all that it starts are told that these calls succeeded.
fn lying_executables(folder: &Path, calls: &str) -> Result<tempfile::TempDir> {
    let made = tempfile::tempdir().context("cannot make a folder")?;
    for name in ["scomoctl", "scomo-worker-container"] {
        std::os::unix::fs::symlink(folder.join(name), made.path().join(name))
            .context("cannot link an executable")?;
    }
    let daemon = made.path().join("scomod");
    let lie = format!("-f -qq -o /dev/null -e trace={calls} -e inject={calls}:retval=0");
    let real: PathBuf = folder.join("scomod");
    let script = format!("#!/bin/sh\nexec strace {lie} -- '{}' \"$@\"\n", real.display());
    std::fs::write(&daemon, script).context("cannot write the lying daemon")?;
    std::fs::set_permissions(&daemon, PermissionsExt::from_mode(0o755))
        .context("cannot make the lying daemon executable")?;
    Ok(made)
}
