//! The definition file: its grammar, and what is wrong with one.

/// Something to tell about a definition, with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Whether it stops the build.
    pub severity: Severity,
    /// A stable short name, lower case with hyphens.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub help: Option<String>,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// Length in characters, at least 1.
    pub length: u32,
}

/// How bad a diagnostic is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The definition cannot be built.
    Error,
    /// It can, but something is likely wrong.
    Warning,
}

impl Diagnostic {
    /// Whether it stops the build.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// Formats a diagnostic with the line it is about.
pub fn render(diagnostic: &Diagnostic, name: &str, text: &str) -> String {
    let line = text.lines().nth(diagnostic.line.saturating_sub(1) as usize).unwrap_or_default();
    let Diagnostic { message, line: number, column, .. } = diagnostic;
    format!("{name}:{number}:{column}: {message}\n  | {line}\n")
}
