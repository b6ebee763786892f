//! What can go wrong with file sets, and which kind of failure each case is for the state machine.

use std::path::PathBuf;

use scomo_core::failure::FailureKind;
use scomo_core::id::{ComponentId, ReleaseId};
use scomo_engine::backend::BackendError;
use scomo_engine::host::HostError;
use scomo_package::PackageError;
use scomo_store::StoreError;
use scomo_store::files::FileError;

/// A failed operation of the file set backend.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An operation on a file, folder or link failed.
    #[error(transparent)]
    File(#[from] FileError),
    /// The content store refused.
    #[error("the files cannot be stored")]
    Store(#[source] StoreError),
    /// The package or its source is not as it should be.
    #[error("the package cannot be read")]
    Package(#[from] PackageError),
    /// The release is not a file set.
    #[error("component '{0}' is not a set of files; another backend handles it")]
    NotFiles(ComponentId),
    /// A release of another component was handed in.
    #[error("the release is one of '{release}', not of '{component}'")]
    OtherComponent {
        /// What is to be switched.
        component: ComponentId,
        /// Whose release came.
        release: ComponentId,
    },
    /// The release was not fetched.
    #[error("release {0} is not on the device; fetch it first")]
    NotFetched(ReleaseId),
    /// The release was not staged.
    #[error("release {0} is not staged; fetch and stage it first")]
    NotStaged(ReleaseId),
    /// The path for a link is not one.
    #[error("component '{component}' wants a link at '{path}': {reason}")]
    Path {
        /// Whose.
        component: ComponentId,
        /// The path.
        path: String,
        /// The rule, and what to do.
        reason: &'static str,
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
    /// Something stands where a link has to be.
    #[error("{} is there and was not made by this component; remove it, or choose another path", _0.display())]
    Occupied(PathBuf),
    /// The command that loads the new files failed.
    #[error("component '{component}' is in place but its reload command {reason}")]
    Reload {
        /// Whose.
        component: ComponentId,
        /// Why.
        reason: String,
    },
    /// A command cannot be watched.
    #[error("a command of component '{component}' was lost")]
    Host {
        /// Whose.
        component: ComponentId,
        /// The cause.
        #[source]
        source: HostError,
    },
    /// The component failed its health check.
    #[error("component '{component}' is not healthy: {reason}")]
    Unhealthy {
        /// Which.
        component: ComponentId,
        /// Why.
        reason: String,
    },
    /// File sets print nothing.
    #[error("component '{0}' is a set of files and has no output")]
    NoOutput(ComponentId),
    /// The caller asked to stop.
    #[error("cancelled")]
    Cancelled,
}

impl Error {
    /// The kind that the state machine decides on.
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::File(error) => error.kind(),
            Self::Store(error) => error.kind(),
            Self::Package(error) => error.kind(),
            Self::Host { source, .. } => source.kind(),
            Self::NotFiles(_) | Self::NoOutput(_) => FailureKind::Unsupported,
            Self::NotFetched(_) | Self::NotStaged(_) => FailureKind::NotFound,
            Self::OtherComponent { .. } | Self::Path { .. } | Self::NotAllowed { .. } => FailureKind::Invalid,
            Self::Occupied(_) => FailureKind::Broken,
            // Most likely what it was to load is no good.
            Self::Reload { .. } | Self::Unhealthy { .. } => FailureKind::Unhealthy,
            Self::Cancelled => FailureKind::Cancelled,
        }
    }

    /// For `map_err`: a failed command of a component.
    pub(crate) fn host(component: &ComponentId) -> impl FnOnce(HostError) -> Self {
        let component = component.clone();
        move |source| match source {
            HostError::Cancelled => Self::Cancelled,
            source @ HostError::Watch(_) => Self::Host { component, source },
        }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        if matches!(error, StoreError::Cancelled) { Self::Cancelled } else { Self::Store(error) }
    }
}

impl From<Error> for BackendError {
    fn from(error: Error) -> Self {
        Self::of(error.kind(), error)
    }
}
