//! Section `tree` of the configuration.

use std::collections::BTreeSet;

use scomo_core::tree::{Settings, TreeVersion};
use serde::{Deserialize, Serialize};

use crate::policy::PolicyConfig;

/// Section `tree` of the configuration: how the SCOMO tree of the device is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct TreeConfig {
    /// URI of the SCOMO root in the management tree.
    pub root: String,
    /// Edition of the management object: `1.1`, or `1.0` without the nodes that 1.1 added.
    #[cfg_attr(test, schemars(with = "String"))]
    pub version: TreeVersion,
    /// Numbers of `HashInfo/Algorithm` in a Whitelist that mean SHA-256. Without any no entry can have a hash.
    pub sha256_numbers: BTreeSet<i32>,
    /// What stands between the names in `Blacklisted` and `Whitelisted`.
    pub list_separator: char,
}

impl Default for TreeConfig {
    fn default() -> Self {
        let Settings { root, version, sha256_numbers, list_separator, reboot_values: _ } =
            Settings::default();
        Self { root, version, sha256_numbers, list_separator }
    }
}

impl TreeConfig {
    /// The settings of the tree; the policy says what `Reboot` may be.
    #[must_use]
    pub fn settings(&self, policy: &PolicyConfig) -> Settings {
        let Self { root, version, sha256_numbers, list_separator } = self.clone();
        let reboot_values = policy.reboot_values.keys().filter_map(|value| value.parse().ok()).collect();
        Settings { root, version, sha256_numbers, list_separator, reboot_values }
    }
}
