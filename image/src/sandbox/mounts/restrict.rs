//! Makes mounts read-only, or takes set-user-ID and devices from them.

use std::fs;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sys::statvfs::{FsFlags, statvfs};

use crate::sandbox::failure::Failure;

const MOUNTS: &str = "/proc/self/mountinfo";

/// Restricts all mounts at and below a folder.
pub(in crate::sandbox) fn below(folder: &str, flags: MsFlags) -> Result<(), Failure> {
    for (path, own) in mounts()?
        .iter()
        .filter(|(path, _)| path.starts_with(folder))
    {
        match restrict(path, *own | flags) {
            // What even root of the namespace cannot reach needs no restriction.
            Err(Errno::EACCES | Errno::ENOENT) => {}
            other => other.map_err(|error| refused(path, error))?,
        }
    }
    Ok(())
}

/// Restricts the mount at a folder.
pub(in crate::sandbox) fn only(folder: &str, flags: MsFlags) -> Result<(), Failure> {
    let mounts = mounts()?;
    let own = mounts.iter().rfind(|(path, _)| path == Path::new(folder));
    let own = own.map_or(MsFlags::empty(), |(_, own)| *own);
    restrict(Path::new(folder), own | flags).map_err(|error| refused(Path::new(folder), error))
}

/// Restricts the mount at a path, where `/proc` may not be there.
pub(in crate::sandbox) fn at(path: &Path, flags: MsFlags) -> Result<(), Failure> {
    let own = statvfs(path).map_err(|error| refused(path, error))?.flags();
    let known = [
        (FsFlags::ST_RDONLY, MsFlags::MS_RDONLY),
        (FsFlags::ST_NOSUID, MsFlags::MS_NOSUID),
        (FsFlags::ST_NODEV, MsFlags::MS_NODEV),
        (FsFlags::ST_NOEXEC, MsFlags::MS_NOEXEC),
        (FsFlags::ST_NOATIME, MsFlags::MS_NOATIME),
        (FsFlags::ST_NODIRATIME, MsFlags::MS_NODIRATIME),
        (FsFlags::ST_RELATIME, MsFlags::MS_RELATIME),
    ];
    let own = known.iter().filter(|(flag, _)| own.contains(*flag));
    let own: MsFlags = own.map(|(_, flag)| *flag).collect();
    restrict(path, own | flags).map_err(|error| refused(path, error))
}

fn restrict(path: &Path, flags: MsFlags) -> Result<(), Errno> {
    let flags = flags | MsFlags::MS_REMOUNT | MsFlags::MS_BIND;
    mount(None::<&str>, path, None::<&str>, flags, None::<&str>)
}

fn refused(path: &Path, error: Errno) -> Failure {
    Failure::machine(
        &format!("restricting the mount at {}", path.display()),
        error,
    )
}

/// Mount points with the restrictions they have, which a namespace may not take away.
fn mounts() -> Result<Vec<(PathBuf, MsFlags)>, Failure> {
    let text = fs::read_to_string(MOUNTS).map_err(Failure::io("reading", MOUNTS))?;
    Ok(text.lines().filter_map(parse_line).collect())
}

/// <https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html>
fn parse_line(line: &str) -> Option<(PathBuf, MsFlags)> {
    let mut fields = line.split(' ').skip(4);
    let (path, options) = (fields.next()?, fields.next()?);
    let flags = options.split(',').map(|option| match option {
        "ro" => MsFlags::MS_RDONLY,
        "nosuid" => MsFlags::MS_NOSUID,
        "nodev" => MsFlags::MS_NODEV,
        "noexec" => MsFlags::MS_NOEXEC,
        "noatime" => MsFlags::MS_NOATIME,
        "nodiratime" => MsFlags::MS_NODIRATIME,
        "relatime" => MsFlags::MS_RELATIME,
        _ => MsFlags::empty(),
    });
    Some((unescape(path), flags.collect()))
}

/// Blanks and backslashes are written as three octal digits.
fn unescape(path: &str) -> PathBuf {
    let escapes = [
        ("\\040", " "),
        ("\\011", "\t"),
        ("\\012", "\n"),
        ("\\134", "\\"),
    ];
    let plain = escapes
        .iter()
        .fold(path.to_owned(), |path, (from, to)| path.replace(from, to));
    PathBuf::from(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_mountinfo_gives_path_and_restrictions() {
        let line = "36 35 98:0 /x /mnt/a\\040b ro,nosuid,relatime shared:1 - ext4 /dev/sda rw";

        let (path, flags) = parse_line(line).unwrap();

        assert_eq!(path, Path::new("/mnt/a b"));
        assert_eq!(
            flags,
            MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_RELATIME
        );
    }
}
