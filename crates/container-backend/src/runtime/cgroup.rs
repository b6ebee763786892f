//! Control groups: whether this host has usable ones, found out by trying.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::mount::{MntFlags, umount2};
use nix::sys::signal::{Signal, kill};
use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, FsType, statfs};
use nix::unistd::{AccessFlags, Pid, access};
use scomo_core::spec::Resources;

use super::blueprint::has_limits;
use crate::error::Error;

/// How long killed processes may take to leave their group.
const SWEEP_WAIT: Duration = Duration::from_secs(10);
/// How often they are looked for.
const SWEEP_CHECK: Duration = Duration::from_millis(5);
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
    let hierarchies = hierarchies().map_err(|e| format!("cannot list {ROOT}: {e}"))?;
    for needed in needed(resources).iter().chain(&["devices"]) {
        if !hierarchies.iter().any(|path| path.ends_with(needed)) {
            return Err(format!("there is no control group hierarchy '{needed}'"));
        }
    }
    hierarchies.iter().try_for_each(|hierarchy| create(&hierarchy.join(group)))
}

/// Ends every process that is left in the groups of a component, and removes the groups; the parent too, when it was
/// the last one. Whatever the OCI runtime forgot: a process in these groups is the component's.
pub(crate) fn sweep(group: &str, name: &str) {
    let mut roots = vec![PathBuf::from(ROOT)];
    roots.extend(hierarchies().unwrap_or_default());
    for parent in roots.into_iter().map(|root| root.join(group)) {
        let own = parent.join(name);
        let deadline = Instant::now() + SWEEP_WAIT;
        // Refused as long as there are processes in it.
        while fs::remove_dir(&own).is_err_and(|e| e.kind() == io::ErrorKind::ResourceBusy) {
            if Instant::now() >= deadline {
                tracing::warn!("the control group {} cannot be emptied", own.display());
                break;
            }
            for pid in fs::read_to_string(own.join("cgroup.procs")).unwrap_or_default().lines() {
                if let Some(pid) = pid.parse::<i32>().ok().filter(|pid| *pid > 1) {
                    let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
                }
            }
            std::thread::sleep(SWEEP_CHECK);
        }
        let _ = fs::remove_dir(parent);
    }
}

fn hierarchies() -> io::Result<Vec<PathBuf>> {
    let paths = fs::read_dir(ROOT)?.flatten().map(|entry| entry.path());
    Ok(paths.filter(|path| kind(path) == Some(CGROUP1)).collect())
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
        // It may be there from before and the file system read-only by now.
        _ => access(path, AccessFlags::W_OK).map_err(|e| format!("cannot write to {}: {e}", path.display())),
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
