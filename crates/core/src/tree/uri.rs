//! Node URIs (OMA DM 1.2): read from text, relative to the SCOMO root, and written.
//!
//! A [`Uri`] holds the decoded names below the root and what is asked of the node there. It says nothing about
//! whether such a node exists.

use std::fmt::Write as _;

use super::nodes::PLACEHOLDER;

/// Most names below the SCOMO root. The deepest fixed node is 7 below; the rest is for sub-trees of vendors.
pub const DEPTH_MAX: usize = 16;
/// Longest name in bytes, decoded: that of the longest package or component id.
pub const SEGMENT_BYTES_MAX: usize = crate::id::ID_BYTES_MAX;
/// Longest URI in bytes, as written: an id that is all escapes, its branch, and some names below it.
pub const URI_BYTES_MAX: usize = 2048;

/// What a URI names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uri {
    /// Decoded names from the SCOMO root down; none: the root itself.
    pub segments: Vec<String>,
    /// What is asked of the node.
    pub query: Query,
}

/// The part after the question mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Query {
    /// Nothing: the value, or the names of the children.
    Value,
    /// `?prop=`: a property.
    Property(Property),
    /// `?list=`: the sub-tree.
    List(List),
}

/// A property of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum Property {
    /// Its own access control list.
    #[serde(rename = "ACL")]
    Acl,
    /// Format of its value.
    Format,
    /// Its name; giving it another renames the node.
    Name,
    /// Bytes of its value; leaves only.
    Size,
    /// For people.
    Title,
    /// When its value changed.
    TStamp,
    /// Its MIME type, or the identifier of the management object.
    Type,
    /// How often its value changed; wraps.
    VerNo,
}

impl Property {
    /// Every property, in the order of a serialized tree.
    pub const ALL: [Self; 8] =
        [Self::Acl, Self::Format, Self::Name, Self::Size, Self::Title, Self::TStamp, Self::Type, Self::VerNo];

    /// The name used by OMA DM.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Acl => "ACL",
            Self::Format => "Format",
            Self::Name => "Name",
            Self::Size => "Size",
            Self::Title => "Title",
            Self::TStamp => "TStamp",
            Self::Type => "Type",
            Self::VerNo => "VerNo",
        }
    }

    /// The property of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|property| property.as_str() == name)
    }
}

/// How a sub-tree is to be listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum List {
    /// Every node, without values.
    Struct,
    /// Every node, with the values of leaves.
    StructData,
    /// One serialized tree.
    Tnds(Selection),
}

/// What a serialized tree shows of each node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// Properties.
    pub properties: Vec<Property>,
    /// Values of leaves.
    pub values: bool,
}

impl Default for Selection {
    fn default() -> Self {
        Self { properties: Property::ALL.to_vec(), values: true }
    }
}

/// Why a text is not a URI of a SCOMO node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUri {
    /// Longer than [`URI_BYTES_MAX`].
    #[error("a URI has at most {URI_BYTES_MAX} bytes, this one has {0}")]
    TooLong(usize),
    /// Deeper than [`DEPTH_MAX`].
    #[error("a node is at most {DEPTH_MAX} below the SCOMO root")]
    TooDeep,
    /// A name longer than [`SEGMENT_BYTES_MAX`].
    #[error("a name has at most {SEGMENT_BYTES_MAX} bytes, one here has {0}")]
    SegmentTooLong(usize),
    /// An empty name, `.`, `..`, a control character, a broken escape or a name that stands for others.
    #[error("'{0}' is not a name of a node; write special characters as %XX")]
    Segment(String),
    /// Not below the root.
    #[error("the URI is not below '{0}', where the SCOMO tree is")]
    Outside(String),
    /// A property or a way of listing that does not exist here.
    #[error(
        "'?{0}' is not known; there are ?prop=ACL, Format, Name, Size, Title, TStamp, Type and VerNo, and ?list=Struct, StructData and TNDS"
    )]
    Query(String),
}

impl Uri {
    /// Reads `text`, an absolute URI with or without `./`, whose first names are those of `root`.
    pub fn parse(root: &str, text: &str) -> Result<Self, InvalidUri> {
        if text.len() > URI_BYTES_MAX {
            return Err(InvalidUri::TooLong(text.len()));
        }
        let (path, query) = match text.split_once('?') {
            Some((path, query)) => (path, parse_query(query)?),
            None => (text, Query::Value),
        };
        let mut names = names(path);
        for wanted in self::names(root) {
            let outside = || InvalidUri::Outside(root.to_owned());
            let name = decode(names.next().ok_or_else(outside)?)?;
            if name != decode(wanted)? {
                return Err(outside());
            }
        }
        let segments = names.map(decode).collect::<Result<Vec<_>, _>>()?;
        if segments.len() > DEPTH_MAX {
            return Err(InvalidUri::TooDeep);
        }
        Ok(Self { segments, query })
    }

    /// The path below the root in its one normal form; see [`push_segment`].
    #[must_use]
    pub fn path(&self) -> String {
        let mut path = String::new();
        for segment in &self.segments {
            push_segment(&mut path, segment);
        }
        path
    }
}

fn names(path: &str) -> impl Iterator<Item = &str> {
    let path = path.strip_prefix("./").unwrap_or(path);
    let none = path.is_empty() || path == ".";
    path.split('/').filter(move |_| !none)
}

fn parse_query(query: &str) -> Result<Query, InvalidUri> {
    let unknown = || InvalidUri::Query(query.to_owned());
    match query.split_once('=').ok_or_else(unknown)? {
        ("prop", name) => Property::from_name(name).map(Query::Property).ok_or_else(unknown),
        ("list", "Struct") => Ok(Query::List(List::Struct)),
        ("list", "StructData") => Ok(Query::List(List::StructData)),
        ("list", tnds) => {
            let rest = tnds.strip_prefix("TNDS").ok_or_else(unknown)?;
            parse_selection(rest).map(|selection| Query::List(List::Tnds(selection))).ok_or_else(unknown)
        }
        _ => Err(unknown()),
    }
}

/// `+ACL+Value`: only these; `-ACL-Value`: all but these; both together mean nothing.
fn parse_selection(text: &str) -> Option<Selection> {
    let Some(sign) = text.chars().next() else { return Some(Selection::default()) };
    if !matches!(sign, '+' | '-') {
        return None;
    }
    let named: Vec<&str> = text.split(sign).skip(1).collect();
    let known = |name: &&str| *name == "Value" || Property::from_name(name).is_some();
    if !named.iter().all(known) {
        return None;
    }
    let shown = |name: &str| named.contains(&name) == (sign == '+');
    let properties = Property::ALL.into_iter().filter(|property| shown(property.as_str())).collect();
    Some(Selection { properties, values: shown("Value") })
}

fn decode(segment: &str) -> Result<String, InvalidUri> {
    let bad = || InvalidUri::Segment(segment.to_owned());
    let name = unescape(segment).ok_or_else(bad)?;
    check_name(&name)?;
    // Dots alone are a way around the tree, unless they are escaped and so plainly a name.
    if segment == "." || segment == ".." { Err(bad()) } else { Ok(name) }
}

/// The name that a segment of a path stands for; None: an escape in it is broken.
pub(super) fn unescape(segment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.bytes();
    while let Some(byte) = rest.next() {
        let mut digit = || char::from(rest.next()?).to_digit(16);
        bytes.push(if byte == b'%' { u8::try_from(digit()? * 16 + digit()?).ok()? } else { byte });
    }
    String::from_utf8(bytes).ok()
}

/// Refuses what cannot be the name of a node.
pub fn check_name(name: &str) -> Result<(), InvalidUri> {
    if name.len() > SEGMENT_BYTES_MAX {
        return Err(InvalidUri::SegmentTooLong(name.len()));
    }
    if name.is_empty() || name == PLACEHOLDER || name.chars().any(char::is_control) {
        return Err(InvalidUri::Segment(name.to_owned()));
    }
    Ok(())
}

/// Appends a name to a path in its one normal form: everything but ASCII letters, digits and `-_.~!$&'()*+,;=:@` is
/// escaped, and names of dots alone are escaped whole.
pub fn push_segment(path: &mut String, name: &str) {
    if !path.is_empty() {
        path.push('/');
    }
    let dots = name == "." || name == "..";
    for byte in name.bytes() {
        if !dots && (byte.is_ascii_alphanumeric() || b"-_.~!$&'()*+,;=:@".contains(&byte)) {
            path.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(path, "%{byte:02X}");
        }
    }
}

/// The name of the node of a package or component called `id` among siblings whose names are fixed: an id that could
/// be taken for one of them gets a `_` in front.
#[must_use]
pub fn node_name(id: &str) -> std::borrow::Cow<'_, str> {
    if is_reserved(id) { format!("_{id}").into() } else { id.into() }
}

/// The id whose node has that name: the reverse of [`node_name`].
#[must_use]
pub fn node_id(name: &str) -> &str {
    name.strip_prefix('_').filter(|id| is_reserved(id)).unwrap_or(name)
}

/// Names that nodes have which stand beside packages or components.
const FIXED: [&str; 4] = ["Ext", "Whitelist", "Blacklist", "CheckUpdateAlertType"];

/// Whether a name among packages or components is that of a fixed node.
pub(super) fn is_fixed(name: &str) -> bool {
    FIXED.contains(&name)
}

/// A fixed name or the table's placeholder, with any number of `_` in front.
fn is_reserved(id: &str) -> bool {
    let plain = id.trim_start_matches('_');
    plain == PLACEHOLDER || is_fixed(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Result<String, InvalidUri> {
        Uri::parse("./SCOMO", text).map(|uri| uri.path())
    }

    #[test]
    fn a_uri_is_read_below_the_root() {
        assert_eq!(path("./SCOMO").unwrap(), "");
        assert_eq!(path("SCOMO/Download/p1").unwrap(), "Download/p1");
        assert_eq!(Uri::parse(".", "./Download").unwrap().path(), "Download");
        assert_eq!(Uri::parse("./A/B", "./A/B/Ext").unwrap().path(), "Ext");
        for outside in ["", ".", "./", "./FUMO/x", "./scomo"] {
            assert!(matches!(path(outside), Err(InvalidUri::Outside(_))), "{outside}");
        }
    }

    #[test]
    fn bad_names_are_refused() {
        for bad in [
            "./SCOMO/",
            "./SCOMO//a",
            "./SCOMO/../x",
            "./SCOMO/.",
            "./SCOMO/a%2",
            "./SCOMO/%00",
            "./SCOMO/%ff",
        ] {
            assert!(matches!(path(bad), Err(InvalidUri::Segment(_))), "{bad}: {:?}", path(bad));
        }
        assert!(matches!(path("./SCOMO/%3CX%3E"), Err(InvalidUri::Segment(_))));
    }

    #[test]
    fn every_limit_holds_exactly() {
        let deep = |n: usize| format!("./SCOMO{}", "/a".repeat(n));
        assert!(path(&deep(DEPTH_MAX)).is_ok());
        assert_eq!(path(&deep(DEPTH_MAX + 1)), Err(InvalidUri::TooDeep));
        let wide = |n: usize| format!("./SCOMO/{}", "a".repeat(n));
        assert!(path(&wide(SEGMENT_BYTES_MAX)).is_ok());
        assert_eq!(path(&wide(SEGMENT_BYTES_MAX + 1)), Err(InvalidUri::SegmentTooLong(256)));
        assert_eq!(path(&wide(URI_BYTES_MAX)), Err(InvalidUri::TooLong(URI_BYTES_MAX + 8)));
    }

    #[test]
    fn escapes_have_one_normal_form() {
        assert_eq!(path("./SCOMO/a%2fb%20c/%41").unwrap(), "a%2Fb%20c/A");
        assert_eq!(path("./SCOMO/%2E%2E").unwrap(), "%2E%2E");
        assert_eq!(path("./SCOMO/ü?prop=ACL").unwrap(), "%C3%BC");
    }

    #[test]
    fn queries_are_read() {
        let query = |text: &str| Uri::parse("./SCOMO", &format!("./SCOMO?{text}")).map(|uri| uri.query);
        assert_eq!(query("prop=TStamp"), Ok(Query::Property(Property::TStamp)));
        assert_eq!(query("list=StructData"), Ok(Query::List(List::StructData)));
        assert_eq!(query("list=TNDS"), Ok(Query::List(List::Tnds(Selection::default()))));
        let only = Selection { properties: vec![Property::Acl], values: true };
        assert_eq!(query("list=TNDS+Value+ACL"), Ok(Query::List(List::Tnds(only))));
        let Ok(Query::List(List::Tnds(but))) = query("list=TNDS-ACL-Value") else { panic!() };
        assert!(!but.values && but.properties.len() == 7);
        for bad in ["prop=acl", "prop=", "list=TNDS+ACL-Value", "list=TNDSx", "list=TNDS+", "x", "x=y", ""] {
            assert!(matches!(query(bad), Err(InvalidUri::Query(_))), "{bad}");
        }
    }

    #[test]
    fn ids_that_look_like_fixed_nodes_get_another_name() {
        for (id, name) in [("db", "db"), ("Ext", "_Ext"), ("_Ext", "__Ext"), ("_x", "_x"), ("<X>", "_<X>")] {
            assert_eq!(node_name(id), name);
            assert_eq!(node_id(name), id);
        }
    }
}
