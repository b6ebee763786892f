//! From a source to verified, pinned [`Content`].
//!
//! The order matters: the signature is checked over the digest of what the source names before anything it refers to
//! is read, and everything below is reached by digest from there.

use scomo_core::id::{ComponentId, Digest, PackageId, ReleaseId};
use scomo_core::spec::{
    ComponentKind, ComponentSpec, Content, FilesSpec, Metadata, PackageManifest, Payload, Release, RunSpec,
};

use crate::error::PackageError;
use crate::json;
use crate::oci::{self, ARTIFACT_PACKAGE, Index, MEDIA_PACKAGE, Platform};
use crate::policy::Verified;
use crate::repository::{RawManifest, Repository, read_small};
use crate::sources::Source;

/// Reads what a verified root holds. `source` is the text that each release keeps.
pub(crate) fn read(
    repository: &mut dyn Repository,
    verified: &Verified,
    parsed: &Source,
    source: &str,
) -> Result<Content, PackageError> {
    let root = verified.root();
    let manifest = read_manifest(repository, root, parsed)?;
    let components = manifest.check().map_err(PackageError::Manifest)?;
    let release = |spec: &ComponentSpec| {
        let id = release_id(spec)?;
        Ok(Release { id, spec: spec.clone(), source: source.to_owned(), size: 0 })
    };
    let releases = components.into_iter().map(release).collect::<Result<_, PackageError>>()?;
    let (digest, signed_by) = (root.digest.clone(), verified.signed_by().to_owned());
    Ok(Content { digest, signed_by, info: manifest.info(), releases })
}

/// The package manifest that `root` leads to, or one made up for a plain image. Limits are not yet checked.
pub(crate) fn read_manifest(
    repository: &mut dyn Repository,
    root: &RawManifest,
    parsed: &Source,
) -> Result<PackageManifest, PackageError> {
    if !oci::looks_like_index(&root.bytes)? {
        return plain_image(repository, root, parsed);
    }
    let index = oci::parse_index(&root.bytes)?;
    if index.is_package() {
        return package(repository, &index);
    }
    let chosen = oci::choose(&index, &Platform::this())?;
    let image = repository.manifest(&chosen.digest)?;
    plain_image(repository, &image, parsed)
}

/// [`ReleaseId::of`] with an error of this crate.
pub(crate) fn release_id(spec: &ComponentSpec) -> Result<ReleaseId, PackageError> {
    ReleaseId::of(spec).map_err(|source| PackageError::Json { what: "the component".to_owned(), source })
}

/// Parses the package manifest and checks every limit of it. Pure; made for fuzzing too.
pub fn parse_manifest(bytes: &[u8]) -> Result<PackageManifest, PackageError> {
    let what = "the package manifest";
    if bytes.len() as u64 > oci::MANIFEST_BYTES_MAX {
        return Err(PackageError::TooLarge { what: what.to_owned(), limit: oci::MANIFEST_BYTES_MAX });
    }
    let manifest: PackageManifest = json::parse(bytes, what)?;
    manifest.check().map_err(PackageError::Manifest)?;
    Ok(manifest)
}

fn package(repository: &mut dyn Repository, index: &Index) -> Result<PackageManifest, PackageError> {
    let what = "the package index";
    let first = index.manifests.first().ok_or_else(|| PackageError::format(what, "it has no entry"))?;
    let artifact = oci::parse_image_manifest(&repository.manifest(&first.digest)?.bytes)?;
    if artifact.artifact_type.as_deref() != Some(ARTIFACT_PACKAGE) {
        return Err(PackageError::format(what, "its first entry must be the package's artifact manifest"));
    }
    if artifact.config.media_type != MEDIA_PACKAGE {
        let found = oci::shorten(&artifact.config.media_type);
        return Err(PackageError::format(what, format!("its config is '{found}', not '{MEDIA_PACKAGE}'")));
    }
    let manifest = parse_manifest(&read_small(repository, &artifact.config, "the package manifest")?)?;
    manifest.components.iter().try_for_each(|component| check_payload(component, index))?;
    Ok(manifest)
}

/// A payload must be in the index: only then do tools that copy the package by its index copy the payload too.
fn check_payload(component: &ComponentSpec, index: &Index) -> Result<(), PackageError> {
    let what = format!("component '{}'", component.id);
    match &component.payload {
        Payload::Image { digest, size } => {
            let mut images = index.manifests.iter().skip(1);
            let Some(entry) = images.find(|d| d.digest == *digest) else {
                return Err(PackageError::format(what, format!("its payload {digest} is not in the index")));
            };
            if entry.size != *size || !oci::is_manifest(&entry.media_type) {
                return Err(PackageError::format(what, "its payload and the index disagree on size or type"));
            }
            Ok(())
        }
        Payload::Ostree { url, ref_name, commit } => {
            let query = if ref_name.is_empty() { String::new() } else { format!("ref={ref_name}&") };
            match Source::parse(&format!("ostree+{url}?{query}commit={commit}")) {
                Ok(_) => Ok(()),
                Err(error) => Err(PackageError::format(what, error.to_string())),
            }
        }
    }
}

/// A package of one container component made from what an image says about itself.
fn plain_image(
    repository: &mut dyn Repository,
    raw: &RawManifest,
    parsed: &Source,
) -> Result<PackageManifest, PackageError> {
    let image = read_image(repository, &raw.digest, &Platform::this())?;
    let config = oci::parse_image_config(&image.config_json)?;
    let labels = config.config.labels.unwrap_or_default();
    let label =
        |key: &str| labels.get(key).or_else(|| image.annotations.get(key)).cloned().unwrap_or_default();
    let text = |key: &str| cut(label(key));
    let title = label("org.opencontainers.image.title");
    let (named, tag) = match parsed {
        Source::Registry { repository, tag, .. } => {
            (repository.rsplit('/').next().unwrap_or_default().to_owned(), tag.clone())
        }
        Source::Layout { name, .. } => (String::new(), name.clone()),
        Source::Archive { .. } | Source::Ostree { .. } => (String::new(), None),
    };
    // A repository keeps its name; a folder on a stick does not, so there the image's own title comes first.
    let names = [named, title, repository.default_name()];
    let id = names.iter().find_map(|n| ComponentId::new(n.trim()).ok());
    let id =
        id.ok_or_else(|| PackageError::format("the image", "neither it nor its source has a usable name"))?;
    // Labels are inherited from base images, so a tag that says something stands above the version label.
    let version = match tag {
        Some(tag) if tag != "latest" => tag,
        _ => text("org.opencontainers.image.version"),
    };
    let metadata = Metadata {
        license: text("org.opencontainers.image.licenses"),
        manufacturer: text("org.opencontainers.image.vendor"),
        creator: text("org.opencontainers.image.authors"),
        creation_date: text("org.opencontainers.image.created"),
        ..Metadata::default()
    };
    let description = text("org.opencontainers.image.description");
    let package =
        PackageId::new(id.as_str()).map_err(|e| PackageError::format("the image", e.to_string()))?;
    let component = ComponentSpec {
        id,
        name: String::new(),
        version: version.clone(),
        kind: ComponentKind::Container,
        payload: Payload::Image { digest: raw.digest.clone(), size: raw.bytes.len() as u64 },
        requires: Vec::new(),
        description: description.clone(),
        env_type: String::new(),
        metadata: metadata.clone(),
        run: RunSpec::default(),
        files: FilesSpec::default(),
        health: None,
    };
    Ok(PackageManifest {
        schema_version: 1,
        id: package,
        name: String::new(),
        version,
        description,
        env_type: String::new(),
        metadata,
        components: vec![component],
    })
}

/// Manifest and config of one image, both verified.
pub(crate) fn read_image(
    repository: &mut dyn Repository,
    digest: &Digest,
    machine: &Platform,
) -> Result<oci::Image, PackageError> {
    let raw = repository.manifest(digest)?;
    if oci::looks_like_index(&raw.bytes)? {
        return Err(PackageError::format(
            format!("payload {digest}"),
            "it is an index, not an image manifest",
        ));
    }
    let manifest = oci::parse_image_manifest(&raw.bytes)?;
    let config = read_small(repository, &manifest.config, "the image config")?;
    oci::image(&raw.digest, manifest, config, machine)
}

/// A label is for people here: cut rather than refused, because images are not made for us.
fn cut(mut text: String) -> String {
    const LABEL_BYTES_MAX: usize = 1024;
    if text.len() > LABEL_BYTES_MAX {
        let end = (0..=LABEL_BYTES_MAX).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0);
        text.truncate(end);
    }
    text
}
