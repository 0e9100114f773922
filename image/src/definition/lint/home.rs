//! What is installed into the home of root.

use super::super::diagnostic::{Report, Text};
use super::Linted;
use super::command;
use super::shell;

/// Options before the folder that something goes to.
const INTO: &[&str] = &["-p", "-C", "-P", "--prefix", "--target", "--directory"];

/// The home of root is not readable, or not there, for who runs the image.
pub(super) fn lint(stage: &Linted<'_, '_>, report: &mut Report<'_>) {
    let body = stage.named("post").flat_map(|section| &section.raw.body);
    let mut found = None;
    for command in command::all(body).flatten() {
        match command.words.first() {
            Some(&("rm" | "mv")) if command.words.iter().any(|word| is_home(word)) => return,
            _ => found = found.or_else(|| command.range_of(installed(&command.words)?)),
        }
    }
    let Some(range) = found else { return };
    let text = Text::new("this is installed into the home of root")
        .help("install it elsewhere, such as into `/opt`: who runs the image has another home, and often cannot read `/root`");
    report.advice("installed-in-root", &range, text);
}

/// The word that names the folder in the home of root, if something goes there.
fn installed<'a>(words: &[&'a str]) -> Option<&'a str> {
    let (program, rest) = words.split_first()?;
    let last = *rest.last()?;
    let clones = *program == "git" && rest.contains(&"clone");
    let makes = ["mkdir", "cp", "ln", "install"].contains(program);
    if (clones || makes) && rest.len() > usize::from(makes && *program != "mkdir") && is_home(last)
    {
        return Some(last);
    }
    let mut pairs = rest.windows(2);
    let after = pairs.find(|pair| INTO.contains(&pair[0]) && is_home(pair[1]));
    let joined = |word: &&&str| {
        let option = word.split_once('=');
        option.is_some_and(|(name, value)| INTO.contains(&name) && is_home(value))
    };
    after
        .map(|pair| pair[1])
        .or_else(|| rest.iter().find(joined).copied())
}

/// Whether it lies in the home of root; hidden files there are mostly settings of the build.
fn is_home(word: &str) -> bool {
    let word = shell::unquoted(word);
    word == "/root" || shell::is_in(word, "/root") && !word.contains("/.")
}
