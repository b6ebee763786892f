//! Our side, seen closely: the worker alone, one process per effect, as the daemon starts it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use scomo_core::effect::{Effect, EffectOk};
use scomo_core::id::PackageId;
use scomo_core::spec::{Content, Release};
use scomo_engine::worker::{Answer, Job, Line, Request};
use scomo_tests::disk::Disk;
use serde_json::{Value, json};

use super::usage::{self, Usage};

/// What bringing one version onto the device took.
#[derive(Debug, Clone, Copy, Default)]
pub struct Import {
    /// Finding it and reading its manifest.
    pub resolve: Usage,
    /// Downloading and unpacking; durable at the end.
    pub fetch: Usage,
    /// Preparing the start; durable at the end.
    pub stage: Usage,
    /// Bytes that reached the disk.
    pub written: u64,
}

impl Import {
    /// All of it.
    pub fn total(&self) -> Usage {
        self.resolve.then(self.fetch).then(self.stage)
    }
}

/// The worker with its configuration.
#[derive(Debug)]
pub struct Worker {
    program: PathBuf,
    config: Value,
}

impl Worker {
    /// One that keeps its data on the disk and reads unsigned images from `registry` over plain HTTP.
    pub fn new(disk: &Disk, runtime_dir: &Path, registry: &str) -> Result<Self> {
        let policy =
            json!({"source": format!("docker://{registry}"), "signature": "insecure-accept-unsigned"});
        let config = json!({
            "state_dir": disk.folder().join("state"),
            "runtime_dir": runtime_dir,
            "package": {"policies": [policy], "registries": {registry: {"plain_http": true}}},
            "container": {},
            "os": {},
        });
        Ok(Self { program: scomo_tests::executable("scomo-worker-container")?, config })
    }

    /// Brings an image onto the disk as the daemon does before it starts it.
    pub fn import(&self, disk: &Disk, image: &str) -> Result<Import> {
        disk.sync()?;
        let before = disk.bytes_written()?;
        let package = PackageId::new("bench").context("a package id")?;
        let (content, resolve) = self.resolve(package, &format!("docker://{image}"))?;
        let mut import = Import { resolve, ..Import::default() };
        for release in content.releases {
            import.fetch = import.fetch.then(self.fetch(&release)?);
            import.stage = import.stage.then(self.effect(Effect::Stage { release })?.1);
        }
        disk.sync()?;
        import.written = disk.bytes_written()?.saturating_sub(before);
        Ok(import)
    }

    fn resolve(&self, package: PackageId, source: &str) -> Result<(Content, Usage)> {
        match self.effect(Effect::Resolve { package, source: source.to_owned() })? {
            (EffectOk::Resolved { content }, usage) => Ok((content, usage)),
            (other, _) => bail!("the worker resolved, and says {other:?}"),
        }
    }

    fn fetch(&self, release: &Release) -> Result<Usage> {
        Ok(self.effect(Effect::Fetch { release: release.clone() })?.1)
    }

    fn effect(&self, effect: Effect) -> Result<(EffectOk, Usage)> {
        let job = Job { request: Request::Effect(effect), config: self.config.clone() };
        let input = serde_json::to_string(&job).context("cannot write the job")? + "\n";
        let (text, usage) = usage::measure(&mut Command::new(&self.program), &input)?;
        let last = text.lines().last().context("the worker wrote nothing")?;
        match serde_json::from_str::<Line>(last)
            .with_context(|| format!("not a line of the protocol: {last}"))?
        {
            Line::Outcome(Ok(Answer::Effect(done))) => Ok((done, usage)),
            other => bail!("the worker failed: {other:?}"),
        }
    }
}
