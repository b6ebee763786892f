//! Link format (RFC 6690), as far as LwM2M uses it: lists of paths with attributes, without a space anywhere.
//!
//! We write it in registrations and for Discover. Reading it back is for servers, and for tests that play one.

use std::fmt::{self, Write as _};

use crate::path::{InvalidPath, Path};

/// A path with attributes.
#[derive(Debug, Clone, PartialEq)]
pub struct Link {
    /// What it links to.
    pub path: Path,
    /// Names and values, written in this order.
    pub attributes: Vec<(String, Attribute)>,
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq)]
pub enum Attribute {
    /// Written bare: numbers and versions.
    Plain(String),
    /// Written in quotes.
    Quoted(String),
}

/// Why a text is not a list of links.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLinks {
    /// A link does not stand in angle brackets.
    #[error("a link must stand in angle brackets")]
    Brackets,
    /// Something stands between links that is not a comma, or an attribute has no name.
    #[error("links are separated by commas and attributes by semicolons")]
    Separator,
    /// A quoted value does not end.
    #[error("a quoted value does not end")]
    Quote,
    /// The target is not a path.
    #[error("the target of a link is not a path")]
    Target(#[source] InvalidPath),
}

impl Link {
    /// A link without attributes.
    #[must_use]
    pub const fn new(path: Path) -> Self {
        Self { path, attributes: Vec::new() }
    }

    /// The same with one more attribute, written bare.
    #[must_use]
    pub fn plain(mut self, name: &str, value: impl fmt::Display) -> Self {
        self.attributes.push((name.to_owned(), Attribute::Plain(value.to_string())));
        self
    }

    /// The same with one more attribute, written in quotes.
    #[must_use]
    pub fn quoted(mut self, name: &str, value: &str) -> Self {
        self.attributes.push((name.to_owned(), Attribute::Quoted(value.to_owned())));
        self
    }

    /// The value of the attribute `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.attributes.iter().find(|(known, _)| known == name)?;
        match value {
            Attribute::Plain(text) | Attribute::Quoted(text) => Some(text),
        }
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}>", self.path)?;
        for (name, value) in &self.attributes {
            match value {
                Attribute::Plain(text) if text.is_empty() => write!(f, ";{name}")?,
                Attribute::Plain(text) => write!(f, ";{name}={text}")?,
                Attribute::Quoted(text) => {
                    write!(f, ";{name}=\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))?;
                }
            }
        }
        Ok(())
    }
}

/// Writes links one after the other.
#[must_use]
pub fn encode(links: &[Link]) -> String {
    let mut text = String::new();
    for link in links {
        let comma = if text.is_empty() { "" } else { "," };
        // Writing to a string does not fail.
        let _ = write!(text, "{comma}{link}");
    }
    text
}

/// Reads links.
pub fn decode(text: &str) -> Result<Vec<Link>, InvalidLinks> {
    let mut links = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let open = rest.strip_prefix('<').ok_or(InvalidLinks::Brackets)?;
        let (target, after) = open.split_once('>').ok_or(InvalidLinks::Brackets)?;
        let mut link = Link::new(Path::parse(target).map_err(InvalidLinks::Target)?);
        rest = after;
        while let Some(attribute) = rest.strip_prefix(';') {
            let end = attribute.find(['=', ';', ',']).unwrap_or(attribute.len());
            let (name, after) = attribute.split_at(end);
            if name.is_empty() {
                return Err(InvalidLinks::Separator);
            }
            let (value, after) = attribute_value(after)?;
            link.attributes.push((name.to_owned(), value));
            rest = after;
        }
        links.push(link);
        match rest.strip_prefix(',') {
            Some("") => return Err(InvalidLinks::Separator),
            Some(next) => rest = next,
            None if rest.is_empty() => {}
            None => return Err(InvalidLinks::Separator),
        }
    }
    Ok(links)
}

/// What follows the name of an attribute, and what follows that.
fn attribute_value(text: &str) -> Result<(Attribute, &str), InvalidLinks> {
    let Some(value) = text.strip_prefix('=') else {
        return Ok((Attribute::Plain(String::new()), text));
    };
    let Some(quoted) = value.strip_prefix('"') else {
        let (value, rest) = value.split_at(value.find([';', ',']).unwrap_or(value.len()));
        return Ok((Attribute::Plain(value.to_owned()), rest));
    };
    let mut content = String::new();
    let mut chars = quoted.chars();
    loop {
        match chars.next().ok_or(InvalidLinks::Quote)? {
            '"' => return Ok((Attribute::Quoted(content), chars.as_str())),
            '\\' => content.push(chars.next().ok_or(InvalidLinks::Quote)?),
            other => content.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_written_and_read() {
        let links = [
            Link::new(Path::ROOT).quoted("rt", "oma.lwm2m").plain("ct", 112),
            Link::new(Path::object(3)).plain("ver", "1.1"),
            Link::new(Path::instance(3, 0)).plain("dim", "").quoted("uri", "a\"b\\c,;"),
        ];
        let text = encode(&links);
        assert!(text.starts_with("</>;rt=\"oma.lwm2m\";ct=112,</3>;ver=1.1,</3/0>;dim;uri="), "{text}");
        assert_eq!(decode(&text).unwrap(), links);
        assert_eq!(links[1].get("ver"), Some("1.1"));
        assert_eq!(decode("").unwrap(), []);
    }

    #[test]
    fn what_is_not_a_list_of_links_is_refused() {
        assert_eq!(decode("/3/0"), Err(InvalidLinks::Brackets));
        assert_eq!(decode("</3/0"), Err(InvalidLinks::Brackets));
        assert_eq!(decode("</3>,"), Err(InvalidLinks::Separator));
        assert_eq!(decode("</3> ,</4>"), Err(InvalidLinks::Separator));
        assert_eq!(decode("</3>;=x"), Err(InvalidLinks::Separator));
        assert_eq!(decode("</3>;a=\"x"), Err(InvalidLinks::Quote));
        assert!(matches!(decode("</x>"), Err(InvalidLinks::Target(_))));
    }
}
