//! What a device maker decides about the tree. Plain data: the daemon reads it from its configuration.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::nodes::TreeVersion;

/// How the tree of this device is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// URI of the SCOMO root in the management tree.
    pub root: String,
    /// Which edition it shows.
    pub version: TreeVersion,
    /// What `HashInfo/Algorithm` may be: the numbers that mean SHA-256. None: no entry can have a hash.
    pub sha256_numbers: BTreeSet<i32>,
    /// What the values of `Reboot` mean; others are refused.
    pub reboot_values: BTreeMap<i32, Reboot>,
    /// What stands between the names in `Blacklisted` and `Whitelisted`.
    pub list_separator: char,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            root: "./SCOMO".to_owned(),
            version: TreeVersion::default(),
            sha256_numbers: BTreeSet::new(),
            reboot_values: BTreeMap::from([
                (0, Reboot::Never),
                (1, Reboot::Before),
                (2, Reboot::After),
                (3, Reboot::Both),
            ]),
            list_separator: ',',
        }
    }
}

impl Settings {
    /// What the `Reboot` leaf of a package asks for. No leaf: nothing. None: the value means nothing here.
    #[must_use]
    pub fn reboot(&self, leaf: Option<i32>) -> Option<Reboot> {
        leaf.map_or(Some(Reboot::Never), |value| self.reboot_values.get(&value).copied())
    }
}

/// When a device restarts around an installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reboot {
    /// Not because of the package.
    Never,
    /// Before its components are switched.
    Before,
    /// After they are.
    After,
    /// Before and after.
    Both,
}
