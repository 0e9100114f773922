//! What could be better in a definition that can be built.
//!
//! Each lint is a file, and tells only what is most likely meant otherwise: one that is wrong
//! costs more trust than one that is missing. All of them read the text once.

mod account;
mod command;
mod home;
mod include_cmd;
mod libraries;
mod mutable_tag;
mod secret;
mod setup;
mod shell;
mod temporary;
mod unquoted;

use super::diagnostic::Report;
use super::header;
use super::names::Section;
use super::scan::RawStage;
use super::source::Line;

/// A stage in which nothing is wrong, with the places of its parts.
pub(super) struct Linted<'s, 'a> {
    pub(super) raw: &'s RawStage<'a>,
    pub(super) header: &'s header::Parsed,
    pub(super) sections: &'s [Section<'s, 'a>],
}

/// Tells what could be better in a stage.
pub(super) fn stage(stage: &Linted<'_, '_>, report: &mut Report<'_>) {
    const LINTS: &[fn(&Linted<'_, '_>, &mut Report<'_>)] = &[
        account::lint,
        mutable_tag::lint,
        include_cmd::lint,
        temporary::lint,
        setup::lint,
        home::lint,
        libraries::lint,
        secret::lint,
        unquoted::lint,
    ];
    for lint in LINTS {
        lint(stage, report);
    }
}

impl<'s, 'a> Linted<'s, 'a> {
    /// The sections of that name.
    fn named(&self, name: &'static str) -> impl Iterator<Item = &'s Section<'s, 'a>> {
        let sections = self.sections.iter();
        sections.filter(move |section| section.name == name)
    }

    /// The lines of all sections of that name.
    fn lines(&self, name: &'static str) -> impl Iterator<Item = &'s Line<'a>> {
        self.named(name).flat_map(|section| &section.raw.body)
    }

    /// The line of the header with this key, which counts if it is repeated.
    fn header_line(&self, key: &str) -> Option<&'s Line<'a>> {
        let mut lines = self.raw.header.iter().rev();
        lines.find(|line| {
            let name = line.text.split(':').next().unwrap_or_default();
            name.trim().eq_ignore_ascii_case(key)
        })
    }
}
