//! The stream of one layer: compressed bytes in, verified archive bytes out, over two threads.
//!
//! One thread reads, hashes and decompresses; the other, which is the caller's, hashes the archive, parses it and
//! writes files. A fixed number of buffers goes back and forth between them, so memory does not depend on the layer.
//! What is read here is not verified before [`Input::finish`] returned `Ok`. Until then nothing can be said about the
//! layer either: bytes that were damaged on the way break a decompressor or an archive as those of a bad image do. So
//! when one of them fails, the rest is read all the same, and the digest decides whose fault it is.

use std::io::{self, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, TryRecvError, channel, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use scomo_core::id::Digest;
use scomo_package::{Compression, Layer};
use sha2::{Digest as _, Sha256};

use super::error::{Refusal, StoreError};
use super::limits::{BUFFER_BYTES, BUFFERS, ZSTD_WINDOW_LOG_MAX};

/// Bytes read from the source at a time.
const READ_BYTES: usize = 64 * 1024;
/// How long a stalled source may keep a cancel waiting.
const CANCEL_DELAY: Duration = Duration::from_millis(100);

/// What the caller of an import hands in besides the layer.
pub(super) struct Watch<'a> {
    /// Told the compressed bytes read so far of this layer.
    pub progress: &'a mut dyn FnMut(u64),
    pub cancelled: &'a dyn Fn() -> bool,
}

/// The archive of one layer, being received.
pub(super) struct Input<'a> {
    watch: Watch<'a>,
    layer: &'a Layer,
    full: Receiver<Vec<u8>>,
    empty: Sender<Vec<u8>>,
    thread: Option<JoinHandle<Result<(), StoreError>>>,
    consumed: Arc<AtomicU64>,
    /// Nobody wants the archive any more, only to know whether the bytes are right.
    refused: Arc<AtomicBool>,
    buffer: Vec<u8>,
    position: usize,
    hash: Sha256,
    /// Archive bytes that may still come.
    budget: &'a mut u64,
}

/// Why unpacking stops: the store's error, or a rule that the archive breaks and for which the entry is not yet named.
#[derive(Debug)]
pub(super) enum Stop {
    Store(StoreError),
    Refused(Refusal),
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl<'a> Input<'a> {
    /// Starts to read `source`. `budget` is how many archive bytes are allowed; it is reduced by what comes.
    pub fn start(
        layer: &'a Layer,
        source: Box<dyn Read + Send>,
        watch: Watch<'a>,
        budget: &'a mut u64,
    ) -> Result<Self, StoreError> {
        let (full_sender, full) = sync_channel(BUFFERS);
        let (empty, empty_receiver) = channel();
        for _ in 0..BUFFERS {
            // Cannot fail: the receiver is two lines above. The buffers get their memory on first use.
            let _ = empty.send(Vec::new());
        }
        let consumed = Arc::new(AtomicU64::new(0));
        let refused = Arc::new(AtomicBool::new(false));
        let source = Source {
            inner: source,
            layer: layer.clone(),
            hash: Sha256::new(),
            consumed: Arc::clone(&consumed),
            refused: Arc::clone(&refused),
            failure: None,
        };
        let thread = std::thread::Builder::new()
            .name("layer".to_owned())
            .spawn(move || source.run(&full_sender, &empty_receiver))
            .map_err(StoreError::io("start a thread for layer", layer.digest.as_str().as_ref()))?;
        Ok(Self {
            watch,
            layer,
            full,
            empty,
            thread: Some(thread),
            consumed,
            refused,
            buffer: Vec::new(),
            position: 0,
            hash: Sha256::new(),
            budget,
        })
    }

    /// The layer that is read.
    pub fn layer(&self) -> &Layer {
        self.layer
    }

    /// At most `limit` of the next bytes; empty only at the end.
    pub fn take(&mut self, limit: usize) -> Result<&[u8], Stop> {
        if self.position == self.buffer.len() {
            self.receive()?;
        }
        let rest = self.buffer.get(self.position..).unwrap_or_default();
        let part = rest.get(..limit).unwrap_or(rest);
        self.position += part.len();
        Ok(part)
    }

    /// Fills `out` as far as there are bytes; returns how many.
    pub fn read(&mut self, out: &mut [u8]) -> Result<usize, Stop> {
        let mut filled = 0;
        while let Some(rest) = out.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let part = self.take(rest.len())?;
            if part.is_empty() {
                break;
            }
            let n = part.len();
            if let Some(to) = rest.get_mut(..n) {
                to.copy_from_slice(part);
            }
            filled += n;
        }
        Ok(filled)
    }

    fn receive(&mut self) -> Result<(), Stop> {
        let old = std::mem::take(&mut self.buffer);
        self.position = 0;
        let Some(buffer) = self.exchange(old)? else { return Ok(self.join()?) };
        self.hash.update(&buffer);
        *self.budget = self.budget.checked_sub(buffer.len() as u64).ok_or(unpacked_limit())?;
        self.buffer = buffer;
        Ok(())
    }

    /// Gives a buffer back and gets the next full one; `None` when the thread has ended.
    fn exchange(&mut self, mut old: Vec<u8>) -> Result<Option<Vec<u8>>, StoreError> {
        if old.capacity() > 0 {
            old.clear();
            // The thread has ended when this fails: nobody needs the buffer any more.
            let _ = self.empty.send(old);
        }
        loop {
            if (self.watch.cancelled)() {
                return Err(StoreError::Cancelled);
            }
            let received = self.full.recv_timeout(CANCEL_DELAY);
            (self.watch.progress)(self.consumed.load(Ordering::Relaxed));
            match received {
                Ok(buffer) => return Ok(Some(buffer)),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
            }
        }
    }

    fn join(&mut self) -> Result<(), StoreError> {
        match self.thread.take().map(JoinHandle::join) {
            None => Ok(()),
            Some(Ok(result)) => result,
            Some(Err(_)) => Err(StoreError::Transfer {
                layer: self.layer.digest.clone(),
                source: io::Error::other("the thread that reads it panicked"),
            }),
        }
    }

    /// Reads what is left and compares all digests. That the archive was refused only counts when its bytes are those
    /// that were promised.
    pub fn finish<T>(mut self, unpacked: Result<T, StoreError>) -> Result<T, StoreError> {
        let layer = self.layer.digest.clone();
        let result = unpacked.and_then(|value| {
            self.read_rest().map_err(|stop| stop.named(&layer, b""))?;
            Ok(value)
        });
        if matches!(result, Err(StoreError::Refused { .. })) {
            self.refused.store(true, Ordering::Relaxed);
            let mut buffer = std::mem::take(&mut self.buffer);
            while let Some(next) = self.exchange(buffer)? {
                buffer = next;
            }
            self.join()?;
        }
        result
    }

    fn read_rest(&mut self) -> Result<(), Stop> {
        while !self.take(usize::MAX)?.is_empty() {}
        self.join()?;
        let found = Digest::from_sha256(self.hash.finalize_reset().into());
        if found != self.layer.diff_id {
            let (layer, expected) = (self.layer.digest.clone(), self.layer.diff_id.clone());
            return Err(StoreError::DiffId { layer, expected, found }.into());
        }
        Ok(())
    }
}

/// More archive bytes than an image may have.
pub(super) fn unpacked_limit() -> Refusal {
    Refusal::Limit { what: "unpacked bytes in one image", limit: super::limits::UNPACKED_BYTES_MAX }
}

/// The reading thread: hashes and counts what it passes on to the decompressor.
struct Source {
    inner: Box<dyn Read + Send>,
    layer: Layer,
    hash: Sha256,
    consumed: Arc<AtomicU64>,
    refused: Arc<AtomicBool>,
    /// The true reason when a read failed; the decompressor only sees that it did.
    failure: Option<StoreError>,
}

impl Source {
    fn run(mut self, full: &SyncSender<Vec<u8>>, empty: &Receiver<Vec<u8>>) -> Result<(), StoreError> {
        let unpacked = self.pump(full, empty);
        if unpacked.is_err() || self.refused.load(Ordering::Relaxed) {
            self.drain(empty);
        }
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        let layer = self.layer.digest.clone();
        let found = self.consumed.load(Ordering::Relaxed);
        if found != self.layer.size {
            return Err(StoreError::Size { layer, expected: self.layer.size, found });
        }
        let found = Digest::from_sha256(self.hash.finalize().into());
        if found != layer {
            return Err(StoreError::Digest { layer, found });
        }
        unpacked.map_err(|source| StoreError::Decompress { layer, source })
    }

    /// Hashes the rest, unless the other thread has given up.
    fn drain(&mut self, empty: &Receiver<Vec<u8>>) {
        let mut source = self;
        let mut buffer = vec![0; READ_BYTES];
        while !matches!(empty.try_recv(), Err(TryRecvError::Disconnected)) {
            match source.read(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The end, or a failure that is kept.
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
    }

    fn pump(&mut self, full: &SyncSender<Vec<u8>>, empty: &Receiver<Vec<u8>>) -> io::Result<()> {
        let compression = self.layer.compression;
        let refused = Arc::clone(&self.refused);
        let wanted = || !refused.load(Ordering::Relaxed);
        let input = BufReader::with_capacity(READ_BYTES, self);
        match compression {
            Compression::None => copy(input, full, empty, wanted),
            // Several members are one stream; anything else after a member is an error.
            Compression::Gzip => copy(flate2::bufread::MultiGzDecoder::new(input), full, empty, wanted),
            Compression::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(input)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
                copy(decoder, full, empty, wanted)
            }
        }
    }
}

impl Read for &mut Source {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if (self.failure).is_some() {
            return Err(io::Error::other("the source failed"));
        }
        let n = match self.inner.read(out) {
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            Err(source) => {
                self.failure = Some(StoreError::Transfer { layer: self.layer.digest.clone(), source });
                return Err(io::Error::other("the source failed"));
            }
        };
        self.hash.update(out.get(..n).unwrap_or_default());
        let found = self.consumed.fetch_add(n as u64, Ordering::Relaxed) + n as u64;
        let ended_early = n == 0 && !out.is_empty() && found < self.layer.size;
        if found > self.layer.size || ended_early {
            let (layer, expected) = (self.layer.digest.clone(), self.layer.size);
            self.failure = Some(StoreError::Size { layer, expected, found });
            return Err(io::Error::other("the source has another size than promised"));
        }
        Ok(n)
    }
}

/// Fills buffers until the input ends or nobody takes them any more.
fn copy(
    mut input: impl Read,
    full: &SyncSender<Vec<u8>>,
    empty: &Receiver<Vec<u8>>,
    wanted: impl Fn() -> bool,
) -> io::Result<()> {
    while wanted()
        && let Ok(mut buffer) = empty.recv()
    {
        buffer.resize(BUFFER_BYTES, 0);
        let mut filled = 0;
        let mut ended = false;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty() && !ended) {
            match input.read(rest) {
                Ok(n) => {
                    filled += n;
                    ended = n == 0;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        buffer.truncate(filled);
        if (!buffer.is_empty() && full.send(buffer).is_err()) || ended {
            break;
        }
    }
    Ok(())
}
