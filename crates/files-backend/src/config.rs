//! The configuration section `files`, and the whole of what a file set worker is told.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use scomo_core::failure::{Failure, FailureKind};
use scomo_core::id::ComponentId;
use scomo_engine::worker;
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// Section `files` of the configuration: where file sets are, and what packages may have of the host.
///
/// ```toml
/// [files]
/// files_dir = "/var/lib/scomo/files"
/// allowed_links = ["/etc/ssl/scomo"]   # below these a package may put its link
/// allow_reload = false                 # true: a package may run any program as root
///
/// [files.reload]                       # these a package may run by name
/// nginx = ["systemctl", "reload", "nginx"]
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Config {
    /// Where the link of each component is, under the component's id. Without it: `files` in the state folder.
    pub files_dir: Option<PathBuf>,
    /// Folders below which packages may have links to their files. Empty: none.
    pub allowed_links: Vec<PathBuf>,
    /// Whether packages may run programs of their choice on the host, as root: to reload services and check health.
    pub allow_reload: bool,
    /// Commands that packages may run by name, whatever `allow_reload` says: a program and its arguments.
    pub reload: BTreeMap<String, Vec<String>>,
}

impl Config {
    /// What is run for a `command` of a package: one word without a slash names an entry of [`Self::reload`].
    pub(crate) fn command<'a>(
        &'a self,
        component: &ComponentId,
        command: &'a [String],
    ) -> Result<&'a [String], Error> {
        let refused =
            |what: String, option| Err(Error::NotAllowed { component: component.clone(), what, option });
        match command {
            [] => Ok(command),
            [name] if !name.contains('/') => match self.reload.get(name) {
                Some(command) => Ok(command),
                None => refused(format!("to run '{name}', which has no entry"), "files.reload"),
            },
            [program, ..] if !self.allow_reload => {
                refused(format!("to run '{program}' on the host"), "files.allow_reload")
            }
            _ => Ok(command),
        }
    }

    fn check(&self) -> Result<(), String> {
        for (name, path) in self
            .files_dir
            .iter()
            .map(|path| ("files_dir", path))
            .chain(self.allowed_links.iter().map(|path| ("allowed_links", path)))
        {
            if !is_plain(path) {
                return Err(format!(
                    "files.{name}: '{}' is not an absolute path without '..'",
                    path.display()
                ));
            }
        }
        for (name, command) in &self.reload {
            if name.is_empty() || name.contains('/') || command.is_empty() {
                return Err(format!("files.reload: '{name}' needs a name without '/' and a command"));
            }
        }
        Ok(())
    }
}

/// Whether a path is absolute and every part of it is a name.
pub(crate) fn is_plain(path: &Path) -> bool {
    let mut parts = path.components();
    // Comparing with the rebuilt path finds `//`, `/./` and a slash at the end.
    parts.next() == Some(Component::RootDir)
        && parts.all(|part| matches!(part, Component::Normal(_)))
        && path.components().collect::<PathBuf>().as_os_str() == path.as_os_str()
}

/// What a file set worker is told.
#[derive(Debug, Clone, Deserialize)]
pub struct Settings {
    /// Where everything durable is; absolute.
    pub state_dir: PathBuf,
    /// Section `package`.
    #[serde(default)]
    pub package: scomo_package::Config,
    /// Section `files`.
    #[serde(default)]
    pub files: Config,
}

impl Settings {
    /// Reads the configuration of a worker's job.
    pub fn from_job(config: serde_json::Value) -> Result<Self, Failure> {
        let settings: Self = worker::settings(&config)?;
        if !is_plain(&settings.state_dir) {
            let problem = format!("'{}' is no absolute path without '..'", settings.state_dir.display());
            return Err(worker::wrong_setting("state_dir", problem));
        }
        settings.files.check().map_err(|what| Failure::new(FailureKind::Broken, what))?;
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn settings_are_checked() {
        let good = json!({"state_dir": "/s", "runtime_dir": "/r", "container": {"x": 1}, "files": {
            "files_dir": "/srv/files", "allowed_links": ["/etc/ssl/scomo"], "reload": {"nginx": ["systemctl", "reload", "nginx"]},
        }});
        let settings = Settings::from_job(good).expect("good settings");
        assert!(!settings.files.allow_reload);
        for bad in [
            json!({}),
            json!({"state_dir": "s"}),
            json!({"state_dir": "/s", "files": {"file_dir": "/"}}),
            json!({"state_dir": "/s", "files": {"files_dir": "files"}}),
            json!({"state_dir": "/s", "files": {"allowed_links": ["/etc/../x"]}}),
            json!({"state_dir": "/s", "files": {"allowed_links": ["/etc/"]}}),
            json!({"state_dir": "/s", "files": {"reload": {"a/b": ["x"]}}}),
            json!({"state_dir": "/s", "files": {"reload": {"a": []}}}),
        ] {
            let failure = Settings::from_job(bad.clone()).expect_err(&bad.to_string());
            assert_eq!(failure.kind, FailureKind::Broken);
        }
    }

    #[test]
    fn a_command_needs_an_entry_or_permission() {
        let words = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Vec<String>>();
        let id = ComponentId::new("web").expect("id");
        let mut config = Config::default();
        config.reload.insert("nginx".to_owned(), words(&["systemctl", "reload", "nginx"]));
        let run = |config: &Config, command: &[&str]| {
            let command = words(command);
            config.command(&id, &command).map(<[String]>::to_vec).map_err(|e| e.to_string())
        };
        assert_eq!(run(&config, &[]), Ok(Vec::new()));
        assert_eq!(run(&config, &["nginx"]), Ok(words(&["systemctl", "reload", "nginx"])));
        assert!(run(&config, &["apache"]).unwrap_err().contains("files.reload"));
        for command in [&["nginx", "-s", "stop"][..], &["/bin/sh"], &["systemctl", "reboot"]] {
            assert!(run(&config, command).unwrap_err().contains("files.allow_reload"));
        }
        config.allow_reload = true;
        assert_eq!(run(&config, &["/bin/sh"]), Ok(words(&["/bin/sh"])));
        assert!(run(&config, &["reboot"]).unwrap_err().contains("files.reload"), "a word alone is a name");
    }
}
