//! The configuration section `os`: which sysroot, how it boots, and whom to trust.

use std::collections::BTreeMap;
use std::path::PathBuf;

use scomo_core::effect::RESERVE_BYTES;
use scomo_core::failure::Failure;
use scomo_core::id::ComponentId;
use scomo_engine::worker;
use serde::{Deserialize, Serialize};

/// Section `os` of the configuration.
///
/// ```toml
/// [os]
/// sysroot = "/"
/// boot = "auto"
///
/// [os.remotes."https://updates.example.com/os/"]   # the longest matching prefix of the repository's URL counts
/// sign_verify = true
/// ed25519_keys = ["uJ0D…="]                          # base64, as `ostree sign` takes them
///
/// [os.remotes."https://updates.example.com/beta/"]
/// gpg_verify = true
/// gpg_keyring = "/etc/scomo/keys/os.asc"
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Config {
    /// The sysroot: `/` on a device, any folder with `ostree/repo` in it otherwise.
    pub sysroot: PathBuf,
    /// The stateroot (OS name) to deploy in. Without it: that of the deployment that is booted or would be, else the
    /// only one there is.
    pub stateroot: Option<String>,
    /// The component that the OS which the device was made with belongs to; default `os`. An update of a component of
    /// this name replaces it.
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub component: Option<ComponentId>,
    /// Kernel arguments of the very first deployment; later ones take over those of the deployment before.
    pub kernel_args: Vec<String>,
    /// How booting is controlled.
    pub boot: BootMode,
    /// What is asked of which repository, by prefix of its URL (`https://…`, `http://…`, `file:///…`). The prefix ends
    /// at a border: `https://a.org/x` matches `https://a.org/x/y`, but not `https://a.org/xyz`.
    pub remotes: BTreeMap<String, RemoteConfig>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            sysroot: PathBuf::from("/"),
            stateroot: None,
            component: None,
            kernel_args: Vec::new(),
            boot: BootMode::Auto,
            remotes: BTreeMap::new(),
        }
    }
}

/// How booting is controlled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum BootMode {
    /// The best there is for this device; today always [`BootMode::None`].
    #[default]
    Auto,
    /// Only the order of the deployments. The boot loader counts no tries: an OS that does not come up stays until
    /// somebody chooses another one in the boot menu.
    None,
    /// A file plays the boot loader; for tests and demonstrations.
    Simulated,
    /// U-Boot with a boot counter. Not there yet.
    UBoot,
    /// GRUB with `grubenv`. Not there yet.
    Grub,
    /// systemd-boot with boot counting. Not there yet.
    SystemdBoot,
}

impl BootMode {
    /// The name in the configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::None => "none",
            Self::Simulated => "simulated",
            Self::UBoot => "u-boot",
            Self::Grub => "grub",
            Self::SystemdBoot => "systemd-boot",
        }
    }
}

/// What is asked of a repository, and how it is reached. Without any entry a repository needs a signature that no key
/// can give: nothing is taken from it by itself. Commits that a signed package names need no signature of their own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RemoteConfig {
    /// A commit needs a good GPG signature by a key of `gpg_keyring`.
    pub gpg_verify: bool,
    /// File with the public keys for `gpg_verify`, armoured or binary. Keyrings of the system do not count.
    pub gpg_keyring: Option<PathBuf>,
    /// A commit needs a good ed25519 signature by one of the keys below. With `gpg_verify`: both are needed.
    pub sign_verify: bool,
    /// Public ed25519 keys: 32 bytes in base64, as `ostree sign` takes them.
    pub ed25519_keys: Vec<String>,
    /// Files with such keys, one in a line.
    pub ed25519_key_files: Vec<PathBuf>,
    /// No signature is looked for: whoever controls the repository, or the way to it, controls the device.
    #[serde(alias = "insecure-accept-unsigned")]
    pub insecure_accept_unsigned: bool,
    /// PEM certificates of the authorities that are trusted for this server instead of the system's.
    pub tls_ca: Option<PathBuf>,
    /// PEM certificate that is shown to the server.
    pub tls_client_cert: Option<PathBuf>,
    /// PEM key of that certificate.
    pub tls_client_key: Option<PathBuf>,
}

impl Config {
    /// What is asked of the repository at `url`, if anything is said about it.
    #[must_use]
    pub fn remote(&self, url: &str) -> Option<&RemoteConfig> {
        let matches = |prefix: &str| {
            let rest = url.strip_prefix(prefix);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || prefix.ends_with('/'))
        };
        // A repository at "https://a.org/x" is meant by the prefix "https://a.org/x/" too.
        let whole = |prefix: &str| prefix.strip_suffix('/').is_some_and(|prefix| prefix == url);
        let found = self.remotes.iter().filter(|(prefix, _)| matches(prefix) || whole(prefix));
        found.max_by_key(|(prefix, _)| prefix.len()).map(|(_, remote)| remote)
    }
}

/// What a job's configuration holds for this backend; other sections are left alone.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct JobConfig {
    /// Where durable state is kept; this backend uses `os` below it.
    pub state_dir: PathBuf,
    /// The section.
    #[serde(default)]
    pub os: Config,
    /// What of the section `package` concerns this backend too.
    #[serde(default)]
    pub package: Downloads,
}

/// The settings of downloads of any kind; the section has more, which is for others.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Downloads {
    /// What a download leaves free on the disk that it goes to, in bytes.
    pub reserve_bytes: u64,
}

impl Default for Downloads {
    fn default() -> Self {
        Self { reserve_bytes: RESERVE_BYTES }
    }
}

impl JobConfig {
    /// Reads the configuration of a job.
    pub fn from_job(config: serde_json::Value) -> Result<Self, Failure> {
        worker::settings(&config)
    }

    /// The folder of this backend.
    #[must_use]
    pub fn dir(&self) -> PathBuf {
        self.state_dir.join("os")
    }
}

#[cfg(test)]
mod tests {
    use scomo_core::failure::FailureKind;
    use serde_json::json;

    use super::*;

    #[test]
    fn the_longest_prefix_counts_and_ends_at_a_border() {
        let remote =
            |name: &str| RemoteConfig { ed25519_keys: vec![name.to_owned()], ..RemoteConfig::default() };
        let remotes = ["https://a.org", "https://a.org/x/", "https://a.org/x/deep", "file:///srv"];
        let remotes = remotes.iter().map(|name| ((*name).to_owned(), remote(name))).collect();
        let config = Config { remotes, ..Config::default() };
        let found = |url| config.remote(url).map(|r| r.ed25519_keys[0].as_str());
        assert_eq!(found("https://a.org/repo"), Some("https://a.org"));
        assert_eq!(found("https://a.org/x"), Some("https://a.org/x/"));
        assert_eq!(found("https://a.org/x/y"), Some("https://a.org/x/"));
        assert_eq!(found("https://a.org/x/deep"), Some("https://a.org/x/deep"));
        assert_eq!(found("https://a.org/x/deeper"), Some("https://a.org/x/"));
        assert_eq!(found("https://a.org/xyz"), Some("https://a.org"));
        assert_eq!(found("https://a.org.evil.example/repo"), None);
        assert_eq!(found("http://a.org/repo"), None);
        assert_eq!(found("file:///srv/repo"), Some("file:///srv"));
    }

    #[test]
    fn what_stays_free_is_a_setting_of_all_downloads() {
        let job = JobConfig::from_job(json!({"state_dir": "/s"})).expect("a job");
        assert_eq!(job.package.reserve_bytes, RESERVE_BYTES);
        let job = json!({"state_dir": "/s", "package": {"reserve_bytes": 1, "keys": {}}});
        assert_eq!(JobConfig::from_job(job).expect("a job").package.reserve_bytes, 1);
    }

    #[test]
    fn a_section_may_be_absent_and_must_be_known() {
        let job = JobConfig::from_job(json!({"state_dir": "/s", "runtime_dir": "/r", "package": {"x": 1}}));
        assert_eq!(job.map(|j| j.os), Ok(Config::default()));
        let job = JobConfig::from_job(json!({"state_dir": "/s", "os": {"boot": "u-boot"}}));
        assert_eq!(job.map(|j| j.os.boot), Ok(BootMode::UBoot));
        for os in [json!({"sysrot": "/"}), json!({"boot": "lilo"}), json!({"remotes": {"x": {"gpg": true}}})]
        {
            let failure =
                JobConfig::from_job(json!({"state_dir": "/s", "os": os})).expect_err("must be refused");
            assert_eq!(failure.kind, FailureKind::Broken);
            assert!(failure.detail.contains("'os."), "{}", failure.detail);
        }
    }
}
