//! Bringing an image in: its layers in order, each unpacked, verified and put on top of the ones below.

use std::io::Read;
use std::time::{Duration, Instant};

use scomo_core::id::Digest;
use scomo_package::Layer;

use super::TreeId;
use super::error::{BoxError, StoreError};
use super::image::undamaged;
use super::layer::{Budget, Tally, unpack};
use super::manifest::{Header, Reader};
use super::session::Session;
use super::stream::{Input, Stop, Watch};
use super::tree::{Body, Leaf, Node};

/// Finished layers become durable on their own after this time, so that on a slow line a power cut or a cancel loses
/// at most one layer and this much. A fast import stays below it and pays for one sync only.
pub(super) const CHECKPOINT: Duration = Duration::from_secs(20);

/// How far an import is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImportProgress {
    /// Compressed bytes read, and those of layers that were known.
    pub done: u64,
    /// Compressed bytes of all layers.
    pub total: u64,
}

/// What an import did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Imported {
    /// Bytes of all files of the image, each content once.
    pub size: u64,
    /// Bytes of files that were not in the store.
    pub bytes_new: u64,
    /// Bytes of files of the layers that were in the store.
    pub bytes_reused: u64,
}

/// What the caller hands in.
pub(super) struct Hooks<'a> {
    pub open: &'a mut dyn FnMut(usize) -> Result<Box<dyn Read + Send>, BoxError>,
    pub progress: &'a mut dyn FnMut(ImportProgress),
    pub cancelled: &'a dyn Fn() -> bool,
}

/// Imports an image that is not there. Cleans up after a failure. Finished layers become durable every `checkpoint`.
pub(super) fn import(
    session: &mut Session,
    layers: &[Layer],
    image: &TreeId,
    hooks: Hooks<'_>,
    checkpoint: Duration,
) -> Result<Imported, StoreError> {
    let mut work = Work {
        session,
        hooks,
        budget: Budget::new(),
        tally: Tally::default(),
        done: 0,
        total: layers.iter().map(|layer| layer.size).sum(),
        checkpoint,
        synced: Instant::now(),
    };
    match work.run(layers, image) {
        Ok(imported) => Ok(imported),
        Err(error @ (StoreError::Transfer { .. } | StoreError::Open { .. })) => {
            // The next attempt finds the files that came whole, and need not write them again.
            let kept =
                session.clear_temporaries().and_then(|()| session.sync()).and_then(|()| session.unmark());
            if kept.is_err() {
                session.abandon();
            }
            Err(error)
        }
        Err(error) => {
            session.abandon();
            Err(error)
        }
    }
}

struct Work<'a, 's> {
    session: &'s mut Session,
    hooks: Hooks<'a>,
    budget: Budget,
    tally: Tally,
    done: u64,
    total: u64,
    checkpoint: Duration,
    synced: Instant,
}

impl Work<'_, '_> {
    fn run(&mut self, layers: &[Layer], image: &TreeId) -> Result<Imported, StoreError> {
        let mut root = Node::implicit();
        let mut diff_ids = Vec::new();
        for (index, layer) in layers.iter().enumerate() {
            let diff_id = raw(&layer.diff_id);
            let tree = match self.known(&diff_id, layer)? {
                Some(tree) => tree,
                None => self.fetch(index, layer, &diff_id)?,
            };
            let mut at = Vec::new();
            root.apply(tree, &mut at).map_err(|refusal| Stop::Refused(refusal).named(&layer.digest, &at))?;
            diff_ids.push(diff_id);
            self.done += layer.size;
            self.report();
            if self.synced.elapsed() > self.checkpoint {
                self.session.commit()?;
                self.synced = Instant::now();
            }
        }
        let size = distinct_size(&root);
        let path = self.session.layout.trees().join(image.as_str());
        self.session.prepare(path, &Header { layers: diff_ids, size }, None)?;
        self.session.commit()?;
        self.session.unmark()?;
        Ok(Imported { size, bytes_new: self.tally.new, bytes_reused: self.tally.reused })
    }

    /// The tree of a layer that was unpacked before.
    fn known(&mut self, diff_id: &[u8; 32], layer: &Layer) -> Result<Option<Node>, StoreError> {
        let reader = Reader::open(self.session.layout.layer(diff_id));
        let loaded = reader.and_then(|reader| reader.map(Reader::load).transpose());
        // One that is damaged is read again.
        let Some((header, tree)) = undamaged(loaded)?.flatten() else { return Ok(None) };
        self.budget.take_tree(&tree).map_err(|refusal| Stop::Refused(refusal).named(&layer.digest, b""))?;
        self.tally.reused += header.size;
        Ok(Some(tree))
    }

    fn fetch(&mut self, index: usize, layer: &Layer, diff_id: &[u8; 32]) -> Result<Node, StoreError> {
        if (self.hooks.cancelled)() {
            return Err(StoreError::Cancelled);
        }
        self.session.learn_large()?;
        let source = (self.hooks.open)(index)
            .map_err(|source| StoreError::Open { layer: layer.digest.clone(), source })?;
        let (done, total) = (self.done, self.total);
        let progress = &mut *self.hooks.progress;
        let mut archive_budget = self.budget.archive;
        let mut report = |read| progress(ImportProgress { done: done.saturating_add(read), total });
        let watch = Watch { progress: &mut report, cancelled: self.hooks.cancelled };
        let rights = self.session.layout.rights;
        let mut input = Input::start(layer, source, watch, &mut archive_budget)?;
        let tree = unpack(&mut input, &self.session.objects, rights, &mut self.budget, &mut self.tally);
        let tree = input.finish(tree)?;
        self.budget.archive = archive_budget;
        let header = Header { layers: vec![*diff_id], size: distinct_size(&tree) };
        self.session.prepare(self.session.layout.layer(diff_id), &header, Some(&tree))?;
        Ok(tree)
    }

    fn report(&mut self) {
        (self.hooks.progress)(ImportProgress { done: self.done, total: self.total });
    }
}

/// The 32 bytes of a digest, which is 64 hexadecimal digits by construction.
pub(super) fn raw(digest: &Digest) -> [u8; 32] {
    let mut digits = digest.as_str().bytes().skip("sha256:".len()).map(|b| match b {
        b'a'..=b'f' => b - b'a' + 10,
        _ => b & 15,
    });
    std::array::from_fn(|_| digits.next().unwrap_or(0) << 4 | digits.next().unwrap_or(0))
}

/// Bytes of all files, each object once.
fn distinct_size(root: &Node) -> u64 {
    let mut files = Vec::new();
    let _ = root.visit::<()>(&mut |_, _, node| {
        if let Body::Leaf(Leaf::File { object, size }) = &node.body {
            files.push((*object, *size));
        }
        Ok(())
    });
    files.sort_unstable();
    files.dedup();
    files.iter().map(|(_, size)| size).sum()
}
