//! What the configuration of a Docker or OCI image becomes in an image of ours.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Deserializer, Serialize};

use super::tree::{SCRIPT, Tree};
use super::{Labels, Result, labels};

/// The `config` object of an image's configuration; any part of it may be missing or null.
///
/// See <https://github.com/opencontainers/image-spec/blob/main/config.md#properties>.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct OciConfig {
    /// The user that processes run as.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Variables, as `NAME=value`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env: Option<Vec<String>>,
    /// What is executed.
    #[serde(deserialize_with = "words", skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// Arguments when none are given; without an entrypoint, what is executed.
    #[serde(deserialize_with = "words", skip_serializing_if = "Option::is_none")]
    pub cmd: Option<Vec<String>>,
    /// The folder that processes start in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    /// Labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, Option<String>>>,
    /// Everything else, kept as it is.
    #[serde(flatten)]
    pub other: BTreeMap<String, serde_json::Value>,
}

/// Words; a text without a list around it, as very old images have, is one word (Docker's
/// `strslice`).
fn words<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Option<Vec<String>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Command {
        Words(Vec<String>),
        Word(String),
    }
    Ok(
        Option::<Command>::deserialize(deserializer)?.map(|command| match command {
            Command::Words(words) => words,
            Command::Word(word) => vec![word],
        }),
    )
}

/// Writes the environment, the runscript and the labels of an image's configuration.
///
/// With `include_cmd` its `CMD` is the runscript and its `ENTRYPOINT` is not used.
pub fn install_oci_config(root: &Path, config: &OciConfig, include_cmd: bool) -> Result<()> {
    let tree = Tree::new(root);
    tree.folder(".singularity.d/env")?;
    let env = config.env.as_deref().unwrap_or_default();
    tree.write(
        ".singularity.d/env/10-docker2singularity.sh",
        &environment(env),
        SCRIPT,
    )?;
    tree.write(
        ".singularity.d/runscript",
        &runscript(config, include_cmd),
        SCRIPT,
    )?;
    let known = config.labels.iter().flatten();
    let values = known.map(|(name, value)| (name.clone(), value.clone().unwrap_or_default()));
    labels::write(&tree, &values.collect::<Labels>())
}

/// Exports the variables; but for `PATH`, a value that is there already is kept.
fn environment(env: &[String]) -> String {
    let mut script = "#!/bin/sh\n".to_owned();
    for entry in env {
        let (name, value) = match entry.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (entry.as_str(), None),
        };
        if !is_name(name) {
            continue;
        }
        script.extend([match value {
            Some(value) if name == "PATH" => format!("export PATH=\"{}\"\n", escaped(value)),
            Some(value) => format!("export {name}=\"${{{name}:-{}}}\"\n", default(value)),
            None => format!("export {name}=\"${{{name}:-}}\"\n"),
        }]);
    }
    script
}

/// A default inside of `"${NAME:-…}"`: its own quotes keep dash from splitting it.
fn default(value: &str) -> String {
    format!("\"{}\"", escaped(value))
}

fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}

/// Text as it stands literally between double quotes of a shell.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        if matches!(letter, '\\' | '"' | '`' | '$') {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}

/// Text between single quotes of a shell.
pub(super) fn single_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\"'\"'"))
}

/// Runs a shell, or the words that are given.
const SHELL: &str = r#"#!/bin/sh

if [ $# -gt 0 ]; then
    exec "$@"
elif [ -x /bin/bash ]; then
    exec /bin/bash
fi
exec /bin/sh
"#;

/// Runtimes look for the line with `eval`, letter for letter: with it they interpret the script
/// themselves, so that an image without a shell can be run.
const EVALUATE: &str = r#"
CMDLINE_ARGS=""
for arg in "$@"; do
    CMDLINE_ARGS="${CMDLINE_ARGS} \"$arg\""
done
SINGULARITY_OCI_RUN="-- ${OCI_ENTRYPOINT} ${CMDLINE_ARGS:-${OCI_CMD}}"

# The words are evaluated, so that variables in arguments have their values of the image.
eval "set ${SINGULARITY_OCI_RUN}"
exec "$@"
"#;

/// The runscript: `ENTRYPOINT` with `CMD` as its default arguments, or a shell if there is neither.
fn runscript(config: &OciConfig, include_cmd: bool) -> String {
    let mut entrypoint = config.entrypoint.as_deref().unwrap_or_default();
    let mut cmd = config.cmd.as_deref().unwrap_or_default();
    if include_cmd && !cmd.is_empty() {
        entrypoint = std::mem::take(&mut cmd);
    }
    if entrypoint.is_empty() && cmd.is_empty() {
        return SHELL.to_owned();
    }
    let mut script = "#!/bin/sh\n".to_owned();
    script.extend([
        format!(
            "OCI_ENTRYPOINT={}\n",
            single_quoted(&double_quoted(entrypoint))
        ),
        format!("OCI_CMD={}\n\n", single_quoted(&double_quoted(cmd))),
    ]);
    script.push_str("if [ -n \"${SINGULARITY_NO_EVAL:-}\" ]; then\n");
    if !cmd.is_empty() {
        let words = joined(cmd, single_quoted);
        script.extend([
            "    if [ $# -eq 0 ]; then\n        set -- ",
            &words,
            "\n    fi\n",
        ]);
    }
    if !entrypoint.is_empty() {
        script.extend([
            "    set -- ",
            &joined(entrypoint, single_quoted),
            " \"$@\"\n",
        ]);
    }
    script.push_str("    exec \"$@\"\nfi\n");
    script.push_str(EVALUATE);
    script
}

fn double_quoted(words: &[String]) -> String {
    joined(words, |word| format!("\"{}\"", escaped(word)))
}

fn joined(words: &[String], quote: impl Fn(&str) -> String) -> String {
    let mut joined = String::new();
    for word in words {
        if !joined.is_empty() {
            joined.push(' ');
        }
        joined.push_str(&quote(word));
    }
    joined
}
