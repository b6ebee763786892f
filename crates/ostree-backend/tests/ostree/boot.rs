//! Boot control: one suite for every implementation, and the real one on a device that has really been "booted".
//!
//! A boot without a boot loader: a thread of its own gets private mounts, takes the deployment of the first boot entry
//! as its root, with read-only `/sysroot` and `/boot`, and `/run/ostree-booted`. To libostree that is a booted system.

use std::fs;
use std::os::unix::fs::chroot;
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use scomo_core::effect::Target;
use scomo_core::id::{PackageId, ReleaseId};
use scomo_core::spec::{ComponentKind, Release};
use scomo_engine::backend::{Backend, StepCx};
use scomo_engine::boot::BootControl;
use scomo_engine::conformance::ProcessBackend;
use scomo_engine::worker::{PARENT_ENV, WorkerCommand};
use scomo_ostree_backend::boot::{NoCounting, Simulated, TRIES};
use scomo_ostree_backend::{JobConfig, Store};
use serde_json::json;
use tempfile::TempDir;

use crate::common::{Device, Repository, ok, skip};

/// A device under one kind of boot control.
trait Machine {
    /// Runs `body` on the device as it is booted now.
    fn with(&self, body: &mut (dyn FnMut(&mut dyn BootControl) + Send));
    fn reboot(&mut self);
    /// Whether its boot loader counts tries.
    fn counts(&self) -> bool;
    /// Makes a release never come up.
    fn break_release(&mut self, release: &Release);
}

fn on<R: Send>(machine: &dyn Machine, body: impl Fn(&mut dyn BootControl) -> R + Send + Sync) -> R {
    let mut result = None;
    machine.with(&mut |boot| result = Some(body(boot)));
    result.expect("it ran")
}

fn booted(machine: &dyn Machine) -> Option<ReleaseId> {
    on(machine, |boot| ok(boot.booted()))
}

/// What every boot control does; `a` and `b` are staged.
fn suite(machine: &mut dyn Machine, a: &Release, b: &Release) {
    assert_eq!(booted(machine), None, "what the device came with is none of ours");
    for _ in 0..2 {
        on(machine, |boot| ok(boot.set_try_next(&a.id)));
    }
    assert_eq!(booted(machine), None, "nothing changes before the reboot");
    machine.reboot();
    assert_eq!(booted(machine).as_ref(), Some(&a.id));
    for _ in 0..2 {
        on(machine, |boot| ok(boot.mark_good(&a.id)));
    }
    machine.reboot();
    assert_eq!(booted(machine).as_ref(), Some(&a.id));
    // Changed its mind.
    on(machine, |boot| ok(boot.set_try_next(&b.id)));
    on(machine, |boot| ok(boot.set_try_next(&a.id)));
    machine.reboot();
    assert_eq!(booted(machine).as_ref(), Some(&a.id));
    // Tried and found bad.
    on(machine, |boot| ok(boot.set_try_next(&b.id)));
    machine.reboot();
    assert_eq!(booted(machine).as_ref(), Some(&b.id));
    for _ in 0..2 {
        on(machine, |boot| ok(boot.mark_bad(&b.id, Some(&a.id))));
    }
    assert_eq!(booted(machine).as_ref(), Some(&b.id), "it runs until the reboot");
    machine.reboot();
    assert_eq!(booted(machine).as_ref(), Some(&a.id));
    // Never confirmed.
    on(machine, |boot| ok(boot.set_try_next(&b.id)));
    for _ in 0..TRIES {
        machine.reboot();
        assert_eq!(booted(machine).as_ref(), Some(&b.id));
        // Saying the same again gives it no more tries.
        if machine.counts() {
            on(machine, |boot| ok(boot.booted()));
        }
    }
    machine.reboot();
    let expected = if machine.counts() { &a.id } else { &b.id };
    assert_eq!(booted(machine).as_ref(), Some(expected), "only who counts can fall back");
    on(machine, |boot| ok(boot.mark_bad(&b.id, Some(&a.id))));
    machine.reboot();
    assert_eq!(booted(machine).as_ref(), Some(&a.id));
    if machine.counts() {
        machine.break_release(b);
        on(machine, |boot| ok(boot.set_try_next(&b.id)));
        machine.reboot();
        assert_eq!(booted(machine).as_ref(), Some(&a.id), "what does not come up is left");
        on(machine, |boot| ok(boot.mark_bad(&b.id, Some(&a.id))));
        machine.reboot();
        assert_eq!(booted(machine).as_ref(), Some(&a.id));
        return;
    }
    on(machine, |boot| ok(boot.set_try_next(&b.id)));
    machine.reboot();
    on(machine, |boot| ok(boot.mark_good(&b.id)));
    machine.reboot();
    assert_eq!(booted(machine).as_ref(), Some(&b.id));
}

/// Fetches, stages and switches to both once, so that each is known as one that runs when it is booted.
fn prepare(device: &Device, repository: &Repository) -> [Release; 2] {
    let backend_knows = |version: &str| {
        let release = device.resolve(&repository.local(&Repository::branch(version)));
        device.fetch(&release);
        device.stage(&release);
        Store::new(&device.job().dir()).choose(&release.id).expect("choose");
        release
    };
    repository.commit("1", &[]);
    repository.commit("2", &[]);
    [backend_knows("1"), backend_knows("2")]
}

struct Played<'a>(&'a Device);

impl Machine for Played<'_> {
    fn with(&self, body: &mut (dyn FnMut(&mut dyn BootControl) + Send)) {
        body(&mut Simulated::new(self.0.job()));
    }

    fn reboot(&mut self) {
        self.0.reboot();
    }

    fn counts(&self) -> bool {
        true
    }

    fn break_release(&mut self, release: &Release) {
        let commit = release.spec.version.clone();
        let store = Store::new(&self.0.job().dir());
        let record = store.get(&release.id).expect("read").unwrap_or_else(|| panic!("{commit} is not known"));
        self.0.loader().update(|loader| loader.unbootable.extend([record.commit])).expect("loader");
    }
}

/// A device that is booted by nothing but mounts.
struct Mounted<'a> {
    device: &'a Device,
    repository: &'a Repository,
    root: TempDir,
    deployment: PathBuf,
}

impl<'a> Mounted<'a> {
    fn new(device: &'a Device, repository: &'a Repository) -> Self {
        let deployment = default_deployment(device);
        Self { device, repository, root: tempfile::tempdir().expect("dir"), deployment }
    }

    /// The configuration as the booted system sees it.
    fn job() -> JobConfig {
        let os = json!({ "remotes": { "file:///": { "insecure_accept_unsigned": true } } });
        JobConfig::from_job(json!({ "state_dir": "/var/state", "os": os })).expect("config")
    }

    /// Runs `body` in a thread whose root is the booted deployment.
    fn inside<R: Send>(&self, body: impl FnOnce() -> R + Send) -> R {
        let work = || {
            unshare(CloneFlags::CLONE_FS | CloneFlags::CLONE_NEWNS).expect("unshare");
            let root = self.root.path();
            let none = None::<&Path>;
            mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).expect("private");
            let bind = |from: &Path, to: &str, flags: MsFlags| {
                let to = root.join(to);
                mount(Some(from), &to, none, MsFlags::MS_BIND, none)
                    .unwrap_or_else(|e| panic!("{}: {e}", to.display()));
                let again = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | flags;
                mount(none, &to, none, again, none).expect("remount");
            };
            let sysroot = self.device.sysroot();
            bind(&self.deployment, "", MsFlags::empty());
            bind(sysroot, "sysroot", MsFlags::MS_RDONLY);
            bind(&sysroot.join("boot"), "boot", MsFlags::MS_RDONLY);
            bind(self.device.state().parent().expect("folder"), "var", MsFlags::empty());
            bind(self.repository.web_root(), "tmp", MsFlags::MS_RDONLY);
            for shared in ["proc", "dev"] {
                let all = MsFlags::MS_BIND | MsFlags::MS_REC;
                mount(Some(&Path::new("/").join(shared)), &root.join(shared), none, all, none).expect("bind");
            }
            mount(Some("tmpfs"), &root.join("run"), Some("tmpfs"), MsFlags::empty(), none).expect("run");
            fs::write(root.join("run/ostree-booted"), "").expect("booted");
            chroot(root).expect("chroot");
            std::env::set_current_dir("/").expect("cd");
            assert!(
                fs::write("/sysroot/x", "x").is_err() && fs::write("/boot/x", "x").is_err(),
                "must be read-only"
            );
            body()
        };
        std::thread::scope(|scope| scope.spawn(work).join().unwrap_or_else(|e| std::panic::resume_unwind(e)))
    }
}

impl Machine for Mounted<'_> {
    fn with(&self, body: &mut (dyn FnMut(&mut dyn BootControl) + Send)) {
        self.inside(|| body(&mut NoCounting::new(Self::job())));
    }

    fn reboot(&mut self) {
        self.deployment = default_deployment(self.device);
    }

    fn counts(&self) -> bool {
        false
    }

    fn break_release(&mut self, _release: &Release) {
        panic!("nothing here would notice");
    }
}

/// The deployment that the first boot entry names with `ostree=`.
fn default_deployment(device: &Device) -> PathBuf {
    let entry = device.entries()[0].clone();
    let link =
        entry.split_whitespace().find_map(|word| word.strip_prefix("ostree=/")).expect("ostree=").to_owned();
    device.sysroot().join(link).canonicalize().expect("deployment")
}

#[test]
fn the_simulated_boot_loader_is_a_boot_control() {
    if skip("the_simulated_boot_loader_is_a_boot_control") {
        return;
    }
    let repository = Repository::new();
    let device = Device::new(&repository);
    let [a, b] = prepare(&device, &repository);
    suite(&mut Played(&device), &a, &b);
}

#[test]
fn the_order_of_deployments_is_a_boot_control() {
    if skip("the_order_of_deployments_is_a_boot_control") {
        return;
    }
    let repository = Repository::new();
    let device = Device::new(&repository);
    let [a, b] = prepare(&device, &repository);
    suite(&mut Mounted::new(&device, &repository), &a, &b);
}

/// The worker on a device that is booted by nothing but mounts. It brings the programs of this machine along, as the
/// demonstration OS has none; everything else is that of the deployment.
fn worker_inside(device: &Device, repository: &Repository, root: &Path) -> WorkerCommand {
    let sysroot = device.sysroot();
    let folder = device.state().parent().expect("folder").to_owned();
    let script = format!(
        "set -e; unset {parent}; cd /; mount --make-rprivate /
         mount --bind '{deployment}' '{root}'; cp '{worker}' '{folder}/worker'
         ro() {{ mount --bind \"$1\" \"$2\"; mount -o remount,bind,ro \"$2\"; }}
         ro '{sysroot}' '{root}/sysroot'; ro '{sysroot}/boot' '{root}/boot'; ro /usr '{root}/usr'
         mount --bind '{folder}' '{root}/var'; ro '{web}' '{root}/tmp'
         mount --rbind /proc '{root}/proc'; mount --rbind /dev '{root}/dev'
         mount -t tmpfs run '{root}/run'; touch '{root}/run/ostree-booted'
         ! touch '{root}/sysroot/x' '{root}/boot/x' 2>/dev/null
         exec chroot '{root}' /var/worker",
        parent = PARENT_ENV,
        deployment = default_deployment(device).display(),
        root = root.display(),
        worker = Device::worker().program.display(),
        sysroot = sysroot.display(),
        folder = folder.display(),
        web = repository.web_root().display(),
    );
    let args = ["-m", "/bin/sh", "-c", &script].map(str::to_owned).to_vec();
    WorkerCommand { program: "unshare".into(), args }
}

#[test]
fn a_booted_device_updates_itself_over_read_only_mounts() {
    if skip("a_booted_device_updates_itself_over_read_only_mounts") {
        return;
    }
    let repository = Repository::new();
    let device = Device::new(&repository);
    let commits = ["1", "2"].map(|version| repository.commit(version, &[]));
    let root = tempfile::tempdir().expect("dir");
    // A new worker each time, on what is booted at that time.
    let booted = std::cell::RefCell::new(worker_inside(&device, &repository, root.path()));
    let reboot = || *booted.borrow_mut() = worker_inside(&device, &repository, root.path());
    let config = json!({
        "state_dir": "/var/state",
        "runtime_dir": "/run/scomo",
        "os": { "remotes": { "file:///tmp/repo": { "insecure_accept_unsigned": true } } },
    });
    let backend = || ProcessBackend::new(booted.borrow().clone(), ComponentKind::Os, config.clone());
    let cx = StepCx::detached();
    let etc = |name: &str| default_deployment(&device).join("etc").join(name);
    let switch = |release: &Release, target: Target| ok(backend().switch(&release.spec.id, &target, &cx));
    let mut installed: Vec<Release> = Vec::new();
    for version in ["1", "2"] {
        fs::write(etc(&format!("set-before-{version}")), "x").expect("the device's settings");
        let source = format!("ostree+file:///tmp/repo?ref={}", Repository::branch(version));
        let package = PackageId::new("demo").expect("id");
        let release = ok(backend().resolve(&package, &source, &cx)).releases[0].clone();
        ok(backend().fetch(&release, &cx));
        ok(backend().stage(&release, &cx));
        assert!(switch(&release, Target::Active(release.clone())));
        assert!(backend().probe(&release, &cx).is_err());
        reboot();
        assert_eq!(ok(backend().observe()).running, std::slice::from_ref(&release.id));
        ok(backend().probe(&release, &cx));
        ok(backend().confirm(&release, &cx));
        assert!(!switch(&release, Target::Active(release.clone())));
        assert!(etc(&format!("set-before-{version}")).exists(), "settings come along");
        installed.push(release);
    }
    let [v1, v2] = [&installed[0], &installed[1]];
    assert_eq!(device.deployed(), [commits[1].clone(), commits[0].clone(), device.base.clone()]);
    // The booted one stays although nobody keeps it; what the device came with stays too.
    ok(backend().collect(&[], &cx));
    assert_eq!(device.deployed(), [commits[1].clone(), device.base.clone()]);
    assert_eq!(ok(backend().observe()).running, std::slice::from_ref(&v2.id));
    ok(backend().fetch(v1, &cx));
    ok(backend().stage(v1, &cx));
    assert!(switch(v1, Target::Active(v1.clone())));
    // Taken back before the reboot: the booted one is the default again.
    assert!(!switch(v2, Target::Active(v2.clone())));
    assert_eq!(device.deployed()[0], commits[1]);
    assert!(switch(v1, Target::Active(v1.clone())));
    reboot();
    assert_eq!(ok(backend().observe()).running, std::slice::from_ref(&v1.id));
    ok(backend().confirm(v1, &cx));
    ok(backend().collect(&[v1.clone(), v2.clone()], &cx));
    // Left for what the device came with.
    assert!(switch(v1, Target::Absent));
    reboot();
    let found = ok(backend().observe());
    assert_eq!(found.foreign.iter().map(|r| r.spec.version.as_str()).collect::<Vec<_>>(), ["0"]);
    assert_eq!(found.running, [found.foreign[0].id.clone()]);
    assert!(!switch(v1, Target::Absent));
    ok(backend().collect(&[], &cx));
    assert_eq!(device.deployed(), std::slice::from_ref(&device.base));
    device.fsck();
}

#[test]
fn a_boot_can_be_played_from_outside_only_where_it_is_simulated() {
    if skip("a_boot_can_be_played_from_outside_only_where_it_is_simulated") {
        return;
    }
    let repository = Repository::new();
    let mut device = Device::new(&repository);
    repository.commit("1", &[]);
    let release = device.resolve(&repository.local(&Repository::branch("1")));
    device.fetch(&release);
    device.stage(&release);
    device.activate(&release);
    let play = |device: &Device| {
        let config = device.state().with_extension("config");
        fs::write(&config, device.config().to_string()).expect("write");
        let mut worker = std::process::Command::new(Device::worker().program);
        let input = fs::File::open(config).expect("open");
        worker.arg("simulate-boot").stdin(input).output().expect("run")
    };
    let output = play(&device);
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), release.id.as_str());
    assert_eq!(device.running(), Some(release.id));
    device.os["boot"] = json!("auto");
    let output = play(&device);
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("boots for real"));
}
