//! Power cuts: from a log, every disk that a cut right after a write could have left.
//!
//! A disk may keep what it was given since the last flush, or lose any part of it. A large write may be kept in part;
//! a block of the file system is kept or lost as a whole.

use std::collections::VecDeque;
use std::fmt;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result};

use super::recorder::Event;

/// What is kept or lost as a whole, in bytes.
const BLOCK_BYTES: usize = 4096;

/// A moment and what the disk kept of the writes before it that were not flushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// Number among all cuts of a log.
    pub number: u64,
    /// Number of events before it.
    pub position: usize,
    /// Which random part was kept; none: everything.
    pub subset: Option<u32>,
    /// Whether the client had been told that the update is done.
    pub reported: bool,
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "image {} (after event {}, ", self.number, self.position)?;
        match self.subset {
            None => f.write_str("all writes")?,
            Some(subset) => write!(f, "part {subset} of the unflushed writes")?,
        }
        f.write_str(if self.reported { ", after success)" } else { ")" })
    }
}

/// A log, and how to cut it.
#[derive(Debug)]
pub struct Recording {
    /// The disk before the first event.
    pub base: Vec<u8>,
    /// Everything that happened to it.
    pub events: Vec<Event>,
    /// Random parts for each write.
    pub subsets: u32,
    /// Their seed.
    pub seed: u64,
    /// Whether to take a flush for nothing.
    pub ignore_flushes: bool,
}

impl Recording {
    /// Goes through all cuts between the start of the update and the end of the log. For those that `wanted` takes,
    /// `image` is called with what makes the disk.
    pub fn each(
        &self,
        wanted: &dyn Fn(&Cut) -> bool,
        image: &mut dyn FnMut(&Cut, &Image<'_>) -> Result<()>,
    ) -> Result<()> {
        let mut stable = self.base.clone();
        let mut pending: VecDeque<(usize, &[u8])> = VecDeque::new();
        let (mut started, mut reported, mut number) = (false, false, 0);
        for (index, event) in self.events.iter().enumerate() {
            match event {
                Event::Write(offset, data) => {
                    pending.extend(blocks(*offset, data));
                }
                Event::Flush if self.ignore_flushes => continue,
                Event::Flush => {
                    for (offset, data) in pending.drain(..) {
                        put(&mut stable, offset, data);
                    }
                    continue;
                }
                Event::Started => started = true,
                Event::Reported => reported = true,
            }
            if !started {
                continue;
            }
            // With one block left to lose there is nothing random about it, but losing it is a case.
            let subsets = if pending.is_empty() { 0 } else { self.subsets };
            for subset in std::iter::once(None).chain((0..subsets).map(Some)) {
                let cut = Cut { number, position: index + 1, subset, reported };
                number += 1;
                if wanted(&cut) {
                    let random =
                        subset.map(|_| Random(self.seed.wrapping_add(cut.number.wrapping_mul(7919))));
                    image(&cut, &Image { stable: &stable, pending: &pending, random })?;
                }
            }
        }
        Ok(())
    }

    /// How many cuts there are.
    pub fn count(&self) -> Result<u64> {
        let counted = std::cell::Cell::new(0);
        let count = |cut: &Cut| {
            counted.set(cut.number + 1);
            false
        };
        self.each(&count, &mut |_, _| Ok(()))?;
        Ok(counted.get())
    }
}

/// The pieces of a write that are kept or lost each by itself.
fn blocks(offset: usize, data: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    data.chunks(BLOCK_BYTES).enumerate().map(move |(n, block)| (offset + n * BLOCK_BYTES, block))
}

fn put(disk: &mut [u8], offset: usize, data: &[u8]) {
    // The recorder took no write beyond the end.
    if let Some(place) = disk.get_mut(offset..offset + data.len()) {
        place.copy_from_slice(data);
    }
}

/// What makes a disk: what is durable, and what may be lost.
#[derive(Debug)]
pub struct Image<'a> {
    stable: &'a [u8],
    pending: &'a VecDeque<(usize, &'a [u8])>,
    random: Option<Random>,
}

impl Image<'_> {
    /// Writes the disk into a file.
    pub fn write(&self, path: &Path) -> Result<()> {
        let file = File::create(path).context("cannot create an image")?;
        file.set_len(u64::try_from(self.stable.len())?).context("cannot size an image")?;
        let put = |offset: usize, data: &[u8]| -> Result<()> {
            file.write_all_at(data, u64::try_from(offset)?).context("cannot write an image")
        };
        let zeroes = [0; BLOCK_BYTES];
        for (offset, block) in blocks(0, self.stable) {
            if block != zeroes.as_slice() {
                put(offset, block)?;
            }
        }
        let mut random = self.random;
        // Mostly lost, half lost, mostly kept: each finds other mistakes.
        let keep_of_8 = random.as_mut().map(|random| random.pick(&[1, 4, 7]));
        for (offset, block) in self.pending {
            if random.as_mut().is_none_or(|random| Some(random.below(8)) < keep_of_8) {
                put(*offset, block)?;
            }
        }
        Ok(())
    }
}

/// SplitMix64: the same numbers for the same seed, on every machine and for ever.
#[derive(Debug, Clone, Copy)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn pick(&mut self, from: &[u64; 3]) -> u64 {
        let index = usize::try_from(self.below(3)).unwrap_or_default();
        from.get(index).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn images(events: Vec<Event>, ignore_flushes: bool) -> BTreeSet<(bool, Vec<u8>)> {
        let recording =
            Recording { base: vec![0; 3 * BLOCK_BYTES], events, subsets: 40, seed: 3, ignore_flushes };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image");
        let mut seen = BTreeSet::new();
        recording
            .each(&|_| true, &mut |cut, image| {
                image.write(&path)?;
                let disk = std::fs::read(&path)?;
                seen.insert((cut.reported, disk.chunks(BLOCK_BYTES).map(|block| block[0]).collect()));
                Ok(())
            })
            .unwrap();
        seen
    }

    fn log() -> Vec<Event> {
        vec![
            Event::Write(0, vec![1; BLOCK_BYTES]),
            Event::Flush,
            Event::Started,
            Event::Write(BLOCK_BYTES, vec![2; 2 * BLOCK_BYTES]),
            Event::Flush,
            Event::Reported,
        ]
    }

    #[test]
    fn what_was_flushed_stays_and_the_rest_is_kept_or_lost_by_the_block() {
        let expected = [
            (false, vec![1, 0, 0]),
            (false, vec![1, 0, 2]),
            (false, vec![1, 2, 0]),
            (false, vec![1, 2, 2]),
            (true, vec![1, 2, 2]),
        ];
        assert_eq!(images(log(), false), expected.into_iter().collect());
    }

    #[test]
    fn a_disk_that_ignores_flushes_loses_what_was_flushed() {
        assert!(images(log(), true).contains(&(true, vec![0, 2, 2])));
    }
}
