//! What a device maker decides about the tree. Plain data: the daemon makes it from its configuration.

use std::collections::BTreeSet;

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
    /// What `Reboot` may be; what the values mean is the policy's.
    pub reboot_values: BTreeSet<i32>,
    /// What stands between the names in `Blacklisted` and `Whitelisted`.
    pub list_separator: char,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            root: "./SCOMO".to_owned(),
            version: TreeVersion::default(),
            sha256_numbers: BTreeSet::new(),
            reboot_values: (0..=3).collect(),
            list_separator: ',',
        }
    }
}
