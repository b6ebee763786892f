//! Control groups: whether this host has usable ones, found out by trying.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, umount2};
use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, FsType, statfs};
use scomo_core::spec::Resources;

use super::blueprint::has_limits;
use crate::error::Error;

const ROOT: &str = "/sys/fs/cgroup";
/// `CGROUP_SUPER_MAGIC`, which the library does not have.
const CGROUP1: FsType = FsType(0x0027_e0eb);

/// Who makes control groups for a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Manager {
    /// The OCI runtime, at this path.
    Cgroupfs(String),
    /// Nobody: they cannot be had, or somebody else does.
    Disabled,
}

/// Takes the second hierarchy of a hybrid host out of the caller's own mount namespace: crun refuses hybrid hosts,
/// and what is left is a plain version 1.
pub(crate) fn hide_hybrid() -> io::Result<()> {
    let unified = Path::new(ROOT).join("unified");
    if kind(&unified) == Some(CGROUP2_SUPER_MAGIC) && kind(Path::new(ROOT)) != Some(CGROUP2_SUPER_MAGIC) {
        umount2(&unified, MntFlags::MNT_DETACH)?;
    }
    Ok(())
}

/// Decides for a component. `group` is the name of the parent group of all our components. The text says why nothing
/// can be had, when limits are not asked for anyway.
pub(crate) fn manager(
    group: &str,
    name: &str,
    resources: &Resources,
) -> Result<(Manager, Option<String>), Error> {
    match usable(group, resources) {
        Ok(()) => Ok((Manager::Cgroupfs(format!("/{group}/{name}")), None)),
        Err(why) if has_limits(resources) => Err(Error::NoLimits(why)),
        Err(why) => Ok((Manager::Disabled, Some(why))),
    }
}

fn usable(group: &str, resources: &Resources) -> Result<(), String> {
    let root = Path::new(ROOT);
    if kind(root) == Some(CGROUP2_SUPER_MAGIC) {
        return unified(root, group, resources);
    }
    // Version 1: the OCI runtime makes a group in every hierarchy that is mounted.
    let entries = fs::read_dir(root).map_err(|e| format!("cannot list {ROOT}: {e}"))?;
    let hierarchies: Vec<PathBuf> =
        entries.flatten().map(|entry| entry.path()).filter(|path| kind(path) == Some(CGROUP1)).collect();
    for needed in needed(resources).iter().chain(&["devices"]) {
        if !hierarchies.iter().any(|path| path.ends_with(needed)) {
            return Err(format!("there is no control group hierarchy '{needed}'"));
        }
    }
    hierarchies.iter().try_for_each(|hierarchy| create(&hierarchy.join(group)))
}

fn unified(root: &Path, group: &str, resources: &Resources) -> Result<(), String> {
    create(&root.join(group))?;
    let controls = root.join("cgroup.subtree_control");
    for controller in needed(resources) {
        // Refused where the root is not the real one and has processes of its own, as in a container.
        fs::write(&controls, format!("+{controller}"))
            .map_err(|e| format!("the controller '{controller}' cannot be enabled: {e}"))?;
    }
    Ok(())
}

fn create(path: &Path) -> Result<(), String> {
    match fs::create_dir(path) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
            Err(format!("cannot create {}: {e}", path.display()))
        }
        _ => Ok(()),
    }
}

fn needed(resources: &Resources) -> Vec<&'static str> {
    let wanted =
        [("memory", resources.memory_bytes), ("pids", resources.pids), ("cpu", resources.cpu_percent)];
    wanted.into_iter().filter(|(_, limit)| *limit > 0).map(|(name, _)| name).collect()
}

fn kind(path: &Path) -> Option<FsType> {
    statfs(path).ok().map(|stat| stat.filesystem_type())
}
