//! Which tags does the image of each recipe get?

use std::collections::{HashMap, HashSet};

use cooperage_protocol::Tag;
use sha2::{Digest, Sha256};

use super::recipes::file_name;

const LONGEST: usize = 64;

/// Where a commit was pushed to, as far as tags are concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The default branch: tags are as the recipes are named.
    DefaultBranch,
    /// Another branch, a tag of git, or a bare commit: its name comes before the tag.
    Named(String),
    /// A tag of git: like [`Place::Named`], and alone when the repository has one recipe.
    GitTag(String),
}

/// The tags of the image of a recipe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assigned {
    /// The tag.
    pub tag: Tag,
    /// Further tags.
    pub aliases: Vec<Tag>,
    /// Why the tag is not simply what the recipe's name says.
    pub note: Option<String>,
}

impl Place {
    /// Tells the place of a ref, in full.
    pub fn of(git_ref: &str, default_branch: Option<&str>) -> Self {
        if let Some(tag) = git_ref.strip_prefix("refs/tags/") {
            return Self::GitTag(tag.to_owned());
        }
        match git_ref.strip_prefix("refs/heads/") {
            Some(branch) if Some(branch) == default_branch => Self::DefaultBranch,
            Some(branch) => Self::Named(branch.to_owned()),
            None => Self::Named(git_ref.chars().take(12).collect()),
        }
    }
}

/// Gives each recipe its tags, in the order of `paths`; no two get the same.
pub fn assign(paths: &[&str], place: &Place) -> Vec<Assigned> {
    let own: Vec<Named> = paths.iter().map(|path| name_of(path)).collect();
    let mut order: Vec<usize> = (0..paths.len()).collect();
    order.sort_by_key(|&index| (depth(paths[index]), rank(paths[index]), paths[index]));

    let mut holders: HashMap<String, &str> = HashMap::new();
    let mut chosen: Vec<Named> = own.clone();
    for index in order {
        if let Some(holder) = holders.get(&chosen[index].tag) {
            chosen[index] = give_way(paths[index], &own[index].tag, holder, &holders);
        }
        holders.insert(chosen[index].tag.clone(), paths[index]);
    }
    let mut taken: HashSet<String> = chosen.iter().map(|named| named.tag.clone()).collect();
    chosen
        .into_iter()
        .zip(paths)
        .map(|(named, path)| placed(named, def_alias(path, &mut taken), place, paths.len()))
        .collect()
}

#[derive(Debug, Clone)]
struct Named {
    tag: String,
    notes: Vec<String>,
}

/// `Singularity` is `latest`, `Singularity.x` and `x.def` are `x`.
fn name_of(path: &str) -> Named {
    let name = file_name(path);
    let extension = ["Singularity.", "Apptainer."]
        .iter()
        .find_map(|program| name.strip_prefix(program))
        .filter(|extension| *extension != "def");
    let wanted = match (extension, name) {
        (Some(extension), _) => extension.strip_suffix(".def").unwrap_or(extension),
        (None, "Singularity" | "Apptainer") => "latest",
        (None, _) => name.strip_suffix(".def").unwrap_or(name),
    };
    clean(wanted, Vec::new())
}

fn clean(wanted: &str, mut notes: Vec<String>) -> Named {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let mut tag: String = wanted
        .chars()
        .map(|c| if allowed(c) { c } else { '-' })
        .collect();
    if tag.is_empty() {
        "latest".clone_into(&mut tag);
    }
    if tag.len() > LONGEST {
        // The end keeps tags apart that begin alike.
        let hash = hex::encode(&Sha256::digest(wanted.as_bytes())[..4]);
        tag = format!("{}-{hash}", &tag[..LONGEST - 9]);
    }
    if tag != wanted {
        notes.push(format!("{wanted:?} cannot be a tag, so it became {tag}"));
    }
    Named { tag, notes }
}

fn depth(path: &str) -> usize {
    path.matches('/').count()
}

/// Among files of one folder the ones named after a program come first.
fn rank(path: &str) -> u8 {
    match file_name(path) {
        "Singularity" => 0,
        "Apptainer" => 1,
        name if name.starts_with("Singularity.") => 2,
        name if name.starts_with("Apptainer.") => 3,
        _ => 4,
    }
}

fn give_way(path: &str, tag: &str, holder: &str, holders: &HashMap<String, &str>) -> Named {
    let folder = path.rsplit_once('/').map(|(folder, _)| folder);
    let by_folder = folder.map(|folder| format!("{folder}.{tag}"));
    let by_path = Some(path.to_owned());
    let free = [by_folder, by_path]
        .into_iter()
        .flatten()
        .map(|wanted| clean(&wanted.replace('/', "."), Vec::new()).tag)
        .find(|candidate| !holders.contains_key(candidate));
    let free = free.unwrap_or_else(|| {
        let numbered = |number: usize| clean(&format!("{number}-{tag}"), Vec::new()).tag;
        // One number more than there are recipes: one of them is free.
        let mut numbers = 2..holders.len() + 3;
        let free = numbers.find(|number| !holders.contains_key(&numbered(*number)));
        numbered(free.unwrap_or_default())
    });
    let notes = vec![format!(
        "{tag} belongs to {holder}, so this recipe has {free}"
    )];
    Named { tag: free, notes }
}

/// `Singularity.def` is known as `def` too, as it was on Singularity Hub.
fn def_alias(path: &str, taken: &mut HashSet<String>) -> Option<String> {
    let is_def = matches!(file_name(path), "Singularity.def" | "Apptainer.def");
    (is_def && taken.insert("def".to_owned())).then(|| "def".to_owned())
}

fn placed(named: Named, alias: Option<String>, place: &Place, recipes: usize) -> Assigned {
    let (prefix, alone) = match place {
        Place::DefaultBranch => (None, None),
        Place::Named(name) => (Some(name), None),
        Place::GitTag(name) => (Some(name), (recipes == 1).then_some(name)),
    };
    let full = |tag: &str| prefix.map_or_else(|| tag.to_owned(), |name| format!("{name}-{tag}"));
    let mut notes = named.notes;
    let tag = clean(&full(&named.tag), Vec::new());
    notes.extend(tag.notes);
    let aliases = alias
        .map(|alias| clean(&full(&alias), Vec::new()).tag)
        .into_iter()
        .chain(alone.map(|name| clean(name, Vec::new()).tag))
        .filter_map(|alias| alias.parse().ok())
        .collect();
    Assigned {
        tag: tag.tag.parse().unwrap_or_else(|_| Tag::latest()),
        aliases,
        note: (!notes.is_empty()).then(|| notes.join("; ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(paths: &[&str], place: &Place) -> Vec<String> {
        assign(paths, place)
            .into_iter()
            .map(|assigned| assigned.tag.to_string())
            .collect()
    }

    #[test]
    fn a_tag_is_what_the_recipe_is_named() {
        let paths = [
            "Singularity",
            "Singularity.1.0",
            "a/tool.def",
            "Apptainer.x.def",
        ];

        assert_eq!(
            tags(&paths, &Place::DefaultBranch),
            ["latest", "1.0", "tool", "x"]
        );
    }

    #[test]
    fn the_shallowest_recipe_keeps_a_tag_and_the_others_say_why_not() {
        let paths = [
            "b/c/Singularity",
            "Apptainer",
            "Singularity",
            "b/Singularity",
        ];

        let assigned = assign(&paths, &Place::DefaultBranch);

        let names: Vec<&str> = assigned
            .iter()
            .map(|assigned| assigned.tag.as_str())
            .collect();
        assert_eq!(names, ["b.c.latest", "Apptainer", "latest", "b.latest"]);
        assert_eq!(assigned[2].note, None);
        assert_eq!(
            assigned[3].note.as_deref(),
            Some("latest belongs to Singularity, so this recipe has b.latest")
        );
    }

    #[test]
    fn recipes_whose_every_name_is_taken_are_numbered() {
        let paths = ["x/a.def", "a.def", "x.a.def"];

        assert_eq!(tags(&paths, &Place::DefaultBranch), ["x.a.def", "a", "x.a"]);
        assert_eq!(
            tags(&["a b.def", "a-b.def", "a+b.def"], &Place::DefaultBranch).len(),
            3
        );
    }

    #[test]
    fn what_a_tag_cannot_hold_is_replaced_and_noted() {
        let long = format!("{}.def", "x".repeat(80));

        let assigned = assign(&["my tool.def", &long], &Place::DefaultBranch);

        assert_eq!(assigned[0].tag.as_str(), "my-tool");
        assert!(
            assigned[0]
                .note
                .as_deref()
                .is_some_and(|note| note.contains("my tool"))
        );
        assert_eq!(assigned[1].tag.as_str().len(), 64);
    }

    #[test]
    fn other_branches_and_git_tags_come_before_the_tag() {
        let branch = Place::of("refs/heads/fix/it", Some("main"));
        let git_tag = Place::of("refs/tags/v1", Some("main"));

        assert_eq!(tags(&["Singularity"], &branch), ["fix-it-latest"]);
        assert_eq!(
            Place::of("refs/heads/main", Some("main")),
            Place::DefaultBranch
        );
        let alone = assign(&["Singularity"], &git_tag);
        assert_eq!(
            (alone[0].tag.as_str(), alone[0].aliases[0].as_str()),
            ("v1-latest", "v1")
        );
        let two = assign(&["Singularity", "x.def"], &git_tag);
        assert!(two.iter().all(|assigned| assigned.aliases.is_empty()));
    }

    #[test]
    fn singularity_def_has_its_old_tag_too() {
        let assigned = assign(&["Singularity.def"], &Place::DefaultBranch);

        assert_eq!(assigned[0].tag.as_str(), "Singularity");
        assert_eq!(assigned[0].aliases[0].as_str(), "def");
    }
}
