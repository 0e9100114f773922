//! Runs a program of the machine that fills an empty tree with a distribution's packages.
//!
//! # Security
//! The program runs in the sandbox, as root of the user namespace: the packages' own scripts, which
//! come from a mirror of the definition's choice, never have the machine's root. What a definition
//! says reaches it as an argument or a variable of its own, and no word looks like an option.

use std::path::Path;

use url::Url;

use super::{Base, Bootstrapper};
use crate::engine::{Cancel, Event, Limits, passed_on};
use crate::error::Error;
use crate::sandbox::{self, Network, ScriptRun, Section, Workspace};

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const FOLDERS_OF_PROGRAMS: [&str; 4] = ["/usr/bin", "/usr/sbin", "/usr/local/bin", "/bin"];

/// What surrounds the work.
#[derive(Debug)]
pub struct Surroundings<'a> {
    /// What the work may use.
    pub limits: Limits,
    /// Variables that lead to a proxy.
    pub proxies: Vec<(String, String)>,
    /// Stops the work.
    pub cancel: &'a Cancel,
}

/// One installation.
#[derive(Debug)]
pub(super) struct Installer {
    /// The program's name in messages.
    pub(super) program: &'static str,
    /// What is run: program and arguments.
    pub(super) command: Vec<String>,
    /// Variables besides those that every program gets.
    pub(super) variables: Vec<(&'static str, String)>,
    /// What is installed from where, as the image's history tells it.
    pub(super) reference: String,
    /// Keys of the header that may be wrong when it does not work.
    pub(super) keys: &'static str,
}

/// The command of a script that gets the tree and `arguments`.
pub(super) fn script(text: &str, arguments: Vec<String>) -> Vec<String> {
    let rootfs = Section::Bootstrap.rootfs();
    let fixed = ["/bin/sh", "-c", text, "install", rootfs].map(str::to_owned);
    fixed.into_iter().chain(arguments).collect()
}

/// Fills the tree of a build.
pub(super) fn install(
    bootstrapper: &Bootstrapper<'_>,
    installer: Installer,
) -> Result<Base, Error> {
    bootstrapper.say(&format!("installing {}", installer.reference));
    let surroundings = Surroundings {
        limits: bootstrapper.request.limits,
        proxies: passed_on(&bootstrapper.settings.environment),
        cancel: bootstrapper.cancel,
    };
    run(
        bootstrapper.workspace,
        &installer,
        surroundings,
        &mut |bytes| {
            (bootstrapper.events)(Event::Output(bytes));
        },
    )?;
    Ok(Base {
        reference: Some((installer.reference, None)),
        ..Base::default()
    })
}

/// Runs the program. What it says goes to `output`.
pub(super) fn run(
    workspace: &Workspace,
    installer: &Installer,
    surroundings: Surroundings<'_>,
    output: &mut dyn FnMut(&[u8]),
) -> Result<(), Error> {
    let mut environment = surroundings.proxies;
    let variables = installer.variables.iter();
    environment.extend(variables.map(|(name, value)| ((*name).to_owned(), value.clone())));
    for (name, value) in [("PATH", PATH), ("LC_ALL", "C.UTF-8"), ("HOME", "/root")] {
        environment.push((name.to_owned(), value.to_owned()));
    }
    let run = ScriptRun {
        section: Section::Bootstrap,
        command: installer.command.clone(),
        body: None,
        environment,
        context: None,
        binds: &[],
        network: Network::Host,
        limits: surroundings.limits,
    };
    match sandbox::run_script(workspace, &run, output, surroundings.cancel) {
        Err(Error::Script { status, .. }) => Err(Error::Base {
            message: format!(
                "{} could not be installed: {} ended with exit status {status}",
                installer.reference, installer.program
            ),
            help: Some(format!("the log above says why; check {}", installer.keys)),
        }),
        other => other,
    }
}

/// A machine without any of the programs is told which package has the first.
pub(super) fn require(programs: &[&str], package: &str) -> Result<(), Error> {
    let has = |program: &&str| {
        let mut folders = FOLDERS_OF_PROGRAMS.iter();
        folders.any(|folder| Path::new(folder).join(program).exists())
    };
    if programs.iter().any(has) {
        return Ok(());
    }
    Err(Error::Machine {
        message: format!("{} is not installed", programs.join(" or ")),
        help: Some(format!("install the Debian package {package}")),
    })
}

/// # Security
/// Installers take files, and whole lines of their own configuration, for an address as well.
pub(super) fn check_address(key: &str, address: &str) -> Result<(), Error> {
    let is_http = Url::parse(address).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
    let is_a_word = !address.contains(|at: char| at.is_whitespace() || at.is_control());
    if is_http && is_a_word {
        return Ok(());
    }
    Err(Error::Base {
        message: format!("{key} {address} is not the address of a mirror"),
        help: Some(format!("write {key}: http://mirror.example.org/path")),
    })
}

/// Refuses words that could be taken for something else than the name of a package or a release.
pub(super) fn check_word(key: &str, word: &str, also: &str) -> Result<(), Error> {
    let is_known = |at: char| at.is_ascii_alphanumeric() || ".-_".contains(at) || also.contains(at);
    let starts_well =
        word.starts_with(|first: char| first.is_ascii_alphanumeric() || "@/".contains(first));
    if starts_well && word.chars().all(is_known) {
        return Ok(());
    }
    Err(Error::Base {
        message: format!("{key} has {word:?}, which is not a name"),
        help: Some("names consist of letters, digits, dots and hyphens".to_owned()),
    })
}

/// An address with the release in place of `%{OSVERSION}`, in whatever case that is written.
pub(super) fn with_version(key: &str, address: &str, version: &str) -> Result<String, Error> {
    const PLACE: &str = "%{OSVERSION}";
    let mut rest = address;
    let mut whole = String::new();
    while let Some(at) = rest.to_ascii_uppercase().find(PLACE) {
        whole += &rest[..at];
        whole += version;
        rest = &rest[at + PLACE.len()..];
    }
    whole += rest;
    check_address(key, &whole)?;
    Ok(whole)
}
