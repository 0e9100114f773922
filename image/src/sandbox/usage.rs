//! What the processes of this PID namespace use.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::sys::statvfs::statvfs;

const PAGE: u64 = 4096;

/// Whether there are more processes and threads than `limit`, this one left out. Counts no further
/// than it has to: many of them may be gone before the last is looked at.
pub(super) fn exceeds_processes(limit: u64) -> bool {
    let mut count = 0;
    each_process().any(|process| {
        count += threads(&process).unwrap_or(0);
        count > limit
    })
}

/// The number that the last new process was given (`proc_loadavg(5)`); 0 where it is not told.
pub(super) fn newest_process() -> u64 {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let newest = load.split_whitespace().next_back();
    newest.and_then(|pid| pid.parse().ok()).unwrap_or(0)
}

/// Whether all processes together have more memory than `limit`, memory file systems included.
pub(super) fn exceeds_memory(limit: u64) -> bool {
    let files = used_in("/dev/shm").unwrap_or(0) + used_in("/dev").unwrap_or(0);
    let resident: u64 = each_process()
        .map(|process| resident(&process).unwrap_or(0))
        .sum();
    if resident + files <= limit {
        return false;
    }
    // Shared pages were counted for each of their users; the exact sum costs more time.
    let shares = each_process().map(|process| share(&process).unwrap_or(0));
    shares.sum::<u64>() + files > limit
}

/// Bytes on disk below some folders of one file system, each file counted once.
pub(super) fn disk(folders: &[&str]) -> u64 {
    let mut seen = HashSet::new();
    let mut waiting: Vec<PathBuf> = folders.iter().map(PathBuf::from).collect();
    let device = fs::symlink_metadata(&waiting[0]).map_or(0, |metadata| metadata.dev());
    let mut blocks = 0;
    while let Some(folder) = waiting.pop() {
        // What vanishes while we look takes no space.
        let Ok(entries) = fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries.flatten() {
            let Ok(metadata) = entry.metadata() else {
                continue;
            };
            let is_first = metadata.nlink() < 2 || metadata.is_dir() || seen.insert(metadata.ino());
            if metadata.dev() != device || !is_first {
                continue;
            }
            blocks += metadata.blocks();
            if metadata.is_dir() {
                waiting.push(entry.path());
            }
        }
    }
    blocks * 512
}

/// Bytes free for us on the file system of a folder.
pub(super) fn free(folder: &str) -> Option<u64> {
    statvfs(folder)
        .ok()
        .map(|fs| fs.blocks_available() * fs.fragment_size())
}

fn used_in(folder: &str) -> Option<u64> {
    let fs = statvfs(folder).ok()?;
    Some((fs.blocks() - fs.blocks_free()) * fs.fragment_size())
}

/// The machine's `/proc`, where there is no other, shows processes of other namespaces too.
fn each_process() -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ourselves = fs::read_link("/proc/self").unwrap_or_default();
    let namespace = fs::read_link("/proc/self/ns/pid").ok();
    entries
        .filter(move |entry| {
            let name = entry.file_name();
            name != ourselves.as_os_str()
                && name
                    .to_string_lossy()
                    .bytes()
                    .all(|byte| byte.is_ascii_digit())
                && fs::read_link(entry.path().join("ns/pid")).ok() == namespace
        })
        .map(|entry| entry.path())
}

fn threads(process: &Path) -> io::Result<u64> {
    let status = fs::read_to_string(process.join("status"))?;
    Ok(number_after(&status, "Threads:"))
}

fn resident(process: &Path) -> io::Result<u64> {
    let statm = fs::read_to_string(process.join("statm"))?;
    let pages = statm
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<u64>().ok());
    Ok(pages.unwrap_or(0) * PAGE)
}

fn share(process: &Path) -> io::Result<u64> {
    match fs::read_to_string(process.join("smaps_rollup")) {
        Ok(rollup) => Ok(number_after(&rollup, "Pss:") * 1024),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => resident(process),
        Err(error) => Err(error),
    }
}

fn number_after(text: &str, key: &str) -> u64 {
    let value = text.lines().find_map(|line| line.strip_prefix(key));
    value
        .and_then(|value| value.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}
