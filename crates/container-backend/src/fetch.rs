//! Bringing an image into the store.

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use scomo_core::effect::Progress;
use scomo_core::spec::{Payload, Release};
use scomo_engine::backend::StepCx;
use scomo_package::{Config, Image};

use crate::error::{Context, Error};
use crate::runtime::files::{self, Durability};
use crate::runtime::places::Places;
use scomo_store::{Store, TreeId};

/// What an import leaves free: the daemon must still be able to write down what happened.
const RESERVE_BYTES: u64 = 8 * 1024 * 1024;
/// How many looks at the cancel flag go by between two looks at the free space.
const SPACE_CHECK_EVERY: u64 = 64;

/// Fetches a release; gives its installed size in bytes.
pub(crate) fn fetch(config: &Config, places: &Places, release: &Release, cx: &StepCx) -> Result<u64, Error> {
    let Payload::Image { digest, .. } = &release.spec.payload else {
        return Err(Error::NotContainer(release.spec.id.clone()));
    };
    files::create_private(places.state())?;
    let store = Store::open(&places.store())?;
    let tree = TreeId::from(digest);
    let place = places.release(&release.id);
    if let Some(size) = store.size(&tree)?
        && place.image_config().exists()
    {
        let all = Progress { bytes_total: size, bytes_reused: size, ..Progress::default() };
        cx.progress(all);
        return Ok(size);
    }
    let mut source = scomo_package::open(config, &release.source)?;
    let image = source.image(digest)?;
    if cx.cancelled() {
        return Err(Error::Cancelled);
    }
    let size = Import { places, store: &store, tree: &tree, image: &image, cx }.run(source.as_mut())?;
    files::create_private(place.folder())?;
    files::write(&place.image_config(), &image.config_json, Durability::Durable)?;
    for folder in [places.releases().as_path(), places.state()] {
        files::sync_folder(folder)?;
    }
    Ok(size)
}

struct Import<'a> {
    places: &'a Places,
    store: &'a Store,
    tree: &'a TreeId,
    image: &'a Image,
    cx: &'a StepCx,
}

impl Import<'_> {
    fn run(&self, source: &mut dyn scomo_package::PayloadSource) -> Result<u64, Error> {
        self.check_space()?;
        let moved = Arc::new(AtomicU64::new(0));
        let mut open = |index: usize| {
            let layer = self.image.layers.get(index).ok_or("there is no such layer")?;
            let stream = source.layer(layer)?;
            Ok(Box::new(Counted { stream, moved: Arc::clone(&moved) }) as Box<dyn Read + Send>)
        };
        let mut progress = |step: scomo_store::ImportProgress| {
            let bytes_done = moved.load(Ordering::Relaxed).min(step.total);
            let bytes_reused = step.done.saturating_sub(bytes_done);
            let message = String::new();
            self.cx.progress(Progress { bytes_done, bytes_total: step.total, bytes_reused, message });
        };
        let full = AtomicBool::new(false);
        let looks = AtomicU64::new(0);
        let cancelled = || {
            if looks.fetch_add(1, Ordering::Relaxed).is_multiple_of(SPACE_CHECK_EVERY)
                && available(self.places.state()).is_ok_and(|bytes| bytes < RESERVE_BYTES)
            {
                full.store(true, Ordering::Relaxed);
            }
            full.load(Ordering::Relaxed) || self.cx.cancelled()
        };
        let imported = self.store.import(&self.image.layers, &mut open, self.tree, &mut progress, &cancelled);
        match imported {
            Ok(imported) => {
                tracing::info!(?imported, "imported");
                Ok(imported.size)
            }
            Err(_) if full.load(Ordering::Relaxed) => Err(self.no_space(RESERVE_BYTES)?),
            Err(error) => Err(error.into()),
        }
    }

    /// Refuses what cannot fit. How much of an image is new is known only when it was read, so for an image that may
    /// share its files with others nothing but the reserve is asked for; the import itself watches the space.
    fn check_space(&self) -> Result<(), Error> {
        let is_first = files::names_in(&self.places.releases())?.is_empty();
        let compressed: u64 = self.image.layers.iter().map(|layer| layer.size).sum();
        let needed = RESERVE_BYTES.saturating_add(if is_first { compressed } else { 0 });
        if available(self.places.state())? < needed { Err(self.no_space(needed)?) } else { Ok(()) }
    }

    fn no_space(&self, needed: u64) -> Result<Error, Error> {
        let path = self.places.state().to_owned();
        Ok(Error::NoSpace { needed, available: available(&path)?, path })
    }
}

/// Bytes that are left where `path` is.
fn available(path: &Path) -> Result<u64, Error> {
    let stat = rustix::fs::statvfs(path).context("look at the free space of", path)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
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
