//! What a stage's definition leaves in its image.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::inspect::{InspectFacts, architecture, facts};
use super::tree::{PLAIN, SCRIPT, Tree};
use super::{AppOfStage, Result, Scripts, labels};
use crate::Error;
use crate::definition::{Definition, Script, Stage};

const ENVIRONMENT: &str = ".singularity.d/env/90-environment.sh";
const DEFINITION: &str = ".singularity.d/Singularity";
const HISTORY: &str = ".singularity.d/bootstrap_history";

/// What a stage's definition leaves in its image; it travels between processes as JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MetadataOfStage {
    /// The whole definition without its secrets.
    pub definition: String,
    /// The header without its secrets.
    pub header: BTreeMap<String, String>,
    /// The scripts.
    pub scripts: Scripts,
    /// The `%labels`.
    pub labels: Vec<(String, String)>,
    /// The apps.
    pub apps: Vec<AppOfStage>,
    /// Time of the build, in seconds since 1970.
    pub built_at: i64,
}

impl MetadataOfStage {
    /// The metadata of one stage of a definition.
    pub fn new(definition: &Definition, stage: &Stage, built_at: i64) -> Self {
        let sections = &stage.sections;
        let file = |script: &Option<Script>| script.as_ref().map(Script::as_file);
        let body = |script: &Option<Script>| script.as_ref().map(|script| script.body.clone());
        let fields = stage.header.fields.iter();
        Self {
            definition: definition.redacted(),
            header: fields
                .map(|(key, field)| (key.clone(), field.value.clone()))
                .collect(),
            scripts: Scripts {
                runscript: file(&sections.runscript),
                startscript: file(&sections.startscript),
                test: file(&sections.test),
                help: body(&sections.help),
                environment: body(&sections.environment),
            },
            labels: sections.labels.clone(),
            apps: sections.apps.iter().map(AppOfStage::from).collect(),
            built_at,
        }
    }
}

/// Writes the metadata of a stage, after `%post`; gives what `inspect` tells of the image.
pub fn install_stage(root: &Path, metadata: &MetadataOfStage) -> Result<InspectFacts> {
    let tree = Tree::new(root);
    tree.folder(".singularity.d/env")?;
    let architecture = architecture(root)?;
    let scripts = &metadata.scripts;
    if let Some(help) = &scripts.help {
        tree.write(".singularity.d/runscript.help", &format!("{help}\n"), PLAIN)?;
    }
    let warnings = labels::merge(&tree, metadata, &architecture)?;
    write_definition(&tree, &metadata.definition)?;
    if let Some(environment) = &scripts.environment {
        append_environment(&tree, environment)?;
    }
    let files = [
        (".singularity.d/startscript", &scripts.startscript),
        (".singularity.d/runscript", &scripts.runscript),
        (".singularity.d/test", &scripts.test),
    ];
    for (path, content) in files {
        if let Some(content) = content {
            tree.write(path, content, SCRIPT)?;
        }
    }
    Ok(InspectFacts {
        warnings,
        ..facts(root)?
    })
}

/// Stores the definition; one that is there already becomes history.
fn write_definition(tree: &Tree, definition: &str) -> Result<()> {
    if tree.text(DEFINITION)?.is_some() {
        tree.folder(HISTORY)?;
        let count = tree.names(HISTORY)?.len();
        let old = tree.path(&format!("{HISTORY}/Singularity{count}"));
        let current = tree.path(DEFINITION);
        fs::rename(&current, old).map_err(Error::io("moving", current))?;
    }
    tree.write(DEFINITION, definition, PLAIN)
}

fn append_environment(tree: &Tree, environment: &str) -> Result<()> {
    let mut script = tree
        .text(ENVIRONMENT)?
        .unwrap_or_else(|| "#!/bin/sh\n".to_owned());
    script.extend(["\n", environment, "\n"]);
    tree.write(ENVIRONMENT, &script, SCRIPT)
}
