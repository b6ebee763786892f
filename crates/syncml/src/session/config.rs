//! What a session is told when it begins, and what it tells.

use std::time::Duration;

use crate::auth::{Credentials, Scheme};
use crate::code::Code;
use crate::codec::Encoding;
use crate::error::SyncmlError;
use crate::interaction::{Answer, Interaction};
use crate::message::Item;

/// Everything that a session needs to know.
#[derive(Debug, Clone)]
pub struct Config {
    /// The value of `./DevInfo/DevId`.
    pub device_id: String,
    /// Where the first message goes.
    pub server_uri: String,
    /// How messages are written, both ways.
    pub encoding: Encoding,
    /// Whether binary messages name the parts of URIs that come again in a string table. It halves long lists. Every
    /// decoder should read it, but few writers use it: leave it off for a server that was not tried.
    pub string_table: bool,
    /// One to four characters; see [`crate::session_id_text`].
    pub session_id: String,
    /// Whether a notification of the server is the reason for the session.
    pub server_initiated: bool,
    /// URI and value of every leaf of `./DevInfo`.
    pub device_info: Vec<(String, String)>,
    /// How we prove who we are; `None` when the transport does.
    pub client: Option<ClientLogin>,
    /// How the server proves who it is; `None` when the transport does, with a certificate that belongs to this account.
    pub server: Option<ServerLogin>,
    /// Largest message that we take, in bytes. A little more is tolerated: [`crate::limits::MESSAGE_OVERSHOOT`].
    pub max_message: usize,
    /// Largest object that we take, in bytes as it travels.
    pub max_object: u64,
    /// How long to wait for an answer of the server.
    pub response_timeout: Duration,
    /// How long to wait for a user when the server does not say.
    pub interaction_timeout: Duration,
    /// Most messages that we send: a server must not keep a device busy for ever.
    pub messages_max: u32,
    /// 32 random bytes, new for every session: the nonces for the server are made from them.
    pub seed: [u8; 32],
}

/// How we prove who we are.
#[derive(Debug, Clone)]
pub struct ClientLogin {
    /// User and secret.
    pub credentials: Credentials,
    /// The schemes that may be used, the preferred one first. Basic is sent unasked, the others once a nonce is known.
    pub schemes: Vec<Scheme>,
    /// The newest nonce of the server's, from [`Event::ClientNonce`] of an earlier session.
    pub nonce: Option<Vec<u8>>,
}

/// How the server proves who it is.
#[derive(Debug, Clone)]
pub struct ServerLogin {
    /// The server's name and secret.
    pub credentials: Credentials,
    /// The only scheme that is accepted.
    pub scheme: Scheme,
    /// Our newest nonce that the server knows, from [`Event::ServerNonce`] of an earlier session.
    pub nonce: Option<Vec<u8>>,
}

/// An alert of ours that must reach the server: 1226, or 1224 for a client event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// The caller's number for it, in [`Event::AlertAccepted`].
    pub token: u64,
    /// [`crate::alert::GENERIC`] or [`crate::alert::CLIENT_EVENT`].
    pub number: u16,
    /// The correlator of the Exec that it answers.
    pub correlator: Option<String>,
    /// What it says. Data that XML cannot carry must be base64 already.
    pub items: Vec<Item>,
}

/// What happens to a session.
#[derive(Debug)]
pub enum Input<'a> {
    /// Begin.
    Start,
    /// A message arrived.
    Message {
        /// The whole body, as it was transferred.
        body: &'a [u8],
        /// The header `x-syncml-hmac`, if there is one.
        hmac: Option<&'a str>,
    },
    /// The answer to [`Output::Ask`].
    Answer(Answer),
    /// The [`super::Session::deadline`] may have come.
    Time,
    /// The message cannot be delivered, no readable answer came, or there is no time for another message. The session
    /// ends at once, as if it were aborted.
    Lost,
    /// End the session as soon as possible, and tell the server.
    Abort,
}

/// What a session wants.
#[derive(Debug)]
pub enum Output {
    /// Send a message and hand in what comes back.
    Send(Outgoing),
    /// Ask the user, or a policy, and hand in the answer. [`Answer::Timeout`] is the session's own business.
    Ask(Interaction),
    /// Something worth storing or logging. Store it before the next input.
    Event(Event),
    /// The session is over; nothing follows. An answer to a message that was just sent means nothing.
    Done(Result<(), SessionError>),
}

/// A message to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Where it goes. From the second message on this may be the server's choice: check scheme and host.
    pub uri: String,
    /// The `Content-Type`.
    pub content_type: &'static str,
    /// The header `x-syncml-hmac`, if any.
    pub hmac: Option<String>,
    /// The body.
    pub body: Vec<u8>,
}

/// Something worth storing or logging.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The server has the alert; it need not be sent again.
    AlertAccepted(u64),
    /// The server, or a size limit (413), refused the alert.
    AlertRefused(u64, Code),
    /// Build the next session's credentials with this nonce.
    ClientNonce(Vec<u8>),
    /// Check the server's next credentials and notifications with this nonce.
    ServerNonce(Vec<u8>),
    /// The server refused a command of ours other than an alert.
    CommandRefused(String, Code),
    /// A message that is a duplicate, or answers an older message of ours, was ignored.
    /// Over HTTP no second answer can come: hand in [`Input::Lost`] next.
    MessageIgnored,
}

/// Why a session did not end well.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SessionError {
    /// The server ended it.
    #[error("the server aborted the session")]
    AbortedByServer,
    /// We ended it.
    #[error("the session was aborted")]
    Aborted,
    /// The server does not want us.
    #[error("the server refused the session with status {0}; check user, secret and server identifier")]
    Refused(Code),
    /// The server wants a scheme that is not permitted, or changed it.
    #[error("the server asks for credentials of a kind that the account does not permit")]
    Challenge,
    /// The server did not prove who it is.
    #[error("the server did not prove who it is; check the server's secret of the account")]
    ServerNotAuthenticated,
    /// The server gave no nonce for the next message.
    #[error("the server gave no nonce for the next message")]
    NoNonce,
    /// No answer in time.
    #[error("the server did not answer in time")]
    TimedOut,
    /// The connection was lost.
    #[error("the connection to the server was lost")]
    Lost,
    /// The message cannot be read.
    #[error("the server's message cannot be read")]
    Unreadable(#[source] SyncmlError),
    /// A message of ours cannot be written.
    #[error("a message cannot be written")]
    Unwritable(#[source] SyncmlError),
    /// The message is much larger than announced.
    #[error("the server's message is larger than what was announced")]
    TooLarge,
    /// The header of the server's message is not for us.
    #[error("the header of the server's message was refused with status {0}")]
    Header(Code),
    /// The server takes too small messages.
    #[error("the server takes too small messages: what must be said does not fit")]
    PeerTooSmall,
    /// The server asks and asks.
    #[error("the server asks for more than it takes")]
    Flooded,
    /// The session does not end.
    #[error("the session was ended after {0} messages")]
    TooManyMessages(u32),
}
