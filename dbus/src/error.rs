//! The errors that methods answer with: `org.scomo1.Error.*`, one per kind of refusal.
//!
//! A client decides on the name; the text is for people and says what to do.

use zbus::DBusError as _;

/// What every error name begins with.
pub const ERROR_PREFIX: &str = "org.scomo1.Error";

/// Why a method did not do what was asked.
#[derive(Debug, zbus::DBusError)]
#[zbus(prefix = "org.scomo1.Error")]
pub enum Error {
    /// Something below this interface failed: no connection, no such service, a malformed message.
    #[zbus(error)]
    ZBus(zbus::Error),
    /// The caller may only read.
    AccessDenied(String),
    /// An argument has the wrong form.
    InvalidArgument(String),
    /// An option that the method does not know, or whose type is wrong.
    UnknownOption(String),
    /// No such package in that branch.
    UnknownPackage(String),
    /// No such component.
    UnknownComponent(String),
    /// No such job, or it has ended.
    UnknownJob(String),
    /// No such report, or it was acknowledged.
    UnknownReport(String),
    /// A leaf that the operation needs is empty.
    Incomplete(String),
    /// An active component requires this one.
    Required(String),
    /// The tree has no such node (OMA DM status 404).
    UnknownNode(String),
    /// The node, or the primitive, does not take this command (405).
    NotPossible(String),
    /// Nodes have no such property, or this one has no value for it (406).
    NoSuchProperty(String),
    /// The URI is too long or too deep (414).
    UriTooLong(String),
    /// The value does not fit the format of the node (415).
    WrongFormat(String),
    /// The access control list in force does not permit it to this server (425).
    AclDenied(String),
    /// The identifier is taken.
    Exists(String),
    /// Another job runs.
    Busy(String),
    /// Somebody holds it back, or a hook refuses.
    Inhibited(String),
    /// The operation does not apply to the present state.
    WrongState(String),
    /// The active OS cannot be deactivated or removed.
    OsInUse(String),
    /// The job is past the point where it can be cancelled.
    TooLate(String),
    /// There is nothing to roll back to.
    NothingToRollBack(String),
    /// No OS is on trial.
    NothingToConfirm(String),
    /// The device keeps no more of these.
    LimitReached(String),
    /// A text or a file is too long.
    TooLong(String),
    /// The device has no space left.
    NoSpace(String),
    /// The daemon is in safe mode and changes nothing.
    SafeMode(String),
    /// The device has no backend for this kind of component, or none that can do this.
    Unsupported(String),
    /// Something the daemon needs failed; the text says what.
    Failed(String),
}

impl Error {
    /// The text for people, without the name.
    #[must_use]
    pub fn message(&self) -> String {
        match self {
            Self::ZBus(error) => error.to_string(),
            other => other.description().unwrap_or("the daemon gave no reason").to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_carry_the_prefix_and_texts_are_shown_as_they_are() {
        let error = Error::Busy("job 3 is under way".to_owned());
        assert_eq!(error.name().as_str(), format!("{ERROR_PREFIX}.Busy"));
        assert_eq!(error.message(), "job 3 is under way");
    }
}
