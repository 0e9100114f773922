//! Secrets that become part of the image.

use super::super::diagnostic::{Report, Text, quoted};
use super::super::secrets;
use super::Linted;

/// The sections with variables.
const SECTIONS: &[&str] = &["environment", "post", "appenv", "appinstall"];

/// Whoever has the image has also what its scripts export.
pub(super) fn lint(stage: &Linted<'_, '_>, report: &mut Report<'_>) {
    for line in SECTIONS.iter().flat_map(|name| stage.lines(name)) {
        let Some(name) = secrets::exported(line.text) else {
            continue;
        };
        let message = format!(
            "everybody who has the image knows the value of {}",
            quoted(name)
        );
        let text = Text::new(message)
            .help("leave it out, and give it when the image is run: `--env NAME=…`");
        report.advice("secret-in-image", &line.range_of(name), text);
    }
}
