//! The messages that came lately, so that a duplicate is answered as its original was and not carried out again.

use std::collections::VecDeque;

use crate::limits::{RECENT_BYTES_MAX, RECENT_MAX};
use crate::time::Millis;

#[derive(Debug)]
struct Entry {
    id: u16,
    until: Millis,
    /// What was answered; none while there is no answer.
    answer: Option<Vec<u8>>,
    /// Whether carrying out the message again would change nothing.
    repeatable: bool,
}

/// Remembers message ids of one peer.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    entries: VecDeque<Entry>,
    bytes: usize,
}

impl Recent {
    /// Whether the message came before, and if so what was answered.
    pub(crate) fn find(&self, id: u16, now: Millis) -> Option<Option<&[u8]>> {
        // The newest one counts: ids come round again.
        let entry = self.entries.iter().rev().find(|entry| entry.id == id && entry.until > now)?;
        Some(entry.answer.as_deref())
    }

    /// Remembers a message. `repeatable` ones are forgotten first when there is no room.
    pub(crate) fn add(&mut self, id: u16, until: Millis, repeatable: bool, now: Millis) {
        while self.entries.front().is_some_and(|entry| entry.until <= now) {
            self.forget(0);
        }
        self.make_room(RECENT_MAX.saturating_sub(1));
        self.entries.push_back(Entry { id, until, answer: None, repeatable });
    }

    /// Remembers what was answered.
    pub(crate) fn answer(&mut self, id: u16, answer: &[u8]) {
        let Some(entry) = self.entries.iter_mut().rev().find(|entry| entry.id == id) else { return };
        let before = entry.answer.replace(answer.to_vec()).map_or(0, |old| old.len());
        self.bytes = self.bytes.saturating_sub(before).saturating_add(answer.len());
        self.make_room(RECENT_MAX);
    }

    fn make_room(&mut self, count: usize) {
        while self.entries.len() > count || (self.bytes > RECENT_BYTES_MAX && self.entries.len() > 1) {
            let repeatable = self.entries.iter().position(|entry| entry.repeatable && entry.answer.is_some());
            // The last one is the one that is being answered.
            let last = self.entries.len().saturating_sub(1);
            self.forget(repeatable.filter(|at| *at < last).unwrap_or(0));
        }
    }

    fn forget(&mut self, at: usize) {
        if let Some(entry) = self.entries.remove(at) {
            self.bytes = self.bytes.saturating_sub(entry.answer.map_or(0, |answer| answer.len()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duplicates_are_found_until_their_time_is_over() {
        let mut recent = Recent::default();
        recent.add(7, Millis(100), false, Millis(0));
        assert_eq!(recent.find(7, Millis(99)), Some(None));
        recent.answer(7, b"answer");
        assert_eq!(recent.find(7, Millis(99)), Some(Some(&b"answer"[..])));
        assert_eq!(recent.find(7, Millis(100)), None);
        assert_eq!(recent.find(8, Millis(0)), None);
    }

    #[test]
    fn memory_is_limited_and_what_must_not_be_repeated_stays_longest() {
        let mut recent = Recent::default();
        recent.add(0, Millis(u64::MAX), false, Millis(0));
        recent.answer(0, b"executed");
        for id in 1..5000 {
            recent.add(id, Millis(u64::MAX), true, Millis(0));
            recent.answer(id, &[0; 1000]);
            assert!(recent.entries.len() <= RECENT_MAX && recent.bytes <= RECENT_BYTES_MAX);
        }
        assert!(recent.find(0, Millis(0)).is_some(), "an Execute is not forgotten because of blocks");
        assert!(recent.find(1, Millis(0)).is_none());
        for id in 5000..5000 + u16::try_from(RECENT_MAX).unwrap() {
            recent.add(id, Millis(u64::MAX), false, Millis(0));
        }
        assert!(recent.find(0, Millis(0)).is_none());
        assert_eq!(recent.entries.len(), RECENT_MAX);
    }
}
