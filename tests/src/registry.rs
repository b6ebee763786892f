//! A real image registry on loopback: Debian's `docker-registry`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::keys::Authority;
use crate::process::{self, Process};

/// User name of [`Registry::with_password`].
pub const USER: &str = "device";
/// Its password.
pub const PASSWORD: &str = "correct horse";

/// A running registry; it and its content end with this value.
#[derive(Debug)]
pub struct Registry {
    process: Process,
    address: String,
    folder: TempDir,
    ca: Option<PathBuf>,
}

impl Registry {
    /// Plain HTTP, open to everybody.
    pub fn start() -> Result<Self> {
        Self::start_with(tempfile::tempdir().context("cannot make a folder")?, "", "", None)
    }

    /// Plain HTTP, for [`USER`] with [`PASSWORD`] only.
    pub fn with_password() -> Result<Self> {
        let folder = tempfile::tempdir().context("cannot make a folder")?;
        let line = process::words(&["htpasswd", "-Bbn", USER, PASSWORD])?;
        let file = folder.path().join("htpasswd");
        std::fs::write(&file, line).context("cannot write the passwords")?;
        let auth = format!("auth:\n  htpasswd:\n    realm: test\n    path: {}\n", file.display());
        Self::start_with(folder, "", &auth, None)
    }

    /// TLS with a certificate of an authority of its own, see [`Registry::ca`].
    pub fn with_tls() -> Result<Self> {
        let folder = tempfile::tempdir().context("cannot make a folder")?;
        let authority = Authority::new(folder.path())?;
        let pair = authority.server_certificate("127.0.0.1")?;
        let tls = format!(
            "  tls:\n    certificate: {}\n    key: {}\n",
            pair.certificate.display(),
            pair.key.display()
        );
        Self::start_with(folder, &tls, "", Some(authority.certificate))
    }

    fn start_with(folder: TempDir, tls: &str, auth: &str, ca: Option<PathBuf>) -> Result<Self> {
        let config = folder.path().join("registry.yml");
        std::fs::write(&config, configuration(folder.path(), tls, auth))
            .context("cannot write the configuration")?;
        let mut process = Process::start(Command::new("docker-registry").arg("serve").arg(&config))?;
        // The port was left to the kernel; the log says which one it gave.
        let address = process.wait_for_line("the registry listens", |line| {
            let (_, rest) = line.split_once("listening on ")?;
            let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == ':'));
            rest.get(..end.unwrap_or(rest.len())).map(str::to_owned)
        })?;
        Ok(Self { process, address, folder, ca })
    }

    /// `127.0.0.1:port`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The authority that signed the certificate of a registry with TLS.
    #[must_use]
    pub fn ca(&self) -> Option<&Path> {
        self.ca.as_deref()
    }

    /// The file that holds a blob, for tests that damage it.
    #[must_use]
    pub fn blob(&self, digest: &str) -> PathBuf {
        let hex = digest.trim_start_matches("sha256:");
        let short = hex.get(..2).unwrap_or_default();
        self.folder.path().join("content/docker/registry/v2/blobs/sha256").join(short).join(hex).join("data")
    }

    /// What it wrote so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.text()
    }

    /// Ends it; its address answers no more.
    pub fn stop(&mut self) -> Result<()> {
        self.process.kill()
    }
}

fn configuration(folder: &Path, tls: &str, auth: &str) -> String {
    let mut text = String::from("version: 0.1\nlog:\n  level: info\n  accesslog:\n    disabled: true\n");
    let content = folder.join("content");
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "storage:\n  filesystem:\n    rootdirectory: {}\n  delete:\n    enabled: true",
        content.display()
    );
    let _ = write!(text, "http:\n  addr: 127.0.0.1:0\n{tls}{auth}");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_registry_answers() {
        let registry = Registry::start().unwrap();
        let url = format!("http://{}/v2/", registry.address());
        assert_eq!(process::words(&["curl", "-sSf", &url]).unwrap(), "{}");
    }

    #[test]
    fn a_registry_with_a_password_wants_it() {
        let registry = Registry::with_password().unwrap();
        let url = format!("http://{}/v2/", registry.address());
        assert!(process::words(&["curl", "-sSf", &url]).is_err());
        let login = format!("{USER}:{PASSWORD}");
        assert_eq!(process::words(&["curl", "-sSf", "-u", &login, &url]).unwrap(), "{}");
    }

    #[test]
    fn a_registry_with_tls_shows_its_certificate() {
        let registry = Registry::with_tls().unwrap();
        let url = format!("https://{}/v2/", registry.address());
        assert!(process::words(&["curl", "-sSf", &url]).is_err());
        let ca = registry.ca().unwrap().to_str().unwrap().to_owned();
        assert_eq!(process::words(&["curl", "-sSf", "--cacert", &ca, &url]).unwrap(), "{}");
    }
}
