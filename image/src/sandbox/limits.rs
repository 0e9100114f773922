//! The limits that the kernel keeps by itself. They are coarse: the exact ones are watched.

use std::fs;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::failure::Failure;
use crate::engine::Limits;

/// A process that asks for memory at once is stopped here, before anybody looks.
const MEMORY_SLACK: u64 = 1 << 30;
/// Processes that may exist for a moment above the limit, until the watch sees them. With fewer, a
/// bomb whose shells end when they cannot fork is over before anybody has counted it.
const PROCESS_SLACK: u64 = 1024;

/// Sets the limits of this process and of all it starts.
pub(super) fn set(limits: &Limits) -> Result<(), Failure> {
    lower(Resource::RLIMIT_CORE, Some(0))?;
    lower(Resource::RLIMIT_FSIZE, limits.disk)?;
    lower(
        Resource::RLIMIT_DATA,
        limits
            .memory
            .map(|memory| memory.saturating_mul(2).saturating_add(MEMORY_SLACK)),
    )?;
    lower(
        Resource::RLIMIT_NPROC,
        limits
            .processes
            .map(|count| count.saturating_add(PROCESS_SLACK)),
    )?;
    // When the whole machine runs out of memory, the sandbox goes first.
    let path = "/proc/self/oom_score_adj";
    fs::write(path, "1000").map_err(Failure::io("writing", path))
}

fn lower(resource: Resource, limit: Option<u64>) -> Result<(), Failure> {
    let Some(limit) = limit else { return Ok(()) };
    let refused = |error| Failure::machine(&format!("setting {resource:?}"), error);
    let (_, hard) = getrlimit(resource).map_err(refused)?;
    let limit = limit.min(hard);
    setrlimit(resource, limit, limit).map_err(refused)
}
