//! From a failure to the SCOMO result code that reports it (SCOMO 1.0 section 8.7).

use crate::failure::{FailureKind, ResultCode};
use crate::state::Primitive;

/// The result code of a job that failed; `delivered`: its package was whole on the device by then.
#[must_use]
pub fn failure_code(primitive: Primitive, delivered: bool, kind: FailureKind) -> ResultCode {
    match kind {
        FailureKind::Cancelled => ResultCode::CANCELLED,
        FailureKind::Untrusted | FailureKind::Invalid => ResultCode::VALIDATION_FAILED,
        FailureKind::Unsupported => ResultCode::UNSUPPORTED_ENVIRONMENT,
        FailureKind::Unmet | FailureKind::FailedBefore | FailureKind::Forbidden => refused_code(primitive),
        _ if (primitive.downloads() || primitive.installs()) && !delivered => download_code(kind),
        _ => deploy_code(primitive, kind),
    }
}

fn download_code(kind: FailureKind) -> ResultCode {
    match kind {
        FailureKind::Unauthorized => ResultCode::DOWNLOAD_AUTH,
        FailureKind::NoSpace => ResultCode::DOWNLOAD_NO_SPACE,
        FailureKind::Server => ResultCode::SERVER_ERROR,
        FailureKind::Unavailable => ResultCode::SERVER_UNAVAILABLE,
        FailureKind::NotFound
        | FailureKind::Corrupt
        | FailureKind::Untrusted
        | FailureKind::Invalid
        | FailureKind::Unsupported
        | FailureKind::FailedBefore
        | FailureKind::Unmet
        | FailureKind::Forbidden
        | FailureKind::Broken
        | FailureKind::Unhealthy
        | FailureKind::BootFailed
        | FailureKind::Cancelled
        | FailureKind::Interrupted => ResultCode::DOWNLOAD_FAILED,
    }
}

/// The device could, but its rules or its owner say no: the code of the operation that did not take place.
fn refused_code(primitive: Primitive) -> ResultCode {
    match primitive {
        Primitive::Activate => ResultCode::ACTIVATE_FAILED,
        Primitive::Download => ResultCode::DOWNLOAD_FAILED,
        _ => ResultCode::INSTALL_FAILED,
    }
}

fn deploy_code(primitive: Primitive, kind: FailureKind) -> ResultCode {
    match (primitive, kind) {
        (Primitive::Activate, _) => ResultCode::ACTIVATE_FAILED,
        (Primitive::Deactivate, _) => ResultCode::DEACTIVATE_FAILED,
        (Primitive::RemoveComponent | Primitive::RemovePackage, _) => ResultCode::REMOVE_FAILED,
        (_, FailureKind::Unhealthy) => ResultCode::ROLLED_BACK_UNHEALTHY,
        (_, FailureKind::BootFailed) => ResultCode::ROLLED_BACK_BOOT,
        (_, FailureKind::NoSpace) => ResultCode::INSTALL_NO_SPACE,
        (Primitive::CollectGarbage, _) => ResultCode::UNDEFINED,
        _ => ResultCode::INSTALL_FAILED,
    }
}
