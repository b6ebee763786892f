//! A request of a server, taken apart: options checked, path and formats read.

use crate::coap::block::Block;
use crate::coap::message::{Code, Message, option};
use crate::format::Format;
use crate::objects::Refusal;
use crate::path::{InvalidPath, Path};

/// What the options of a request say.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) code: Code,
    /// The path as texts, for what is not a path of numbers.
    pub(crate) segments: Vec<String>,
    pub(crate) query: Vec<String>,
    pub(crate) accept: Option<u32>,
    pub(crate) format: Option<u32>,
    pub(crate) observe: Option<u32>,
    pub(crate) block1: Option<Block>,
    pub(crate) block2: Option<Block>,
    pub(crate) size1: Option<u32>,
    pub(crate) payload: Vec<u8>,
}

/// Options that are understood, or that may be ignored although they are critical: the address that the server used.
const KNOWN: &[u16] = &[
    option::URI_HOST,
    option::URI_PORT,
    option::URI_PATH,
    option::URI_QUERY,
    option::ACCEPT,
    option::BLOCK1,
    option::BLOCK2,
];
/// Options that may come several times.
const REPEATABLE: &[u16] = &[option::URI_PATH, option::URI_QUERY];

impl Request {
    /// Reads the options. A critical option that is not understood, or that comes too often, is 4.02 (RFC 7252,
    /// 5.4).
    pub(crate) fn parse(message: &mut Message) -> Result<Self, Code> {
        let mut last = None;
        for (number, _) in &message.options {
            let critical = number % 2 == 1;
            let surplus = last == Some(number) && !REPEATABLE.contains(number);
            if critical && (surplus || !KNOWN.contains(number)) {
                return Err(Code::BAD_OPTION);
            }
            last = Some(number);
        }
        let texts = |number| {
            let texts = message.all(number).map(|value| String::from_utf8(value.to_vec()));
            texts.collect::<Result<Vec<_>, _>>().map_err(|_| Code::BAD_REQUEST)
        };
        let number = |option: u16| match message.first(option) {
            Some(_) => message.uint(option).map(Some).ok_or(Code::BAD_OPTION),
            None => Ok(None),
        };
        let block = |option| Block::of(message, option).map_err(|_| Code::BAD_OPTION);
        Ok(Self {
            code: message.code,
            segments: texts(option::URI_PATH)?,
            query: texts(option::URI_QUERY)?,
            accept: number(option::ACCEPT)?,
            format: number(option::CONTENT_FORMAT)?,
            observe: number(option::OBSERVE)?,
            block1: block(option::BLOCK1)?,
            block2: block(option::BLOCK2)?,
            size1: message.uint(option::SIZE1),
            payload: std::mem::take(&mut message.payload),
        })
    }

    /// The path of numbers.
    pub(crate) fn path(&self) -> Result<Path, Code> {
        Path::from_segments(self.segments.iter().map(String::as_str)).map_err(|error| match error {
            InvalidPath::TooDeep => Code::BAD_OPTION,
            InvalidPath::NotANumber => Code::NOT_FOUND,
        })
    }

    /// The format of the payload; none when the request does not say.
    pub(crate) fn content_format(&self, legacy: bool) -> Result<Option<Format>, Code> {
        self.format.map(|id| known(id, legacy).ok_or(Code::UNSUPPORTED_FORMAT)).transpose()
    }

    /// The format that the answer must have; none when the request does not say.
    pub(crate) fn accept_format(&self, legacy: bool) -> Result<Option<Format>, Code> {
        self.accept.map(|id| known(id, legacy).ok_or(Code::NOT_ACCEPTABLE)).transpose()
    }
}

fn known(id: u32, legacy: bool) -> Option<Format> {
    let id = u16::try_from(id).ok()?;
    Format::from_id(id).or_else(|| if legacy { Format::from_legacy_id(id) } else { None })
}

/// The code of a refusal.
pub(crate) const fn code(refusal: Refusal) -> Code {
    match refusal {
        Refusal::BadRequest => Code::BAD_REQUEST,
        Refusal::Unauthorized => Code::UNAUTHORIZED,
        Refusal::NotFound => Code::NOT_FOUND,
        Refusal::NotAllowed => Code::METHOD_NOT_ALLOWED,
        Refusal::NotAcceptable => Code::NOT_ACCEPTABLE,
        Refusal::TooLarge => Code::TOO_LARGE,
        Refusal::Failed => Code::INTERNAL_ERROR,
    }
}
