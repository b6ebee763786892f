//! Rules about the text of files.

use std::path::Path;

use anyhow::Result;

use super::Finding;
use super::files::{File, with_extension};

/// Longest file without its tests: what one reads in one sitting.
const LINES_MAX: usize = 600;
/// Longest file of tests.
const TEST_LINES_MAX: usize = 1000;
const ALL_TEXT: &[&str] = &["rs", "md", "toml", "xml", "txt", "sh", "service", "conf", "yml", "yaml", ""];

/// Starts of paths that exist on somebody's machine only.
const MACHINE_PATHS: &[&str] = &["/home/", "/Users/", "/root/", "/work/"];
/// Words that say that something is not finished. What is missing is written down in an ADR, not in the code.
const UNFINISHED: &[&str] = &["TODO", "FIXME", "XXX", "HACK"];
/// Hosts that may be named: those for examples, this machine, and texts that a comment or format refers to.
const HOSTS: &[&str] = &[
    "127.0.0.1",
    "localhost",
    "[::1]",
    "0.0.0.0",
    "www.freedesktop.org",
    "keepachangelog.com",
    "semver.org",
    "www.apache.org",
    "github.com",
    "crates.io",
    "spdx.org",
    "json-schema.org",
    // Where the document type of a device description says that it is.
    "www.openmobilealliance.org",
    // Docker's login files call its registry so.
    "docker.io",
    "index.docker.io",
];

/// Every Rust file says what it is. The unit tests of a module are documented by the module.
pub fn module_docs(root: &Path) -> Result<Vec<Finding>> {
    let undocumented = |file: &File| {
        if file.path.file_stem().is_some_and(|stem| stem == "tests") {
            return false;
        }
        let first = file.text.lines().find(|line| !line.trim().is_empty() && !line.starts_with("#!"));
        !first.is_some_and(|line| line.starts_with("//!"))
    };
    let files = with_extension(root, &["rs"])?;
    let findings = files.iter().filter(|file| undocumented(file));
    Ok(findings.map(|f| format!("{}: begin with '//!' and say what it is", f.path.display())).collect())
}

/// No file is longer than one can read in one sitting. What is generated is not read but made anew.
pub fn file_length(root: &Path) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let generated = |text: &str| text.lines().take(5).any(|line| line.starts_with("//! Generated from "));
    for file in with_extension(root, &["rs"])?.iter().filter(|file| !generated(&file.text)) {
        let (lines, limit) = if file.is_test() {
            (file.text.lines().count(), TEST_LINES_MAX)
        } else {
            (code_lines(&file.text), LINES_MAX)
        };
        if lines > limit {
            findings.push(format!("{}: {lines} lines, at most {limit}: split it", file.path.display()));
        }
    }
    Ok(findings)
}

/// Lines before the tests at the end of a file.
fn code_lines(text: &str) -> usize {
    let mut previous = "";
    for (number, line) in text.lines().enumerate() {
        if previous.starts_with("#[cfg(test)]") && line.starts_with("mod tests {") {
            return number.saturating_sub(1);
        }
        previous = line;
    }
    text.lines().count()
}

/// No trailing white space, no tabs where spaces are meant, a line end at the end.
pub fn white_space(root: &Path) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for file in with_extension(root, ALL_TEXT)? {
        let path = file.path.display();
        for (number, line) in (1..).zip(file.text.lines()) {
            if line.ends_with([' ', '\t']) {
                findings.push(format!("{path}:{number}: white space at the end of the line"));
            }
            if line.contains('\t') && !file.path.ends_with("Makefile") {
                findings.push(format!("{path}:{number}: a tab"));
            }
        }
        if !file.text.is_empty() && !file.text.ends_with('\n') {
            findings.push(format!("{path}: no line end at the end"));
        }
    }
    Ok(findings)
}

/// Nothing refers to a place that only one machine has, and nothing says that it is unfinished.
pub fn forbidden_words(root: &Path) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for file in with_extension(root, ALL_TEXT)? {
        // This file lists the words.
        if file.path == Path::new("tests/src/tidy/text.rs") || file.path == Path::new("Cargo.lock") {
            continue;
        }
        let is_rust = file.path.extension().is_some_and(|e| e == "rs");
        let code = if is_rust { code_lines(&file.text) } else { usize::MAX };
        for (number, line) in (1..).zip(file.text.lines().take(code)) {
            let machine = MACHINE_PATHS.iter().filter(|word| !file.is_test() && starts_path(line, word));
            let unfinished = UNFINISHED.iter().filter(|word| has_word(line, word));
            for word in machine.chain(unfinished) {
                findings.push(format!("{}:{number}: '{word}' does not belong here", file.path.display()));
            }
        }
    }
    Ok(findings)
}

/// Whether `path` stands in the line as the start of an absolute path, not inside a longer one.
fn starts_path(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line.get(..at).and_then(|text| text.chars().next_back());
        let after = line.get(at + path.len()..).and_then(|text| text.chars().next());
        let inside = before.is_some_and(|c| c.is_alphanumeric() || "./}_-*".contains(c));
        !inside && after.is_some_and(char::is_alphanumeric)
    })
}

fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let letter = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        let before = line.get(..at).and_then(|text| text.chars().next_back());
        let after = line.get(at + word.len()..).and_then(|text| text.chars().next());
        !letter(before) && !letter(after)
    })
}

/// No URL names a fixed third party: a device must not talk to anybody whom its owner did not configure.
pub fn hosts(root: &Path) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for file in with_extension(root, &["rs", "toml", "md", "xml"])?.iter().filter(|file| !file.is_test()) {
        let code = if file.path.extension().is_some_and(|e| e == "rs") {
            code_lines(&file.text)
        } else {
            usize::MAX
        };
        for (number, line) in (1..).zip(file.text.lines().take(code)) {
            for host in hosts_in(line).filter(|host| !may_be_named(host)) {
                findings.push(format!(
                    "{}:{number}: the host '{host}'; examples use names below .example or example.com",
                    file.path.display()
                ));
            }
        }
    }
    Ok(findings)
}

fn hosts_in(line: &str) -> impl Iterator<Item = &str> {
    let schemes = ["http://", "https://", "docker://"];
    schemes.into_iter().flat_map(move |scheme| {
        line.match_indices(scheme).filter_map(move |(at, _)| {
            let rest = line.get(at + scheme.len()..)?;
            let end = rest.find(|c: char| !(c.is_alphanumeric() || ".-{}[]_".contains(c)));
            rest.get(..end.unwrap_or(rest.len()))
        })
    })
}

fn may_be_named(host: &str) -> bool {
    // "a.org" stands for any host where its shape matters.
    let short = host.split('.').next().is_some_and(|label| label.len() == 1);
    let made_up = short || !host.contains('.') || host.contains(['{', '}']);
    let loopback = host.starts_with("127.");
    let reserved =
        [".example", "example.com", "example.org", "example.net", ".test", ".invalid", ".localhost"];
    made_up || loopback || HOSTS.contains(&host) || reserved.iter().any(|end| host.ends_with(end))
}

/// A test that does not run is no test: it is deleted or mended.
pub fn no_ignored_tests(root: &Path) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for file in with_extension(root, &["rs"])? {
        for (number, line) in (1..).zip(file.text.lines()) {
            if line.trim_start().starts_with("#[ignore") || line.trim_start().starts_with("#[should_panic") {
                findings.push(format!("{}:{number}: {}", file.path.display(), line.trim()));
            }
        }
    }
    Ok(findings)
}

/// Links between documents lead somewhere.
pub fn links(root: &Path) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for file in with_extension(root, &["md"])? {
        let folder = file.path.parent().unwrap_or(Path::new(""));
        for (number, line) in (1..).zip(file.text.lines()) {
            for (at, _) in line.match_indices("](") {
                let rest = line.get(at + 2..).unwrap_or_default();
                let target = rest.split([')', '#', ' ']).next().unwrap_or_default();
                let local = !target.is_empty() && !target.contains("://") && !target.starts_with("mailto:");
                if local && !root.join(folder).join(target).exists() {
                    findings.push(format!("{}:{number}: no file '{target}'", file.path.display()));
                }
            }
        }
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_found_where_it_starts_only() {
        assert!(starts_path("see /home/me", "/home/"));
        assert!(starts_path("\"/root/x\"", "/root/"));
        assert!(!starts_path("/proc/1/root/x", "/root/"));
        assert!(!starts_path("{disk}/root/x", "/root/"));
        assert!(!starts_path("the folder /root/", "/root/"));
    }

    #[test]
    fn words_are_whole() {
        assert!(has_word("// TODO: x", "TODO"));
        assert!(!has_word("METHODOLOGY TODOS", "TODO"));
    }

    #[test]
    fn hosts_are_found_in_urls() {
        let found: Vec<_> = hosts_in("a https://x.org/y and docker://r.example/z, http://{host}").collect();
        assert_eq!(found, ["{host}", "x.org", "r.example"]);
        assert!(!may_be_named("xyz.org") && may_be_named("x.org"));
        assert!(may_be_named("r.example") && may_be_named("{host}") && may_be_named("127.0.0.1"));
    }

    #[test]
    fn tests_at_the_end_do_not_count() {
        assert_eq!(code_lines("a\nb\n#[cfg(test)]\nmod tests {\n}\n"), 2);
        assert_eq!(code_lines("a\nb\n#[cfg(test)]\nmod tests;\n"), 4);
    }
}
