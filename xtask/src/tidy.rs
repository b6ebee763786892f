//! `cargo xtask tidy`: the rules for the repository, without compiling the tests.

use anyhow::Result;
use scomo_tests::tidy::RULES;

/// Runs every rule; true when all hold.
pub fn run() -> Result<bool> {
    let root = scomo_tests::workspace_root()?;
    let mut clean = true;
    for (name, rule) in RULES {
        for finding in rule(&root)? {
            println!("{name}: {finding}");
            clean = false;
        }
    }
    Ok(clean)
}
