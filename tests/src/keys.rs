//! Keys and certificates, made by `openssl` so that nothing of ours is tested against itself.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::process;

/// A key pair in files.
#[derive(Debug, Clone)]
pub struct KeyPair {
    /// Private key, PKCS#8 PEM.
    pub private: PathBuf,
    /// Public key, PEM.
    pub public: PathBuf,
}

impl KeyPair {
    /// An ECDSA key on P-256, in `folder` with files called `name`.
    pub fn p256(folder: &Path, name: &str) -> Result<Self> {
        Self::generate(folder, name, &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"])
    }

    /// An ed25519 key.
    pub fn ed25519(folder: &Path, name: &str) -> Result<Self> {
        Self::generate(folder, name, &["-algorithm", "ed25519"])
    }

    fn generate(folder: &Path, name: &str, kind: &[&str]) -> Result<Self> {
        let private = folder.join(format!("{name}.key"));
        let public = folder.join(format!("{name}.pub"));
        let mut line = vec!["openssl", "genpkey", "-out", text(&private)?];
        line.extend(kind);
        process::words(&line)?;
        process::words(&["openssl", "pkey", "-in", text(&private)?, "-pubout", "-out", text(&public)?])?;
        Ok(Self { private, public })
    }
}

/// A certificate authority.
#[derive(Debug)]
pub struct Authority {
    folder: PathBuf,
    key: PathBuf,
    /// Its own certificate, PEM.
    pub certificate: PathBuf,
}

/// A certificate with its key.
#[derive(Debug)]
pub struct Certificate {
    /// PEM.
    pub certificate: PathBuf,
    /// PEM.
    pub key: PathBuf,
}

impl Authority {
    /// A new one with its files in `folder`.
    pub fn new(folder: &Path) -> Result<Self> {
        let (key, certificate) = (folder.join("ca.key"), folder.join("ca.crt"));
        let mut line =
            vec!["openssl", "req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=scomo test authority"];
        line.extend(["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]);
        line.extend([
            "-addext",
            "basicConstraints=critical,CA:TRUE",
            "-addext",
            "keyUsage=critical,keyCertSign",
        ]);
        line.extend(["-keyout", text(&key)?, "-out", text(&certificate)?]);
        process::words(&line)?;
        Ok(Self { folder: folder.to_owned(), key, certificate })
    }

    /// A certificate for a server at an IP address.
    pub fn server_certificate(&self, ip: &str) -> Result<Certificate> {
        let [key, request, certificate, extensions] =
            ["server.key", "server.csr", "server.crt", "server.ext"].map(|name| self.folder.join(name));
        let mut line = vec!["openssl", "req", "-new", "-nodes", "-newkey", "ec", "-pkeyopt"];
        line.extend(["ec_paramgen_curve:P-256", "-subj", "/CN=scomo test server"]);
        line.extend(["-keyout", text(&key)?, "-out", text(&request)?]);
        process::words(&line)?;
        let usage =
            format!("subjectAltName=IP:{ip}\nextendedKeyUsage=serverAuth\nbasicConstraints=CA:FALSE\n");
        std::fs::write(&extensions, usage).context("cannot write the extensions of the certificate")?;
        let mut line =
            vec!["openssl", "x509", "-req", "-days", "2", "-CAcreateserial", "-in", text(&request)?];
        line.extend(["-CA", text(&self.certificate)?, "-CAkey", text(&self.key)?]);
        line.extend(["-extfile", text(&extensions)?, "-out", text(&certificate)?]);
        process::words(&line)?;
        Ok(Certificate { certificate, key })
    }
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("the path {} is not UTF-8", path.display()))
}
