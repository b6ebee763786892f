//! A rule about codes: whoever meets one finds in the documents what to do about it.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result};

use super::Finding;

/// The document that must know every code.
const DOCUMENT: &str = "docs/troubleshooting.md";
/// Where the exit codes of the client stand, in the first column of a table.
const EXIT_CODES: &str = "docs/exit-codes.md";
/// Where the result codes stand, as `Self(1200)`.
const RESULT_CODES: &str = "crates/core/src/failure.rs";

/// Every exit code and every result code has a row in the document, and no other code has.
pub fn troubleshooting(root: &Path) -> Result<Vec<Finding>> {
    let read =
        |name: &str| std::fs::read_to_string(root.join(name)).with_context(|| format!("cannot read {name}"));
    let result_codes = result_codes(&read(RESULT_CODES)?);
    let mut known = rows(&read(EXIT_CODES)?);
    known.extend(result_codes);
    let explained = rows(&read(DOCUMENT)?);
    let missing = known.difference(&explained).map(|code| format!("{DOCUMENT}: no row for the code {code}"));
    let unknown = explained.difference(&known).map(|code| format!("{DOCUMENT}: nothing has the code {code}"));
    Ok(missing.chain(unknown).collect())
}

/// The numbers in the first columns of tables.
fn rows(text: &str) -> BTreeSet<u32> {
    let first = |line: &str| line.strip_prefix("| ")?.split(' ').next()?.parse().ok();
    text.lines().filter_map(first).collect()
}

fn result_codes(text: &str) -> BTreeSet<u32> {
    let code = |line: &str| line.split_once(": Self = Self(")?.1.strip_suffix(");")?.parse().ok();
    text.lines().filter_map(code).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_found() {
        assert_eq!(rows("| Code | x |\n|---|---|\n| 12 | 13 |\n| 1400 | y |\n"), BTreeSet::from([12, 1400]));
        assert_eq!(result_codes("    pub const X: Self = Self(1401);\n// Self(7)\n"), BTreeSet::from([1401]));
    }
}
