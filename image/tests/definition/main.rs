//! What the grammar of definitions accepts, and what it makes of it.

mod arguments;
mod grammar;
mod hostile;
mod lenient;
mod lints;
mod problems;
mod secrets;

use std::collections::BTreeMap;

use cooperage_image::definition::{
    Bootstrap, Definition, Diagnostic, FilesFrom, Mode, Options, Script, Severity, ShownText,
    Stage, Unused, parse, render,
};
use secrecy::ExposeSecret;

const FULL: &str = r#"Bootstrap: docker
From: tensorflow/tensorflow:latest

%runscript
 
    exec /usr/bin/python "$@"

%post

    echo "Post install stuffs!"

%files

/home/vanessa/Desktop/analysis.py /tmp/analysis.py
relative_path.py /tmp/analysis2.py

%environment

TOPSECRET pancakes
HELLO WORLD

%labels

AUTHOR Vanessasaur
"#;

/// What is told of it, but for advice.
fn diagnostics(text: &str) -> Vec<Diagnostic> {
    let parsed = parse(text.as_bytes(), &Options::default());
    let mut diagnostics = parsed.diagnostics;
    diagnostics.retain(|diagnostic| diagnostic.severity != Severity::Advice);
    diagnostics
}

fn with_args(args: BTreeMap<String, String>) -> Options {
    Options {
        build_args: args,
        ..Options::default()
    }
}

fn lenient() -> Options {
    Options {
        mode: Mode::Lenient,
        ..Options::default()
    }
}

fn accept(text: &str, options: &Options) -> Definition {
    let parsed = parse(text.as_bytes(), options);
    let shown = parsed.shown(text.as_bytes());
    let problems: Vec<String> = parsed
        .diagnostics
        .iter()
        .map(|diagnostic| render(diagnostic, "def", &shown))
        .collect();
    parsed
        .definition
        .unwrap_or_else(|| panic!("refused:\n{}", problems.concat()))
}

fn only_stage(text: &str) -> Stage {
    only_stage_of(text, &Options::default())
}

fn only_stage_of(text: &str, options: &Options) -> Stage {
    let mut definition = accept(text, options);
    assert_eq!(definition.stages.len(), 1);
    definition.stages.remove(0)
}

/// A stage with these sections on top of nothing.
fn with(sections: &str) -> Stage {
    only_stage(&format!("Bootstrap: scratch\n{sections}"))
}

fn body(script: Option<&Script>) -> &str {
    script.map_or("", |script| script.body.as_str())
}

/// Code, line, column and length.
type Problem = (&'static str, u32, u32, u32);

fn only_problem(text: &str) -> Problem {
    let found = diagnostics(text);
    assert_eq!(found.len(), 1, "{found:?}");
    (
        found[0].code,
        found[0].line,
        found[0].column,
        found[0].length,
    )
}
