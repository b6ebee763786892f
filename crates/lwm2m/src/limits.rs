//! Every limit on what comes from outside, and every constant of time, each with its reason.
//!
//! Together they keep the memory of a client with a few servers below some megabytes, whatever is sent to it.

/// Largest datagram that is looked at, in bytes. A block of 1024 bytes with every option that LwM2M uses stays below.
pub const DATAGRAM_MAX: usize = 1500;
/// Longest token, in bytes (RFC 7252, 3).
pub const TOKEN_BYTES_MAX: usize = 8;
/// Length of the tokens that we make: as long as possible, since over plain UDP they are all that tells a reply from
/// a forged one.
pub const TOKEN_BYTES: usize = 8;
/// Longest segment of a path that is a number: five digits, and some zeros before them.
pub const SEGMENT_BYTES_MAX: usize = 8;
/// Largest block of a block-wise transfer: 2^(6+4) = 1024 bytes, the largest of CoAP over UDP (RFC 7959, 2.2).
pub const BLOCK_EXPONENT_MAX: u8 = 6;
/// Largest body that is collected in memory before it is understood, in bytes: a bootstrap of several servers with
/// certificates. What is larger goes to a streamed resource.
pub const BODY_MAX: usize = 64 * 1024;
/// Largest body that we send, in bytes: a thousand instances of some hundred bytes each, with room.
pub const RESPONSE_MAX: usize = 1024 * 1024;
/// Largest upload to a streamed resource, in bytes: what a block number of 20 bits reaches with 1024-byte blocks.
pub const UPLOAD_MAX: u64 = 1 << 30;
/// Uploads of one server at the same time: one for each instance that a server would sensibly fill at once.
pub const UPLOADS_MAX: usize = 4;
/// Large responses of one server that are kept until their last block was fetched.
pub const SNAPSHOTS_MAX: usize = 4;
/// Bytes of all those responses together: one of the largest, and some small.
pub const SNAPSHOT_BYTES_MAX: usize = RESPONSE_MAX + 256 * 1024;
/// Messages of one server that are remembered to recognise duplicates. A push sends a thousand blocks within seconds.
pub const RECENT_MAX: usize = 1024;
/// Bytes of the answers that are remembered with them.
pub const RECENT_BYTES_MAX: usize = 64 * 1024;
/// Requests of one server that wait for an answer from the objects; more are ignored and the server repeats them.
pub const EXCHANGES_MAX: usize = 16;
/// Confirmable messages to one server that wait for their turn; only one is on its way (NSTART, RFC 7252, 4.7).
pub const QUEUE_MAX: usize = 64;
/// Non-confirmable notifications that are remembered so that a reset of one finds its observation.
pub const NOTIFIED_MAX: usize = 64;
/// Observations of one server: more than the resources anybody watches.
pub const OBSERVATIONS_MAX: usize = 128;
/// Paths in one composite request, and resources in one payload.
pub const ENTRIES_MAX: usize = 4096;
/// Paths of one composite observation: each is read at every change.
pub const COMPOSITE_PATHS_MAX: usize = 64;
/// Paths with attributes of one server.
pub const ATTRIBUTE_PATHS_MAX: usize = 128;
/// Notifications of one server that are stored while it cannot be reached; the oldest go first.
pub const STORED_MAX: usize = 64;
/// Server accounts, that is instances of object 0.
pub const ACCOUNTS_MAX: usize = 16;
/// Longest URI of a server in bytes (object 0, resource 0).
pub const URI_BYTES_MAX: usize = 255;
/// Location-Path segments that a server gives to a registration, and the bytes of each (RFC 7252, 5.10.7).
pub const LOCATION_SEGMENTS_MAX: usize = 8;
/// See [`LOCATION_SEGMENTS_MAX`].
pub const LOCATION_BYTES_MAX: usize = 255;
/// Longest name of an endpoint in bytes: what fits one Uri-Query option with `ep=` before it.
pub const ENDPOINT_BYTES_MAX: usize = 252;
/// Longest diagnostic text in a response, in bytes: it must fit one datagram beside the options.
pub const DIAGNOSTIC_BYTES_MAX: usize = 128;

/// First retransmission timeout in milliseconds (ACK_TIMEOUT, RFC 7252, 4.8).
pub const ACK_TIMEOUT: u64 = 2_000;
/// Random part that is added to it, in milliseconds (ACK_RANDOM_FACTOR 1.5).
pub const ACK_JITTER: u64 = 1_000;
/// Retransmissions after the first transmission (MAX_RETRANSMIT).
pub const RETRANSMIT_MAX: u32 = 4;
/// How long a message may still be repeated, in milliseconds: confirmable ones (EXCHANGE_LIFETIME).
pub const EXCHANGE_LIFETIME: u64 = 247_000;
/// The same for non-confirmable ones (NON_LIFETIME).
pub const NON_LIFETIME: u64 = 145_000;
/// How long a reply to a confirmable message may take, in milliseconds (MAX_TRANSMIT_WAIT).
pub const TRANSMIT_WAIT: u64 = 93_000;
/// After this many milliseconds a request whose answer takes longer is acknowledged without it: before the server
/// repeats the request.
pub const ACK_DELAY: u64 = 1_000;
/// A confirmable notification is sent at least once in this many milliseconds (RFC 7641, 4.5).
pub const CONFIRM_EVERY: u64 = 24 * 3600 * 1000;
/// Shortest time between two periodic updates of a registration, in milliseconds.
pub const UPDATE_FLOOR: u64 = 1_000;
/// Longest time for de-registration when the client stops, in milliseconds: shutting down does not wait for ever.
pub const STOP_WAIT: u64 = 10_000;
/// First delay after a failed bootstrap, in milliseconds; doubles.
pub const BOOTSTRAP_RETRY: u64 = 20_000;
/// Longest delay after failed bootstraps, in milliseconds: a device that waits for its server is there within an hour.
pub const BOOTSTRAP_RETRY_MAX: u64 = 3_600_000;
/// How long the caller may take to open an association, in milliseconds: a handshake with all its repetitions.
pub const CONNECT_WAIT: u64 = 120_000;
