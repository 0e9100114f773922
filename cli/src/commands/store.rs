//! `store`: what the images of a hub take on its disk, the removal of what nothing needs, and the
//! search for what the disk forgot.

use std::process::ExitCode;

use clap::Subcommand;
use cooperage_protocol::Tag;
use cooperage_protocol::admin::{
    CheckStore, CheckedStore, Clean, Damage, DamagedObject, StoreUsage,
};

use crate::config::DataFolder;
use crate::exit;
use crate::hub::Hub;
use crate::output::{self, FormatArgs};

#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  cooperage store show")]
pub(crate) enum Command {
    /// Show how much the images take, and how much of it they share.
    Show(Show),
    /// Remove at once what nothing needs any more; the hub does so itself from time to time.
    Clean(CleanArgs),
    /// Read everything again, and name what is damaged and which images need it.
    Check(CheckArgs),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  cooperage store show --format json")]
pub(crate) struct Show {
    #[command(flatten)]
    data: DataFolder,
    #[command(flatten)]
    format: FormatArgs,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  cooperage store clean --unused-minutes 0")]
pub(crate) struct CleanArgs {
    /// How long nothing must have needed it; the hub's setting when left out.
    #[arg(long, value_name = "N")]
    unused_minutes: Option<u64>,
    #[command(flatten)]
    data: DataFolder,
    #[command(flatten)]
    format: FormatArgs,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
A damaged object is laid aside and not served; building an image that needs it sends it again. The exit
status is 1 if there is one.

Example:
  cooperage store check")]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    data: DataFolder,
    #[command(flatten)]
    format: FormatArgs,
}

pub(crate) fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Show(args) => {
            let usage = Hub::of(&args.data.path)?.store()?;
            args.format.print(&usage, table)?;
        }
        Command::Clean(args) => {
            let clean = Clean {
                unused_minutes: args.unused_minutes,
            };
            let cleaned = Hub::of(&args.data.path)?.clean_store(&clean)?;
            args.format.print(&cleaned, |cleaned| {
                let size = output::size(cleaned.bytes);
                format!("{} objects removed, {size}\n", cleaned.objects)
            })?;
        }
        Command::Check(args) => {
            let checked = check(&Hub::of(&args.data.path)?)?;
            args.format.print(&checked, report)?;
            return Ok(exit::code_for(checked.damaged.is_empty()));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The hub reads for a while with each call.
fn check(hub: &Hub) -> anyhow::Result<CheckedStore> {
    let mut all = CheckedStore::default();
    let mut from = CheckStore::default();
    loop {
        let part = hub.check_store(&from)?;
        all.objects += part.objects;
        all.bytes += part.bytes;
        all.damaged.extend(part.damaged);
        if part.next.is_none() {
            return Ok(all);
        }
        from.after = part.next;
    }
}

fn report(checked: &CheckedStore) -> String {
    let size = output::size(checked.bytes);
    let read = format!("{} objects read, {size}\n", checked.objects);
    let rows: Vec<_> = checked.damaged.iter().flat_map(lines).collect();
    if rows.is_empty() {
        return read + "none is damaged\n";
    }
    read + &output::table(["DAMAGED OBJECT", "HOW", "NEEDED BY", "TAGS"], &rows)
}

fn lines(object: &DamagedObject) -> Vec<[String; 4]> {
    let how = match object.damage {
        Damage::Missing => "missing",
        Damage::Changed => "changed",
    };
    let line = |needed_by: String, tags: String| {
        [object.digest.to_string(), how.to_owned(), needed_by, tags]
    };
    if object.images.is_empty() {
        return vec![line("no image".to_owned(), String::new())];
    }
    let images = object.images.iter().map(|image| {
        let tags: Vec<_> = image.tags.iter().map(Tag::as_str).collect();
        line(
            format!("{}@{}", image.collection, image.digest),
            tags.join(","),
        )
    });
    images.collect()
}

fn table(usage: &StoreUsage) -> String {
    let row = |name: &str, count: u64, bytes: u64| {
        [name.to_owned(), count.to_string(), output::size(bytes)]
    };
    let rows = [
        row("images", usage.images, usage.image_bytes),
        row("objects", usage.objects, usage.object_bytes),
        row("unused", usage.unused_objects, usage.unused_bytes),
    ];
    output::table(["KIND", "COUNT", "SIZE"], &rows)
}
