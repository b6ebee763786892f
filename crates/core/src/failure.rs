//! Failures: a closed set of kinds that the state machine decides on, and the SCOMO result codes they become.
//!
//! A [`Failure`] is durable. Only its kind is ever decided on; the detail is shown to people and never parsed.

use serde::{Deserialize, Serialize};

/// Longest stored detail in bytes; the whole chain of causes is in the log.
pub const DETAIL_BYTES_MAX: usize = 512;

/// What kind of thing went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// The server cannot be reached or the connection broke: worth another try.
    Unavailable,
    /// The server answered with an error of its own (HTTP 5xx): worth another try.
    Server,
    /// The server refused our credentials, or wants some.
    Unauthorized,
    /// The server or the path holds no such thing.
    NotFound,
    /// A transfer ended early or the bytes do not have the promised digest.
    Corrupt,
    /// No trusted key signed the package.
    Untrusted,
    /// The package breaks the rules of its format.
    Invalid,
    /// The package is for another environment, or of a kind that this device does not handle.
    Unsupported,
    /// The same package failed before on this device, and nobody asked for another try.
    FailedBefore,
    /// A component that it requires is missing, inactive or too old.
    Unmet,
    /// The Whitelist, the Blacklist, a hook or a person says no.
    Forbidden,
    /// The disk is full.
    NoSpace,
    /// Something the device needs is missing or refuses to work, for example the container runtime.
    Broken,
    /// The new software did not stay healthy.
    Unhealthy,
    /// The new OS did not boot.
    BootFailed,
    /// A user or client cancelled.
    Cancelled,
    /// The daemon or its worker ended in the middle, more often than is tolerated.
    Interrupted,
}

impl FailureKind {
    /// Every kind.
    pub const ALL: [Self; 17] = [
        Self::Unavailable,
        Self::Server,
        Self::Unauthorized,
        Self::NotFound,
        Self::Corrupt,
        Self::Untrusted,
        Self::Invalid,
        Self::Unsupported,
        Self::FailedBefore,
        Self::Unmet,
        Self::Forbidden,
        Self::NoSpace,
        Self::Broken,
        Self::Unhealthy,
        Self::BootFailed,
        Self::Cancelled,
        Self::Interrupted,
    ];

    /// Whether the same effect may succeed when it is tried again soon.
    #[must_use]
    pub fn is_transient(self) -> bool {
        matches!(self, Self::Unavailable | Self::Server | Self::Interrupted)
    }

    /// The name used on the bus and in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unavailable => "unavailable",
            Self::Server => "server",
            Self::Unauthorized => "unauthorized",
            Self::NotFound => "not-found",
            Self::Corrupt => "corrupt",
            Self::Untrusted => "untrusted",
            Self::Invalid => "invalid",
            Self::Unsupported => "unsupported",
            Self::FailedBefore => "failed-before",
            Self::Unmet => "unmet",
            Self::Forbidden => "forbidden",
            Self::NoSpace => "no-space",
            Self::Broken => "broken",
            Self::Unhealthy => "unhealthy",
            Self::BootFailed => "boot-failed",
            Self::Cancelled => "cancelled",
            Self::Interrupted => "interrupted",
        }
    }
}

/// One failure of one effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What the machine decides on.
    pub kind: FailureKind,
    /// What people read; says what to do where that is known.
    pub detail: String,
}

impl Failure {
    /// A failure with its detail cut to [`DETAIL_BYTES_MAX`] at a character border.
    #[must_use]
    pub fn new(kind: FailureKind, detail: impl Into<String>) -> Self {
        let mut detail = detail.into();
        if detail.len() > DETAIL_BYTES_MAX {
            let cut = (0..=DETAIL_BYTES_MAX).rev().find(|i| detail.is_char_boundary(*i)).unwrap_or(0);
            detail.truncate(cut);
        }
        Self { kind, detail }
    }
}

/// SCOMO result codes (SCOMO 1.0 section 8.7), those that this client sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ResultCode(pub u32);

impl ResultCode {
    /// Successful.
    pub const SUCCESS: Self = Self(1200);
    /// Vendor success: nothing had to be done.
    pub const ALREADY_SO: Self = Self(1250);
    /// User cancelled.
    pub const CANCELLED: Self = Self(1401);
    /// Download failed.
    pub const DOWNLOAD_FAILED: Self = Self(1402);
    /// Authentication at the download server failed.
    pub const DOWNLOAD_AUTH: Self = Self(1403);
    /// Download failed for lack of space.
    pub const DOWNLOAD_NO_SPACE: Self = Self(1404);
    /// Install failed.
    pub const INSTALL_FAILED: Self = Self(1405);
    /// Install failed for lack of space.
    pub const INSTALL_NO_SPACE: Self = Self(1406);
    /// The package is not trusted or not valid.
    pub const VALIDATION_FAILED: Self = Self(1407);
    /// Remove failed.
    pub const REMOVE_FAILED: Self = Self(1408);
    /// Activate failed.
    pub const ACTIVATE_FAILED: Self = Self(1409);
    /// Deactivate failed.
    pub const DEACTIVATE_FAILED: Self = Self(1410);
    /// Undefined error.
    pub const UNDEFINED: Self = Self(1412);
    /// The environment is not supported.
    pub const UNSUPPORTED_ENVIRONMENT: Self = Self(1413);
    /// Vendor client error: the new software was not healthy and was rolled back.
    pub const ROLLED_BACK_UNHEALTHY: Self = Self(1450);
    /// Vendor client error: the new OS did not boot and was rolled back.
    pub const ROLLED_BACK_BOOT: Self = Self(1451);
    /// Vendor client error: the old software could not be brought back; the device needs attention.
    pub const ROLL_BACK_FAILED: Self = Self(1452);
    /// The download server answered with an error.
    pub const SERVER_ERROR: Self = Self(1500);
    /// The download server cannot be reached.
    pub const SERVER_UNAVAILABLE: Self = Self(1501);

    /// Whether the operation did what was asked (1200 to 1299).
    #[must_use]
    pub fn is_success(self) -> bool {
        (1200..1300).contains(&self.0)
    }
}
