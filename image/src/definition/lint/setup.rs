//! `%setup` that does what `%files` does.

use super::super::diagnostic::{Report, Text};
use super::super::names::Section;
use super::Linted;
use super::command;
use super::shell;

/// How the folder of the image is written.
const ROOTS: &[&str] = &[
    "$SINGULARITY_ROOTFS",
    "${SINGULARITY_ROOTFS}",
    "$APPTAINER_ROOTFS",
    "${APPTAINER_ROOTFS}",
];

/// A script outside of the image is not needed to copy files into it.
pub(super) fn lint(stage: &Linted<'_, '_>, report: &mut Report<'_>) {
    for section in stage.named("setup") {
        if only_copies(section) {
            let text = Text::new("`%setup` only copies files, which `%files` does as well")
                .help("write each as `SOURCE DESTINATION` into `%files`: it makes folders itself, and runs nothing outside of the image");
            report.advice("setup-copies-files", &section.raw.name_range(), text);
        }
    }
}

fn only_copies(section: &Section<'_, '_>) -> bool {
    let mut copies = false;
    for command in command::all(&section.raw.body) {
        let Some(command) = command else { return false };
        match command.words.split_first() {
            Some((&"mkdir", folders)) if folders.iter().all(|word| is_plain(word)) => {}
            Some((&("cp" | "install"), words)) if is_copy(words) => copies = true,
            _ => return false,
        }
    }
    copies
}

/// Whether these are the words of a copy that keeps nothing `%files` does not keep.
fn is_copy(words: &[&str]) -> bool {
    let options = words.iter().filter(|word| word.starts_with('-'));
    let mut letters = options.flat_map(|word| word.chars());
    let is_common = letters.all(|letter| "-rRvfD".contains(letter));
    let into_image = words.last().is_some_and(|word| root_of(word).is_some());
    is_common && into_image && words.iter().all(|word| is_plain(word))
}

/// Whether nothing but the folder of the image is filled into a word.
fn is_plain(word: &str) -> bool {
    let rest = root_of(word).unwrap_or(shell::unquoted(word));
    !rest.contains(['$', '`', '>', '<', '(', '{'])
}

/// What follows the folder of the image in a word.
fn root_of(word: &str) -> Option<&str> {
    let word = shell::unquoted(word);
    let rest = ROOTS.iter().find_map(|root| word.strip_prefix(root))?;
    let follows = |letter: char| letter == '/' || letter == '"';
    (rest.is_empty() || rest.starts_with(follows)).then_some(rest)
}
