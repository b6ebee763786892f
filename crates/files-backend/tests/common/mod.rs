//! A device with the file set backend, and packages for it.
#![allow(dead_code, clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::path::{Path, PathBuf};

use scomo_core::effect::Target;
use scomo_core::failure::FailureKind;
use scomo_core::id::PackageId;
use scomo_core::spec::{ComponentKind, Release};
use scomo_engine::backend::{Backend, BackendError, StepCx, chain};
use scomo_engine::conformance::ProcessBackend;
use scomo_engine::worker::WorkerCommand;
use scomo_files_backend::{FilesBackend, Settings};
use scomo_tests::image::{Archive, Compression, Layout};
use scomo_tests::package::Recipe;
use serde_json::{Value, json};

/// The component of most tests.
pub const COMPONENT: &str = "certificates";

/// Leaves the test when it is not run by root.
#[macro_export]
macro_rules! needs_root {
    () => {
        let name = std::thread::current().name().unwrap_or("a test").to_owned();
        if !scomo_tests::needs_root(&name) {
            return;
        }
    };
}

/// A device: folders that go away, and a backend.
pub struct Device {
    pub folder: tempfile::TempDir,
    pub config: Value,
    packages: usize,
}

impl Device {
    pub fn new() -> Self {
        Self::with(&json!({}))
    }

    /// A device with these settings of the section `files`.
    pub fn with(files: &Value) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let config = json!({
            "state_dir": folder.path().join("state"), "runtime_dir": folder.path().join("run"),
            "package": {"policies": [{"source": "", "signature": "insecure-accept-unsigned"}], "reserve_bytes": 1024 * 1024},
            "files": files,
        });
        Self { folder, config, packages: 0 }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn backend(&self) -> FilesBackend {
        FilesBackend::new(Settings::from_job(self.config.clone()).expect("settings"))
    }

    /// The same through worker processes.
    pub fn worker(&self) -> ProcessBackend {
        let worker = WorkerCommand::new(env!("CARGO_BIN_EXE_scomo-worker-files"));
        ProcessBackend::new(worker, ComponentKind::Files, self.config.clone())
    }

    /// The link that says which files are in place.
    pub fn link(&self) -> PathBuf {
        self.path("state/files").join(COMPONENT)
    }

    /// Builds a package of one file set whose archive `fill` writes; gives its source. `more` are members of the recipe.
    pub fn package(
        &mut self,
        version: &str,
        more: &Value,
        fill: impl FnOnce(&mut Archive<'_>) -> anyhow::Result<()>,
    ) -> String {
        self.packages += 1;
        let images = self.path(&format!("images-{}", self.packages));
        let mut layout = Layout::create(&images).expect("layout");
        let layer = layout.layer(Compression::Zstd, fill).expect("layer");
        layout.image("files", &[layer], &json!({})).expect("image");
        let output = self.path(&format!("package-{}", self.packages));
        let recipe = Recipe::new("test", version);
        let recipe = recipe.files(COMPONENT, &format!("oci:{}:files", images.display()), more);
        recipe.build(&output).expect("package").source
    }

    /// A release whose files `a` and `b` hold its version.
    pub fn release(&mut self, version: &str, more: &Value) -> Release {
        let source = self.package(version, more, |archive| {
            archive.file("a", version.as_bytes(), 0o644)?;
            archive.file("b", version.as_bytes(), 0o644)
        });
        self.resolve(&source)
    }

    pub fn resolve(&self, source: &str) -> Release {
        let package = PackageId::new("test").expect("id");
        let content = ok("resolve", self.backend().resolve(&package, source, &StepCx::detached()));
        content.releases[0].clone()
    }

    pub fn prepare(&self, release: &Release) {
        ok("fetch", self.backend().fetch(release, &StepCx::detached()));
        ok("stage", self.backend().stage(release, &StepCx::detached()));
    }

    pub fn try_activate(&self, release: &Release) -> Result<bool, BackendError> {
        self.backend().switch(&release.spec.id, &Target::Active(release.clone()), &StepCx::detached())
    }

    /// Fetches, stages and switches to a release.
    pub fn put(&self, release: &Release) {
        self.prepare(release);
        assert!(!ok("switch", self.try_activate(release)), "files need no reboot");
    }

    pub fn runs(&self, release: &Release) -> bool {
        ok("observe", self.backend().observe()).running.contains(&release.id)
    }

    /// The version that is seen through a link; `None`: there is none.
    pub fn seen(&self, link: &Path) -> Option<String> {
        fs::read_to_string(link.join("a")).ok()
    }
}

/// The value of a step that must succeed.
#[track_caller]
pub fn ok<T>(step: &str, result: Result<T, BackendError>) -> T {
    result.unwrap_or_else(|e| panic!("{step} failed ({}): {}", e.kind.as_str(), chain(&e)))
}

/// The kind and words of a step that must fail.
#[track_caller]
pub fn failed<T: std::fmt::Debug>(result: Result<T, BackendError>) -> (FailureKind, String) {
    let error = result.expect_err("it must fail");
    (error.kind, chain(&error))
}

/// Every file, folder and link below a folder.
pub fn listing(folder: &Path) -> Vec<String> {
    fn walk(folder: &Path, base: &Path, found: &mut Vec<String>) {
        let Ok(entries) = fs::read_dir(folder) else { return };
        for path in entries.flatten().map(|entry| entry.path()) {
            found.push(path.strip_prefix(base).expect("below").to_string_lossy().into_owned());
            if path.is_dir() && !path.is_symlink() {
                walk(&path, base, found);
            }
        }
    }
    let mut found = Vec::new();
    walk(folder, folder, &mut found);
    found.sort();
    found
}
