//! What `run`, `exec`, `shell` and `test` have in common: their options, and the start.

mod options;
mod prepare;

use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, ensure};
use cooperage_image::Error;
use cooperage_image::runtime::{self, Action, Caller, Files, Image, Remote, Ways};

use crate::config;

pub(crate) use options::ContainerArgs;
pub(crate) use prepare::{PrepareArgs, prepare, remote};

/// What a container that does not start ends with, as Apptainer's does.
const NOT_STARTED: u8 = 255;

/// Becomes the program that is asked for, in the image that the first of the words names.
pub(crate) fn start(
    args: &ContainerArgs,
    mut words: Vec<OsString>,
    action: impl FnOnce(Vec<OsString>) -> Action,
) -> ExitCode {
    let image = words.remove(0);
    let Err(error) = try_to_start(args, &image, action(words));
    eprintln!("cooperage: {error:#}");
    match error.downcast_ref() {
        Some(Error::NotStarted { status, .. }) => ExitCode::from(*status),
        Some(
            Error::Base {
                help: Some(help), ..
            }
            | Error::Machine {
                help: Some(help), ..
            },
        ) => {
            eprintln!("  {help}");
            ExitCode::from(NOT_STARTED)
        }
        _ => ExitCode::from(NOT_STARTED),
    }
}

fn try_to_start(args: &ContainerArgs, image: &OsStr, action: Action) -> anyhow::Result<Infallible> {
    let caller = caller()?;
    let options = args.options(action, &caller)?;
    let ways = Ways {
        cache: config::cache_folder(),
        programs: config::program_folders(),
        unpack: args.unsquash,
    };
    let path = match image.to_str().filter(|image| Remote::is_named_by(image)) {
        Some(_) => ask(args, image, &[])?,
        None => PathBuf::from(image),
    };
    let mut opened = Image::open(&path)?;
    if path != Path::new(image) {
        // What is in the cache has a name that says nothing.
        let name = Path::new(image).file_name().unwrap_or_default();
        name.clone_into(&mut opened.name);
    }
    let warn = |text: &str| eprintln!("WARNING: {text}");
    let files = match Files::of(&opened, &ways, &warn)? {
        Some(files) => files,
        None => Files::in_tree(unpacked(args, &path, &ways)?)?,
    };
    Ok(runtime::start(&opened, files, &options, &caller, &warn)?)
}

fn unpacked(args: &ContainerArgs, image: &Path, ways: &Ways) -> anyhow::Result<PathBuf> {
    ask(args, image.as_os_str(), &["--unpack"]).map_err(|_| {
        let mounting = if ways.unpack {
            "leave --unsquash out"
        } else {
            "install squashfuse and have /dev/fuse, so that nothing is unpacked"
        };
        let error = Error::Base {
            message: format!("{} cannot be unpacked", image.display()),
            help: Some(format!(
                "set COOPERAGE_CACHE to a folder with room (it is {}), or {mounting}",
                ways.cache.display()
            )),
        };
        error.into()
    })
}

fn caller() -> anyhow::Result<Caller> {
    let folder = std::env::current_dir().context("finding the current folder")?;
    let environment = std::env::vars_os().collect();
    Ok(Caller::new(folder, config::home_folder(), environment)?)
}

/// Has another process of ours do what needs threads, which a process that enters namespaces must
/// not have. It prints where what it made is.
fn ask(args: &ContainerArgs, image: &OsStr, flags: &[&str]) -> anyhow::Result<PathBuf> {
    let mut command = Command::new("/proc/self/exe");
    command.arg("prepare");
    command.args(args.registries.to_args());
    let output = command
        .args(flags)
        .arg("--")
        .arg(image)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("starting /proc/self/exe")?;
    // It has said why.
    ensure!(
        output.status.success(),
        "{} cannot be used",
        Path::new(image).display()
    );
    Ok(path_of(output.stdout))
}

fn path_of(mut bytes: Vec<u8>) -> PathBuf {
    use std::os::unix::ffi::OsStringExt;
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
    }
    PathBuf::from(OsString::from_vec(bytes))
}
