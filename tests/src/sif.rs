//! The tree inside an image, read by `unsquashfs`.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Context;

use crate::process;

const LONGEST: Duration = Duration::from_mins(1);

/// The files of an image: `mode owner/group size date time squashfs-root/path`, one a line.
pub fn listing(image: &Path) -> anyhow::Result<String> {
    unsquashfs(image, &["-lln"], &[])
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
    fn a_path_is_found_whole_and_not_as_the_end_of_another() {
        let listing = "-rw 0/0 1 d t squashfs-root/a/b\nlrw 0/0 1 d t squashfs-root/b -> a/b";

        assert_eq!(line_of(listing, "a/b"), listing.lines().next());
        assert_eq!(line_of(listing, "b"), listing.lines().nth(1));
        assert_eq!(line_of(listing, "c"), None);
    }
}
