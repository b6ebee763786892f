//! Signing: in a layout, in an archive, or in a registry.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::pkcs8::DecodePrivateKey as _;
use p256::ecdsa::signature::Signer as _;
use scomo_core::id::Digest;
use serde::Serialize;

use super::bundle::{Bundle, signature_entry, subjects};
use super::push::Pusher;
use super::write::{LayoutWriter, new_index, to_json, write_archive};
use crate::archive::Archive;
use crate::config::Config;
use crate::error::PackageError;
use crate::keys::{TrustedKey, read_pem};
use crate::layout::{self, Layout};
use crate::oci::{self, ANNOTATION_REF, Descriptor, Index, Manifest};
use crate::repository::{RawManifest, Repository};
use crate::signature::{ANNOTATION_SIGNATURE, MEDIA_SIGNED, payload, tag_of};
use crate::sources::Source;

/// How to sign.
#[derive(Debug, Clone, Default)]
pub struct SignOptions {
    /// What the signature says in `docker-reference`: the repository that devices will read from, for example
    /// `registry.example.com/app`. None: the repository for a registry, empty for a layout or archive.
    pub reference: Option<String>,
}

/// What was signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SignReport {
    /// Digest that the signature covers.
    pub digest: Digest,
    /// Tag or ref under which the signatures are.
    pub tag: String,
    /// Signatures there are now.
    pub signatures: usize,
}

/// Signs the package at `source` with the private key in `key` (PEM, PKCS #8, not encrypted).
pub fn sign(
    config: &Config,
    source: &str,
    key: &Path,
    options: &SignOptions,
) -> Result<SignReport, PackageError> {
    sign_with(config, source, &read_pem(key)?, options)
}

/// Like [`sign`], with the PEM text itself.
pub fn sign_with(
    config: &Config,
    source: &str,
    private_pem: &str,
    options: &SignOptions,
) -> Result<SignReport, PackageError> {
    let key = PrivateKey::parse(private_pem)?;
    let parsed = Source::parse(source)?;
    let mut repository = crate::repository(config, &parsed, source)?;
    let root = repository.root()?;
    let tag = tag_of(&root.digest);
    let reference = match (&options.reference, &parsed) {
        (Some(reference), _) => reference.clone(),
        (None, Source::Registry { host, repository, .. }) => format!("{host}/{repository}"),
        (None, _) => String::new(),
    };
    let old = repository.named(&tag)?;
    let signed = Signed::new(&key, &root.digest, &reference, old.as_ref())?;
    match &parsed {
        Source::Layout { path, .. } => in_layout(path, &signed)?,
        Source::Archive { path } => in_archive(path, &signed)?,
        Source::Registry { .. } => Pusher::open(config, &parsed)?.push_signature(&signed)?,
        Source::Ostree { .. } => return Err(PackageError::NotOurs(oci::shorten(source))),
    }
    Ok(SignReport { digest: root.digest, tag, signatures: signed.count })
}

/// A signature manifest and the blobs that are new with it.
pub(crate) struct Signed {
    pub digest: Digest,
    pub manifest: Vec<u8>,
    pub blobs: Vec<Vec<u8>>,
    count: usize,
}

impl Signed {
    fn new(
        key: &PrivateKey,
        digest: &Digest,
        reference: &str,
        old: Option<&RawManifest>,
    ) -> Result<Self, PackageError> {
        let message = payload(digest, reference);
        let mut layer = Descriptor::new(MEDIA_SIGNED, &message);
        layer.annotations.insert(ANNOTATION_SIGNATURE.to_owned(), BASE64.encode(key.sign(&message)));
        let old = old.map(|raw| oci::parse_image_manifest(&raw.bytes)).transpose()?;
        let mut layers = old.map(|manifest| manifest.layers).unwrap_or_default();
        // Both algorithms are deterministic here: the same key over the same payload is the same layer.
        if !layers.contains(&layer) {
            layers.push(layer);
        }
        // The payloads of signatures count as layers, so their digests stand in the config like those of an image.
        let diff_ids = layers.iter().map(|l| l.digest.clone()).collect();
        let config = to_json(&oci::ImageConfig {
            rootfs: oci::Rootfs { kind: "layers".to_owned(), diff_ids },
            ..oci::ImageConfig::default()
        })?;
        let count = layers.len();
        let manifest = to_json(&Manifest {
            schema_version: 2,
            media_type: Some(oci::MEDIA_MANIFEST.to_owned()),
            artifact_type: None,
            config: Descriptor::new(oci::MEDIA_CONFIG, &config),
            layers,
            annotations: std::collections::BTreeMap::new(),
        })?;
        oci::parse_image_manifest(&manifest)?;
        Ok(Self { digest: digest.clone(), manifest, blobs: vec![message, config], count })
    }

    fn entry(&self) -> Descriptor {
        let mut entry = Descriptor::new(oci::MEDIA_MANIFEST, &self.manifest);
        entry.annotations.insert(ANNOTATION_REF.to_owned(), tag_of(&self.digest));
        entry
    }

    fn index(&self, entries: &[Descriptor]) -> Index {
        let old = signature_entry(entries, &self.digest).map(|entry| entry.digest.clone());
        let mut entries: Vec<Descriptor> =
            entries.iter().filter(|entry| Some(&entry.digest) != old.as_ref()).cloned().collect();
        entries.push(self.entry());
        new_index(entries)
    }
}

fn in_layout(path: &Path, signed: &Signed) -> Result<(), PackageError> {
    let index = signed.index(Layout::open(path, None)?.index());
    let writer = LayoutWriter::create(path)?;
    for blob in signed.blobs.iter().chain([&signed.manifest]) {
        writer.put(blob)?;
    }
    writer.set_index(&index)
}

/// An archive is written anew beside the old one and takes its place when it is whole.
fn in_archive(path: &Path, signed: &Signed) -> Result<(), PackageError> {
    let mut archive = Archive::open(path)?;
    layout::find(archive.index(), None, path)?;
    let index = signed.index(archive.index());
    let zstd = archive.is_compressed();
    let mut with_new = Overlay { below: &mut archive, signed };
    let bundle = Bundle::collect(&mut with_new, index)?;
    debug_assert!(subjects(&bundle.index.manifests).count() > 0);
    write_archive(&mut with_new, &bundle, path, zstd)
}

/// An archive together with the blobs of a new signature.
struct Overlay<'a> {
    below: &'a mut Archive,
    signed: &'a Signed,
}

impl Overlay<'_> {
    fn own(&self, digest: &Digest) -> Option<Vec<u8>> {
        let mut all = self.signed.blobs.iter().chain([&self.signed.manifest]);
        all.find(|blob| oci::sha256(blob) == *digest).cloned()
    }
}

impl Repository for Overlay<'_> {
    fn root(&mut self) -> Result<RawManifest, PackageError> {
        self.below.root()
    }

    fn manifest(&mut self, digest: &Digest) -> Result<RawManifest, PackageError> {
        match self.own(digest) {
            Some(bytes) => Ok(RawManifest { bytes, digest: digest.clone() }),
            None => self.below.manifest(digest),
        }
    }

    fn named(&mut self, name: &str) -> Result<Option<RawManifest>, PackageError> {
        self.below.named(name)
    }

    fn blob(&mut self, digest: &Digest, size: u64) -> Result<Box<dyn std::io::Read + Send>, PackageError> {
        match self.own(digest) {
            Some(bytes) => Ok(Box::new(std::io::Cursor::new(bytes))),
            None => self.below.blob(digest, size),
        }
    }

    fn default_name(&self) -> String {
        self.below.default_name()
    }
}

enum PrivateKey {
    P256(Box<p256::ecdsa::SigningKey>),
    Ed25519(Box<ed25519_dalek::SigningKey>),
}

impl PrivateKey {
    fn parse(pem: &str) -> Result<Self, PackageError> {
        let refuse =
            |reason: &str| PackageError::Key { name: "private".to_owned(), reason: reason.to_owned() };
        if pem.contains("ENCRYPTED") {
            return Err(refuse(
                "it is encrypted; decrypt it first, for example with 'openssl pkey -in key.pem'",
            ));
        }
        if pem.contains("BEGIN EC PRIVATE KEY") {
            return Err(refuse(
                "it is in the older SEC1 form; convert it with 'openssl pkcs8 -topk8 -nocrypt -in key.pem'",
            ));
        }
        let pem = pem.trim_start();
        if let Ok(key) = p256::ecdsa::SigningKey::from_pkcs8_pem(pem) {
            return Ok(Self::P256(Box::new(key)));
        }
        if let Ok(key) = ed25519_dalek::SigningKey::from_pkcs8_pem(pem) {
            return Ok(Self::Ed25519(Box::new(key)));
        }
        if TrustedKey::parse("private", pem).is_ok() {
            return Err(refuse("this is a public key; signing needs the private one"));
        }
        Err(refuse("expected a PEM private key (BEGIN PRIVATE KEY) of kind ECDSA P-256 or ed25519"))
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::P256(key) => {
                let signature: p256::ecdsa::DerSignature = key.sign(message);
                signature.as_bytes().to_vec()
            }
            Self::Ed25519(key) => key.sign(message).to_bytes().to_vec(),
        }
    }
}
