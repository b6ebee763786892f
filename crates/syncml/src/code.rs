//! Status codes and alert numbers of OMA DM.

use std::fmt;

/// A status code. Any number can arrive; those with a meaning for us have names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Code(pub u16);

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $number:literal;)+) => {
        impl Code {
            $($(#[$doc])* pub const $name: Self = Self($number);)+
        }
    };
}

codes! {
    /// Done; also "yes", and credentials that are good for this message only.
    OK = 200;
    /// Accepted; the result comes later.
    ACCEPTED = 202;
    /// Credentials that are good for the whole session.
    AUTHENTICATED = 212;
    /// A piece of a large object was stored.
    CHUNK_STORED = 213;
    /// The user cancelled.
    CANCELLED = 214;
    /// Not executed, because of what happened before.
    NOT_EXECUTED = 215;
    /// Undone, as another part of the Atomic failed.
    ROLLED_BACK = 216;
    /// The user said no.
    NOT_MODIFIED = 304;
    /// Malformed.
    BAD_REQUEST = 400;
    /// The credentials are wrong.
    INVALID_CREDENTIALS = 401;
    /// Refused for a reason other than the access control list.
    FORBIDDEN = 403;
    /// There is no such node.
    NOT_FOUND = 404;
    /// The node does not support the command.
    NOT_ALLOWED = 405;
    /// An optional feature that is missing.
    UNSUPPORTED = 406;
    /// Credentials are missing.
    MISSING_CREDENTIALS = 407;
    /// The user did not answer in time.
    TIMED_OUT = 408;
    /// A large object came without its size.
    SIZE_REQUIRED = 411;
    /// The command lacks something.
    INCOMPLETE = 412;
    /// The data is too large.
    TOO_LARGE = 413;
    /// The URI is too long or too deep.
    URI_TOO_LONG = 414;
    /// The format or type is not supported.
    UNSUPPORTED_TYPE = 415;
    /// A user interaction that cannot be shown.
    NOT_SATISFIABLE = 416;
    /// The node exists already.
    ALREADY_EXISTS = 418;
    /// No space is left.
    DEVICE_FULL = 420;
    /// A joined object does not have the announced size.
    SIZE_MISMATCH = 424;
    /// The access control list does not permit it.
    PERMISSION_DENIED = 425;
    /// Failed for no reason that has a code.
    FAILED = 500;
    /// The `VerDTD` is not supported.
    DTD_VERSION = 505;
    /// The Atomic failed.
    ATOMIC_FAILED = 507;
    /// The store failed.
    STORE_FAILED = 510;
    /// The `VerProto` is not supported.
    PROTOCOL_VERSION = 513;
    /// A part of a failed Atomic could not be undone.
    ROLL_BACK_FAILED = 516;
}

impl Code {
    /// Whether the code says that something was done or accepted.
    #[must_use]
    pub fn is_success(self) -> bool {
        matches!(self.0, 200..=213)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Numbers of alerts.
pub mod alert {
    /// Show a text.
    pub const DISPLAY: u16 = 1100;
    /// Ask yes or no.
    pub const CONFIRM: u16 = 1101;
    /// Ask for text.
    pub const INPUT: u16 = 1102;
    /// Ask for one choice.
    pub const CHOICE: u16 = 1103;
    /// Ask for any number of choices.
    pub const CHOICES: u16 = 1104;
    /// A session that the server asked for.
    pub const SERVER_INITIATED: u16 = 1200;
    /// A session that the client wants.
    pub const CLIENT_INITIATED: u16 = 1201;
    /// Asks for the next message of the package.
    pub const NEXT_MESSAGE: u16 = 1222;
    /// Ends the session.
    pub const ABORT: u16 = 1223;
    /// An event on the client.
    pub const CLIENT_EVENT: u16 = 1224;
    /// A large object lacks its end.
    pub const NO_END_OF_DATA: u16 = 1225;
    /// A generic alert.
    pub const GENERIC: u16 = 1226;
}
