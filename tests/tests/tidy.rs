//! The rules for the repository itself; see `scomo_tests::tidy`.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

fn check(rule: &str) {
    let findings = scomo_tests::tidy::check(rule).unwrap();
    assert!(findings.is_empty(), "{rule}:\n  {}\n", findings.join("\n  "));
}

macro_rules! rules {
    ($($name:ident: $rule:literal;)+) => {
        $(#[test] fn $name() { check($rule); })+

        #[test]
        fn every_rule_is_run() {
            let known: Vec<&str> = scomo_tests::tidy::RULES.iter().map(|(name, _)| *name).collect();
            assert_eq!(known, [$($rule),+]);
        }
    };
}

rules! {
    module_docs: "module-docs";
    file_length: "file-length";
    white_space: "white-space";
    forbidden_words: "forbidden-words";
    hosts: "hosts";
    no_ignored_tests: "no-ignored-tests";
    function_length: "function-length";
    rust_version: "rust-version";
    workspace_inheritance: "workspace-inheritance";
    dependency_reasons: "dependency-reasons";
    changelog: "changelog";
    links: "links";
    troubleshooting: "troubleshooting";
    layering: "layering";
    never_sees: "never-sees";
}
