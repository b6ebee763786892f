//! URIs of the management tree, and what a request may append to them.

use std::fmt;

use crate::code::Code;
use crate::limits::{SEGMENT_BYTES_MAX, SEGMENTS_MAX, URI_BYTES_MAX};

/// The URI of a node in its full form, percent-escapes resolved: `.` for the root, else `./A/B`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeUri(String);

impl NodeUri {
    /// The root of the tree.
    #[must_use]
    pub fn root() -> Self {
        Self(".".to_owned())
    }

    /// Reads a URI without a query. What is too long or too deep is 414; what is no URI is 400, our choice, as the
    /// texts name no code.
    pub fn parse(text: &str) -> Result<Self, Code> {
        if text.len() > URI_BYTES_MAX {
            return Err(Code::URI_TOO_LONG);
        }
        let relative = match text {
            "." | "./" => return Ok(Self::root()),
            _ => text.strip_prefix("./").unwrap_or(text),
        };
        let mut uri = String::with_capacity(relative.len() + 2);
        uri.push('.');
        for (depth, segment) in relative.split('/').enumerate() {
            if depth >= SEGMENTS_MAX {
                return Err(Code::URI_TOO_LONG);
            }
            let name = unescape(segment, false).ok_or(Code::BAD_REQUEST)?;
            check_name(&name)?;
            uri.push('/');
            uri.push_str(&name);
        }
        Ok(Self(uri))
    }

    /// The URI of a child. The name is taken as it is, without escapes.
    pub fn child(&self, name: &str) -> Result<Self, Code> {
        check_name(name)?;
        Ok(Self(format!("{}/{name}", self.0)))
    }

    /// The names from the root down.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.0.split('/').skip(1)
    }

    /// The last name; `.` for the root.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(".")
    }

    /// The node above; none above the root.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        self.0.rsplit_once('/').map(|(parent, _)| Self(parent.to_owned()))
    }

    /// The full form, `./A/B`, without escapes.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `self` is `other` or below it.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        self.0.strip_prefix(&other.0).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

fn check_name(name: &str) -> Result<(), Code> {
    let bad = name.is_empty() || name == "." || name == "..";
    if bad || name.contains(|c: char| c == '/' || c.is_control()) {
        return Err(Code::BAD_REQUEST);
    }
    if name.len() > SEGMENT_BYTES_MAX { Err(Code::URI_TOO_LONG) } else { Ok(()) }
}

/// As it is written in messages: `%` and `?` are escaped.
impl fmt::Display for NodeUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.0.contains(['%', '?']) {
            return f.write_str(&self.0);
        }
        f.write_str(&self.0.replace('%', "%25").replace('?', "%3F"))
    }
}

/// Resolves percent-escapes once. `plus` says whether `+` stands for a blank.
pub(crate) fn unescape(text: &str, plus: bool) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                let value = digit(rest.next())? * 16 + digit(rest.next())?;
                u8::try_from(value).ok()?
            }
            b'+' if plus => b' ',
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

/// A property of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Property {
    /// Access control list.
    Acl,
    /// Format of the value.
    Format,
    /// Name of the node; changing it renames.
    Name,
    /// Size of the value in bytes.
    Size,
    /// Title for people.
    Title,
    /// Time of the last change.
    Timestamp,
    /// MIME type, or the identifier of a management object.
    Type,
    /// Number of changes.
    Version,
    /// The value itself. Not a property: part of a selection for a serialized tree only.
    Value,
}

const PROPERTIES: [(Property, &str); 9] = [
    (Property::Acl, "ACL"),
    (Property::Format, "Format"),
    (Property::Name, "Name"),
    (Property::Size, "Size"),
    (Property::Title, "Title"),
    (Property::Timestamp, "TStamp"),
    (Property::Type, "Type"),
    (Property::Version, "VerNo"),
    (Property::Value, "Value"),
];

impl Property {
    fn named(name: &str) -> Result<Self, Code> {
        PROPERTIES.iter().find(|(_, known)| *known == name).map(|(p, _)| *p).ok_or(Code::UNSUPPORTED)
    }

    /// Whether a server may change it.
    #[must_use]
    pub fn is_writable(self) -> bool {
        matches!(self, Self::Acl | Self::Name | Self::Title)
    }
}

/// Which parts of each node a serialized tree shall show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection(Vec<Property>);

impl Selection {
    /// Reads what follows `?list=TNDS`: nothing for everything, `+A+B` for only these, `-A-B` for all but these.
    fn parse(text: &str) -> Result<Self, Code> {
        let all = || PROPERTIES.iter().map(|(property, _)| *property);
        let (sign, rest) = match text.split_at_checked(1) {
            None => return Ok(Self(all().collect())),
            Some(("+", rest)) => ('+', rest),
            Some(("-", rest)) => ('-', rest),
            Some(_) => return Err(Code::UNSUPPORTED),
        };
        let named = rest.split(sign).map(Property::named).collect::<Result<Vec<_>, _>>()?;
        Ok(Self(all().filter(|property| named.contains(property) == (sign == '+')).collect()))
    }

    /// Whether the property shall be shown.
    #[must_use]
    pub fn has(&self, property: Property) -> bool {
        self.0.contains(&property)
    }
}

/// What of a node a request means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Query {
    /// The node itself.
    Node,
    /// `?prop=`
    Property(Property),
    /// `?list=Struct` and, with the values, `?list=StructData`.
    List {
        /// Whether values are wanted.
        data: bool,
    },
    /// `?list=TNDS`
    Tnds(Selection),
}

impl Query {
    /// Splits the target of a request into node and query. An unknown query is 406.
    pub fn parse(target: &str) -> Result<(NodeUri, Self), Code> {
        let Some((node, query)) = target.split_once('?') else {
            return Ok((NodeUri::parse(target)?, Self::Node));
        };
        let node = NodeUri::parse(node)?;
        let query = match query.split_once('=') {
            Some(("prop", "Value")) => return Err(Code::UNSUPPORTED),
            Some(("prop", name)) => Self::Property(Property::named(name)?),
            Some(("list", "Struct")) => Self::List { data: false },
            Some(("list", "StructData")) => Self::List { data: true },
            Some(("list", list)) => {
                Self::Tnds(Selection::parse(list.strip_prefix("TNDS").ok_or(Code::UNSUPPORTED)?)?)
            }
            _ => return Err(Code::UNSUPPORTED),
        };
        Ok((node, query))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> Result<String, u16> {
        NodeUri::parse(text).map(|uri| uri.as_str().to_owned()).map_err(|code| code.0)
    }

    #[test]
    fn the_forms_of_a_uri_are_one() {
        for (text, full) in
            [(".", "."), ("./", "."), ("./A/B", "./A/B"), ("A/B", "./A/B"), ("A%20b", "./A b")]
        {
            assert_eq!(uri(text).as_deref(), Ok(full), "{text}");
        }
    }

    #[test]
    fn what_is_no_uri_is_refused() {
        let bad = [
            "",
            "/A",
            "./A/",
            "./A//B",
            "..",
            "./A/../B",
            "A/./B",
            "./%2e%2e/B",
            "A%2FB",
            "A%0",
            "A%zz",
            "A%00",
        ];
        for text in bad {
            assert_eq!(uri(text), Err(400), "{text}");
        }
        assert_eq!(uri(&"a/".repeat(SEGMENTS_MAX + 1)), Err(414));
        assert_eq!(uri(&"a".repeat(SEGMENT_BYTES_MAX + 1)), Err(414));
        assert!(uri(&"a".repeat(SEGMENT_BYTES_MAX)).is_ok());
        assert_eq!(uri(&format!("./{}", "%41".repeat(URI_BYTES_MAX / 3))), Err(414));
        assert_eq!(NodeUri::root().child("a/b"), Err(Code::BAD_REQUEST));
    }

    #[test]
    fn escapes_are_resolved_once_and_written_again() {
        let uri = NodeUri::parse("./A%253Fb%3Fc").unwrap();
        assert_eq!(uri.as_str(), "./A%3Fb?c");
        assert_eq!(uri.to_string(), "./A%253Fb%3Fc");
        assert_eq!(NodeUri::parse(&uri.to_string()), Ok(uri));
    }

    #[test]
    fn one_node_is_within_another() {
        let within = |a, b| NodeUri::parse(a).unwrap().is_within(&NodeUri::parse(b).unwrap());
        assert!(within("./A/B", "./A") && within("./A", "./A") && within("./A", "."));
        assert!(!within("./AB", "./A") && !within("./A", "./A/B"));
        let deep = NodeUri::parse("./A/B").unwrap();
        assert_eq!((deep.name(), deep.parent(), deep.segments().count()), ("B", NodeUri::parse("A").ok(), 2));
        assert_eq!((NodeUri::root().name(), NodeUri::root().parent()), (".", None));
    }

    #[test]
    fn queries_are_told_apart() {
        let query = |text: &str| Query::parse(text).map(|(_, query)| query).map_err(|code| code.0);
        assert_eq!(query("./A"), Ok(Query::Node));
        assert_eq!(query("./A?prop=VerNo"), Ok(Query::Property(Property::Version)));
        assert_eq!(query("./A?list=Struct"), Ok(Query::List { data: false }));
        assert_eq!(query("./A?list=StructData"), Ok(Query::List { data: true }));
        for unknown in [
            "?prop=Nothing",
            "?prop=Value",
            "?list=All",
            "?list=TNDS*",
            "?list=TNDS+No",
            "?x=y",
            "?",
            "?list=TNDS+",
        ] {
            assert_eq!(query(&format!("./A{unknown}")), Err(406), "{unknown}");
        }
        let selected = |text: &str| match query(text) {
            Ok(Query::Tnds(selection)) => PROPERTIES.iter().filter(|(p, _)| selection.has(*p)).count(),
            other => panic!("{other:?}"),
        };
        assert_eq!(selected("./A?list=TNDS"), 9);
        assert_eq!(selected("./A?list=TNDS+ACL+Value"), 2);
        assert_eq!(selected("./A?list=TNDS-ACL-Value"), 7);
    }
}
