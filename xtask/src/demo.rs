//! `cargo xtask demo`: the main job for real, on a scratch device, told step by step.
//!
//! Everything is what a device and its surroundings have: a registry, an OSTree repository behind HTTP, the daemon on a
//! bus of its own, containers under crun. Nothing is left behind.

use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use scomo_tests::device::Device;
use scomo_tests::ostree::{Repository, Sysroot};
use scomo_tests::package::{Recipe, plain_http};
use scomo_tests::world::{Behaviour, World};
use scomo_tests::{executable, http};

/// `scomoctl` ends with this when all is done but a reboot.
const REBOOT_NEEDED: i32 = 100;
/// … and with this when the new software was taken back.
const REVERSED: i32 = 13;

/// Shows the main job. True when every step did what it should.
pub fn run() -> Result<bool> {
    ensure!(
        nix::unistd::geteuid().is_root(),
        "the demo runs containers and mounts their file systems: run it as root"
    );
    let begun = Instant::now();
    let stage = Stage::build()?;
    stage.install_and_update()?;
    stage.take_back()?;
    stage.without_registry()?;
    stage.update_os()?;
    title("What was done, by whom, and how it ended");
    stage.ctl(&["history"], 0)?;
    println!("\nThe demo took {} s. Everything it made is removed now.", begun.elapsed().as_secs());
    Ok(true)
}

/// What the demo is played on. The device goes before what is around it.
struct Stage {
    device: Device,
    sysroot: Sysroot,
    sources: Vec<String>,
    folder_source: String,
    os_source: String,
    os_commit: String,
    _os_server: http::Server,
    _repository: Repository,
    _world: World,
    _scratch: tempfile::TempDir,
}

impl Stage {
    fn build() -> Result<Self> {
        title("A registry, an OSTree repository and a device are made");
        let world = World::new()?;
        let registry = world.registry().address().to_owned();
        println!("docker-registry listens on {registry}, the device trusts one key");
        let mut sources = Vec::new();
        for (version, behaviour) in
            [("1", Behaviour::Good), ("2", Behaviour::Good), ("3", Behaviour::Unhealthy)]
        {
            sources.push(world.publish(version, behaviour)?);
            println!("version {version} of a package with two containers is built, signed and pushed");
        }
        let folder_source = world.build("4", Behaviour::Good)?.source;
        let repository = Repository::create()?;
        let old = repository.commit("1.0", &[])?;
        let os_commit = repository.commit("2.0", &[("usr/share/new", b"new in 2.0\n")])?;
        let os_server = http::Server::start(repository.web_root())?;
        println!("an OSTree repository with OS 1.0 and 2.0 is served at {}/repo", os_server.url());
        let os_source = format!("docker://{registry}/os:2.0");
        let recipe =
            Recipe::new("com.example.os", "2.0").os("os", &format!("{}/repo", os_server.url()), &os_commit);
        let package = recipe.build(&world.folder().join("os"))?;
        package.sign(world.key())?;
        package.push(&plain_http(&registry), &os_source)?;
        println!("a signed package names the commit of OS 2.0");
        let scratch = tempfile::tempdir().context("cannot make a folder")?;
        let sysroot = Sysroot::create(&scratch.path().join("sysroot"), &repository, &old)?;
        let config = format!("[os]\nsysroot = '{}'", sysroot.path().display());
        let device = world.device().config(&config).start()?;
        println!("scomod runs on a private bus with a scratch root; OS 1.0 is deployed there");
        let (_os_server, _repository, _world, _scratch) = (os_server, repository, world, scratch);
        Ok(Self {
            device,
            sysroot,
            sources,
            folder_source,
            os_source,
            os_commit,
            _os_server,
            _repository,
            _world,
            _scratch,
        })
    }

    fn install_and_update(&self) -> Result<()> {
        let [v1, v2, _] = self.sources.as_slice() else { anyhow::bail!("three versions are published") };
        title("Version 1 is installed");
        self.ctl(&["install", v1], 0)?;
        self.ctl(&["status"], 0)?;
        self.runs("1")?;
        title("The same on the bus: the SCOMO words, for scripts");
        self.busctl(&["tree", "org.scomo1"])?;
        let web = "/org/scomo1/deployed/web";
        let interface = "org.scomo1.DeploymentComponent";
        self.busctl(&["get-property", "org.scomo1", web, interface, "Version", "State", "StateName"])?;
        title("An update to version 2: both containers change together");
        self.ctl(&["install", v2], 0)?;
        self.ctl(&["list"], 0)?;
        self.ctl(&["logs", "web"], 0)?;
        self.runs("2")
    }

    fn take_back(&self) -> Result<()> {
        let bad = self.sources.last().context("three versions are published")?;
        title("Version 3 turns unhealthy: all of it is taken back, version 2 runs again");
        self.ctl(&["install", bad], REVERSED)?;
        self.ctl(&["status"], 0)?;
        self.runs("2")
    }

    fn without_registry(&self) -> Result<()> {
        title("No registry at hand: version 4 from a folder, then back to version 2 by hand");
        self.ctl(&["install", &self.folder_source], 0)?;
        self.runs("4")?;
        self.ctl(&["rollback"], 0)?;
        self.runs("2")
    }

    fn update_os(&self) -> Result<()> {
        title("OS 2.0 is deployed next to OS 1.0; it takes a reboot to become active");
        self.ctl(&["install", &self.os_source], REBOOT_NEEDED)?;
        println!("\nThe boot loader entries, the default first:");
        let entries = self.sysroot.entries()?;
        for entry in &entries {
            println!("{}", indented(entry));
        }
        let (Some(new), Some(old)) = (entries.first(), entries.get(1)) else {
            anyhow::bail!("two boot loader entries must be there, there are {}", entries.len())
        };
        ensure!(new.contains("Demo OS 2.0") && old.contains("Demo OS 1.0"), "OS 2.0 must boot next");
        ensure!(new.contains("root=LABEL=demo"), "the kernel arguments must be carried over");
        let file = self.sysroot.deployed(&self.os_commit, "usr/share/new");
        ensure!(file.is_file(), "{} must be deployed", file.display());
        println!("What ostree says of it:\n{}", indented(&self.sysroot.status()?));
        self.ctl(&["status"], 0)
    }

    /// Runs scomoctl where the user sees it; on a terminal it draws its progress bar.
    fn ctl(&self, args: &[&str], expected: i32) -> Result<()> {
        println!("\n$ scomoctl {}", args.join(" "));
        let mut command = Command::new(executable("scomoctl")?);
        command.args(args).env("SCOMO_BUS_ADDRESS", self.device.bus().address());
        let status = command.status().context("cannot run scomoctl")?;
        ensure!(
            status.code() == Some(expected),
            "scomoctl ended with {status}, it should end with {expected}\n{}",
            self.device.daemon_log()
        );
        if expected != 0 {
            println!("(exit code {expected}, as it should be)");
        }
        Ok(())
    }

    fn busctl(&self, args: &[&str]) -> Result<()> {
        println!("\n$ busctl {}", args.join(" "));
        print!("{}", self.device.bus().busctl(args)?);
        Ok(())
    }

    /// What counts in the end: the processes.
    fn runs(&self, version: &str) -> Result<()> {
        self.device.runs(version)?;
        println!("(looked up in the process table: {})", self.device.running()?.join(", "));
        Ok(())
    }
}

fn title(text: &str) {
    println!("\n==== {text}");
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect()
}
