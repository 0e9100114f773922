//! Build arguments: `{{ name }}` is replaced before the definition is parsed.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::diagnostic::{Report, Text, quoted};
use super::options::{Mode, Options, Unused};
use super::scan::{self, RawSection};
use super::source::{Replacement, lines};

/// How much longer arguments may make a definition; values are filled in once for each use.
const MOST_GROWTH: usize = 8 << 20;

/// A definition with its arguments filled in, and where its stages are.
#[derive(Debug)]
pub(super) struct Expanded {
    pub(super) text: String,
    pub(super) stages: Vec<Range<usize>>,
}

/// Fills in the arguments, stage by stage: a default of one stage is unknown to the others.
pub(super) fn expand(text: &str, options: &Options, report: &mut Report<'_>) -> Expanded {
    let mut expansion = Expansion {
        build_args: &options.build_args,
        output: String::with_capacity(text.len()),
        used: BTreeSet::new(),
        undefined: BTreeSet::new(),
        known: BTreeSet::new(),
        limit: text.len().saturating_add(MOST_GROWTH),
        is_full: false,
    };
    let mut stages = Vec::new();
    for range in scan::stages(text, options.mode) {
        let start = expansion.output.len();
        let defaults = defaults(text, range.clone(), options.mode);
        expansion.stage(text, range, &defaults, report);
        stages.push(start..expansion.output.len());
    }
    expansion.report_unused(options.unused_build_args, report);
    Expanded {
        text: expansion.output,
        stages,
    }
}

struct Expansion<'a> {
    build_args: &'a BTreeMap<String, String>,
    output: String,
    used: BTreeSet<String>,
    undefined: BTreeSet<String>,
    known: BTreeSet<String>,
    limit: usize,
    is_full: bool,
}

impl Expansion<'_> {
    fn stage(
        &mut self,
        text: &str,
        range: Range<usize>,
        defaults: &BTreeMap<String, String>,
        report: &mut Report<'_>,
    ) {
        self.known.extend(defaults.keys().cloned());
        let mut copied = range.start;
        let mut values: BTreeMap<String, Option<String>> = BTreeMap::new();
        for line in lines(text, range.clone()) {
            for found in placeholders(line.text) {
                if self.is_full {
                    break;
                }
                let place = line.start + found.range.start..line.start + found.range.end;
                let value = values
                    .entry(found.name.to_owned())
                    .or_insert_with(|| self.value(found.name, defaults));
                let Some(value) = value else {
                    self.report_undefined(found.name, &place, report);
                    continue;
                };
                if self.report_full(value, &place, report) {
                    break;
                }
                self.output.push_str(&text[copied..place.start]);
                let start = self.output.len();
                self.output.push_str(value);
                copied = place.end;
                let expanded = start..self.output.len();
                report.places_mut().replaced(Replacement {
                    original: place,
                    expanded,
                });
            }
        }
        self.output.push_str(&text[copied..range.end]);
    }

    /// The value of an argument; the placeholders in it are replaced once.
    fn value(&mut self, name: &str, defaults: &BTreeMap<String, String>) -> Option<String> {
        let value = self.plain_value(name, defaults)?;
        let mut filled = String::new();
        let mut copied = 0;
        for found in placeholders(&value) {
            if filled.len() > self.limit {
                break;
            }
            if let Some(inner) = self.plain_value(found.name, defaults) {
                filled.push_str(&value[copied..found.range.start]);
                filled.push_str(&inner);
                copied = found.range.end;
            }
        }
        filled.push_str(&value[copied..]);
        Some(filled)
    }

    fn plain_value(&mut self, name: &str, defaults: &BTreeMap<String, String>) -> Option<String> {
        self.known.insert(name.to_owned());
        if let Some(value) = self.build_args.get(name) {
            self.used.insert(name.to_owned());
            return Some(value.clone());
        }
        defaults.get(name).cloned()
    }

    /// Whether there is no room for a value; told once.
    fn report_full(&mut self, value: &str, place: &Range<usize>, report: &mut Report<'_>) -> bool {
        if !self.is_full && self.output.len() + value.len() > self.limit {
            self.is_full = true;
            let text = Text::new("build arguments make the definition too long");
            report.error_in_original("definition-too-long", place, text);
        }
        self.is_full
    }

    fn report_undefined(&mut self, name: &str, place: &Range<usize>, report: &mut Report<'_>) {
        if !self.undefined.insert(name.to_owned()) {
            return;
        }
        let text = Text::new(format!("build argument {} has no value", quoted(name))).help(
            format!("give it with `--build-arg {name}=…` or a default in %arguments"),
        );
        report.error_in_original("undefined-build-argument", place, text);
    }

    fn report_unused(&self, unused: Unused, report: &mut Report<'_>) {
        let is_unused = |name: &&String| !self.used.contains(*name);
        for name in self.build_args.keys().filter(is_unused) {
            let known: Vec<&str> = self.known.iter().map(String::as_str).collect();
            let help = if known.is_empty() {
                "the definition has no `{{ name }}` to fill in".to_owned()
            } else {
                format!("the definition uses {}", known.join(", "))
            };
            let text = Text::new(format!("build argument {} is not used", quoted(name)));
            let code = "unused-build-argument";
            match unused {
                Unused::Refused => report.error_in_original(code, &(0..0), text.help(help)),
                Unused::Warned => report.warning(code, &(0..0), text.help(help)),
            }
        }
    }
}

fn defaults(text: &str, range: Range<usize>, mode: Mode) -> BTreeMap<String, String> {
    let stage = scan::stage(text, range, mode);
    let sections = stage
        .sections
        .iter()
        .filter(|s| s.name.eq_ignore_ascii_case("arguments"));
    sections
        .flat_map(|section| &section.body)
        .map(|line| line.text.trim())
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .collect()
}

/// Says which lines of `%arguments` give no argument its value.
pub(super) fn report_nameless(section: &RawSection<'_>, report: &mut Report<'_>) {
    for line in &section.body {
        let text = line.text.trim();
        let is_nameless = text
            .split_once('=')
            .is_none_or(|(name, _)| name.trim().is_empty());
        if is_nameless && !text.is_empty() && !text.starts_with('#') {
            let text = Text::new("this line is skipped: it gives no argument a value");
            let text = text.help("write `NAME=VALUE`");
            report.warning("argument-without-value", &line.range(), text);
        }
    }
}

struct Placeholder<'a> {
    range: Range<usize>,
    name: &'a str,
}

/// The placeholders of a line, up to a comment.
///
/// A comment is a `#` with something before the placeholder: `#!` is none, nor is `#{{ name }}`.
fn placeholders(line: &str) -> Vec<Placeholder<'_>> {
    let mut found = Vec::new();
    let mut position = 0;
    while let Some(open) = line[position..].find("{{").map(|offset| position + offset) {
        if is_comment(&line[position..open]) {
            break;
        }
        match name_at(line, open + 2) {
            Some((name, end)) => {
                found.push(Placeholder {
                    range: open..end,
                    name,
                });
                position = end;
            }
            None => position = open + 1,
        }
    }
    found
}

fn is_comment(before: &str) -> bool {
    let mut signs = before.match_indices('#');
    signs.any(|(position, _)| {
        before[position + 1..]
            .chars()
            .next()
            .is_some_and(|next| next != '!')
    })
}

fn name_at(line: &str, start: usize) -> Option<(&str, usize)> {
    let rest = line[start..].trim_start_matches([' ', '\t']);
    let length = rest
        .find(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'))
        .unwrap_or(rest.len());
    let (name, after) = rest.split_at(length);
    let after = after.trim_start_matches([' ', '\t']).strip_prefix("}}")?;
    (!name.is_empty()).then(|| (name, line.len() - after.len()))
}
