//! From a recipe to a layout or archive.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use scomo_core::id::Digest;
use scomo_core::spec::{ComponentKind, ComponentSpec, PackageManifest, Payload};
use serde::Serialize;

use super::bundle::Bundle;
use super::recipe::{ComponentRecipe, Recipe, platform};
use super::rootfs::{self, RootfsOptions};
use super::write::{self, LayoutWriter, failed, new_index, sync_dir, to_json};
use crate::config::Config;
use crate::error::PackageError;
use crate::layout::Layout;
use crate::oci::{
    self, ANNOTATION_REF, ANNOTATION_TYPE, ARTIFACT_PACKAGE, Compression, Descriptor, MEDIA_PACKAGE,
    Manifest, Platform,
};
use crate::sources::Source;

/// Two bytes that stand where a manifest must have a layer and there is none.
const EMPTY: &[u8] = b"{}";

/// How to build.
#[derive(Debug, Clone, Default)]
pub struct BuildOptions {
    /// Folder that relative paths of the recipe start from.
    pub base: PathBuf,
    /// Where the result goes: a `.scomo` file, or else a layout folder. It must not exist.
    pub output: PathBuf,
    /// Compress an archive as a whole with zstd. Pays only for uncompressed layers.
    pub zstd: bool,
    /// Time stamp of files from a `rootfs`, in seconds since the epoch; zero is a good choice.
    pub epoch_s: u64,
}

/// What was built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Built {
    /// Digest of the package: what is signed and pinned.
    pub digest: Digest,
    /// The name it has in the layout.
    pub name: String,
    /// Where it is.
    pub output: PathBuf,
    /// Bytes of all its parts.
    pub size: u64,
}

/// Builds a package. `config` says how to reach registries; signatures of what goes into a package are not checked,
/// because whoever signs the package vouches for all of it.
pub fn build(config: &Config, recipe: &Recipe, options: &BuildOptions) -> Result<Built, PackageError> {
    let output = &options.output;
    if output.exists() {
        return Err(PackageError::Recipe(format!(
            "{} exists; remove it or choose another name",
            output.display()
        )));
    }
    let folder = output.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let scratch =
        tempfile::Builder::new().prefix(".scomo-build-").tempdir_in(folder).map_err(failed(folder))?;
    let writer = LayoutWriter::create(scratch.path())?;
    let (entry, name) = assemble(config, recipe, options, &writer)?;
    let index = new_index(vec![entry.clone()]);
    writer.set_index(&index)?;
    // Reading back what was written verifies every digest once, and finds what is missing before anybody else does.
    let mut layout = Layout::open(scratch.path(), None)?;
    let bundle = Bundle::collect(&mut layout, index)?;
    let size = bundle.small().map(|(_, b)| b.len() as u64).chain(bundle.large().map(|(_, size)| size)).sum();
    if output.extension().is_some_and(|e| e == "scomo") {
        write::write_archive(&mut layout, &bundle, output, options.zstd)?;
    } else {
        sync_dir(&scratch.path().join("blobs/sha256"))?;
        sync_dir(scratch.path())?;
        open_up(scratch.path())?;
        fs::rename(scratch.keep(), output).map_err(failed(output))?;
    }
    sync_dir(folder)?;
    Ok(Built { digest: entry.digest, name, output: output.clone(), size })
}

/// Temporary folders are private; a layout is for everybody.
fn open_up(path: &Path) -> Result<(), PackageError> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).map_err(failed(path))
}

/// Writes all blobs; gives the package's entry for `index.json` and its name.
fn assemble(
    config: &Config,
    recipe: &Recipe,
    options: &BuildOptions,
    writer: &LayoutWriter,
) -> Result<(Descriptor, String), PackageError> {
    let machine = platform(recipe)?;
    let mut images: Vec<Descriptor> = Vec::new();
    let mut components = Vec::new();
    for component in &recipe.components {
        let payload = match (&component.os, &component.image, &component.rootfs) {
            (Some(os), None, None) => Payload::Ostree {
                url: os.url.clone(),
                ref_name: os.ref_name.clone(),
                commit: os.commit.clone(),
            },
            (None, Some(image), None) => {
                image_payload(config, image, options, &machine, writer, &mut images)?
            }
            (None, None, Some(rootfs)) => {
                rootfs_payload(component, rootfs, options, &machine, writer, &mut images)?
            }
            _ => return Err(PackageError::Recipe(format!("component '{}' needs one payload", component.id))),
        };
        components.push(spec(component, payload));
    }
    let manifest = PackageManifest {
        schema_version: 1,
        id: recipe.id.clone(),
        name: recipe.name.clone(),
        version: recipe.version.clone(),
        description: recipe.description.clone(),
        env_type: recipe.env_type.clone(),
        metadata: recipe.metadata.clone(),
        components,
    };
    manifest.check().map_err(PackageError::Manifest)?;
    let mut entries = vec![artifact(&manifest, writer)?];
    entries.extend(images);
    let mut index = new_index(entries);
    index.annotations.insert(ANNOTATION_TYPE.to_owned(), ARTIFACT_PACKAGE.to_owned());
    let index = to_json(&index)?;
    oci::parse_index(&index)?;
    writer.put(&index)?;
    let name = layout_name(&recipe.version);
    let mut entry = Descriptor::new(oci::MEDIA_INDEX, &index);
    entry.artifact_type = Some(ARTIFACT_PACKAGE.to_owned());
    entry.annotations.insert(ANNOTATION_REF.to_owned(), name.clone());
    Ok((entry, name))
}

/// The artifact manifest whose config is the package manifest.
fn artifact(manifest: &PackageManifest, writer: &LayoutWriter) -> Result<Descriptor, PackageError> {
    let config = to_json(manifest)?;
    writer.put(&config)?;
    writer.put(EMPTY)?;
    let artifact = Manifest {
        schema_version: 2,
        media_type: Some(oci::MEDIA_MANIFEST.to_owned()),
        artifact_type: Some(ARTIFACT_PACKAGE.to_owned()),
        config: Descriptor::new(MEDIA_PACKAGE, &config),
        layers: vec![Descriptor::new(oci::MEDIA_EMPTY, EMPTY)],
        annotations: BTreeMap::new(),
    };
    let artifact = to_json(&artifact)?;
    writer.put(&artifact)?;
    Ok(Descriptor::new(oci::MEDIA_MANIFEST, &artifact))
}

fn image_payload(
    config: &Config,
    image: &str,
    options: &BuildOptions,
    machine: &Platform,
    writer: &LayoutWriter,
    images: &mut Vec<Descriptor>,
) -> Result<Payload, PackageError> {
    let source = absolute(image, &options.base);
    let parsed = Source::parse(&source)?;
    let mut repository = crate::repository(config, &parsed, &source)?;
    let root = repository.root()?;
    let digest = if oci::looks_like_index(&root.bytes)? {
        let index = oci::parse_index(&root.bytes)?;
        if index.is_package() {
            return Err(PackageError::Recipe(format!("{image} is a package, not an image")));
        }
        oci::choose(&index, machine)?.digest
    } else {
        root.digest
    };
    // Everything a device would refuse is refused here, on the workstation.
    crate::content::read_image(repository.as_mut(), &digest, machine)?;
    let raw = repository.manifest(&digest)?;
    let entry = Descriptor::new(oci::MEDIA_MANIFEST, &raw.bytes);
    let mut bundle = Bundle::new(new_index(Vec::new()));
    bundle.add(repository.as_mut(), &entry)?;
    write::write_layout(repository.as_mut(), &bundle, writer)?;
    let (found, _) =
        bundle.manifests.first().ok_or_else(|| PackageError::missing(format!("manifest {digest}")))?;
    Ok(add_image(images, found.clone(), machine))
}

fn rootfs_payload(
    component: &ComponentRecipe,
    rootfs: &str,
    options: &BuildOptions,
    machine: &Platform,
    writer: &LayoutWriter,
    images: &mut Vec<Descriptor>,
) -> Result<Payload, PackageError> {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Run<'a> {
        #[serde(skip_serializing_if = "<[String]>::is_empty")]
        cmd: &'a [String],
    }
    #[derive(Serialize)]
    struct Config<'a> {
        architecture: &'a str,
        os: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        variant: Option<&'a str>,
        config: Run<'a>,
        rootfs: oci::Rootfs,
    }
    let layer_options = RootfsOptions {
        compression: component.compression.unwrap_or(Compression::Zstd),
        keep_owners: component.keep_owners,
        epoch_s: options.epoch_s,
    };
    let layer = rootfs::layer(writer, &options.base.join(rootfs), layer_options)?;
    let config = to_json(&Config {
        architecture: &machine.architecture,
        os: &machine.os,
        variant: machine.variant.as_deref(),
        config: Run { cmd: &component.run.args },
        rootfs: oci::Rootfs { kind: "layers".to_owned(), diff_ids: vec![layer.diff_id] },
    })?;
    writer.put(&config)?;
    let manifest = to_json(&Manifest {
        schema_version: 2,
        media_type: Some(oci::MEDIA_MANIFEST.to_owned()),
        artifact_type: None,
        config: Descriptor::new(oci::MEDIA_CONFIG, &config),
        layers: vec![layer.descriptor],
        annotations: BTreeMap::new(),
    })?;
    writer.put(&manifest)?;
    Ok(add_image(images, Descriptor::new(oci::MEDIA_MANIFEST, &manifest), machine))
}

/// Puts an image into the index once, however many components run it.
fn add_image(images: &mut Vec<Descriptor>, mut entry: Descriptor, machine: &Platform) -> Payload {
    let payload = Payload::Image { digest: entry.digest.clone(), size: entry.size };
    entry.platform = Some(machine.clone());
    entry.annotations.clear();
    if !images.iter().any(|image| image.digest == entry.digest) {
        images.push(entry);
    }
    payload
}

fn spec(component: &ComponentRecipe, payload: Payload) -> ComponentSpec {
    let kind = match (&component.os, &component.files) {
        (Some(_), _) => ComponentKind::Os,
        (None, Some(_)) => ComponentKind::Files,
        (None, None) => ComponentKind::Container,
    };
    ComponentSpec {
        id: component.id.clone(),
        name: component.name.clone(),
        version: component.version.clone(),
        kind,
        payload,
        requires: component.requires.clone(),
        description: component.description.clone(),
        env_type: component.env_type.clone(),
        metadata: component.metadata.clone(),
        run: component.run.clone(),
        files: component.files.clone().unwrap_or_default(),
        health: component.health.clone(),
    }
}

/// A source with relative paths made absolute.
fn absolute(source: &str, base: &Path) -> String {
    let join = |path: &str| {
        let base = std::path::absolute(base).unwrap_or_else(|_| base.to_owned());
        let path = path.strip_prefix("./").unwrap_or(path);
        base.join(path).display().to_string()
    };
    if let Some(rest) = source.strip_prefix("oci:") {
        return format!("oci:{}", join(rest));
    }
    if source.ends_with(".scomo") && !source.contains("://") {
        return join(source.strip_prefix("file:").unwrap_or(source));
    }
    source.to_owned()
}

/// The version as a ref, with what no tag may hold replaced.
fn layout_name(version: &str) -> String {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let name: String = version.chars().map(|c| if good(c) { c } else { '_' }).take(128).collect();
    if name.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_') { name } else { "latest".to_owned() }
}
