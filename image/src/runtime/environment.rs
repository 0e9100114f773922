//! The environment of a container: the image's, the caller's, and what the caller gives it.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::account::Caller;
use super::image::Image;
use super::options::{Action, Contain, Options, Variable};
use crate::metadata::OciConfig;

pub(super) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const LIBRARIES: &str = "/.singularity.d/libs";
const OWN_ENVIRONMENT: &str = "/.singularity.d/env/91-environment.sh";

/// What of the caller's is passed on even into a clean environment.
const ALWAYS: [&str; 11] = [
    "TERM",
    "http_proxy",
    "HTTP_PROXY",
    "https_proxy",
    "HTTPS_PROXY",
    "no_proxy",
    "NO_PROXY",
    "all_proxy",
    "ALL_PROXY",
    "ftp_proxy",
    "FTP_PROXY",
];
/// What of the caller's means something else inside.
const NEVER: [&str; 7] = [
    "_",
    "HOME",
    "PATH",
    "LD_LIBRARY_PATH",
    "PWD",
    "PS1",
    "PROMPT_COMMAND",
];
/// The caller's own settings of programs like us.
const SETTINGS: [&str; 4] = [
    "APPTAINER",
    "SINGULARITY",
    "COOPERAGE_",
    "SING_USER_DEFINED_",
];

/// Where the program is and what it is called.
#[derive(Debug)]
pub(super) struct Environment<'a> {
    pub(super) image: &'a Image,
    pub(super) options: &'a Options,
    pub(super) caller: &'a Caller,
    pub(super) home: PathBuf,
    pub(super) folder: PathBuf,
}

type Variables = Vec<(OsString, OsString)>;

impl Environment<'_> {
    /// For [`launch.sh`](launch.sh), which sees the image's own scripts.
    pub(super) fn for_script(&self) -> Variables {
        let mut variables = self.fixed();
        variables.push(pair("PATH", PATH));
        // Some shells set a prompt of their own where there is none.
        variables.push(pair("PS1", ""));
        variables.push(pair("COOPERAGE_ACTION", self.options.action.name()));
        if let Action::Shell(Some(shell), _) = &self.options.action {
            variables.push(("COOPERAGE_SHELL".into(), shell.clone().into()));
        }
        if self.options.no_eval {
            variables.push(pair("SINGULARITY_NO_EVAL", "1"));
        }

        let (mut names, mut passed) = (Vec::new(), Vec::new());
        for (name, value) in self.of_caller() {
            match name.to_str().filter(|name| is_name(name)) {
                Some(known) => {
                    names.push(known.to_owned());
                    passed.push((format!("COOPERAGE_HOST_{known}").into(), value));
                }
                // A shell leaves it alone, or knows it for a function.
                None => passed.push((name, value)),
            }
        }
        variables.push(pair("COOPERAGE_HOST_NAMES", &names.join(" ")));
        variables.extend(passed);

        let given = self.given();
        let names: Vec<&str> = given.keys().map(String::as_str).collect();
        variables.push(pair("COOPERAGE_SET_NAMES", &names.join(" ")));
        variables.extend(given.iter().map(|(name, variable)| {
            let quoted = quoted(&variable.value, variable.is_literal);
            pair(&format!("COOPERAGE_SET_{name}"), &quoted)
        }));
        variables
    }

    /// For a program of an image without a shell: what the image's configuration says.
    pub(super) fn plain(&self, config: Option<&OciConfig>) -> Variables {
        let of_image = config.and_then(|config| config.env.as_deref());
        let of_image = of_image.unwrap_or_default().iter();
        let of_image = of_image.filter_map(|entry| entry.split_once('='));
        let mut all: BTreeMap<OsString, OsString> = BTreeMap::new();
        all.insert("PATH".into(), PATH.into());
        all.insert("LD_LIBRARY_PATH".into(), LIBRARIES.into());
        all.extend(self.of_caller());
        all.extend(of_image.map(|(name, value)| pair(name, value)));
        let given = self.given();
        all.extend(
            given
                .iter()
                .map(|(name, variable)| pair(name, &variable.value)),
        );
        all.extend(self.fixed());
        let path = all.get(OsStr::new("PATH")).cloned().unwrap_or_default();
        let path = chosen_path(path, &all);
        all.insert("PATH".into(), path);
        all.retain(|name, _| !name.as_bytes().starts_with(b"SING_USER_DEFINED_"));
        all.into_iter().collect()
    }

    /// What says where the program is.
    fn fixed(&self) -> Variables {
        let targets = self
            .options
            .binds
            .iter()
            .map(|bind| bind.target.to_string_lossy());
        let targets = targets.collect::<Vec<_>>().join(",");
        let container = self.image.path.clone().into_os_string();
        let mut variables = vec![
            ("HOME".into(), self.home.clone().into()),
            ("PWD".into(), self.folder.clone().into()),
            pair("APPTAINER_COMMAND", self.options.action.name()),
            pair(
                "APPTAINER_APPNAME",
                self.options.app.as_deref().unwrap_or_default(),
            ),
        ];
        for prefix in ["APPTAINER", "SINGULARITY"] {
            variables.push((format!("{prefix}_CONTAINER").into(), container.clone()));
            variables.push((format!("{prefix}_NAME").into(), self.image.name.clone()));
            variables.push(pair(&format!("{prefix}_BIND"), &targets));
            variables.push(pair(&format!("{prefix}_ENVIRONMENT"), OWN_ENVIRONMENT));
        }
        if let Some(app) = &self.options.app {
            variables.push(pair("SINGULARITY_APPNAME", app));
        }
        if self.is_clean() {
            variables.push(pair("LANG", "C"));
        }
        variables.extend(self.paths());
        variables
    }

    fn is_clean(&self) -> bool {
        self.options.clean_environment || self.options.contain == Contain::All
    }

    /// What of the caller's is passed on.
    fn of_caller(&self) -> Variables {
        let is_clean = self.is_clean();
        let mut passed: Variables = Vec::new();
        for (name, value) in &self.caller.environment {
            let text = name.to_string_lossy();
            let is_setting = SETTINGS.iter().any(|prefix| text.starts_with(prefix));
            if text == "PATH" && !is_clean {
                passed.push(("USER_PATH".into(), value.clone()));
            }
            let is_passed = if is_clean {
                ALWAYS.contains(&&*text)
            } else {
                !NEVER.contains(&&*text) && !is_setting
            };
            if is_passed {
                passed.push((name.clone(), value.clone()));
            }
        }
        passed
    }

    /// What the caller gives the container, by prefixed variables first and options over them.
    fn given(&self) -> BTreeMap<String, Variable> {
        let mut given = BTreeMap::new();
        for prefix in ["SINGULARITYENV_", "APPTAINERENV_"] {
            for (name, value) in &self.caller.environment {
                let name = name.to_str().and_then(|name| name.strip_prefix(prefix));
                if let (Some(name), Some(value)) = (name, value.to_str()) {
                    given.insert(name.to_owned(), self.variable(name, value));
                }
            }
        }
        let options = self.options.variables.iter();
        given.extend(options.map(|variable| (variable.name.clone(), variable.clone())));
        given.retain(|name, _| is_name(name) && !is_of_path(name) && name != "HOME");
        if let Some(libraries) = given.get_mut("LD_LIBRARY_PATH")
            && !libraries.value.is_empty()
        {
            libraries.value = format!("{}:{LIBRARIES}", libraries.value);
        }
        for variable in given.values_mut() {
            variable.is_literal |= self.options.no_eval;
        }
        given
    }

    fn variable(&self, name: &str, value: &str) -> Variable {
        Variable {
            name: name.to_owned(),
            value: value.to_owned(),
            is_literal: self.options.no_eval,
        }
    }

    /// The caller's wishes for `PATH`, which the image's last script fulfils.
    fn paths(&self) -> Variables {
        let mut wishes = BTreeMap::new();
        for prefix in ["SINGULARITYENV_", "APPTAINERENV_"] {
            for (name, value) in &self.caller.environment {
                let name = name.to_str().and_then(|name| name.strip_prefix(prefix));
                if let Some(name) = name.filter(|name| is_of_path(name)) {
                    wishes.insert(name.to_owned(), value.clone());
                }
            }
        }
        for variable in &self.options.variables {
            if is_of_path(&variable.name) {
                wishes.insert(variable.name.clone(), variable.value.clone().into());
            }
        }
        let wishes = wishes.into_iter();
        wishes
            .map(|(name, value)| (format!("SING_USER_DEFINED_{name}").into(), value))
            .collect()
    }
}

fn is_of_path(name: &str) -> bool {
    matches!(name, "PATH" | "PREPEND_PATH" | "APPEND_PATH")
}

fn chosen_path(path: OsString, all: &BTreeMap<OsString, OsString>) -> OsString {
    let wish = |name: &str| {
        let name = format!("SING_USER_DEFINED_{name}");
        all.get(OsStr::new(&name)).filter(|wish| !wish.is_empty())
    };
    let mut parts = Vec::new();
    parts.extend(wish("PREPEND_PATH").cloned());
    parts.push(path);
    parts.extend(wish("APPEND_PATH").cloned());
    let all = parts.join(OsStr::new(":"));
    wish("PATH").cloned().unwrap_or(all)
}

fn pair(name: &str, value: &str) -> (OsString, OsString) {
    (name.into(), value.into())
}

fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}

/// A value as it stands between double quotes of a shell.
fn quoted(value: &str, is_literal: bool) -> String {
    let mut quoted = String::with_capacity(value.len());
    let mut letters = value.chars().peekable();
    while let Some(letter) = letters.next() {
        let ends_quotes = letter == '"';
        // A backslash that would take the meaning of a quote that we add.
        let eats_quote = letter == '\\' && matches!(letters.peek(), None | Some('"'));
        let has_meaning = matches!(letter, '\\' | '$' | '`');
        if ends_quotes || eats_quote || is_literal && has_meaning {
            quoted.push('\\');
        }
        quoted.push(letter);
    }
    quoted
}

/// Where a program of that name may be.
pub(super) fn candidates(program: &OsStr, path: &OsStr) -> Vec<PathBuf> {
    if program.as_bytes().contains(&b'/') {
        return vec![PathBuf::from(program)];
    }
    let folders = std::env::split_paths(path);
    folders
        .map(|folder| Path::new(&folder).join(program))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_stays_between_its_quotes() {
        let cases = [
            (r#"a"b"#, r#"a\"b"#, r#"a\"b"#),
            ("$HOME", "$HOME", r"\$HOME"),
            (r"end\", r"end\\", r"end\\"),
            (r#"\""#, r#"\\\""#, r#"\\\""#),
            (r"\$x", r"\$x", r"\\\$x"),
            ("`id`", "`id`", r"\`id\`"),
        ];
        for (value, evaluated, literal) in cases {
            assert_eq!(quoted(value, false), evaluated);
            assert_eq!(quoted(value, true), literal);
        }
    }
}
