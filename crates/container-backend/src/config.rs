//! The configuration section `container`, and the whole of what a container worker is told.

use std::path::{Path, PathBuf};

use scomo_core::failure::Failure;
use scomo_engine::worker;
use serde::{Deserialize, Serialize};

/// Section `container` of the configuration: what packages may have of the host.
///
/// ```toml
/// [container]
/// runtime = "crun"
/// host_paths = ["/srv/data"]          # folders that a package may mount, with all below them
/// devices = ["/dev/ttyS*", "/dev/i2c-1"]
/// capabilities = ["CAP_NET_ADMIN"]
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Config {
    /// The OCI runtime, `crun` or `runc`: a path, or a name that is looked for in `PATH`.
    pub runtime: PathBuf,
    /// Host folders and files that packages may mount. Empty: none.
    pub host_paths: Vec<PathBuf>,
    /// Host devices that packages may use. A `*` at the end stands for the rest of the name. Empty: none.
    pub devices: Vec<String>,
    /// Capabilities that packages may ask for beyond the default set.
    pub capabilities: Vec<String>,
    /// Who keeps containers running.
    pub supervisor: Supervisor,
    /// Deletes the volumes of a component when it is removed. Otherwise they stay, for when it comes back.
    pub remove_volumes: bool,
    /// The executable `scomo-worker-container`. Without it: the one that runs.
    pub worker: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        // Enough for network and media software, and none of these reaches out of the container by itself.
        let capabilities = ["CAP_IPC_LOCK", "CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_SYS_NICE"];
        Self {
            runtime: PathBuf::from("crun"),
            host_paths: Vec::new(),
            devices: Vec::new(),
            capabilities: capabilities.map(str::to_owned).to_vec(),
            supervisor: Supervisor::default(),
            remove_volumes: false,
            worker: None,
        }
    }
}

/// Who keeps containers running.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Supervisor {
    /// systemd where it runs, otherwise our own.
    #[default]
    Auto,
    /// Transient units of systemd.
    Systemd,
    /// A small process of our own for each component.
    Own,
}

/// What a container worker is told.
#[derive(Debug, Clone, Deserialize)]
pub struct Settings {
    /// Where everything durable is; absolute.
    pub state_dir: PathBuf,
    /// Where everything that ends with the boot is; absolute.
    pub runtime_dir: PathBuf,
    /// Section `package`.
    #[serde(default)]
    pub package: scomo_package::Config,
    /// Section `container`.
    #[serde(default)]
    pub container: Config,
}

impl Settings {
    /// Reads the configuration of a worker's job.
    pub fn from_job(config: serde_json::Value) -> Result<Self, Failure> {
        let settings: Self = worker::settings(&config)?;
        for (name, path) in [("state_dir", &settings.state_dir), ("runtime_dir", &settings.runtime_dir)] {
            if !Path::new(path).is_absolute() {
                let problem = format!("'{}' is no absolute path", path.display());
                return Err(worker::wrong_setting(name, problem));
            }
        }
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use scomo_core::failure::FailureKind;
    use serde_json::json;

    use super::*;

    #[test]
    fn settings_are_checked() {
        let good =
            json!({"state_dir": "/s", "runtime_dir": "/r", "os": {"x": 1}, "container": {"runtime": "runc"}});
        let settings = Settings::from_job(good).expect("good settings");
        assert_eq!(settings.container.runtime, Path::new("runc"));
        assert!(settings.container.host_paths.is_empty());
        let bad = [
            json!({}),
            json!({"state_dir": "s", "runtime_dir": "/r"}),
            json!({"state_dir": "/s", "runtime_dir": "/r", "container": {"host_path": ["/"]}}),
            json!({"state_dir": "/s", "runtime_dir": "/r", "container": {"remove_volumes": "no"}}),
            json!({"state_dir": "/s", "runtime_dir": "/r", "package": {"timeouts": {"read_s": -1}}}),
        ];
        let names = [
            "state_dir",
            "'state_dir'",
            "'container.host_path'",
            "'container.remove_volumes'",
            "'package.timeouts.read_s'",
        ];
        for (bad, name) in bad.into_iter().zip(names) {
            let failure = Settings::from_job(bad).expect_err("must be refused");
            assert_eq!(failure.kind, FailureKind::Broken);
            assert!(failure.detail.contains(name), "{}", failure.detail);
        }
    }
}
