//! `collection`: connects git repositories, lists them, builds them, disconnects them.

use std::num::NonZeroU16;
use std::process::ExitCode;

use clap::Subcommand;
use cooperage_protocol::admin::{
    AddedCollection, BuildOnDemand, Collection, CollectionChange, NewCollection,
};
use cooperage_protocol::{CollectionName, Mode, StepCache, Tag, Visibility};

use super::{builds, credential, people};
use crate::config::DataFolder;
use crate::hub::Hub;
use crate::output::{self, FormatArgs};

#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  cooperage collection list")]
pub(crate) enum Command {
    /// Connect a git repository; prints what to enter as webhook at the forge.
    Add(Add),
    /// Change settings of a collection.
    Set(Set),
    /// List the collections.
    List(List),
    /// Build the recipes of a collection without a push.
    Build(Build),
    /// Accounts of a collection for the registries of its bases.
    #[command(subcommand)]
    Credential(credential::Command),
    /// Who has which role in a collection.
    #[command(subcommand)]
    Member(people::MemberCommand),
    /// Make a link to an image, for somebody without an account.
    Link(people::LinkArgs),
    /// Disconnect a repository; its images are no longer served.
    Remove(Remove),
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  cooperage collection add https://github.com/lab/tool.git --name lab/tool"
)]
pub(crate) struct Add {
    /// Where to clone from: https://…, http://…, or a path on the hub's machine.
    clone_url: String,
    /// The collection's name.
    #[arg(long, value_name = "OWNER/REPO")]
    name: CollectionName,
    /// How many of its builds may run at the same time (2 when not given).
    #[arg(long, value_name = "N")]
    max_running: Option<NonZeroU16>,
    /// Accept definitions as Singularity 2 did, with a warning for what to write today.
    #[arg(long)]
    lenient: bool,
    /// Run scripts and copy files in each build, even if nothing changed since the last one.
    #[arg(long)]
    no_step_cache: bool,
    #[command(flatten)]
    data: DataFolder,
    #[command(flatten)]
    format: FormatArgs,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  cooperage collection set lab/tool --lenient")]
#[group(id = "change", required = true, multiple = true, args = ["max_running", "lenient", "modern", "step_cache", "visibility"])]
pub(crate) struct Set {
    /// The collection.
    #[arg(value_name = "OWNER/REPO")]
    name: CollectionName,
    /// How many of its builds may run at the same time.
    #[arg(long, value_name = "N")]
    max_running: Option<NonZeroU16>,
    /// Accept definitions as Singularity 2 did, with a warning for what to write today.
    #[arg(long, conflicts_with = "modern")]
    lenient: bool,
    /// Accept definitions as Apptainer does.
    #[arg(long)]
    modern: bool,
    /// Whether builds may take what scripts and files made before, if nothing changed since: on or
    /// off.
    #[arg(long, value_name = "SWITCH")]
    step_cache: Option<StepCache>,
    /// Who sees and pulls it without a role in it: public, internal or private.
    #[arg(long, value_name = "WHO")]
    visibility: Option<Visibility>,
    #[command(flatten)]
    data: DataFolder,
    #[command(flatten)]
    format: FormatArgs,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  cooperage collection list --format json")]
pub(crate) struct List {
    #[command(flatten)]
    data: DataFolder,
    #[command(flatten)]
    format: FormatArgs,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  cooperage collection build lab/tool --ref v1.2")]
pub(crate) struct Build {
    /// The collection.
    #[arg(value_name = "OWNER/REPO")]
    name: CollectionName,
    /// A branch, a tag or a full commit; the default branch when absent.
    #[arg(long = "ref", value_name = "REF")]
    reference: Option<String>,
    /// Run scripts and copy files even if nothing changed since the last build, and keep nothing.
    #[arg(long)]
    no_step_cache: bool,
    #[command(flatten)]
    data: DataFolder,
    #[command(flatten)]
    format: FormatArgs,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  cooperage collection remove lab/tool")]
pub(crate) struct Remove {
    /// The collection.
    #[arg(value_name = "OWNER/REPO")]
    name: CollectionName,
    #[command(flatten)]
    data: DataFolder,
}

pub(crate) fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Add(args) => add(args),
        Command::Set(args) => set(&args),
        Command::List(args) => list(&args),
        Command::Build(args) => build(args),
        Command::Credential(command) => return credential::run(command),
        Command::Member(command) => return people::run_member(command),
        Command::Link(args) => return people::link(&args),
        Command::Remove(args) => remove(&args),
    }?;
    Ok(ExitCode::SUCCESS)
}

fn add(args: Add) -> anyhow::Result<()> {
    let collection = NewCollection {
        clone_url: args.clone_url,
        name: args.name,
        max_running: args.max_running,
        mode: if args.lenient {
            Mode::Lenient
        } else {
            Mode::Modern
        },
        step_cache: switch(args.no_step_cache),
    };
    let added = Hub::of(&args.data.path)?.add_collection(&collection)?;
    args.format.print(&added, instructions)
}

fn switch(no_step_cache: bool) -> StepCache {
    if no_step_cache {
        StepCache::Off
    } else {
        StepCache::On
    }
}

fn instructions(added: &AddedCollection) -> String {
    let AddedCollection {
        name,
        webhook_url,
        secret,
    } = added;
    format!(
        "connected {name}. Enter at the forge, as a webhook for pushes:\n\
         \x20 payload URL   {webhook_url}\n\
         \x20 content type  application/json\n\
         \x20 secret        {secret}\n\
         The secret is not shown again.\n"
    )
}

fn set(args: &Set) -> anyhow::Result<()> {
    let change = CollectionChange {
        max_running: args.max_running,
        mode: match (args.lenient, args.modern) {
            (true, _) => Some(Mode::Lenient),
            (false, true) => Some(Mode::Modern),
            (false, false) => None,
        },
        step_cache: args.step_cache,
        visibility: args.visibility,
    };
    let changed = Hub::of(&args.data.path)?.change_collection(&args.name, &change)?;
    args.format
        .print(&changed, |changed| table(std::slice::from_ref(changed)))
}

fn list(args: &List) -> anyhow::Result<()> {
    let collections = Hub::of(&args.data.path)?.collections()?;
    args.format
        .print(&collections, |collections| table(collections))
}

fn table(collections: &[Collection]) -> String {
    let rows: Vec<_> = collections
        .iter()
        .map(|collection| {
            let tags: Vec<_> = collection.tags.iter().map(Tag::as_str).collect();
            [
                collection.name.to_string(),
                tags.join(","),
                collection.mode.to_string(),
                collection.step_cache.to_string(),
                collection.visibility.to_string(),
                output::time(collection.updated_at),
                collection.clone_url.clone(),
            ]
        })
        .collect();
    let heads = [
        "NAME",
        "TAGS",
        "MODE",
        "STEP CACHE",
        "SEEN BY",
        "UPDATED",
        "CLONED FROM",
    ];
    output::table(heads, &rows)
}

fn build(args: Build) -> anyhow::Result<()> {
    let what = BuildOnDemand {
        reference: args.reference,
        step_cache: switch(args.no_step_cache),
    };
    let queued = Hub::of(&args.data.path)?.build_now(&args.name, &what)?;
    args.format.print(&queued, |queued| builds::table(queued))
}

fn remove(args: &Remove) -> anyhow::Result<()> {
    Hub::of(&args.data.path)?.remove_collection(&args.name)?;
    Ok(())
}
