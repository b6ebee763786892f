//! One HTTP client for one repository: requests with authorization, limits and time-outs.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderValue, RANGE};
use reqwest::redirect;
use reqwest::{Response, StatusCode};
use serde::Deserialize;

use super::auth::{self, Credentials};
use super::limit::Limiter;
use crate::config::{Config, RegistryConfig, Timeouts};
use crate::error::PackageError;
use crate::oci::{self, MANIFEST_BYTES_MAX};

/// Most redirects that are followed; a registry needs one or two to its storage.
const REDIRECTS_MAX: usize = 5;
/// Most bytes of an error answer that are read.
const ERROR_BYTES_MAX: usize = 8 * 1024;

/// A client for one repository.
pub(crate) struct Net {
    runtime: tokio::runtime::Runtime,
    client: reqwest::Client,
    host: String,
    repository: String,
    base: String,
    credentials: Credentials,
    authorization: Mutex<Option<HeaderValue>>,
    timeouts: Timeouts,
    limiter: Option<Limiter>,
}

impl Net {
    pub(crate) fn new(config: &Config, host: &str, repository: &str) -> Result<Self, PackageError> {
        if let Some(key) = config.registries.keys().find(|key| **key != key.to_ascii_lowercase()) {
            return Err(PackageError::Config(format!("write the registry '{key}' in lower case")));
        }
        let settings = config.registries.get(host).cloned().unwrap_or_default();
        let credentials = Credentials::find(config, &settings, host, repository)?;
        // Docker Hub answers under another name than the one people write, and has a folder for its own images.
        let (host, repository) = match (host, repository.contains('/')) {
            ("docker.io", true) => ("index.docker.io", repository.to_owned()),
            ("docker.io", false) => ("index.docker.io", format!("library/{repository}")),
            _ => (host, repository.to_owned()),
        };
        let scheme = if settings.plain_http { "http" } else { "https" };
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|source| {
                PackageError::Reach { what: "anything: no event loop".to_owned(), source: source.into() }
            })?;
        Ok(Self {
            runtime,
            client: client(&settings, &config.timeouts)?,
            host: host.to_owned(),
            base: format!("{scheme}://{host}/v2/{repository}"),
            repository,
            credentials,
            authorization: Mutex::new(None),
            timeouts: config.timeouts.clone(),
            limiter: Limiter::new(config.bandwidth_bytes_per_s),
        })
    }

    /// `host/repository`, for messages.
    pub(crate) fn place(&self) -> String {
        format!("{}/{}", self.host, self.repository)
    }

    /// Runs a future to its end on this client's own event loop.
    pub(crate) fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// The bytes of a manifest or index by tag or digest; at most [`MANIFEST_BYTES_MAX`]. Not verified.
    pub(crate) fn manifest(&self, reference: &str, what: &str) -> Result<Vec<u8>, PackageError> {
        let accept =
            [oci::MEDIA_INDEX, oci::MEDIA_MANIFEST, oci::MEDIA_DOCKER_LIST, oci::MEDIA_DOCKER_MANIFEST];
        let accept = accept.join(", ");
        let whole = async {
            let mut response = self.get(&format!("manifests/{reference}"), Some(&accept), None, what).await?;
            let limit = usize::try_from(MANIFEST_BYTES_MAX).unwrap_or(usize::MAX);
            match read_body(&mut response, limit, what).await? {
                (bytes, true) => Ok(bytes),
                (_, false) => {
                    Err(PackageError::TooLarge { what: what.to_owned(), limit: MANIFEST_BYTES_MAX })
                }
            }
        };
        self.block_on(self.timed(what, whole))
    }

    /// Waits as long as `bytes` of a blob, which just came, cost under the configured bandwidth.
    pub(crate) fn pay(&self, bytes: usize) {
        if let Some(limiter) = &self.limiter {
            self.block_on(limiter.pay(bytes));
        }
    }

    /// Ends `work` when it takes longer than a whole request may.
    async fn timed<T>(
        &self,
        what: &str,
        work: impl Future<Output = Result<T, PackageError>>,
    ) -> Result<T, PackageError> {
        match tokio::time::timeout(Duration::from_secs(self.timeouts.request_s), work).await {
            Ok(result) => result,
            Err(elapsed) => Err(reach(what, elapsed)),
        }
    }

    /// Sends a GET below the repository; asks for authorization when the registry wants it. Gives an answer only
    /// with status 200 or 206.
    pub(crate) async fn get(
        &self,
        path: &str,
        accept: Option<&str>,
        from: Option<u64>,
        what: &str,
    ) -> Result<Response, PackageError> {
        let mut response = self.send(path, accept, from, what).await?;
        if response.status() == StatusCode::UNAUTHORIZED {
            let fresh = self.timed(what, auth::authorize(self, what)).await?;
            if let Some(header) = fresh {
                *self.authorization() = Some(header);
                response = self.send(path, accept, from, what).await?;
            }
        }
        match response.status() {
            StatusCode::OK | StatusCode::PARTIAL_CONTENT => Ok(response),
            _ => Err(self.refused(response, what).await),
        }
    }

    async fn send(
        &self,
        path: &str,
        accept: Option<&str>,
        from: Option<u64>,
        what: &str,
    ) -> Result<Response, PackageError> {
        let mut request = self.client.get(format!("{}/{path}", self.base));
        if let Some(accept) = accept {
            request = request.header(ACCEPT, accept);
        }
        if let Some(from) = from {
            request = request.header(RANGE, format!("bytes={from}-"));
        }
        let authorization = self.authorization().clone();
        if let Some(header) = authorization {
            request = request.header(AUTHORIZATION, header);
        }
        request.send().await.map_err(|e| reach(what, e))
    }

    async fn refused(&self, mut response: Response, what: &str) -> PackageError {
        #[derive(Deserialize)]
        struct Body {
            errors: Vec<Entry>,
        }
        #[derive(Deserialize)]
        struct Entry {
            #[serde(default)]
            code: String,
            #[serde(default)]
            message: String,
        }
        let status = response.status();
        let text = async { read_body(&mut response, ERROR_BYTES_MAX, what).await };
        let body = self.timed(what, text).await.map(|(bytes, _)| bytes).unwrap_or_default();
        let said = serde_json::from_slice::<Body>(&body).ok().and_then(|b| b.errors.into_iter().next());
        let said = said.map(|e| format!(" ({})", oci::shorten(&format!("{} {}", e.code, e.message))));
        let mut hint = said.unwrap_or_default();
        if matches!(status.as_u16(), 401 | 403) {
            hint.push_str(self.credentials.hint());
        }
        PackageError::Status { what: what.to_owned(), status: status.as_u16(), hint }
    }

    fn authorization(&self) -> MutexGuard<'_, Option<HeaderValue>> {
        // Only whole values are stored, so a panic elsewhere cannot leave half of one.
        self.authorization.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) fn repository(&self) -> &str {
        &self.repository
    }

    pub(crate) fn credentials(&self) -> &Credentials {
        &self.credentials
    }
}

/// The body up to `limit` bytes, and whether that was all of it.
async fn read_body(
    response: &mut Response,
    limit: usize,
    what: &str,
) -> Result<(Vec<u8>, bool), PackageError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|e| reach(what, e))? {
        let room = limit.saturating_sub(bytes.len());
        bytes.extend_from_slice(chunk.get(..room.min(chunk.len())).unwrap_or_default());
        if chunk.len() > room {
            return Ok((bytes, false));
        }
    }
    Ok((bytes, true))
}

pub(crate) fn reach(what: &str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> PackageError {
    PackageError::Reach { what: what.to_owned(), source: source.into() }
}

fn client(settings: &RegistryConfig, timeouts: &Timeouts) -> Result<reqwest::Client, PackageError> {
    install_tls();
    let wrong =
        |e: &dyn std::fmt::Display| PackageError::Config(format!("the TLS client cannot be made: {e}"));
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("scomo/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(Duration::from_secs(timeouts.connect_s))
        .read_timeout(Duration::from_secs(timeouts.read_s))
        .redirect(redirect::Policy::custom(redirect));
    let extra = auth::certificates(settings)?;
    let extra = extra.iter().map(|pem| reqwest::Certificate::from_pem(pem));
    let extra = extra.collect::<Result<Vec<_>, _>>().map_err(|e| wrong(&e))?;
    builder = if settings.plain_http && extra.is_empty() {
        // No certificate is looked at, and a device without a certificate store must still be able to do this.
        builder.tls_certs_only([])
    } else {
        builder.tls_certs_merge(extra)
    };
    builder.build().map_err(|e| {
        let cause = std::error::Error::source(&e).map(|s| format!(": {s}")).unwrap_or_default();
        wrong(&format!("{e}{cause}; install the system's CA certificates or set ca_file"))
    })
}

/// The TLS library takes its cryptography from one process-wide place; whoever comes first sets it.
pub(crate) fn install_tls() {
    let _already_set = rustls::crypto::ring::default_provider().install_default();
}

fn redirect(attempt: redirect::Attempt<'_>) -> redirect::Action {
    let was_encrypted = attempt.previous().iter().any(|url| url.scheme() == "https");
    if was_encrypted && attempt.url().scheme() != "https" {
        return attempt.error("the registry redirects from https to an unencrypted address");
    }
    if attempt.previous().len() > REDIRECTS_MAX {
        return attempt.error(format!("the registry redirects more than {REDIRECTS_MAX} times"));
    }
    attempt.follow()
}
