//! A device in miniature: its own processes, mounts and bus, with the real `scomod` and its workers.
//!
//! The device has a process namespace of its own. Whatever runs on it (daemon, workers, supervisors, containers) ends
//! when its first process ends, so [`Device::power_off`] is what it says, and nothing is left when a test panics.
//! Its folders are below a folder of the host; what is mounted there is seen on the device only, so look at files
//! through [`Device::path`].

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

use crate::bus::Bus;
use crate::keys::KeyPair;
use crate::process::{self, Process};
use crate::wait;

mod ctl;
mod inspect;
mod namespace;

pub use ctl::Ctl;
pub use inspect::Leftovers;
use namespace::Namespace;

/// Deadline of a job on a busy test machine.
pub const JOB: Duration = Duration::from_secs(120);

/// What a device is made of.
#[derive(Debug, Clone, Default)]
pub struct Builder {
    config: String,
    container: String,
    disk_megabytes: Option<u64>,
    search_path: Option<String>,
    folder: Option<PathBuf>,
}

impl Builder {
    /// Trusts a key under an identity.
    #[must_use]
    pub fn trust(mut self, identity: &str, key: &KeyPair) -> Self {
        // Writing to a string cannot fail.
        let _ = writeln!(self.config, "[package.keys.{identity}]\nfile = '{}'", key.public.display());
        self
    }

    /// Takes unsigned packages from sources that start with `prefix`.
    #[must_use]
    pub fn accept_unsigned(mut self, prefix: &str) -> Self {
        let policy = "signature = 'insecure-accept-unsigned'";
        let _ = writeln!(self.config, "[[package.policies]]\nsource = '{prefix}'\n{policy}");
        self
    }

    /// Talks plain HTTP to a registry.
    #[must_use]
    pub fn plain_http(mut self, registry: &str) -> Self {
        let _ = writeln!(self.config, "[package.registries.\"{registry}\"]\nplain_http = true");
        self
    }

    /// Adds configuration as it stands in a file.
    #[must_use]
    pub fn config(mut self, toml: &str) -> Self {
        let _ = writeln!(self.config, "{toml}");
        self
    }

    /// Adds a line to the section `container`.
    #[must_use]
    pub fn container(mut self, line: &str) -> Self {
        let _ = writeln!(self.container, "{line}");
        self
    }

    /// Keeps durable data on a disk of its own of this size.
    #[must_use]
    pub fn disk(mut self, megabytes: u64) -> Self {
        self.disk_megabytes = Some(megabytes);
        self
    }

    /// The folders in which the daemon finds programs.
    #[must_use]
    pub fn search_path(mut self, path: &str) -> Self {
        self.search_path = Some(path.to_owned());
        self
    }

    /// Puts the folders of the device below `folder`, which stays.
    #[must_use]
    pub fn folder(mut self, folder: &Path) -> Self {
        self.folder = Some(folder.to_owned());
        self
    }

    /// Switches it on: the daemon runs and answers.
    pub fn start(self) -> Result<Device> {
        let mut device = self.assemble()?;
        device.start_daemon()?;
        Ok(device)
    }

    /// Makes it with nothing running on it.
    pub fn assemble(self) -> Result<Device> {
        let temporary =
            tempfile::Builder::new().prefix("scomo-device-").tempdir().context("cannot make a folder")?;
        let root = self.folder.clone().unwrap_or_else(|| temporary.path().to_owned());
        for folder in ["state", "run", "workers"] {
            std::fs::create_dir_all(root.join(folder)).context("cannot make the folders of a device")?;
        }
        for worker in ["scomo-worker-container", "scomo-worker-files", "scomo-worker-os"] {
            let link = root.join("workers").join(worker);
            // A device handles the kinds of components whose workers it has.
            if let Ok(program) = crate::executable(worker)
                && !link.exists()
            {
                std::os::unix::fs::symlink(program, link).context("cannot link a worker")?;
            }
        }
        let bus = Bus::start(&root)?;
        let disk = self.disk_megabytes.map(|megabytes| namespace::make_disk(&root, megabytes)).transpose()?;
        let namespace = Namespace::start(&root, disk.as_deref())?;
        let device = Device { builder: self, temporary, root, bus, namespace, disk, daemon: None };
        device.write_config("")?;
        Ok(device)
    }
}

/// A running device.
#[derive(Debug)]
pub struct Device {
    builder: Builder,
    // Fields are dropped in this order: the daemon and everything on the device end before its folders go.
    daemon: Option<Daemon>,
    namespace: Namespace,
    bus: Bus,
    disk: Option<PathBuf>,
    root: PathBuf,
    temporary: TempDir,
}

/// A running daemon.
#[derive(Debug)]
struct Daemon {
    /// The program that entered the namespaces of the device; it is the parent of the daemon.
    entered: Process,
    id: u32,
}

impl Device {
    /// What a device is made of.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The bus of the device.
    #[must_use]
    pub fn bus(&self) -> &Bus {
        &self.bus
    }

    /// The folder of the device on the host.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A folder that lives as long as the device, for whatever goes with it.
    #[must_use]
    pub fn scratch(&self) -> &Path {
        self.temporary.path()
    }

    /// A file of the device as seen from outside; `inside` is relative to the folder of the device.
    #[must_use]
    pub fn path(&self, inside: &str) -> PathBuf {
        let below = self.root.strip_prefix("/").unwrap_or(&self.root);
        self.namespace.root().join(below).join(inside)
    }

    /// The folder with durable data, as the device sees it.
    #[must_use]
    pub fn state_dir(&self) -> PathBuf {
        self.root.join("state")
    }

    /// The configuration file.
    #[must_use]
    pub fn config_file(&self) -> PathBuf {
        self.root.join("scomo.toml")
    }

    /// Writes the configuration: what the builder was told and `more`, which may begin with lines of the section
    /// `container`. It counts from the next start.
    pub fn write_config(&self, more: &str) -> Result<()> {
        // The supervisor is our own also where systemd runs: its units would outlive the device.
        let container = format!("[container]\nsupervisor = 'own'\n{}", self.builder.container);
        let text = format!("{}{container}{more}\n", self.builder.config);
        std::fs::write(self.config_file(), text).context("cannot write the configuration of the device")
    }

    /// A command that runs on the device.
    #[must_use]
    pub fn command(&self, program: &Path) -> Command {
        self.namespace.command(program)
    }

    /// Starts the daemon and waits until it answers.
    pub fn start_daemon(&mut self) -> Result<()> {
        self.launch_daemon()?;
        wait::until_true("scomod answers on the bus", wait::SOON, || {
            let daemon = self.daemon.as_mut().context("the daemon was not started")?;
            if let Some(status) = daemon.entered.ended()? {
                bail!("scomod ended with {status}:\n{}", daemon.entered.text());
            }
            Ok(self.bus.busctl(&["status", "org.scomo1"]).is_ok())
        })
    }

    /// Starts the daemon and does not wait.
    pub fn launch_daemon(&mut self) -> Result<()> {
        let mut command = self.command(&crate::executable("scomod")?);
        command.arg("--bus").arg(self.bus.address()).arg("--config").arg(self.config_file());
        command.arg("--state-dir").arg(self.state_dir()).arg("--runtime-dir").arg(self.root.join("run"));
        command.arg("--workers").arg(self.root.join("workers"));
        if let Some(path) = &self.builder.search_path {
            command.env("PATH", path);
        }
        let mut entered = Process::start(&command)?;
        let id = wait::until("scomod starts", wait::SOON, || {
            if let Some(status) = entered.ended()? {
                bail!("scomod ended with {status}:\n{}", entered.text());
            }
            namespace::child_of(entered.id())
        })?;
        self.daemon = Some(Daemon { entered, id });
        Ok(())
    }

    /// Process id of the daemon on the host.
    pub fn daemon_id(&self) -> Result<u32> {
        self.daemon.as_ref().map(|daemon| daemon.id).context("the daemon does not run")
    }

    /// What the daemon and its workers wrote since it was started.
    #[must_use]
    pub fn daemon_log(&self) -> String {
        self.daemon.as_ref().map(|daemon| daemon.entered.text()).unwrap_or_default()
    }

    /// Kills the daemon with SIGKILL; containers and their supervisors stay.
    pub fn kill_daemon(&mut self) -> Result<()> {
        self.end_daemon(Signal::SIGKILL)
    }

    /// Stops the daemon as systemd does.
    pub fn stop_daemon(&mut self) -> Result<()> {
        self.end_daemon(Signal::SIGTERM)
    }

    fn end_daemon(&mut self, signal: Signal) -> Result<()> {
        let Some(mut daemon) = self.daemon.take() else { return Ok(()) };
        let id = i32::try_from(daemon.id).context("a process id is out of range")?;
        match nix::sys::signal::kill(Pid::from_raw(id), signal) {
            // It may have ended by itself a moment ago.
            Ok(()) | Err(nix::errno::Errno::ESRCH) => {}
            Err(error) => return Err(error).context("cannot signal the daemon"),
        }
        daemon.entered.wait(wait::SOON)?;
        Ok(())
    }

    /// Kills everything that runs on the device at once. What is on its disk stays.
    pub fn power_off(&mut self) -> Result<()> {
        self.namespace.end()?;
        self.daemon = None;
        Ok(())
    }

    /// Switches it on again after [`Device::power_off`]: mounts its disk, empties its volatile folder.
    pub fn power_on(&mut self) -> Result<()> {
        self.namespace = Namespace::start(&self.root, self.disk.as_deref())?;
        Ok(())
    }

    /// Runs scomoctl against the device.
    pub fn ctl(&self, args: &[&str]) -> Result<Ctl> {
        let mut command = Command::new(crate::executable("scomoctl")?);
        command.args(args).env("SCOMO_BUS_ADDRESS", self.bus.address());
        Ok(Ctl::from(process::run(&mut command)?))
    }

    /// Starts scomoctl against the device and does not wait for it.
    pub fn ctl_start(&self, args: &[&str]) -> Result<Process> {
        let mut command = Command::new(crate::executable("scomoctl")?);
        command.args(args).env("SCOMO_BUS_ADDRESS", self.bus.address());
        Process::start(&command)
    }

    /// What scomoctl gives as JSON.
    pub fn json(&self, args: &[&str]) -> Result<Value> {
        let mut line = vec!["--json"];
        line.extend(args);
        let ctl = self.ctl(&line)?;
        serde_json::from_str(&ctl.out).with_context(|| format!("scomoctl {args:?} gave no JSON: {ctl}"))
    }

    /// Waits until no job is under way.
    pub fn wait_idle(&self) -> Result<()> {
        wait::until_true("the device has no job under way", JOB, || {
            let jobs = self.json(&["jobs"])?;
            Ok(jobs.get("jobs").and_then(Value::as_array).is_some_and(Vec::is_empty))
        })
        .with_context(|| self.daemon_log())
    }
}
