//! Which architecture the programs of a tree are for.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::{Component, Path, PathBuf};

use super::Result;
use crate::Error;

const MOST_LINKS: usize = 40;
const MOST_ENTRIES: usize = 10_000;

/// The architecture of `/bin/sh`, or else of the first program found, or else of this machine.
pub(super) fn architecture(root: &Path) -> Result<&'static str> {
    if let Some(found) = resolve(root, "bin/sh").and_then(|shell| of_program(&shell)) {
        return Ok(found);
    }
    Ok(search(root)?.unwrap_or_else(native))
}

/// Follows symbolic links as they would lead inside of `root`.
fn resolve(root: &Path, path: &str) -> Option<PathBuf> {
    let mut current = root.to_owned();
    let mut rest: VecDeque<PathBuf> = components(Path::new(path));
    let mut links = 0;
    while let Some(part) = rest.pop_front() {
        if part == Path::new("..") {
            if current != root {
                current.pop();
            }
            continue;
        }
        let next = current.join(&part);
        let Ok(target) = fs::read_link(&next) else {
            current = next;
            continue;
        };
        links += 1;
        if links > MOST_LINKS {
            return None;
        }
        if target.is_absolute() {
            root.clone_into(&mut current);
        }
        for part in components(&target).into_iter().rev() {
            rest.push_front(part);
        }
    }
    Some(current)
}

fn components(path: &Path) -> VecDeque<PathBuf> {
    let parts = path.components();
    parts
        .filter_map(|part| match part {
            Component::Normal(name) => Some(PathBuf::from(name)),
            Component::ParentDir => Some(PathBuf::from("..")),
            _ => None,
        })
        .collect()
}

/// Looks for a program, folder by folder, without entering other file systems' trees.
fn search(root: &Path) -> Result<Option<&'static str>> {
    let mut folders = VecDeque::from([root.to_owned()]);
    let mut seen = 0;
    while let Some(folder) = folders.pop_front() {
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::PermissionDenied => continue,
            Err(error) => return Err(Error::io("reading", folder)(error)),
        };
        let mut paths = Vec::new();
        for entry in entries.take(MOST_ENTRIES) {
            paths.push(entry.map_err(Error::io("reading", &folder))?.path());
        }
        paths.sort();
        for path in paths {
            seen += 1;
            let Ok(found) = fs::symlink_metadata(&path) else {
                continue;
            };
            if found.is_dir() && !is_foreign(root, &path) {
                folders.push_back(path);
            } else if let Some(found) = found.is_file().then(|| of_program(&path)).flatten() {
                return Ok(Some(found));
            }
        }
        if seen >= MOST_ENTRIES {
            break;
        }
    }
    Ok(None)
}

fn is_foreign(root: &Path, path: &Path) -> bool {
    ["proc", "sys", "dev"]
        .iter()
        .any(|name| path == root.join(name))
}

/// The architecture of an ELF file, in Go's spelling.
fn of_program(path: &Path) -> Option<&'static str> {
    // Opening a pipe would wait for its writer.
    if !fs::symlink_metadata(path).ok()?.is_file() {
        return None;
    }
    let mut head = [0; 20];
    File::open(path).ok()?.read_exact(&mut head).ok()?;
    if !head.starts_with(b"\x7fELF") {
        return None;
    }
    let (is_64, is_little) = (head[4] == 2, head[5] == 1);
    let machine = [head[18], head[19]];
    let machine = if is_little {
        u16::from_le_bytes(machine)
    } else {
        u16::from_be_bytes(machine)
    };
    match (machine, is_64, is_little) {
        (3, ..) => Some("386"),
        (62, ..) => Some("amd64"),
        (40, ..) => Some("arm"),
        (183, ..) => Some("arm64"),
        (21, _, true) => Some("ppc64le"),
        (21, _, false) => Some("ppc64"),
        (8, true, true) => Some("mips64le"),
        (8, true, false) => Some("mips64"),
        (8, false, true) => Some("mipsle"),
        (8, false, false) => Some("mips"),
        (22, ..) => Some("s390x"),
        (243, ..) => Some("riscv64"),
        (258, ..) => Some("loong64"),
        _ => None,
    }
}

/// This machine's architecture, in Go's spelling.
fn native() -> &'static str {
    match std::env::consts::ARCH {
        "x86" => "386",
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "powerpc64" => "ppc64le",
        "loongarch64" => "loong64",
        other => other,
    }
}
