//! Fetching: an image from the source of its package, as far as there is room for it.

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use scomo_core::effect::Progress;
use scomo_package::{Image, Layer, PayloadSource};

use super::error::StoreError;
use super::manifest::Reader;
use super::{ImportProgress, Imported, Store, TreeId};

/// How many looks at the cancel flag go by between two looks at the free space.
const SPACE_CHECK_EVERY: u64 = 64;

/// How a fetch is watched.
pub struct Watch<'a> {
    /// What stays free on the disk, in bytes: whoever asked must still be able to write down what happened.
    pub reserve_bytes: u64,
    /// Told how far it is.
    pub progress: &'a mut dyn FnMut(Progress),
    /// Asked whether to stop.
    pub cancelled: &'a dyn Fn() -> bool,
}

impl std::fmt::Debug for Watch<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").field("reserve_bytes", &self.reserve_bytes).finish_non_exhaustive()
    }
}

impl Store {
    /// Brings `image` in, which `source` has, as [`Store::import`] does. An image that cannot fit is refused with
    /// [`StoreError::NoSpace`] before any layer is asked for.
    pub fn fetch(
        &self,
        image: &Image,
        source: &mut dyn PayloadSource,
        watch: Watch<'_>,
    ) -> Result<Imported, StoreError> {
        let room = Room { root: &self.layout.root, reserve: watch.reserve_bytes };
        room.check(self.missing_bytes(&image.layers))?;
        let moved = Arc::new(AtomicU64::new(0));
        let mut open = |index: usize| {
            let layer = image.layers.get(index).ok_or("there is no such layer")?;
            let stream = source.layer(layer)?;
            Ok(Box::new(Counted { stream, moved: Arc::clone(&moved) }) as Box<dyn Read + Send>)
        };
        let mut progress = |step: ImportProgress| {
            let bytes_done = moved.load(Ordering::Relaxed).min(step.total);
            let bytes_reused = step.done.saturating_sub(bytes_done);
            let message = String::new();
            (watch.progress)(Progress { bytes_done, bytes_total: step.total, bytes_reused, message });
        };
        let full = AtomicBool::new(false);
        let looks = AtomicU64::new(0);
        let cancelled = || {
            if looks.fetch_add(1, Ordering::Relaxed).is_multiple_of(SPACE_CHECK_EVERY)
                && room.check(0).is_err_and(|error| matches!(error, StoreError::NoSpace { .. }))
            {
                full.store(true, Ordering::Relaxed);
            }
            full.load(Ordering::Relaxed) || (watch.cancelled)()
        };
        let tree = TreeId::from(&image.digest);
        let imported = self.import(&image.layers, &mut open, &tree, &mut progress, &cancelled);
        match imported {
            Err(_) if full.load(Ordering::Relaxed) => Err(room.check(0).err().unwrap_or(room.full(0, 0))),
            result => result,
        }
    }

    /// Compressed bytes of the layers that are not known. What they take on the disk is not known before they were
    /// read: more, as they are kept unpacked, or less, where other images have the same files.
    fn missing_bytes(&self, layers: &[Layer]) -> u64 {
        let known = |layer: &Layer| {
            matches!(Reader::open(self.layout.layer(&super::import::raw(&layer.diff_id))), Ok(Some(_)))
        };
        layers.iter().filter(|layer| !known(layer)).map(|layer| layer.size).fold(0, u64::saturating_add)
    }
}

/// The free space where a store is.
struct Room<'a> {
    root: &'a Path,
    reserve: u64,
}

impl Room<'_> {
    fn check(&self, needed: u64) -> Result<(), StoreError> {
        let stat =
            rustix::fs::statvfs(self.root).map_err(StoreError::io("look at the free space of", self.root))?;
        let available = stat.f_bavail.saturating_mul(stat.f_frsize);
        if available < needed.saturating_add(self.reserve) {
            Err(self.full(needed, available))
        } else {
            Ok(())
        }
    }

    fn full(&self, needed: u64, available: u64) -> StoreError {
        StoreError::NoSpace { path: self.root.to_owned(), needed, reserve: self.reserve, available }
    }
}

/// A stream whose bytes are counted.
struct Counted {
    stream: Box<dyn Read + Send>,
    moved: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.stream.read(buffer)?;
        self.moved.fetch_add(u64::try_from(length).unwrap_or(u64::MAX), Ordering::Relaxed);
        Ok(length)
    }
}
