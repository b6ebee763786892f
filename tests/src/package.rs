//! Packages made as users make them: with `scomoctl package`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::process;

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

    /// Writes it where people write theirs, as YAML: JSON is a part of YAML.
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(&self.0).context("cannot write the recipe")?;
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Builds the package into `output`: a layout folder, or an archive when the name ends in `.scomo`.
    pub fn build(&self, output: &Path) -> Result<Built> {
        let recipe = output.with_extension("yaml");
        self.write(&recipe)?;
        scomoctl(&["package", "build", text(&recipe)?, "--output", text(output)?])?;
        let source = if output.extension().is_some_and(|e| e == "scomo") { "file" } else { "oci" };
        Ok(Built { source: format!("{source}:{}", text(output)?), path: output.to_owned() })
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
    pub fn sign(&self, private_key: &Path) -> Result<()> {
        scomoctl(&["package", "sign", &self.source, "--key", text(private_key)?])?;
        Ok(())
    }

    /// Copies it with its signatures to `target`, for example `docker://127.0.0.1:5000/app:1`. `config` says how to
    /// reach the registry.
    pub fn push(&self, target: &str, config: &Path) -> Result<()> {
        scomoctl(&["package", "push", &self.source, target, "--config", text(config)?])?;
        Ok(())
    }
}

/// Runs scomoctl, without a daemon.
pub fn scomoctl(args: &[&str]) -> Result<String> {
    process::output(Command::new(crate::executable("scomoctl")?).args(args))
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("the path {} is not UTF-8", path.display()))
}
