//! The YAML file that describes a package.
//!
//! ```yaml
//! id: com.example.gateway          # names the package; the same across versions
//! version: "2.0.1"
//! platform: linux/arm64            # optional; default: the machine that builds
//! components:
//!   - id: os
//!     version: "12.4"
//!     os: { url: "https://updates.example.com/repo", ref: stable, commit: 0123…cdef }
//!   - id: web
//!     version: "1.8"
//!     image: docker://registry.example.com/web:1.8      # or oci:./layout:ref, or ./image.scomo
//!     requires: [os]
//!     run: { network: host, env: { MODE: fast }, mounts: [{ source: data, target: /data }] }
//!     health: { command: [/bin/check], windowS: 20 }
//!   - id: tool
//!     rootfs: ./tool-rootfs        # a folder that becomes an image of one layer
//!     compression: gzip            # zstd (default), gzip or none
//!     run: { args: [/bin/tool] }
//!   - id: certificates
//!     folder: ./certificates       # another name for rootfs
//!     files: { path: /etc/ssl/scomo/web, reload: [nginx] }      # not a container but a file set; `{}` is enough
//! ```
//!
//! Paths are relative to the file. Members that are not listed here are errors; `run`, `files`, `health` and
//! `metadata` have the members of [`RunSpec`], [`FilesSpec`], [`HealthCheck`] and [`Metadata`].

use scomo_core::id::{ComponentId, PackageId};
use scomo_core::requirement::Requirement;
use scomo_core::spec::{FilesSpec, HealthCheck, Metadata, RunSpec};
use serde::Deserialize;

use crate::error::PackageError;
use crate::oci::{Compression, Platform};

/// A package to build.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Recipe {
    /// The package's name; the same across versions.
    pub id: PackageId,
    /// For people.
    #[serde(default)]
    pub name: String,
    /// For people; also the name of the package in the layout, where it has a fit form.
    #[serde(default)]
    pub version: String,
    /// For people.
    #[serde(default)]
    pub description: String,
    /// SCOMO `EnvType`.
    #[serde(default)]
    pub env_type: String,
    /// `os/architecture` of its images; None: the machine that builds.
    #[serde(default)]
    pub platform: Option<String>,
    /// SCOMO `MetaData`.
    #[serde(default)]
    pub metadata: Metadata,
    /// The components.
    pub components: Vec<ComponentRecipe>,
}

/// A component to build: exactly one of `image`, `rootfs` and `os` says where its payload comes from.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ComponentRecipe {
    /// The component's name; the same across versions.
    pub id: ComponentId,
    /// For people.
    #[serde(default)]
    pub name: String,
    /// SCOMO `Version`.
    #[serde(default)]
    pub version: String,
    /// For people.
    #[serde(default)]
    pub description: String,
    /// SCOMO `EnvType`.
    #[serde(default)]
    pub env_type: String,
    /// SCOMO `MetaData`.
    #[serde(default)]
    pub metadata: Metadata,
    /// Components that must be active before this one: `id` or `id>=version`.
    #[serde(default)]
    pub requires: Vec<Requirement>,
    /// An existing image: any source of this crate; `oci:` and `.scomo` paths may be relative.
    #[serde(default)]
    pub image: Option<String>,
    /// A folder that becomes an image of one layer.
    #[serde(default, alias = "folder")]
    pub rootfs: Option<String>,
    /// How the layer of `rootfs` is compressed; default zstd.
    #[serde(default)]
    pub compression: Option<Compression>,
    /// Keep the owners of the files of `rootfs`; default: everything belongs to root.
    #[serde(default)]
    pub keep_owners: bool,
    /// An OSTree commit.
    #[serde(default)]
    pub os: Option<OsRecipe>,
    /// How the container runs.
    #[serde(default)]
    pub run: RunSpec,
    /// Makes it a file set, and says how it shows up on the host.
    #[serde(default)]
    pub files: Option<FilesSpec>,
    /// When it counts as healthy.
    #[serde(default)]
    pub health: Option<HealthCheck>,
}

/// Where an OS component is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OsRecipe {
    /// URL of the OSTree repository as the device reaches it.
    pub url: String,
    /// The branch.
    #[serde(default, rename = "ref")]
    pub ref_name: String,
    /// The commit checksum.
    pub commit: String,
}

/// Parses the YAML text of a recipe. Pure.
pub fn parse_recipe(text: &str) -> Result<Recipe, PackageError> {
    let recipe: Recipe = serde_saphyr::from_str(text).map_err(|e| PackageError::Recipe(e.to_string()))?;
    for component in &recipe.components {
        let payloads = [component.image.is_some(), component.rootfs.is_some(), component.os.is_some()];
        if payloads.iter().filter(|given| **given).count() != 1 {
            let id = &component.id;
            let reason = format!("component '{id}' needs exactly one of 'image', 'rootfs' and 'os'");
            return Err(PackageError::Recipe(reason));
        }
        if component.rootfs.is_none() && (component.compression.is_some() || component.keep_owners) {
            let reason =
                format!("component '{}': 'compression' and 'keepOwners' go with 'rootfs'", component.id);
            return Err(PackageError::Recipe(reason));
        }
    }
    recipe.components.iter().try_for_each(check_files)?;
    Ok(recipe)
}

fn check_files(component: &ComponentRecipe) -> Result<(), PackageError> {
    let id = &component.id;
    let refused = |reason: String| Err(PackageError::Recipe(reason));
    match &component.files {
        Some(_) if component.os.is_some() => {
            refused(format!("component '{id}' cannot be 'os' and 'files' at once"))
        }
        Some(_) if !component.run.is_default() => {
            refused(format!("component '{id}' has 'files' and is no container: 'run' does not go with it"))
        }
        _ => Ok(()),
    }
}

/// The platform that a recipe names.
pub(crate) fn platform(recipe: &Recipe) -> Result<Platform, PackageError> {
    let Some(text) = &recipe.platform else {
        return Ok(Platform::this());
    };
    let mut parts = text.split('/');
    let (os, architecture, variant) = (parts.next(), parts.next(), parts.next());
    match (os, architecture, parts.next()) {
        (Some(os), Some(architecture), None) if !os.is_empty() && !architecture.is_empty() => Ok(Platform {
            architecture: architecture.to_owned(),
            os: os.to_owned(),
            variant: variant.map(str::to_owned),
        }),
        _ => Err(PackageError::Recipe(format!(
            "platform '{text}' is not os/architecture, for example linux/arm64"
        ))),
    }
}
