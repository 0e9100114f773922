//! The sections of a stage.

use super::app::{self, App};
use super::diagnostic::{Report, Text, quoted};
use super::environment;
use super::files::{self, Files};
use super::header::Header;
use super::scan::{RawSection, RawStage};
use super::script::{self, Script};
use super::suggest;

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
    stage: &RawStage<'_>,
    earlier_stages: &[Option<&str>],
    report: &mut Report<'_>,
) -> Sections {
    let mut sections = Sections::default();
    for section in &stage.sections {
        sections.add(section, earlier_stages, report);
    }
    sections
}

impl Sections {
    fn add(
        &mut self,
        section: &RawSection<'_>,
        earlier_stages: &[Option<&str>],
        report: &mut Report<'_>,
    ) {
        match section.name.to_lowercase().as_str() {
            "arguments" => append(&mut self.arguments, section, None),
            "files" => self.add_files(files::parse(section, earlier_stages, report)),
            "labels" => self.labels.extend(labels(section)),
            "environment" => {
                let shell = environment::assignments(section, report);
                append(&mut self.environment, section, shell);
            }
            "help" => append(&mut self.help, section, None),
            "runscript" => append(&mut self.runscript, section, None),
            "startscript" => append(&mut self.startscript, section, None),
            "test" => append(&mut self.test, section, None),
            "pre" => append_build_script(&mut self.pre, section, report),
            "setup" => append_build_script(&mut self.setup, section, report),
            "post" => append_build_script(&mut self.post, section, report),
            name if app::is_section(name) => app::add(&mut self.apps, section, report),
            _ => report_unknown(section, report),
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
pub(super) fn append(script: &mut Option<Script>, section: &RawSection<'_>, text: Option<String>) {
    let text = text.unwrap_or_else(|| section.text());
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
    section: &RawSection<'_>,
    report: &mut Report<'_>,
) {
    if script::words(section.args).last() == Some(&"-c") {
        let text = Text::new("nothing follows `-c`")
            .help("`-c` needs the shell that runs this section, as in `-c /bin/bash`");
        report.error(
            "missing-shell",
            &section.line.range_of(section.args.trim()),
            text,
        );
    }
    append(script, section, None);
}

/// The labels of a section: each line's first word, and the rest.
pub(super) fn labels(section: &RawSection<'_>) -> Vec<(String, String)> {
    let lines = section.body.iter().map(|line| line.text.trim());
    lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.split_once([' ', '\t']).unwrap_or((line, "")))
        .map(|(key, value)| (key.to_owned(), value.trim().to_owned()))
        .collect()
}

fn report_unknown(section: &RawSection<'_>, report: &mut Report<'_>) {
    if report.is_full() {
        return;
    }
    let known: Vec<&str> = SECTIONS.iter().chain(app::SECTIONS).copied().collect();
    let first_word = section.name.split_whitespace().next().unwrap_or_default();
    let (message, help) = if first_word.is_empty() {
        (
            "section has no name".to_owned(),
            help_for_nameless(section, &known),
        )
    } else if first_word != section.name && known.contains(&first_word.to_lowercase().as_str()) {
        let message = format!("section name {} has a tab", quoted(section.name));
        (message, "only a space may follow the name".to_owned())
    } else {
        let message = format!("unknown section {}", quoted(&format!("%{}", section.name)));
        (message, suggest::help(first_word, &known, "%"))
    };
    report.error(
        "unknown-section",
        &section.name_range(),
        Text::new(message).help(help),
    );
}

fn help_for_nameless(section: &RawSection<'_>, known: &[&str]) -> String {
    let next_word = section.args.split_whitespace().next().unwrap_or_default();
    match suggest::nearest(next_word, known) {
        Some(near) => format!("no space stands before the name: `%{near}`"),
        None => {
            "a line that begins with a percent sign begins a section, also in a script".to_owned()
        }
    }
}
