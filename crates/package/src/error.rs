//! What can go wrong with a package, and which kind of failure each case is for the state machine.

use std::io;
use std::path::PathBuf;

use scomo_core::failure::FailureKind;
use scomo_core::id::Digest;
use scomo_core::spec::InvalidManifest;

/// A failed operation on a package or its source.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// The source is not written as any known source is.
    #[error("'{url}' is not a package source: {reason}")]
    Source {
        /// The source as it was given, shortened.
        url: String,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// The source names an OSTree repository, which the OS worker reads itself.
    #[error("'{0}' is an OSTree source; it is resolved by the OS backend, not as a container package")]
    NotOurs(String),
    /// The registry cannot be reached, or the connection broke more often than is tolerated.
    #[error("cannot read {what} from the registry; check the address, the network and the certificate")]
    Reach {
        /// What was asked for.
        what: String,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The registry answered with an error status.
    #[error("the registry refused {what}: HTTP {status}{hint}")]
    Status {
        /// What was asked for.
        what: String,
        /// The HTTP status.
        status: u16,
        /// The registry's own words, or what to do; starts with a separator when not empty.
        hint: String,
    },
    /// The registry breaks its protocol.
    #[error("the registry's answer for {what} makes no sense: {reason}")]
    Protocol {
        /// What was asked for.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The source does not hold what was asked for.
    #[error("{what} is not there{hint}")]
    Missing {
        /// What was asked for.
        what: String,
        /// What is there instead, or what to do; starts with a separator when not empty.
        hint: String,
    },
    /// A local file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A local file cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// Something is larger than its limit.
    #[error("{what} is larger than the limit of {limit} bytes")]
    TooLarge {
        /// What is too large.
        what: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// Bytes do not have the promised digest.
    #[error("{what} is damaged: expected {expected}, found {found}")]
    Digest {
        /// What was read.
        what: String,
        /// The promised digest.
        expected: Digest,
        /// The digest of what came.
        found: Digest,
    },
    /// There are more or fewer bytes than promised.
    #[error("{what} is damaged: {expected} bytes were promised, {found} came")]
    Size {
        /// What was read.
        what: String,
        /// The promised number of bytes.
        expected: u64,
        /// How many came before reading stopped.
        found: u64,
    },
    /// A JSON text cannot be parsed.
    #[error("{what} is not valid JSON of its kind")]
    Json {
        /// Which text.
        what: String,
        /// The cause.
        #[source]
        source: serde_json::Error,
    },
    /// A text or structure breaks the rules of its format.
    #[error("{what} breaks the format: {reason}")]
    Format {
        /// Which part.
        what: String,
        /// The broken rule.
        reason: String,
    },
    /// The package manifest breaks a rule.
    #[error("the package manifest is not valid")]
    Manifest(#[source] InvalidManifest),
    /// There is no image for this machine.
    #[error("{what} is for {offered}, this device is {wanted}")]
    Platform {
        /// Which image.
        what: String,
        /// This machine, as `os/architecture`.
        wanted: String,
        /// What the image is for.
        offered: String,
    },
    /// There is no signature at all and the policy wants one.
    #[error(
        "{digest} is not signed and the policy for '{url}' requires a signature; sign it with 'scomoctl package sign', \
         or set signature = \"insecure-accept-unsigned\" for this source under [[package.policies]]"
    )]
    Unsigned {
        /// Digest of the package.
        digest: Digest,
        /// Its source.
        url: String,
    },
    /// There are signatures, but none that counts.
    #[error("no signature of {digest} is trusted for '{url}': {reason}")]
    Untrusted {
        /// Digest of the package.
        digest: Digest,
        /// Its source.
        url: String,
        /// Why, and what to do.
        reason: String,
    },
    /// A key cannot be used.
    #[error("the key '{name}' cannot be used: {reason}")]
    Key {
        /// Identity or path of the key.
        name: String,
        /// Why not.
        reason: String,
    },
    /// The configuration section `package` contradicts itself or names what is not there.
    #[error("the configuration section 'package' is wrong: {0}")]
    Config(String),
    /// The build description or a request to the builder is wrong.
    #[cfg(feature = "builder")]
    #[error("the package cannot be built: {0}")]
    Recipe(String),
}

impl PackageError {
    /// The kind that the state machine decides on.
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::Source { .. }
            | Self::TooLarge { .. }
            | Self::Json { .. }
            | Self::Format { .. }
            | Self::Manifest(_) => FailureKind::Invalid,
            Self::NotOurs(_) | Self::Platform { .. } => FailureKind::Unsupported,
            Self::Reach { .. } => FailureKind::Unavailable,
            Self::Status { status, .. } => status_kind(*status),
            Self::Protocol { .. } => FailureKind::Server,
            Self::Missing { .. } => FailureKind::NotFound,
            Self::Read { source, .. } | Self::Write { source, .. } => io_kind(source),
            Self::Digest { .. } | Self::Size { .. } => FailureKind::Corrupt,
            Self::Unsigned { .. } | Self::Untrusted { .. } => FailureKind::Untrusted,
            Self::Key { .. } | Self::Config(_) => FailureKind::Broken,
            #[cfg(feature = "builder")]
            Self::Recipe(_) => FailureKind::Invalid,
        }
    }

    pub(crate) fn format(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Format { what: what.into(), reason: reason.into() }
    }

    pub(crate) fn missing(what: impl Into<String>) -> Self {
        Self::Missing { what: what.into(), hint: String::new() }
    }
}

/// The failure kind of an error that a layer's reader returned: a [`PackageError`] travels inside the [`io::Error`].
#[must_use]
pub fn io_kind(error: &io::Error) -> FailureKind {
    if let Some(inner) = error.get_ref().and_then(|e| e.downcast_ref::<PackageError>()) {
        return inner.kind();
    }
    match error.kind() {
        io::ErrorKind::NotFound => FailureKind::NotFound,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            FailureKind::NoSpace
        }
        io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData => FailureKind::Corrupt,
        _ => FailureKind::Broken,
    }
}

fn status_kind(status: u16) -> FailureKind {
    match status {
        401 | 403 | 407 => FailureKind::Unauthorized,
        404 | 410 => FailureKind::NotFound,
        408 | 425 | 429 | 500..=599 => FailureKind::Server,
        _ => FailureKind::Invalid,
    }
}

impl From<PackageError> for io::Error {
    fn from(error: PackageError) -> Self {
        io::Error::other(error)
    }
}
