//! What the tests of this crate share: a real registry, keys, small packages, and a proxy that breaks connections.
#![allow(dead_code)]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use scomo_core::failure::FailureKind;
use scomo_core::id::{Digest, PackageId};
use scomo_core::spec::Content;
use scomo_package::builder::{BuildOptions, Built, KeyKind, KeyPair, build, keygen, parse_recipe};
use scomo_package::{Config, KeyConfig, PackageError, Policy, RegistryConfig, SignaturePolicy};
pub use scomo_tests::http::Server;
use sha2::Digest as _;
use tempfile::TempDir;

pub fn package() -> PackageId {
    PackageId::new("test").expect("id")
}

pub fn resolve(config: &Config, source: &str) -> Result<Content, PackageError> {
    scomo_package::resolve(config, &package(), source)
}

/// An error with its causes.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

pub fn sha(bytes: &[u8]) -> String {
    let hash = sha2::Sha256::digest(bytes);
    let hex: String = hash.iter().map(|b| format!("{b:02x}")).collect();
    format!("sha256:{hex}")
}

pub fn digest(bytes: &[u8]) -> Digest {
    Digest::new(sha(bytes)).expect("digest")
}

/// Runs a tool and gives its standard output; its exit status must be zero.
pub fn run(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().unwrap_or_else(|e| panic!("{program}: {e}"));
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{program} {args:?}: {out}{err}");
    out.into_owned()
}

/// A folder with a package of two containers and an OS in it, and a key.
pub struct World {
    pub dir: TempDir,
    pub key: KeyPair,
}

pub const COMMIT: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

impl World {
    pub fn new() -> Self {
        let dir = TempDir::new().expect("temporary folder");
        for (name, text) in [("web", "hello from web"), ("db", "hello from db")] {
            let root = dir.path().join(name);
            fs::create_dir_all(root.join("etc")).expect("mkdir");
            fs::write(root.join("etc/motd"), text).expect("write");
            std::os::unix::fs::symlink("etc/motd", root.join("motd")).expect("symlink");
            fs::hard_link(root.join("etc/motd"), root.join("etc/motd2")).expect("link");
        }
        // Not compressible, so that there is something to break in the middle.
        let mut noise = Vec::new();
        let mut seed = sha2::Sha256::digest(b"noise");
        while noise.len() < 3_000_000 {
            noise.extend_from_slice(&seed);
            seed = sha2::Sha256::digest(seed);
        }
        fs::write(dir.path().join("db/noise"), noise).expect("write");
        Self { dir, key: keygen(KeyKind::P256).expect("key") }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn oci(&self, name: &str) -> String {
        format!("oci:{}", self.path(name).display())
    }

    pub fn recipe(&self) -> String {
        format!(
            "id: com.example.gateway\nname: Gateway\nversion: \"2.0\"\nmetadata: {{ license: MIT }}\ncomponents:\n\
             - id: web\n  version: \"1.8\"\n  rootfs: web\n  requires: [os]\n  compression: gzip\n  \
             run: {{ args: [/bin/web], network: host }}\n  health: {{ command: [/bin/check], windowS: 20 }}\n\
             - id: db\n  version: 1.10\n  rootfs: db\n\
             - id: os\n  os: {{ url: 'https://updates.example.com/repo', ref: stable, commit: {COMMIT} }}\n"
        )
    }

    pub fn build(&self, output: &str) -> Built {
        self.build_recipe(&self.recipe(), output).expect("build")
    }

    pub fn build_recipe(&self, recipe: &str, output: &str) -> Result<Built, PackageError> {
        let options = BuildOptions {
            base: self.dir.path().to_owned(),
            output: self.path(output),
            ..BuildOptions::default()
        };
        build(&Config::default(), &parse_recipe(recipe)?, &options)
    }

    pub fn sign(&self, source: &str) {
        self.sign_as(&self.trusting(), source);
    }

    pub fn sign_as(&self, config: &Config, source: &str) {
        scomo_package::builder::sign_with(config, source, &self.key.private_pem, &Default::default())
            .expect("sign");
    }

    /// Trusts the world's key and nothing else.
    pub fn trusting(&self) -> Config {
        trusting(&[("factory", &self.key.public_pem)])
    }
}

pub fn trusting(keys: &[(&str, &str)]) -> Config {
    let key = |pem: &str| KeyConfig { file: None, pem: Some(pem.to_owned()) };
    Config { keys: keys.iter().map(|(n, pem)| ((*n).to_owned(), key(pem))).collect(), ..Config::default() }
}

pub fn unsigned() -> Config {
    let policy = Policy { signature: SignaturePolicy::InsecureAcceptUnsigned, ..Policy::default() };
    Config { policies: vec![policy], ..Config::default() }
}

pub fn with_registry(mut config: Config, host: &str, settings: RegistryConfig) -> Config {
    config.registries.insert(host.to_owned(), settings);
    config
}

pub fn plain() -> RegistryConfig {
    RegistryConfig { plain_http: true, ..RegistryConfig::default() }
}

/// Debian's registry on a free loopback port, with its data in a temporary folder.
pub struct Registry {
    child: Child,
    pub host: String,
    dir: TempDir,
}

impl Registry {
    pub fn start() -> Self {
        Self::start_with("", "")
    }

    /// `http` is put below the `http:` section of its configuration, `rest` at the end.
    pub fn start_with(http: &str, rest: &str) -> Self {
        Self::start_in(TempDir::new().expect("temporary folder"), http, rest)
    }

    fn start_in(dir: TempDir, http: &str, rest: &str) -> Self {
        let root = dir.path().display();
        let config = format!(
            "version: 0.1\nlog: {{ level: info }}\nstorage:\n  filesystem: {{ rootdirectory: {root}/data }}\n  \
             delete: {{ enabled: true }}\nhttp:\n  addr: 127.0.0.1:0\n{http}\n{rest}\n"
        );
        let path = dir.path().join("config.yml");
        fs::write(&path, config).expect("write");
        let mut child = Command::new("/usr/bin/docker-registry")
            .arg("serve")
            .arg(&path)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("docker-registry (Debian package docker-registry)");
        let mut lines = BufReader::new(child.stderr.take().expect("stderr"));
        let mut seen = String::new();
        let host = loop {
            let mut line = String::new();
            assert_ne!(lines.read_line(&mut line).expect("log"), 0, "the registry ended: {seen}");
            if let Some(at) = line.find("listening on ") {
                let rest = &line[at + "listening on ".len()..];
                break rest
                    .chars()
                    .take_while(|c| c.is_ascii_digit() || ".:".contains(*c))
                    .collect::<String>();
            }
            seen.push_str(&line);
        };
        let log = fs::File::create(dir.path().join("log")).expect("log");
        std::thread::spawn(move || std::io::copy(&mut lines, &mut { log }));
        Self { child, host, dir }
    }

    /// A registry that wants a user name and password.
    pub fn with_password(user: &str, password: &str) -> Self {
        let line = run("htpasswd", &["-nbB", user, password]);
        let dir = TempDir::new().expect("temporary folder");
        fs::write(dir.path().join("htpasswd"), line).expect("write");
        let auth = format!("auth:\n  htpasswd: {{ realm: test, path: {}/htpasswd }}", dir.path().display());
        Self::start_in(dir, "", &auth)
    }

    pub fn source(&self, reference: &str) -> String {
        format!("docker://{}/{reference}", self.host)
    }

    pub fn plain(&self, config: Config) -> Config {
        with_registry(config, &self.host, plain())
    }

    /// The file in which the registry keeps a blob.
    pub fn blob_file(&self, digest: &str) -> PathBuf {
        let hex = digest.strip_prefix("sha256:").expect("digest");
        self.dir.path().join(format!("data/docker/registry/v2/blobs/sha256/{}/{hex}/data", &hex[..2]))
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}

/// A TCP proxy that cuts each connection after so many bytes from the server.
pub struct Cutter {
    pub host: String,
    pub connections: Arc<AtomicUsize>,
}

impl Cutter {
    /// `limits`: bytes after which the first, second … connection is cut; the last counts for all later ones.
    pub fn start(target: &str, limits: Vec<u64>) -> Self {
        let target: SocketAddr = target.parse().expect("address");
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let host = listener.local_addr().expect("address").to_string();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let Ok(client) = client else { return };
                let n = count.fetch_add(1, Ordering::SeqCst);
                let limit = limits.get(n).or(limits.last()).copied().unwrap_or(u64::MAX);
                std::thread::spawn(move || cut(client, target, limit));
            }
        });
        Self { host, connections }
    }
}

fn cut(client: TcpStream, target: SocketAddr, limit: u64) {
    let Ok(server) = TcpStream::connect(target) else { return };
    let (mut up_from, mut up_to) = (client.try_clone().expect("clone"), server.try_clone().expect("clone"));
    std::thread::spawn(move || {
        let _ended = std::io::copy(&mut up_from, &mut up_to);
        let _closed = up_to.shutdown(std::net::Shutdown::Write);
    });
    let mut down = server.take(limit);
    let _ended = std::io::copy(&mut down, &mut { &client });
    let _closed = client.shutdown(std::net::Shutdown::Both);
    let _closed = down.into_inner().shutdown(std::net::Shutdown::Both);
}

/// A server that answers every request with what `answer` makes of its head.
pub fn answering(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Server {
    Server::answering(answer).expect("a server")
}

/// A whole HTTP answer that closes the connection.
pub fn http(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head =
        format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// Makes `ca.crt` and, signed by it for 127.0.0.1, `tls.crt` and `tls.key`.
pub fn make_certificate(dir: &Path) {
    let path = |name: &str| dir.join(name).display().to_string();
    let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
    let (ca, ca_key) = (path("ca.crt"), path("ca.key"));
    run(
        "openssl",
        &[&["req", "-x509", "-subj", "/CN=test CA", "-keyout", &ca_key, "-out", &ca][..], &curve].concat(),
    );
    let (crt, key) = (path("tls.crt"), path("tls.key"));
    let leaf =
        ["req", "-x509", "-subj", "/CN=test", "-CA", &ca, "-CAkey", &ca_key, "-keyout", &key, "-out", &crt];
    let names = ["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"];
    run("openssl", &[&leaf[..], &names, &curve].concat());
}

pub fn blob_path(layout: &Path, digest: &str) -> PathBuf {
    layout.join("blobs/sha256").join(digest.strip_prefix("sha256:").expect("digest"))
}

/// Compares an error with the kind and a part of the text that it must have.
pub fn check(error: &PackageError, kind: FailureKind, expect: &str) {
    let text = chain(error);
    assert_eq!(error.kind(), kind, "{text}");
    assert!(text.contains(expect), "expected '{expect}' in: {text}");
}
