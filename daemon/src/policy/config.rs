//! Section `policy` of the configuration.
//!
//! Nothing of it is durable: it is looked at when a job is given, at each gate, and again after each start.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use scomo_core::command::Gate;
use serde::{Deserialize, Serialize};

use super::windows::{WINDOWS_MAX, Window, Zone};

/// Section `policy` of the configuration: when and under which conditions updates may happen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PolicyConfig {
    /// Maintenance windows: days and hours, for example `Mon-Fri 01:00-05:00` or `Sat,Sun 22:00-04:00`; without days
    /// it is every day. At most 168.
    #[serde(deserialize_with = "windows")]
    #[cfg_attr(test, schemars(with = "Vec<String>"))]
    pub windows: Vec<Window>,
    /// Zone of the windows: `local`, which is that of the device, or an IANA name such as `Europe/Berlin`.
    #[cfg_attr(test, schemars(with = "String"))]
    pub time_zone: Zone,
    /// When packages may be downloaded.
    pub download: DownloadWhen,
    /// When downloaded software may be installed.
    pub install: InstallWhen,
    /// When the device is restarted for an update that needs it.
    pub reboot: RebootWhen,
    /// Seconds between the decision to restart and the restart.
    pub reboot_delay_s: u32,
    /// Program and arguments that restart the device where systemd-logind does not; empty: nothing does.
    pub reboot_command: Vec<String>,
    /// What a registered agent must agree to.
    pub consent: BTreeSet<Point>,
    /// What happens when no agent is there or none answers in time.
    pub consent_unanswered: Unanswered,
    /// Seconds that an agent has to answer.
    pub consent_timeout_s: u32,
    /// Environments, as URIs, that a package may say in `EnvType`; empty: any.
    pub env_types: BTreeSet<String>,
    /// What the values of the SCOMO leaf `Reboot` mean.
    pub reboot_values: BTreeMap<String, RebootValue>,
    /// Whether an install that names no receiver of a report, and so comes from a person, may try a package again that
    /// failed on this device. Others need the option `retry-failed`.
    pub retry_failed_by_people: bool,
    /// Folders with hooks, in `pre-install.d` and the like. Of two hooks of the same name the one of the later folder
    /// runs.
    pub hook_dirs: Vec<PathBuf>,
    /// Seconds that one hook may take.
    pub hook_timeout_s: u32,
}

impl Default for PolicyConfig {
    fn default() -> Self {
        let values = [
            ("0", RebootValue::None),
            ("1", RebootValue::Before),
            ("2", RebootValue::After),
            ("3", RebootValue::Both),
        ];
        Self {
            windows: Vec::new(),
            time_zone: Zone::Local,
            download: DownloadWhen::AnyTime,
            install: InstallWhen::AtOnce,
            reboot: RebootWhen::Never,
            // Time to read the message and to save one's work.
            reboot_delay_s: 60,
            reboot_command: Vec::new(),
            consent: BTreeSet::new(),
            consent_unanswered: Unanswered::Wait,
            consent_timeout_s: 300,
            env_types: BTreeSet::new(),
            reboot_values: values.map(|(value, meaning)| (value.to_owned(), meaning)).into(),
            retry_failed_by_people: false,
            hook_dirs: ["/usr/lib/scomo/hooks", "/etc/scomo/hooks"].map(PathBuf::from).into(),
            hook_timeout_s: 60,
        }
    }
}

fn windows<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<Window>, D::Error> {
    let windows = Vec::<Window>::deserialize(deserializer)?;
    if windows.len() > WINDOWS_MAX {
        return Err(serde::de::Error::custom(format!(
            "there are more than {WINDOWS_MAX} maintenance windows"
        )));
    }
    Ok(windows)
}

/// When packages may be downloaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum DownloadWhen {
    /// At any time.
    AnyTime,
    /// In a maintenance window. One that began goes on when the window closes.
    InWindow,
}

/// When downloaded software may be installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum InstallWhen {
    /// At once.
    AtOnce,
    /// In a maintenance window. What began goes on when the window closes.
    InWindow,
    /// When somebody says `scomoctl approve`.
    WhenApproved,
}

/// When the device is restarted for an update that needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum RebootWhen {
    /// As soon as it is needed.
    Now,
    /// In a maintenance window.
    InWindow,
    /// When somebody says `scomoctl approve` or `scomoctl reboot`.
    WhenApproved,
    /// By the daemon only when somebody says `scomoctl reboot`.
    Never,
}

/// A point at which something is held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Point {
    /// Before a package is downloaded.
    Download,
    /// Before software is installed.
    Install,
    /// Before the device is restarted.
    Reboot,
}

impl Point {
    /// Every point.
    pub const ALL: [Self; 3] = [Self::Download, Self::Install, Self::Reboot];

    /// The name in the configuration and on the bus.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Download => "download",
            Self::Install => "install",
            Self::Reboot => "reboot",
        }
    }

    /// The point at which a job stands that waits at a gate.
    pub fn of_gate(gate: Gate) -> Self {
        match gate {
            Gate::Download => Self::Download,
            Gate::Boot => Self::Reboot,
            Gate::Install => Self::Install,
        }
    }
}

/// What happens when nobody agrees or disagrees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Unanswered {
    /// It waits, and asks again.
    Wait,
    /// As if the answer were yes.
    Allow,
    /// As if the answer were no.
    Deny,
}

/// When the device must be restarted for a package (SCOMO leaf `Reboot`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum RebootValue {
    /// Not.
    None,
    /// Before it is installed.
    Before,
    /// After it was installed.
    After,
    /// Before and after.
    Both,
}

impl RebootValue {
    /// Whether before the install.
    pub fn before(self) -> bool {
        matches!(self, Self::Before | Self::Both)
    }

    /// Whether after the install.
    pub fn after(self) -> bool {
        matches!(self, Self::After | Self::Both)
    }
}
