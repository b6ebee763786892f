//! The SCOMO state and status values (SCOMO 1.0 sections 7.4) with their integers and names.

use serde::{Deserialize, Serialize};

macro_rules! scomo_values {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $value:literal $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum $name {
            $($(#[$vdoc])* $variant,)+
        }

        impl $name {
            /// Every value.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The integer of the specification.
            #[must_use]
            pub fn value(self) -> i32 {
                match self { $(Self::$variant => $value,)+ }
            }

            /// The name shown to people.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }
    };
}

scomo_values!(
    /// `Download/<X>/Status`.
    DownloadStatus {
        /// Nothing started.
        Idle = 10 "idle",
        /// The download failed; no data is kept.
        DownloadFailed = 20 "download-failed",
        /// The download runs.
        Downloading = 30 "downloading",
        /// The download is complete.
        Downloaded = 40 "downloaded",
        /// The installation runs.
        Installing = 50 "installing",
        /// The installation failed; the package is still on the device.
        InstallFailed = 60 "install-failed",
        /// The installation failed and the package was deleted. Not used: this client keeps what it downloaded.
        InstallFailedNoData = 70 "install-failed-no-data",
    }
);

scomo_values!(
    /// `Inventory/Delivered/<X>/State`.
    DeliveredState {
        /// The package is on the device; none of its components is deployed.
        Delivered = 10 "delivered",
        /// At least one component of the package is deployed.
        Installed = 20 "installed",
    }
);

scomo_values!(
    /// `Inventory/Delivered/<X>/Status`.
    DeliveredStatus {
        /// Nothing started.
        Idle = 10 "idle",
        /// Remove failed.
        RemoveFailed = 20 "remove-failed",
        /// Remove runs.
        Removing = 30 "removing",
        /// The installation runs.
        Installing = 40 "installing",
        /// The installation failed; the package is still on the device.
        InstallFailed = 50 "install-failed",
        /// The installation failed and the package was deleted. Not used: this client keeps what it has.
        InstallFailedNoData = 60 "install-failed-no-data",
    }
);

scomo_values!(
    /// `Inventory/Deployed/<X>/State`.
    ComponentState {
        /// Installed, not accessible to anyone.
        Inactive = 10 "inactive",
        /// Installed and accessible: it runs, or it is booted.
        Active = 20 "active",
    }
);

scomo_values!(
    /// `Inventory/Deployed/<X>/Status`.
    ComponentStatus {
        /// Nothing started.
        Idle = 10 "idle",
        /// Remove failed; the component is still on the device.
        RemoveFailed = 20 "remove-failed",
        /// Remove runs.
        Removing = 30 "removing",
        /// Activate failed; the component is still inactive.
        ActivateFailed = 40 "activate-failed",
        /// Activate runs.
        Activating = 50 "activating",
        /// Deactivate failed; the component is still active.
        DeactivateFailed = 60 "deactivate-failed",
        /// Deactivate runs.
        Deactivating = 70 "deactivating",
    }
);
