//! The sections of a stage.

use std::ops::Range;

use super::app::{self, App};
use super::arguments;
use super::diagnostic::{Report, Text};
use super::environment;
use super::files::{self, Files};
use super::header::Header;
use super::names::Section;
use super::options::Mode;
use super::script::{self, Script};

/// A stage: a base and what is done with it.
#[derive(Debug, Clone)]
pub struct Stage {
    /// Its header.
    pub header: Header,
    /// What it consists of besides.
    pub sections: Sections,
}

impl Stage {
    /// The stage's name.
    pub fn name(&self) -> Option<&str> {
        self.header.stage.as_deref()
    }
}

/// The sections of a stage; of those with the same name, one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sections {
    /// Gave the build arguments their defaults.
    pub arguments: Option<Script>,
    /// Runs before there is a base.
    pub pre: Option<Script>,
    /// Runs outside of the image, before files are copied.
    pub setup: Option<Script>,
    /// Runs inside of the image.
    pub post: Option<Script>,
    /// Is sourced when the image is used.
    pub environment: Option<Script>,
    /// What the image does when it is run.
    pub runscript: Option<Script>,
    /// What an instance of the image does.
    pub startscript: Option<Script>,
    /// Tells whether the image works.
    pub test: Option<Script>,
    /// Tells how to use the image.
    pub help: Option<Script>,
    /// What is copied into the image.
    pub files: Vec<Files>,
    /// Labels, in the order of the file.
    pub labels: Vec<(String, String)>,
    /// Apps of the Scientific Filesystem, in the order of the file.
    pub apps: Vec<App>,
}

/// Judges the sections of a stage.
pub(super) fn sections(
    named: &[Section<'_, '_>],
    earlier_stages: &[Option<String>],
    report: &mut Report<'_>,
) -> Sections {
    let mut sections = Sections::default();
    for section in named {
        sections.add(section, earlier_stages, report);
    }
    sections
}

impl Sections {
    fn add(
        &mut self,
        section: &Section<'_, '_>,
        earlier_stages: &[Option<String>],
        report: &mut Report<'_>,
    ) {
        match section.name {
            "arguments" => {
                arguments::report_nameless(section.raw, report);
                append(&mut self.arguments, section, None);
            }
            "files" => self.add_files(files::parse(section, earlier_stages, report)),
            "labels" => self.labels.extend(labels(section, report)),
            "environment" => {
                let shell = environment::assignments(section.raw, report);
                append(&mut self.environment, section, shell);
            }
            "help" => append(&mut self.help, section, None),
            "runscript" => append(&mut self.runscript, section, None),
            "startscript" => append(&mut self.startscript, section, None),
            "test" => append(&mut self.test, section, None),
            "pre" => append_build_script(&mut self.pre, section, report),
            "setup" => append_build_script(&mut self.setup, section, report),
            "post" => append_build_script(&mut self.post, section, report),
            _ => app::add(&mut self.apps, section, report),
        }
    }

    fn add_files(&mut self, files: Option<Files>) {
        let Some(files) = files else { return };
        match self.files.iter_mut().find(|known| known.from == files.from) {
            Some(known) => known.copies.extend(files.copies),
            None => self.files.push(files),
        }
    }
}

/// Joins a section with those of the same name before it.
pub(super) fn append(script: &mut Option<Script>, section: &Section<'_, '_>, text: Option<String>) {
    let text = text.unwrap_or_else(|| section.raw.text());
    let script = script.get_or_insert_with(|| Script {
        args: String::new(),
        body: String::new(),
    });
    script.body.push_str(&text);
    if !section.args.is_empty() {
        section.args.clone_into(&mut script.args);
    }
}

fn append_build_script(
    script: &mut Option<Script>,
    section: &Section<'_, '_>,
    report: &mut Report<'_>,
) {
    if script::words(section.args).last() == Some(&"-c") {
        let text = Text::new("nothing follows `-c`")
            .help("`-c` needs the shell that runs this section, as in `-c /bin/bash`");
        report.error(
            "missing-shell",
            &section.raw.line.range_of(section.args.trim()),
            text,
        );
    }
    append(script, section, None);
}

/// The labels of a section: each line's first word, and the rest.
///
/// Only a space ends the word; in Singularity 2 a tab did so too.
pub(super) fn labels(section: &Section<'_, '_>, report: &mut Report<'_>) -> Vec<(String, String)> {
    let is_lenient = report.mode() == Mode::Lenient;
    let mut labels = Vec::new();
    for line in &section.raw.body {
        let text = line.text.trim();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let ends = |letter: char| letter == ' ' || is_lenient && letter == '\t';
        let (key, value) = text.split_once(ends).unwrap_or((text, ""));
        if key.contains('\t') || is_lenient && text[key.len()..].starts_with('\t') {
            report_tab(&line.range_of(key), report);
        }
        labels.push((key.to_owned(), value.trim().to_owned()));
    }
    labels
}

fn report_tab(range: &Range<usize>, report: &mut Report<'_>) {
    let message = match report.mode() {
        Mode::Modern => "the name of this label has a tab in it",
        Mode::Lenient => "a tab ends the name of this label",
    };
    let text = Text::new(message).help("write a space between the name of a label and its value");
    report.warning("label-with-tab", range, text);
}
