//! What a package says of its components: the part of the package manifest that the whole system understands.
//!
//! These are plain data with public fields. They are parsed from a verified manifest by `scomo-package`, stored in
//! facts, and handed to the backends. Limits on counts and sizes are checked by [`PackageManifest::check`].

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::id::{ComponentId, Digest, PackageId, ReleaseId};
use crate::requirement::Requirement;
use crate::tree::uri::check_name;

/// Most components in one package. A transaction keeps each one's before-image, so the number is small on purpose.
pub const COMPONENTS_MAX: usize = 32;
/// Longest free text (description, licence …) in bytes.
pub const TEXT_BYTES_MAX: usize = 4096;
/// Most environment variables, mounts, devices or arguments of one component.
pub const RUN_ENTRIES_MAX: usize = 128;
/// Longest time that a reload may take, in seconds.
pub const RELOAD_TIMEOUT_S_MAX: u64 = 600;
/// Most icons of one component.
pub const ICONS_MAX: usize = 4;
/// Most bytes that the icons of one component have together: they are part of the state of the device, which is copied
/// at every decision.
pub const ICONS_BYTES_MAX: usize = 16 << 10;
/// Longest health window in seconds: a package must not keep a device on trial for ever.
pub const HEALTH_WINDOW_S_MAX: u64 = 3600;

/// A Delivery Package as its manifest describes it (media type `application/vnd.scomo.package.v1+json`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct PackageManifest {
    /// Always 1.
    pub schema_version: u32,
    /// The package's own name for itself; the SCOMO `PkgID` that a server gave stands above it.
    pub id: PackageId,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// SCOMO `EnvType`: URI of the environment the package is for. Empty: any.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub env_type: String,
    /// SCOMO `MetaData`.
    #[serde(default, skip_serializing_if = "Metadata::is_empty")]
    pub metadata: Metadata,
    /// In the order in which they are switched, after `requires` is honoured.
    pub components: Vec<ComponentSpec>,
}

/// One Deployment Component in one version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ComponentSpec {
    /// SCOMO `ID`; the same across versions.
    pub id: ComponentId,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// SCOMO `Version`; empty means none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// Which backend it is for.
    #[serde(rename = "type")]
    pub kind: ComponentKind,
    /// Where its bytes are.
    pub payload: Payload,
    /// Components that must be active before this one is: those of the package are switched first, others must be
    /// on the device.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<Requirement>,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// SCOMO `EnvType`. Empty: any.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub env_type: String,
    /// SCOMO `MetaData`.
    #[serde(default, skip_serializing_if = "Metadata::is_empty")]
    pub metadata: Metadata,
    /// How a container runs; ignored for other kinds.
    #[serde(default, skip_serializing_if = "RunSpec::is_default")]
    pub run: RunSpec,
    /// How a file set shows up on the host; ignored for other kinds.
    #[serde(default, skip_serializing_if = "FilesSpec::is_default")]
    pub files: FilesSpec,
    /// When the component counts as healthy. None: it is not watched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<HealthCheck>,
}

/// The kind of a component; each kind has one backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ComponentKind {
    /// An OSTree commit that the device boots.
    Os,
    /// An OCI image that runs as a container.
    Container,
    /// A set of files on the host: certificates, licences, configuration, models.
    Files,
}

impl ComponentKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Os, Self::Container, Self::Files];

    /// The name used in manifests and on the bus.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Os => "os",
            Self::Container => "container",
            Self::Files => "files",
        }
    }
}

/// Where the bytes of a component are. Always pinned by a digest that the package's signature covers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Payload {
    /// An OCI image manifest next to the package, in the same registry repository, layout or archive.
    Image {
        /// Digest of the image manifest (not of an index).
        digest: Digest,
        /// Bytes of the manifest.
        size: u64,
    },
    /// A commit in an OSTree repository reached over HTTP(S) or `file://`.
    Ostree {
        /// URL of the repository.
        url: String,
        /// Branch the commit is on; kept as the deployment's origin. Empty: none.
        #[serde(default, rename = "ref", skip_serializing_if = "String::is_empty")]
        ref_name: String,
        /// The commit checksum, 64 lower-case hexadecimal digits.
        commit: String,
    },
}

/// SCOMO `MetaData` texts; each may be empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Metadata {
    /// `License`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub license: String,
    /// `Copyright`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub copyright: String,
    /// `Manufacturer`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub manufacturer: String,
    /// `Creator`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub creator: String,
    /// `CreationDate`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub creation_date: String,
    /// `ReleaseDate`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub release_date: String,
    /// `ReleaseNotes`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub release_notes: String,
    /// `ValidityPeriod`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub validity_period: String,
    /// `LicensedUserName`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub licensed_user_name: String,
    /// `LastUpdated`; empty: when the device deployed it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub last_updated: String,
    /// `ComponentOwner`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub component_owner: String,
    /// `ManagementScope`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub management_scope: Option<i32>,
    /// `Icon`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub icons: Vec<Icon>,
}

/// A picture of a component, for user interfaces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Icon {
    /// Name of its node.
    pub name: String,
    /// The picture (in JSON: base64).
    #[serde(with = "crate::tree::base64")]
    pub data: Vec<u8>,
}

impl Metadata {
    /// Whether every text is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// How a container runs. The defaults are the safe ones: private network, no devices, no added capabilities.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct RunSpec {
    /// Replaces the image's entry point and command when not empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// Added to, or replacing, the image's environment.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// `uid[:gid]` or a name from the image; empty: as the image says.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// Working directory; empty: as the image says.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
    /// Named volumes and host folders.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<Mount>,
    /// Host device nodes to pass in, for example `/dev/ttyS1`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<String>,
    /// Linux capabilities beyond the default set, for example `CAP_NET_ADMIN`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
    /// Host or private network.
    pub network: Network,
    /// No scratch layer: writes are possible on tmpfs and volumes only.
    pub read_only: bool,
    /// Limits; zero means none.
    pub resources: Resources,
    /// What happens when the main process ends.
    pub restart: Restart,
    /// Seconds between the stop signal and SIGKILL; zero means the default of 10, at most 600 count.
    /// A first process that does nothing about the signal takes all of them.
    pub stop_timeout_s: u64,
}

impl RunSpec {
    /// Whether nothing differs from the default.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// How a file set shows up on the host, besides the link with its name that every file set has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct FilesSpec {
    /// Absolute path of another symbolic link to the files, in a folder that the device allows. Empty: none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// Run on the host after the files were switched; that it fails means that the switch failed. One word without a
    /// slash is the name of a command in the device's configuration, anything else a program with its arguments, which
    /// the device must allow. Empty: nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reload: Vec<String>,
    /// Seconds after which the reload counts as failed; zero means the default of 30.
    pub reload_timeout_s: u64,
}

impl FilesSpec {
    /// Whether nothing differs from the default.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    fn over_limit(&self) -> bool {
        self.reload.iter().chain([&self.path]).any(|text| text.len() > TEXT_BYTES_MAX)
            || self.reload.len() > RUN_ENTRIES_MAX
            || self.reload_timeout_s > RELOAD_TIMEOUT_S_MAX
    }
}

/// A mount into a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Mount {
    /// A volume name (no slash), kept across versions of the component, or an absolute host path.
    pub source: String,
    /// Absolute path in the container.
    pub target: String,
    /// Mounted read-only.
    #[serde(default)]
    pub read_only: bool,
}

/// The network a container sees.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// Its own network namespace with a loopback interface only.
    #[default]
    Private,
    /// The network of the host.
    Host,
}

/// Resource limits; zero means none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Resources {
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// Processes and threads.
    pub pids: u64,
    /// Percent of one processor.
    pub cpu_percent: u64,
}

/// What happens when a container's main process ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Restart {
    /// It is started again, with growing delays.
    #[default]
    Always,
    /// It is started again when its exit status is not zero.
    OnFailure,
    /// It stays ended.
    Never,
}

/// When a component that was just switched counts as healthy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct HealthCheck {
    /// Run inside the container, or on the host for the other kinds; exit status 0 is healthy. Empty: staying up is
    /// enough. For a file set the rules of [`FilesSpec::reload`] hold.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// Seconds for which the component must stay up, and its command succeed, before the update is confirmed.
    pub window_s: u64,
    /// Seconds between two runs of the command.
    pub interval_s: u64,
    /// Seconds after which one run of the command counts as failed.
    pub timeout_s: u64,
    /// Failed runs in a row that are tolerated.
    pub retries: u32,
}

impl Default for HealthCheck {
    fn default() -> Self {
        Self { command: Vec::new(), window_s: 10, interval_s: 1, timeout_s: 5, retries: 3 }
    }
}

/// One release of one component together with where it came from: what a backend needs to fetch, stage and run it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// Names exactly this software with these settings.
    pub id: ReleaseId,
    /// The component's description.
    pub spec: ComponentSpec,
    /// Where the payload is fetched from: the package's source as it was given.
    pub source: String,
    /// Bytes of the component once installed; zero when not known before the fetch.
    #[serde(default)]
    pub size: u64,
}

/// What resolving a package gave: verified, and pinned by digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// Digest of what the signature covers: the package's index or image manifest, or the commit as `sha256:`.
    pub digest: Digest,
    /// Identity of the key that verified it; empty when the source's policy takes unsigned packages.
    pub signed_by: String,
    /// The manifest's own id, name, version, description and metadata; the components are in `releases`.
    pub info: PackageInfo,
    /// In switching order.
    pub releases: Vec<Release>,
}

/// What a package says about itself, without its components.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PackageInfo {
    /// The manifest's id.
    pub id: String,
    /// For people.
    pub name: String,
    /// For people.
    pub version: String,
    /// For people.
    pub description: String,
    /// SCOMO `EnvType`.
    pub env_type: String,
    /// SCOMO `MetaData`.
    pub metadata: Metadata,
}

/// Why a manifest was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidManifest {
    /// A newer or unknown schema.
    #[error("schema version {0} is not known; this scomo reads version 1")]
    SchemaVersion(u32),
    /// No component at all.
    #[error("the package holds no component")]
    Empty,
    /// More than [`COMPONENTS_MAX`].
    #[error("the package holds {0} components; at most {COMPONENTS_MAX} are allowed")]
    TooMany(usize),
    /// Two components share an id.
    #[error("two components are called '{0}'")]
    Duplicate(ComponentId),
    /// `requires` asks for a newer version of a component than the package holds.
    #[error("component '{0}' requires {1}, but the package holds another version of it")]
    Requires(ComponentId, Requirement),
    /// `requires` runs in a circle.
    #[error("the components require each other in a circle at '{0}'")]
    Circle(ComponentId),
    /// A text, list or number is over its limit.
    #[error("component '{0}': {1} is over its limit")]
    Limit(String, &'static str),
    /// The payload does not fit the kind.
    #[error("component '{0}' of type '{1}' cannot have this kind of payload")]
    Payload(ComponentId, &'static str),
}

impl PackageManifest {
    /// Checks every limit and rule, and returns the components in switching order: each after those it requires,
    /// otherwise as written.
    pub fn check(&self) -> Result<Vec<&ComponentSpec>, InvalidManifest> {
        if self.schema_version != 1 {
            return Err(InvalidManifest::SchemaVersion(self.schema_version));
        }
        if self.components.is_empty() {
            return Err(InvalidManifest::Empty);
        }
        if self.components.len() > COMPONENTS_MAX {
            return Err(InvalidManifest::TooMany(self.components.len()));
        }
        let texts = [&self.name, &self.version, &self.description, &self.env_type];
        if texts.iter().any(|t| t.len() > TEXT_BYTES_MAX) || self.metadata.over_limit() {
            return Err(InvalidManifest::Limit(self.id.to_string(), "a text"));
        }
        let mut ids = BTreeSet::new();
        for component in &self.components {
            component.check()?;
            if !ids.insert(&component.id) {
                return Err(InvalidManifest::Duplicate(component.id.clone()));
            }
        }
        for component in &self.components {
            let unmet = |needed: &&Requirement| {
                let other = self.components.iter().find(|other| other.id == needed.id);
                other.is_some_and(|other| !needed.is_met_by(&other.version))
            };
            if let Some(needed) = component.requires.iter().find(unmet) {
                return Err(InvalidManifest::Requires(component.id.clone(), needed.clone()));
            }
        }
        self.in_order()
    }

    fn in_order(&self) -> Result<Vec<&ComponentSpec>, InvalidManifest> {
        let mut placed = BTreeSet::new();
        let mut order = Vec::with_capacity(self.components.len());
        let elsewhere = |id: &ComponentId| self.components.iter().all(|c| c.id != *id);
        while order.len() < self.components.len() {
            let open = || self.components.iter().filter(|c| !placed.contains(&c.id));
            match open().find(|c| c.requires.iter().all(|r| placed.contains(&r.id) || elsewhere(&r.id))) {
                Some(next) => {
                    placed.insert(next.id.clone());
                    order.push(next);
                }
                None => {
                    let stuck = open().next().map_or_else(|| self.id.to_string(), |c| c.id.to_string());
                    let id = ComponentId::new(stuck).map_err(|_| InvalidManifest::Empty)?;
                    return Err(InvalidManifest::Circle(id));
                }
            }
        }
        Ok(order)
    }

    /// The package without its components.
    #[must_use]
    pub fn info(&self) -> PackageInfo {
        PackageInfo {
            id: self.id.to_string(),
            name: self.name.clone(),
            version: self.version.clone(),
            description: self.description.clone(),
            env_type: self.env_type.clone(),
            metadata: self.metadata.clone(),
        }
    }
}

impl Metadata {
    fn over_limit(&self) -> bool {
        let all = [
            &self.license,
            &self.copyright,
            &self.manufacturer,
            &self.creator,
            &self.creation_date,
            &self.release_date,
            &self.release_notes,
            &self.validity_period,
            &self.licensed_user_name,
            &self.last_updated,
            &self.component_owner,
        ];
        let mut names = BTreeSet::new();
        let bytes: usize = self.icons.iter().map(|icon| icon.data.len()).fold(0, usize::saturating_add);
        all.iter().any(|t| t.len() > TEXT_BYTES_MAX)
            || self.icons.len() > ICONS_MAX
            || bytes > ICONS_BYTES_MAX
            || self.icons.iter().any(|icon| check_name(&icon.name).is_err() || !names.insert(&icon.name))
    }
}

impl ComponentSpec {
    fn check(&self) -> Result<(), InvalidManifest> {
        let limit = |what| Err(InvalidManifest::Limit(self.id.to_string(), what));
        let texts = [&self.name, &self.version, &self.description, &self.env_type];
        if texts.iter().any(|t| t.len() > TEXT_BYTES_MAX) || self.metadata.over_limit() {
            return limit("a text");
        }
        let run = &self.run;
        let counts =
            [run.args.len(), run.env.len(), run.mounts.len(), run.devices.len(), run.capabilities.len()];
        if counts.iter().any(|n| *n > RUN_ENTRIES_MAX) {
            return limit("the number of run settings");
        }
        if self.files.over_limit() {
            return limit("a setting in 'files'");
        }
        if let Some(health) = &self.health
            && (health.window_s > HEALTH_WINDOW_S_MAX || health.command.len() > RUN_ENTRIES_MAX)
        {
            return limit("the health check");
        }
        match (self.kind, &self.payload) {
            (ComponentKind::Os, Payload::Ostree { .. })
            | (ComponentKind::Container | ComponentKind::Files, Payload::Image { .. }) => Ok(()),
            (kind, _) => Err(InvalidManifest::Payload(self.id.clone(), kind.as_str())),
        }
    }
}
