//! What commands print: aligned tables for people, JSON for programs.

use std::io::{self, Write};

use chrono::{DateTime, Utc};
use clap::{Args, ValueEnum};
use serde::Serialize;

/// The form of what a command prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Format {
    /// Tables and sentences.
    #[default]
    Human,
    /// One JSON document.
    Json,
}

/// The option that chooses the form.
#[derive(Debug, Args)]
pub(crate) struct FormatArgs {
    /// How to print the answer.
    #[arg(long, value_enum, default_value_t = Format::Human)]
    pub(crate) format: Format,
}

impl FormatArgs {
    /// Prints `answer` as JSON, or what `human` makes of it.
    pub(crate) fn print<T: Serialize>(
        &self,
        answer: &T,
        human: impl FnOnce(&T) -> String,
    ) -> anyhow::Result<()> {
        let text = match self.format {
            Format::Human => human(answer),
            Format::Json => serde_json::to_string_pretty(answer)? + "\n",
        };
        Ok(unless_closed(
            io::stdout().lock().write_all(text.as_bytes()),
        )?)
    }
}

/// A reader that has seen enough, as `head` has, is no error.
pub(crate) fn unless_closed(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Lays out rows below their headings, each column as wide as its widest cell.
pub(crate) fn table<const N: usize>(headings: [&str; N], rows: &[[String; N]]) -> String {
    let mut widths = headings.map(|heading| heading.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let headings = headings.map(str::to_owned);
    let lines = std::iter::once(&headings).chain(rows).map(|row| {
        let cells: Vec<_> = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        format!("{}\n", cells.join("  ").trim_end())
    });
    lines.collect()
}

/// A step of a check, and below it what would be right.
pub(crate) fn step(subject: &str, verdict: &str, message: &str, help: Option<&str>) -> String {
    let help = help.map_or_else(String::new, |help| format!("{:18}{help}\n", ""));
    format!("{subject:9}  {verdict:5}  {message}\n{help}")
}

pub(crate) fn time(time: Option<DateTime<Utc>>) -> String {
    time.map_or_else(
        || "-".to_owned(),
        |time| time.format("%Y-%m-%d %H:%M:%S").to_string(),
    )
}

/// A size as people read it (`12.3 MiB`).
pub(crate) fn size(bytes: u64) -> String {
    indicatif::HumanBytes(bytes).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_lines_have_no_blanks_at_their_end() {
        let rows = [
            ["a".to_owned(), "Größe".to_owned()],
            ["long one".to_owned(), "b".to_owned()],
        ];

        let text = table(["NAME", "X"], &rows);

        assert_eq!(text, "NAME      X\na         Größe\nlong one  b\n");
    }
}
