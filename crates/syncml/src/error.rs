//! Why bytes from outside were refused.

/// A message, header or notification that cannot be read, or a message that cannot be written.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SyncmlError {
    /// The XML is not UTF-8, the only encoding that is read.
    #[error("the message is not UTF-8 text; the server must send UTF-8")]
    NotUtf8,
    /// The XML holds a control character that XML forbids.
    #[error("the message holds a control character at byte {0}, which XML forbids")]
    Control(usize),
    /// The XML is not well formed.
    #[error("the message is not well-formed XML")]
    Xml(#[source] quick_xml::Error),
    /// The document type declaration has an internal subset, which could define entities.
    #[error("the message declares entities or elements of its own, which is refused")]
    InternalSubset,
    /// An entity other than the five of XML, or a character that XML forbids.
    #[error("the entity '{0}' is refused; only the five of XML and characters by number are read")]
    Entity(String),
    /// The WBXML is malformed.
    #[error("the message is not WBXML that can be read: {reason}, at byte {at}")]
    Wbxml {
        /// Where, counted from the start of the document.
        at: usize,
        /// What is wrong.
        reason: &'static str,
    },
    /// A limit is exceeded.
    #[error("the message has too many or too large {what}; at most {max} are read")]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        max: usize,
    },
    /// The document ends before its last element does.
    #[error("the message ends in the middle of an element")]
    Truncated,
    /// The root is another element.
    #[error("the document is not a {0} document")]
    Root(&'static str),
    /// An element that must be there is not.
    #[error("the message has no {0}")]
    Missing(&'static str),
    /// An element that must be a number is not.
    #[error("the {0} of the message is not a number in range")]
    Number(&'static str),
    /// An element holds bytes that are no text.
    #[error("the {0} of the message is not text")]
    NotText(&'static str),
    /// Markup inside Data that is not a serialized tree.
    #[error("Data holds markup; it must be escaped or in a CDATA section")]
    Markup,
    /// Bytes that XML cannot carry.
    #[error("binary data cannot be written as XML; encode it as base64 first")]
    Binary,
    /// Not base64.
    #[error("the {0} is not base64")]
    Base64(&'static str),
    /// An HMAC header that cannot be read.
    #[error("the x-syncml-hmac header has no {0}")]
    HmacHeader(&'static str),
    /// A package #0 that cannot be read.
    #[error("the notification is malformed: {0}")]
    Notification(&'static str),
}
