//! Configuration in three stages: fragments (files) → one merged input → settings with every default filled in.
//!
//! The daemon reads the sections `daemon`, `policy` and `tree`. The other sections, [`WORKER_SECTIONS`], belong to the workers
//! and are handed on untouched; the worker that owns a section refuses unknown keys in it. Merging: a later file wins
//! key by key; tables are merged, everything else, lists too, is replaced.

mod tree;

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::policy::PolicyConfig;
pub use tree::TreeConfig;

/// Largest configuration file in bytes: they are written by people.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Most drop-in files in one folder.
const DROP_INS_MAX: usize = 64;
/// Where fragments are, the vendor's first. A folder's drop-ins come right after its file, by name.
const FOLDERS: [&str; 2] = ["/usr/lib/scomo", "/etc/scomo"];
/// The sections that the workers read.
const WORKER_SECTIONS: [&str; 4] = ["package", "container", "files", "os"];

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file cannot be read.
    #[error("cannot read the configuration file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is too long to be a configuration.
    #[error("the configuration file {} is longer than {FILE_BYTES_MAX} bytes", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// Too many drop-ins.
    #[error("the folder {} holds more than {DROP_INS_MAX} drop-ins; merge some of them", path.display())]
    TooMany {
        /// The folder.
        path: PathBuf,
    },
    /// A file is not TOML, or has a key that is not known.
    #[error("the configuration file {} is not right", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: toml::de::Error,
    },
    /// A section of the workers holds something that JSON does not have.
    #[error("the configuration file {} has a date at '{key}'; write it as text", path.display())]
    Date {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
    },
    /// Every file is right, and all of them together are not.
    #[error("the section '{section}' of all configuration files together is not right")]
    Merged {
        /// The section.
        section: &'static str,
        /// Why.
        source: serde_json::Error,
    },
}

/// Section `daemon` of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct DaemonConfig {
    /// The bus to be on: `system`, `session` or a D-Bus address.
    pub bus: String,
    /// Folder of everything durable.
    pub state_dir: PathBuf,
    /// Folder of everything that ends with the boot.
    pub runtime_dir: PathBuf,
    /// Where the worker executables are. A kind of component can be installed when its worker is there.
    pub workers_dir: PathBuf,
    /// Group whose members may change things where polkit does not decide, besides root.
    pub group: String,
    /// Whether polkit decides who may change things.
    pub polkit: UsePolkit,
    /// Source of a package that is installed by itself on a device on which nothing was ever installed, for example
    /// `file:/usr/share/scomo/factory.scomo`; empty: none. Its components belong to no package (SCOMO `PkgIDRef` is
    /// empty).
    pub factory: String,
    /// Log filter, for example `info,scomo_engine=debug`. The environment variable `SCOMO_LOG` stands above it.
    pub log: String,
    /// Largest package that can be delivered over D-Bus, in bytes. There is a limit at all because delivered packages
    /// share the disk with everything else.
    pub deliver_bytes_max: u64,
}

impl Default for DaemonConfig {
    fn default() -> Self {
        Self {
            bus: "system".to_owned(),
            state_dir: PathBuf::from("/var/lib/scomo"),
            runtime_dir: PathBuf::from("/run/scomo"),
            workers_dir: PathBuf::from("/usr/lib/scomo/workers"),
            group: "scomo".to_owned(),
            polkit: UsePolkit::Auto,
            factory: String::new(),
            log: "info".to_owned(),
            // Room for an OS and some containers.
            deliver_bytes_max: 4 << 30,
        }
    }
}

/// Whether polkit decides who may change things. Root always may.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum UsePolkit {
    /// Where it is on the bus; otherwise the members of the group may.
    #[default]
    Auto,
    /// The members of the group may, wherever polkit is.
    Never,
    /// Without it on the bus only root may.
    Always,
}

/// One file, for what is wrong in it.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(dead_code, reason = "read for its errors only, which name the line")]
struct Fragment {
    daemon: DaemonConfig,
    policy: PolicyConfig,
    tree: TreeConfig,
    package: toml::Table,
    container: toml::Table,
    files: toml::Table,
    os: toml::Table,
}

/// Everything the daemon wants to know, with every default filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The daemon's own section.
    pub daemon: DaemonConfig,
    /// When and under which conditions updates may happen.
    pub policy: PolicyConfig,
    /// The section `tree`: how the SCOMO tree of this device is.
    pub tree: TreeConfig,
    /// What every worker gets: folders and the workers' sections.
    pub workers: Value,
}

/// What the command line says; it stands above every file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// Read these files and no others.
    pub files: Vec<PathBuf>,
    /// See [`DaemonConfig::bus`].
    pub bus: Option<String>,
    /// See [`DaemonConfig::state_dir`].
    pub state_dir: Option<PathBuf>,
    /// See [`DaemonConfig::runtime_dir`].
    pub runtime_dir: Option<PathBuf>,
    /// See [`DaemonConfig::workers_dir`].
    pub workers_dir: Option<PathBuf>,
}

impl Settings {
    /// Reads the configuration.
    pub fn load(overrides: &Overrides) -> Result<Self, ConfigError> {
        let files = if overrides.files.is_empty() {
            let mut files = Vec::new();
            for folder in FOLDERS {
                files.extend(files_of(Path::new(folder))?);
            }
            files
        } else {
            overrides.files.clone()
        };
        let mut inputs = Inputs::default();
        for path in files {
            let text = read(&path)?;
            inputs.add(&path, &text)?;
        }
        inputs.settings(overrides)
    }
}

/// The file of a folder and its drop-ins, as far as they exist.
fn files_of(folder: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    let mut files: Vec<PathBuf> = [folder.join("scomo.toml")].into_iter().filter(|f| f.exists()).collect();
    let drop_ins = folder.join("conf.d");
    let entries = match fs::read_dir(&drop_ins) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(files),
        Err(source) => return Err(ConfigError::Read { path: drop_ins, source }),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(|source| ConfigError::Read { path: drop_ins.clone(), source })?.path();
        if path.extension().is_some_and(|e| e == "toml") {
            found.push(path);
        }
        if found.len() > DROP_INS_MAX {
            return Err(ConfigError::TooMany { path: drop_ins });
        }
    }
    found.sort();
    files.extend(found);
    Ok(files)
}

fn read(path: &Path) -> Result<String, ConfigError> {
    let failed = |source| ConfigError::Read { path: path.to_owned(), source };
    let mut text = String::new();
    let file = fs::File::open(path).map_err(failed)?;
    file.take(FILE_BYTES_MAX.saturating_add(1)).read_to_string(&mut text).map_err(failed)?;
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > FILE_BYTES_MAX {
        return Err(ConfigError::TooLong { path: path.to_owned() });
    }
    Ok(text)
}

/// All files merged: sections by name.
#[derive(Debug, Default)]
struct Inputs(Map<String, Value>);

impl Inputs {
    fn add(&mut self, path: &Path, text: &str) -> Result<(), ConfigError> {
        let parse = |source| ConfigError::Parse { path: path.to_owned(), source };
        toml::from_str::<Fragment>(text).map_err(parse)?;
        let sections: toml::Table = toml::from_str(text).map_err(parse)?;
        for (name, section) in sections {
            let section =
                to_json(section, &name).map_err(|key| ConfigError::Date { path: path.to_owned(), key })?;
            merge(self.0.entry(name).or_insert_with(|| json!({})), section);
        }
        Ok(())
    }

    fn settings(self, overrides: &Overrides) -> Result<Settings, ConfigError> {
        let mut workers = self.0;
        let mut daemon: DaemonConfig = own(&mut workers, "daemon")?;
        let policy = own(&mut workers, "policy")?;
        let tree = own(&mut workers, "tree")?;
        daemon.bus = overrides.bus.clone().unwrap_or(daemon.bus);
        daemon.state_dir = overrides.state_dir.clone().unwrap_or(daemon.state_dir);
        daemon.runtime_dir = overrides.runtime_dir.clone().unwrap_or(daemon.runtime_dir);
        daemon.workers_dir = overrides.workers_dir.clone().unwrap_or(daemon.workers_dir);
        for name in WORKER_SECTIONS {
            workers.entry(name).or_insert_with(|| json!({}));
        }
        workers.insert("state_dir".to_owned(), json!(daemon.state_dir));
        workers.insert("runtime_dir".to_owned(), json!(daemon.runtime_dir));
        Ok(Settings { daemon, policy, tree, workers: Value::Object(workers) })
    }
}

/// Takes a section of the daemon out of all sections.
fn own<T: Default + DeserializeOwned>(
    sections: &mut Map<String, Value>,
    section: &'static str,
) -> Result<T, ConfigError> {
    let Some(value) = sections.remove(section) else { return Ok(T::default()) };
    serde_json::from_value(value).map_err(|source| ConfigError::Merged { section, source })
}

/// Err: the key at which a date is.
fn to_json(value: toml::Value, key: &str) -> Result<Value, String> {
    Ok(match value {
        toml::Value::String(text) => Value::String(text),
        toml::Value::Integer(number) => json!(number),
        toml::Value::Float(number) => json!(number),
        toml::Value::Boolean(flag) => Value::Bool(flag),
        toml::Value::Datetime(_) => return Err(key.to_owned()),
        toml::Value::Array(items) => {
            let items = items.into_iter().map(|item| to_json(item, key));
            Value::Array(items.collect::<Result<_, _>>()?)
        }
        toml::Value::Table(table) => {
            let convert = |(name, value)| {
                let value = to_json(value, &format!("{key}.{name}"))?;
                Ok::<_, String>((name, value))
            };
            Value::Object(table.into_iter().map(convert).collect::<Result<_, _>>()?)
        }
    })
}

/// Lays `over` on `under`, table by table. The depth is that of parsed TOML, which its parser limits.
fn merge(under: &mut Value, over: Value) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            for (key, value) in over {
                merge(under.entry(key).or_insert(Value::Null), value);
            }
        }
        (under, over) => *under = over,
    }
}

#[cfg(test)]
mod reference;

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(files: &[(&str, &str)]) -> Result<Settings, ConfigError> {
        let mut inputs = Inputs::default();
        for (path, text) in files {
            inputs.add(Path::new(path), text)?;
        }
        inputs.settings(&Overrides::default())
    }

    fn chain(error: &dyn std::error::Error) -> String {
        let cause = error.source().map(|s| format!(": {s}")).unwrap_or_default();
        format!("{error}{cause}")
    }

    #[test]
    fn without_files_everything_has_a_default() {
        let settings = settings(&[]).unwrap();
        assert_eq!(settings.daemon, DaemonConfig::default());
        assert_eq!(
            settings.workers,
            json!({"state_dir": "/var/lib/scomo", "runtime_dir": "/run/scomo", "package": {}, "container": {}, "files": {}, "os": {}})
        );
    }

    #[test]
    fn a_later_file_wins_key_by_key_and_lists_are_replaced() {
        let vendor =
            "[daemon]\ngroup = 'adm'\nlog = 'warn'\n[package]\nlist = [1, 2]\n[package.keys.a]\nfile = '/a'";
        let local = "[daemon]\nlog = 'debug'\n[package]\nlist = [3]\n[package.keys.b]\nfile = '/b'";
        let settings =
            settings(&[("/usr/lib/scomo/scomo.toml", vendor), ("/etc/scomo/scomo.toml", local)]).unwrap();
        assert_eq!((settings.daemon.group.as_str(), settings.daemon.log.as_str()), ("adm", "debug"));
        let keys = json!({"a": {"file": "/a"}, "b": {"file": "/b"}});
        assert_eq!(settings.workers["package"], json!({"keys": keys, "list": [3]}));
    }

    #[test]
    fn unknown_keys_are_refused_with_file_and_key() {
        for (text, key) in [
            ("[daemon]\ncolour = 1", "colour"),
            ("[deamon]\n", "deamon"),
            ("[daemon]\npolkit = 'maybe'", "maybe"),
        ] {
            let error = settings(&[("/etc/scomo/conf.d/x.toml", text)]).unwrap_err();
            let text = chain(&error);
            assert!(text.contains("/etc/scomo/conf.d/x.toml") && text.contains(key), "{text}");
        }
    }

    #[test]
    fn a_date_is_refused_with_its_key() {
        let error = settings(&[("/etc/scomo/scomo.toml", "[os.a]\nwhen = 2026-01-01")]).unwrap_err();
        assert!(matches!(&error, ConfigError::Date { key, .. } if key == "os.a.when"), "{error}");
    }

    #[test]
    fn drop_ins_come_after_the_file_by_name() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("conf.d")).unwrap();
        for name in ["scomo.toml", "conf.d/20-b.toml", "conf.d/10-a.toml", "conf.d/note.txt"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let files = files_of(folder.path()).unwrap();
        let names: Vec<_> = files.iter().map(|f| f.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["scomo.toml", "10-a.toml", "20-b.toml"]);
    }

    #[test]
    fn a_missing_or_endless_file_is_an_error() {
        let missing = Overrides { files: vec![PathBuf::from("/nonexistent/x.toml")], ..Overrides::default() };
        assert!(matches!(Settings::load(&missing), Err(ConfigError::Read { .. })));
        let endless = Overrides { files: vec![PathBuf::from("/dev/zero")], ..Overrides::default() };
        assert!(matches!(Settings::load(&endless), Err(ConfigError::TooLong { .. })));
    }
}
