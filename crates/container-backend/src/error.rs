//! What can go wrong with containers, and which kind of failure each case is for the state machine.

use std::io;
use std::path::{Path, PathBuf};

use scomo_core::failure::FailureKind;
use scomo_core::id::{ComponentId, ReleaseId};
use scomo_engine::backend::BackendError;
use scomo_package::PackageError;

use scomo_store::StoreError;
use scomo_store::files::FileError;

/// A failed operation of the container backend.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An operation on a file or folder failed.
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
    /// A file of our own does not hold what we write there.
    #[error("{} is damaged; remove the component and install it again", path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
        /// The cause.
        #[source]
        source: serde_json::Error,
    },
    /// The content store refused.
    #[error("the image cannot be stored")]
    Store(#[source] StoreError),
    /// The package or its source is not as it should be.
    #[error("the package cannot be read")]
    Package(#[source] PackageError),
    /// The release is not a container.
    #[error("component '{0}' is not a container; another backend handles it")]
    NotContainer(ComponentId),
    /// The release was not fetched.
    #[error("release {0} is not on the device; fetch it first")]
    NotFetched(ReleaseId),
    /// The release was not staged.
    #[error("release {0} is not staged; fetch and stage it first")]
    NotStaged(ReleaseId),
    /// There is no such component.
    #[error("there is no output of a component '{0}'")]
    NoOutput(ComponentId),
    /// There is no container runtime.
    #[error("the container runtime '{}' is not there; install crun, or correct container.runtime", _0.display())]
    NoRuntime(PathBuf),
    /// The image or its run settings break a rule.
    #[error("component '{component}' cannot run: {reason}")]
    Refused {
        /// Whose.
        component: ComponentId,
        /// The rule, and what to do.
        reason: String,
    },
    /// The configuration of this device does not allow what the component asks for.
    #[error("component '{component}' is not allowed {what}; allow it with {option} in the configuration")]
    NotAllowed {
        /// Whose.
        component: ComponentId,
        /// What it wants.
        what: String,
        /// Where it could be allowed.
        option: &'static str,
    },
    /// The container did not start.
    #[error("component '{component}' does not start: {message}")]
    Start {
        /// Which.
        component: ComponentId,
        /// What the container runtime says.
        message: String,
        /// Whether the package is to blame rather than the device.
        by_package: bool,
    },
    /// A program that we need failed.
    #[error("{what} failed: {message}")]
    Tool {
        /// What it was to do.
        what: String,
        /// What it says.
        message: String,
    },
    /// A container does not end.
    #[error("component '{0}' does not stop, not even when it is killed; restart the device")]
    Stuck(String),
    /// The limits that the component asks for cannot be had.
    #[error("resource limits cannot be set: {0}; mount the control groups, or remove the limits")]
    NoLimits(String),
    /// The component failed its health check.
    #[error("component '{component}' is not healthy: {reason}")]
    Unhealthy {
        /// Which.
        component: ComponentId,
        /// Why.
        reason: String,
    },
    /// The caller asked to stop.
    #[error("cancelled")]
    Cancelled,
}

impl Error {
    /// The kind that the state machine decides on.
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => FailureKind::NoSpace,
                _ => FailureKind::Broken,
            },
            Self::Store(error) => error.kind(),
            Self::Package(error) => error.kind(),
            Self::NotContainer(_) => FailureKind::Unsupported,
            Self::NotFetched(_) | Self::NotStaged(_) | Self::NoOutput(_) => FailureKind::NotFound,
            Self::Refused { .. } | Self::NotAllowed { .. } | Self::Start { by_package: true, .. } => {
                FailureKind::Invalid
            }
            Self::Unhealthy { .. } => FailureKind::Unhealthy,
            Self::Cancelled => FailureKind::Cancelled,
            Self::Damaged { .. }
            | Self::NoRuntime(_)
            | Self::Start { by_package: false, .. }
            | Self::Tool { .. }
            | Self::Stuck(_)
            | Self::NoLimits(_) => FailureKind::Broken,
        }
    }

    pub(crate) fn refused(component: &ComponentId, reason: impl Into<String>) -> Self {
        Self::Refused { component: component.clone(), reason: reason.into() }
    }

    pub(crate) fn tool(what: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Tool { what: what.into(), message: message.into() }
    }
}

/// Adds what was tried, and on what, to a failed system call.
pub(crate) trait Context<T> {
    fn context(self, action: &'static str, path: &Path) -> Result<T, Error>;
}

impl<T, E: Into<io::Error>> Context<T> for Result<T, E> {
    fn context(self, action: &'static str, path: &Path) -> Result<T, Error> {
        self.map_err(|e| Error::Io { action, path: path.to_owned(), source: e.into() })
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        if matches!(error, StoreError::Cancelled) { Self::Cancelled } else { Self::Store(error) }
    }
}

impl From<FileError> for Error {
    fn from(error: FileError) -> Self {
        match error {
            FileError::Io { action, path, source } => Self::Io { action, path, source },
            FileError::Damaged { path, source } => Self::Damaged { path, source },
        }
    }
}

impl From<PackageError> for Error {
    fn from(error: PackageError) -> Self {
        Self::Package(error)
    }
}

impl From<Error> for BackendError {
    fn from(error: Error) -> Self {
        Self::of(error.kind(), error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_names_every_cause_once() {
        let inner = io::Error::other("no such luck");
        let error = Error::Io { action: "open", path: PathBuf::from("/x"), source: inner };
        let failure = BackendError::from(error).to_failure();
        assert_eq!(failure.detail, "cannot open /x: no such luck");
        let failure = BackendError::from(Error::Cancelled).to_failure();
        assert_eq!((failure.kind, failure.detail.as_str()), (FailureKind::Cancelled, "cancelled"));
    }
}
