use super::*;

fn check(url: &str, expect: Result<&str, &str>) {
    match (Source::parse(url), expect) {
        (Ok(source), Ok(expect)) => assert_eq!(format!("{source:?}"), expect, "{url}"),
        (Err(error), Err(expect)) => assert!(error.to_string().contains(expect), "{url}: {error}"),
        (got, _) => panic!("{url}: {got:?}"),
    }
}

#[test]
fn good_sources() {
    check(
        "docker://Registry.Example.com:5000/a/b-c:v1",
        Ok(
            r#"Registry { host: "registry.example.com:5000", repository: "a/b-c", tag: Some("v1"), digest: None }"#,
        ),
    );
    check(
        "docker://localhost/app",
        Ok(r#"Registry { host: "localhost", repository: "app", tag: Some("latest"), digest: None }"#),
    );
    check(
        "docker://[::1]:5000/app",
        Ok(r#"Registry { host: "[::1]:5000", repository: "app", tag: Some("latest"), digest: None }"#),
    );
    let digest = format!("docker://a.org/app@sha256:{}", "0a".repeat(32));
    assert!(matches!(Source::parse(&digest), Ok(Source::Registry { tag: None, digest: Some(_), .. })));
    check("oci:/a/b", Ok(r#"Layout { path: "/a/b", name: None }"#));
    check("oci:/a//b/./c/:v1", Ok(r#"Layout { path: "/a/b/c", name: Some("v1") }"#));
    check("oci:/a:b/c", Ok(r#"Layout { path: "/a:b/c", name: None }"#));
    check("file:///a/x.scomo", Ok(r#"Archive { path: "/a/x.scomo" }"#));
    check("file:/a/x.bin", Ok(r#"Archive { path: "/a/x.bin" }"#));
    check("/a/x.scomo", Ok(r#"Archive { path: "/a/x.scomo" }"#));
    check(
        "ostree+https://h/repo?ref=os/stable",
        Ok(r#"Ostree { url: "https://h/repo", ref_name: "os/stable", commit: "" }"#),
    );
}

#[test]
fn bad_sources_say_what_is_wrong() {
    for (url, expect) in [
        ("", "use docker://"),
        ("http://x/y", "use docker://"),
        ("/a/x.tar", "use docker://"),
        ("docker://app", "followed by a slash"),
        ("docker://app/x", "not a full host name"),
        ("docker://a.org:0/x", "port"),
        ("docker://a.org:99999/x", "port"),
        ("docker://a.org:/x", "port"),
        ("docker://-a.org/x", "host name"),
        ("docker://a..org/x", "host name"),
        ("docker://user@a.org/x", "digest"),
        ("docker://[::zz]/x", "IPv6"),
        ("docker://a.org/../x", "repository"),
        ("docker://a.org/X", "repository"),
        ("docker://a.org/x?y", "repository"),
        ("docker://a.org/", "repository"),
        ("docker://a.org/x:", "tag"),
        ("docker://a.org/x:a/b", "tag or ref"),
        ("docker://a.org/x:../b", "tag or ref"),
        ("docker://a.org/x@sha256:00", "digest"),
        ("docker://a.org/x@sha512:00", "digest"),
        ("oci:rel", "absolute"),
        ("oci:/a/../b", "'..'"),
        ("oci:/a:b*", "tag or ref"),
        ("oci:/a:.hidden", "tag or ref"),
        ("file:x.scomo", "absolute"),
        ("file:///../x.scomo", "'..'"),
        ("docker://a.org/x y", "space"),
        ("docker://a.org/x\n", "space"),
        ("ostree+ftp://x/?ref=a", "starts with"),
        ("ostree+https://x/", "names"),
        ("ostree+https://x/?ref=../a", "is not ref"),
        ("ostree+https://x/?commit=00", "is not ref"),
        ("ostree+https://x/?ref=a&ref=b", "is not ref"),
    ] {
        check(url, Err(expect));
    }
    check(&format!("oci:/{}", "a".repeat(5000)), Err("longer"));
}

#[test]
fn a_prefix_ends_at_a_border() {
    let source = Source::parse("docker://a.org/team/app:v1").expect("source");
    for prefix in [
        "",
        "docker://",
        "docker://a.org",
        "docker://a.org/",
        "docker://a.org/team",
        "docker://a.org/team/app",
    ] {
        assert!(source.is_below(prefix), "{prefix}");
    }
    for prefix in ["docker://a.o", "docker://a.org/te", "docker://a.org/team/app/", "oci:", "docker://b.org"]
    {
        assert!(!source.is_below(prefix), "{prefix}");
    }
    let evil = Source::parse("docker://a.org.evil.example/team/app").expect("source");
    assert!(!evil.is_below("docker://a.org"));
    let other_port = Source::parse("docker://a.org:5000/team/app").expect("source");
    assert!(!other_port.is_below("docker://a.org"));
    assert!(Source::parse("oci://usr//share/p:v1").expect("source").is_below("oci:/usr/share"));
}

#[test]
fn ours_is_what_this_crate_reads() {
    assert!(is_ours("oci:/a") && is_ours("docker://a.org/x") && is_ours("/x.scomo"));
    assert!(!is_ours("ostree+https://h/r?ref=a") && !is_ours("nonsense"));
}

#[test]
fn a_prefix_that_can_never_match_is_refused() {
    let good = [
        "",
        "docker://",
        "docker://a.org",
        "docker://a.org/",
        "docker://a.org:5000/x/y",
        "oci:",
        "oci:/",
        "oci:/a/b",
    ];
    for prefix in good.into_iter().chain(["oci:/a/", "file:/a", "ostree+", "ostree+https://a.org/r"]) {
        assert_eq!(check_prefix(prefix), Ok(()), "{prefix}");
    }
    for prefix in [
        "docker://A.org",
        "docker://a.org/x:1",
        "docker://a.org/x@sha256:00",
        "docker://a.org/X",
        "docker:/a.org",
        "docker://app/x",
        "oci:a",
        "oci://a",
        "oci:/a//b",
        "oci:/a/../b",
        "file:///a",
        "/a",
        "a.org",
        "ostree",
        "ostree+ftp://a",
    ] {
        assert!(check_prefix(prefix).is_err(), "{prefix}");
    }
}
