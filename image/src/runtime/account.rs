//! The caller, and the entries that it has inside in `/etc/passwd` and `/etc/group`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Group, Uid, User, getgroups};

use crate::error::Error;

/// Who runs an image, and from where.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The folder it is in.
    pub folder: PathBuf,
    /// Its home.
    pub home: PathBuf,
    /// Its environment.
    pub environment: Vec<(OsString, OsString)>,
    user: Option<User>,
    groups: Vec<(Gid, Option<String>)>,
}

impl Caller {
    /// Finds out about the caller. Its home is what its environment says, or its account.
    pub fn new(
        folder: PathBuf,
        home: Option<PathBuf>,
        environment: Vec<(OsString, OsString)>,
    ) -> Result<Self, Error> {
        let unknown = |error: nix::Error| Error::Internal(format!("finding the caller: {error}"));
        let user = User::from_uid(Uid::effective()).map_err(unknown)?;
        let mut ids = vec![Gid::effective()];
        ids.extend(getgroups().map_err(unknown)?);
        ids.dedup();
        let mut groups = Vec::new();
        for id in ids {
            let group = Group::from_gid(id).map_err(unknown)?;
            groups.push((id, group.map(|group| group.name)));
        }
        let home = home.filter(|home| home.is_absolute());
        let home = home.or_else(|| Some(user.as_ref()?.dir.clone()));
        Ok(Self {
            folder,
            home: home.unwrap_or_else(|| PathBuf::from("/")),
            environment,
            user,
            groups,
        })
    }

    /// The image's `/etc/passwd` with the caller's entry and home.
    pub(super) fn passwd(&self, image: &str, home: &Path) -> String {
        let Some(user) = &self.user else {
            return image.to_owned();
        };
        let entry = format!(
            "{}:x:{}:{}:{}:{}:{}",
            user.name,
            user.uid,
            user.gid,
            user.gecos.to_string_lossy(),
            home.display(),
            user.shell.display()
        );
        with_entry(image, 2, &user.uid.to_string(), |own| {
            own.map_or_else(|| entry.clone(), |own| with_home(own, home))
        })
    }

    /// The image's `/etc/group` with the caller's groups.
    pub(super) fn group(&self, image: &str) -> String {
        let member = self.user.as_ref().map_or("", |user| user.name.as_str());
        self.groups
            .iter()
            .filter_map(|(id, name)| Some((id, name.as_ref()?)))
            .fold(image.to_owned(), |text, (id, name)| {
                let entry = format!("{name}:x:{id}:{member}");
                with_entry(&text, 2, &id.to_string(), |own| {
                    own.map_or_else(|| entry.clone(), str::to_owned)
                })
            })
    }
}

/// Replaces the line that has an id in a field, or adds one.
fn with_entry(
    text: &str,
    field: usize,
    id: &str,
    entry: impl Fn(Option<&str>) -> String,
) -> String {
    let is_own = |line: &&str| line.split(':').nth(field) == Some(id);
    let has_own = text.lines().any(|line| is_own(&line));
    let mut lines: Vec<String> = text
        .lines()
        .map(|line| {
            if is_own(&line) {
                entry(Some(line))
            } else {
                line.to_owned()
            }
        })
        .collect();
    if !has_own {
        lines.push(entry(None));
    }
    lines.join("\n") + "\n"
}

fn with_home(line: &str, home: &Path) -> String {
    let home = home.to_string_lossy();
    let mut fields: Vec<&str> = line.split(':').collect();
    if let Some(field) = fields.get_mut(5) {
        *field = &home;
    }
    fields.join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_added_or_given_another_home() {
        let image = "root:x:0:0:root:/root:/bin/sh\n";
        let entry = |own: Option<&str>| {
            own.map_or_else(
                || "u:x:7:7::/h:/bin/sh".to_owned(),
                |own| with_home(own, Path::new("/z")),
            )
        };

        let added = with_entry(image, 2, "7", entry);
        let changed = with_entry(image, 2, "0", entry);

        assert_eq!(added, format!("{image}u:x:7:7::/h:/bin/sh\n"));
        assert_eq!(changed, "root:x:0:0:root:/z:/bin/sh\n");
    }
}
