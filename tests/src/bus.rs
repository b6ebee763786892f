//! A private D-Bus daemon, as open as a session bus: what the policy of the system bus allows is tested elsewhere.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::process::Process;

/// A running bus.
#[derive(Debug)]
pub struct Bus {
    process: Process,
    address: String,
}

impl Bus {
    /// Starts one with its socket in `folder`.
    pub fn start(folder: &Path) -> Result<Self> {
        let config = folder.join("bus.conf");
        let socket = folder.join("bus.socket");
        std::fs::write(&config, configuration(&socket))
            .context("cannot write the configuration of the bus")?;
        let mut command = Command::new("dbus-daemon");
        command.arg("--nofork").arg("--print-address").arg(format!("--config-file={}", config.display()));
        let mut process = Process::start(&command)?;
        let address = process.wait_for_line("dbus-daemon prints its address", |line| {
            line.starts_with("unix:").then(|| line.to_owned())
        })?;
        Ok(Self { process, address })
    }

    /// What a client connects to.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Runs busctl on this bus and gives what it prints.
    pub fn busctl(&self, args: &[&str]) -> Result<String> {
        crate::process::output(Command::new("busctl").arg(format!("--address={}", self.address)).args(args))
    }
}

fn configuration(socket: &Path) -> String {
    format!(
        r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
  "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>custom</type>
  <listen>unix:path={}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"#,
        socket.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bus_answers() {
        let folder = tempfile::tempdir().unwrap();
        let bus = Bus::start(folder.path()).unwrap();
        let names = bus.busctl(&["list", "--no-legend"]).unwrap();
        assert!(names.contains("org.freedesktop.DBus"), "{names}");
    }
}
