//! Which architecture the programs of a tree are for.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::{Component, Path, PathBuf};

use super::Result;
use crate::Error;

const MOST_LINKS: usize = 40;
const MOST_ENTRIES: usize = 10_000;

/// Kind of an ELF file that is a program at a fixed address.
const PROGRAM: u16 = 2;

/// How ELF files tell the machine that they are for.
struct Machine {
    architecture: &'static str,
    number: u16,
    is_64: bool,
    is_little: bool,
}

const MACHINES: [Machine; 13] = [
    machine("386", 3, false, true),
    machine("amd64", 62, true, true),
    machine("arm", 40, false, true),
    machine("arm64", 183, true, true),
    machine("ppc64le", 21, true, true),
    machine("ppc64", 21, true, false),
    machine("mips64le", 8, true, true),
    machine("mips64", 8, true, false),
    machine("mipsle", 8, false, true),
    machine("mips", 8, false, false),
    machine("s390x", 22, true, false),
    machine("riscv64", 243, true, true),
    machine("loong64", 258, true, true),
];

const fn machine(architecture: &'static str, number: u16, is_64: bool, is_little: bool) -> Machine {
    Machine {
        architecture,
        number,
        is_64,
        is_little,
    }
}

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
    let mut machines = MACHINES.iter().map(|machine| (machine, machine.head()));
    let (found, _) =
        machines.find(|(_, known)| known[..6] == head[..6] && known[18..] == head[18..])?;
    Some(found.architecture)
}

/// How the programs of an architecture begin, up to the number of its machine; nothing if it is
/// not known.
pub(crate) fn head_of_program(architecture: &str) -> Option<[u8; 20]> {
    let mut machines = MACHINES.iter();
    let machine = machines.find(|machine| machine.architecture == architecture)?;
    Some(machine.head())
}

impl Machine {
    fn head(&self) -> [u8; 20] {
        let order = |number: u16| {
            if self.is_little {
                number.to_le_bytes()
            } else {
                number.to_be_bytes()
            }
        };
        let mut head = [0; 20];
        head[..4].copy_from_slice(b"\x7fELF");
        head[4] = if self.is_64 { 2 } else { 1 };
        head[5] = if self.is_little { 1 } else { 2 };
        head[6] = 1;
        head[16..18].copy_from_slice(&order(PROGRAM));
        head[18..].copy_from_slice(&order(self.number));
        head
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
