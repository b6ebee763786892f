//! System tests against the real daemon, registry, OSTree and crun: the fixtures, and the rules for the repository.
//!
//! A [`device::Device`] is a machine in miniature: its own processes, mounts, disk and bus, with the real `scomod` and
//! its workers. Around it stand a real [`registry::Registry`], an [`http::Server`] with an [`ostree`] repository, and
//! [`image`]s made from busybox. Everything a fixture started ends when it is dropped, also when the test panics.
//!
//! Not here: tests of one crate alone; they are in that crate.

pub mod bus;
pub mod device;
pub mod disk;
pub mod http;
pub mod image;
pub mod keys;
pub mod metadata;
pub mod ostree;
pub mod package;
pub mod process;
pub mod proxy;
pub mod registry;
pub mod tidy;
pub mod wait;
pub mod world;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Whether the calling test can run: it needs root. When not, says so in the words that the test runner counts.
#[must_use]
pub fn needs_root(test: &str) -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        eprintln!("SKIPPED: needs root: {test}");
    }
    root
}

/// The root of the work tree.
pub fn workspace_root() -> Result<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().map(Path::to_owned).context("this crate is a folder of the workspace")
}

/// The Cargo that runs us, or the one in the path.
#[must_use]
pub fn cargo() -> PathBuf {
    std::env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from)
}

/// The folder with the executables under test: that of the running executable, or what `SCOMO_BIN_DIR` says.
pub fn executables() -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os("SCOMO_BIN_DIR") {
        return Ok(PathBuf::from(folder));
    }
    let mut folder = std::env::current_exe().context("cannot find the running executable")?;
    folder.pop();
    // Cargo puts tests one level below the executables of the packages.
    if folder.ends_with("deps") {
        folder.pop();
    }
    Ok(folder)
}

/// One of the executables under test.
pub fn executable(name: &str) -> Result<PathBuf> {
    let path = executables()?.join(name);
    anyhow::ensure!(
        path.is_file(),
        "{} is missing: run 'cargo build --workspace' first, 'make test' does",
        path.display()
    );
    Ok(path)
}
