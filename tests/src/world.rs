//! What is around a device in most tests and in the demo: a registry, a trusted key, and versions of one package.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::device::{Builder, Device, JOB};
use crate::image::{Busybox, Compression, Layout};
use crate::keys::KeyPair;
use crate::package::{Built, Recipe, plain_http};
use crate::registry::Registry;
use crate::wait;

/// PkgID under which the package is installed.
pub const PACKAGE: &str = "demo";
/// Its components, in switching order.
pub const COMPONENTS: [&str; 2] = ["agent", "web"];
/// Identity under which devices trust the key.
pub const SIGNER: &str = "factory";

/// Bytes of a version that do not compress and that no other version has.
const NOISE_BYTES: usize = 200_000;

/// How a version behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// Stays healthy.
    Good,
    /// The component `web` runs, but its health check fails from the start.
    Unhealthy,
    /// The main process of `web` ends at once.
    Crashes,
}

/// A registry with packages, and the key that signs them.
#[derive(Debug)]
pub struct World {
    registry: Registry,
    folder: TempDir,
    key: KeyPair,
    compression: Compression,
    window_s: u64,
}

impl World {
    /// An open registry over plain HTTP and a new key.
    pub fn new() -> Result<Self> {
        let folder = tempfile::tempdir().context("cannot make a folder")?;
        let key = KeyPair::p256(folder.path(), "factory")?;
        Ok(Self { registry: Registry::start()?, folder, key, compression: Compression::Zstd, window_s: 2 })
    }

    /// Compresses the layers of what is built from now on in another way; zstd is the default.
    pub fn compress(&mut self, compression: Compression) {
        self.compression = compression;
    }

    /// The health window of what is built from now on.
    pub fn watch_for(&mut self, seconds: u64) {
        self.window_s = seconds;
    }

    /// The registry.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Ends the registry.
    pub fn stop_registry(&mut self) -> Result<()> {
        self.registry.stop()
    }

    /// The key that devices trust.
    #[must_use]
    pub fn key(&self) -> &KeyPair {
        &self.key
    }

    /// Where layouts and recipes are.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A device that trusts the key and knows the registry.
    #[must_use]
    pub fn device(&self) -> Builder {
        Device::builder().trust(SIGNER, &self.key).plain_http(self.registry.address())
    }

    /// The source of a version in the registry.
    #[must_use]
    pub fn source(&self, version: &str) -> String {
        format!("docker://{}/demo:{version}", self.registry.address())
    }

    /// Builds and signs a version as a layout in a folder of its own.
    pub fn build(&self, version: &str, behaviour: Behaviour) -> Result<Built> {
        let built = self.build_unsigned(version, behaviour)?;
        built.sign(&self.key)?;
        Ok(built)
    }

    /// Builds a version and leaves it unsigned.
    pub fn build_unsigned(&self, version: &str, behaviour: Behaviour) -> Result<Built> {
        self.build_at(version, behaviour, &self.folder.path().join(format!("package-{version}")))
    }

    /// Builds and signs a good version as an archive.
    pub fn build_archive(&self, version: &str, archive: &Path) -> Result<Built> {
        let built = self.build_at(version, Behaviour::Good, archive)?;
        built.sign(&self.key)?;
        Ok(built)
    }

    /// Healthy soon, so that tests are quick.
    fn health(&self) -> Value {
        let command = ["/bin/test", "-e", "/tmp/healthy"];
        json!({"command": command, "windowS": self.window_s, "intervalS": 1, "timeoutS": 5, "retries": 1})
    }

    fn build_at(&self, version: &str, behaviour: Behaviour, output: &Path) -> Result<Built> {
        let images = self.folder.path().join(format!("images-{version}"));
        let mut layout = Layout::create(&images)?;
        let mut recipe = Recipe::new("com.example.demo", version);
        for component in COMPONENTS {
            let behaviour = if component == "web" { behaviour } else { Behaviour::Good };
            image(component, version, behaviour).write(&mut layout, component, self.compression)?;
            let image = format!("oci:{}:{component}", images.display());
            recipe = recipe.container(component, &image, &json!({"health": self.health()}));
        }
        recipe.build(output)
    }

    /// Builds, signs and pushes a version; gives its source in the registry.
    pub fn publish(&self, version: &str, behaviour: Behaviour) -> Result<String> {
        let source = self.source(version);
        self.build(version, behaviour)?.push(&plain_http(self.registry.address()), &source)?;
        Ok(source)
    }
}

fn image(component: &str, version: &str, behaviour: Behaviour) -> Busybox {
    let body = match behaviour {
        Behaviour::Good => "touch /tmp/healthy; sleep 1000000 & wait",
        Behaviour::Unhealthy => "sleep 1000000 & wait",
        Behaviour::Crashes => "exit 3",
    };
    // The first process of a container hears of SIGTERM only when it asks for it; otherwise stopping takes 10 s.
    let script = format!("trap 'exit 0' TERM; echo {component} {version} starts; {body}");
    Busybox::running(&script)
        .file("version", version)
        .file("name", component)
        // Some content that versions share, and some that takes time to transfer.
        .file("data/common", vec![b'c'; 100_000])
        .file("data/own", noise(&format!("{component} {version}")))
}

/// Bytes that do not compress, always the same for the same text.
fn noise(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(NOISE_BYTES);
    let mut hash = Sha256::digest(text);
    while bytes.len() < NOISE_BYTES {
        bytes.extend_from_slice(&hash);
        hash = Sha256::digest(hash);
    }
    bytes
}

impl Device {
    /// The version of a component that is active; none when it is not there or not active.
    pub fn active_version(&self, component: &str) -> Result<Option<String>> {
        let shown = self.json(&["show", component])?;
        let text = |name: &str| shown.pointer(&format!("/component/{name}")).and_then(Value::as_str);
        Ok(text("version").filter(|_| text("stateName") == Some("active")).map(str::to_owned))
    }

    /// An error unless both components of the demo's package are active in this version, and really run.
    pub fn runs(&self, version: &str) -> Result<()> {
        for component in COMPONENTS {
            let active = self.active_version(component)?;
            anyhow::ensure!(
                active.as_deref() == Some(version),
                "{component} must be {version}, it is {}",
                self.json(&["show", component])?
            );
        }
        let expected: Vec<String> = COMPONENTS.iter().map(|c| format!("{c} {version}")).collect();
        anyhow::ensure!(self.running()? == expected, "{expected:?} must run, it is {:?}", self.running()?);
        Ok(())
    }

    /// Waits until both components really run in this version.
    pub fn wait_running(&self, version: &str) -> Result<()> {
        let expected: Vec<String> = COMPONENTS.iter().map(|c| format!("{c} {version}")).collect();
        wait::until_true("the components run", JOB, || Ok(self.running()? == expected))
            .with_context(|| format!("{:?}\n{}", self.running(), self.daemon_log()))
    }

    /// Component and version of every container that runs, looked up in the file systems of the processes.
    pub fn running(&self) -> Result<Vec<String>> {
        let mut found = Vec::new();
        for id in self.process_ids()? {
            if !leads_its_namespace(id) {
                continue;
            }
            let version = std::fs::read_to_string(format!("/proc/{id}/root/version"));
            let name = std::fs::read_to_string(format!("/proc/{id}/root/name"));
            // Processes that are not in one of the demo's containers do not have these files.
            if let (Ok(name), Ok(version)) = (name, version) {
                found.push(format!("{} {}", name.trim(), version.trim()));
            }
        }
        found.sort();
        Ok(found)
    }
}

/// Whether it is the first process of a container.
fn leads_its_namespace(id: impl std::fmt::Display) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let ids = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
    ids.and_then(|ids| ids.split_whitespace().next_back()) == Some("1")
}
