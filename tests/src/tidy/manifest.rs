//! Rules about `Cargo.toml` files and the documents that go with them.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result};

use super::Finding;
use crate::metadata::Workspace;

/// The Rust of the oldest Yocto LTS that must build this.
const RUST_VERSION: &str = "1.94";
/// Longest function; clippy counts.
const FUNCTION_LINES_MAX: &str = "too-many-lines-threshold = 70";

fn read(root: &Path, name: &str) -> Result<String> {
    std::fs::read_to_string(root.join(name)).with_context(|| format!("cannot read {name}"))
}

/// clippy is told the limit, and told to refuse what is over it.
pub fn function_length(root: &Path) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    if !read(root, "clippy.toml")?.contains(FUNCTION_LINES_MAX) {
        findings.push(format!("clippy.toml: must say '{FUNCTION_LINES_MAX}'"));
    }
    if !read(root, "Cargo.toml")?.contains("too_many_lines = \"deny\"") {
        findings.push("Cargo.toml: must deny clippy's too_many_lines".to_owned());
    }
    Ok(findings)
}

/// Every member says the same Rust version.
pub fn rust_version(root: &Path) -> Result<Vec<Finding>> {
    let workspace = Workspace::read(root)?;
    let wrong = workspace.packages.iter().filter(|p| p.rust_version.as_deref() != Some(RUST_VERSION));
    Ok(wrong
        .map(|p| format!("{}: rust-version must be {RUST_VERSION}, as in the workspace", p.name))
        .collect())
}

/// Every member takes lints and versions of dependencies from the workspace.
pub fn workspace_inheritance(root: &Path) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for package in &Workspace::read(root)?.packages {
        let text = std::fs::read_to_string(&package.manifest)
            .with_context(|| format!("cannot read {}", package.manifest.display()))?;
        if !text.contains("[lints]\nworkspace = true") {
            findings.push(format!("{}: [lints] must be those of the workspace", package.name));
        }
        for line in text.lines().filter(|line| line.contains("version = \"")) {
            findings.push(format!("{}: '{line}': versions are in the root Cargo.toml", package.name));
        }
    }
    Ok(findings)
}

/// Every dependency has a line with its reason, and no line is left of one that is gone.
pub fn dependency_reasons(root: &Path) -> Result<Vec<Finding>> {
    let workspace = Workspace::read(root)?;
    let ours: BTreeSet<&str> = workspace.packages.iter().map(|p| p.name.as_str()).collect();
    let used: BTreeSet<&str> = workspace
        .packages
        .iter()
        .flat_map(|p| p.dependencies.iter())
        .map(|d| d.name.as_str())
        .filter(|name| !ours.contains(name))
        .collect();
    let document = read(root, "docs/dependencies.md")?;
    let listed: BTreeSet<&str> = document
        .lines()
        .filter_map(|line| line.strip_prefix("| "))
        .filter_map(|line| line.split('|').next())
        .flat_map(|cell| cell.split(','))
        .map(|name| name.trim().trim_matches('`'))
        .filter(|name| *name != "Crate")
        .collect();
    let missing = used.difference(&listed).map(|n| format!("docs/dependencies.md: why is '{n}' needed?"));
    let stale =
        listed.difference(&used).map(|n| format!("docs/dependencies.md: nothing uses '{n}' any more"));
    Ok(missing.chain(stale).collect())
}

/// The change log has a place for what is not released.
pub fn changelog(root: &Path) -> Result<Vec<Finding>> {
    let text = read(root, "CHANGELOG.md")?;
    let found = text.lines().any(|line| line == "## [Unreleased]");
    Ok(if found { Vec::new() } else { vec!["CHANGELOG.md: needs '## [Unreleased]'".to_owned()] })
}
