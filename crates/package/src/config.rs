//! The configuration section `package`: whom to trust, for which source, and how to reach registries.

use std::collections::BTreeMap;
use std::path::PathBuf;

use scomo_core::effect::RESERVE_BYTES;
use serde::{Deserialize, Serialize};

/// Section `package` of the configuration.
///
/// ```toml
/// [package.keys.factory]                      # "factory" is the identity that is shown as the signer
/// file = "/etc/scomo/keys/factory.pub"
///
/// [[package.policies]]                        # the longest matching prefix counts
/// source = "docker://registry.example.com/app/"
/// keys = ["factory"]                          # empty: every configured key
///
/// [[package.policies]]
/// source = "oci:/usr/share/scomo/"
/// signature = "insecure-accept-unsigned"
///
/// [package.registries."127.0.0.1:5000"]
/// plain_http = true
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Config {
    /// Trusted public keys by identity. The identity is what is shown and recorded as the signer.
    pub keys: BTreeMap<String, KeyConfig>,
    /// What is asked of which source. A source that no entry matches needs a signature by any configured key.
    pub policies: Vec<Policy>,
    /// Settings of registries by `host[:port]` in lower case, as it stands in the source.
    pub registries: BTreeMap<String, RegistryConfig>,
    /// A file in the format of docker's `config.json` (podman's `auth.json`) with user names and passwords. Credential
    /// helpers are not run.
    pub auth_file: Option<PathBuf>,
    /// Time-outs of network access.
    pub timeouts: Timeouts,
    /// What a download leaves free on the disk that it goes to, in bytes. One that cannot fit is not begun.
    pub reserve_bytes: u64,
    /// Bytes of layers that come from a registry in a second, at most; zero: no limit. OS commits are not limited.
    pub bandwidth_bytes_per_s: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            keys: BTreeMap::new(),
            policies: Vec::new(),
            registries: BTreeMap::new(),
            auth_file: None,
            timeouts: Timeouts::default(),
            reserve_bytes: RESERVE_BYTES,
            bandwidth_bytes_per_s: 0,
        }
    }
}

/// Where a trusted public key is: exactly one of the two.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct KeyConfig {
    /// A PEM file (`BEGIN PUBLIC KEY`): ECDSA P-256 or ed25519.
    pub file: Option<PathBuf>,
    /// The PEM text itself.
    pub pem: Option<String>,
}

/// What is asked of the sources that start with `source`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Policy {
    /// Prefix of the source without tag, ref or query. It ends at a border: `docker://a.org/x` matches
    /// `docker://a.org/x:1` and `docker://a.org/x/y`, but not `docker://a.org/xyz`. Empty: every source.
    pub source: String,
    /// Whether a signature is needed.
    pub signature: SignaturePolicy,
    /// Identities of the keys that count here; empty: every configured key.
    pub keys: Vec<String>,
    /// What a signature must say in `docker-reference`. Without it that is not looked at, so that mirrors work.
    pub reference: Option<String>,
}

/// Whether a source's packages must be signed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum SignaturePolicy {
    /// One good signature by one trusted key.
    #[default]
    Require,
    /// No signature is looked for: whoever controls the source controls the device.
    InsecureAcceptUnsigned,
}

/// Settings of one registry.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RegistryConfig {
    /// Talk plain HTTP. Only for loopback and closed networks: names, tokens and passwords go unprotected.
    pub plain_http: bool,
    /// User name for basic or token authentication.
    pub username: Option<String>,
    /// The password.
    pub password: Option<String>,
    /// A file that holds the password; trailing line ends are dropped. Excludes `password`.
    pub password_file: Option<PathBuf>,
    /// PEM certificates of authorities that are trusted for this registry besides the system's.
    pub ca_file: Option<PathBuf>,
}

impl std::fmt::Debug for RegistryConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RegistryConfig")
            .field("plain_http", &self.plain_http)
            .field("username", &self.username)
            .field("password", &self.password.as_ref().map(|_| "(hidden)"))
            .field("password_file", &self.password_file)
            .field("ca_file", &self.ca_file)
            .finish()
    }
}

/// Time-outs of network access, in seconds. The engine tries again; these only end what hangs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Timeouts {
    /// Until a connection with TLS stands.
    pub connect_s: u64,
    /// Between two pieces of an answer.
    pub read_s: u64,
    /// For a whole manifest, token or signature.
    pub request_s: u64,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect_s: 15, read_s: 30, request_s: 60 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_section_parses_and_typing_mistakes_do_not() {
        let text = r#"{
            "keys": { "factory": { "file": "/etc/scomo/keys/factory.pub" } },
            "policies": [
                { "source": "docker://a.org/app", "keys": ["factory"], "reference": "a.org/app" },
                { "source": "oci:/usr/share/scomo", "signature": "insecure-accept-unsigned" }
            ],
            "registries": { "127.0.0.1:5000": { "plain_http": true } },
            "timeouts": { "read_s": 5 }
        }"#;
        let config: Config = serde_json::from_str(text).expect("section");
        assert_eq!(config.policies[0].signature, SignaturePolicy::Require);
        assert_eq!(config.policies[1].signature, SignaturePolicy::InsecureAcceptUnsigned);
        assert_eq!(config.timeouts, Timeouts { read_s: 5, ..Timeouts::default() });
        assert_eq!(serde_json::from_str::<Config>("{}").expect("empty"), Config::default());
        for (right, wrong) in [
            ("\"keys\": [", "\"key\": ["),
            ("insecure-accept-unsigned", "accept-unsigned"),
            ("plain_http", "plain-http"),
            ("read_s", "read"),
            ("\"file\"", "\"path\""),
        ] {
            assert!(serde_json::from_str::<Config>(&text.replace(right, wrong)).is_err(), "{wrong}");
        }
    }
}
