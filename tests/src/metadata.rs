//! What `cargo metadata` says of the workspace.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::process;

/// The members of the workspace.
#[derive(Debug, Deserialize)]
pub struct Workspace {
    /// In the order of their names.
    pub packages: Vec<Package>,
}

/// A member.
#[derive(Debug, Deserialize)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its least Rust.
    pub rust_version: Option<String>,
    /// Its `Cargo.toml`.
    #[serde(rename = "manifest_path")]
    pub manifest: PathBuf,
    /// What it says that it needs.
    pub dependencies: Vec<Dependency>,
}

/// An edge to another package.
#[derive(Debug, Deserialize)]
pub struct Dependency {
    /// The other package.
    pub name: String,
    /// `dev` or `build`; none: normal.
    pub kind: Option<String>,
}

impl Dependency {
    /// Whether it is linked in, not only used to build or test.
    #[must_use]
    pub fn is_normal(&self) -> bool {
        self.kind.is_none()
    }
}

impl Workspace {
    /// Asks Cargo.
    pub fn read(root: &Path) -> Result<Self> {
        let mut command = Command::new(crate::cargo());
        command.current_dir(root).args([
            "metadata",
            "--format-version=1",
            "--no-deps",
            "--offline",
            "--locked",
        ]);
        serde_json::from_str(&process::output(&mut command)?)
            .context("cargo metadata wrote what is not understood")
    }
}
