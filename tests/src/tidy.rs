//! Rules for the repository itself, checked by `cargo test` and by `cargo xtask tidy`.
//!
//! Each rule is a function that takes the root of the work tree and gives the places where it is broken. What clippy
//! and rustfmt can check is left to them. Whether an English sentence is good is left to reviewers.

use std::path::Path;

use anyhow::Result;

mod codes;
mod files;
mod layering;
mod manifest;
mod text;

/// One place where a rule is broken, for people: file, line where known, and what to do.
pub type Finding = String;
/// A rule.
pub type Rule = fn(&Path) -> Result<Vec<Finding>>;

/// Every rule with its name.
pub const RULES: &[(&str, Rule)] = &[
    ("module-docs", text::module_docs),
    ("file-length", text::file_length),
    ("white-space", text::white_space),
    ("forbidden-words", text::forbidden_words),
    ("hosts", text::hosts),
    ("no-ignored-tests", text::no_ignored_tests),
    ("function-length", manifest::function_length),
    ("rust-version", manifest::rust_version),
    ("workspace-inheritance", manifest::workspace_inheritance),
    ("dependency-reasons", manifest::dependency_reasons),
    ("changelog", manifest::changelog),
    ("links", text::links),
    ("troubleshooting", codes::troubleshooting),
    ("layering", layering::who_may_import_whom),
    ("never-sees", layering::never_sees),
];

/// Runs one rule by name.
pub fn check(name: &str) -> Result<Vec<Finding>> {
    let (_, rule) = RULES
        .iter()
        .find(|(known, _)| *known == name)
        .ok_or_else(|| anyhow::anyhow!("there is no tidy rule '{name}'"))?;
    rule(&crate::workspace_root()?)
}
