//! `check`: what a definition says, and what is wrong with it, without building it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use cooperage_image::definition::{
    self, App, Diagnostic, FileCopy, Files, FilesFrom, Options, Outline, Parsed, Script,
};
use serde::Serialize;

use crate::definition_args::DefinitionArgs;
use crate::exit;
use crate::output::{Format, FormatArgs};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
It ends with 0 when the definition can be built, with warnings or without; with 1 when it cannot;
with 2 when the file or that of --build-arg-file cannot be read. No user name, password or token of a header is shown.

Example:
  cooperage check Singularity")]
pub(crate) struct Args {
    /// The definition file.
    #[arg(value_name = "FILE")]
    definition: PathBuf,
    #[command(flatten)]
    reading: DefinitionArgs,
    #[command(flatten)]
    format: FormatArgs,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let name = args.definition.display().to_string();
    let (bytes, options) = match read(args) {
        Ok(read) => read,
        Err(error) => {
            eprintln!("cooperage: {error:#}");
            return Ok(ExitCode::from(exit::WRONG_CALL));
        }
    };
    let parsed = definition::parse(&bytes, &options);
    let diagnostics = diagnostics(&parsed);
    if args.format.format == Format::Human {
        explain(&diagnostics, &name, &parsed, &bytes);
    }
    let checked = Checked::of(&parsed, &diagnostics);
    args.format
        .print(&checked, |checked| summary(checked, &name))?;
    Ok(exit::code_for(parsed.definition.is_some()))
}

/// What is checked, and how.
fn read(args: &Args) -> anyhow::Result<(Vec<u8>, Options)> {
    let name = args.definition.display();
    let bytes = std::fs::read(&args.definition).with_context(|| format!("reading {name}"))?;
    Ok((bytes, args.reading.options()?))
}

/// The diagnostics in the order of the file.
fn diagnostics(parsed: &Parsed) -> Vec<Diagnostic> {
    let mut diagnostics = parsed.diagnostics.clone();
    diagnostics.sort_by_key(|diagnostic| (diagnostic.line, diagnostic.column));
    diagnostics
}

fn explain(diagnostics: &[Diagnostic], name: &str, parsed: &Parsed, bytes: &[u8]) {
    let text = parsed.shown(bytes);
    for diagnostic in diagnostics {
        let shown = definition::render(diagnostic, name, &text);
        eprintln!("{}", shown.trim_end());
    }
}

fn summary(checked: &Checked<'_>, name: &str) -> String {
    let errors = checked.count("error");
    let warnings = counted(checked.count("warning"), "warning");
    match errors {
        0 => {
            let stages = counted(checked.stages.len(), "stage");
            match checked.count("advice") {
                0 => format!("{name}: {stages}, {warnings}\n"),
                1 => format!("{name}: {stages}, {warnings}, 1 piece of advice\n"),
                advice => format!("{name}: {stages}, {warnings}, {advice} pieces of advice\n"),
            }
        }
        errors => {
            let errors = counted(errors, "error");
            format!("{name}: cannot be built: {errors}, {warnings}\n")
        }
    }
}

fn counted(number: usize, thing: &str) -> String {
    match number {
        0 => format!("no {thing}s"),
        1 => format!("1 {thing}"),
        number => format!("{number} {thing}s"),
    }
}

/// What is printed as JSON.
#[derive(Serialize)]
struct Checked<'a> {
    /// What was understood of them, also if the definition cannot be built.
    stages: Vec<StageShown>,
    diagnostics: Vec<DiagnosticShown<'a>>,
}

#[derive(Serialize)]
struct StageShown {
    header: BTreeMap<String, String>,
    sections: BTreeMap<&'static str, ScriptShown>,
    files: Vec<FilesShown>,
    labels: BTreeMap<String, String>,
    apps: BTreeMap<String, BTreeMap<&'static str, AppSection>>,
}

#[derive(Serialize)]
struct ScriptShown {
    args: String,
    script: String,
}

#[derive(Serialize)]
struct FilesShown {
    from: Option<String>,
    pairs: Vec<Pair>,
}

#[derive(Serialize)]
struct Pair {
    source: String,
    /// Empty where it is the source's path.
    destination: String,
}

#[derive(Serialize)]
#[serde(untagged)]
enum AppSection {
    Script(ScriptShown),
    Files(Vec<Pair>),
    Labels(BTreeMap<String, String>),
}

#[derive(Serialize)]
struct DiagnosticShown<'a> {
    severity: &'static str,
    code: &'static str,
    message: &'a str,
    help: Option<&'a str>,
    line: u32,
    column: u32,
    length: u32,
}

impl<'a> Checked<'a> {
    fn of(parsed: &Parsed, diagnostics: &'a [Diagnostic]) -> Self {
        Self {
            stages: Redacting(parsed).stages(),
            diagnostics: diagnostics.iter().map(DiagnosticShown::of).collect(),
        }
    }

    fn count(&self, severity: &str) -> usize {
        let diagnostics = self.diagnostics.iter();
        diagnostics.filter(|it| it.severity == severity).count()
    }
}

impl<'a> DiagnosticShown<'a> {
    fn of(diagnostic: &'a Diagnostic) -> Self {
        Self {
            severity: diagnostic.severity.as_str(),
            code: diagnostic.code,
            message: &diagnostic.message,
            help: diagnostic.help.as_deref(),
            line: diagnostic.line,
            column: diagnostic.column,
            length: diagnostic.length,
        }
    }
}

/// Copies parts of a definition without its secrets, which may stand in any of them.
struct Redacting<'a>(&'a Parsed);

impl Redacting<'_> {
    fn stages(&self) -> Vec<StageShown> {
        let stages = self.0.outlines();
        let shown = stages.iter().map(|stage| self.stage(stage, &stages));
        shown.collect()
    }

    fn stage(&self, stage: &Outline<'_>, stages: &[Outline<'_>]) -> StageShown {
        let sections = stage.sections;
        let fields = stage.fields.iter();
        let files = sections.files.iter();
        let apps = sections.apps.iter();
        StageShown {
            header: fields
                .map(|(key, field)| (key.clone(), self.text(&field.value)))
                .collect(),
            sections: self.scripts([
                ("arguments", &sections.arguments),
                ("pre", &sections.pre),
                ("setup", &sections.setup),
                ("post", &sections.post),
                ("environment", &sections.environment),
                ("runscript", &sections.runscript),
                ("startscript", &sections.startscript),
                ("test", &sections.test),
                ("help", &sections.help),
            ]),
            files: files.map(|files| self.files(files, stages)).collect(),
            labels: self.labels(&sections.labels),
            apps: apps
                .map(|app| (self.text(&app.name), self.app(app)))
                .collect(),
        }
    }

    fn scripts<const N: usize>(
        &self,
        scripts: [(&'static str, &Option<Script>); N],
    ) -> BTreeMap<&'static str, ScriptShown> {
        let scripts = scripts.into_iter();
        scripts
            .filter_map(|(name, script)| Some((name, self.script(script.as_ref()?))))
            .collect()
    }

    fn script(&self, script: &Script) -> ScriptShown {
        ScriptShown {
            args: self.text(&script.args),
            script: self.text(&script.body),
        }
    }

    fn files(&self, files: &Files, stages: &[Outline<'_>]) -> FilesShown {
        let from = match files.from {
            FilesFrom::Context => None,
            FilesFrom::Stage(stage) => stages.get(stage),
        };
        let name = from.and_then(|stage| stage.fields.get("stage"));
        FilesShown {
            from: name.map(|name| self.text(&name.value)),
            pairs: self.pairs(&files.copies),
        }
    }

    fn pairs(&self, copies: &[FileCopy]) -> Vec<Pair> {
        let pair = |copy: &FileCopy| Pair {
            source: self.text(&copy.source),
            destination: self.text(copy.destination.as_deref().unwrap_or_default()),
        };
        copies.iter().map(pair).collect()
    }

    fn labels(&self, labels: &[(String, String)]) -> BTreeMap<String, String> {
        let labels = labels.iter();
        labels
            .map(|(name, value)| (self.text(name), self.text(value)))
            .collect()
    }

    fn app(&self, app: &App) -> BTreeMap<&'static str, AppSection> {
        let scripts = self.scripts([
            ("appinstall", &app.install),
            ("appenv", &app.environment),
            ("apptest", &app.test),
            ("apphelp", &app.help),
            ("apprun", &app.run),
            ("appstart", &app.start),
        ]);
        let scripts = scripts.into_iter();
        let mut shown: BTreeMap<_, _> = scripts
            .map(|(name, script)| (name, AppSection::Script(script)))
            .collect();
        if !app.files.is_empty() {
            shown.insert("appfiles", AppSection::Files(self.pairs(&app.files)));
        }
        if !app.labels.is_empty() {
            shown.insert("applabels", AppSection::Labels(self.labels(&app.labels)));
        }
        shown
    }

    fn text(&self, text: &str) -> String {
        self.0.redact(text)
    }
}
