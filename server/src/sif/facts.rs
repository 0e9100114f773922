//! What would `inspect` tell of a pushed image? Its definition, labels and scripts, as the programs
//! that build images write them beside the file system.

use std::collections::BTreeMap;

use cooperage_protocol::image::ImageFacts;
use serde::Deserialize;

use super::{Kind, NotSif, Object, Sif, Source};
use crate::pages;

/// The most bytes of a text that is shown.
const LARGEST_TEXT: u64 = 1 << 20;

/// What programs that build images call the object of what `inspect` tells.
const METADATA: &str = "inspect-metadata.json";

#[derive(Debug, Default, Deserialize)]
struct Metadata {
    data: Data,
}

#[derive(Debug, Default, Deserialize)]
struct Data {
    #[serde(default)]
    attributes: Attributes,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Attributes {
    environment: BTreeMap<String, String>,
    labels: BTreeMap<String, String>,
    runscript: Option<String>,
    startscript: Option<String>,
    test: Option<String>,
    helpfile: Option<String>,
    deffile: Option<String>,
}

/// What the pages show of an image. What it does not tell, or tells in a form that nobody knows,
/// is left empty.
pub(crate) fn facts(source: &Source<'_>, sif: &Sif) -> Result<ImageFacts, NotSif> {
    let told = attributes(source, sif)?;
    let definition = match sif.first(Kind::Definition) {
        Some(object) => Some(text(source, object)?),
        None => told.deffile,
    };
    Ok(ImageFacts {
        architecture: sif.architecture().to_owned(),
        definition: pages::redacted(&definition.unwrap_or_default()),
        labels: told.labels,
        environment: told.environment,
        runscript: told.runscript,
        startscript: told.startscript,
        test: told.test,
        help: told.helpfile,
        base: None,
    })
}

fn attributes(source: &Source<'_>, sif: &Sif) -> Result<Attributes, NotSif> {
    let is_metadata = |object: &&Object| object.kind == Kind::Json && object.name() == METADATA;
    if let Some(object) = sif.objects.iter().find(is_metadata) {
        let metadata: Option<Metadata> = serde_json::from_str(&text(source, object)?).ok();
        return Ok(metadata.unwrap_or_default().data.attributes);
    }
    let labels = match sif.first(Kind::Labels) {
        Some(object) => serde_json::from_str(&text(source, object)?).unwrap_or_default(),
        None => BTreeMap::new(),
    };
    Ok(Attributes {
        labels,
        ..Attributes::default()
    })
}

/// The beginning of an object, as text that Postgres can keep.
fn text(source: &Source<'_>, object: &Object) -> Result<String, NotSif> {
    let end = object.range.end.min(object.range.start + LARGEST_TEXT);
    let bytes = source.read(object.range.start..end)?;
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.trim_end_matches('\0').replace('\0', "\u{fffd}"))
}
