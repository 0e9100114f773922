//! The tree inside an image, read by `unsquashfs`.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Context;

use crate::process;

const LONGEST: Duration = Duration::from_mins(1);

/// The files of an image: `mode owner/group size date time squashfs-root/path`, one a line, in UTC.
pub fn listing(image: &Path) -> anyhow::Result<String> {
    unsquashfs(image, &["-UTC", "-lln"], &[])
}

/// What an image holds: `mode owner/group size date time` of each path, to which a symbolic link adds
/// ` -> target`. A folder has no size, a device `major, minor`; a line break in a name reads `\n`.
pub fn entries(image: &Path) -> anyhow::Result<Vec<(String, String)>> {
    let mut entries: Vec<(String, String)> = Vec::new();
    for line in listing(image)?.lines() {
        match line.split_once(" squashfs-root/") {
            Some((facts, path)) => entries.push((comparable(facts), path.to_owned())),
            None => {
                if let Some((_, path)) = entries.last_mut() {
                    path.push_str("\\n");
                    path.push_str(line);
                }
            }
        }
    }
    Ok(entries)
}

/// Without the size of a folder, which is the packer's matter, and with one space between two words.
fn comparable(facts: &str) -> String {
    let mut words: Vec<_> = facts.split_whitespace().collect();
    if facts.starts_with('d') {
        words.remove(2);
    }
    words.join(" ")
}

/// The content of a file of an image.
pub fn content(image: &Path, path: &str) -> anyhow::Result<String> {
    unsquashfs(image, &["-cat"], &[path])
}

/// The line of a listing that tells of a path.
pub fn line_of<'a>(listing: &'a str, path: &str) -> Option<&'a str> {
    let ends = format!(" squashfs-root/{path}");
    let links = format!("{ends} -> ");
    listing
        .lines()
        .find(|line| line.ends_with(&ends) || line.contains(&links))
}

fn unsquashfs(image: &Path, options: &[&str], paths: &[&str]) -> anyhow::Result<String> {
    let offset = squashfs_offset(image)?.to_string();
    let mut command = Command::new("unsquashfs");
    command
        .args(["-o", &offset])
        .args(options)
        .arg(image)
        .args(paths);
    process::run(&mut command, LONGEST)?.success()
}

/// The extended attributes of a file of an image, `name=value` in hexadecimal, one a line.
pub fn attributes(image: &Path, path: &str) -> anyhow::Result<String> {
    let squashfs = tempfile::NamedTempFile::new()?;
    std::fs::write(&squashfs, &std::fs::read(image)?[squashfs_offset(image)?..])?;
    let mut command = Command::new("rdsquashfs");
    command.args(["--xattr", path]).arg(squashfs.path());
    process::run(&mut command, LONGEST)?.success()
}

/// Where the squashfs begins: the first page that starts with its magic number.
fn squashfs_offset(image: &Path) -> anyhow::Result<usize> {
    let bytes = std::fs::read(image)?;
    let page = bytes
        .chunks(4096)
        .position(|page| page.starts_with(b"hsqs"));
    Ok(page.with_context(|| format!("{} holds no squashfs", image.display()))? * 4096)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_without_what_depends_on_the_packer() {
        let device = comparable("crw-rw-rw- 0/0          1,  3 2023-11-14 22:13");
        let folder = comparable("drwxr-xr-x 0/0            252 2023-11-14 22:13");

        assert_eq!(device, "crw-rw-rw- 0/0 1, 3 2023-11-14 22:13");
        assert_eq!(folder, "drwxr-xr-x 0/0 2023-11-14 22:13");
    }

    #[test]
    fn a_path_is_found_whole_and_not_as_the_end_of_another() {
        let listing = "-rw 0/0 1 d t squashfs-root/a/b\nlrw 0/0 1 d t squashfs-root/b -> a/b";

        assert_eq!(line_of(listing, "a/b"), listing.lines().next());
        assert_eq!(line_of(listing, "b"), listing.lines().nth(1));
        assert_eq!(line_of(listing, "c"), None);
    }
}
