//! `build`: the engine alone.

use std::process::ExitCode;

use anyhow::Context as _;
use cooperage_image::definition::{self, ShownText};
use cooperage_image::{
    BuiltImage, Cancel, Context, Engine, Error, Event, Output, Request, Settings, definition_of_uri,
};

use crate::config::{self, AccountArgs, RegistryArgs};
use crate::progress::{ProgressArgs, Voice};
use crate::up::signals;
use crate::{exit, output};

mod events;
mod request;

use self::request::RequestArgs;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The account for the registry of the base comes from APPTAINER_DOCKER_USERNAME and
APPTAINER_DOCKER_PASSWORD, or the same with SINGULARITY_DOCKER_ or DOCKER_.
Layers are kept in COOPERAGE_CACHE (~/.cache/cooperage), temporary trees in COOPERAGE_TMPDIR
(/var/tmp). SOURCE_DATE_EPOCH sets all times.

%post and %test see nothing of this environment but the terminal and the proxies, so that an image
passes its test here when it passes it on a hub: give the definition --build-arg instead.

A From of shub without a host is at COOPERAGE_SHUB, one of library at COOPERAGE_LIBRARY, which is
shown COOPERAGE_LIBRARY_TOKEN. Keys for Fingerprints are those that Apptainer and Singularity keep
(~/.apptainer/keys, ~/.singularity/sypgp, /etc/apptainer/global-pgp-public); others are asked for at
COOPERAGE_KEYSERVER: addresses, separated by commas, or none. Without it they are the hub of the last
login and https://keys.openpgp.org.

With --json every line is an object whose `event` is phase (`name`), log (`text`), diagnostic (as
`check --format json` has them), progress (`step`, `done`, `total`) or state. The last is a state:
`state` is succeeded, with `image` (`path`, `size`), or failed or cancelled, with `failure` (`kind`,
`message`, `help`, `section`, `status`, `line`, `column`) as the hub has it.

Example:
  cooperage build lolcow.sif Singularity
  cooperage build ubuntu.sif docker://ubuntu:22.04
  cooperage build --sandbox box/ lolcow.sif        an image as a folder to change
  cooperage build --update --sandbox box/ more.def
  cooperage build lolcow.sif box/                  and back
  cooperage build --bind /data/cache:/mnt --section post,test lolcow.sif Singularity
  cooperage build --mksquashfs-args '-comp zstd' --arch arm64 lolcow.sif Singularity
  printf 'Bootstrap:docker\\nFrom:alpine' | cooperage build alpine.sif -")]
pub(crate) struct Args {
    #[command(flatten)]
    wanted: RequestArgs,
    #[command(flatten)]
    registries: RegistryArgs,
    #[command(flatten)]
    progress: ProgressArgs,
    /// Print what happens as lines of JSON, for other programs.
    #[arg(long, conflicts_with_all = ["quiet", "verbose"])]
    json: bool,
    #[command(flatten)]
    accounts: AccountArgs,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let request = Request {
        credentials: args.accounts.credentials()?,
        account_files: args.accounts.files()?,
        ..args.wanted.request()?
    };
    let engine = engine(&args.registries);
    let cancel = Cancel::default();
    cancel_on_signals(&cancel)?;

    if args.json {
        return Ok(build_for_programs(&engine, &request, &cancel));
    }
    let display = args.progress.display(Voice::Engine);
    let show = |event: Event<'_>| match event {
        Event::Diagnostic(diagnostic) => display.explain(&rendered(diagnostic, &request)),
        event => display.show(&event),
    };
    let built = engine.build(&request, &show, &cancel);
    display.finish();
    match built {
        Ok(image) => {
            print!("{}", summary(&image));
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            explain(&error, &request);
            Ok(exit::code_for(false))
        }
    }
}

fn build_for_programs(engine: &Engine, request: &Request, cancel: &Cancel) -> ExitCode {
    let lines = events::Lines::default();
    let built = engine.build(request, &|event| lines.show(&event), cancel);
    lines.finish(built.as_ref());
    exit::code_for(built.is_ok())
}

/// The engine with the settings of this user.
pub(super) fn engine(registries: &RegistryArgs) -> Engine {
    Engine::new(settings(registries))
}

/// The settings of this user.
pub(crate) fn settings(registries: &RegistryArgs) -> Settings {
    Settings {
        cache: config::cache_folder(),
        scratch: config::scratch_folder(),
        registries: registries.registries(),
        sources: config::sources_of_user(),
        identity: cooperage_image::sandbox::Identity::default(),
        network: cooperage_image::sandbox::Network::default(),
        environment: config::environment(),
        roots: cooperage_image::Roots::default(),
    }
}

/// Asks for an image of a definition in this folder, with the accounts of this user.
pub(super) fn request_for(
    name: &str,
    definition: Vec<u8>,
    output: Output,
) -> anyhow::Result<Request> {
    let context = Context::Anywhere {
        folder: std::env::current_dir()?,
    };
    let accounts = AccountArgs::default();
    Ok(Request {
        credentials: accounts.credentials()?,
        account_files: accounts.files()?,
        docker_engine: Some(config::docker_engine()),
        epoch: config::source_date_epoch()?,
        ..Request::new(name, definition, context, output)
    })
}

/// The shortest definition that has the base of an address (`docker://ubuntu`, `oci-archive:FILE`).
pub(super) fn definition_of(address: &str) -> anyhow::Result<Vec<u8>> {
    let definition = definition_of_uri(address).with_context(|| {
        format!(
            "{address} is no address of an image: write docker://ubuntu:22.04, or begin with \
             docker-archive:, docker-daemon:, oci:, oci-archive:, library://, shub:// or oras://"
        )
    })?;
    Ok(definition.into_bytes())
}

/// The engine runs on the main thread, so signals are waited for on another.
pub(crate) fn cancel_on_signals(cancel: &Cancel) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let stop = {
        let _inside = runtime.enter();
        signals::stop()?
    };
    let cancel = cancel.clone();
    let wait = move || {
        runtime.block_on(stop);
        cancel.cancel();
    };
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(wait)?;
    Ok(())
}

fn summary(image: &BuiltImage) -> String {
    let path = image.path.display();
    match &image.file {
        Some(file) => format!("{path}: {}\n", output::size(file.layout.size())),
        None => format!("{path}\n"),
    }
}

/// Says why there is no image; what is wrong in the definition with the line concerned.
pub(super) fn explain(error: &Error, request: &Request) {
    match error {
        Error::Definition(diagnostics) => {
            for diagnostic in diagnostics {
                eprint!("{}", rendered(diagnostic, request));
            }
        }
        Error::At {
            error,
            line,
            column,
        } => {
            let name = &request.name;
            tell(error, &format!("{name}:{line}:{column}: "));
        }
        error => tell(error, ""),
    }
}

/// A diagnostic with its line of the definition.
pub(super) fn rendered(diagnostic: &definition::Diagnostic, request: &Request) -> String {
    let text = ShownText::of(&request.definition, &request.definition_options);
    definition::render(diagnostic, &request.name, &text)
}

/// Says what went wrong, and what would be right.
pub(super) fn tell(error: &Error, place: &str) {
    if let Error::Stage { stage, error } = error {
        return tell(error, &format!("{place}{stage}: "));
    }
    eprintln!("cooperage: {place}{}", Told(error));
    if let Error::Base { help, .. } | Error::Machine { help, .. } = error
        && let Some(help) = help
    {
        eprintln!("  {help}");
    }
}

/// An error with its causes in one line.
struct Told<'a>(&'a Error);

impl std::fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)?;
        let mut cause = std::error::Error::source(self.0);
        while let Some(source) = cause {
            write!(f, ": {source}")?;
            cause = source.source();
        }
        Ok(())
    }
}
