//! Packages made with our own builder.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use scomo_package::{Config, RegistryConfig, builder};
use serde_json::{Value, json};

use crate::keys::KeyPair;

/// A recipe for `scomoctl package build`.
#[derive(Debug, Clone)]
pub struct Recipe(Value);

impl Recipe {
    /// A package without components.
    #[must_use]
    pub fn new(id: &str, version: &str) -> Self {
        Self(json!({"id": id, "version": version, "components": []}))
    }

    /// Adds a container. `more` adds members such as `run` and `health`, or replaces any.
    #[must_use]
    pub fn container(self, id: &str, image: &str, more: &Value) -> Self {
        self.component(json!({"id": id, "image": image}), more)
    }

    /// Adds a set of files that are in `image`. `more` adds members such as `health`, or replaces any, such as `files`.
    #[must_use]
    pub fn files(self, id: &str, image: &str, more: &Value) -> Self {
        self.component(json!({"id": id, "image": image, "files": {}}), more)
    }

    /// Adds an OS.
    #[must_use]
    pub fn os(self, id: &str, url: &str, commit: &str) -> Self {
        let os = json!({"url": url, "ref": crate::ostree::BRANCH, "commit": commit});
        self.component(json!({"id": id, "os": os}), &json!({}))
    }

    fn component(mut self, mut component: Value, more: &Value) -> Self {
        let version = self.0.get("version").cloned().unwrap_or_default();
        if let (Some(members), Some(more)) = (component.as_object_mut(), more.as_object()) {
            members.insert("version".to_owned(), version);
            members.extend(more.clone());
        }
        if let Some(components) = self.0.get_mut("components").and_then(Value::as_array_mut) {
            components.push(component);
        }
        self
    }

    /// Builds the package into `output`: a layout folder, or an archive when the name ends in `.scomo`.
    pub fn build(&self, output: &Path) -> Result<Built> {
        let recipe = builder::parse_recipe(&self.0.to_string())?;
        let options = builder::BuildOptions { output: output.to_owned(), ..builder::BuildOptions::default() };
        builder::build(&Config::default(), &recipe, &options)?;
        let scheme = if output.extension().is_some_and(|e| e == "scomo") { "file" } else { "oci" };
        Ok(Built { source: format!("{scheme}:{}", text(output)?), path: output.to_owned() })
    }
}

/// A package that was built.
#[derive(Debug, Clone)]
pub struct Built {
    /// The source by which the device installs it.
    pub source: String,
    /// The layout or archive.
    pub path: PathBuf,
}

impl Built {
    /// Signs it where it is.
    pub fn sign(&self, key: &KeyPair) -> Result<()> {
        builder::sign(&Config::default(), &self.source, &key.private, &builder::SignOptions::default())?;
        Ok(())
    }

    /// Copies it with its signatures to `target`, for example `docker://127.0.0.1:5000/app:1`.
    pub fn push(&self, config: &Config, target: &str) -> Result<()> {
        builder::push(config, &self.source, target)?;
        Ok(())
    }
}

/// How to reach a registry on loopback over plain HTTP.
#[must_use]
pub fn plain_http(registry: &str) -> Config {
    let mut config = Config::default();
    let reach = RegistryConfig { plain_http: true, ..RegistryConfig::default() };
    config.registries.insert(registry.to_owned(), reach);
    config
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("the path {} is not UTF-8", path.display()))
}
