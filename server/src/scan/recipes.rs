//! Which files of a commit are definition files?

use git2::{Commit, Repository};

use super::fetch::FetchError;
use super::tree::{self, Kind};

/// The longest definition file that is built.
const LONGEST: u64 = 1 << 20;

/// A definition file at a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    /// Its path, slashes between folders.
    pub path: String,
    /// Git's id of its content.
    pub blob: String,
}

/// The definition files of a commit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Those to build.
    pub recipes: Vec<Recipe>,
    /// Those that are named like definition files but are not built, with the reason.
    pub skipped: Vec<String>,
}

/// Finds the definition files of a commit, in any folder.
///
/// A file named after Singularity or Apptainer is always one: when it cannot be parsed its owner
/// wants to be told. Any other `.def` file must have a `Bootstrap:` line, because linkers and
/// editors use that extension too.
pub fn find(repository: &Repository, commit: &Commit<'_>) -> Result<Found, FetchError> {
    let mut found = Found::default();
    for entry in tree::entries(repository, commit)? {
        let Ok(path) = String::from_utf8(entry.path) else {
            continue;
        };
        let Some(named) = named_as(file_name(&path)) else {
            continue;
        };
        if !matches!(entry.kind, Kind::File | Kind::Executable) {
            continue;
        }
        if tree::size(repository, entry.object)? > LONGEST {
            found.skipped.push(format!("{path} is longer than 1 MiB"));
            continue;
        }
        let blob = repository
            .find_blob(entry.object)
            .map_err(anyhow::Error::from)?;
        if named == Named::ByExtension && !has_bootstrap_line(blob.content()) {
            found.skipped.push(format!("{path} has no Bootstrap: line"));
        } else {
            found.recipes.push(Recipe {
                path,
                blob: entry.object.to_string(),
            });
        }
    }
    Ok(found)
}

/// The part of a path after the last slash.
pub(super) fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Named {
    ForTheProgram,
    ByExtension,
}

fn named_as(name: &str) -> Option<Named> {
    let after_program = ["Singularity", "Apptainer"]
        .iter()
        .find_map(|p| name.strip_prefix(p));
    match after_program {
        Some("") => Some(Named::ForTheProgram),
        Some(rest) if rest.len() > 1 && rest.starts_with('.') => Some(Named::ForTheProgram),
        _ if name.len() > 4 && name.strip_suffix(".def").is_some() => Some(Named::ByExtension),
        _ => None,
    }
}

fn has_bootstrap_line(content: &[u8]) -> bool {
    const KEY: &[u8] = b"bootstrap:";
    !content.contains(&0)
        && content.split(|&byte| byte == b'\n').any(|line| {
            let line = line.trim_ascii_start();
            line.get(..KEY.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(KEY))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_definition_files_are_known() {
        let program = [
            "Singularity",
            "Apptainer",
            "Singularity.tag",
            "Apptainer.1.2 x",
        ];
        for name in program {
            assert_eq!(named_as(name), Some(Named::ForTheProgram), "{name}");
        }
        assert_eq!(named_as("tool.def"), Some(Named::ByExtension));
        for name in [
            "singularity",
            "Singularity.",
            "Singularityfile",
            ".def",
            "a.def.txt",
            "def",
        ] {
            assert_eq!(named_as(name), None, "{name}");
        }
    }

    #[test]
    fn a_module_definition_of_windows_is_not_a_recipe() {
        assert!(!has_bootstrap_line(b"LIBRARY tool\nEXPORTS\n  run @1\n"));
        assert!(!has_bootstrap_line(b"\0Bootstrap: docker\n"));
        assert!(has_bootstrap_line(
            b"# mine\n  BootStrap: docker\nFrom: debian\n"
        ));
    }
}
