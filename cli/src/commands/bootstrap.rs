//! `bootstrap`: a definition into an image or a folder that exists.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use cooperage_image::{Cancel, Event, Output, Parts, Phase, Request, Test};

use super::build;
use crate::config::RegistryArgs;
use crate::definition_args::DefinitionArgs;
use crate::exit;
use crate::progress::{Display, ProgressArgs, Voice};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
What is in the image stays. When it has a base already, only the sections of the definition are
built into it; --force brings the base again.

Example:
  printf \"Bootstrap:docker\\nFrom:ubuntu:latest\" > Singularity
  cooperage create ubuntu.img
  cooperage bootstrap ubuntu.img Singularity")]
pub(crate) struct Args {
    /// An image that `create` made, or a folder.
    image: PathBuf,
    /// The definition file, or the URI of a base.
    definition: String,
    /// Bring the base also where there is one.
    #[arg(long, short = 'F', short_alias = 'f')]
    force: bool,
    /// Only build these sections, with commas between them.
    #[arg(long, short, value_name = "NAME,...")]
    section: Option<Parts>,
    /// Do not run %test.
    #[arg(long, short = 'T')]
    notest: bool,
    #[command(flatten)]
    reading: DefinitionArgs,
    #[command(flatten)]
    registries: RegistryArgs,
    #[command(flatten)]
    progress: ProgressArgs,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let request = request(args)?;
    let cancel = Cancel::default();
    build::cancel_on_signals(&cancel)?;
    let display = args.progress.display(Voice::Classic);
    let show = |event: Event<'_>| match event {
        Event::Diagnostic(diagnostic) => {
            display.explain(&build::rendered(diagnostic, &request));
        }
        Event::Phase(phase) => say_phase(&display, phase),
        event => display.show(&event),
    };
    show(Event::Info(if is_uri(&args.definition) {
        "Building from DockerHub container"
    } else {
        "Building from bootstrap definition recipe"
    }));
    let engine = build::engine(&args.registries);
    let built = engine.build(&request, &show, &cancel);
    display.finish();
    if let Err(error) = &built {
        build::explain(error, &request);
    }
    Ok(exit::code_for(built.is_ok()))
}

fn request(args: &Args) -> anyhow::Result<Request> {
    let name = args.definition.as_str();
    let definition = if is_uri(name) {
        build::definition_of(name)?
    } else {
        std::fs::read(name).with_context(|| format!("reading {name}"))?
    };
    let output = Output::Writable(args.image.clone());
    Ok(Request {
        definition_options: args.reading.options()?,
        overwrite: args.force,
        parts: args.section.clone().unwrap_or_default(),
        test: if args.notest {
            Test::Skip
        } else {
            Test::ReadOnly
        },
        ..build::request_for(name, definition, output)?
    })
}

fn is_uri(definition: &str) -> bool {
    definition.contains("://")
}

/// The lines of Singularity 2.
fn say_phase(display: &Display, phase: Phase) {
    let line = match phase {
        Phase::Base => "Adding base Singularity environment to container",
        Phase::Files => "Adding files to container",
        Phase::Pre => "Running pre scriptlet",
        Phase::Setup => "Running setup scriptlet",
        Phase::Post => "Running post scriptlet",
        Phase::Step => "Taking what scriptlets and files made from the step cache",
        Phase::Metadata => "Adding environment, labels and runscript to container",
        Phase::Test => "Running test scriptlet",
        Phase::Pack => "Finalizing Singularity container",
    };
    display.show(&Event::Info(line));
}
