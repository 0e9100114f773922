//! The cases as they stand in the files of `tests/conformance/`.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use serde::Deserialize;

/// One row of the table.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// Group and name: `multistage/simple`.
    pub id: String,
    /// What must hold, in a sentence.
    pub essence: String,
    /// Files of the folder that the steps run in, by path. `@registry@` stands for the address of
    /// the open registry.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
    /// What is done, and what must come of it.
    #[serde(default)]
    pub steps: Vec<Step>,
    /// Casts that cannot play this case, and why.
    #[serde(default)]
    pub not: BTreeMap<Cast, String>,
    /// Why nobody plays it.
    pub left_out: Option<String>,
}

/// One line of shell, and what must come of it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// The line.
    pub run: String,
    /// What it must print on its standard output, exactly.
    pub says: Option<String>,
    /// What its standard output must contain.
    pub mentions: Option<String>,
    /// What its standard error must contain when our program wrote it.
    pub complains: Option<String>,
    /// Whether it must fail.
    #[serde(default)]
    pub fails: bool,
    /// Whether it needs rights that our program does not: a mount by the kernel.
    #[serde(default)]
    pub as_root: bool,
}

/// Who builds and who runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cast {
    /// Our program does both.
    Ours,
    /// Apptainer runs what our program built.
    Mixed,
    /// Apptainer does both.
    Peer,
}

impl Cast {
    /// All of them, in the order of the table's columns.
    pub const ALL: [Self; 3] = [Self::Ours, Self::Mixed, Self::Peer];
}

#[derive(Deserialize)]
struct File {
    case: Vec<Case>,
}

/// Reads the cases of all files of a folder, in the order of the files' names.
pub fn read(folder: &Path) -> anyhow::Result<Vec<Case>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("{}", folder.display()))?;
    let mut paths = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<anyhow::Result<Vec<_>>>()?;
    paths.retain(|path| path.extension().is_some_and(|kind| kind == "toml"));
    paths.sort();
    let mut cases = Vec::new();
    for path in paths {
        let text = std::fs::read_to_string(&path)?;
        let file: File =
            toml::from_str(&text).with_context(|| format!("reading {}", path.display()))?;
        cases.extend(file.case);
    }
    Ok(cases)
}
