//! OMA DM messages in XML and WBXML.

mod base64;
mod code;
mod codec;
mod error;
pub mod limits;
pub mod message;
mod tag;
mod tnds;

pub use code::{Code, alert};
pub use codec::{Encoding, decode, decode_tnds, encode, encode_tnds};
pub use error::SyncmlError;
pub use tnds::{Tnds, TndsNode};
