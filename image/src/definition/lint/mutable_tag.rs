//! Bases that are another image tomorrow.

use super::super::agent::Bootstrap;
use super::super::diagnostic::{Report, Text, quoted};
use super::Linted;

/// `latest`, which is also what no tag means, moves with every release.
pub(super) fn lint(stage: &Linted<'_, '_>, report: &mut Report<'_>) {
    let Some(Bootstrap::Docker(docker)) = &stage.header.bootstrap else {
        return;
    };
    let Some(line) = stage.header_line("from") else {
        return;
    };
    if !is_mutable(&docker.from) {
        return;
    }
    let value = line.text.split_once(':').map_or("", |(_, value)| value);
    let text = Text::new(format!(
        "the base {} is another image after its next release",
        quoted(&docker.from)
    ));
    let help = "name a version, or to have the same base always a digest: `NAME@sha256:…`";
    report.advice(
        "mutable-base",
        &line.range_of(value.trim()),
        text.help(help),
    );
}

fn is_mutable(from: &str) -> bool {
    let name = from.rsplit('/').next().unwrap_or_default();
    match name.split_once(':') {
        Some((_, tag)) => tag == "latest",
        None => !name.is_empty() && !name.contains('@'),
    }
}
