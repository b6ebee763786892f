//! `cargo xtask systemd`: the product under a real systemd, in a virtual machine.
//!
//! The machine is Debian under User-Mode Linux, which needs no virtualisation: systemd is process 1, control groups
//! are version 2, containers run in transient units. The power is cut once, in the middle of an update.
//! What is checked is in `tests/systemd/trial.sh`.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use scomo_tests::image::{Busybox, Compression, Layout};
use scomo_tests::keys::KeyPair;
use scomo_tests::package::Recipe;
use scomo_tests::{cargo, process, workspace_root};
use serde_json::json;

/// What the machine holds beside Debian's smallest set.
const PACKAGES: &str = "systemd,systemd-sysv,dbus,crun,kmod,libostree-1-1,libsqlite3-0";
/// A boot with its checks takes about a minute.
const BOOT_MAX: Duration = Duration::from_secs(400);
/// How long after the announcement the power is cut: in the middle of an update, whose health window is longer.
const CUT_AFTER: Duration = Duration::from_millis(1500);

/// Builds the machine, boots it twice, counts the checks. True when all passed.
pub fn run() -> Result<bool> {
    ensure!(nix::unistd::geteuid().is_root(), "building the machine's file system needs root");
    process::words(&["packaging/setup", "build", "test", "vm"])?;
    let built = Command::new(cargo()).args(["build", "--locked", "--workspace"]).status()?;
    ensure!(built.success(), "the workspace does not build");
    let work = workspace_root()?.join("target/systemd");
    std::fs::create_dir_all(&work).context("cannot make the work folder")?;
    let image = machine(&work)?;
    let mut tally = Tally::default();
    boot(&image, &mut tally, true)?;
    boot(&image, &mut tally, false)?;
    ensure!(tally.ended, "the machine did not reach the end of its checks");
    println!("{} passed, {} failed", tally.passed, tally.failed);
    Ok(tally.failed == 0 && tally.passed > 0)
}

/// A disk image with Debian, the product and the packages to install.
fn machine(work: &Path) -> Result<PathBuf> {
    let debian = work.join("debian.tar");
    if !debian.exists() {
        let partial = work.join("partial.tar");
        let include = format!("--include={PACKAGES}");
        process::words(&["mmdebstrap", "--variant=minbase", &include, "bookworm", text(&partial)?])?;
        std::fs::rename(&partial, &debian).context("cannot keep the Debian tree")?;
    }
    let root = work.join("root");
    if root.exists() {
        std::fs::remove_dir_all(&root).context("cannot remove the old tree")?;
    }
    std::fs::create_dir_all(&root).context("cannot make a tree")?;
    process::words(&["tar", "-C", text(&root)?, "-xf", text(&debian)?])?;
    let modules = root.join("usr/lib/modules");
    std::fs::create_dir_all(&modules).context("cannot make the folder of the kernel's modules")?;
    process::words(&["cp", "-a", "/usr/lib/uml/modules/.", text(&modules)?])?;
    install_product(&root)?;
    install_trial(&root, work)?;
    let image = work.join("disk.img");
    let _ = std::fs::remove_file(&image);
    process::words(&["truncate", "-s", "3G", text(&image)?])?;
    process::words(&["mke2fs", "-q", "-t", "ext4", "-d", text(&root)?, text(&image)?])?;
    Ok(image)
}

/// Puts every file where a distribution would.
fn install_product(root: &Path) -> Result<()> {
    let packaging = workspace_root()?.join("packaging");
    for (from, to) in [
        ("systemd/scomod.service", "usr/lib/systemd/system/scomod.service"),
        ("dbus/org.scomo1.conf", "usr/share/dbus-1/system.d/org.scomo1.conf"),
        ("dbus/org.scomo1.service", "usr/share/dbus-1/system-services/org.scomo1.service"),
        ("polkit/org.scomo1.policy", "usr/share/polkit-1/actions/org.scomo1.policy"),
        ("polkit/org.scomo1.rules", "usr/share/polkit-1/rules.d/org.scomo1.rules"),
        ("scomo.catalog", "usr/lib/systemd/catalog/scomo.catalog"),
        ("sysusers.d/scomo.conf", "usr/lib/sysusers.d/scomo.conf"),
        ("tmpfiles.d/scomo.conf", "usr/lib/tmpfiles.d/scomo.conf"),
        ("scomo.toml", "usr/lib/scomo/scomo.toml"),
    ] {
        put(&packaging.join(from), &root.join(to), 0o644)?;
    }
    for (name, to) in [
        ("scomod", "usr/lib/scomo/scomod"),
        ("scomo-worker-container", "usr/lib/scomo/workers/scomo-worker-container"),
        ("scomo-worker-files", "usr/lib/scomo/workers/scomo-worker-files"),
        ("scomo-worker-os", "usr/lib/scomo/workers/scomo-worker-os"),
        ("scomoctl", "usr/bin/scomoctl"),
    ] {
        let to = root.join(to);
        put(&scomo_tests::executable(name)?, &to, 0o755)?;
        process::words(&["strip", text(&to)?])?;
    }
    enable(root, "scomod.service", "usr/lib/systemd/system")
}

/// The packages, the key they are trusted by, and the program that checks.
fn install_trial(root: &Path, work: &Path) -> Result<()> {
    let tests = workspace_root()?.join("tests/systemd");
    put(&tests.join("trial.sh"), &root.join("usr/local/bin/trial"), 0o755)?;
    put(&tests.join("trial.service"), &root.join("etc/systemd/system/trial.service"), 0o644)?;
    enable(root, "trial.service", "etc/systemd/system")?;
    let key = KeyPair::ed25519(work, "trial")?;
    put(&key.public, &root.join("etc/scomo/keys/trial.pub"), 0o644)?;
    let config = "[package.keys.trial]\nfile = '/etc/scomo/keys/trial.pub'\n";
    std::fs::write(root.join("etc/scomo/scomo.toml"), config).context("cannot write the configuration")?;
    let packages = root.join("srv/packages");
    std::fs::create_dir_all(&packages).context("cannot make the folder of the packages")?;
    for (version, script, window) in [
        ("1", "echo version 1; exec sleep 100000", 2),
        ("2", "echo version 2; exec sleep 100000", 2),
        ("3", "echo version 3; sleep 1; exit 1", 6),
        ("4", "echo version 4; exec sleep 100000", 8),
    ] {
        let layout = work.join(format!("image-{version}"));
        let _ = std::fs::remove_dir_all(&layout);
        let mut image = Layout::create(&layout)?;
        Busybox::running(script).write(&mut image, "web", Compression::Gzip)?;
        let source = format!("oci:{}:web", text(&layout)?);
        let more = json!({"health": {"windowS": window}, "run": {"restart": "always"}});
        let recipe = Recipe::new("shop", version).container("web", &source, &more);
        recipe.build(&packages.join(format!("v{version}")))?.sign(&key)?;
    }
    Ok(())
}

fn put(from: &Path, to: &Path, mode: u32) -> Result<()> {
    if let Some(folder) = to.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    std::fs::copy(from, to).with_context(|| format!("cannot copy {}", from.display()))?;
    let permissions = std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(to, permissions)
        .with_context(|| format!("cannot set the mode of {}", to.display()))
}

fn enable(root: &Path, unit: &str, folder: &str) -> Result<()> {
    let wants = root.join("etc/systemd/system/multi-user.target.wants");
    std::fs::create_dir_all(&wants).context("cannot make the folder of enabled units")?;
    symlink(format!("/{folder}/{unit}"), wants.join(unit)).with_context(|| format!("cannot enable {unit}"))
}

#[derive(Debug, Default)]
struct Tally {
    passed: u32,
    failed: u32,
    ended: bool,
}

impl Tally {
    fn line(&mut self, line: &str) {
        self.passed += u32::from(line.starts_with("CHECK ok"));
        self.failed += u32::from(line.starts_with("CHECK FAILED"));
        self.ended |= line.starts_with("THE END");
    }
}

/// A machine that is switched on: dropping it is a power cut.
struct Machine(Child);

impl Drop for Machine {
    fn drop(&mut self) {
        // The machine is a group of processes; one that has ended is as good as one that is killed.
        if let Ok(group) = i32::try_from(self.0.id()) {
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
        let _ = self.0.wait();
    }
}

/// Boots the machine and follows its console until it is off; cuts the power where it is asked for, if `cut`.
fn boot(image: &Path, tally: &mut Tally, cut: bool) -> Result<()> {
    let mut command = Command::new("linux.uml");
    command.args(["mem=768M", &format!("ubd0={}", text(image)?), "root=/dev/ubda", "rw", "con=null"]);
    command.args(["con0=fd:0,fd:1", "panic=-1", "quiet", "systemd.unified_cgroup_hierarchy=1"]);
    // Its memory is a file; only a file in memory is quick enough.
    command.env("TMPDIR", "/dev/shm").process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut machine = Machine(command.spawn().context("cannot start linux.uml")?);
    let console = machine.0.stdout.take().context("the machine has no console")?;
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(console).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    let deadline = Instant::now() + BOOT_MAX;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match lines.recv_timeout(left) {
            Ok(line) => {
                let line = line.trim_end();
                println!("| {line}");
                tally.line(line);
                if cut && line.starts_with("CUT THE POWER") {
                    follow_until(&lines, Instant::now() + CUT_AFTER);
                    println!("-- the power is cut");
                    return Ok(());
                }
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => return Ok(()),
            Err(mpsc::RecvTimeoutError::Timeout) => bail!("the machine hangs"),
        }
    }
}

fn follow_until(lines: &mpsc::Receiver<String>, end: Instant) {
    while let Ok(line) = lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
        println!("| {}", line.trim_end());
    }
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("the path {} is not UTF-8", path.display()))
}
