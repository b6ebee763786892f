//! What the caller decides about a client.

use crate::limits::{BLOCK_EXPONENT_MAX, ENDPOINT_BYTES_MAX, TRANSMIT_WAIT};

/// A version of the enabler that is spoken with a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// LwM2M 1.0.
    V1_0,
    /// LwM2M 1.1.
    V1_1,
}

impl Version {
    /// As it is written in a registration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V1_0 => "1.0",
            Self::V1_1 => "1.1",
        }
    }
}

/// How a client behaves. Start from [`Config::new`].
#[derive(Debug, Clone)]
pub struct Config {
    /// Name of the client for its servers, such as `urn:uuid:…`; at most [`ENDPOINT_BYTES_MAX`] bytes.
    pub endpoint: String,
    /// Newest version that is tried.
    pub newest: Version,
    /// Oldest version that is tried when a server refuses newer ones.
    pub oldest: Version,
    /// Whether the client sleeps between its updates. Servers of 1.0 learn it from the binding in object 1 instead.
    pub queue_mode: bool,
    /// Milliseconds that a client in queue mode listens after the last message.
    pub awake: u64,
    /// Whether a bootstrap pack is asked for before a bootstrap in steps. The text of 1.0 and 1.1 does not know it;
    /// a server that does not either is asked in the ordinary way.
    pub bootstrap_pack: bool,
    /// Whether content formats are also read under the numbers from before their registration.
    pub legacy_formats: bool,
    /// Blocks that we send and answer have at most 2^(this + 4) bytes; 0 to 6.
    pub block_exponent: u8,
}

impl Config {
    /// The client `endpoint` with versions 1.0 and 1.1 and blocks of 1024 bytes, always awake.
    #[must_use]
    pub fn new(endpoint: impl Into<String>) -> Self {
        Self {
            endpoint: endpoint.into(),
            newest: Version::V1_1,
            oldest: Version::V1_0,
            queue_mode: false,
            awake: TRANSMIT_WAIT,
            bootstrap_pack: false,
            legacy_formats: false,
            block_exponent: BLOCK_EXPONENT_MAX,
        }
    }

    /// Why the configuration cannot be used, if so.
    pub(crate) fn check(&self) -> Result<(), InvalidConfig> {
        if self.endpoint.is_empty()
            || self.endpoint.len() > ENDPOINT_BYTES_MAX
            || self.endpoint.chars().any(char::is_control)
        {
            return Err(InvalidConfig::Endpoint);
        }
        if self.oldest > self.newest {
            return Err(InvalidConfig::Versions);
        }
        if self.block_exponent > BLOCK_EXPONENT_MAX {
            return Err(InvalidConfig::Block);
        }
        Ok(())
    }
}

/// Why a configuration cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidConfig {
    /// The name of the client is empty, too long, or has control characters.
    #[error("the endpoint name must have 1 to {ENDPOINT_BYTES_MAX} bytes and no control characters")]
    Endpoint,
    /// The oldest version is newer than the newest.
    #[error("the oldest version must not be newer than the newest")]
    Versions,
    /// The size of blocks is not one of CoAP.
    #[error("the block exponent must be 0 to {BLOCK_EXPONENT_MAX}")]
    Block,
}
