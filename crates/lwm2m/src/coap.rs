//! CoAP over datagrams (RFC 7252, 7641, 7959): what LwM2M needs of it, for one peer.
//!
//! [`endpoint`] is the message layer: reliability, duplicates, tokens. On top of it are block-wise transfers, one
//! file for each direction: [`call`] for our requests, [`upload`] for bodies that a server sends, [`snapshot`] for
//! bodies that a server fetches. Nothing here knows LwM2M.

pub(crate) mod block;
pub(crate) mod call;
pub(crate) mod endpoint;
pub mod message;
pub(crate) mod recent;
pub(crate) mod snapshot;
pub(crate) mod upload;
