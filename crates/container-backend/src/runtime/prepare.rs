//! What a container needs of the host right before it starts: mounts, volumes, devices, and the specification that
//! names them. Called in a mount namespace of the caller's own; what is mounted goes with it.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use nix::libc;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::stat::{major, minor};
use scomo_core::spec::Resources;

use super::blueprint::{Bind, BindSource, Blueprint, is_below};
use super::cgroup::Manager;
use super::oci::{
    Capabilities, Cpu, Device, DeviceRule, Linux, LinuxResources, Memory, Namespace, Pids, Process, Root,
    Spec, SpecMount, User,
};
use super::places::ComponentPlace;
use super::seccomp;
use super::state::Plan;
use crate::error::{Context, Error};
use scomo_store::files::{self, Durability};

/// The period of a processor limit in microseconds, the kernel's default.
const CPU_PERIOD_US: u64 = 100_000;
/// Smallest quota that the kernel takes.
const CPU_QUOTA_US_MIN: u64 = 1000;
/// What shows the host or changes it, although the file systems are needed.
const MASKED: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/sysrq-trigger",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];
const READ_ONLY: [&str; 4] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys"];
/// Files of the host that make names resolve, for components on the host's network.
const RESOLVING: [&str; 2] = ["/etc/resolv.conf", "/etc/hosts"];

/// Mounts everything and writes the bundle.
pub(crate) fn prepare(
    plan: &Plan,
    blueprint: &Blueprint,
    manager: &Manager,
    place: &ComponentPlace,
) -> Result<(), Error> {
    let root = mount_root(plan, blueprint.read_only, place)?;
    let mut binds = Vec::new();
    for (index, bind) in blueprint.binds.iter().enumerate() {
        let source = match &bind.source {
            BindSource::Volume(name) => volume(plan, name, blueprint)?,
            BindSource::Host(path) => host_path(plan, path, &place.mounts().join(index.to_string()))?,
        };
        binds.push((bind, source));
    }
    let devices = blueprint.devices.iter().map(|path| device(plan, path)).collect::<Result<Vec<_>, _>>()?;
    let spec = document(blueprint, manager, &root, &binds, devices);
    files::create_private(&place.bundle())?;
    Ok(files::write_json(&place.bundle().join("config.json"), &spec, Durability::Volatile)?)
}

/// The process of a health check: as the component's own, with other arguments.
pub(crate) fn process(blueprint: &Blueprint, args: &[String]) -> Process {
    let identity = &blueprint.identity;
    let all = blueprint.capabilities.clone();
    let extra = blueprint.extra_capabilities.clone();
    let capabilities = if identity.uid == 0 {
        Capabilities {
            bounding: all.clone(),
            effective: all.clone(),
            permitted: all,
            inheritable: Vec::new(),
            ambient: Vec::new(),
        }
    } else {
        // Somebody else than root loses all at the exec, but for the ambient ones: those that were asked for.
        Capabilities {
            bounding: all,
            effective: extra.clone(),
            permitted: extra.clone(),
            inheritable: extra.clone(),
            ambient: extra,
        }
    };
    Process {
        terminal: false,
        user: User { uid: identity.uid, gid: identity.gid, additional_gids: identity.groups.clone() },
        args: args.to_vec(),
        env: blueprint.env.clone(),
        cwd: blueprint.working_dir.clone(),
        capabilities,
        no_new_privileges: true,
    }
}

/// Mounts the image with an empty layer for writing over it. The image itself is never writable: its files are
/// shared with other images.
fn mount_root(plan: &Plan, read_only: bool, place: &ComponentPlace) -> Result<PathBuf, Error> {
    let root = place.rootfs();
    files::create_private(&root)?;
    // From the life before this one.
    for point in [&root, &plan.scratch] {
        while umount2(point, MntFlags::MNT_DETACH).is_ok() {}
    }
    files::remove_tree(&plan.scratch)?;
    files::create_private(&plan.scratch)?;
    if read_only {
        // Room for the mount points that the image lacks, in memory; the container sees it read-only.
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
        mount(Some("tmpfs"), &plan.scratch, Some("tmpfs"), flags, Some("size=1m,mode=0700"))
            .context("mount a tmpfs on", &plan.scratch)?;
    }
    let (upper, work) = (plan.scratch.join("upper"), plan.scratch.join("work"));
    for folder in [&upper, &work] {
        files::create_private(folder)?;
    }
    // The upper folder's mode and owner are those of the container's root folder.
    let image = fs::metadata(&plan.rootfs).context("look at", &plan.rootfs)?;
    chown(&upper, Some(image.uid()), Some(image.gid())).context("change the owner of", &upper)?;
    fs::set_permissions(&upper, fs::Permissions::from_mode(image.mode() & 0o7777))
        .context("change", &upper)?;
    let layers = format!(
        "lowerdir={},upperdir={},workdir={},redirect_dir=nofollow,metacopy=off,index=off",
        escape_option(&plan.rootfs)?,
        escape_option(&upper)?,
        escape_option(&work)?
    );
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    let overlay = |options: &str| mount(Some("overlay"), &root, Some("overlay"), flags, Some(options));
    // Volatile: nothing of it is ever needed after a crash, so it need not wait for the disk. Kernels before 5.10
    // do not know that.
    overlay(&format!("{layers},volatile"))
        .or_else(|_| overlay(&layers))
        .context("mount an overlay on", &root)?;
    Ok(root)
}

fn escape_option(path: &Path) -> Result<String, Error> {
    let text = path.to_str().ok_or_else(|| {
        Error::tool("mounting the image", format!("the path {} is not UTF-8", path.display()))
    })?;
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '\\' | ':' | ',') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    Ok(escaped)
}

/// The folder of a volume; made for the component's user when it is new.
fn volume(plan: &Plan, name: &str, blueprint: &Blueprint) -> Result<PathBuf, Error> {
    let folder = plan.volumes.join(name);
    if folder.is_dir() {
        return Ok(folder);
    }
    files::create_private(&plan.volumes)?;
    // No volume's name begins with a dot.
    let new = plan.volumes.join(format!(".new-{name}"));
    files::remove_tree(&new)?;
    files::create_private(&new)?;
    chown(&new, Some(blueprint.identity.uid), Some(blueprint.identity.gid))
        .context("change the owner of", &new)?;
    fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).context("change", &new)?;
    fs::rename(&new, &folder).context("create", &folder)?;
    files::sync_folder(&plan.volumes)?;
    Ok(folder)
}

/// Binds a host path to a place that only we see. What is bound is what was looked at, whatever its name leads to by
/// the time the OCI runtime mounts it.
fn host_path(plan: &Plan, path: &Path, point: &Path) -> Result<PathBuf, Error> {
    let file = File::options()
        .read(true)
        .custom_flags(libc::O_PATH | libc::O_CLOEXEC)
        .open(path)
        .context("open", path)?;
    let handle = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
    let real = fs::read_link(&handle).context("look at", path)?;
    let allowed: Vec<PathBuf> = plan.policy.host_paths.iter().flat_map(|p| p.canonicalize()).collect();
    if !is_below(&real, &allowed) {
        let what = format!("to mount '{}', which leads to '{}'", path.display(), real.display());
        let component = plan.release.spec.id.clone();
        return Err(Error::NotAllowed { component, what, option: "container.host_paths" });
    }
    remove_mount_point(point)?;
    if file.metadata().context("look at", path)?.is_dir() {
        files::create_private(point)?;
    } else {
        point.parent().map_or(Ok(()), files::create_private)?;
        File::create(point).context("create", point)?;
    }
    mount(Some(&handle), point, None::<&str>, MsFlags::MS_BIND, None::<&str>).context("bind", path)?;
    Ok(point.to_owned())
}

/// Removes what was a mount point in another mount namespace or life: an empty file or folder.
fn remove_mount_point(path: &Path) -> Result<(), Error> {
    while umount2(path, MntFlags::MNT_DETACH).is_ok() {}
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir(path).context("remove", path),
        Ok(_) => fs::remove_file(path).context("remove", path),
        Err(_) => Ok(()),
    }
}

fn device(plan: &Plan, path: &str) -> Result<Device, Error> {
    let component = &plan.release.spec.id;
    let metadata = fs::metadata(path).map_err(|e| Error::Start {
        component: component.clone(),
        message: format!("the device {path} cannot be used: {e}"),
        by_package: false,
    })?;
    let kind = metadata.file_type();
    let kind = if kind.is_char_device() {
        "c"
    } else if kind.is_block_device() {
        "b"
    } else {
        return Err(Error::refused(component, format!("{path} is not a device")));
    };
    Ok(Device {
        path: path.to_owned(),
        kind,
        major: major(metadata.rdev()),
        minor: minor(metadata.rdev()),
        file_mode: metadata.mode() & 0o777,
        uid: metadata.uid(),
        gid: metadata.gid(),
    })
}

fn document(
    blueprint: &Blueprint,
    manager: &Manager,
    root: &Path,
    binds: &[(&Bind, PathBuf)],
    devices: Vec<Device>,
) -> Spec {
    let mut process = process(blueprint, &blueprint.args);
    if blueprint.identity.uid != 0 {
        // Device nodes belong to groups; whoever may use the device must be able to open it.
        process.user.additional_gids.extend(devices.iter().map(|d| d.gid).filter(|gid| *gid != 0));
        process.user.additional_gids.sort_unstable();
        process.user.additional_gids.dedup();
    }
    let mut namespaces = vec!["pid", "ipc", "uts", "mount"];
    if !blueprint.host_network {
        namespaces.push("network");
    }
    let (cgroups_path, resources) = match manager {
        Manager::Cgroupfs(path) => (Some(path.clone()), Some(resources(&blueprint.resources, &devices))),
        Manager::Disabled => (None, None),
    };
    Spec {
        oci_version: "1.0.2",
        root: Root { path: root.to_string_lossy().into_owned(), readonly: blueprint.read_only },
        process,
        hostname: blueprint.hostname.clone(),
        mounts: mounts(blueprint, binds),
        linux: Linux {
            namespaces: namespaces.into_iter().map(|kind| Namespace { kind }).collect(),
            cgroups_path,
            devices,
            resources,
            seccomp: seccomp::profile(&blueprint.capabilities),
            masked_paths: MASKED.to_vec(),
            readonly_paths: READ_ONLY.to_vec(),
        },
    }
}

fn mounts(blueprint: &Blueprint, binds: &[(&Bind, PathBuf)]) -> Vec<SpecMount> {
    let special = |destination: &str, kind: &'static str, options: &str| SpecMount {
        destination: destination.to_owned(),
        kind,
        source: kind.to_owned(),
        options: options.split(',').map(str::to_owned).collect(),
    };
    let mut mounts = vec![
        special("/proc", "proc", "nosuid,noexec,nodev"),
        special("/dev", "tmpfs", "nosuid,noexec,strictatime,mode=755,size=64k"),
        special("/dev/pts", "devpts", "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620"),
        special("/dev/shm", "tmpfs", "nosuid,noexec,nodev,mode=1777,size=64m"),
        special("/dev/mqueue", "mqueue", "nosuid,noexec,nodev"),
        special("/sys", "sysfs", "nosuid,noexec,nodev,ro"),
    ];
    let is_target = |target: &str| binds.iter().any(|(bind, _)| bind.target == target);
    if blueprint.read_only {
        for (target, mode) in [("/tmp", "1777"), ("/run", "755")] {
            if !is_target(target) {
                mounts.push(special(target, "tmpfs", &format!("nosuid,nodev,mode={mode},size=64m")));
            }
        }
    }
    let bind = |source: &str, target: &str, read_only: bool| SpecMount {
        destination: target.to_owned(),
        kind: "bind",
        source: source.to_owned(),
        options: ["bind", "rprivate", "nosuid", "nodev", if read_only { "ro" } else { "rw" }]
            .map(str::to_owned)
            .to_vec(),
    };
    if blueprint.host_network {
        let resolving = RESOLVING.iter().filter(|path| !is_target(path));
        let real = resolving.filter_map(|path| Some((path, fs::canonicalize(path).ok()?)));
        mounts.extend(real.map(|(path, real)| bind(&real.to_string_lossy(), path, true)));
    }
    mounts.extend(binds.iter().map(|(b, source)| bind(&source.to_string_lossy(), &b.target, b.read_only)));
    mounts
}

fn resources(limits: &Resources, devices: &[Device]) -> LinuxResources {
    let mut rules = vec![DeviceRule { allow: false, kind: None, major: None, minor: None, access: "rwm" }];
    rules.extend(devices.iter().map(|device| DeviceRule {
        allow: true,
        kind: Some(device.kind),
        major: Some(device.major),
        minor: Some(device.minor),
        access: "rw",
    }));
    let quota = |percent: u64| percent.saturating_mul(CPU_PERIOD_US / 100).max(CPU_QUOTA_US_MIN);
    let asked = |limit: u64| (limit > 0).then_some(limit);
    LinuxResources {
        devices: rules,
        memory: asked(limits.memory_bytes).map(|limit| Memory { limit }),
        pids: asked(limits.pids).map(|limit| Pids { limit }),
        cpu: asked(limits.cpu_percent).map(|percent| Cpu { quota: quota(percent), period: CPU_PERIOD_US }),
    }
}
