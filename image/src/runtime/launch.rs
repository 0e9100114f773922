//! The start of a program in an image.

use std::convert::Infallible;
use std::ffi::OsString;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::stat::{Mode, umask};

use super::account::Caller;
use super::environment::{Environment, candidates};
use super::files::Files;
use super::image::{Form, Image};
use super::options::{Action, Contain, Options, Writable};
use super::plan;
use crate::error::Error;
use crate::sandbox::container::{Isolation, Program, Root, Session, Surface, Writing};

const SHELL: &str = "/bin/sh";
const SCRIPT: &str = include_str!("launch.sh");

/// Becomes the program that is asked for. The calling process must have one thread.
pub fn start(
    image: &Image,
    files: Files,
    options: &Options,
    caller: &Caller,
    warn: &dyn Fn(&str),
) -> Result<Infallible, Error> {
    let mask = umask(Mode::from_bits_truncate(0o022));
    let mut leave_out = |path: &Path, why: &str| {
        warn(&format!("{} is not mounted: {why}", path.display()));
    };
    make_workdir(options)?;
    let writing = writing(image, options)?;

    let isolation = isolation(options);
    let root = Root::enter(files.0, isolation)?;
    let gathered = root.gather(plan::places(options, isolation, caller), &mut leave_out)?;
    let surface = Surface::gather(writing, options.underlay)?;
    let mut session = root.into_session(gathered)?;
    let home = plan::home(options, caller);
    add_account(&mut session, options, caller, &home);
    let has_shell = session.has_file(SHELL);
    session.show(&surface, &mut leave_out)?;

    let folder = enter_folder(options, caller, warn)?;
    let environment = Environment {
        image,
        options,
        caller,
        home,
        folder,
    };
    umask(mask);
    if has_shell {
        become_script(&environment)
    } else {
        become_plain(&environment)
    }
}

fn isolation(options: &Options) -> Isolation {
    let all = options.contain == Contain::All;
    Isolation {
        processes: options.isolation.processes || all,
        ipc: options.isolation.ipc || all,
    }
}

fn writing(image: &Image, options: &Options) -> Result<Writing, Error> {
    Ok(match &options.writable {
        Writable::No => Writing::Nowhere,
        Writable::Memory => Writing::Memory,
        Writable::Layer(folder) if folder.is_dir() => Writing::Layer(folder.clone()),
        Writable::Layer(folder) => {
            return Err(Error::Base {
                message: format!("overlay {} is not a folder", folder.display()),
                help: Some("make it, or use --writable-tmpfs".to_owned()),
            });
        }
        Writable::Image if image.form == Form::Folder => Writing::Image,
        Writable::Image => {
            return Err(Error::Base {
                message: format!("{} cannot be written to", image.path.display()),
                help: Some("use --writable-tmpfs, or a folder made by build --sandbox".to_owned()),
            });
        }
    })
}

fn make_workdir(options: &Options) -> Result<(), Error> {
    let Some(workdir) = &options.workdir else {
        return Ok(());
    };
    for (name, mode) in [("home", 0o750), ("tmp", 0o1777), ("var_tmp", 0o1777)] {
        let path = workdir.join(name);
        DirBuilder::new()
            .recursive(true)
            .mode(mode)
            .create(&path)
            .map_err(Error::io("making", &path))?;
    }
    Ok(())
}

/// The caller is a user of the image, if that knows users.
fn add_account(session: &mut Session, options: &Options, caller: &Caller, home: &Path) {
    if options.writable == Writable::Image {
        return;
    }
    for path in ["/etc/passwd", "/etc/group"].map(Path::new) {
        let is_wanted = options.mounts(&path.to_string_lossy());
        let Some(content) = session.read(path).filter(|_| is_wanted) else {
            continue;
        };
        let text = String::from_utf8_lossy(&content);
        let text = if path.ends_with("passwd") {
            caller.passwd(&text, home)
        } else {
            caller.group(&text)
        };
        session.replace(path, text.into_bytes());
    }
}

/// Enters the folder that was asked for, or else the caller's, or else the home.
fn enter_folder(options: &Options, caller: &Caller, warn: &dyn Fn(&str)) -> Result<PathBuf, Error> {
    if let Some(folder) = &options.folder {
        return enter(folder).map_err(|error| Error::Base {
            message: format!("{} cannot be started in: {error}", folder.display()),
            help: Some("name a folder that is there inside by --pwd".to_owned()),
        });
    }
    let wanted = plan::folder(options, caller);
    match enter(&wanted) {
        Ok(folder) => Ok(folder),
        Err(error) => {
            let fallback = enter(&plan::home(options, caller)).or_else(|_| enter(Path::new("/")));
            let fallback = fallback.map_err(Error::io("entering", "/"))?;
            warn(&format!(
                "{} cannot be started in ({error}), {} is used",
                wanted.display(),
                fallback.display()
            ));
            Ok(fallback)
        }
    }
}

fn enter(folder: &Path) -> std::io::Result<PathBuf> {
    std::env::set_current_dir(folder).map(|()| folder.to_owned())
}

fn become_script(environment: &Environment<'_>) -> Result<Infallible, Error> {
    let mut arguments: Vec<OsString> = [SHELL, "-c", SCRIPT, "cooperage"].map(Into::into).into();
    arguments.extend(environment.options.action.words().iter().cloned());
    let program = Program {
        candidates: vec![PathBuf::from(SHELL)],
        arguments,
        environment: environment.for_script(),
    };
    program.start().map_err(|error| not_started(SHELL, error))
}

/// Without a shell nothing of the image's scripts can be run.
fn become_plain(environment: &Environment<'_>) -> Result<Infallible, Error> {
    let config = environment.image.config.as_ref();
    let words = environment.options.action.words();
    let arguments: Vec<OsString> = match &environment.options.action {
        Action::Exec(words) => words.clone(),
        Action::Run(_) => {
            let list = |list: Option<&Vec<String>>| -> Vec<OsString> {
                list.into_iter().flatten().map(Into::into).collect()
            };
            let mut command = list(config.and_then(|config| config.entrypoint.as_ref()));
            if words.is_empty() {
                command.extend(list(config.and_then(|config| config.cmd.as_ref())));
            } else {
                command.extend(words.iter().cloned());
            }
            command
        }
        Action::Shell(Some(shell), words) => {
            let shell = std::iter::once(shell.clone().into_os_string());
            shell.chain(words.iter().cloned()).collect()
        }
        Action::Shell(None, _) | Action::Test(_) => Vec::new(),
    };
    let Some(program) = arguments.first().cloned() else {
        return Err(has_no_shell(environment));
    };
    let variables = environment.plain(config);
    let path = variables.iter().find(|(name, _)| name == "PATH");
    let path = path.map(|(_, path)| path.clone()).unwrap_or_default();
    let started = Program {
        candidates: candidates(&program, &path),
        arguments,
        environment: variables,
    };
    let name = program.to_string_lossy().into_owned();
    started.start().map_err(|error| not_started(&name, error))
}

/// Nothing says what to run, and there is no shell to run the image's own scripts.
fn has_no_shell(environment: &Environment<'_>) -> Error {
    let (lack, other) = match &environment.options.action {
        Action::Shell(..) => ("it has no /bin/sh", "its own shell: --shell PATH"),
        Action::Test(_) => (
            "it has no /bin/sh, which runs tests",
            "a program of it: cooperage exec IMAGE PROGRAM",
        ),
        Action::Run(_) | Action::Exec(_) => (
            "it has no /bin/sh, and no ENTRYPOINT or CMD is known",
            "a program of it: cooperage exec IMAGE PROGRAM",
        ),
    };
    Error::Base {
        message: format!(
            "{}: cannot {}: {lack}",
            environment.image.path.display(),
            environment.options.action.name()
        ),
        help: Some(format!("name {other}")),
    }
}

fn not_started(program: &str, error: Errno) -> Error {
    let (why, status) = match error {
        Errno::ENOENT => (
            "it, or what it is run by, is not in the image".to_owned(),
            127,
        ),
        Errno::ENOTCONN => (
            "what served the image's files has ended; --unsquash does without it".to_owned(),
            126,
        ),
        Errno::ENOEXEC => ("it is made for another architecture".to_owned(), 126),
        error => (error.desc().to_owned(), 126),
    };
    Error::NotStarted {
        program: program.to_owned(),
        why,
        status,
    }
}
