//! The files that the rules look at: what git tracks or would track.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process;

/// A text file of the repository.
#[derive(Debug)]
pub struct File {
    /// Relative to the root.
    pub path: PathBuf,
    /// What it holds.
    pub text: String,
}

impl File {
    /// Whether it holds tests only, so that limits for code do not apply.
    pub fn is_test(&self) -> bool {
        let in_folder = self.path.components().any(|part| part.as_os_str() == "tests");
        let own_crate = self.path.starts_with("tests/src");
        (in_folder && !own_crate) || self.path.file_stem().is_some_and(|stem| stem == "tests")
    }
}

/// Every text file with one of the extensions; no extension: files without one.
pub fn with_extension(root: &Path, extensions: &[&str]) -> Result<Vec<File>> {
    let mut listing = Command::new("git");
    listing.current_dir(root).args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let names = process::output(&mut listing)?;
    let mut files = Vec::new();
    for name in names.split_terminator('\0') {
        let path = PathBuf::from(name);
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
        if !extensions.contains(&extension) || !root.join(&path).is_file() {
            continue;
        }
        let bytes = std::fs::read(root.join(&path)).with_context(|| format!("cannot read {name}"))?;
        // What is not text is data of a test: the rules do not apply.
        if let Ok(text) = String::from_utf8(bytes) {
            files.push(File { path, text });
        }
    }
    anyhow::ensure!(!files.is_empty(), "git knows no file with the extensions {extensions:?}");
    Ok(files)
}
