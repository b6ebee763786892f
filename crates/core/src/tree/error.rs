//! Why the tree refuses something, with the status code of OMA DM 1.2 for each reason.

use super::acl::InvalidAcl;
use super::overlay::Full;
use super::uri::InvalidUri;
use crate::command::Rejection;

/// Why something in the tree cannot be read or changed. Nothing changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// The URI is none.
    #[error("the URI cannot be used")]
    Uri(#[from] InvalidUri),
    /// No such node.
    #[error("there is no node '{0}'; list its parent to see what there is")]
    NotFound(String),
    /// The node is of a kind that does not take the command.
    #[error("{command} is not possible on '{uri}': {why}")]
    NotAllowed {
        /// The command asked for.
        command: &'static str,
        /// The node.
        uri: String,
        /// Why.
        why: &'static str,
    },
    /// The node has no such property, or no value for it.
    #[error("'{uri}' has no property {property}")]
    NoProperty {
        /// The node.
        uri: String,
        /// The property.
        property: &'static str,
    },
    /// A text or a value is over its limit.
    #[error("{what} has at most {max} bytes")]
    TooLarge {
        /// What.
        what: &'static str,
        /// The limit.
        max: usize,
    },
    /// The value does not fit the format of the node.
    #[error("the value of '{uri}' must be {expected}")]
    Format {
        /// The node.
        uri: String,
        /// What it must be.
        expected: &'static str,
    },
    /// The text is no access control list.
    #[error("the ACL cannot be used")]
    Acl(#[from] InvalidAcl),
    /// The node is there.
    #[error("'{0}' exists already")]
    Exists(String),
    /// The device keeps no more.
    #[error("the tree is full")]
    Full(#[from] Full),
    /// The access control list in force does not permit it.
    #[error("the ACL in force does not permit {command} on '{uri}' to this server")]
    Denied {
        /// The command asked for.
        command: &'static str,
        /// The node.
        uri: String,
    },
    /// The bytes of a package come as a file.
    #[error("the data of a package is written to a file first, and then given as such")]
    NeedsFile,
    /// A primitive cannot be one of several changes that are made together.
    #[error("Exec stands alone; give the other changes before it")]
    ExecInBatch,
    /// The engine refuses what the change means.
    #[error("the device refuses it")]
    Refused(#[source] Box<Rejection>),
}

impl TreeError {
    /// The status code of OMA DM that says so.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::Uri(InvalidUri::Outside(_)) | Self::NotFound(_) => 404,
            Self::Uri(InvalidUri::TooLong(_) | InvalidUri::TooDeep | InvalidUri::SegmentTooLong(_)) => 414,
            Self::Uri(InvalidUri::Segment(_)) | Self::Acl(_) => 400,
            Self::NotAllowed { .. } => 405,
            Self::Uri(InvalidUri::Query(_)) | Self::NoProperty { .. } => 406,
            Self::TooLarge { .. } => 413,
            Self::Format { .. } => 415,
            Self::Exists(_) => 418,
            Self::Full(_) => 420,
            Self::Denied { .. } => 425,
            Self::NeedsFile | Self::ExecInBatch => 500,
            Self::Refused(rejection) => refusal_status(rejection),
        }
    }
}

fn refusal_status(rejection: &Rejection) -> u16 {
    match rejection {
        Rejection::UnknownPackage { .. } | Rejection::UnknownComponent(_) => 404,
        Rejection::Incomplete { .. } => 412,
        Rejection::TooLong { .. } => 413,
        Rejection::DuplicatePkgId { .. } | Rejection::Exists(_) => 418,
        Rejection::Limit { .. } => 420,
        Rejection::Tree { error, .. } => error.status(),
        Rejection::UnknownJob(_)
        | Rejection::UnknownReport(_)
        | Rejection::NotAtGate { .. }
        | Rejection::Required { .. }
        | Rejection::Busy { .. }
        | Rejection::WrongState { .. }
        | Rejection::OsInUse(_)
        | Rejection::TooLate(_)
        | Rejection::NothingToRollBack
        | Rejection::NothingToConfirm => 403,
    }
}
