//! OMA DM messages in XML and WBXML, authentication and notifications.

pub mod auth;
mod base64;
mod code;
mod codec;
mod error;
pub mod limits;
pub mod message;
mod notification;
mod tag;
mod tnds;

pub use code::{Code, alert};
pub use codec::{Encoding, decode, decode_tnds, encode, encode_tnds};
pub use error::SyncmlError;
pub use notification::{Notification, UiMode, session_id_text};
pub use tnds::{Tnds, TndsNode};
