//! A device with a real crun, and images made of a static busybox.
#![allow(dead_code, clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use scomo_container_backend::{ContainerBackend, Settings};
use scomo_core::effect::Target;
use scomo_core::failure::FailureKind;
use scomo_core::id::{ComponentId, Digest, ReleaseId};
use scomo_core::spec::{
    ComponentKind, ComponentSpec, FilesSpec, HealthCheck, Metadata, Payload, Release, RunSpec,
};
use scomo_engine::backend::{Backend, BackendError, StepCx, chain};
use scomo_engine::conformance::ProcessBackend;
use scomo_engine::worker::WorkerCommand;
use serde_json::{Value, json};
use sha2::Digest as _;

/// How long anything may take on a slow and busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The worker under test.
pub const WORKER: &str = env!("CARGO_BIN_EXE_scomo-worker-container");

/// The end of a script: waits until it is told to stop. A shell that is a container's first process ignores the
/// signal unless it says otherwise.
pub const IDLE: &str = "trap 'exit 0' TERM; sleep 1000 & wait";

/// Whether the test can run; says so when it cannot.
pub fn is_root(name: &str) -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        eprintln!("SKIPPED: needs root: {name}");
    }
    root
}

/// Leaves the test when it is not run by root.
#[macro_export]
macro_rules! needs_root {
    () => {
        let name = std::thread::current().name().unwrap_or("a test").to_owned();
        if !common::is_root(&name) {
            return;
        }
    };
}

/// Waits until `done` gives something.
#[track_caller]
pub fn until<T>(what: &str, mut done: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = done() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited too long until {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// An OCI image layout that is being filled.
pub struct Layout {
    pub folder: PathBuf,
    entries: Vec<Value>,
}

impl Layout {
    pub fn new(folder: PathBuf) -> Self {
        fs::create_dir_all(folder.join("blobs/sha256")).expect("a layout");
        fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).expect("marker");
        Self { folder, entries: Vec::new() }
    }

    pub fn blob(&self, content: &[u8]) -> (String, u64) {
        let hex: String = sha2::Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
        fs::write(self.folder.join("blobs/sha256").join(&hex), content).expect("blob");
        (format!("sha256:{hex}"), content.len() as u64)
    }

    fn json(&self, value: &Value) -> (String, u64) {
        self.blob(&serde_json::to_vec(value).expect("json"))
    }

    /// Adds an image; gives the descriptor of its manifest.
    pub fn image(&mut self, files: &[(&str, &[u8])], config: &Value) -> Value {
        let layer = busybox_layer(files);
        let (layer_digest, layer_size) = self.blob(&layer);
        let machine = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        let config = json!({
            "architecture": machine, "os": "linux", "config": config,
            "rootfs": {"type": "layers", "diff_ids": [layer_digest]},
        });
        let (config_digest, config_size) = self.json(&config);
        let manifest = json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config_digest, "size": config_size},
            "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer_digest, "size": layer_size}],
        });
        let (digest, size) = self.json(&manifest);
        json!({"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": size})
    }

    /// Adds a package of components under a name, and writes the index.
    pub fn package(&mut self, name: &str, components: &[ComponentSpec]) {
        let manifest = json!({"schemaVersion": 1, "id": "test", "components": components});
        let (config, config_size) = self.json(&manifest);
        let (empty, empty_size) = self.blob(b"{}");
        let artifact = json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "artifactType": "application/vnd.scomo.package.v1",
            "config": {"mediaType": "application/vnd.scomo.package.v1+json", "digest": config, "size": config_size},
            "layers": [{"mediaType": "application/vnd.oci.empty.v1+json", "digest": empty, "size": empty_size}],
        });
        let (digest, size) = self.json(&artifact);
        let mut manifests = vec![
            json!({"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": size,
                        "artifactType": "application/vnd.scomo.package.v1"}),
        ];
        for component in components {
            let Payload::Image { digest, size } = &component.payload else { continue };
            manifests.push(json!({"mediaType": "application/vnd.oci.image.manifest.v1+json",
                                  "digest": digest, "size": size}));
        }
        let index = json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
            "artifactType": "application/vnd.scomo.package.v1", "manifests": manifests,
        });
        let (digest, size) = self.json(&index);
        self.entries.push(json!({
            "mediaType": "application/vnd.oci.image.index.v1+json", "digest": digest, "size": size,
            "annotations": {"org.opencontainers.image.ref.name": name},
        }));
        let index = json!({"schemaVersion": 2, "manifests": self.entries});
        fs::write(self.folder.join("index.json"), index.to_string()).expect("index");
    }

    pub fn source(&self, name: &str) -> String {
        format!("oci:{}:{name}", self.folder.display())
    }
}

/// A layer with busybox, users and `files`.
fn busybox_layer(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut put = |name: &str, kind: tar::EntryType, mode: u32, content: &[u8], link: Option<&str>| {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(content.len() as u64);
        header.set_mtime(1);
        if let Some(link) = link {
            header.set_link_name(link).expect("link");
        }
        tar.append_data(&mut header, name, content).expect("entry");
    };
    for folder in ["bin", "etc", "home", "root", "srv", "tmp", "var"] {
        put(folder, tar::EntryType::Directory, if folder == "tmp" { 0o1777 } else { 0o755 }, &[], None);
    }
    let busybox = fs::read("/bin/busybox").expect("install busybox-static");
    put("bin/busybox", tar::EntryType::Regular, 0o755, &busybox, None);
    for applet in [
        "sh", "cat", "ls", "sleep", "id", "mount", "umount", "ip", "ps", "mknod", "touch", "echo", "true",
        "false", "wget", "unshare", "chown", "test", "env", "pwd", "hostname", "kill", "seq", "dd", "head",
        "date", "sync", "stat", "grep", "mkdir", "yes", "tail", "nc", "chroot",
    ] {
        put(&format!("bin/{applet}"), tar::EntryType::Symlink, 0o777, &[], Some("busybox"));
    }
    let passwd = b"root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\n";
    put("etc/passwd", tar::EntryType::Regular, 0o644, passwd, None);
    put("etc/group", tar::EntryType::Regular, 0o644, b"root:x:0:\napp:x:1001:\nextra:x:77:app\n", None);
    for (name, content) in files {
        put(name, tar::EntryType::Regular, 0o755, content, None);
    }
    tar.into_inner().expect("a layer")
}

/// A device: folders that go away, and a backend.
pub struct Device {
    pub folder: tempfile::TempDir,
    pub config: Value,
    pub layout: Layout,
}

impl Drop for Device {
    fn drop(&mut self) {
        // Nothing that a test started may outlive it.
        if let Err(error) = self.backend().collect(&[], &StepCx::detached()) {
            eprintln!("cannot clean up: {}", chain(&error));
        }
    }
}

impl Device {
    pub fn new() -> Self {
        Self::with(&json!({}))
    }

    /// A device with these settings of section `container`.
    pub fn with(container: &Value) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let mut container = container.clone();
        container["worker"] = json!(WORKER);
        if container["supervisor"].is_null() {
            container["supervisor"] = json!("own");
        }
        let config = json!({
            "state_dir": folder.path().join("state"), "runtime_dir": folder.path().join("run"),
            "package": {"policies": [{"source": "", "signature": "insecure-accept-unsigned"}]},
            "container": container,
        });
        let layout = Layout::new(folder.path().join("layout"));
        Self { folder, config, layout }
    }

    pub fn backend(&self) -> ContainerBackend {
        ContainerBackend::new(Settings::from_job(self.config.clone()).expect("settings"))
    }

    pub fn state_dir(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// The volatile folder of a component whose id needs no escapes.
    pub fn runtime(&self, component: &str) -> PathBuf {
        self.folder.path().join("run/containers").join(component)
    }

    pub fn state(&self, component: &str) -> Option<Value> {
        serde_json::from_slice(&fs::read(self.runtime(component).join("state.json")).ok()?).ok()
    }

    /// A release of a component that runs `args`; `version` is also in the file `/version`.
    pub fn release(&mut self, component: &str, version: &str, args: &[&str], run: RunSpec) -> Release {
        let run = RunSpec { args: args.iter().map(|arg| (*arg).to_owned()).collect(), ..run };
        self.custom(component, version, &json!({}), run, None)
    }

    /// A release that runs a shell script.
    pub fn script(&mut self, component: &str, script: &str, run: RunSpec) -> Release {
        self.release(component, "1", &["/bin/sh", "-c", script], run)
    }

    /// A release that says its version and waits.
    pub fn idle(&mut self, component: &str, version: &str) -> Release {
        let script = format!("echo up {version}; {IDLE}");
        self.release(component, version, &["/bin/sh", "-c", &script], RunSpec::default())
    }

    /// A release with a health check.
    pub fn watched(&mut self, script: &str, health: HealthCheck) -> Release {
        let args = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
        self.custom("watched", "1", &json!({}), RunSpec { args, ..RunSpec::default() }, Some(health))
    }

    /// The worker, asked through its process border.
    pub fn worker(&self) -> ProcessBackend {
        ProcessBackend::new(WorkerCommand::new(WORKER), ComponentKind::Container, self.config.clone())
    }

    pub fn custom(
        &mut self,
        component: &str,
        version: &str,
        image: &Value,
        run: RunSpec,
        health: Option<HealthCheck>,
    ) -> Release {
        let descriptor = self.layout.image(&[("version", version.as_bytes())], image);
        let spec = spec(component, version, &descriptor, run, health);
        self.layout.package("only", std::slice::from_ref(&spec));
        let id = ReleaseId::of(&spec).expect("release id");
        Release { id, spec, source: self.layout.source("only"), size: 0 }
    }

    pub fn prepare(&self, release: &Release) {
        let cx = StepCx::detached();
        let mut backend = self.backend();
        ok("fetch", backend.fetch(release, &cx));
        ok("stage", backend.stage(release, &cx));
    }

    pub fn try_activate(&self, release: &Release) -> Result<bool, BackendError> {
        self.backend().switch(&release.spec.id, &Target::Active(release.clone()), &StepCx::detached())
    }

    /// Fetches, stages and switches to a release.
    pub fn start(&self, release: &Release) {
        self.prepare(release);
        assert!(!ok("switch", self.try_activate(release)), "a container needs no reboot");
    }

    pub fn stop(&self, release: &Release) {
        let target = Target::Inactive(release.clone());
        ok("stop", self.backend().switch(&release.spec.id, &target, &StepCx::detached()));
    }

    pub fn runs(&self, release: &Release) -> bool {
        ok("observe", self.backend().observe()).running.contains(&release.id)
    }

    pub fn logs(&self, component: &str) -> String {
        let id = ComponentId::new(component).expect("id");
        self.backend().logs(&id, 10_000).unwrap_or_default()
    }

    /// Waits for a text in the output of a component; gives all of the output.
    #[track_caller]
    pub fn hear(&self, component: &str, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let logs = self.logs(component);
            if logs.contains(text) {
                return logs;
            }
            assert!(Instant::now() < deadline, "'{text}' was not heard, but:\n{logs}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Runs a script in a new component until it says `END`; gives its output.
    #[track_caller]
    pub fn ask(&mut self, script: &str, run: RunSpec) -> String {
        let release = self.script("asked", &format!("{script}\necho END; {IDLE}"), run);
        self.start(&release);
        self.hear("asked", "END\n")
    }

    /// The number of the process that supervises a component.
    pub fn supervisor(&self, component: &str) -> i32 {
        let text = fs::read_to_string(self.runtime(component).join("lock")).expect("a lock");
        text.trim().parse().expect("a number")
    }

    /// The number of a component's main process.
    pub fn main_process(&self, component: &str) -> i32 {
        until("there is a process", || self.state(component)?["pid"].as_i64()).try_into().expect("a pid")
    }

    /// All processes of this device's containers, by their supervisors' and runtimes' arguments.
    pub fn processes(&self) -> Vec<(i32, String)> {
        let own = self.folder.path().to_string_lossy().into_owned();
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").expect("proc").flatten() {
            let Ok(pid) = entry.file_name().to_string_lossy().parse::<i32>() else { continue };
            let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            if line.contains(&own) {
                found.push((pid, line));
            }
        }
        found
    }
}

pub fn spec(
    component: &str,
    version: &str,
    image: &Value,
    run: RunSpec,
    health: Option<HealthCheck>,
) -> ComponentSpec {
    let digest = Digest::new(image["digest"].as_str().expect("digest")).expect("digest");
    ComponentSpec {
        id: ComponentId::new(component).expect("id"),
        name: String::new(),
        version: version.to_owned(),
        kind: ComponentKind::Container,
        payload: Payload::Image { digest, size: image["size"].as_u64().expect("size") },
        requires: Vec::new(),
        description: String::new(),
        env_type: String::new(),
        metadata: Metadata::default(),
        run,
        files: FilesSpec::default(),
        health,
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

/// Main and other processes anywhere on the machine with this text in their arguments.
pub fn processes_with(text: &str) -> Vec<i32> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").expect("proc").flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<i32>() else { continue };
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if String::from_utf8_lossy(&line).contains(text) && is_alive(pid) {
            found.push(pid);
        }
    }
    found
}

/// Those of them that are the first process of a container.
pub fn mains_with(text: &str) -> Vec<i32> {
    let is_first = |pid: &i32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
        numbers.split_whitespace().count() > 1 && numbers.ends_with("\t1")
    };
    processes_with(text).into_iter().filter(is_first).collect()
}

/// Whether a process is there and no zombie.
pub fn is_alive(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z') && !rest.starts_with('X'))
}

pub fn kill(pid: i32) {
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).expect("kill");
}

/// A context that is cancelled by its flag.
pub fn cancellable() -> (StepCx, Arc<AtomicBool>) {
    let flag = Arc::new(AtomicBool::new(false));
    (StepCx::new(|_| {}, Arc::clone(&flag)), flag)
}

/// Every file, folder and link below a folder, by path and length.
pub fn listing(folder: &Path) -> Vec<String> {
    fn walk(folder: &Path, base: &Path, found: &mut Vec<String>) {
        let Ok(entries) = fs::read_dir(folder) else { return };
        for entry in entries.flatten() {
            let path = entry.path();
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

/// Fills a file system until it is dropped.
pub struct Full(PathBuf);

impl Full {
    pub fn new(folder: &Path) -> Self {
        let path = folder.join("filler");
        let mut file = File::create(&path).expect("filler");
        let block = vec![1_u8; 256 * 1024];
        while file.write_all(&block).is_ok() {}
        Self(path)
    }
}

impl Drop for Full {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
