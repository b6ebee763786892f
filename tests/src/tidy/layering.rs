//! The dependency table of `docs/architecture.md`, compared with what Cargo says.
//!
//! The table is the truth: a new edge between our crates is a decision, made by changing the document.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::Finding;
use crate::metadata::Workspace;
use crate::process;

const DOCUMENT: &str = "docs/architecture.md";
const HEADING: &str = "## Who may import whom";

/// A row of the table.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    name: String,
    ours: BTreeSet<String>,
    never: BTreeSet<String>,
}

/// The rows below the heading: crate, those of ours that it uses, those that it must not see.
fn parse(text: &str) -> Result<Vec<Row>> {
    let (_, section) = text.split_once(HEADING).with_context(|| format!("{DOCUMENT} has no '{HEADING}'"))?;
    let table =
        section.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let mut rows = Vec::new();
    for line in table.skip(2) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [name, ours, never] = cells.as_slice() else {
            anyhow::bail!("{DOCUMENT}: the row '{line}' does not have three cells");
        };
        let name = code(name).next().with_context(|| format!("{DOCUMENT}: no crate in the row '{line}'"))?;
        rows.push(Row { name: name.to_owned(), ours: owned(ours), never: owned(never) });
    }
    ensure!(!rows.is_empty(), "{DOCUMENT}: the table below '{HEADING}' is empty");
    Ok(rows)
}

/// What stands between backticks.
fn code(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

fn owned(cell: &str) -> BTreeSet<String> {
    code(cell).map(str::to_owned).collect()
}

fn table(root: &Path) -> Result<Vec<Row>> {
    parse(&std::fs::read_to_string(root.join(DOCUMENT)).with_context(|| format!("cannot read {DOCUMENT}"))?)
}

/// Each crate uses exactly those of ours that the table says. Dependencies of tests do not count.
pub fn who_may_import_whom(root: &Path) -> Result<Vec<Finding>> {
    let rows = table(root)?;
    let documented: BTreeMap<&str, &BTreeSet<String>> =
        rows.iter().map(|r| (r.name.as_str(), &r.ours)).collect();
    let workspace = Workspace::read(root)?;
    let names: BTreeSet<&str> = workspace.packages.iter().map(|p| p.name.as_str()).collect();
    let mut findings: Vec<Finding> = documented
        .keys()
        .filter(|name| !names.contains(*name))
        .map(|name| format!("{DOCUMENT}: there is no crate '{name}'"))
        .collect();
    for package in &workspace.packages {
        let Some(allowed) = documented.get(package.name.as_str()) else {
            findings.push(format!("{DOCUMENT}: the table has no row for '{}'", package.name));
            continue;
        };
        let normal = package.dependencies.iter().filter(|d| d.is_normal());
        let uses: BTreeSet<String> =
            normal.map(|d| d.name.clone()).filter(|name| names.contains(name.as_str())).collect();
        for extra in uses.difference(allowed) {
            findings
                .push(format!("{} uses {extra}, which the table in {DOCUMENT} does not allow", package.name));
        }
        for unused in allowed.difference(&uses) {
            findings
                .push(format!("{} does not use {unused}, but the table in {DOCUMENT} says so", package.name));
        }
    }
    Ok(findings)
}

/// Nothing that a crate must not see is linked into it, however indirectly.
pub fn never_sees(root: &Path) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for row in table(root)?.iter().filter(|row| !row.never.is_empty()) {
        let linked = linked(root, &row.name)?;
        for name in row.never.iter().filter(|name| linked.contains(*name)) {
            findings.push(format!(
                "{} must not see {name}; 'cargo tree -p {} -e normal -i {name}' says how it comes in",
                row.name, row.name
            ));
        }
    }
    Ok(findings)
}

/// Every crate that is linked into `package`.
fn linked(root: &Path, package: &str) -> Result<BTreeSet<String>> {
    let mut tree = Command::new(crate::cargo());
    tree.current_dir(root).args(["tree", "--locked", "--offline", "--package", package, "--edges", "normal"]);
    tree.args(["--prefix", "none", "--format", "{p}"]);
    let text = process::output(&mut tree)?;
    Ok(text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_read() {
        let text = "# X\n\n## Who may import whom\n\nWords.\n\n| crate | of ours | never sees |\n|---|---|---|\n\
                    | `a` | – | `tokio`, sockets |\n| `b` | `a` | – |\n\nMore | words\n";
        let set = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<BTreeSet<_>>();
        let rows = parse(text).unwrap();
        assert_eq!(
            rows,
            [
                Row { name: "a".to_owned(), ours: set(&[]), never: set(&["tokio"]) },
                Row { name: "b".to_owned(), ours: set(&["a"]), never: set(&[]) },
            ]
        );
        assert!(parse("nothing").is_err());
    }
}
