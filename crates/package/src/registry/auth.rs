//! Credentials: where they come from and how they become an authorization header.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use oci_client::client::{Certificate, CertificateEncoding, ClientConfig, ClientProtocol};
use oci_client::errors::OciDistributionError;
use oci_client::secrets::RegistryAuth;
use oci_client::{Reference, RegistryOperation};
use reqwest::header::HeaderValue;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::Duration;

use super::net::{Net, install_tls, reach};
use crate::config::{Config, RegistryConfig, Timeouts};
use crate::error::PackageError;
use crate::json;
use crate::keys::read_pem;
use crate::oci;
use crate::repository::{from_io, read_limited};

/// What a registry's client needs to authenticate.
pub(crate) struct Credentials {
    auth: RegistryAuth,
    settings: RegistryConfig,
    timeouts: Timeouts,
}

impl Credentials {
    /// The user name and password for a repository: from the registry's settings, else from the auth file.
    pub(super) fn find(
        config: &Config,
        settings: &RegistryConfig,
        host: &str,
        repository: &str,
    ) -> Result<Self, PackageError> {
        let auth = match (&settings.username, &settings.password, &settings.password_file) {
            (Some(user), Some(password), None) => RegistryAuth::Basic(user.clone(), password.clone()),
            (Some(user), None, Some(file)) => {
                RegistryAuth::Basic(user.clone(), read_pem(file)?.trim_end_matches(['\r', '\n']).to_owned())
            }
            (None, None, None) => match &config.auth_file {
                Some(path) => from_auth_file(path, host, repository)?,
                None => RegistryAuth::Anonymous,
            },
            _ => {
                let reason =
                    format!("registry '{host}' needs 'username' and one of 'password' and 'password_file'");
                return Err(PackageError::Config(reason));
            }
        };
        Ok(Self { auth, settings: settings.clone(), timeouts: config.timeouts.clone() })
    }

    /// What to do when they are refused.
    pub(super) fn hint(&self) -> &'static str {
        match self.auth {
            RegistryAuth::Anonymous => {
                "; it may want a user name: set username and password under [package.registries]"
            }
            RegistryAuth::Basic(..) | RegistryAuth::Bearer(_) => {
                "; check the configured user name and password"
            }
        }
    }

    pub(crate) fn auth(&self) -> &RegistryAuth {
        &self.auth
    }

    /// A client of `oci-client` for the same registry.
    pub(crate) fn oci_client(&self) -> Result<oci_client::Client, PackageError> {
        install_tls();
        // The library panics where the HTTP client cannot be made with its defaults, so they are tried first.
        let wrong = |e: &dyn std::fmt::Display| {
            PackageError::Config(format!("{e}: a registry with a login needs the system's CA certificates"))
        };
        reqwest::Client::builder().build().map_err(|e| wrong(&e))?;
        let pem = |data| Certificate { encoding: CertificateEncoding::Pem, data };
        let protocol = if self.settings.plain_http { ClientProtocol::Http } else { ClientProtocol::Https };
        let config = ClientConfig {
            protocol,
            use_monolithic_push: false,
            extra_root_certificates: certificates(&self.settings)?.into_iter().map(pem).collect(),
            connect_timeout: Some(Duration::from_secs(self.timeouts.connect_s)),
            read_timeout: Some(Duration::from_secs(self.timeouts.read_s)),
            user_agent: concat!("scomo/", env!("CARGO_PKG_VERSION")),
            ..ClientConfig::default()
        };
        oci_client::Client::try_from(config).map_err(|e| wrong(&e))
    }
}

/// Asks the registry how to authenticate, and does it. None: it did not say how, or there is nothing to try.
pub(super) async fn authorize(net: &Net, what: &str) -> Result<Option<HeaderValue>, PackageError> {
    let client = net.credentials().oci_client()?;
    let reference =
        Reference::with_tag(net.host().to_owned(), net.repository().to_owned(), "latest".to_owned());
    let auth = net.credentials().auth();
    let text = match client.auth(&reference, auth, RegistryOperation::Pull).await {
        Ok(Some(token)) => format!("Bearer {token}"),
        Ok(None) => match auth {
            RegistryAuth::Basic(user, password) => {
                format!("Basic {}", BASE64.encode(format!("{user}:{password}")))
            }
            RegistryAuth::Anonymous | RegistryAuth::Bearer(_) => return Ok(None),
        },
        Err(error) => return Err(refused(error, net, what)),
    };
    let mut header = HeaderValue::from_str(&text).map_err(|_| PackageError::Protocol {
        what: what.to_owned(),
        reason: "its token holds characters that no header may hold".to_owned(),
    })?;
    header.set_sensitive(true);
    Ok(Some(header))
}

fn refused(error: OciDistributionError, net: &Net, what: &str) -> PackageError {
    match error {
        OciDistributionError::AuthenticationFailure(reason) => PackageError::Status {
            what: what.to_owned(),
            status: 401,
            hint: format!(" ({}){}", oci::shorten(&reason), net.credentials().hint()),
        },
        OciDistributionError::RegistryTokenDecodeError(reason) => PackageError::Protocol {
            what: what.to_owned(),
            reason: format!("no token: {}", oci::shorten(&reason)),
        },
        other => reach(what, other),
    }
}

/// The certificates of `ca_file`, each as a PEM text of its own.
pub(super) fn certificates(settings: &RegistryConfig) -> Result<Vec<Vec<u8>>, PackageError> {
    const END: &str = "-----END CERTIFICATE-----";
    let Some(path) = &settings.ca_file else {
        return Ok(Vec::new());
    };
    let mut file = std::fs::File::open(path)
        .map_err(|source| PackageError::Config(format!("ca_file {}: {source}", path.display())))?;
    let what = path.display().to_string();
    let text = read_limited(&mut file, &what).map_err(|e| from_io(e, &what))?;
    let text = String::from_utf8_lossy(&text);
    let parts = text.split_inclusive(END).filter(|p| p.ends_with(END));
    let found: Vec<Vec<u8>> = parts.map(|p| p.trim_start().as_bytes().to_vec()).collect();
    if found.is_empty() {
        return Err(PackageError::Config(format!("ca_file {what} holds no PEM certificate")));
    }
    Ok(found)
}

#[derive(Deserialize)]
struct AuthFile {
    #[serde(default)]
    auths: BTreeMap<String, AuthEntry>,
}

#[derive(Deserialize)]
struct AuthEntry {
    #[serde(default)]
    auth: Option<String>,
}

/// Looks a repository up in a file as `docker login` and `podman login` write it; the longest matching key counts.
fn from_auth_file(path: &Path, host: &str, repository: &str) -> Result<RegistryAuth, PackageError> {
    let wrong = |reason: String| PackageError::Config(format!("auth_file {}: {reason}", path.display()));
    let mut file = std::fs::File::open(path).map_err(|e| wrong(e.to_string()))?;
    let bytes = read_limited(&mut file, "auth_file").map_err(|e| wrong(e.to_string()))?;
    let file: AuthFile = json::parse(&bytes, "auth_file").map_err(|e| match e {
        PackageError::Json { source, .. } => wrong(format!("not valid JSON at line {}", source.line())),
        other => other,
    })?;
    let full = format!("{host}/{repository}");
    let covers = |key: &str| {
        let key = plain_key(key);
        full == key || full.strip_prefix(key).is_some_and(|rest| rest.starts_with('/'))
    };
    let matching = file.auths.iter().filter(|(key, _)| covers(key));
    let Some((key, entry)) = matching.max_by_key(|(key, _)| plain_key(key).len()) else {
        return Ok(RegistryAuth::Anonymous);
    };
    let decoded = entry.auth.as_deref().and_then(|a| BASE64.decode(a.trim()).ok());
    let pair = decoded.and_then(|d| String::from_utf8(d).ok());
    match pair.as_deref().and_then(|p| p.split_once(':')) {
        Some((user, password)) if !user.is_empty() => {
            Ok(RegistryAuth::Basic(user.to_owned(), password.trim_end_matches('\0').to_owned()))
        }
        _ => Err(wrong(format!(
            "the entry '{}' has no 'auth'; credential helpers are not run",
            oci::shorten(key)
        ))),
    }
}

/// A key of an auth file without what docker puts around the host.
fn plain_key(key: &str) -> &str {
    let key = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    let key = key.trim_end_matches('/');
    let key = key.strip_suffix("/v1").or_else(|| key.strip_suffix("/v2")).unwrap_or(key);
    if key == "index.docker.io" { "docker.io" } else { key }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look_up(text: &str, host: &str, repository: &str) -> Result<RegistryAuth, PackageError> {
        let file = tempfile::NamedTempFile::new().expect("temporary file");
        std::fs::write(file.path(), text).expect("write");
        from_auth_file(file.path(), host, repository)
    }

    fn basic(user: &str, password: &str) -> RegistryAuth {
        RegistryAuth::Basic(user.to_owned(), password.to_owned())
    }

    #[test]
    fn the_longest_entry_of_an_auth_file_counts() {
        let entry = |pair: &str| format!(r#"{{"auth":"{}"}}"#, BASE64.encode(pair));
        let text = format!(
            r#"{{"auths":{{"https://index.docker.io/v1/":{},"a.org":{},"a.org/team":{}}},"credsStore":"x"}}"#,
            entry("hub:1"),
            entry("all:2"),
            entry("team:3:4"),
        );
        assert_eq!(look_up(&text, "docker.io", "library/x").expect("found"), basic("hub", "1"));
        assert_eq!(look_up(&text, "a.org", "other/x").expect("found"), basic("all", "2"));
        assert_eq!(look_up(&text, "a.org", "team/x").expect("found"), basic("team", "3:4"));
        assert_eq!(look_up(&text, "a.org", "teamwork/x").expect("found"), basic("all", "2"));
        assert_eq!(look_up(&text, "a.org.evil", "x").expect("nothing"), RegistryAuth::Anonymous);
    }

    #[test]
    fn a_bad_auth_file_is_an_error() {
        for text in ["", "[]", r#"{"auths":{"a.org":{}}}"#, r#"{"auths":{"a.org":{"auth":"%%"}}}"#] {
            assert!(look_up(text, "a.org", "x").is_err(), "{text}");
        }
    }
}
