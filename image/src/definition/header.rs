//! The header of a stage: its keys, and the agent that bootstraps it.

use std::collections::BTreeMap;
use std::ops::Range;

use secrecy::SecretString;

use super::diagnostic::{Report, Text, quoted};
use super::scan::RawStage;
use super::source::Line;
use super::suggest;

/// All keys there are; `otherurl` stands for `otherurl0`, `otherurl1`, ….
const KEYS: &[&str] = &[
    "bootstrap",
    "from",
    "includecmd",
    "mirrorurl",
    "updateurl",
    "osversion",
    "include",
    "library",
    "registry",
    "namespace",
    "stage",
    "product",
    "user",
    "regcode",
    "productpgp",
    "registerurl",
    "modules",
    "otherurl",
    "fingerprints",
    "confurl",
    "setopt",
    "target",
    "frontend",
    "filename",
    "buildargs",
    "username",
    "password",
    "token",
];

/// Keys whose values are never shown.
const SECRET_KEYS: &[&str] = &["username", "password", "token"];

/// Keys whose values are secrets also where they stand elsewhere in the definition.
const STRONG_SECRET_KEYS: &[&str] = &["password", "token"];

const AGENTS: &[&str] = &[
    "docker",
    "debootstrap",
    "scratch",
    "localimage",
    "library",
    "oras",
    "shub",
    "docker-archive",
    "docker-daemon",
    "oci",
    "oci-archive",
    "yum",
    "dnf",
    "zypper",
    "arch",
    "busybox",
    "self",
];

const SUPPORTED_AGENTS: &str = "docker, debootstrap, localimage and scratch";

/// The header of a stage.
#[derive(Debug, Clone)]
pub struct Header {
    /// Where the base comes from.
    pub bootstrap: Bootstrap,
    /// The stage's name, for `%files from`.
    pub stage: Option<String>,
    /// All keys in lower case, but for those with secrets.
    pub fields: BTreeMap<String, Field>,
}

/// A value of a header, and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// The value.
    pub value: String,
    /// Line of the value, from 1.
    pub line: u32,
    /// Column of the value, from 1.
    pub column: u32,
}

/// The agent that makes the base, with its settings.
#[derive(Debug, Clone)]
pub enum Bootstrap {
    /// An image of a Docker or OCI registry.
    Docker(Docker),
    /// A Debian or Ubuntu, from its packages.
    Debootstrap(Debootstrap),
    /// An image or a folder on this machine.
    LocalImage {
        /// Its path.
        from: String,
    },
    /// Nothing at all.
    Scratch,
}

/// Which image of which registry.
#[derive(Debug, Clone)]
pub struct Docker {
    /// The reference, as it was written.
    pub from: String,
    /// The registry, when it is not part of the reference.
    pub registry: Option<String>,
    /// The namespace, when it is not part of the reference; an empty one means none.
    pub namespace: Option<String>,
    /// Whether the image's `CMD` is preferred over its `ENTRYPOINT`.
    pub include_cmd: bool,
    /// The account at the registry.
    pub account: Option<Account>,
}

/// An account at a registry.
#[derive(Debug, Clone)]
pub struct Account {
    /// The user's name.
    pub username: SecretString,
    /// The password.
    pub password: SecretString,
}

/// Which release from which mirror.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Debootstrap {
    /// The release, such as `bookworm`.
    pub os_version: String,
    /// The mirror.
    pub mirror_url: String,
    /// Packages besides the base.
    pub include: Vec<String>,
}

/// A header, and the places of its secrets.
pub(super) struct Parsed {
    pub(super) header: Option<Header>,
    /// The stage's name, also if the rest of the header is wrong.
    pub(super) stage: Option<String>,
    pub(super) secrets: Secrets,
}

/// What must not be shown.
#[derive(Default, Clone)]
pub(super) struct Secrets {
    pub(super) ranges: Vec<Range<usize>>,
    pub(super) values: Vec<String>,
}

/// Judges the header of a stage.
pub(super) fn parse(stage: &RawStage<'_>, report: &mut Report<'_>) -> Parsed {
    let entries = entries(&stage.header, report);
    let secrets = secrets(&entries);
    let keys = Keys {
        entries: by_key(entries, report),
        stage,
    };
    let stage = keys.value("stage").map(str::to_owned);
    let header = bootstrap(&keys, report).map(|bootstrap| Header {
        bootstrap,
        stage: stage.clone(),
        fields: keys.fields(report),
    });
    Parsed {
        header,
        stage,
        secrets,
    }
}

pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_range: Range<usize>,
    pub(super) value: String,
    pub(super) value_range: Range<usize>,
    /// Everything behind the colon, comments and continuations included.
    rest: Range<usize>,
}

/// The `key: value` lines, with lines that end in a backslash joined.
pub(super) fn entries(lines: &[Line<'_>], report: &mut Report<'_>) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut lines = lines.iter().peekable();
    while let Some(line) = lines.next() {
        let text = content(line);
        if text.is_empty() {
            continue;
        }
        let Some((key, first)) = text.split_once(':') else {
            report_missing_colon(line.range_of(text), text, report);
            continue;
        };
        let (key, first) = (key.trim(), first.trim());
        let mut entry = Entry {
            key: key.to_lowercase(),
            key_range: line.range_of(key),
            value: String::new(),
            value_range: line.range_of(first),
            rest: line.range_of(first).start..line.range().end,
        };
        let mut piece = first;
        while append(piece, &mut entry.value) {
            let Some(next) = lines.next_if(|next| !content(next).is_empty()) else {
                break;
            };
            piece = content(next);
            entry.rest.end = next.range().end;
        }
        entries.push(entry);
    }
    entries
}

/// Adds a piece to a value; tells whether the value goes on in the next line.
fn append(piece: &str, value: &mut String) -> bool {
    let Some(start) = piece.strip_suffix('\\') else {
        value.push_str(piece);
        return false;
    };
    match start.strip_suffix("\\n") {
        Some(start) => {
            value.push_str(start);
            value.push('\n');
        }
        None => value.push_str(start),
    }
    true
}

/// A line without its comment.
fn content<'a>(line: &Line<'a>) -> &'a str {
    line.text.split('#').next().unwrap_or_default().trim()
}

fn report_missing_colon(range: Range<usize>, text: &str, report: &mut Report<'_>) {
    let message = format!("header line {} has no colon", quoted(text));
    let help = "a header line is `Key: value`; sections begin with a percent sign";
    report.error(
        "header-without-colon",
        &range,
        Text::new(message).help(help),
    );
}

fn secrets(entries: &[Entry]) -> Secrets {
    let is_secret = |entry: &&Entry| SECRET_KEYS.contains(&entry.key.as_str());
    let is_strong = |entry: &&Entry| STRONG_SECRET_KEYS.contains(&entry.key.as_str());
    Secrets {
        ranges: entries
            .iter()
            .filter(is_secret)
            .map(|entry| entry.rest.clone())
            .collect(),
        values: entries
            .iter()
            .filter(is_strong)
            .map(|entry| entry.value.clone())
            .collect(),
    }
}

/// The entries by key, of a repeated key the last one.
fn by_key(entries: Vec<Entry>, report: &mut Report<'_>) -> BTreeMap<String, Entry> {
    let mut by_key = BTreeMap::new();
    for entry in entries {
        let stem = entry
            .key
            .trim_end_matches(|letter: char| letter.is_ascii_digit());
        let is_known = KEYS.contains(&entry.key.as_str()) || stem == "otherurl";
        if !is_known {
            let text = Text::new(format!("unknown header key {}", quoted(&entry.key)));
            let help = suggest::help(&entry.key, KEYS, "");
            report.error("unknown-header-key", &entry.key_range, text.help(help));
            continue;
        }
        let range = entry.key_range.clone();
        if let Some(earlier) = by_key.insert(entry.key.clone(), entry) {
            let text = Text::new(format!("header key {} is repeated", quoted(&earlier.key)));
            let text = text.help("only the last one counts");
            report.warning("repeated-header-key", &range, text);
        }
    }
    by_key
}

struct Keys<'s> {
    entries: BTreeMap<String, Entry>,
    stage: &'s RawStage<'s>,
}

impl Keys<'_> {
    fn value(&self, key: &str) -> Option<&str> {
        let value = self.entries.get(key).map(|entry| entry.value.as_str());
        value.filter(|value| !value.is_empty())
    }

    /// The value of a key that the agent cannot do without.
    fn required(&self, key: &str, spelling: &str, report: &mut Report<'_>) -> Option<String> {
        let value = self.value(key).map(str::to_owned);
        if value.is_none() {
            let agent = self.value("bootstrap").unwrap_or_default();
            let place = self
                .entries
                .get(key)
                .or_else(|| self.entries.get("bootstrap"));
            let range = place.map_or_else(|| self.start(), |entry| entry.key_range.clone());
            let text = Text::new(format!("agent {} needs `{spelling}`", quoted(agent)))
                .help(format!("add a line `{spelling}: …` to the header"));
            report.error("missing-header-key", &range, text);
        }
        value
    }

    fn fields(&self, report: &Report<'_>) -> BTreeMap<String, Field> {
        let shown = |entry: &&Entry| !SECRET_KEYS.contains(&entry.key.as_str());
        let shown = self.entries.values().filter(shown);
        let field = |entry: &Entry| {
            let place = report.places().locate(&entry.value_range);
            Field {
                value: entry.value.clone(),
                line: place.line,
                column: place.column,
            }
        };
        shown
            .map(|entry| (entry.key.clone(), field(entry)))
            .collect()
    }

    /// Where something that is missing would stand: the first line with content.
    fn start(&self) -> Range<usize> {
        let header = self
            .stage
            .header
            .iter()
            .find(|line| !content(line).is_empty());
        let section = self.stage.sections.first().map(|section| &section.line);
        let line = header.or(section);
        line.map_or(self.stage.range.start..self.stage.range.start, Line::range)
    }
}

fn bootstrap(keys: &Keys<'_>, report: &mut Report<'_>) -> Option<Bootstrap> {
    let Some(agent) = keys.value("bootstrap") else {
        let text = Text::new("header has no `Bootstrap`").help(
            "a definition begins with `Bootstrap: docker` and `From: …`, or another agent: \
             debootstrap, localimage, scratch",
        );
        report.error("missing-bootstrap", &keys.start(), text);
        return None;
    };
    match agent {
        "docker" => docker(keys, report).map(Bootstrap::Docker),
        "debootstrap" => debootstrap(keys, report).map(Bootstrap::Debootstrap),
        "localimage" => keys
            .required("from", "From", report)
            .map(|from| Bootstrap::LocalImage { from }),
        "scratch" => Some(Bootstrap::Scratch),
        other => {
            report_agent(other, keys, report);
            None
        }
    }
}

fn report_agent(agent: &str, keys: &Keys<'_>, report: &mut Report<'_>) {
    let range = keys
        .entries
        .get("bootstrap")
        .map_or(0..0, |entry| entry.value_range.clone());
    if AGENTS.contains(&agent) {
        let text = Text::new(format!("agent {} is not supported", quoted(agent)))
            .help(format!("supported are {SUPPORTED_AGENTS}"));
        report.error("unsupported-agent", &range, text);
    } else {
        let text = Text::new(format!("unknown agent {}", quoted(agent)))
            .help(suggest::help(agent, AGENTS, ""));
        report.error("unknown-agent", &range, text);
    }
}

fn docker(keys: &Keys<'_>, report: &mut Report<'_>) -> Option<Docker> {
    Some(Docker {
        from: keys.required("from", "From", report)?,
        registry: keys.value("registry").map(str::to_owned),
        namespace: keys
            .entries
            .get("namespace")
            .map(|entry| entry.value.clone()),
        include_cmd: keys.value("includecmd").is_some_and(is_true),
        account: account(keys, report),
    })
}

/// The words that Singularity 2 took for a yes.
fn is_true(value: &str) -> bool {
    matches!(
        value.to_lowercase().as_str(),
        "yes" | "true" | "t" | "1" | "y"
    )
}

fn account(keys: &Keys<'_>, report: &mut Report<'_>) -> Option<Account> {
    let secret = |key| keys.value(key).map(SecretString::from);
    match (secret("username"), secret("password")) {
        (Some(username), Some(password)) => Some(Account { username, password }),
        (None, None) => None,
        (username, _) => {
            let (there, missing) = match username {
                Some(_) => ("username", "Password"),
                None => ("password", "Username"),
            };
            let range = keys
                .entries
                .get(there)
                .map_or(0..0, |entry| entry.key_range.clone());
            let text = Text::new(format!("header has no `{missing}` for its `{there}`"))
                .help("an account needs both; it is not used");
            report.warning("incomplete-account", &range, text);
            None
        }
    }
}

fn debootstrap(keys: &Keys<'_>, report: &mut Report<'_>) -> Option<Debootstrap> {
    let os_version = keys.required("osversion", "OSVersion", report);
    let mirror_url = keys.required("mirrorurl", "MirrorURL", report);
    let include = keys.value("include").unwrap_or_default();
    let include = include
        .split([' ', '\t', ',', '\n'])
        .filter(|name| !name.is_empty());
    Some(Debootstrap {
        os_version: os_version?,
        mirror_url: mirror_url?,
        include: include.map(str::to_owned).collect(),
    })
}
