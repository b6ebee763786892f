//! The model of a message: plain data, the same for XML and WBXML. What it means is the session's business.
//!
//! Text that is an address or a number in a server's eyes stays text where it is only ever sent back.

use crate::code::Code;

/// One message: a `SyncML` document.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Message {
    /// The `SyncHdr`.
    pub header: Header,
    /// What the `SyncBody` holds, in order.
    pub commands: Vec<Command>,
    /// Whether the package ends with this message (`Final`).
    pub last: bool,
}

/// The header of a message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Header {
    /// `VerDTD`; `1.2`.
    pub ver_dtd: String,
    /// `VerProto`; `DM/1.2`.
    pub ver_proto: String,
    /// `SessionID`.
    pub session_id: String,
    /// `MsgID`.
    pub msg_id: String,
    /// To whom.
    pub target: Location,
    /// From whom; the name is the user's.
    pub source: Location,
    /// Where the rest of the session goes.
    pub resp_uri: Option<String>,
    /// Credentials.
    pub cred: Option<Cred>,
    /// `MaxMsgSize` and `MaxObjSize`.
    pub meta: Meta,
}

/// `Target` or `Source`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Location {
    /// `LocURI`.
    pub uri: String,
    /// `LocName`.
    pub name: Option<String>,
}

impl Location {
    /// A location without a name.
    pub fn new(uri: impl Into<String>) -> Self {
        Self { uri: uri.into(), name: None }
    }
}

/// Credentials.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cred {
    /// Type and format.
    pub meta: Meta,
    /// The credentials themselves.
    pub data: String,
}

/// `Meta`: what is said about data. The elements that only data synchronisation uses are not read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Meta {
    /// `Format`; `chr` when absent.
    pub format: Option<Format>,
    /// `Type`; `text/plain` when absent.
    pub mime: Option<String>,
    /// `Mark`, the importance of a generic alert.
    pub mark: Option<String>,
    /// `Size` of a large object as it travels, in bytes.
    pub size: Option<u64>,
    /// `NextNonce`, base64.
    pub next_nonce: Option<String>,
    /// `MaxMsgSize` in bytes.
    pub max_msg_size: Option<u64>,
    /// `MaxObjSize` in bytes.
    pub max_obj_size: Option<u64>,
}

impl Meta {
    /// A meta that says format and type.
    pub fn typed(format: Format, mime: impl Into<String>) -> Self {
        Self { format: Some(format), mime: Some(mime.into()), ..Self::default() }
    }

    /// Whether nothing is said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The format of a node's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Format {
    /// Base64 text.
    B64,
    /// Bytes.
    Bin,
    /// `true` or `false`.
    Bool,
    /// Text.
    Chr,
    /// A decimal number of 32 bits with sign.
    Int,
    /// An interior node.
    Node,
    /// No value.
    Null,
    /// XML text.
    Xml,
    /// An ISO 8601 date.
    Date,
    /// An ISO 8601 time.
    Time,
    /// A floating point number as in XML Schema.
    Float,
    /// Anything else, as it was written.
    Other(String),
}

/// The formats that there are, with their names.
const FORMATS: [(Format, &str); 11] = [
    (Format::B64, "b64"),
    (Format::Bin, "bin"),
    (Format::Bool, "bool"),
    (Format::Chr, "chr"),
    (Format::Int, "int"),
    (Format::Node, "node"),
    (Format::Null, "null"),
    (Format::Xml, "xml"),
    (Format::Date, "date"),
    (Format::Time, "time"),
    (Format::Float, "float"),
];

impl Format {
    /// The format of a name.
    #[must_use]
    pub fn named(name: &str) -> Self {
        let known = FORMATS.iter().find(|(_, known)| *known == name);
        known.map_or_else(|| Self::Other(name.to_owned()), |(format, _)| format.clone())
    }

    /// The name as it is written.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Other(name) => name,
            _ => FORMATS.iter().find(|(format, _)| format == self).map_or("chr", |(_, name)| name),
        }
    }
}

/// What stands in a `SyncBody`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Asks for something to be done.
    Request(Request),
    /// Says what became of a request.
    Status(Status),
    /// Brings what a Get asked for.
    Results(Results),
}

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verb {
    /// Make a node.
    Add,
    /// Tell something; its number is in [`Request::data`].
    Alert,
    /// All of the inner requests, or none.
    Atomic,
    /// Copy a value.
    Copy,
    /// Delete nodes.
    Delete,
    /// Run a node.
    Exec,
    /// Read nodes.
    Get,
    /// Change a value or a property.
    Replace,
    /// The inner requests in order.
    Sequence,
    /// A command that DM does not have.
    Other(String),
}

/// The verbs that there are, with their names.
pub(crate) const VERBS: [(Verb, &str); 9] = [
    (Verb::Add, "Add"),
    (Verb::Alert, "Alert"),
    (Verb::Atomic, "Atomic"),
    (Verb::Copy, "Copy"),
    (Verb::Delete, "Delete"),
    (Verb::Exec, "Exec"),
    (Verb::Get, "Get"),
    (Verb::Replace, "Replace"),
    (Verb::Sequence, "Sequence"),
];

impl Verb {
    /// The name of the command.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Other(name) => name,
            _ => VERBS.iter().find(|(verb, _)| verb == self).map_or("", |(_, name)| name),
        }
    }
}

/// A command that asks for something. Which fields a verb uses is said by the content models of SyncML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What it asks for.
    pub verb: Verb,
    /// `CmdID`; empty when the sender forgot it.
    pub id: String,
    /// Meta for all items.
    pub meta: Meta,
    /// `Correlator` of an Exec or Alert.
    pub correlator: Option<String>,
    /// The number of an Alert.
    pub data: Option<String>,
    /// What it works on.
    pub items: Vec<Item>,
    /// The commands inside a Sequence or Atomic.
    pub inner: Vec<Request>,
}

impl Request {
    /// A request without anything but its verb.
    #[must_use]
    pub fn new(verb: Verb) -> Self {
        let (id, meta, items, inner) = (String::new(), Meta::default(), Vec::new(), Vec::new());
        Self { verb, id, meta, correlator: None, data: None, items, inner }
    }

    /// An alert with its number.
    #[must_use]
    pub fn alert(number: u16) -> Self {
        Self { data: Some(number.to_string()), ..Self::new(Verb::Alert) }
    }
}

/// One thing that a command works on or brings.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Item {
    /// The node.
    pub target: Option<Location>,
    /// Where it comes from.
    pub source: Option<Location>,
    /// What is said about the data. Boxed, as most items of a long list have none.
    pub meta: Option<Box<Meta>>,
    /// The data as it travels.
    pub data: Option<Vec<u8>>,
    /// Whether the next message brings more of the data.
    pub more: bool,
}

impl Item {
    /// The data as text, where it is text.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        self.data.as_deref().and_then(|data| std::str::from_utf8(data).ok())
    }
}

/// What became of a command.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Status {
    /// `CmdID`.
    pub id: String,
    /// The message that held the command.
    pub msg_ref: Option<String>,
    /// Its `CmdID`; `0` for the header.
    pub cmd_ref: String,
    /// Its name.
    pub cmd: String,
    /// Targets of the items meant; empty for all.
    pub target_refs: Vec<String>,
    /// Sources of the items meant; empty for all.
    pub source_refs: Vec<String>,
    /// A challenge: `Format`, `Type` and `NextNonce`.
    pub chal: Option<Meta>,
    /// The code.
    pub code: Code,
    /// What comes with the code, such as a user's answer.
    pub items: Vec<Item>,
}

/// What a Get asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Results {
    /// `CmdID`.
    pub id: String,
    /// The message that held the Get; the first one when absent.
    pub msg_ref: Option<String>,
    /// The Get's `CmdID`.
    pub cmd_ref: String,
    /// Meta for all items.
    pub meta: Meta,
    /// The values.
    pub items: Vec<Item>,
}
