//! What is to run, worked out from a release and its image: every rule is checked here, before anything is stopped.
//!
//! A package is trusted to be what its signer meant, not to be allowed everything: what reaches out of the container
//! (host folders, devices, capabilities) must be allowed by the configuration of the device.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use scomo_core::spec::{Mount, Network, Release, Resources};
use serde::{Deserialize, Serialize};

use super::oci::ImageConfig;
use super::user::{Identity, UserError, look_up};
use crate::config::Config;
use crate::error::Error;

/// Capabilities that root in a container has: enough to set up its own files and to become somebody else. Not among
/// them, though usual elsewhere: raw sockets (`NET_RAW`: forging packets), device nodes (`MKNOD`), `SETFCAP`,
/// `SETPCAP`, `SYS_CHROOT`, `AUDIT_WRITE`.
pub(crate) const DEFAULT_CAPABILITIES: [&str; 8] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_NET_BIND_SERVICE",
    "CAP_SETGID",
    "CAP_SETUID",
];
/// Longest argument or environment variable, as the kernel has it.
const STRING_BYTES_MAX: usize = 128 * 1024;
/// Most arguments or variables of an image together with those of the release.
const STRINGS_MAX: usize = 4096;
/// Longest path, as the kernel has it.
const PATH_BYTES_MAX: usize = 4095;
/// Longest volume name.
const VOLUME_BYTES_MAX: usize = 128;
/// Longest host name, as the kernel has it.
const HOSTNAME_BYTES_MAX: usize = 63;
/// Where programs are when the image does not say.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// What the image and packages cannot mount over: it is ours, and part of the fence.
const OURS: [&str; 3] = ["/proc", "/sys", "/dev"];
/// `SIGRTMIN` as programs see it.
const REALTIME_MIN: i32 = 34;
const REALTIME_MAX: i32 = 64;
const SIGTERM: i32 = 15;

/// What packages may have of the host.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Policy {
    pub(crate) host_paths: Vec<PathBuf>,
    pub(crate) devices: Vec<String>,
    pub(crate) capabilities: Vec<String>,
}

impl Policy {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            host_paths: config.host_paths.clone(),
            devices: config.devices.clone(),
            capabilities: config.capabilities.clone(),
        }
    }
}

/// A mount whose source is known by kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bind {
    pub(crate) source: BindSource,
    pub(crate) target: String,
    pub(crate) read_only: bool,
}

/// Where a mount comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BindSource {
    /// A volume of the component.
    Volume(String),
    /// A path of the host, checked by name only.
    Host(PathBuf),
}

/// All there is to know for running a component, but for what the host has at that moment.
#[derive(Debug, Clone)]
pub(crate) struct Blueprint {
    pub(crate) identity: Identity,
    pub(crate) args: Vec<String>,
    pub(crate) env: Vec<String>,
    pub(crate) working_dir: String,
    pub(crate) hostname: String,
    /// Parents before children.
    pub(crate) binds: Vec<Bind>,
    pub(crate) devices: Vec<String>,
    /// All that it has.
    pub(crate) capabilities: Vec<String>,
    /// Those beyond the default set.
    pub(crate) extra_capabilities: Vec<String>,
    pub(crate) host_network: bool,
    pub(crate) read_only: bool,
    pub(crate) resources: Resources,
    pub(crate) stop_signal: i32,
}

impl Blueprint {
    /// Works out how to run `release`, whose image is at `rootfs`.
    pub(crate) fn draw(
        release: &Release,
        image: &ImageConfig,
        rootfs: &Path,
        policy: &Policy,
    ) -> Result<Self, Error> {
        let rules = Rules { release, policy };
        let run = &release.spec.run;
        let user =
            if run.user.is_empty() { image.user.as_deref().unwrap_or_default() } else { run.user.as_str() };
        let identity = rules.identity(rootfs, user)?;
        let (capabilities, extra_capabilities) = rules.capabilities()?;
        Ok(Self {
            args: rules.args(image)?,
            env: rules.env(image, &identity)?,
            working_dir: rules.working_dir(image)?,
            hostname: hostname(release.spec.id.as_str()),
            binds: rules.binds()?,
            devices: rules.devices()?,
            capabilities,
            extra_capabilities,
            host_network: run.network == Network::Host,
            read_only: run.read_only,
            resources: run.resources.clone(),
            stop_signal: rules.stop_signal(image)?,
            identity,
        })
    }
}

/// Whether any limit is asked for.
pub(crate) fn has_limits(resources: &Resources) -> bool {
    *resources != Resources::default()
}

struct Rules<'a> {
    release: &'a Release,
    policy: &'a Policy,
}

impl Rules<'_> {
    fn refuse<T>(&self, reason: impl Into<String>) -> Result<T, Error> {
        Err(Error::refused(&self.release.spec.id, reason))
    }

    fn not_allowed<T>(&self, what: String, option: &'static str) -> Result<T, Error> {
        Err(Error::NotAllowed { component: self.release.spec.id.clone(), what, option })
    }

    fn identity(&self, rootfs: &Path, user: &str) -> Result<Identity, Error> {
        if user.len() > 255 || user.chars().any(char::is_control) {
            return self.refuse("the user is not a name or number");
        }
        let identity = match look_up(rootfs, user) {
            Ok(identity) => identity,
            Err(UserError::Unknown(reason)) => return self.refuse(reason),
            Err(UserError::Read(error)) => return Err(error),
        };
        // To the kernel the highest number means "no change": the process would stay root.
        if identity.uid == u32::MAX || identity.gid == u32::MAX || identity.groups.contains(&u32::MAX) {
            return self.refuse(format!("{} is not a user or group number", u32::MAX));
        }
        Ok(identity)
    }

    fn args(&self, image: &ImageConfig) -> Result<Vec<String>, Error> {
        let run = &self.release.spec.run;
        let args: Vec<String> = if run.args.is_empty() {
            image.entrypoint.iter().flatten().chain(image.cmd.iter().flatten()).cloned().collect()
        } else {
            run.args.clone()
        };
        if args.first().is_none_or(String::is_empty) {
            return self.refuse("the image names no command; set run.args");
        }
        self.check_strings("arguments", &args)?;
        Ok(args)
    }

    fn env(&self, image: &ImageConfig, identity: &Identity) -> Result<Vec<String>, Error> {
        let mut env = BTreeMap::from([("PATH".to_owned(), PATH.to_owned())]);
        env.insert("HOME".to_owned(), identity.home.clone().unwrap_or_else(|| "/".to_owned()));
        for variable in image.env.iter().flatten() {
            match variable.split_once('=') {
                Some((name, value)) if !name.is_empty() => env.insert(name.to_owned(), value.to_owned()),
                _ => return self.refuse("the image has an environment variable without name or value"),
            };
        }
        for (name, value) in &self.release.spec.run.env {
            if name.is_empty() || name.contains('=') {
                return self.refuse(format!("'{name}' cannot be the name of an environment variable"));
            }
            env.insert(name.clone(), value.clone());
        }
        let env: Vec<String> = env.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        self.check_strings("environment variables", &env)?;
        Ok(env)
    }

    fn check_strings(&self, what: &str, strings: &[String]) -> Result<(), Error> {
        if strings.len() > STRINGS_MAX {
            return self.refuse(format!("there are more than {STRINGS_MAX} {what}"));
        }
        if strings.iter().any(|s| s.len() > STRING_BYTES_MAX) {
            return self.refuse(format!("one of the {what} is longer than {STRING_BYTES_MAX} bytes"));
        }
        if strings.iter().any(|s| s.contains('\0')) {
            return self.refuse(format!("one of the {what} has a NUL byte in it"));
        }
        Ok(())
    }

    fn working_dir(&self, image: &ImageConfig) -> Result<String, Error> {
        let run = &self.release.spec.run;
        let folder = if run.working_dir.is_empty() {
            image.working_dir.as_deref().unwrap_or_default()
        } else {
            &run.working_dir
        };
        let folder = if folder.is_empty() { "/" } else { folder };
        if !is_plain(folder) {
            return self.refuse(format!("the working folder '{}' is not an absolute path", shorten(folder)));
        }
        Ok(folder.to_owned())
    }

    fn binds(&self) -> Result<Vec<Bind>, Error> {
        let mut targets = BTreeSet::new();
        let mut binds = Vec::new();
        for mount in &self.release.spec.run.mounts {
            let target = self.target(mount)?;
            if !targets.insert(target.clone()) {
                return self.refuse(format!("two mounts have the target '{}'", shorten(&target)));
            }
            binds.push(Bind { source: self.source(mount)?, target, read_only: mount.read_only });
        }
        binds.sort_by_key(|bind| bind.target.matches('/').count());
        Ok(binds)
    }

    fn target(&self, mount: &Mount) -> Result<String, Error> {
        let shown = shorten(&mount.target);
        if !is_plain(&mount.target) {
            return self.refuse(format!("the mount target '{shown}' is not an absolute path without '..'"));
        }
        let target: PathBuf = Path::new(&mount.target).components().collect();
        if target == Path::new("/") || OURS.iter().any(|ours| target.starts_with(ours)) {
            return self.refuse(format!("nothing can be mounted on '{shown}'; use another target"));
        }
        Ok(target.to_string_lossy().into_owned())
    }

    fn source(&self, mount: &Mount) -> Result<BindSource, Error> {
        let source = mount.source.as_str();
        if source.starts_with('/') {
            return self.host_path(source);
        }
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let named = !source.is_empty() && !source.starts_with('.') && source.chars().all(good);
        if !named || source.len() > VOLUME_BYTES_MAX {
            return self.refuse(format!(
                "'{}' is neither a volume name (letters, digits, '.', '_', '-') nor an absolute path",
                shorten(source)
            ));
        }
        Ok(BindSource::Volume(source.to_owned()))
    }

    fn host_path(&self, source: &str) -> Result<BindSource, Error> {
        if !is_plain(source) {
            return self.refuse(format!("the host path '{}' is not absolute without '..'", shorten(source)));
        }
        let path: PathBuf = Path::new(source).components().collect();
        if !is_below(&path, &self.policy.host_paths) {
            let what = format!("to mount the host path '{}'", shorten(source));
            return self.not_allowed(what, "container.host_paths");
        }
        Ok(BindSource::Host(path))
    }

    fn devices(&self) -> Result<Vec<String>, Error> {
        let mut devices = BTreeSet::new();
        for device in &self.release.spec.run.devices {
            if !is_plain(device) || !device.starts_with("/dev/") || device.ends_with('/') {
                return self.refuse(format!("'{}' is not a device below /dev", shorten(device)));
            }
            if !self.policy.devices.iter().any(|pattern| fits(device, pattern)) {
                let what = format!("to use the device '{}'", shorten(device));
                return self.not_allowed(what, "container.devices");
            }
            devices.insert(device.clone());
        }
        Ok(devices.into_iter().collect())
    }

    /// All, and those beyond the default.
    fn capabilities(&self) -> Result<(Vec<String>, Vec<String>), Error> {
        let mut extra = BTreeSet::new();
        for capability in &self.release.spec.run.capabilities {
            if DEFAULT_CAPABILITIES.contains(&capability.as_str()) {
                continue;
            }
            let letters = |c: char| c.is_ascii_uppercase() || c == '_';
            let named =
                capability.strip_prefix("CAP_").is_some_and(|c| !c.is_empty() && c.chars().all(letters));
            if !named {
                return self.refuse(format!("'{}' is not a capability", shorten(capability)));
            }
            if !self.policy.capabilities.contains(capability) {
                let what = format!("to have {}", shorten(capability));
                return self.not_allowed(what, "container.capabilities");
            }
            extra.insert(capability.clone());
        }
        let default = DEFAULT_CAPABILITIES.iter().map(|name| (*name).to_owned());
        Ok((default.chain(extra.iter().cloned()).collect(), extra.into_iter().collect()))
    }

    fn stop_signal(&self, image: &ImageConfig) -> Result<i32, Error> {
        match image.stop_signal.as_deref() {
            None | Some("") => Ok(SIGTERM),
            Some(text) => match parse_signal(text) {
                Some(signal) => Ok(signal),
                None => self.refuse(format!("the image's stop signal '{}' is none", shorten(text))),
            },
        }
    }
}

/// An absolute path without `..` or control characters, and not too long.
fn is_plain(path: &str) -> bool {
    let parts_are_names =
        Path::new(path).components().all(|c| matches!(c, Component::RootDir | Component::Normal(_)));
    path.starts_with('/')
        && parts_are_names
        && path.len() <= PATH_BYTES_MAX
        && !path.chars().any(char::is_control)
}

/// Whether `path` is one of `folders` or below one.
pub(crate) fn is_below(path: &Path, folders: &[PathBuf]) -> bool {
    folders.iter().any(|folder| folder.is_absolute() && path.starts_with(folder))
}

/// Whether a device has the name, or its last part begins as the pattern says.
fn fits(device: &str, pattern: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => device.strip_prefix(start).is_some_and(|rest| !rest.is_empty() && !rest.contains('/')),
        None => device == pattern,
    }
}

fn parse_signal(text: &str) -> Option<i32> {
    if let Ok(number) = text.parse::<i32>() {
        return (1..=REALTIME_MAX).contains(&number).then_some(number);
    }
    let name = text.strip_prefix("SIG").unwrap_or(text);
    if let Some(offset) = name.strip_prefix("RTMIN") {
        let offset = if offset.is_empty() { 0 } else { offset.strip_prefix('+')?.parse::<i32>().ok()? };
        return REALTIME_MIN.checked_add(offset).filter(|n| (REALTIME_MIN..=REALTIME_MAX).contains(n));
    }
    let signal: nix::sys::signal::Signal = format!("SIG{name}").parse().ok()?;
    Some(signal as i32)
}

/// A host name made of a component id.
fn hostname(id: &str) -> String {
    let good = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let name: String = id.chars().map(good).take(HOSTNAME_BYTES_MAX).collect();
    let name = name.trim_matches('-');
    if name.is_empty() { "component".to_owned() } else { name.to_owned() }
}

/// A text from outside, cut and printable.
pub(crate) fn shorten(text: &str) -> String {
    const SHOWN_MAX: usize = 120;
    text.chars().filter(|c| !c.is_control()).take(SHOWN_MAX).collect()
}

#[cfg(test)]
mod tests;
