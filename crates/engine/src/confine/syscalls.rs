//! System calls that a confined process does not get.
//!
//! A list of what is denied, not of what is allowed: an allow list breaks with every new libc. The capabilities are
//! the stronger fence; this one takes away what needs none, or what a bug in the kernel would make worth more.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    apply_filter,
};

/// Denied with any arguments.
const DENIED: [i64; 47] = [
    // Mounts and namespaces: the way out of the read-only view.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    // Other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_send_signal,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_kcmp,
    // Rich kernel interfaces that parsing does not use and that often had bugs. io_uring also goes around this list.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    // The machine itself.
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_syslog,
];

/// Namespaces that `clone` could make.
const NAMESPACES: [libc::c_int; 6] = [
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUTS,
];

/// What sockets may be: the network, and what the resolver asks the kernel. Not `AF_UNIX`: every service of the
/// system listens there and trusts root.
const FAMILIES: [libc::c_int; 3] = [libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];

/// Installs the filter for the calling thread and all that it starts.
pub(super) fn deny() -> Result<(), String> {
    let own = u64::from(std::process::id());
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = DENIED.iter().map(|call| (*call, Vec::new())).collect();
    let clone = NAMESPACES.iter().map(|flag| rule(&[with_flag(0, bits(*flag))])).collect::<Result<_, _>>()?;
    rules.insert(libc::SYS_clone, clone);
    let socket: Vec<_> = FAMILIES.iter().map(|family| differs(0, bits(*family))).collect();
    rules.insert(libc::SYS_socket, vec![rule(&socket)?]);
    // A signal to oneself is how a process aborts; to others it would stop the daemon.
    rules.insert(libc::SYS_kill, vec![rule(&[differs(0, own), differs(0, 0)])?]);
    rules.insert(libc::SYS_tkill, vec![]);
    rules.insert(libc::SYS_tgkill, vec![rule(&[differs(0, own)])?]);
    // Characters pushed into a terminal are typed into whatever reads it.
    rules.insert(libc::SYS_ioctl, vec![rule(&[equals(1, TIOCSTI)])?]);
    install(rules, libc::EPERM)?;
    // Its flags are in memory where no filter sees them; "no such call" makes the libc use `clone`.
    install(BTreeMap::from([(libc::SYS_clone3, Vec::new())]), libc::ENOSYS)
}

/// `libc::TIOCSTI` has another type on every libc.
const TIOCSTI: u64 = 0x5412;

fn install(rules: BTreeMap<i64, Vec<SeccompRule>>, errno: libc::c_int) -> Result<(), String> {
    let text = |e: &dyn std::fmt::Display| e.to_string();
    let arch = std::env::consts::ARCH.try_into().map_err(|e: seccompiler::BackendError| text(&e))?;
    let deny = SeccompAction::Errno(errno.unsigned_abs());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, deny, arch).map_err(|e| text(&e))?;
    let program: BpfProgram = filter.try_into().map_err(|e: seccompiler::BackendError| text(&e))?;
    apply_filter(&program).map_err(|e| text(&e))
}

type Condition = Result<SeccompCondition, String>;

fn rule(conditions: &[Condition]) -> Result<SeccompRule, String> {
    let conditions = conditions.iter().cloned().collect::<Result<Vec<_>, _>>()?;
    SeccompRule::new(conditions).map_err(|e| e.to_string())
}

fn bits(flag: libc::c_int) -> u64 {
    u64::from(flag.cast_unsigned())
}

fn condition(index: u8, length: SeccompCmpArgLen, operator: SeccompCmpOp, value: u64) -> Condition {
    SeccompCondition::new(index, length, operator, value).map_err(|e| e.to_string())
}

fn with_flag(index: u8, flag: u64) -> Condition {
    condition(index, SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(flag), flag)
}

fn differs(index: u8, value: u64) -> Condition {
    condition(index, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, value)
}

fn equals(index: u8, value: u64) -> Condition {
    condition(index, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)
}
