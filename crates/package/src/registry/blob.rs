//! A blob as a stream that survives a broken connection: it asks again for the bytes it does not have yet.

use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use reqwest::header::CONTENT_RANGE;
use reqwest::{Response, StatusCode};
use scomo_core::id::Digest;

use super::net::{Net, reach};
use crate::error::PackageError;

/// Most resumes in a row that brought less than [`PROGRESS_BYTES`].
const FRUITLESS_MAX: u32 = 4;
/// Most resumes of one blob, however much each brought: a line that breaks more often is the engine's matter.
const RESUMES_MAX: u32 = 64;
/// A resume that brought this many bytes was worth it.
const PROGRESS_BYTES: u64 = 1024 * 1024;
/// First wait before a resume; doubles with each fruitless one. Short: the engine waits longer between its tries.
const FIRST_WAIT: Duration = Duration::from_millis(200);

/// The bytes of one blob.
pub(super) struct BlobReader {
    net: Arc<Net>,
    path: String,
    what: String,
    size: u64,
    done: u64,
    response: Option<Response>,
    chunk: Bytes,
    resumes: u32,
    fruitless: u32,
    done_at_resume: u64,
}

impl BlobReader {
    /// Sends the request, so that a missing blob is found out here and not in the middle of an import.
    pub(super) fn open(net: Arc<Net>, digest: &Digest, size: u64) -> Result<Self, PackageError> {
        let mut reader = Self {
            net,
            path: format!("blobs/{digest}"),
            what: format!("blob {digest}"),
            size,
            done: 0,
            response: None,
            chunk: Bytes::new(),
            resumes: 0,
            fruitless: 0,
            done_at_resume: 0,
        };
        reader.request()?;
        Ok(reader)
    }

    /// Asks for everything from `done` on.
    fn request(&mut self) -> Result<(), PackageError> {
        let from = (self.done > 0).then_some(self.done);
        let net = Arc::clone(&self.net);
        let mut response = match net.block_on(net.get(&self.path, None, from, &self.what)) {
            Err(PackageError::Status { status: 416, .. }) => return Err(self.short()),
            other => other?,
        };
        let skip = match (from, response.status()) {
            (Some(from), StatusCode::PARTIAL_CONTENT) if starts_at(&response) == Some(from) => 0,
            // Asked for a part, the server gives the whole: what is here already is dropped.
            (from, StatusCode::OK) => from.unwrap_or(0),
            _ => {
                let reason = "it sent another part of the blob than was asked for".to_owned();
                return Err(PackageError::Protocol { what: self.what.clone(), reason });
            }
        };
        let expected = self.size.saturating_sub(self.done).saturating_add(skip);
        if let Some(length) = response.content_length()
            && length != expected
        {
            let found = self.done.saturating_add(length).saturating_sub(skip);
            return Err(PackageError::Size { what: self.what.clone(), expected: self.size, found });
        }
        let rest = net.block_on(drop_bytes(&mut response, skip, &self.what))?;
        self.chunk = rest;
        self.response = Some(response);
        Ok(())
    }

    /// The next piece; empty only when the blob is complete.
    fn refill(&mut self) -> Result<(), PackageError> {
        let mut broken = self.short();
        loop {
            if !self.chunk.is_empty() || self.done >= self.size {
                return Ok(());
            }
            if let Some(response) = self.response.as_mut() {
                match self.net.block_on(response.chunk()) {
                    Ok(Some(bytes)) => {
                        self.net.pay(bytes.len());
                        self.chunk = bytes;
                        continue;
                    }
                    Ok(None) => broken = self.short(),
                    Err(error) => broken = reach(&self.what, error),
                }
                self.response = None;
            }
            broken = self.resume(broken)?;
        }
    }

    /// Waits and asks again. Gives the error that counts if nothing more comes.
    fn resume(&mut self, broken: PackageError) -> Result<PackageError, PackageError> {
        if self.done.saturating_sub(self.done_at_resume) >= PROGRESS_BYTES {
            self.fruitless = 0;
        }
        if self.fruitless >= FRUITLESS_MAX || self.resumes >= RESUMES_MAX {
            return Err(broken);
        }
        tracing::debug!(what = %self.what, done = self.done, size = self.size, error = %broken, "resuming");
        let wait = FIRST_WAIT.saturating_mul(1 << self.fruitless.min(FRUITLESS_MAX));
        self.net.block_on(async { tokio::time::sleep(wait).await });
        self.fruitless = self.fruitless.saturating_add(1);
        self.resumes = self.resumes.saturating_add(1);
        self.done_at_resume = self.done;
        match self.request() {
            Ok(()) => Ok(broken),
            Err(error) if error.kind().is_transient() => Ok(error),
            Err(error) => Err(error),
        }
    }

    fn short(&self) -> PackageError {
        PackageError::Size { what: self.what.clone(), expected: self.size, found: self.done }
    }
}

impl Read for BlobReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.refill()?;
        let n = buffer.len().min(self.chunk.len());
        self.chunk.copy_to_slice(buffer.get_mut(..n).unwrap_or_default());
        self.done = self.done.saturating_add(n as u64);
        Ok(n)
    }
}

/// Drops the first `skip` bytes of the body, and gives what came with the last of them.
async fn drop_bytes(response: &mut Response, mut skip: u64, what: &str) -> Result<Bytes, PackageError> {
    while skip > 0 {
        let Some(chunk) = response.chunk().await.map_err(|e| reach(what, e))? else {
            break;
        };
        let length = chunk.len() as u64;
        if length > skip {
            let at = usize::try_from(skip).unwrap_or(chunk.len());
            return Ok(chunk.slice(at.min(chunk.len())..));
        }
        skip = skip.saturating_sub(length);
    }
    Ok(Bytes::new())
}

/// The first byte of a partial answer.
fn starts_at(response: &Response) -> Option<u64> {
    let text = response.headers().get(CONTENT_RANGE)?.to_str().ok()?;
    text.strip_prefix("bytes ")?.split('-').next()?.parse().ok()
}
