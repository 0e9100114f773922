//! Which system calls a script cannot make, and which only seem to work.

use std::collections::BTreeMap;

use nix::libc;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter,
};

use super::failure::Failure;
use super::script::Section;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Calls that reach far into the kernel and that no package needs.
const REFUSED: [i64; 32] = [
    libc::SYS_acct,
    libc::SYS_add_key,
    libc::SYS_adjtimex,
    libc::SYS_bpf,
    libc::SYS_clock_adjtime,
    libc::SYS_clock_settime,
    libc::SYS_delete_module,
    libc::SYS_fanotify_init,
    libc::SYS_finit_module,
    libc::SYS_init_module,
    libc::SYS_kcmp,
    libc::SYS_kexec_file_load,
    libc::SYS_kexec_load,
    libc::SYS_keyctl,
    libc::SYS_lookup_dcookie,
    libc::SYS_mbind,
    libc::SYS_migrate_pages,
    libc::SYS_move_pages,
    libc::SYS_nfsservctl,
    libc::SYS_open_by_handle_at,
    libc::SYS_perf_event_open,
    libc::SYS_quotactl,
    QUOTACTL_FD,
    libc::SYS_reboot,
    libc::SYS_request_key,
    libc::SYS_setdomainname,
    libc::SYS_sethostname,
    libc::SYS_settimeofday,
    libc::SYS_swapoff,
    libc::SYS_swapon,
    libc::SYS_syslog,
    libc::SYS_userfaultfd,
];

const MOUNTING: [i64; 11] = [
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_setns,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_mount_setattr,
];

/// Programs do without these when the kernel does not know them. The flags of `clone3` cannot be
/// seen by a filter.
const UNKNOWN: [i64; 4] = [
    libc::SYS_clone3,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
];

/// Calls that change owners and users, of which a namespace with one id has only one.
const CHANGES_OF_USER: [i64; 11] = [
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setreuid,
    libc::SYS_setregid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_setgroups,
    libc::SYS_setfsuid,
    libc::SYS_setfsgid,
];

/// Not in libc's list for every architecture.
const QUOTACTL_FD: i64 = 443;

#[cfg(target_arch = "x86_64")]
mod old {
    //! Calls that only older architectures have.
    use nix::libc;

    pub(super) const CHANGES_OF_USER: &[i64] = &[libc::SYS_chown, libc::SYS_lchown];
    pub(super) const MKNOD: Option<i64> = Some(libc::SYS_mknod);
    pub(super) const REFUSED: &[i64] = &[
        libc::SYS_ioperm,
        libc::SYS_iopl,
        libc::SYS_uselib,
        libc::SYS_sysfs,
        libc::SYS_ustat,
    ];
    /// The same calls again under the numbers of the x32 ABI.
    pub(super) const SECOND_ABI: Option<i64> = Some(0x4000_0000);
}

#[cfg(not(target_arch = "x86_64"))]
mod old {
    pub(super) const CHANGES_OF_USER: &[i64] = &[];
    pub(super) const MKNOD: Option<i64> = None;
    pub(super) const REFUSED: &[i64] = &[];
    pub(super) const SECOND_ABI: Option<i64> = None;
}

/// Installs the filters; from here on no program gets new privileges either.
pub(super) fn restrict(section: Section, single: bool) -> Result<(), Failure> {
    let refused = |error: &dyn std::fmt::Display| Failure::machine("filtering system calls", error);
    let filters = [
        (
            pretended(section, single).map_err(|error| refused(&error))?,
            0,
        ),
        (unknown(), errno(libc::ENOSYS)),
        (
            forbidden(section).map_err(|error| refused(&error))?,
            errno(libc::EPERM),
        ),
    ];
    for (rules, error) in filters {
        let program = compile(rules, error).map_err(|error| refused(&error))?;
        apply_filter(&program).map_err(|error| refused(&error))?;
    }
    Ok(())
}

fn errno(number: i32) -> u32 {
    number.unsigned_abs()
}

fn compile(mut rules: Rules, errno: u32) -> Result<BpfProgram, seccompiler::Error> {
    if let Some(offset) = old::SECOND_ABI {
        let again: Rules = rules
            .iter()
            .map(|(number, rules)| (number | offset, rules.clone()))
            .collect();
        rules.extend(again);
    }
    let architecture = TargetArch::try_from(std::env::consts::ARCH)?;
    let filter = SeccompFilter::new(
        rules,
        SeccompAction::Allow,
        SeccompAction::Errno(errno),
        architecture,
    )?;
    Ok(filter.try_into()?)
}

fn always<'a>(calls: impl IntoIterator<Item = &'a i64>) -> Rules {
    calls.into_iter().map(|call| (*call, Vec::new())).collect()
}

fn forbidden(section: Section) -> Result<Rules, seccompiler::BackendError> {
    let mut rules = always(REFUSED.iter().chain(old::REFUSED));
    if !section.mounts() {
        rules.extend(always(&MOUNTING));
        rules.insert(libc::SYS_clone, any_namespace()?);
        rules.insert(libc::SYS_unshare, any_namespace()?);
    }
    // Both put words into the mouth of whoever types at the terminal.
    let injections = [libc::TIOCSTI, libc::TIOCLINUX].map(|request| {
        let is_request = SeccompCmpOp::MaskedEq(0xffff_ffff);
        rule([SeccompCondition::new(
            1,
            SeccompCmpArgLen::Qword,
            is_request,
            request,
        )])
    });
    rules.insert(
        libc::SYS_ioctl,
        injections.into_iter().collect::<Result<_, _>>()?,
    );
    Ok(rules)
}

fn any_namespace() -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
    let flags = [
        libc::CLONE_NEWUSER,
        libc::CLONE_NEWNS,
        libc::CLONE_NEWPID,
        libc::CLONE_NEWNET,
        libc::CLONE_NEWIPC,
        libc::CLONE_NEWUTS,
        libc::CLONE_NEWCGROUP,
    ];
    flags
        .into_iter()
        .map(|flag| rule([has_bits(0, u64::from(flag.unsigned_abs()))]))
        .collect()
}

fn unknown() -> Rules {
    always(&UNKNOWN)
}

/// Devices cannot be made in a user namespace; packages that try are told that it worked.
fn pretended(section: Section, single: bool) -> Result<Rules, seccompiler::BackendError> {
    let mut rules = Rules::new();
    if single {
        rules.extend(always(CHANGES_OF_USER.iter().chain(old::CHANGES_OF_USER)));
    }
    // A bootstrap program finds another way when it is told the truth.
    if section.mounts() {
        return Ok(rules);
    }
    if let Some(mknod) = old::MKNOD {
        rules.insert(mknod, device_kinds(1)?);
    }
    rules.insert(libc::SYS_mknodat, device_kinds(2)?);
    Ok(rules)
}

/// Character device 0:0 is let through: overlays use it, and anybody may make it.
fn device_kinds(mode: u8) -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
    let is_kind = |kind: u32| {
        let mask = SeccompCmpOp::MaskedEq(u64::from(libc::S_IFMT));
        SeccompCondition::new(mode, SeccompCmpArgLen::Dword, mask, u64::from(kind))
    };
    let is_real = SeccompCondition::new(mode + 1, SeccompCmpArgLen::Qword, SeccompCmpOp::Ne, 0);
    Ok(vec![
        rule([is_kind(libc::S_IFBLK)])?,
        SeccompRule::new(vec![is_kind(libc::S_IFCHR)?, is_real?])?,
    ])
}

fn has_bits(argument: u8, bits: u64) -> Result<SeccompCondition, seccompiler::BackendError> {
    SeccompCondition::new(
        argument,
        SeccompCmpArgLen::Qword,
        SeccompCmpOp::MaskedEq(bits),
        bits,
    )
}

fn rule(
    conditions: [Result<SeccompCondition, seccompiler::BackendError>; 1],
) -> Result<SeccompRule, seccompiler::BackendError> {
    SeccompRule::new(conditions.into_iter().collect::<Result<_, _>>()?)
}
