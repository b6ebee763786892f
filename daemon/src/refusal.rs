//! What the tree refuses, as errors of the bus: one name for each status code of OMA DM, so that a front-end can give
//! its server the code.

use scomo_core::tree::TreeError;
use scomo_dbus::Error;
use scomo_engine::backend::chain;

use crate::link::rejected;

/// The error that a refusal of the tree is.
pub fn of_tree(error: &TreeError) -> Error {
    let text = chain(error);
    match error {
        TreeError::Refused(rejection) => rejected(rejection),
        TreeError::ExecInBatch | TreeError::NeedsFile => Error::NotPossible(text),
        other => match other.status() {
            404 => Error::UnknownNode(text),
            405 => Error::NotPossible(text),
            406 => Error::NoSuchProperty(text),
            413 => Error::TooLong(text),
            414 => Error::UriTooLong(text),
            415 => Error::WrongFormat(text),
            418 => Error::Exists(text),
            420 => Error::LimitReached(text),
            425 => Error::AclDenied(text),
            _ => Error::InvalidArgument(text),
        },
    }
}
