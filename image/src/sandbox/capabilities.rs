//! What root of the sandbox may do: what package managers need, nothing that reaches the kernel.

use caps::{CapSet, Capability, CapsHashSet};

use super::failure::Failure;
use super::script::Section;

const KEPT: [Capability; 13] = [
    Capability::CAP_CHOWN,
    Capability::CAP_DAC_OVERRIDE,
    Capability::CAP_FOWNER,
    Capability::CAP_FSETID,
    Capability::CAP_KILL,
    Capability::CAP_SETGID,
    Capability::CAP_SETUID,
    Capability::CAP_SETPCAP,
    Capability::CAP_SETFCAP,
    Capability::CAP_NET_BIND_SERVICE,
    Capability::CAP_SYS_CHROOT,
    Capability::CAP_MKNOD,
    Capability::CAP_AUDIT_WRITE,
];

/// Reduces what scripts can ever have. This process keeps one capability more, to look at the
/// memory of all of them; it cannot be passed on.
pub(super) fn reduce(section: Section) -> Result<(), Failure> {
    let mut kept: CapsHashSet = KEPT.into_iter().collect();
    if section.mounts() {
        kept.insert(Capability::CAP_SYS_ADMIN);
    }
    let refused = |error| Failure::machine("giving up capabilities", error);

    let supported = caps::runtime::thread_all_supported();
    for capability in supported.difference(&kept) {
        caps::drop(None, CapSet::Bounding, *capability).map_err(refused)?;
    }
    let mut own = kept;
    own.insert(Capability::CAP_SYS_PTRACE);
    caps::clear(None, CapSet::Ambient).map_err(refused)?;
    caps::set(None, CapSet::Effective, &own).map_err(refused)?;
    caps::set(None, CapSet::Permitted, &own).map_err(refused)?;
    caps::set(None, CapSet::Inheritable, &CapsHashSet::new()).map_err(refused)
}
