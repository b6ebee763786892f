//! Reads XML into events.
//!
//! Not a general reader: names are looked up by where they stand, so that a missing or odd namespace does no harm,
//! and attributes mean nothing. Document types without an internal subset are tolerated, entities of one's own not.

use std::borrow::Cow;

use quick_xml::Reader;
use quick_xml::events::{BytesRef, Event as XmlEvent};

use super::cursor::{Event, Name, Source};
use crate::error::SyncmlError;
use crate::limits::DEPTH_MAX;
use crate::tag::{Tag, ddf, syncml};

pub(super) struct Xml<'de> {
    reader: Reader<&'de [u8]>,
    /// Where we are: the element, or `None` for one that we do not know.
    stack: Vec<Option<Tag>>,
}

impl<'de> Xml<'de> {
    pub(super) fn new(bytes: &'de [u8]) -> Result<Self, SyncmlError> {
        let text = std::str::from_utf8(bytes).map_err(|_| SyncmlError::NotUtf8)?;
        if let Some(at) = bytes.iter().position(|b| *b < 0x20 && !matches!(b, b'\t' | b'\n' | b'\r')) {
            return Err(SyncmlError::Control(at));
        }
        let mut reader = Reader::from_str(text);
        reader.config_mut().expand_empty_elements = true;
        Ok(Self { reader, stack: Vec::new() })
    }

    /// Which of our elements a name is, here.
    fn lookup(&self, name: &str) -> Option<Tag> {
        let parent = self.stack.last().copied();
        if name == ddf::MGMT_TREE.name() {
            return Some(ddf::MGMT_TREE);
        }
        match parent {
            None => Tag::named(0, name),
            Some(None) => None,
            Some(Some(syncml::META)) => Tag::named(1, name),
            Some(Some(parent)) => Tag::named(parent.page(), name),
        }
    }

    fn start(&mut self, name: &str) -> Result<Event<'de>, SyncmlError> {
        if self.stack.len() >= DEPTH_MAX {
            return Err(SyncmlError::Limit { what: "nested elements", max: DEPTH_MAX });
        }
        let tag = self.lookup(name);
        self.stack.push(tag);
        Ok(Event::Start(tag.map_or_else(|| Name::Unknown(name.to_owned()), Name::Known)))
    }

    fn text(&self, text: Cow<'de, str>) -> Result<Option<Event<'de>>, SyncmlError> {
        if !self.stack.is_empty() {
            return Ok(Some(Event::Text(text)));
        }
        if text.trim().is_empty() { Ok(None) } else { Err(SyncmlError::Root("XML")) }
    }
}

impl<'de> Source<'de> for Xml<'de> {
    fn next(&mut self) -> Result<Option<Event<'de>>, SyncmlError> {
        loop {
            match self.reader.read_event().map_err(SyncmlError::Xml)? {
                XmlEvent::Start(start) | XmlEvent::Empty(start) => {
                    return self.start(start.local_name().into_inner()).map(Some);
                }
                XmlEvent::End(_) => {
                    self.stack.pop();
                    return Ok(Some(Event::End));
                }
                XmlEvent::Text(text) => {
                    if let Some(event) = self.text(text.xml10_content())? {
                        return Ok(Some(event));
                    }
                }
                XmlEvent::CData(data) if !self.stack.is_empty() => {
                    return Ok(Some(Event::Text(data.xml10_content())));
                }
                XmlEvent::GeneralRef(entity) if !self.stack.is_empty() => {
                    return Ok(Some(Event::Text(resolve(&entity)?)));
                }
                XmlEvent::CData(_) | XmlEvent::GeneralRef(_) => return Err(SyncmlError::Root("XML")),
                XmlEvent::DocType(doctype) if doctype.contains('[') => {
                    return Err(SyncmlError::InternalSubset);
                }
                XmlEvent::DocType(_) | XmlEvent::Comment(_) | XmlEvent::Decl(_) | XmlEvent::PI(_) => {}
                XmlEvent::Eof if self.stack.is_empty() => return Ok(None),
                XmlEvent::Eof => return Err(SyncmlError::Truncated),
            }
        }
    }
}

/// The character that an entity stands for.
fn resolve(entity: &BytesRef<'_>) -> Result<Cow<'static, str>, SyncmlError> {
    let refused = || SyncmlError::Entity(entity.chars().take(32).collect());
    let named = match &**entity {
        "amp" => "&",
        "lt" => "<",
        "gt" => ">",
        "quot" => "\"",
        "apos" => "'",
        _ => {
            let character =
                entity.resolve_char_ref().ok().flatten().filter(|c| is_xml(*c)).ok_or_else(refused)?;
            return Ok(Cow::Owned(character.to_string()));
        }
    };
    Ok(Cow::Borrowed(named))
}

/// Whether XML 1.0 permits the character.
pub(super) fn is_xml(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..)
}
