//! What both decoders give, and the one place where depth, number of texts and their sum are limited.

use std::borrow::Cow;

use crate::error::SyncmlError;
use crate::limits::{DEPTH_MAX, TEXT_FACTOR_MAX};
use crate::tag::Tag;

/// One step through a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event<'de> {
    /// An element begins.
    Start(Name),
    /// Text of the innermost element; may come in pieces.
    Text(Cow<'de, str>),
    /// Bytes of the innermost element; may be text, too.
    Opaque(&'de [u8]),
    /// The innermost element ends.
    End,
}

/// The name of an element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Name {
    /// One of ours.
    Known(Tag),
    /// Not one of ours; only XML can have these.
    Unknown(String),
}

/// A decoder. Events are balanced: a decoder refuses an End without its Start.
pub(crate) trait Source<'de> {
    /// The next event, or `None` at the end of a whole document.
    fn next(&mut self) -> Result<Option<Event<'de>>, SyncmlError>;
}

/// Walks through a document, within limits.
pub(crate) struct Cursor<'s, 'de> {
    source: &'s mut dyn Source<'de>,
    depth: usize,
    text_left: usize,
}

type Mixed<'c, 's, 'de> =
    &'c mut dyn FnMut(&mut Cursor<'s, 'de>, Name, &mut Vec<u8>) -> Result<(), SyncmlError>;
type Walk<'c, 's, 'de> = &'c mut dyn FnMut(&mut Cursor<'s, 'de>, Name) -> Result<(), SyncmlError>;

impl<'s, 'de> Cursor<'s, 'de> {
    /// `length` is that of the document in bytes.
    pub(crate) fn new(source: &'s mut dyn Source<'de>, length: usize) -> Self {
        Self { source, depth: 0, text_left: length.saturating_mul(TEXT_FACTOR_MAX) }
    }

    fn next(&mut self) -> Result<Event<'de>, SyncmlError> {
        let event = self.source.next()?.ok_or(SyncmlError::Truncated)?;
        match &event {
            Event::Start(_) => {
                self.depth += 1;
                if self.depth > DEPTH_MAX {
                    return Err(SyncmlError::Limit { what: "nested elements", max: DEPTH_MAX });
                }
            }
            Event::End => self.depth = self.depth.saturating_sub(1),
            Event::Text(text) => self.spend(text.len())?,
            Event::Opaque(bytes) => self.spend(bytes.len())?,
        }
        Ok(event)
    }

    fn spend(&mut self, bytes: usize) -> Result<(), SyncmlError> {
        let left = self.text_left.checked_sub(bytes);
        self.text_left =
            left.ok_or(SyncmlError::Limit { what: "repetitions of its text", max: TEXT_FACTOR_MAX })?;
        Ok(())
    }

    /// Enters the root element, which must be `root`.
    pub(crate) fn root(&mut self, root: Tag) -> Result<(), SyncmlError> {
        match self.next()? {
            Event::Start(Name::Known(tag)) if tag == root => Ok(()),
            _ => Err(SyncmlError::Root(root.name())),
        }
    }

    /// Makes sure that nothing but blanks follows the root element.
    pub(crate) fn finish(&mut self) -> Result<(), SyncmlError> {
        while let Some(event) = self.source.next()? {
            if !matches!(&event, Event::Text(text) if text.trim().is_empty()) {
                return Err(SyncmlError::Root("single"));
            }
        }
        Ok(())
    }

    /// Calls `each` for every child of the element that was entered last, then leaves that element.
    /// `each` must read its element to the end. Text between the children means nothing.
    pub(crate) fn children(&mut self, each: Walk<'_, 's, 'de>) -> Result<(), SyncmlError> {
        loop {
            match self.next()? {
                Event::Start(name) => each(self, name)?,
                Event::End => return Ok(()),
                Event::Text(_) | Event::Opaque(_) => {}
            }
        }
    }

    /// Leaves the element without looking at what it holds.
    pub(crate) fn skip(&mut self) -> Result<(), SyncmlError> {
        let outside = self.depth.saturating_sub(1);
        while self.depth > outside {
            self.next()?;
        }
        Ok(())
    }

    /// The bytes of an element. A child element is handed to `each`, which may add to them.
    pub(crate) fn mixed(&mut self, each: Mixed<'_, 's, 'de>) -> Result<Vec<u8>, SyncmlError> {
        let mut data = Vec::new();
        loop {
            match self.next()? {
                Event::Start(name) => each(self, name, &mut data)?,
                Event::End => return Ok(data),
                Event::Text(text) if data.is_empty() => data = text.into_owned().into_bytes(),
                Event::Text(text) => data.extend_from_slice(text.as_bytes()),
                Event::Opaque(bytes) => data.extend_from_slice(bytes),
            }
        }
    }

    /// The text of an element without the blanks around it; child elements are skipped.
    pub(crate) fn text(&mut self, what: &'static str) -> Result<String, SyncmlError> {
        let bytes = self.mixed(&mut |cursor, _, _| cursor.skip())?;
        let text = String::from_utf8(bytes).map_err(|_| SyncmlError::NotText(what))?;
        let trimmed = text.trim();
        Ok(if trimmed.len() == text.len() { text } else { trimmed.to_owned() })
    }

    /// The number in an element; an empty element is no number.
    pub(crate) fn number<N: std::str::FromStr>(&mut self, what: &'static str) -> Result<N, SyncmlError> {
        self.text(what)?.parse().map_err(|_| SyncmlError::Number(what))
    }

    /// Every event until the element that was entered last ends, its End included.
    pub(crate) fn copy(
        &mut self,
        each: &mut dyn FnMut(Event<'de>) -> Result<(), SyncmlError>,
    ) -> Result<(), SyncmlError> {
        let outside = self.depth.saturating_sub(1);
        while self.depth > outside {
            each(self.next()?)?;
        }
        Ok(())
    }
}
