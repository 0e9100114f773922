//! The options that say how a definition is read; the same for every command that reads one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use cooperage_image::definition::{Mode, Options, Unused};

/// How a definition is read.
#[derive(Debug, clap::Args)]
pub(crate) struct DefinitionArgs {
    /// Fill in VALUE for `{{ NAME }}`, before any default in %arguments; may be repeated.
    #[arg(long = "build-arg", value_name = "NAME=VALUE", value_parser = parse_argument)]
    build_args: Vec<(String, String)>,
    /// Fill in the `NAME=VALUE` lines of this file; --build-arg goes before it.
    #[arg(long = "build-arg-file", value_name = "FILE")]
    build_arg_file: Option<PathBuf>,
    /// Only warn of build arguments that the definition does not use.
    #[arg(long)]
    warn_unused_build_args: bool,
    /// Accept what only Singularity 2 accepted, with a warning that says what to write today.
    #[arg(long)]
    lenient: bool,
}

impl DefinitionArgs {
    /// The engine's form of these options; says on stderr which lines of the file are skipped.
    pub(crate) fn options(&self) -> anyhow::Result<Options> {
        let mut build_args = match &self.build_arg_file {
            Some(file) => read(file)?,
            None => BTreeMap::new(),
        };
        build_args.extend(self.build_args.iter().cloned());
        Ok(Options {
            build_args,
            unused_build_args: if self.warn_unused_build_args {
                Unused::Warned
            } else {
                Unused::Refused
            },
            mode: if self.lenient {
                Mode::Lenient
            } else {
                Mode::Modern
            },
            ..Options::default()
        })
    }
}

fn read(file: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let name = file.display();
    let text = std::fs::read_to_string(file).with_context(|| format!("reading {name}"))?;
    let mut arguments = BTreeMap::new();
    for (number, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.trim_start().starts_with('#') {
            continue;
        }
        match parse_argument(line) {
            Ok((key, value)) => {
                arguments.insert(key, value);
            }
            Err(error) => eprintln!("warning: {name}:{}: this line {error}", number + 1),
        }
    }
    Ok(arguments)
}

/// The name and the value around the first equals sign; quotes are part of the value.
fn parse_argument(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or("has no equals sign: write NAME=VALUE")?;
    let (name, value) = (name.trim(), value.trim());
    if name.is_empty() {
        return Err("has no name before its equals sign: write NAME=VALUE".to_owned());
    }
    Ok((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        definition: DefinitionArgs,
    }

    fn options(args: &[&str]) -> Result<Options, String> {
        let line = Line::try_parse_from([&["x"], args].concat());
        let line = line.map_err(|error| error.to_string())?;
        line.definition
            .options()
            .map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn an_argument_is_cut_at_its_first_equals_sign_and_keeps_its_quotes() {
        let expected = [
            ("k1= v1", "v1"),
            (" k1 =v1 ", "v1"),
            ("k1=", ""),
            ("k1=a=b", "a=b"),
            ("k1=\"v 1\"", "\"v 1\""),
            ("k1=a,b", "a,b"),
        ];

        for (text, value) in expected {
            let parsed = parse_argument(text);
            assert_eq!(parsed, Ok(("k1".to_owned(), value.to_owned())), "{text}");
        }
    }

    #[test]
    fn an_argument_without_a_name_or_an_equals_sign_is_refused() {
        for text in ["k1", "k1 v1", "=v1", " = v1", ""] {
            let refused = options(&["--build-arg", text]);

            assert!(refused.unwrap_err().contains("NAME=VALUE"), "{text}");
        }
    }

    #[test]
    fn arguments_of_the_command_line_go_before_those_of_the_file_and_the_last_one_counts() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("arguments");
        std::fs::write(&file, "# c = 1\n\nA = file\nB=file\nnonsense\n=x\n").unwrap();

        let options = options(&[
            "--build-arg=A=first",
            "--build-arg-file",
            file.to_str().unwrap(),
            "--build-arg=A=last",
        ]);

        let expected = [("A", "last"), ("B", "file")];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(options.unwrap().build_args, BTreeMap::from(expected));
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        let refused = options(&["--build-arg-file", "/no/such/file"]);

        assert!(refused.unwrap_err().starts_with("reading /no/such/file"));
    }
}
