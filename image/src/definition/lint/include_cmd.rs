//! `IncludeCmd` where it has nothing to decide.

use super::super::agent::Bootstrap;
use super::super::diagnostic::{Report, Text};
use super::Linted;

/// `%runscript` replaces what the base would run, its `CMD` included.
pub(super) fn lint(stage: &Linted<'_, '_>, report: &mut Report<'_>) {
    let includes = match &stage.header.bootstrap {
        Some(Bootstrap::Docker(docker)) => docker.include_cmd,
        Some(
            Bootstrap::DockerArchive(image)
            | Bootstrap::DockerDaemon(image)
            | Bootstrap::Oci(image)
            | Bootstrap::OciArchive(image),
        ) => image.include_cmd,
        _ => false,
    };
    let mut lines = stage.lines("runscript");
    let runs = lines.any(|line| {
        let text = line.text.trim();
        !text.is_empty() && !text.starts_with('#')
    });
    let Some(line) = stage.header_line("includecmd").filter(|_| includes && runs) else {
        return;
    };
    let text = Text::new("`IncludeCmd` changes nothing: `%runscript` is run instead of `CMD`")
        .help("leave one of the two out");
    report.advice("unused-include-cmd", &line.range_of(line.text.trim()), text);
}
