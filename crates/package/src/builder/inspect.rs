//! What is in a package, for people and for scripts.

use std::fmt;

use scomo_core::id::Digest;
use scomo_core::spec::{PackageInfo, Payload};
use serde::Serialize;

use crate::config::Config;
use crate::content;
use crate::error::PackageError;
use crate::keys;
use crate::oci;
use crate::policy::policy_for;
use crate::repository::Repository;
use crate::signature::{self, Verdict};
use crate::sources::Source;

/// A package or image as it was found. Serialized as JSON it is a stable interface; members may be added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Inspection {
    /// Version of this report: 1.
    pub report_version: u32,
    /// The source as it was given.
    pub source: String,
    /// Digest that signatures cover.
    pub digest: Digest,
    /// `package` or `image`.
    pub kind: String,
    /// What the package says of itself.
    pub info: PackageInfo,
    /// In switching order.
    pub components: Vec<ComponentReport>,
    /// What came of its signatures.
    pub signature: SignatureReport,
}

/// One component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ComponentReport {
    /// Its id.
    pub id: String,
    /// Its version.
    pub version: String,
    /// `os`, `container` or `files`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Id of the release: changes when anything of it changes.
    pub release: String,
    /// Components that are switched before it.
    pub requires: Vec<String>,
    /// Where its bytes are.
    pub payload: Payload,
    /// The image, when the payload is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageReport>,
}

/// One image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageReport {
    /// `os/architecture`.
    pub platform: String,
    /// Number of layers.
    pub layers: usize,
    /// Bytes of the compressed layers.
    pub size: u64,
}

/// What came of the signatures under the configuration that was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "status")]
pub enum SignatureReport {
    /// Signed by a trusted key.
    Good {
        /// Its identity.
        identity: String,
    },
    /// Not signed.
    None,
    /// Signed, but not by a key that counts, or the signature is wrong.
    Untrusted {
        /// Why.
        reason: String,
    },
}

/// Looks at the package or image at `source`. A missing or untrusted signature is reported, not refused.
pub fn inspect(config: &Config, source: &str) -> Result<Inspection, PackageError> {
    let parsed = Source::parse(source)?;
    let mut repository = crate::repository(config, &parsed, source)?;
    let repository = repository.as_mut();
    let root = repository.root()?;
    let policy = policy_for(config, &parsed)?;
    let trusted = keys::trusted(config, &policy)?;
    let signature = match signature::check(repository, &root.digest, &trusted, policy.reference.as_deref())? {
        Verdict::Good(identity) => SignatureReport::Good { identity },
        Verdict::None => SignatureReport::None,
        Verdict::Bad(reason) => SignatureReport::Untrusted { reason },
    };
    let is_package = oci::looks_like_index(&root.bytes)? && oci::parse_index(&root.bytes)?.is_package();
    let manifest = content::read_manifest(repository, &root, &parsed)?;
    let mut components = Vec::new();
    for spec in manifest.check().map_err(PackageError::Manifest)? {
        let image = match &spec.payload {
            Payload::Image { digest, .. } => Some(image(repository, digest)?),
            Payload::Ostree { .. } => None,
        };
        components.push(ComponentReport {
            id: spec.id.to_string(),
            version: spec.version.clone(),
            kind: spec.kind.as_str().to_owned(),
            release: content::release_id(spec)?.to_string(),
            requires: spec.requires.iter().map(ToString::to_string).collect(),
            payload: spec.payload.clone(),
            image,
        });
    }
    Ok(Inspection {
        report_version: 1,
        source: source.to_owned(),
        digest: root.digest,
        kind: if is_package { "package" } else { "image" }.to_owned(),
        info: manifest.info(),
        components,
        signature,
    })
}

/// Any platform: a workstation looks at packages for devices.
fn image(repository: &mut dyn Repository, digest: &Digest) -> Result<ImageReport, PackageError> {
    let manifest = oci::parse_image_manifest(&repository.manifest(digest)?.bytes)?;
    let config = crate::repository::read_small(repository, &manifest.config, "the image config")?;
    let config = oci::parse_image_config(&config)?;
    let platform =
        oci::Platform { architecture: config.architecture, os: config.os, variant: config.variant };
    let size = manifest.layers.iter().fold(0_u64, |sum, layer| sum.saturating_add(layer.size));
    Ok(ImageReport { platform: platform.text(), layers: manifest.layers.len(), size })
}

impl fmt::Display for Inspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = if self.info.version.is_empty() { "no version" } else { &self.info.version };
        writeln!(f, "{} {} ({version})", self.kind, self.info.id)?;
        for (name, text) in [
            ("name", &self.info.name),
            ("description", &self.info.description),
            ("environment", &self.info.env_type),
            ("license", &self.info.metadata.license),
            ("manufacturer", &self.info.metadata.manufacturer),
        ] {
            if !text.is_empty() {
                // A text from the package must not pass for a line of ours.
                writeln!(f, "  {name}: {}", oci::shorten(text))?;
            }
        }
        writeln!(f, "  digest: {}", self.digest)?;
        match &self.signature {
            SignatureReport::Good { identity } => writeln!(f, "  signature: good, by '{identity}'")?,
            SignatureReport::None => writeln!(f, "  signature: none")?,
            SignatureReport::Untrusted { reason } => writeln!(f, "  signature: not trusted: {reason}")?,
        }
        writeln!(f, "  components:")?;
        for component in &self.components {
            let version = if component.version.is_empty() { "-" } else { &component.version };
            write!(f, "    {} {} {version}", component.kind, component.id)?;
            if let Some(image) = &component.image {
                write!(f, ", {}, {} layers, {} bytes", image.platform, image.layers, image.size)?;
            }
            if let Payload::Ostree { url, commit, .. } = &component.payload {
                write!(f, ", {} commit {}", oci::shorten(url), oci::shorten(commit))?;
            }
            if !component.requires.is_empty() {
                write!(f, ", requires {}", component.requires.join(", "))?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
