//! Files that are copied to where nobody sees them.

use super::super::diagnostic::{Report, Text};
use super::super::names::Section;
use super::Linted;
use super::shell;

const FOLDERS: &[&str] = &["/tmp", "/var/tmp"];

/// `/tmp` and `/var/tmp` are other folders when the image is run, and while `%post` runs.
pub(super) fn lint(stage: &Linted<'_, '_>, report: &mut Report<'_>) {
    for section in stage.named("files") {
        lint_section(section, report);
    }
}

fn lint_section(section: &Section<'_, '_>, report: &mut Report<'_>) {
    for line in &section.raw.body {
        let text = line.text.trim();
        if text.starts_with('#') {
            continue;
        }
        let words = text.split_whitespace().collect::<Vec<_>>();
        let ([destination] | [_, destination]) = words[..] else {
            continue;
        };
        if FOLDERS
            .iter()
            .any(|folder| shell::is_in(destination, folder))
        {
            let text = Text::new("what is copied here is not seen in the image")
                .help("copy it elsewhere, such as to `/opt`: `/tmp` and `/var/tmp` are not the image's own when it is built and run");
            report.advice("files-in-tmp", &line.range_of(destination), text);
        }
    }
}
