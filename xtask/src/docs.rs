//! `cargo xtask docs`: writes generated documents and code anew.
//!
//! Each is written by the test that also notices when it is out of date; here those tests run with leave to write.

use std::process::Command;

use anyhow::{Context, Result};
use scomo_tests::{cargo, workspace_root};

/// The tests, as arguments of `cargo test`, and what they write.
const WRITERS: &[(&[&str], &str)] = &[
    (&["--package", "scomo-core", "--test", "exhaustive"], "docs/generated/states.md"),
    (&["--package", "scomo-core", "--test", "nodes"], "docs/generated/tree.md"),
    (
        &["--package", "scomo-dbus", "--test", "codegen"],
        "docs/generated/dbus.md, dbus/src, daemon/src/bus/interfaces.rs",
    ),
    (
        &["--package", "scomod", "--bins", "config::reference::the_reference_is_up_to_date"],
        "docs/generated/configuration.md",
    ),
    (&["--package", "scomoctl", "--bins", "the_reference_is_up_to_date"], "docs/exit-codes.md"),
];

/// Writes everything; true when all could be written.
pub fn run() -> Result<bool> {
    let root = workspace_root()?;
    let mut all_well = true;
    for (test, what) in WRITERS {
        let mut command = Command::new(cargo());
        command
            .current_dir(&root)
            .args(["test", "--quiet", "--locked"])
            .args(*test)
            .env("UPDATE_EXPECT", "1");
        let ended_well = command.status().context("cannot run cargo")?.success();
        println!("{}: {what}", if ended_well { "written" } else { "FAILED" });
        all_well &= ended_well;
    }
    Ok(all_well)
}
