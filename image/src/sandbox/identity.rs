//! Which ids a namespace has: ranges of subordinate ids, or a single one.

use std::fs;
use std::io;
use std::process::{Command, Output};

use nix::unistd::{Gid, Uid, User};

use super::Identity;
use crate::error::Error;

/// Where the ids of sandboxes begin when root builds and `/etc/subuid` names no range for root.
/// It lies above what Debian, systemd and container engines hand out.
const ROOTS_RANGE: Extent = Extent {
    first: 1_879_048_192,
    count: 65_536,
};

/// Ids of a namespace and how they get there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mapping {
    /// User and group that root of the namespace is outside.
    pub(super) root: (u32, u32),
    /// What follows root, when there is more than one id.
    rest: Option<(Extent, Extent)>,
    /// Who may write the map.
    writer: Writer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Extent {
    first: u32,
    count: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writer {
    /// Root of the machine, with the namespace owned by an id that nobody else has.
    Root,
    /// The caller, who maps only itself.
    Caller,
    /// The setuid programs of the package uidmap.
    Helpers,
}

impl Mapping {
    /// Finds the ids for an identity.
    ///
    /// # Security
    /// Root of the machine is never mapped: what breaks out of a sandbox is nobody.
    pub(super) fn find(identity: Identity) -> Result<Self, Error> {
        if Uid::effective().is_root() {
            Self::for_root(identity)
        } else {
            Self::for_user(identity)
        }
    }

    /// The caller's own ids and, for root of the machine, everybody's: for files that the caller is
    /// to have as it would have them without a namespace.
    ///
    /// # Security
    /// Scripts never run in such a namespace, only our own tasks.
    pub(super) fn of_caller() -> Result<Self, Error> {
        if !Uid::effective().is_root() {
            return Self::for_user(Identity::Single);
        }
        let everybody = Extent {
            first: 1,
            count: 65_535,
        };
        let is_known = |path| require_known(path, everybody).is_ok();
        let knows_all = is_known("/proc/self/uid_map") && is_known("/proc/self/gid_map");
        Ok(Self {
            root: (0, 0),
            rest: knows_all.then_some((everybody, everybody)),
            writer: Writer::Root,
        })
    }

    fn for_root(identity: Identity) -> Result<Self, Error> {
        let names = ["root".to_owned(), "0".to_owned()];
        let uids = subordinate("/etc/subuid", &names)?.unwrap_or(ROOTS_RANGE);
        let gids = subordinate("/etc/subgid", &names)?.unwrap_or(ROOTS_RANGE);
        require_known("/proc/self/uid_map", uids)?;
        require_known("/proc/self/gid_map", gids)?;
        let rest = (identity != Identity::Single).then(|| (uids.after_first(), gids.after_first()));
        Ok(Self {
            root: (uids.first, gids.first),
            rest,
            writer: Writer::Root,
        })
    }

    fn for_user(identity: Identity) -> Result<Self, Error> {
        let (uid, gid) = (Uid::effective(), Gid::effective());
        let single = Self {
            root: (uid.as_raw(), gid.as_raw()),
            rest: None,
            writer: Writer::Caller,
        };
        if identity == Identity::Single {
            return Ok(single);
        }

        let mut names = vec![uid.to_string()];
        if let Ok(Some(user)) = User::from_uid(uid) {
            names.push(user.name);
        }
        let uids = subordinate("/etc/subuid", &names)?;
        let gids = subordinate("/etc/subgid", &names)?;
        match (uids, gids) {
            (Some(uids), Some(gids)) => Ok(Self {
                rest: Some((uids, gids)),
                writer: Writer::Helpers,
                ..single
            }),
            _ if identity == Identity::Auto => Ok(single),
            _ => Err(Error::Machine {
                message: format!("user {uid} has no range in /etc/subuid and /etc/subgid"),
                help: Some(
                    "have root add one: usermod --add-subuids 100000-165535 \
                            --add-subgids 100000-165535 USER"
                        .to_owned(),
                ),
            }),
        }
    }

    /// Whether root is the only user there.
    pub(super) fn is_single(&self) -> bool {
        self.rest.is_none()
    }

    /// Whether a user of the machine is mapped.
    pub(super) fn has_user(&self, uid: u32) -> bool {
        let is_in_rest = |(uids, _): (Extent, Extent)| {
            uid.checked_sub(uids.first)
                .is_some_and(|index| index < uids.count)
        };
        uid == self.root.0 || self.rest.is_some_and(is_in_rest)
    }

    /// The user and group that a helper has to become before it makes the namespace.
    pub(super) fn outer(&self) -> Option<(u32, u32)> {
        (self.writer == Writer::Root).then_some(self.root)
    }

    /// Gives the namespace of a process its ids.
    pub(super) fn write(&self, pid: u32) -> Result<(), Error> {
        let uids = lines(self.root.0, self.rest.map(|(uids, _)| uids));
        let gids = lines(self.root.1, self.rest.map(|(_, gids)| gids));
        if self.writer == Writer::Helpers {
            run_helper("newuidmap", pid, &uids)?;
            return run_helper("newgidmap", pid, &gids);
        }
        if self.is_single() {
            write_file(pid, "setgroups", "deny")?;
        }
        write_file(pid, "uid_map", &uids)?;
        write_file(pid, "gid_map", &gids)
    }
}

fn lines(root: u32, rest: Option<Extent>) -> String {
    match rest {
        None => format!("0 {root} 1\n"),
        Some(Extent { first, count }) => format!("0 {root} 1\n1 {first} {count}\n"),
    }
}

impl Extent {
    fn after_first(self) -> Self {
        Self {
            first: self.first + 1,
            count: self.count - 1,
        }
    }
}

/// The largest range that a file like `/etc/subuid` gives to one of the names.
fn subordinate(path: &str, names: &[String]) -> Result<Option<Extent>, Error> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(largest_range(&text, names)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("reading", path)(error)),
    }
}

fn largest_range(text: &str, names: &[String]) -> Option<Extent> {
    text.lines()
        .filter_map(|line| {
            let (name, range) = line.split_once(':')?;
            let (first, count) = range.trim().split_once(':')?;
            let extent = Extent {
                first: first.parse().ok()?,
                count: count.parse().ok()?,
            };
            let is_usable = extent.count > 1 && extent.first.checked_add(extent.count).is_some();
            (is_usable && names.iter().any(|own| own == name)).then_some(extent)
        })
        .max_by_key(|extent| extent.count)
}

/// Root of a container may have fewer ids than the machine.
fn require_known(path: &str, extent: Extent) -> Result<(), Error> {
    let text = fs::read_to_string(path).map_err(Error::io("reading", path))?;
    let is_known = text.lines().any(|line| {
        let numbers: Vec<u64> = line
            .split_whitespace()
            .filter_map(|n| n.parse().ok())
            .collect();
        let [first, _, count] = numbers[..] else {
            return false;
        };
        first <= u64::from(extent.first)
            && u64::from(extent.first) + u64::from(extent.count) <= first + count
    });
    if is_known {
        return Ok(());
    }
    Err(Error::Machine {
        message: format!(
            "ids from {} on do not exist in this container",
            extent.first
        ),
        help: Some("list a range for root that exists in /etc/subuid and /etc/subgid".to_owned()),
    })
}

fn run_helper(program: &str, pid: u32, lines: &str) -> Result<(), Error> {
    let answer = Command::new(program)
        .arg(pid.to_string())
        .args(lines.split_whitespace())
        .output();
    match answer {
        Ok(Output { status, .. }) if status.success() => Ok(()),
        Ok(Output { stderr, .. }) => Err(Error::Machine {
            message: format!("{program}: {}", String::from_utf8_lossy(&stderr).trim()),
            help: Some("check the ranges in /etc/subuid and /etc/subgid".to_owned()),
        }),
        Err(error) => Err(Error::Machine {
            message: format!("{program} cannot be run: {error}"),
            help: Some("install the Debian package uidmap".to_owned()),
        }),
    }
}

fn write_file(pid: u32, name: &str, text: &str) -> Result<(), Error> {
    let path = format!("/proc/{pid}/{name}");
    fs::write(&path, text).map_err(|error| Error::Machine {
        message: format!("writing {path}: {error}"),
        help: Some(super::USER_NAMESPACES_HELP.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_range_of_a_user_is_taken() {
        let text = "alice:100000:10\n# x\nbob:1:70000\nalice:200000:65536\nalice:bad:1\n";

        let range = largest_range(text, &["alice".to_owned()]);

        assert_eq!(
            range,
            Some(Extent {
                first: 200_000,
                count: 65_536
            })
        );
    }

    #[test]
    fn a_range_beyond_all_ids_is_ignored() {
        assert_eq!(
            largest_range("alice:4294967295:65536\n", &["alice".to_owned()]),
            None
        );
    }

    #[test]
    fn root_of_the_machine_is_never_mapped() {
        let mapping = Mapping {
            root: (ROOTS_RANGE.first, ROOTS_RANGE.first),
            rest: Some((ROOTS_RANGE.after_first(), ROOTS_RANGE.after_first())),
            writer: Writer::Root,
        };

        let lines = lines(mapping.root.0, mapping.rest.map(|(uids, _)| uids));

        assert_eq!(lines, "0 1879048192 1\n1 1879048193 65535\n");
    }
}
