//! What `inspect` tells of a tree.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::tree::Tree;
use super::{Labels, Result, Scripts, elf, labels};

const ENV: &str = ".singularity.d/env";
const APPS: &str = "scif/apps";

/// What `inspect` tells of an image; it travels between processes as JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct InspectFacts {
    /// Labels by name.
    pub labels: Labels,
    /// Environment scripts by path.
    pub environment: BTreeMap<String, String>,
    /// The runscript.
    pub runscript: Option<String>,
    /// The startscript.
    pub startscript: Option<String>,
    /// The test.
    pub test: Option<String>,
    /// The help text.
    pub help: Option<String>,
    /// The definition.
    pub definition: Option<String>,
    /// The object `inspect-metadata.json` of a SIF.
    pub inspect_json: String,
    /// Architecture in Go's spelling.
    pub architecture: String,
    /// What the user should know, each one line.
    pub warnings: Vec<String>,
}

/// Reads what the image in `root` tells of itself.
pub fn facts(root: &Path) -> Result<InspectFacts> {
    let tree = Tree::new(root);
    let scripts = scripts(&tree, ".singularity.d")?;
    let mut facts = InspectFacts {
        labels: labels::current(&tree)?,
        environment: environment(&tree)?,
        runscript: scripts.runscript,
        startscript: scripts.startscript,
        test: scripts.test,
        help: scripts.help,
        definition: text(&tree, ".singularity.d/Singularity")?,
        architecture: architecture(root)?,
        ..InspectFacts::default()
    };
    facts.inspect_json = inspect_json(&facts, apps(&tree)?);
    Ok(facts)
}

/// The architecture of the image's programs; of this machine if it has none.
pub(super) fn architecture(root: &Path) -> Result<String> {
    Ok(elf::architecture(root)?.to_owned())
}

fn text(tree: &Tree, path: &str) -> Result<Option<String>> {
    Ok(tree
        .text(path)?
        .map(|text| text.trim_end_matches('\n').to_owned()))
}

fn scripts(tree: &Tree, folder: &str) -> Result<Scripts> {
    Ok(Scripts {
        runscript: text(tree, &format!("{folder}/runscript"))?,
        startscript: text(tree, &format!("{folder}/startscript"))?,
        test: text(tree, &format!("{folder}/test"))?,
        help: text(tree, &format!("{folder}/runscript.help"))?,
        environment: None,
    })
}

/// The scripts that come from the image's base and from its definition.
fn environment(tree: &Tree) -> Result<BTreeMap<String, String>> {
    let mut environment = BTreeMap::new();
    for name in tree.names(ENV)? {
        let is_docker = name.starts_with("10-docker") && has_ending(&name);
        let is_own = name.starts_with('9') && name.ends_with("-environment.sh");
        if !(is_docker || is_own) {
            continue;
        }
        if let Some(text) = text(tree, &format!("{ENV}/{name}"))? {
            environment.insert(format!("/{ENV}/{name}"), text);
        }
    }
    Ok(environment)
}

fn has_ending(name: &str) -> bool {
    Path::new(name)
        .extension()
        .is_some_and(|ending| ending == "sh")
}

fn apps(tree: &Tree) -> Result<Map<String, Value>> {
    let mut apps = Map::new();
    for name in tree.names(APPS)? {
        let folder = format!("{APPS}/{name}/scif");
        if !tree.path(&folder).is_dir() {
            continue;
        }
        let mut app = attributes(scripts(tree, &folder)?);
        let path = format!("{folder}/env/90-environment.sh");
        if let Some(text) = text(tree, &path)? {
            app.insert(
                "environment".to_owned(),
                json!({ format!("/{path}"): text }),
            );
        }
        app.insert(
            "labels".to_owned(),
            json!(labels::read(tree, &format!("{folder}/labels.json"))?),
        );
        apps.insert(name, Value::Object(app));
    }
    Ok(apps)
}

fn attributes(scripts: Scripts) -> Map<String, Value> {
    let named = [
        ("runscript", scripts.runscript),
        ("startscript", scripts.startscript),
        ("test", scripts.test),
        ("helpfile", scripts.help),
    ];
    let mut attributes = Map::new();
    for (name, text) in named {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            attributes.insert(name.to_owned(), Value::String(text));
        }
    }
    attributes
}

fn inspect_json(facts: &InspectFacts, apps: Map<String, Value>) -> String {
    let mut attributes = attributes(Scripts {
        runscript: facts.runscript.clone(),
        startscript: facts.startscript.clone(),
        test: facts.test.clone(),
        help: facts.help.clone(),
        environment: None,
    });
    if let Some(definition) = &facts.definition {
        attributes.insert("deffile".to_owned(), json!(definition));
    }
    if !facts.labels.is_empty() {
        attributes.insert("labels".to_owned(), json!(facts.labels));
    }
    if !facts.environment.is_empty() {
        attributes.insert("environment".to_owned(), json!(facts.environment));
    }
    if !apps.is_empty() {
        attributes.insert("apps".to_owned(), Value::Object(apps));
    }
    json!({ "data": { "attributes": attributes }, "type": "container" }).to_string()
}
