//! A private bus with the real daemon on it, over the simulated device. Everything ends when it is dropped.

#![allow(dead_code, unreachable_pub, reason = "not every test file uses all of it")]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How long anything may take before a test fails.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Who may do what on the bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Everybody may call everything: the daemon alone decides.
    Open,
    /// The policy file that is shipped, for the group [`GROUP`]: there may be none called scomo here.
    Shipped,
}

/// A group that every machine has and nobody is in.
pub const GROUP: &str = "games";

/// A device in a folder.
#[derive(Debug)]
pub struct Device {
    folder: tempfile::TempDir,
    bus: Child,
    daemon: Option<Child>,
}

impl Device {
    /// A device with its daemon running.
    pub fn started() -> Self {
        let mut device = Self::new(Policy::Open, "");
        device.start();
        device
    }

    /// A bus and a configuration; the daemon does not run yet.
    pub fn new(policy: Policy, config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(path.join("scomo.toml"), config).unwrap();
        fs::create_dir(path.join("workers")).unwrap();
        fs::create_dir(path.join("services")).unwrap();
        let worker = executable("scomo-worker-sim", "-p scomo-engine");
        for kind in ["container", "os"] {
            let script = path.join(format!("workers/scomo-worker-{kind}"));
            fs::write(&script, format!("#!/bin/sh\nexec {} {kind}\n", worker.display())).unwrap();
            fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        }
        fs::write(path.join("bus.conf"), bus_config(path, policy)).unwrap();
        let mut bus = Command::new("dbus-daemon");
        bus.args(["--nofork", "--print-address", "--config-file"]).arg(path.join("bus.conf"));
        let mut bus = bus.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("install dbus-daemon");
        let mut line = String::new();
        BufReader::new(bus.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert!(line.starts_with("unix:"), "dbus-daemon did not start: {line}");
        Self { folder, bus, daemon: None }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn address(&self) -> String {
        format!("unix:path={}/bus", self.path().display())
    }

    /// What the simulated device is like, before anything runs on it: its JSON form, see `scomo_engine::sim::World`.
    pub fn set_world(&self, world: &str) {
        let state = self.path().join("state");
        fs::create_dir_all(&state).unwrap();
        // Under the lock of the simulated device: a worker that is just looking would write the old world back.
        let lock = fs::File::create(state.join("world.lock")).unwrap();
        lock.lock().unwrap();
        fs::write(state.join("world.json"), world).unwrap();
    }

    /// The daemon's command line.
    pub fn command(&self) -> Command {
        let mut command = Command::new(scomod());
        for (option, name) in [
            ("--config", "scomo.toml"),
            ("--state-dir", "state"),
            ("--runtime-dir", "run"),
            ("--workers", "workers"),
        ] {
            command.arg(option).arg(self.path().join(name));
        }
        command.arg(format!("--bus={}", self.address()));
        command.env_remove("NOTIFY_SOCKET").env_remove("SCOMO_LOG");
        command
    }

    /// Starts the daemon and waits until it says that it is ready.
    pub fn start(&mut self) {
        self.start_by(self.command());
    }

    /// As [`Self::start`], by this command.
    pub fn start_by(&mut self, mut command: Command) {
        let socket = self.path().join("notify");
        let _ = fs::remove_file(&socket);
        let notify = UnixDatagram::bind(&socket).unwrap();
        notify.set_read_timeout(Some(PATIENCE)).unwrap();
        let log = fs::File::options().create(true).append(true).open(self.path().join("log")).unwrap();
        let daemon = command.env("NOTIFY_SOCKET", &socket).stderr(log).spawn().unwrap();
        self.daemon = Some(daemon);
        let mut message = [0; 64];
        let length = notify.recv(&mut message).unwrap_or_else(|e| panic!("not ready: {e}\n{}", self.log()));
        assert_eq!(&message[..length], b"READY=1\n");
    }

    pub fn pid(&self) -> u32 {
        self.daemon.as_ref().expect("it runs").id()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.path().join("log")).unwrap_or_default()
    }

    /// Asks the daemon to end and waits for it.
    pub fn terminate(&mut self) -> ExitStatus {
        let mut daemon = self.daemon.take().expect("it runs");
        signal(daemon.id(), "TERM");
        wait_for_end(&mut daemon)
    }

    /// Ends the daemon as a power cut would.
    pub fn kill(&mut self) {
        let mut daemon = self.daemon.take().expect("it runs");
        daemon.kill().unwrap();
        daemon.wait().unwrap();
    }

    /// Files of delivered packages.
    pub fn spooled(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.path().join("state/spool")).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    /// `busctl` with these arguments.
    pub fn busctl(&self, args: &[&str]) -> Command {
        let mut command = Command::new("busctl");
        command.arg(format!("--address={}", self.address())).args(args);
        command
    }

    /// `busctl` as the user nobody with these supplementary groups.
    pub fn busctl_as_nobody(&self, groups: Option<&str>, args: &[&str]) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=nobody", "--regid=nogroup"]);
        command
            .arg(groups.map_or_else(|| "--clear-groups".to_owned(), |groups| format!("--groups={groups}")));
        command.args(["busctl", &format!("--address={}", self.address())]).args(args);
        command
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        for child in self.daemon.iter_mut().chain([&mut self.bus]) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Sends a signal, by its name.
pub fn signal(pid: u32, name: &str) {
    let (code, text) = run(Command::new("kill").args([&format!("-{name}"), &pid.to_string()]));
    assert_eq!(code, 0, "{text}");
}

/// A world in which the first fetch does nothing until it is cancelled.
pub const HANGING_FETCH: &str = r#"{"faults":[{"step":"fetch","skip":0,"action":"hang"}]}"#;

/// A world in which each of the four parts of a fetch takes so long.
pub fn slow_world(pace: Duration) -> String {
    format!(r#"{{"pace":{{"secs":0,"nanos":{}}}}}"#, pace.subsec_nanos())
}

/// Waits for a process to end by itself.
pub fn wait_for_end(child: &mut Child) -> ExitStatus {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        assert!(Instant::now() < deadline, "the process did not end");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether the test can run; says so in the words that the test runner counts when it cannot.
pub fn is_root(test: &str) -> bool {
    let root = fs::metadata("/proc/self").unwrap().uid() == 0;
    if !root {
        eprintln!("SKIPPED: needs root: {test}");
    }
    root
}

/// What a command printed on both outputs, and its exit code.
pub fn run(command: &mut Command) -> (i32, String) {
    let output =
        command.stdin(Stdio::null()).output().unwrap_or_else(|e| panic!("cannot run {command:?}: {e}"));
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&text).into_owned())
}

/// An executable that Cargo built beside the tests.
pub fn executable(name: &str, package: &str) -> PathBuf {
    let mut folder = std::env::current_exe().unwrap();
    folder.pop();
    if folder.ends_with("deps") {
        folder.pop();
    }
    let path = folder.join(name);
    assert!(path.is_file(), "{} is missing: run 'cargo build {package}' first", path.display());
    path
}

fn scomod() -> PathBuf {
    option_env!("CARGO_BIN_EXE_scomod").map_or_else(|| executable("scomod", "-p scomod"), PathBuf::from)
}

fn bus_config(folder: &Path, policy: Policy) -> String {
    let shipped = folder.join("org.scomo1.conf");
    let text = include_str!("../../../packaging/dbus/org.scomo1.conf");
    assert!(text.contains("policy group=\"scomo\""));
    fs::write(&shipped, text.replace("group=\"scomo\"", &format!("group=\"{GROUP}\""))).unwrap();
    let rules = match policy {
        Policy::Open => {
            "<policy context=\"default\"><allow own=\"*\"/><allow send_destination=\"*\"/></policy>"
                .to_owned()
        }
        Policy::Shipped => format!(
            "<policy context=\"default\"><deny own=\"*\"/><deny send_type=\"method_call\"/>\
             <allow send_destination=\"org.freedesktop.DBus\"/></policy><include>{}</include>",
            shipped.display()
        ),
    };
    // As on a system bus, but for `rules`.
    format!(
        "<!DOCTYPE busconfig PUBLIC \"-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN\" \
         \"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd\">\n<busconfig>\n<type>custom</type>\n\
         <listen>unix:path={0}/bus</listen>\n<servicedir>{0}/services</servicedir>\n<auth>EXTERNAL</auth>\n<policy context=\"default\"><allow user=\"*\"/>\
         <allow send_type=\"signal\"/><allow send_requested_reply=\"true\" send_type=\"method_return\"/>\
         <allow send_requested_reply=\"true\" send_type=\"error\"/><allow receive_type=\"method_call\"/>\
         <allow receive_type=\"method_return\"/><allow receive_type=\"error\"/><allow receive_type=\"signal\"/>\
         </policy>\n{rules}\n</busconfig>\n",
        folder.display()
    )
}
