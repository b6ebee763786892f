//! The default seccomp profile: a list of what is denied.
//!
//! A list of what is allowed breaks with every new libc and kernel, and differs between processors; this list names
//! what a container has no use for: ways into other namespaces, the machine itself, and rich kernel interfaces that
//! had many holes. It is the third fence behind dropped capabilities and namespaces. A call that goes with a
//! capability is allowed when the component was given it.
//!
//! A denied call fails with `EPERM`. `clone3` fails with `ENOSYS`, so that every libc falls back to `clone`, whose
//! flags a filter can see. Names that a processor does not have are skipped by the OCI runtime.

use serde::Serialize;

const EPERM: u32 = 1;
const ENOSYS: u32 = 38;

/// Denied to every component.
const NEVER: [&str; 20] = [
    // Another kernel, or a snapshot of this one.
    "kexec_load",
    "kexec_file_load",
    // Keys are not in a namespace: those of other components and of the host would be in reach.
    "add_key",
    "request_key",
    "keyctl",
    // Often a step in attacks on the kernel, and rarely of use.
    "userfaultfd",
    "io_uring_setup",
    "io_uring_enter",
    "io_uring_register",
    "vmsplice",
    "kcmp",
    // Old and without a user.
    "uselib",
    "nfsservctl",
    "vm86",
    "vm86old",
    "_sysctl",
    "create_module",
    "get_kernel_syms",
    "query_module",
    "lookup_dcookie",
];

/// Denied unless the component has the capability.
const UNLESS: [(&str, &[&str]); 9] = [
    (
        "CAP_SYS_ADMIN",
        &[
            "mount",
            "umount",
            "umount2",
            "pivot_root",
            "move_mount",
            "open_tree",
            "open_tree_attr",
            "fsopen",
            "fsconfig",
            "fsmount",
            "fspick",
            "mount_setattr",
            "setns",
            "unshare",
            "swapon",
            "swapoff",
            "quotactl",
            "quotactl_fd",
            "fanotify_init",
            "bpf",
            "perf_event_open",
        ],
    ),
    ("CAP_DAC_READ_SEARCH", &["open_by_handle_at"]),
    ("CAP_SYS_MODULE", &["init_module", "finit_module", "delete_module"]),
    ("CAP_SYS_BOOT", &["reboot"]),
    ("CAP_SYS_TIME", &["settimeofday", "stime", "clock_settime", "clock_settime64"]),
    ("CAP_SYS_PACCT", &["acct"]),
    ("CAP_SYSLOG", &["syslog"]),
    ("CAP_SYS_RAWIO", &["iopl", "ioperm"]),
    ("CAP_SYS_TTY_CONFIG", &["vhangup"]),
];

/// `CLONE_NEW…`: mount, cgroup, UTS, IPC, user, PID and network namespaces.
const NAMESPACES: [u64; 7] =
    [0x0002_0000, 0x0200_0000, 0x0400_0000, 0x0800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000];

/// `TIOCSTI` and `TIOCLINUX`: typing into a terminal that somebody else reads.
const TERMINAL: [u64; 2] = [0x5412, 0x541c];

/// `AF_ALG` and `AF_VSOCK`: the kernel's cryptography with its many holes, and the host of a virtual machine.
const FAMILIES: [u64; 2] = [38, 40];

/// `linux.seccomp` of the OCI runtime specification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Seccomp {
    default_action: &'static str,
    architectures: Vec<&'static str>,
    syscalls: Vec<Rule>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    names: Vec<&'static str>,
    action: &'static str,
    errno_ret: u32,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    args: Vec<Argument>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Argument {
    index: u32,
    value: u64,
    value_two: u64,
    op: &'static str,
}

/// The profile for a component with these capabilities.
pub(crate) fn profile(capabilities: &[String]) -> Seccomp {
    let has = |name: &str| capabilities.iter().any(|c| c == name);
    let mut syscalls = vec![deny(NEVER.to_vec(), EPERM, Vec::new())];
    for (capability, names) in UNLESS {
        if !has(capability) {
            syscalls.push(deny(names.to_vec(), EPERM, Vec::new()));
        }
    }
    if !has("CAP_SYS_ADMIN") {
        syscalls.push(deny(vec!["clone3"], ENOSYS, Vec::new()));
        syscalls.extend(NAMESPACES.map(|flag| deny(vec!["clone"], EPERM, vec![masked(0, flag, flag)])));
    }
    // The kernel looks at the low half only, so the filter must not look at more.
    let low = |index, value| vec![masked(index, u64::from(u32::MAX), value)];
    syscalls.extend(TERMINAL.map(|request| deny(vec!["ioctl"], EPERM, low(1, request))));
    syscalls.extend(FAMILIES.map(|family| deny(vec!["socket"], EPERM, low(0, family))));
    Seccomp { default_action: "SCMP_ACT_ALLOW", architectures: architectures(), syscalls }
}

/// The machine's own and what else it can run. A process of any other is killed.
fn architectures() -> Vec<&'static str> {
    match std::env::consts::ARCH {
        "x86_64" => vec!["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
        "x86" => vec!["SCMP_ARCH_X86"],
        "aarch64" => vec!["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"],
        "arm" => vec!["SCMP_ARCH_ARM"],
        "riscv64" => vec!["SCMP_ARCH_RISCV64"],
        // None named: the native one.
        _ => Vec::new(),
    }
}

fn deny(names: Vec<&'static str>, errno_ret: u32, args: Vec<Argument>) -> Rule {
    Rule { names, action: "SCMP_ACT_ERRNO", errno_ret, args }
}

fn masked(index: u32, mask: u64, value: u64) -> Argument {
    Argument { index, value: mask, value_two: value, op: "SCMP_CMP_MASKED_EQ" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denies(profile: &Seccomp, name: &str) -> bool {
        profile.syscalls.iter().any(|rule| rule.names.contains(&name))
    }

    #[test]
    fn a_capability_brings_its_calls() {
        let bare = profile(&[]);
        let admin = profile(&["CAP_SYS_ADMIN".to_owned()]);
        for name in ["mount", "unshare", "clone3", "clone"] {
            assert!(denies(&bare, name) && !denies(&admin, name), "{name}");
        }
        for name in ["kexec_load", "keyctl", "reboot", "ioctl", "socket"] {
            assert!(denies(&bare, name) && denies(&admin, name), "{name}");
        }
        assert!(!denies(&bare, "openat"));
    }
}
