//! Apps of the Scientific Filesystem, as sections of a stage.

use super::diagnostic::{Report, Text, quoted};
use super::files::{self, FileCopy};
use super::names::Section;
use super::script::Script;
use super::stage;

/// The sections of apps.
pub(super) const SECTIONS: &[&str] = &[
    "appinstall",
    "applabels",
    "appfiles",
    "appenv",
    "apptest",
    "apphelp",
    "apprun",
    "appstart",
];

/// More than anybody writes; a bound keeps the work linear for hostile input.
const MOST_APPS: usize = 500;

/// An app.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct App {
    /// Its name; one component of a path.
    pub name: String,
    /// Runs at the end of `%post`, in the app's folder.
    pub install: Option<Script>,
    /// What is copied into the app's folder.
    pub files: Vec<FileCopy>,
    /// Its labels.
    pub labels: Vec<(String, String)>,
    /// Is sourced when the app is used.
    pub environment: Option<Script>,
    /// Tells whether the app works.
    pub test: Option<Script>,
    /// Tells how to use the app.
    pub help: Option<Script>,
    /// What the app does.
    pub run: Option<Script>,
    /// What an instance of the app does.
    pub start: Option<Script>,
}

impl App {
    /// What is copied for this app, with absolute destinations below its folder.
    pub fn copies(&self) -> Vec<FileCopy> {
        let copies = self.files.iter().map(|copy| {
            let relative = copy
                .destination
                .as_ref()
                .unwrap_or(&copy.source)
                .trim_start_matches('/');
            let destination = Some(format!("/scif/apps/{}/{relative}", self.name));
            FileCopy {
                destination,
                ..copy.clone()
            }
        });
        copies.collect()
    }
}

/// Whether a section of this lower-case name belongs to an app.
pub(super) fn is_section(name: &str) -> bool {
    SECTIONS.contains(&name)
}

/// Adds a section to the app that it names.
pub(super) fn add(apps: &mut Vec<App>, section: &Section<'_, '_>, report: &mut Report<'_>) {
    let Some(name) = name(section, report) else {
        return;
    };
    let Some(app) = find_or_add(apps, name) else {
        let text = Text::new(format!("definition has more than {MOST_APPS} apps"));
        report.error("too-many-apps", &section.raw.name_range(), text);
        return;
    };
    match section.name {
        "appfiles" => app.files.extend(files::copies(section, report)),
        "applabels" => app.labels.extend(stage::labels(section, report)),
        "appinstall" => append(&mut app.install, section),
        "appenv" => append(&mut app.environment, section),
        "apptest" => append(&mut app.test, section),
        "apphelp" => append(&mut app.help, section),
        "apprun" => append(&mut app.run, section),
        "appstart" => append(&mut app.start, section),
        _ => {}
    }
}

/// The arguments of these sections are the app's name, so the script has none.
fn append(script: &mut Option<Script>, section: &Section<'_, '_>) {
    stage::append(script, section, None);
    if let Some(script) = script {
        script.args.clear();
    }
}

fn name<'a>(section: &Section<'_, 'a>, report: &mut Report<'_>) -> Option<&'a str> {
    let Some(name) = section.args.split_whitespace().next() else {
        let text = Text::new(format!(
            "section {} names no app",
            quoted(section.raw.line.text.trim())
        ))
        .help("write the app's name behind it, separated by a space");
        report.outdated("missing-app-name", &section.raw.name_range(), text);
        return None;
    };
    if name.contains('/') || name == "." || name == ".." {
        let text = Text::new(format!("app name {} is not a file name", quoted(name)))
            .help("the app gets a folder of that name below /scif/apps");
        report.error("bad-app-name", &section.raw.line.range_of(name), text);
        return None;
    }
    Some(name)
}

fn find_or_add<'a>(apps: &'a mut Vec<App>, name: &str) -> Option<&'a mut App> {
    let known = apps.iter().position(|app| app.name == name);
    if known.is_none() && apps.len() < MOST_APPS {
        apps.push(App {
            name: name.to_owned(),
            ..App::default()
        });
    }
    match known {
        Some(position) => apps.get_mut(position),
        None => apps.last_mut().filter(|app| app.name == name),
    }
}
