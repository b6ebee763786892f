//! `cargo xtask test`: every test of the workspace, with a summary that counts skipped tests as skipped.
//!
//! It runs cargo-nextest where that is installed and `cargo test` where not; the summary is the same. A test that
//! cannot run without root prints `SKIPPED: needs root: <name>` and returns; the runners call that passed. Their
//! output is searched for these lines. For root, a skipped test is a failure.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use clap::Args;
use scomo_tests::{cargo, process, workspace_root};

/// What a skipped test prints before its name.
const SKIPPED: &str = "SKIPPED: needs root: ";
/// Where nextest leaves the output of every test.
const JUNIT: &str = "nextest/default/junit.xml";

/// How to run the tests.
#[derive(Debug, Args)]
pub struct Options {
    /// Use `cargo test` even where cargo-nextest is installed
    #[arg(long)]
    plain: bool,
}

/// What came of some tests.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    passed: u64,
    failed: u64,
    skipped: BTreeSet<String>,
    /// A runner ended with an error; that may be a test that failed or one that did not compile.
    broken: bool,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.passed = self.passed.saturating_add(other.passed);
        self.failed = self.failed.saturating_add(other.failed);
        self.skipped.extend(other.skipped);
        self.broken |= other.broken;
    }

    /// Skipped tests look like passed ones to the runners.
    fn really_passed(&self) -> u64 {
        self.passed.saturating_sub(u64::try_from(self.skipped.len()).unwrap_or(u64::MAX))
    }
}

/// Runs every test; true when all is well.
pub fn run(options: &Options) -> Result<bool> {
    let root = workspace_root()?;
    let mut tally = if !options.plain && has_nextest(&root) {
        let mut tally = nextest(&root)?;
        tally.add(libtest(&root, &["--doc"])?);
        tally
    } else {
        libtest(&root, &[])?
    };
    let is_root = nix::unistd::geteuid().is_root();
    for name in &tally.skipped {
        println!("{SKIPPED}{name}");
    }
    if is_root && !tally.skipped.is_empty() {
        println!("FAILED: a test says that it needs root, and this is root");
        tally.broken = true;
    }
    if tally.broken && tally.failed == 0 {
        println!("FAILED: see above; no single test is to blame");
    }
    println!("{} passed, {} failed, {} skipped", tally.really_passed(), tally.failed, tally.skipped.len());
    Ok(!tally.broken && tally.failed == 0)
}

fn has_nextest(root: &Path) -> bool {
    let mut version = Command::new(cargo());
    version.current_dir(root).args(["nextest", "--version"]);
    process::run(&mut version).is_ok_and(|output| output.status.success())
}

fn nextest(root: &Path) -> Result<Tally> {
    let report = scomo_tests::executables()?.join("..").join(JUNIT);
    if report.exists() {
        std::fs::remove_file(&report).context("cannot remove the report of the last run")?;
    }
    let mut command = Command::new(cargo());
    command.current_dir(root).args(["nextest", "run", "--locked", "--workspace", "--no-fail-fast"]);
    let mut tally = Tally { broken: !watch(&mut command, |_| true)?, ..Tally::default() };
    // Without a report the tests did not compile, and the runner said so.
    if let Ok(text) = std::fs::read_to_string(&report) {
        (tally.passed, tally.failed) =
            junit_counts(&text).context("nextest wrote a report without numbers")?;
        tally.skipped = text.lines().filter_map(skipped_name).collect();
    }
    Ok(tally)
}

/// Passed and failed tests of a JUnit report.
fn junit_counts(report: &str) -> Option<(u64, u64)> {
    let head = report.lines().find(|line| line.contains("<testsuites "))?;
    let number = |name: &str| {
        let (_, rest) = head.split_once(&format!(" {name}=\""))?;
        rest.split('"').next()?.parse::<u64>().ok()
    };
    let failed = number("failures")?.saturating_add(number("errors")?);
    Some((number("tests")?.saturating_sub(failed), failed))
}

fn libtest(root: &Path, only: &[&str]) -> Result<Tally> {
    let mut command = Command::new(cargo());
    command.current_dir(root).args(["test", "--locked", "--workspace", "--no-fail-fast"]).args(only);
    command.args(["--", "--show-output"]);
    let mut tally = Tally::default();
    let mut filter = Filter::default();
    let ended_well = watch(&mut command, |line| {
        if let Some((passed, failed)) = libtest_counts(line) {
            tally.passed = tally.passed.saturating_add(passed);
            tally.failed = tally.failed.saturating_add(failed);
        }
        tally.skipped.extend(skipped_name(line));
        filter.shows(line)
    })?;
    tally.broken = !ended_well;
    Ok(tally)
}

/// Hides the output of tests that passed: it was asked for only to see who was skipped.
#[derive(Debug, Default)]
struct Filter {
    hiding: bool,
}

impl Filter {
    fn shows(&mut self, line: &str) -> bool {
        if line == "successes:" {
            self.hiding = true;
        } else if line == "failures:" || line.starts_with("test result:") {
            self.hiding = false;
        }
        !self.hiding
    }
}

/// Passed and failed tests of a line such as `test result: ok. 3 passed; 0 failed; …`.
fn libtest_counts(line: &str) -> Option<(u64, u64)> {
    let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let number = |word: &str| {
        let part = counts.split(';').find(|part| part.trim().ends_with(word))?;
        part.trim().split(' ').next()?.parse::<u64>().ok()
    };
    Some((number("passed")?, number("failed")?))
}

fn skipped_name(line: &str) -> Option<String> {
    let (_, name) = line.split_once(SKIPPED)?;
    Some(name.split(['<', '&']).next().unwrap_or_default().trim().to_owned())
}

/// Runs a command and prints the lines of its standard output that `see` wants; true when it ended well.
fn watch(command: &mut Command, mut see: impl FnMut(&str) -> bool) -> Result<bool> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {command:?}"))?;
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).split(b'\n') {
            let line = line.context("cannot read what the tests print")?;
            let line = String::from_utf8_lossy(&line);
            if see(&line) {
                println!("{line}");
            }
        }
    }
    Ok(child.wait().context("cannot wait for the tests")?.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_cargo_test_are_read() {
        let line = "test result: FAILED. 12 passed; 3 failed; 0 ignored; 0 measured; 1 filtered out; finished in 0.02s";
        assert_eq!(libtest_counts(line), Some((12, 3)));
        assert_eq!(libtest_counts("test result: ok. 7 passed; 0 failed; 0 ignored"), Some((7, 0)));
        assert_eq!(libtest_counts("test x ... ok"), None);
    }

    #[test]
    fn results_of_nextest_are_read() {
        let text = "<?xml version=\"1.0\"?>\n<testsuites name=\"nextest-run\" tests=\"34\" failures=\"8\" errors=\"1\" \
                    uuid=\"x\">\n";
        assert_eq!(junit_counts(text), Some((25, 9)));
        assert_eq!(junit_counts("<testsuites>"), None);
    }

    #[test]
    fn skipped_tests_are_not_passed() {
        let names = ["SKIPPED: needs root: a", "<system-err>SKIPPED: needs root: b</system-err>", "ok"];
        let skipped: BTreeSet<String> = names.iter().filter_map(|line| skipped_name(line)).collect();
        assert_eq!(skipped, ["a", "b"].map(str::to_owned).into());
        assert_eq!(Tally { passed: 5, skipped, ..Tally::default() }.really_passed(), 3);
    }

    #[test]
    fn output_of_passed_tests_is_hidden() {
        let mut filter = Filter::default();
        let lines = [
            "test a ... ok",
            "successes:",
            "noise",
            "successes:",
            "    a",
            "failures:",
            "why",
            "test result: x",
        ];
        let shown: Vec<&str> = lines.into_iter().filter(|line| filter.shows(line)).collect();
        assert_eq!(shown, ["test a ... ok", "failures:", "why", "test result: x"]);
    }
}
