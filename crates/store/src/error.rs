//! What can go wrong in the store, and which kind of failure each case is for the state machine.

use std::io;
use std::path::{Path, PathBuf};

use scomo_core::failure::FailureKind;
use scomo_core::id::Digest;

use super::TreeId;
use super::files::is_full;

/// Any error, as a caller hands it in.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A failed operation of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// An operation on a file of the store or of a checkout failed.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// Another process or handle changes the store.
    #[error("the content store {} is in use by another worker; try again when it has ended", _0.display())]
    Busy(PathBuf),
    /// Too little room.
    #[error(
        "{} has {available} bytes left; {needed} are needed and {reserve} stay in reserve; free some space",
        path.display()
    )]
    NoSpace {
        /// In which file system.
        path: PathBuf,
        /// Bytes needed at least.
        needed: u64,
        /// Bytes that stay free.
        reserve: u64,
        /// Bytes that are left.
        available: u64,
    },
    /// The caller asked to stop.
    #[error("the import was cancelled")]
    Cancelled,
    /// The caller could not open the stream of a layer.
    #[error("layer {layer} cannot be opened")]
    Open {
        /// Digest of the layer.
        layer: Digest,
        /// The caller's error.
        #[source]
        source: BoxError,
    },
    /// The stream of a layer failed in the middle.
    #[error("layer {layer} cannot be read to its end")]
    Transfer {
        /// Digest of the layer.
        layer: Digest,
        /// What the stream returned.
        #[source]
        source: io::Error,
    },
    /// The compressed bytes are no valid stream of their kind, or more follows after its end.
    #[error("layer {layer} cannot be decompressed; the image must be built again")]
    Decompress {
        /// Digest of the layer.
        layer: Digest,
        /// What the decompressor says.
        #[source]
        source: io::Error,
    },
    /// The layer is shorter or longer than its descriptor says.
    #[error("layer {layer} is damaged: {expected} bytes were promised, {found} came")]
    Size {
        /// Digest of the layer.
        layer: Digest,
        /// Bytes in the descriptor.
        expected: u64,
        /// Bytes read before it was given up.
        found: u64,
    },
    /// The compressed bytes do not have the digest of the descriptor.
    #[error("layer {layer} is damaged: its bytes have the digest {found}")]
    Digest {
        /// The promised digest.
        layer: Digest,
        /// The digest of what came.
        found: Digest,
    },
    /// The uncompressed archive does not have the diff id of the image configuration.
    #[error("layer {layer} unpacks to {found}, the image promises {expected}; the image must be built again")]
    DiffId {
        /// Digest of the layer.
        layer: Digest,
        /// The promised diff id.
        expected: Digest,
        /// The digest of the archive.
        found: Digest,
    },
    /// The archive in a layer breaks a rule.
    #[error("layer {layer} is refused at '{entry}'")]
    Refused {
        /// Digest of the layer.
        layer: Digest,
        /// Path of the entry, made printable and shortened.
        entry: String,
        /// The rule.
        #[source]
        source: Refusal,
    },
    /// A manifest of the store is damaged.
    #[error("{} is damaged ({problem}); repair the store, the image is then fetched again", path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A manifest was written by a newer version.
    #[error("{} has format {found}, this version reads up to {known}; use the newer version", path.display())]
    TooNew {
        /// The manifest.
        path: PathBuf,
        /// Its format.
        found: u8,
        /// The newest known format.
        known: u8,
    },
    /// No such image was imported.
    #[error("image {0} is not in the content store; fetch it first")]
    NotImported(TreeId),
    /// An object that a manifest names is not there.
    #[error(
        "image {image} lacks the content of '{entry}'; repair the store, the image is then fetched again"
    )]
    MissingObject {
        /// The image.
        image: TreeId,
        /// Path in the image, made printable and shortened.
        entry: String,
    },
}

/// The rule that an archive breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A header has a wrong checksum, a field that is no number, or ends early.
    #[error("the archive is malformed: {0}")]
    Malformed(&'static str),
    /// A path starts with a slash.
    #[error("the path is absolute; paths in a layer are relative to its root")]
    Absolute,
    /// A path has `..` in it.
    #[error("the path has '..' in it")]
    Parent,
    /// A path or name is empty or has a NUL byte in it.
    #[error("the name is empty or holds a NUL byte")]
    Name,
    /// The path goes through something in the same layer that is no directory, for example a symbolic link.
    #[error("the path goes through something that is not a directory")]
    ThroughNonDirectory,
    /// The root of the image is replaced or deleted.
    #[error("the root of the image can only be a directory")]
    Root,
    /// A whiteout names nothing that could be deleted, or is used as a directory.
    #[error("the whiteout is not valid")]
    Whiteout,
    /// A hard link's target is absolute, goes up, goes through a symbolic link, is missing or is a directory.
    #[error("the hard link's target '{0}' is not a file of this image")]
    LinkTarget(String),
    /// A symbolic link has no target, or one that is too long.
    #[error("the symbolic link's target is empty, too long or holds a NUL byte")]
    SymlinkTarget,
    /// An entry has a type that a layer must not have.
    #[error("entries of type {0:?} are not supported in a layer")]
    EntryType(char),
    /// An entry without content has one.
    #[error("an entry of this kind must not have content")]
    UnexpectedContent,
    /// An extended attribute cannot be kept.
    #[error("the extended attribute '{0}' is not supported; build the image without it")]
    Xattr(String),
    /// A user or group id that no file can have.
    #[error("the owner is not valid")]
    Owner,
    /// A sparse file's map contradicts itself or its size.
    #[error("the map of the sparse file makes no sense")]
    Sparse,
    /// A limit of [`super::limits`] is exceeded.
    #[error("more than {limit} {what}")]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
}

impl StoreError {
    /// The kind that the state machine decides on.
    ///
    /// For [`Self::Open`] it is `Unavailable` unless the caller's error is a [`scomo_package::PackageError`].
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::Io { source, .. } if is_full(source) => FailureKind::NoSpace,
            Self::Io { .. } | Self::Manifest { .. } | Self::TooNew { .. } | Self::MissingObject { .. } => {
                FailureKind::Broken
            }
            Self::NoSpace { .. } => FailureKind::NoSpace,
            Self::Busy(_) => FailureKind::Interrupted,
            Self::Cancelled => FailureKind::Cancelled,
            Self::Open { source, .. } => source
                .downcast_ref::<scomo_package::PackageError>()
                .map_or(FailureKind::Unavailable, scomo_package::PackageError::kind),
            Self::Transfer { source, .. } => scomo_package::io_kind(source),
            Self::Size { .. } | Self::Digest { .. } => FailureKind::Corrupt,
            Self::Decompress { .. } | Self::DiffId { .. } | Self::Refused { .. } => FailureKind::Invalid,
            Self::NotImported(_) => FailureKind::NotFound,
        }
    }

    /// For `map_err`: names what was tried and on what.
    pub(super) fn io<'a, E: Into<io::Error>>(
        action: &'static str,
        path: &'a Path,
    ) -> impl FnOnce(E) -> Self + 'a {
        move |source| Self::Io { action, path: path.to_path_buf(), source: source.into() }
    }
}

/// A path for a message: no control characters, at most 120 characters.
pub(super) fn printable(path: &[u8]) -> String {
    const SHOWN_CHARS_MAX: usize = 120;
    let text = String::from_utf8_lossy(path);
    let mut shown: String = text.chars().take(SHOWN_CHARS_MAX).flat_map(char::escape_debug).collect();
    if text.chars().nth(SHOWN_CHARS_MAX).is_some() {
        shown.push('…');
    }
    shown
}
