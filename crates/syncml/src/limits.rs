//! Every limit on what comes from outside, in one place, each with its reason.

/// Largest message that is decoded, in bytes. A session announces far less; this bounds whoever decodes by hand.
pub const MESSAGE_BYTES_MAX: usize = 16 << 20;
/// How many times as long as a document its text may be: WBXML can repeat a long string of its table in two bytes each.
/// Writers that use the table for what it is meant for stay below four.
pub const TEXT_FACTOR_MAX: usize = 16;
/// Deepest nesting of elements. A description of a tree inside an Add inside an Atomic needs about twenty-five.
pub const DEPTH_MAX: usize = 32;
/// Most commands, inner ones included, in one message. No server sends a hundred; a list of statuses may be long.
pub const COMMANDS_MAX: usize = 4096;
/// Most items and references in one message. An inventory of 20,000 nodes in one message must be readable.
pub const ITEMS_MAX: usize = 32_768;
/// Most nodes in one serialized tree, for the same reason.
pub const TNDS_NODES_MAX: usize = 32_768;
/// Largest serialized tree in bytes: it is the one kind of object that is gathered in memory.
pub const TNDS_BYTES_MAX: u64 = 1 << 20;
/// Largest argument of an Exec in bytes; it is gathered in memory, too.
pub const ARGUMENT_BYTES_MAX: u64 = 64 << 10;
/// Longest URI of a node in bytes; what DevDetail/URI/MaxTotLen should say.
pub const URI_BYTES_MAX: usize = 1024;
/// Longest segment of such a URI in bytes; DevDetail/URI/MaxSegLen.
pub const SEGMENT_BYTES_MAX: usize = 255;
/// Most segments of such a URI; DevDetail/URI/MaxDepth.
pub const SEGMENTS_MAX: usize = 24;
/// Longest correlator in bytes: it is kept with a job over reboots.
pub const CORRELATOR_BYTES_MAX: usize = 1024;
/// Longest address for the rest of a session in bytes; what HTTP servers accept at least.
pub const RESP_URI_BYTES_MAX: usize = 2048;
/// Longest nonce in bytes. 16 are recommended; it is stored.
pub const NONCE_BYTES_MAX: usize = 256;
/// Longest text shown to a user, in bytes: more does not fit a screen.
pub const UI_TEXT_BYTES_MAX: usize = 4096;
/// Most choices shown to a user.
pub const UI_CHOICES_MAX: usize = 64;
/// Longest answer of a user in bytes.
pub const UI_ANSWER_BYTES_MAX: usize = 4096;
/// Longest time that a server may keep a message on a screen, or wait for a user, in seconds.
pub const UI_SECONDS_MAX: u64 = 24 * 3600;
/// Most memory for values that wait to be sent, in bytes: an inventory of 20,000 nodes takes about five million.
pub const RESULTS_BYTES_MAX: usize = 8 << 20;
/// Most memory for everything that waits to be sent, in bytes. A server that keeps asking without taking the answers
/// reaches it.
pub const OUTBOX_BYTES_MAX: usize = 12 << 20;
/// By how much a message may exceed the size that we announced: servers count without the envelope.
pub const MESSAGE_OVERSHOOT: usize = 1024;
/// Smallest MaxMsgSize of a server that is worth a session: the header and one status need about this.
pub const PEER_MESSAGE_BYTES_MIN: usize = 1000;
/// Largest message that we send to a server that announces no MaxMsgSize.
pub const SEND_BYTES_MAX: usize = 64 << 10;
/// Smallest piece of a large object that is worth a message.
pub const CHUNK_BYTES_MIN: usize = 64;
/// Rounds of challenge and credentials before we give up: one to learn the nonce, one for a stale nonce.
pub const CHALLENGES_MAX: u8 = 2;
/// Shortest package #0: digest, packed header and a server identifier of one byte.
pub const NOTIFICATION_BYTES_MIN: usize = 25;
/// Longest package #0: header, the longest identifier and as much vendor data as one UDP datagram safely carries.
pub const NOTIFICATION_BYTES_MAX: usize = 1472;
