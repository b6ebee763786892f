//! What can go wrong, and which kind of failure it is for the state machine.

use std::path::PathBuf;

use ostree::gio;
use ostree::glib;
use scomo_core::failure::FailureKind;
use scomo_engine::backend::BackendError;
use scomo_engine::host::HostError;

/// A failed operation of this backend.
#[derive(Debug, thiserror::Error)]
pub enum OsError {
    /// The source is not one that this backend understands.
    #[error(
        "'{0}' is not an OSTree source: write ostree+https://host/repository?ref=branch (or ostree+http, ostree+file)"
    )]
    NotOstree(String),
    /// The source has the right scheme and is wrong otherwise.
    #[error("the source '{source_text}' is wrong: {why}")]
    Source {
        /// As it was given.
        source_text: String,
        /// What is wrong.
        why: &'static str,
    },
    /// The release is not one for this backend.
    #[error("the release of '{0}' has no OSTree payload")]
    Payload(String),
    /// A commit checksum is malformed.
    #[error("'{0}' is not a commit: 64 lower-case hexadecimal digits are needed")]
    Commit(String),
    /// Nothing says that the repository can be trusted.
    #[error(
        "nothing is configured to trust {0}: name its keys in [os.remotes.\"{0}\"] (or set insecure_accept_unsigned there)"
    )]
    NoPolicy(String),
    /// The trust settings of a repository contradict each other or name unusable keys.
    #[error("the settings of the repository {url} are wrong: {why}")]
    Policy {
        /// Of the repository.
        url: String,
        /// What is wrong.
        why: String,
    },
    /// No trusted key signed the commit.
    #[error("the commit {commit} of {url} has no good signature by a trusted key: {why}")]
    Untrusted {
        /// Its checksum.
        commit: String,
        /// Of the repository.
        url: String,
        /// What was found.
        why: String,
    },
    /// A pull failed.
    #[error("cannot pull {what} from {url}")]
    Pull {
        /// Branch or commit.
        what: String,
        /// Of the repository.
        url: String,
        /// Why.
        #[source]
        source: glib::Error,
    },
    /// Something in libostree failed.
    #[error("cannot {what}")]
    Libostree {
        /// What was tried.
        what: String,
        /// Why.
        #[source]
        source: glib::Error,
    },
    /// A file cannot be read or written.
    #[error("cannot {what} {path}")]
    File {
        /// What was tried.
        what: &'static str,
        /// With what.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A state file does not hold what it should.
    #[error(
        "the state file {path} is damaged; nothing is guessed from it. Restore it from a backup, or delete it and \
         install the release again"
    )]
    Damaged {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// What the device needs cannot be done, or not yet.
    #[error("{0}")]
    Unsupported(String),
    /// An earlier step is missing.
    #[error("{0}")]
    NotFound(String),
    /// The disk has no room.
    #[error(
        "{path} has {free} bytes free; {needed} are needed and {reserve} stay in reserve; delete something and try again"
    )]
    NoSpace {
        /// Where.
        path: PathBuf,
        /// Bytes free.
        free: u64,
        /// Bytes needed.
        needed: u64,
        /// Bytes that stay free.
        reserve: u64,
    },
    /// The device or its set-up is not as it must be.
    #[error("{0}")]
    Broken(String),
    /// The release that should run is not the booted one.
    #[error("{0}")]
    NotBooted(String),
    /// A health check failed.
    #[error("{0}")]
    Unhealthy(String),
    /// The step was cancelled.
    #[error("cancelled")]
    Cancelled,
}

impl OsError {
    /// A failed call of libostree.
    pub(crate) fn libostree(what: impl Into<String>) -> impl FnOnce(glib::Error) -> Self {
        let what = what.into();
        move |source| Self::Libostree { what, source }
    }

    /// A failed operation on a file.
    pub(crate) fn file(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { what, path, source }
    }

    /// What the state machine decides on.
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::NotOstree(_) | Self::Unsupported(_) => FailureKind::Unsupported,
            Self::Source { .. } | Self::Payload(_) | Self::Commit(_) => FailureKind::Invalid,
            Self::NoPolicy(_) | Self::Untrusted { .. } => FailureKind::Untrusted,
            Self::Policy { .. } | Self::Damaged { .. } | Self::Broken(_) => FailureKind::Broken,
            // What is left is about the data: it has another checksum, ends early or is not what it should be.
            Self::Pull { source, .. } => glib_kind(source).unwrap_or(FailureKind::Corrupt),
            Self::Libostree { source, .. } => glib_kind(source).unwrap_or(FailureKind::Broken),
            Self::File { source, .. } => io_kind(source),
            Self::NotFound(_) => FailureKind::NotFound,
            Self::NoSpace { .. } => FailureKind::NoSpace,
            Self::NotBooted(_) => FailureKind::BootFailed,
            Self::Unhealthy(_) => FailureKind::Unhealthy,
            Self::Cancelled => FailureKind::Cancelled,
        }
    }
}

impl From<HostError> for OsError {
    fn from(error: HostError) -> Self {
        match error {
            HostError::Cancelled => Self::Cancelled,
            HostError::Watch(source) => Self::Broken(format!("cannot watch the health check: {source}")),
        }
    }
}

impl From<OsError> for BackendError {
    fn from(error: OsError) -> Self {
        let kind = error.kind();
        if kind == FailureKind::Cancelled {
            return Self::new(kind, "cancelled");
        }
        let message = error.to_string();
        match error {
            OsError::Pull { source, .. } | OsError::Libostree { source, .. } => {
                Self::caused(kind, message, source)
            }
            OsError::File { source, .. } => Self::caused(kind, message, source),
            OsError::Damaged { source, .. } => Self::caused(kind, message, source),
            _ => Self::new(kind, message),
        }
    }
}

fn io_kind(error: &std::io::Error) -> FailureKind {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => FailureKind::NoSpace,
        _ => FailureKind::Broken,
    }
}

/// What libostree says only in words: part of the message, and what it means. It uses few error codes, and none for
/// most of what a network does. The words of 2022.7 and newer are alike.
const WORDS: &[(&str, FailureKind)] = &[
    ("min-free-space", FailureKind::NoSpace),
    ("free space, but only", FailureKind::NoSpace),
    ("No space left on device", FailureKind::NoSpace),
    ("HTTP 401", FailureKind::Unauthorized),
    ("HTTP 403", FailureKind::Unauthorized),
    ("HTTP 407", FailureKind::Unauthorized),
    ("HTTP 404", FailureKind::NotFound),
    ("HTTP 410", FailureKind::NotFound),
    ("HTTP 5", FailureKind::Server),
    ("Server returned", FailureKind::Unavailable),
    ("No such branch", FailureKind::NotFound),
    // curl: the certificate of the server, that of the device.
    (": [60] ", FailureKind::Untrusted),
    (": [58] ", FailureKind::Broken),
    (": [77] ", FailureKind::Broken),
    ("While fetching", FailureKind::Unavailable),
];

/// What an error code or its words say; `None`: they leave it open.
fn glib_kind(error: &glib::Error) -> Option<FailureKind> {
    use gio::IOErrorEnum as Code;
    if error.domain() == ostree::gpg_error_quark() {
        return Some(FailureKind::Untrusted);
    }
    let words = WORDS.iter().find(|(words, _)| error.message().contains(words));
    if let Some((_, kind)) = words {
        return Some(*kind);
    }
    match error.kind::<Code>()? {
        Code::Cancelled => Some(FailureKind::Cancelled),
        Code::NoSpace => Some(FailureKind::NoSpace),
        Code::NotFound => Some(FailureKind::NotFound),
        Code::PermissionDenied | Code::ReadOnly | Code::TooManyOpenFiles => Some(FailureKind::Broken),
        Code::TimedOut
        | Code::HostNotFound
        | Code::HostUnreachable
        | Code::NetworkUnreachable
        | Code::ConnectionRefused
        | Code::BrokenPipe
        | Code::Busy => Some(FailureKind::Unavailable),
        _ => None,
    }
}
