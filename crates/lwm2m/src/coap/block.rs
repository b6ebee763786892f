//! The value of the options Block1 and Block2 (RFC 7959, 2.2).

use super::message::Message;
use crate::limits::BLOCK_EXPONENT_MAX;

/// A block of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Block {
    /// Number of the block, 0 to 2^20 - 1.
    pub(crate) number: u32,
    /// Whether more blocks follow.
    pub(crate) more: bool,
    /// The size is 2^(exponent + 4) bytes.
    pub(crate) exponent: u8,
}

/// Largest number of a block.
pub(crate) const NUMBER_MAX: u32 = (1 << 20) - 1;

/// The option cannot be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadBlock;

impl Block {
    /// The block in the option `number` of a message, if there is one.
    pub(crate) fn of(message: &Message, number: u16) -> Result<Option<Self>, BadBlock> {
        let Some(value) = message.first(number) else { return Ok(None) };
        let value = if value.len() <= 3 { message.uint(number) } else { None }.ok_or(BadBlock)?;
        let exponent = u8::try_from(value & 7).unwrap_or(7);
        if exponent > BLOCK_EXPONENT_MAX {
            return Err(BadBlock);
        }
        Ok(Some(Self { number: value >> 4, more: value & 8 != 0, exponent }))
    }

    /// The block of size 2^(exponent + 4) at `offset`; none when its number does not fit.
    pub(crate) fn at(offset: usize, more: bool, exponent: u8) -> Option<Self> {
        let number = u32::try_from(offset.checked_div(size(exponent))?).ok()?;
        (number <= NUMBER_MAX).then_some(Self { number, more, exponent })
    }

    /// Its size in bytes; the last one may be shorter.
    pub(crate) const fn size(self) -> usize {
        size(self.exponent)
    }

    /// Where it begins in the body.
    pub(crate) fn offset(self) -> u64 {
        u64::from(self.number) << (self.exponent.saturating_add(4))
    }

    /// Adds it to a message.
    pub(crate) fn put(self, message: &mut Message, number: u16) {
        message.add_uint(number, (self.number << 4) | (u32::from(self.more) << 3) | u32::from(self.exponent));
    }
}

/// Size of a block in bytes.
pub(crate) const fn size(exponent: u8) -> usize {
    let exponent = if exponent > BLOCK_EXPONENT_MAX { BLOCK_EXPONENT_MAX } else { exponent };
    16 << exponent
}
