//! Which section a line with a percent sign begins.

use super::app;
use super::diagnostic::{Report, Text, quoted};
use super::options::Mode;
use super::scan::RawSection;
use super::suggest;

/// The sections of a stage, besides those of its apps.
const SECTIONS: &[&str] = &[
    "help",
    "setup",
    "files",
    "labels",
    "environment",
    "pre",
    "post",
    "runscript",
    "test",
    "startscript",
    "arguments",
];

/// Singularity 2 compared no more of a name than these have: `%environments` was one of them.
const COMPARED_BY_THEIR_BEGINNING: &[&str] = &[
    "help",
    "setup",
    "files",
    "labels",
    "environment",
    "post",
    "runscript",
    "test",
];

/// A section of which it is known what it is.
pub(super) struct Section<'s, 'a> {
    /// One of the names there are, in lower case.
    pub(super) name: &'static str,
    /// What follows the name.
    pub(super) args: &'a str,
    pub(super) raw: &'s RawSection<'a>,
}

/// The sections of a stage; says which of them are none.
pub(super) fn resolve<'s, 'a>(
    sections: &'s [RawSection<'a>],
    report: &mut Report<'_>,
) -> Vec<Section<'s, 'a>> {
    let sections = sections.iter();
    sections
        .filter_map(|section| {
            report_kept_lines(section, report);
            exact(section).or_else(|| outdated(section, report))
        })
        .collect()
}

/// Whether an indented line is a section nevertheless: its first word has to be the name of one.
pub(super) fn is_section(line: &str) -> bool {
    let word = line.split_whitespace().next().unwrap_or_default();
    known(word.trim_start_matches('%')).is_some()
}

/// A section whose name is written as it is today.
fn exact<'s, 'a>(raw: &'s RawSection<'a>) -> Option<Section<'s, 'a>> {
    let name = known(raw.name)?;
    // Names of apps' sections are compared with their case.
    let is_exact = !raw.is_indented && (!app::is_section(name) || raw.name == name);
    is_exact.then_some(Section {
        name,
        args: raw.args,
        raw,
    })
}

fn known(word: &str) -> Option<&'static str> {
    let all = SECTIONS.iter().chain(app::SECTIONS).copied();
    let mut same = all.filter(|name| name.eq_ignore_ascii_case(word));
    same.next()
}

/// A section as Singularity 2 read it, or was meant to.
fn outdated<'s, 'a>(raw: &'s RawSection<'a>, report: &mut Report<'_>) -> Option<Section<'s, 'a>> {
    let (word, args) = words(raw);
    let Some(name) = meant(word) else {
        if !report.skips_outdated() {
            report_unknown(raw, word, report);
        }
        return None;
    };
    let text = Text::new(mistake(raw, word, name)).help(format!("write `%{name}`"));
    let range = raw.line.start..raw.line.range_of(word).end;
    report.outdated("outdated-section", &range, text);
    (report.mode() == Mode::Lenient).then_some(Section { name, args, raw })
}

/// The word that is likely the name, and what follows it.
fn words<'a>(raw: &RawSection<'a>) -> (&'a str, &'a str) {
    let text = raw.after_signs.trim_start();
    let text = text.trim_start_matches('%').trim_start();
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    (text[..end].trim_end_matches(':'), text[end..].trim_start())
}

fn meant(word: &str) -> Option<&'static str> {
    let begins_with = |name: &&&str| word.starts_with(**name);
    known(word)
        .or_else(|| {
            COMPARED_BY_THEIR_BEGINNING
                .iter()
                .find(begins_with)
                .copied()
        })
        .or_else(|| known(&format!("{word}s")))
}

fn mistake(raw: &RawSection<'_>, word: &str, name: &str) -> String {
    let shown = quoted(&format!("%{}", raw.after_signs.trim_end()));
    if !word.eq_ignore_ascii_case(name) {
        return format!("section {shown} is `%{name}` today");
    }
    if raw.name.trim().is_empty() {
        return format!("a space stands before the name of section {shown}");
    }
    if raw.is_indented {
        return format!("section {shown} is indented");
    }
    if raw.name.contains('\t') {
        return format!("a tab follows the name of section {shown}: only a space may");
    }
    if raw.name.ends_with(':') {
        return format!("a colon follows the name of section {shown}");
    }
    format!("section {shown} of an app is not in lower case")
}

fn report_unknown(raw: &RawSection<'_>, word: &str, report: &mut Report<'_>) {
    let message = if word.is_empty() {
        "section has no name".to_owned()
    } else {
        format!("unknown section {}", quoted(&format!("%{word}")))
    };
    let message = match report.mode() {
        Mode::Modern => message,
        Mode::Lenient => format!("{message} is left out"),
    };
    let help = help_for_unknown(word);
    report.outdated(
        "unknown-section",
        &raw.name_range(),
        Text::new(message).help(help),
    );
}

fn help_for_unknown(word: &str) -> String {
    if word.eq_ignore_ascii_case("appsetup") {
        return "write its commands into `%setup`: apps have no setup of their own".to_owned();
    }
    if !word.chars().next().is_some_and(char::is_alphabetic) {
        let help = "a line that begins with a percent sign begins a section, also in a script";
        return help.to_owned();
    }
    let known: Vec<&str> = SECTIONS.iter().chain(app::SECTIONS).copied().collect();
    suggest::help(word, &known, "%")
}

/// Says which lines of a script would begin a section today.
fn report_kept_lines(section: &RawSection<'_>, report: &mut Report<'_>) {
    for line in &section.body {
        let text = line.text.trim_start();
        if text.starts_with('%') {
            let word = text.split_whitespace().next().unwrap_or_default();
            let text = Text::new("an indented percent sign begins a section today")
                .help("write the line so that it begins with something else");
            report.outdated("percent-sign-in-script", &line.range_of(word), text);
        }
    }
}
