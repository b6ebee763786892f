//! Registries that break off, refuse, or lie.
// The exemption of tests from these lints does not reach helper functions.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

mod common;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::*;
use scomo_core::failure::FailureKind;
use scomo_core::spec::Payload;
use scomo_package::builder;
use scomo_package::{Config, Layer, RegistryConfig, Timeouts, io_kind};

/// The layer with three million bytes of noise.
fn big_layer(config: &Config, source: &str) -> Layer {
    let content = resolve(config, source).expect("resolve");
    let mut payloads = scomo_package::open(config, source).expect("open");
    let mut layers = Vec::new();
    for release in content.releases {
        if let Payload::Image { digest, .. } = &release.spec.payload {
            layers.extend(payloads.image(digest).expect("image").layers);
        }
    }
    layers.into_iter().max_by_key(|l| l.size).expect("a layer")
}

struct Pushed {
    world: World,
    registry: Registry,
    layer: Layer,
}

fn pushed() -> Pushed {
    let world = World::new();
    let registry = Registry::start();
    world.build("layout");
    let config = registry.plain(unsigned());
    builder::push(&config, &world.oci("layout"), &registry.source("a/b:1")).expect("push");
    let layer = big_layer(&config, &registry.source("a/b:1"));
    Pushed { world, registry, layer }
}

fn read_layer(config: &Config, source: &str, layer: &Layer) -> std::io::Result<Vec<u8>> {
    let mut payloads = scomo_package::open(config, source).expect("open");
    let mut bytes = Vec::new();
    payloads.layer(layer).map_err(std::io::Error::from)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[test]
fn a_broken_connection_is_resumed_where_it_broke() {
    let pushed = pushed();
    // Each connection dies after a million bytes, so the layer of three takes several.
    let cutter = Cutter::start(&pushed.registry.host, vec![1_000_000]);
    let config = with_registry(unsigned(), &cutter.host, plain());
    let source = format!("docker://{}/a/b:1", cutter.host);
    let bytes = read_layer(&config, &source, &pushed.layer).unwrap_or_else(|e| panic!("{}", chain(&e)));
    assert_eq!(sha(&bytes), pushed.layer.digest.to_string());
    let connections = cutter.connections.load(Ordering::SeqCst);
    assert!((4..=6).contains(&connections), "{connections} connections: it must go on, not begin again");
}

/// How exactly it waits is tested with a clock of its own; here, that a download asks it at all.
#[test]
fn a_download_keeps_to_its_bandwidth() {
    let pushed = pushed();
    let config = pushed.registry.plain(unsigned());
    let slow = Config { bandwidth_bytes_per_s: 6_000_000, ..config };
    let begin = std::time::Instant::now();
    let bytes = read_layer(&slow, &pushed.registry.source("a/b:1"), &pushed.layer).expect("the layer");
    assert_eq!(sha(&bytes), pushed.layer.digest.to_string());
    // Three million bytes, less what may come at once.
    assert!(begin.elapsed() > std::time::Duration::from_millis(390), "{:?}", begin.elapsed());
}

#[test]
fn a_registry_that_is_gone_half_way_is_unavailable() {
    let pushed = pushed();
    let cutter = Cutter::start(&pushed.registry.host, vec![500_000, 0]);
    let config = with_registry(unsigned(), &cutter.host, plain());
    let source = format!("docker://{}/a/b:1", cutter.host);
    let error = read_layer(&config, &source, &pushed.layer).expect_err("gone");
    assert_eq!(io_kind(&error), FailureKind::Unavailable, "{}", chain(&error));
    let connections = cutter.connections.load(Ordering::SeqCst);
    assert!((2..=12).contains(&connections), "{connections} connections: the number of resumes is bounded");
}

#[test]
fn nobody_there_is_unavailable() {
    let free = TcpListener::bind("127.0.0.1:0").expect("bind").local_addr().expect("address").to_string();
    let config = with_registry(unsigned(), &free, plain());
    let error = resolve(&config, &format!("docker://{free}/a/b:1")).expect_err("refused");
    assert_eq!(error.kind(), FailureKind::Unavailable, "{}", chain(&error));
    let error = resolve(&unsigned(), "docker://no-such-host.invalid/a/b:1").expect_err("no such name");
    assert_eq!(error.kind(), FailureKind::Unavailable, "{}", chain(&error));
}

#[test]
fn a_registry_that_says_nothing_is_unavailable() {
    // Accepts and never answers.
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let host = listener.local_addr().expect("address").to_string();
    let mut config = with_registry(unsigned(), &host, plain());
    config.timeouts = Timeouts { connect_s: 1, read_s: 1, request_s: 1 };
    let error = resolve(&config, &format!("docker://{host}/a/b:1")).expect_err("silence");
    assert_eq!(error.kind(), FailureKind::Unavailable, "{}", chain(&error));
}

#[test]
fn status_codes_become_kinds() {
    for (status, kind) in [
        ("401 Unauthorized", FailureKind::Unauthorized),
        ("403 Forbidden", FailureKind::Unauthorized),
        ("404 Not Found", FailureKind::NotFound),
        ("400 Bad Request", FailureKind::Invalid),
        ("429 Too Many Requests", FailureKind::Server),
        ("500 Internal Server Error", FailureKind::Server),
        ("503 Service Unavailable", FailureKind::Server),
    ] {
        let body = br#"{"errors":[{"code":"SOME_CODE","message":"the reason"}]}"#;
        let fake = answering(move |_| http(status, "", body));
        let config = with_registry(unsigned(), &fake.address(), plain());
        let error = resolve(&config, &format!("docker://{}/a/b:1", fake.address())).expect_err(status);
        assert_eq!(error.kind(), kind, "{status}: {error}");
        assert!(error.to_string().contains("the reason"), "{error}");
    }
    let pushed = pushed();
    let config = pushed.registry.plain(unsigned());
    for reference in ["a/b:2", "a/c:1", &format!("a/b@{}", sha(b"no such"))] {
        let error = resolve(&config, &pushed.registry.source(reference)).expect_err(reference);
        assert_eq!(error.kind(), FailureKind::NotFound, "{error}");
    }
    let missing = Layer { digest: digest(b"no such"), ..pushed.layer.clone() };
    let error = read_layer(&config, &pushed.registry.source("a/b:1"), &missing).expect_err("missing");
    assert_eq!(io_kind(&error), FailureKind::NotFound, "{}", chain(&error));
}

#[test]
fn answers_have_limits() {
    // Five million bytes of a manifest, with and without saying so.
    let long = vec![b' '; 5_000_000];
    let fake = answering(move |_| http("200 OK", "", &long));
    let config = with_registry(unsigned(), &fake.address(), plain());
    let error = resolve(&config, &format!("docker://{}/a/b:1", fake.address())).expect_err("too large");
    assert_eq!(error.kind(), FailureKind::Invalid, "{error}");
    assert!(error.to_string().contains("4194304"), "{error}");
    let long = [b"HTTP/1.1 500 Oops\r\nConnection: close\r\n\r\n".to_vec(), vec![b'x'; 5_000_000]].concat();
    let fake = answering(move |_| long.clone());
    let config = with_registry(unsigned(), &fake.address(), plain());
    let error = resolve(&config, &format!("docker://{}/a/b:1", fake.address())).expect_err("status");
    assert_eq!(error.kind(), FailureKind::Server, "{error}");
    // Redirects in a circle end.
    let count = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&count);
    let fake = answering(move |_| {
        seen.fetch_add(1, Ordering::SeqCst);
        http("307 Temporary Redirect", "Location: /v2/again\r\n", b"")
    });
    let config = with_registry(unsigned(), &fake.address(), plain());
    let error = resolve(&config, &format!("docker://{}/a/b:1", fake.address())).expect_err("circle");
    assert!(chain(&error).contains("redirects"), "{}", chain(&error));
    assert!(count.load(Ordering::SeqCst) < 10);
}

#[test]
fn sizes_and_digests_of_layers_are_not_believed() {
    let pushed = pushed();
    let config = pushed.registry.plain(unsigned());
    let source = pushed.registry.source("a/b:1");
    for size in [pushed.layer.size - 1, pushed.layer.size + 1, 0] {
        let lie = Layer { size, ..pushed.layer.clone() };
        let error = read_layer(&config, &source, &lie).expect_err("size");
        assert_eq!(io_kind(&error), FailureKind::Corrupt, "{size}: {}", chain(&error));
    }
    // The registry's disk lost the end of the blob.
    let file = pushed.registry.blob_file(pushed.layer.digest.as_str());
    let file = fs::File::options().write(true).open(file).expect("blob file");
    file.set_len(pushed.layer.size / 2).expect("truncate");
    let error = read_layer(&config, &source, &pushed.layer).expect_err("truncated");
    assert_eq!(io_kind(&error), FailureKind::Corrupt, "{}", chain(&error));
}

#[test]
fn a_server_without_ranges_is_read_again_from_the_start() {
    let body: Vec<u8> = (0..200_000_u32).flat_map(|n| n.to_le_bytes()).collect();
    let layer = Layer {
        digest: digest(&body),
        size: body.len() as u64,
        compression: scomo_package::Compression::None,
        diff_id: digest(&body),
    };
    let calls = Arc::new(AtomicUsize::new(0));
    let (seen, expected) = (Arc::clone(&calls), body.clone());
    let fake = answering(move |_| {
        let mut answer = http("200 OK", "", &body);
        // The first two break off after some of the body.
        match seen.fetch_add(1, Ordering::SeqCst) {
            0 => answer.truncate(300_000),
            1 => answer.truncate(500_000),
            _ => {}
        }
        answer
    });
    let config = with_registry(unsigned(), &fake.address(), plain());
    let bytes = read_layer(&config, &format!("docker://{}/a/b:1", fake.address()), &layer).expect("read");
    assert_eq!(bytes, expected);
    assert_eq!(calls.load(Ordering::SeqCst), 3);
    // A part that is not the part that was asked for is refused.
    let fake = answering(move |head| match head.contains("range:") {
        false => http("200 OK", "", &expected)[..100_000].to_vec(),
        true => http("206 Partial Content", "Content-Range: bytes 0-799999/800000\r\n", &expected),
    });
    let config = with_registry(unsigned(), &fake.address(), plain());
    let error =
        read_layer(&config, &format!("docker://{}/a/b:1", fake.address()), &layer).expect_err("wrong part");
    assert!(chain(&error).contains("another part"), "{}", chain(&error));
}

#[test]
fn a_manifest_that_changes_is_noticed() {
    // A pinned digest is what counts, whatever the registry answers and claims.
    let other = br#"{"schemaVersion":2,"manifests":[]}"#;
    let wanted = sha(b"something else");
    let header = format!("Docker-Content-Digest: {wanted}\r\n");
    let fake = answering(move |_| http("200 OK", &header, other));
    let config = with_registry(unsigned(), &fake.address(), plain());
    let error = resolve(&config, &format!("docker://{}/a/b@{wanted}", fake.address())).expect_err("changed");
    assert_eq!(error.kind(), FailureKind::Corrupt, "{error}");
}

#[test]
fn a_token_is_asked_for_and_used() {
    let manifest = br#"{"schemaVersion":2,"manifests":[]}"#;
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let realm = Arc::new(std::sync::OnceLock::new());
    let realm_in = Arc::<std::sync::OnceLock<String>>::clone(&realm);
    let fake = answering(move |head| {
        log.lock().expect("log").push(head.to_owned());
        if head.starts_with("GET /token") {
            return match head.contains("authorization: Basic ZGV2OnNlY3JldA==") {
                true => http("200 OK", "", br#"{"token":"tok-1"}"#),
                false => http("401 Unauthorized", "", b"{}"),
            };
        }
        if head.contains("authorization: Bearer tok-1") {
            return http("200 OK", "", manifest);
        }
        let realm = realm_in.get().expect("realm");
        let header = format!("WWW-Authenticate: Bearer realm=\"http://{realm}/token\",service=\"test\"\r\n");
        http("401 Unauthorized", &header, b"{}")
    });
    realm.set(fake.address()).expect("once");
    let source = format!("docker://{}/team/app:1", fake.address());
    let settings =
        RegistryConfig { username: Some("dev".to_owned()), password: Some("secret".to_owned()), ..plain() };
    let config = with_registry(unsigned(), &fake.address(), settings.clone());
    let error = resolve(&config, &source).expect_err("an empty index");
    assert_eq!(error.kind(), FailureKind::Unsupported, "{}", chain(&error));
    let heads = seen.lock().expect("log").join("\n");
    assert!(heads.contains("scope=repository%3Ateam%2Fapp%3Apull"), "{heads}");
    assert!(heads.contains("service=test"), "{heads}");
    let wrong = RegistryConfig { password: Some("x".to_owned()), ..settings };
    let config = with_registry(unsigned(), &fake.address(), wrong);
    let error = resolve(&config, &source).expect_err("wrong password");
    assert_eq!(error.kind(), FailureKind::Unauthorized, "{}", chain(&error));
    assert!(error.to_string().contains("check the configured"), "{error}");
}

#[test]
fn credentials_do_not_follow_redirects_to_other_hosts() {
    let seen = Arc::new(std::sync::Mutex::new(String::new()));
    let log = Arc::clone(&seen);
    let other = answering(move |head| {
        *log.lock().expect("log") = head.to_owned();
        http("404 Not Found", "", b"")
    });
    // Another name for loopback is another host.
    let elsewhere = other.address().replace("127.0.0.1", "localhost");
    let fake = answering(move |head| match head.contains("authorization: Basic") {
        true => http("307 Temporary Redirect", &format!("Location: http://{elsewhere}/x\r\n"), b""),
        false => http("401 Unauthorized", "WWW-Authenticate: Basic realm=\"x\"\r\n", b""),
    });
    let settings =
        RegistryConfig { username: Some("dev".to_owned()), password: Some("secret".to_owned()), ..plain() };
    let config = with_registry(unsigned(), &fake.address(), settings);
    let error = resolve(&config, &format!("docker://{}/a/b:1", fake.address())).expect_err("nothing there");
    assert_eq!(error.kind(), FailureKind::NotFound, "{}", chain(&error));
    let head = seen.lock().expect("log").to_lowercase();
    assert!(head.starts_with("get /x") && !head.contains("authorization"), "{head}");
}

#[test]
fn an_encrypted_registry_cannot_lead_to_an_unencrypted_one() {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let dir = tempfile::TempDir::new().expect("folder");
    make_certificate(dir.path());
    let certificate = CertificateDer::from_pem_file(dir.path().join("tls.crt")).expect("certificate");
    let key = PrivateKeyDer::from_pem_file(dir.path().join("tls.key")).expect("key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let server = server.expect("versions").with_no_client_auth().with_single_cert(vec![certificate], key);
    let server = Arc::new(server.expect("server"));
    let reached = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&reached);
    let plain_target = answering(move |_| {
        seen.fetch_add(1, Ordering::SeqCst);
        http("200 OK", "", br#"{"schemaVersion":2,"manifests":[]}"#)
    });
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let host = listener.local_addr().expect("address").to_string();
    let location = format!("Location: http://{}/v2/a/b/manifests/1\r\n", plain_target.address());
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let session = rustls::ServerConnection::new(Arc::clone(&server)).expect("session");
            let mut stream = rustls::StreamOwned::new(session, client);
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|n| n == 1) {
                head.push(byte[0]);
            }
            let _sent = stream.write_all(&http("307 Temporary Redirect", &location, b""));
            let _sent = stream.flush();
        }
    });
    let settings = RegistryConfig { ca_file: Some(dir.path().join("ca.crt")), ..RegistryConfig::default() };
    let config = with_registry(unsigned(), &host, settings);
    let error = resolve(&config, &format!("docker://{host}/a/b:1")).expect_err("must not follow");
    assert!(chain(&error).contains("unencrypted"), "{}", chain(&error));
    assert_eq!(reached.load(Ordering::SeqCst), 0);
}

#[test]
fn a_registry_with_no_certificates_on_the_machine_still_serves_plain_http() {
    // In a process of its own: the environment is read once.
    let pushed = pushed();
    let me = std::env::current_exe().expect("exe");
    let output = std::process::Command::new(me)
        .args(["--exact", "no_certificates_child", "--nocapture"])
        .env("SCOMO_TEST_SOURCE", pushed.registry.source("a/b:1"))
        .env("SSL_CERT_FILE", pushed.world.path("none"))
        .env("SSL_CERT_DIR", pushed.world.path("none"))
        .output()
        .expect("run");
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("child: resolved"), "{text}");
}

#[test]
fn no_certificates_child() {
    let Ok(source) = std::env::var("SCOMO_TEST_SOURCE") else { return };
    let host = source.split('/').nth(2).expect("host").to_owned();
    resolve(&with_registry(unsigned(), &host, plain()), &source).unwrap_or_else(|e| panic!("{}", chain(&e)));
    // With TLS it is an error that says what is missing, not a panic.
    let error = resolve(&unsigned(), &source).expect_err("no certificates");
    assert!(error.to_string().contains("ca_file"), "{error}");
    println!("child: resolved");
}
