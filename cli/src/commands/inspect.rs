//! `inspect`: what an image tells of itself, as Apptainer shows it.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use cooperage_image::inspect::{AppAttributes, Attributes, Data, Document};
use cooperage_image::{Cancel, Error};
use serde::Serialize;

use super::build;
use crate::config::RegistryArgs;
use crate::{exit, output};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Images are SIF files, squashfs and ext3 images, and folders. Without options the labels are shown.

Example:
  cooperage inspect lolcow.sif
  cooperage inspect --runscript --environment lolcow.sif
  cooperage inspect --json --all lolcow.sif")]
pub(crate) struct Args {
    /// The image.
    image: PathBuf,
    #[command(flatten)]
    shown: Shown,
    /// Show what this app has, not the whole image.
    #[arg(long, value_name = "NAME")]
    app: Option<String>,
    /// Print JSON.
    #[arg(long, short)]
    json: bool,
}

/// What is shown.
#[derive(Debug, Clone, Copy, clap::Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an option of its own"
)]
struct Shown {
    /// Show everything, as JSON.
    #[arg(long)]
    all: bool,
    /// Show the labels.
    #[arg(long, short)]
    labels: bool,
    /// Show the definition that the image was built from.
    #[arg(long, short)]
    deffile: bool,
    /// Show the runscript.
    #[arg(long, short)]
    runscript: bool,
    /// Show the startscript.
    #[arg(long, short)]
    startscript: bool,
    /// Show the test.
    #[arg(long, short)]
    test: bool,
    /// Show the environment.
    #[arg(long, short)]
    environment: bool,
    /// Show the help text.
    #[arg(long, short = 'H')]
    helpfile: bool,
    /// List the apps.
    #[arg(long)]
    list_apps: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let attributes = match inspect(&args.image) {
        Ok(attributes) => attributes,
        Err(error) => {
            build::tell(&error, "");
            return Ok(exit::code_for(false));
        }
    };
    let shown = args.shown.or_labels();
    let text = if args.json || shown.all {
        json(chosen(attributes, shown, args.app.as_deref()))?
    } else {
        text(&attributes, shown, args.app.as_deref())
    };
    output::unless_closed(io::stdout().lock().write_all(text.as_bytes()))?;
    Ok(ExitCode::SUCCESS)
}

/// Reads what an image tells of itself.
pub(super) fn inspect(image: &Path) -> Result<Attributes, Error> {
    build::engine(&RegistryArgs::default()).inspect(image, &Cancel::default())
}

impl Shown {
    /// Labels are what is shown when nothing else was asked for.
    fn or_labels(mut self) -> Self {
        let others = [
            self.all,
            self.deffile,
            self.runscript,
            self.startscript,
            self.test,
            self.environment,
            self.helpfile,
            self.list_apps,
        ];
        self.labels |= !others.contains(&true);
        self
    }
}

/// What was asked for of the image and of its apps.
fn chosen(all: Attributes, shown: Shown, app: Option<&str>) -> Attributes {
    if shown.all {
        return all;
    }
    let image = of_image(&all);
    let deffile = if shown.deffile {
        all.deffile
    } else {
        String::new()
    };
    let (apps, image) = match app {
        _ if shown.list_apps => (all.apps, image),
        None => (BTreeMap::new(), image),
        Some(app) => {
            let found = all.apps.get(app).cloned().unwrap_or_default();
            let found = (app.to_owned(), chosen_of_app(found, shown));
            ([found].into(), AppAttributes::default())
        }
    };
    Attributes {
        apps,
        deffile,
        ..of_app_to_image(chosen_of_app(image, shown))
    }
}

fn chosen_of_app(all: AppAttributes, shown: Shown) -> AppAttributes {
    fn only_if<T: Default>(shown: bool, value: T) -> T {
        if shown { value } else { T::default() }
    }
    AppAttributes {
        environment: only_if(shown.environment, all.environment),
        labels: only_if(shown.labels, all.labels),
        runscript: only_if(shown.runscript, all.runscript),
        startscript: only_if(shown.startscript, all.startscript),
        test: only_if(shown.test, all.test),
        helpfile: only_if(shown.helpfile, all.helpfile),
    }
}

/// What the image has as its apps do.
fn of_image(all: &Attributes) -> AppAttributes {
    AppAttributes {
        environment: all.environment.clone(),
        labels: all.labels.clone(),
        runscript: all.runscript.clone(),
        startscript: all.startscript.clone(),
        test: all.test.clone(),
        helpfile: all.helpfile.clone(),
    }
}

fn of_app_to_image(app: AppAttributes) -> Attributes {
    Attributes {
        environment: app.environment,
        labels: app.labels,
        runscript: app.runscript,
        startscript: app.startscript,
        test: app.test,
        helpfile: app.helpfile,
        ..Attributes::default()
    }
}

fn json(attributes: Attributes) -> anyhow::Result<String> {
    let document = Document {
        data: Data { attributes },
        kind: "container".to_owned(),
    };
    let mut bytes = Vec::new();
    let format = serde_json::ser::PrettyFormatter::with_indent(b"\t");
    document.serialize(&mut serde_json::Serializer::with_formatter(
        &mut bytes, format,
    ))?;
    let text = String::from_utf8(bytes)?;
    // Outside of texts JSON has none of these, and Apptainer writes them so that HTML can have it.
    let text = text
        .replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026");
    Ok(text + "\n")
}

fn text(all: &Attributes, shown: Shown, app: Option<&str>) -> String {
    let of = match app {
        None => of_image(all),
        Some(app) => all.apps.get(app).cloned().unwrap_or_default(),
    };
    let mut lines = Vec::new();
    if shown.list_apps {
        lines.extend(all.apps.keys().cloned());
    }
    let texts = [
        (shown.deffile, &all.deffile),
        (shown.runscript, &of.runscript),
        (shown.startscript, &of.startscript),
        (shown.test, &of.test),
        (shown.helpfile, &of.helpfile),
    ];
    let wanted = texts
        .into_iter()
        .filter(|(shown, text)| *shown && !text.is_empty());
    lines.extend(wanted.map(|(_, text)| text.clone()));
    if shown.environment {
        let scripts = of.environment.iter();
        lines.extend(scripts.map(|(path, text)| format!("=== {path} ===\n{text}\n")));
    }
    if shown.labels {
        let labels = of.labels.iter();
        lines.extend(labels.map(|(name, value)| format!("{name}: {value}")));
    }
    lines.push(String::new());
    lines.join("\n")
}
