//! Labels of an image, and which wins when several have the same name.

use chrono::{DateTime, Datelike, Timelike, Utc};

use super::stage::MetadataOfStage;
use super::tree::{PLAIN, Tree};
use super::{Labels, Result};
use crate::Error;

const FILE: &str = ".singularity.d/labels.json";

/// Where `%post` may write labels: `$SINGULARITY_LABELS`.
const WRITTEN_BY_POST: &str = ".build.labels";

const HELP: &str = "/.singularity.d/runscript.help";

/// Labels that the image has so far; those that are not text are left out.
pub(super) fn read(tree: &Tree, path: &str) -> Result<Labels> {
    let text = tree.text(path)?.unwrap_or_default();
    let values: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(&text).unwrap_or_default();
    let texts = values.into_iter().filter_map(|(name, value)| match value {
        serde_json::Value::String(text) => Some((name, text)),
        _ => None,
    });
    Ok(texts.collect())
}

/// Labels of the image so far.
pub(super) fn current(tree: &Tree) -> Result<Labels> {
    read(tree, FILE)
}

/// Writes the labels of the image.
pub(super) fn write(tree: &Tree, labels: &Labels) -> Result<()> {
    write_to(tree, FILE, labels)
}

/// Writes labels, indented by tabs and sorted, as other builders do.
pub(super) fn write_to(tree: &Tree, path: &str, labels: &Labels) -> Result<()> {
    let mut bytes = Vec::new();
    let format = serde_json::ser::PrettyFormatter::with_indent(b"\t");
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, format);
    serde::Serialize::serialize(labels, &mut serializer)
        .map_err(|error| Error::Internal(format!("labels: {error}")))?;
    tree.write(path, &String::from_utf8_lossy(&bytes), PLAIN)
}

/// Merges the labels of the base, of `%post`, of the build and of `%labels`, in this order; only
/// the last do not replace. Gives a warning for each that was not taken.
pub(super) fn merge(
    tree: &Tree,
    metadata: &MetadataOfStage,
    architecture: &str,
) -> Result<Vec<String>> {
    let mut labels = current(tree)?;
    labels.extend(written_by_post(tree)?);
    labels.extend(of_build(metadata, architecture));
    let mut warnings = Vec::new();
    let own: Labels = metadata.labels.iter().cloned().collect();
    for (name, value) in own {
        if labels.get(&name).is_some_and(|existing| *existing != value) {
            warnings.push(format!(
                "label {name} exists already in the base and is kept"
            ));
        } else {
            labels.insert(name, value);
        }
    }
    write(tree, &labels)?;
    Ok(warnings)
}

fn written_by_post(tree: &Tree) -> Result<Labels> {
    let text = tree.text(WRITTEN_BY_POST)?.unwrap_or_default();
    tree.clear(WRITTEN_BY_POST)?;
    let lines = text.lines().map(str::trim);
    Ok(lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.split_once([' ', '\t']).unwrap_or((line, "")))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect())
}

fn of_build(metadata: &MetadataOfStage, architecture: &str) -> Labels {
    let mut labels = Labels::new();
    let mut add = |name: &str, value: &str| {
        labels.insert(format!("org.label-schema.{name}"), value.to_owned());
    };
    add("schema-version", "1.0");
    add("build-date", &build_date(metadata.built_at));
    add("build-arch", architecture);
    add("usage.cooperage.version", env!("CARGO_PKG_VERSION"));
    if metadata.scripts.help.is_some() {
        add("usage", HELP);
        add("usage.singularity.runscript.help", HELP);
        add("usage.apptainer.runscript.help", HELP);
    }
    for (key, value) in &metadata.header {
        add(&format!("usage.singularity.deffile.{key}"), value);
    }
    labels
}

/// A time as other builders write it into labels: `Monday_2_August_2021_14:9:36_UTC`.
pub fn build_date(seconds: i64) -> String {
    let time = DateTime::<Utc>::from_timestamp(seconds, 0).unwrap_or(DateTime::UNIX_EPOCH);
    let (weekday, month) = (time.format("%A"), time.format("%B"));
    let (day, year) = (time.day(), time.year());
    let (hour, minute, second) = (time.hour(), time.minute(), time.second());
    format!("{weekday}_{day}_{month}_{year}_{hour}:{minute}:{second}_UTC")
}
