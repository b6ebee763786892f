//! Repositories, sysroots and devices for tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use scomo_core::effect::{Progress, Target};
use scomo_core::failure::FailureKind;
use scomo_core::id::{PackageId, ReleaseId};
use scomo_core::spec::{ComponentKind, Content, Release};
use scomo_engine::backend::{Backend, BackendError, StepCx, chain};
use scomo_engine::conformance::ProcessBackend;
use scomo_engine::worker::WorkerCommand;
use scomo_ostree_backend::boot::Simulated;
use scomo_ostree_backend::{JobConfig, OstreeBackend};
use serde_json::{Value, json};
use tempfile::TempDir;

mod repository;

pub use repository::Repository;
pub use scomo_tests::http::Server;

/// Name of the OS in every sysroot.
pub const OS_NAME: &str = "demo";
const DEADLINE: Duration = Duration::from_secs(60);

/// Whether the test cannot run here: it needs root. Says so in the words that the test runner counts.
#[must_use]
pub fn skip(test: &str) -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        eprintln!("SKIPPED: needs root: {test}");
    }
    !root
}

/// Runs a command that must succeed and gives its output.
#[track_caller]
pub fn run(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().unwrap_or_else(|e| panic!("{program}: {e}"));
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{program} {args:?}: {out}{err}");
    out.into_owned()
}

/// Waits for a condition; a test that waits longer than [`DEADLINE`] has failed.
#[track_caller]
pub fn until(mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < DEADLINE, "waited too long");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A device: a sysroot with one deployment that it came with, and the state of the backend.
#[derive(Debug)]
pub struct Device {
    dir: TempDir,
    sysroot: PathBuf,
    /// The section `os`.
    pub os: Value,
    /// The commit that the device came with.
    pub base: String,
    /// Whether steps run in worker processes.
    pub in_process: bool,
}

impl Device {
    /// A device that came with version `0` from `repository`.
    pub fn new(repository: &Repository) -> Self {
        let dir = tempfile::tempdir().expect("dir");
        let sysroot = dir.path().join("sysroot");
        Self::in_folder(repository, dir, sysroot)
    }

    /// The same with the sysroot somewhere else.
    pub fn in_folder(repository: &Repository, dir: TempDir, sysroot: PathBuf) -> Self {
        let base = repository.commit("0", &[]);
        fs::create_dir_all(&sysroot).expect("sysroot");
        let os = json!({
            "sysroot": sysroot,
            "boot": "simulated",
            "remotes": {
                "file:///": { "insecure-accept-unsigned": true },
            },
        });
        let device = Self { dir, sysroot, os, base, in_process: true };
        let option = format!("--sysroot={}", device.sysroot.display());
        let repo = format!("--repo={}", device.repo().display());
        let path = device.sysroot.to_str().expect("path").to_owned();
        run("ostree", &["admin", "init-fs", "--modern", &path]);
        run("ostree", &["admin", "os-init", OS_NAME, &option]);
        run("ostree", &["config", "set", "sysroot.bootloader", "none", &repo]);
        run("ostree", &["pull-local", &repo, repository.path().to_str().expect("path"), &device.base]);
        run("ostree", &["refs", &repo, "--create", "factory", &device.base]);
        let os = format!("--os={OS_NAME}");
        run("ostree", &["admin", "deploy", &option, &os, "--karg=rw", "--karg=root=LABEL=demo", "factory"]);
        device
    }

    /// Takes commits of the server without a signature.
    pub fn trust(&mut self, server: &Server) {
        self.os["remotes"][server.url()] = json!({ "insecure_accept_unsigned": true });
    }

    pub fn sysroot(&self) -> &Path {
        &self.sysroot
    }

    pub fn repo(&self) -> PathBuf {
        self.sysroot.join("ostree/repo")
    }

    pub fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    pub fn config(&self) -> Value {
        json!({
            "state_dir": self.state(), "runtime_dir": self.dir.path().join("run"), "os": self.os,
            // Small disks, of which nearly all can be used.
            "package": { "reserve_bytes": 2 << 20 },
        })
    }

    pub fn job(&self) -> JobConfig {
        JobConfig::from_job(self.config()).expect("config")
    }

    /// The worker executable.
    pub fn worker() -> WorkerCommand {
        WorkerCommand::new(env!("CARGO_BIN_EXE_scomo-worker-os"))
    }

    pub fn open(&self) -> Box<dyn Backend> {
        if self.in_process {
            Box::new(OstreeBackend::new(self.job()))
        } else {
            Box::new(ProcessBackend::new(Self::worker(), ComponentKind::Os, self.config()))
        }
    }

    pub fn try_resolve(&self, source: &str) -> Result<Content, BackendError> {
        self.open().resolve(&PackageId::new("demo").expect("id"), source, &StepCx::detached())
    }

    #[track_caller]
    pub fn resolve(&self, source: &str) -> Release {
        ok(self.try_resolve(source)).releases[0].clone()
    }

    pub fn try_fetch(&self, release: &Release) -> Result<u64, BackendError> {
        self.open().fetch(release, &StepCx::detached())
    }

    #[track_caller]
    pub fn fetch(&self, release: &Release) -> u64 {
        ok(self.try_fetch(release))
    }

    /// Fetches with what the progress said.
    #[track_caller]
    pub fn fetch_watched(&self, release: &Release) -> Vec<Progress> {
        let seen: Arc<Mutex<Vec<Progress>>> = Arc::default();
        let log = Arc::clone(&seen);
        let cx = StepCx::new(move |p| log.lock().expect("lock").push(p), Arc::default());
        ok(self.open().fetch(release, &cx));
        let seen = seen.lock().expect("lock");
        seen.clone()
    }

    #[track_caller]
    pub fn stage(&self, release: &Release) {
        ok(self.open().stage(release, &StepCx::detached()));
    }

    pub fn try_switch(&self, release: &Release, target: &Target) -> Result<bool, BackendError> {
        self.open().switch(&release.spec.id, target, &StepCx::detached())
    }

    /// Makes the release the one that boots next; whether that takes a reboot.
    #[track_caller]
    pub fn activate(&self, release: &Release) -> bool {
        ok(self.try_switch(release, &Target::Active(release.clone())))
    }

    pub fn confirm(&self, release: &Release) {
        ok(self.open().confirm(release, &StepCx::detached()));
    }

    /// The whole way from the source to the confirmed release.
    #[track_caller]
    pub fn install(&self, source: &str) -> Release {
        let release = self.resolve(source);
        self.fetch(&release);
        self.stage(&release);
        if self.activate(&release) {
            self.reboot();
        }
        ok(self.open().probe(&release, &StepCx::detached()));
        self.confirm(&release);
        release
    }

    #[track_caller]
    pub fn collect(&self, keep: &[&Release]) {
        let keep: Vec<Release> = keep.iter().copied().cloned().collect();
        ok(self.open().collect(&keep, &StepCx::detached()));
    }

    pub fn running(&self) -> Option<ReleaseId> {
        ok(self.open().observe()).running.pop()
    }

    /// The simulated boot loader.
    pub fn loader(&self) -> Simulated {
        Simulated::new(self.job())
    }

    pub fn reboot(&self) -> Option<ReleaseId> {
        self.loader().simulate_boot().expect("boot")
    }

    /// The commits of all deployments, the default first, as the `ostree` command sees them.
    pub fn deployed(&self) -> Vec<String> {
        let text = run("ostree", &["admin", "status", &format!("--sysroot={}", self.sysroot.display())]);
        let commits = text.lines().filter_map(|line| {
            let name = line.trim_start_matches(['*', ' ']).strip_prefix(&format!("{OS_NAME} "))?;
            name.split('.').next().map(str::to_owned)
        });
        commits.collect()
    }

    /// A file of the deployment of a commit; the deployment with the highest number counts.
    pub fn file(&self, commit: &str, file: &str) -> PathBuf {
        let folder = self.sysroot.join("ostree/deploy").join(OS_NAME).join("deploy");
        let newest = (0..9).rev().map(|n| folder.join(format!("{commit}.{n}"))).find(|path| path.is_dir());
        newest.expect("deployment").join(file)
    }

    /// The boot entries, the default first, each with its whole text.
    pub fn entries(&self) -> Vec<String> {
        let folder = self.sysroot.join("boot/loader/entries");
        let mut paths: Vec<_> =
            fs::read_dir(folder).expect("entries").map(|e| e.expect("entry").path()).collect();
        // ostree-2-… boots before ostree-1-….
        paths.sort();
        paths.iter().rev().map(|path| fs::read_to_string(path).expect("entry")).collect()
    }

    /// Every stored thing that grows with what is installed.
    pub fn stored(&self) -> Vec<String> {
        let mut names = Vec::new();
        let deploy = Path::new("ostree/deploy").join(OS_NAME).join("deploy");
        for part in ["ostree/repo/objects", "ostree/repo/refs", "ostree/repo/state", "ostree/repo/tmp"] {
            walk(&self.sysroot, Path::new(part), 9, &mut names);
        }
        walk(&self.sysroot, &deploy, 1, &mut names);
        walk(&self.sysroot, Path::new("boot/ostree"), 1, &mut names);
        walk(self.dir.path(), Path::new("state/os"), 9, &mut names);
        // Its numbers change with every write of the boot entries; the simulated boot loader does not grow; caches of
        // the repository are bounded by libostree; empty folders of objects stay.
        let grows = |name: &String| {
            !(name.starts_with("ostree/repo/refs/heads/ostree/")
                || name.ends_with("/boot.json")
                || name.starts_with("ostree/repo/tmp/cache"))
        };
        names.retain(grows);
        names.sort();
        names
    }

    /// What `ostree fsck` says about the repository.
    pub fn fsck(&self) {
        run("ostree", &["fsck", "-q", &format!("--repo={}", self.repo().display())]);
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        // Deployments are immutable, and whoever removes the folder does not know.
        let folder = self.sysroot.join("ostree/deploy");
        let _ = Command::new("chattr").args(["-R", "-f", "-i"]).arg(folder).output();
    }
}

fn walk(root: &Path, part: &Path, depth: u32, names: &mut Vec<String>) {
    let Ok(entries) = fs::read_dir(root.join(part)) else { return };
    for entry in entries.map(|e| e.expect("entry")) {
        let path = part.join(entry.file_name());
        if depth > 1 && entry.file_type().expect("type").is_dir() {
            walk(root, &path, depth - 1, names);
        } else {
            names.push(path.to_string_lossy().into_owned());
        }
    }
}

/// The value of a step that must succeed.
#[track_caller]
pub fn ok<T>(result: Result<T, BackendError>) -> T {
    result.unwrap_or_else(|e| panic!("failed ({}): {}", e.kind.as_str(), chain(&e)))
}

/// The message of a step that must fail with this kind.
#[track_caller]
pub fn fails<T: std::fmt::Debug>(kind: FailureKind, result: Result<T, BackendError>) -> String {
    let error = result.expect_err("must fail");
    assert_eq!(error.kind, kind, "{}", chain(&error));
    chain(&error)
}
