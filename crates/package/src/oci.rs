//! The OCI structures that we read and write: descriptor, index, image manifest and the needed part of an image config.
//!
//! Parsing is pure: bytes in, checked structures out. Nothing here knows where bytes come from. Unknown members are
//! allowed, as the image specification asks; known ones are checked, and every count has a limit.

use std::collections::BTreeMap;

use scomo_core::id::Digest;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::error::PackageError;
use crate::json;

/// Largest index, manifest, image config or package manifest in bytes. It is the size that the distribution
/// specification asks every registry to take, and it is held in memory.
pub const MANIFEST_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Most entries of an index: 32 components for a dozen platforms stay below it.
pub const INDEX_ENTRIES_MAX: usize = 512;
/// Most layers of an image; Docker's own limit is 127.
pub const LAYERS_MAX: usize = 128;
/// Largest compressed layer in bytes: no embedded device holds more, and it bounds what a lie about sizes can cost.
pub const LAYER_BYTES_MAX: u64 = 16 * 1024 * 1024 * 1024;
/// Most annotations of one descriptor or manifest.
pub const ANNOTATIONS_MAX: usize = 128;

/// OCI image index.
pub const MEDIA_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// OCI image manifest.
pub const MEDIA_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// OCI image config.
pub const MEDIA_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// The empty JSON object, two bytes.
pub const MEDIA_EMPTY: &str = "application/vnd.oci.empty.v1+json";
/// Docker's manifest list.
pub const MEDIA_DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// Docker's image manifest.
pub const MEDIA_DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const MEDIA_DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
/// The artifact type of a package: stands in its artifact manifest, and under [`ANNOTATION_TYPE`] in its index.
pub const ARTIFACT_PACKAGE: &str = "application/vnd.scomo.package.v1";
/// Our package manifest, the config of the artifact manifest.
pub const MEDIA_PACKAGE: &str = "application/vnd.scomo.package.v1+json";

/// Annotation of an index that makes it a package. An annotation and not the member `artifactType`, because tools from
/// before OCI 1.1 drop that member when they copy an index, and with it the digest that was signed.
pub const ANNOTATION_TYPE: &str = "org.scomo.artifact.type";
/// The name that a manifest has in an OCI layout.
pub const ANNOTATION_REF: &str = "org.opencontainers.image.ref.name";

/// A reference to content by digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// Media type of the content.
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// Artifact type, when the content is an artifact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// What machine it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Free text by key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl Descriptor {
    /// A descriptor without annotations or platform.
    #[must_use]
    pub fn new(media_type: &str, bytes: &[u8]) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest: sha256(bytes),
            size: bytes.len() as u64,
            artifact_type: None,
            platform: None,
            annotations: BTreeMap::new(),
        }
    }

    /// Whether it refers to an index or list.
    #[must_use]
    pub fn is_index(&self) -> bool {
        is_index(&self.media_type)
    }
}

/// Operating system and processor.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// Go's name for the processor.
    pub architecture: String,
    /// Go's name for the operating system.
    pub os: String,
    /// Variant of the processor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl Platform {
    /// This machine.
    #[must_use]
    pub fn this() -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "x86" => "386",
            "aarch64" => "arm64",
            "powerpc64" => "ppc64le",
            "loongarch64" => "loong64",
            other => other,
        };
        Self { architecture: architecture.to_owned(), os: "linux".to_owned(), variant: None }
    }

    /// `os/architecture[/variant]`.
    #[must_use]
    pub fn text(&self) -> String {
        let variant = self.variant.as_deref().map(|v| format!("/{v}")).unwrap_or_default();
        format!("{}/{}{variant}", self.os, self.architecture)
    }

    fn fits(&self, machine: &Self) -> bool {
        self.os == machine.os && self.architecture == machine.architecture
    }

    /// Lower is better: the baseline variant of an architecture runs on every machine of it.
    fn rank(&self) -> u8 {
        match (self.architecture.as_str(), self.variant.as_deref()) {
            (_, None) | ("arm64", Some("v8")) | ("amd64", Some("v1")) | ("arm", Some("v7")) => 0,
            ("arm", Some("v6")) => 1,
            ("arm", Some("v5")) => 2,
            _ => 3,
        }
    }
}

/// An OCI image index or Docker manifest list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2.
    pub schema_version: u32,
    /// Media type of the index itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// Artifact type, when the index is an artifact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The entries.
    pub manifests: Vec<Descriptor>,
    /// Free text by key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl Index {
    /// Whether it is one of our packages.
    #[must_use]
    pub fn is_package(&self) -> bool {
        let annotated = self.annotations.get(ANNOTATION_TYPE).map(String::as_str);
        annotated.or(self.artifact_type.as_deref()) == Some(ARTIFACT_PACKAGE)
    }
}

/// An OCI image manifest or Docker image manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always 2.
    pub schema_version: u32,
    /// Media type of the manifest itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// Artifact type, when it is an artifact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The config blob.
    pub config: Descriptor,
    /// The layers, lowest first.
    pub layers: Vec<Descriptor>,
    /// Free text by key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// The part of an image config that deciding about an image needs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageConfig {
    /// Go's name for the processor.
    #[serde(default)]
    pub architecture: String,
    /// Go's name for the operating system.
    #[serde(default)]
    pub os: String,
    /// Variant of the processor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// Run settings.
    #[serde(default)]
    pub config: ImageRun,
    /// The unpacked layers.
    pub rootfs: Rootfs,
}

/// Run settings of an image: only its labels matter here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageRun {
    /// Labels; some tools write `null`.
    #[serde(default, rename = "Labels", skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, String>>,
}

/// The unpacked layers of an image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rootfs {
    /// Always `layers`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Digest of each uncompressed layer, lowest first.
    pub diff_ids: Vec<Digest>,
}

/// How a layer is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// A plain tar.
    None,
    /// RFC 1952; may have several members.
    Gzip,
    /// RFC 8878; may have several frames.
    Zstd,
}

/// One layer of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// Digest of the compressed bytes.
    pub digest: Digest,
    /// Number of compressed bytes, at most [`LAYER_BYTES_MAX`].
    pub size: u64,
    /// How it is compressed.
    pub compression: Compression,
    /// Digest of the uncompressed tar.
    pub diff_id: Digest,
}

/// An image: its manifest and config are verified, its layers are not yet read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Digest of the manifest.
    pub digest: Digest,
    /// Digest of the config.
    pub config_digest: Digest,
    /// The config, byte for byte.
    pub config_json: Vec<u8>,
    /// Annotations of the manifest.
    pub annotations: BTreeMap<String, String>,
    /// Lowest first, at most [`LAYERS_MAX`].
    pub layers: Vec<Layer>,
}

/// The SHA-256 of `bytes`.
#[must_use]
pub fn sha256(bytes: &[u8]) -> Digest {
    finish(Sha256::new_with_prefix(bytes))
}

/// The digest of a finished hash.
#[must_use]
pub fn finish(hash: Sha256) -> Digest {
    Digest::from_sha256(hash.finalize().into())
}

/// Whether the media type is that of an index or list.
#[must_use]
pub fn is_index(media_type: &str) -> bool {
    matches!(media_type, MEDIA_INDEX | MEDIA_DOCKER_LIST)
}

/// Whether the media type is that of an image manifest.
#[must_use]
pub fn is_manifest(media_type: &str) -> bool {
    matches!(media_type, MEDIA_MANIFEST | MEDIA_DOCKER_MANIFEST)
}

/// Parses an index or list.
pub fn parse_index(bytes: &[u8]) -> Result<Index, PackageError> {
    let what = "the image index";
    let index: Index = json::parse(limited(bytes, what)?, what)?;
    check_head(what, index.schema_version, index.media_type.as_deref(), is_index)?;
    if index.manifests.len() > INDEX_ENTRIES_MAX {
        return Err(PackageError::format(what, format!("it has more than {INDEX_ENTRIES_MAX} entries")));
    }
    index.manifests.iter().try_for_each(|d| check_descriptor(what, d))?;
    check_annotations(what, &index.annotations)?;
    Ok(index)
}

/// Parses an image manifest.
pub fn parse_image_manifest(bytes: &[u8]) -> Result<Manifest, PackageError> {
    let what = "the image manifest";
    let manifest: Manifest = json::parse(limited(bytes, what)?, what)?;
    check_head(what, manifest.schema_version, manifest.media_type.as_deref(), is_manifest)?;
    if manifest.layers.len() > LAYERS_MAX {
        return Err(PackageError::format(what, format!("it has more than {LAYERS_MAX} layers")));
    }
    check_descriptor(what, &manifest.config)?;
    manifest.layers.iter().try_for_each(|d| check_descriptor(what, d))?;
    check_annotations(what, &manifest.annotations)?;
    Ok(manifest)
}

/// Whether `bytes` are an index: by what they hold, because a layout's or registry's word for it is not verified.
pub fn looks_like_index(bytes: &[u8]) -> Result<bool, PackageError> {
    #[derive(Deserialize)]
    struct Probe {
        manifests: Option<serde::de::IgnoredAny>,
        config: Option<serde::de::IgnoredAny>,
        layers: Option<serde::de::IgnoredAny>,
    }
    let what = "the manifest";
    let probe: Probe = json::parse(limited(bytes, what)?, what)?;
    match (probe.manifests.is_some(), probe.config.is_some() || probe.layers.is_some()) {
        (true, false) => Ok(true),
        (false, true) => Ok(false),
        // One text that is both could be signed as one and installed as the other.
        _ => Err(PackageError::format(what, "it must be either an index or an image manifest")),
    }
}

/// Joins manifest and config to an image for `machine`. The bytes of both must be verified.
pub fn image(
    digest: &Digest,
    manifest: Manifest,
    config_json: Vec<u8>,
    machine: &Platform,
) -> Result<Image, PackageError> {
    let what = "the image";
    if !matches!(manifest.config.media_type.as_str(), MEDIA_CONFIG | MEDIA_DOCKER_CONFIG) {
        let reason = format!("'{}' is not a container image's config", shorten(&manifest.config.media_type));
        return Err(PackageError::format(what, reason));
    }
    let config = parse_image_config(&config_json)?;
    let offered = Platform { architecture: config.architecture, os: config.os, variant: config.variant };
    if !offered.fits(machine) {
        let what = format!("image {digest}");
        return Err(PackageError::Platform {
            what,
            wanted: machine.text(),
            offered: shorten(&offered.text()),
        });
    }
    let diff_ids = config.rootfs.diff_ids;
    if config.rootfs.kind != "layers" || diff_ids.len() != manifest.layers.len() {
        let reason = "the config must name one diff id for each layer of the manifest";
        return Err(PackageError::format(what, reason));
    }
    let layer = |(descriptor, diff_id): (&Descriptor, Digest)| {
        if descriptor.size > LAYER_BYTES_MAX {
            let what = format!("layer {}", descriptor.digest);
            return Err(PackageError::TooLarge { what, limit: LAYER_BYTES_MAX });
        }
        let compression = layer_compression(&descriptor.media_type)?;
        Ok(Layer { digest: descriptor.digest.clone(), size: descriptor.size, compression, diff_id })
    };
    let layers = manifest.layers.iter().zip(diff_ids).map(layer).collect::<Result<_, _>>()?;
    Ok(Image {
        digest: digest.clone(),
        config_digest: manifest.config.digest,
        config_json,
        annotations: manifest.annotations,
        layers,
    })
}

/// Parses an image config.
pub fn parse_image_config(bytes: &[u8]) -> Result<ImageConfig, PackageError> {
    let what = "the image config";
    json::parse(limited(bytes, what)?, what)
}

/// The entry of an index for this machine.
pub fn choose(index: &Index, machine: &Platform) -> Result<Descriptor, PackageError> {
    let images = || index.manifests.iter().filter(|d| is_manifest(&d.media_type));
    let fitting =
        images().filter_map(|d| d.platform.as_ref().filter(|p| p.fits(machine)).map(|p| (p.rank(), d)));
    if let Some((_, best)) = fitting.min_by_key(|(rank, _)| *rank) {
        return Ok(best.clone());
    }
    // An index of one image that names no platform: its config decides, when it is read.
    if let (Some(only), None) = (images().next(), images().nth(1))
        && only.platform.is_none()
    {
        return Ok(only.clone());
    }
    let mut offered: Vec<String> = images().filter_map(|d| d.platform.as_ref()).map(Platform::text).collect();
    offered.sort();
    offered.dedup();
    let offered = if offered.is_empty() { "no named platform".to_owned() } else { offered.join(", ") };
    let what = "the image index".to_owned();
    Err(PackageError::Platform { what, wanted: machine.text(), offered: shorten(&offered) })
}

/// The compression that a layer's media type says.
pub fn layer_compression(media_type: &str) -> Result<Compression, PackageError> {
    match media_type {
        "application/vnd.oci.image.layer.v1.tar" => Ok(Compression::None),
        "application/vnd.oci.image.layer.v1.tar+gzip"
        | "application/vnd.docker.image.rootfs.diff.tar.gzip" => Ok(Compression::Gzip),
        "application/vnd.oci.image.layer.v1.tar+zstd"
        | "application/vnd.docker.image.rootfs.diff.tar.zstd" => Ok(Compression::Zstd),
        other => {
            let reason = format!("layers of media type '{}' are not supported", shorten(other));
            Err(PackageError::format("the image manifest", reason))
        }
    }
}

/// A text from outside, cut so that it fits into a message.
#[must_use]
pub fn shorten(text: &str) -> String {
    const SHOWN_CHARS_MAX: usize = 120;
    let clean: String = text.chars().filter(|c| !c.is_control()).take(SHOWN_CHARS_MAX + 1).collect();
    if clean.chars().count() <= SHOWN_CHARS_MAX {
        return clean;
    }
    clean.chars().take(SHOWN_CHARS_MAX).chain(['…']).collect()
}

fn limited<'a>(bytes: &'a [u8], what: &str) -> Result<&'a [u8], PackageError> {
    if bytes.len() as u64 > MANIFEST_BYTES_MAX {
        return Err(PackageError::TooLarge { what: what.to_owned(), limit: MANIFEST_BYTES_MAX });
    }
    Ok(bytes)
}

fn check_head(
    what: &str,
    schema_version: u32,
    media_type: Option<&str>,
    fits: fn(&str) -> bool,
) -> Result<(), PackageError> {
    if schema_version != 2 {
        return Err(PackageError::format(what, format!("schema version {schema_version} is not 2")));
    }
    match media_type {
        Some(media_type) if !fits(media_type) => {
            Err(PackageError::format(what, format!("it calls itself '{}'", shorten(media_type))))
        }
        _ => Ok(()),
    }
}

fn check_descriptor(what: &str, descriptor: &Descriptor) -> Result<(), PackageError> {
    if descriptor.media_type.len() > 255 {
        return Err(PackageError::format(what, "a media type is longer than 255 bytes"));
    }
    check_annotations(what, &descriptor.annotations)
}

fn check_annotations(what: &str, annotations: &BTreeMap<String, String>) -> Result<(), PackageError> {
    if annotations.len() > ANNOTATIONS_MAX {
        return Err(PackageError::format(what, format!("it has more than {ANNOTATIONS_MAX} annotations")));
    }
    Ok(())
}
