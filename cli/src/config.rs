//! Everything that the program reads from its environment.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::BufRead;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use cooperage_image::Sources;
use cooperage_image::oci::{Credentials, Registries};
use secrecy::SecretString;
use url::Url;

use crate::login;

const LONGEST_PASSWORD: u64 = 64 << 10;

/// Keys that the administrator of a machine trusts for all of its users.
const GLOBAL_KEYRING: &str = "/etc/apptainer/global-pgp-public";
const KEYSERVER: &str = "https://keys.openpgp.org";

/// Where a hub has its data: also how commands find a hub of this machine.
#[derive(Debug, Args)]
pub(crate) struct DataFolder {
    /// Folder of the hub's data.
    #[arg(
        long = "data",
        value_name = "DIR",
        env = "COOPERAGE_DATA",
        default_value = "/var/lib/cooperage"
    )]
    pub(crate) path: PathBuf,
}

/// How registries are reached.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct RegistryArgs {
    /// Ask URL instead of the registry NAME (docker.io=http://mirror:5000); may be repeated.
    #[arg(long = "registry-mirror", value_name = "NAME=URL", value_parser = parse_mirror)]
    pub(crate) mirrors: Vec<(String, String)>,
    /// Speak plain http to this registry host; may be repeated.
    #[arg(long = "plain-http", value_name = "HOST")]
    pub(crate) plain_http: Vec<String>,
}

fn parse_mirror(text: &str) -> Result<(String, String), String> {
    let (name, url) = text
        .split_once('=')
        .ok_or("is not NAME=URL, as docker.io=http://host")?;
    let parsed: Url = url
        .parse()
        .map_err(|error| format!("{url:?} is not a URL: {error}"))?;
    if name.is_empty() || !matches!(parsed.scheme(), "http" | "https") {
        return Err("is not NAME=URL with a URL of http or https".to_owned());
    }
    Ok((name.to_owned(), url.trim_end_matches('/').to_owned()))
}

impl RegistryArgs {
    /// The engine's form of these settings.
    pub(crate) fn registries(&self) -> Registries {
        Registries {
            mirrors: self.mirrors.iter().cloned().collect(),
            plain_http: self.plain_http.clone(),
        }
    }

    /// The command line that gives these settings to a child.
    pub(crate) fn to_args(&self) -> Vec<String> {
        let mirrors = self
            .mirrors
            .iter()
            .map(|(name, url)| format!("--registry-mirror={name}={url}"));
        let hosts = self
            .plain_http
            .iter()
            .map(|host| format!("--plain-http={host}"));
        mirrors.chain(hosts).collect()
    }
}

/// An environment variable that is there and not empty.
fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

fn text(name: &str) -> Option<String> {
    variable(name)?.into_string().ok()
}

/// Folder of things worth keeping between builds.
pub(crate) fn cache_folder() -> PathBuf {
    variable("COOPERAGE_CACHE")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(variable("XDG_CACHE_HOME")?).join("cooperage")))
        .or_else(|| Some(PathBuf::from(variable("HOME")?).join(".cache/cooperage")))
        .unwrap_or_else(|| PathBuf::from("/var/cache/cooperage"))
}

/// Folder of temporary trees: on a disk, as they are large, and one for each user.
pub(crate) fn scratch_folder() -> PathBuf {
    ["COOPERAGE_TMPDIR", "TMPDIR"]
        .into_iter()
        .find_map(variable)
        .map_or_else(|| PathBuf::from("/var/tmp"), PathBuf::from)
        .join(format!("cooperage-{}", nix::unistd::getuid()))
}

/// As whom registries are asked.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct AccountArgs {
    /// User name at the registry; its password is read with --docker-password-stdin.
    #[arg(
        long = "docker-username",
        value_name = "NAME",
        requires = "password_stdin"
    )]
    username: Option<String>,
    /// Read the password from standard input: arguments can be read by every user of the machine.
    #[arg(long = "docker-password-stdin", requires = "username")]
    password_stdin: bool,
    /// File of accounts in the form of Docker's config.json, looked into before the usual ones.
    #[arg(long, value_name = "FILE", env = "APPTAINER_AUTHFILE")]
    authfile: Option<PathBuf>,
}

impl AccountArgs {
    /// The account on the command line, or else the one in the environment: Apptainer's names
    /// first, then Singularity's, then the short ones.
    pub(crate) fn credentials(&self) -> anyhow::Result<Credentials> {
        if let Some(username) = &self.username {
            let password = password_from(std::io::stdin().lock())?;
            return Ok(Credentials {
                account: Some((username.clone(), password)),
                source: Some("--docker-username".to_owned()),
            });
        }
        let found = ["APPTAINER_DOCKER", "SINGULARITY_DOCKER", "DOCKER"]
            .into_iter()
            .find_map(|by| {
                let name = format!("{by}_USERNAME");
                let password = text(&format!("{by}_PASSWORD"))?;
                Some(((text(&name)?, password.into()), name))
            });
        let (account, source) = found.unzip();
        Ok(Credentials { account, source })
    }

    /// Files with accounts for registries, the most specific first.
    pub(crate) fn files(&self) -> anyhow::Result<Vec<PathBuf>> {
        if let Some(file) = &self.authfile {
            std::fs::File::open(file).with_context(|| format!("opening {}", file.display()))?;
        }
        Ok(self
            .authfile
            .iter()
            .cloned()
            .chain(account_files())
            .collect())
    }
}

/// The first line, without its end.
fn password_from(input: impl BufRead) -> anyhow::Result<SecretString> {
    let mut line = String::new();
    input.take(LONGEST_PASSWORD).read_line(&mut line)?;
    let password = line.trim_end_matches(['\r', '\n']);
    anyhow::ensure!(
        !password.is_empty(),
        "standard input holds no password: echo \"$PASSWORD\" | cooperage … --docker-password-stdin"
    );
    Ok(password.into())
}

/// Where `cooperage login` keeps tokens.
pub(crate) fn login_file() -> Option<PathBuf> {
    let folder = variable("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(variable("HOME")?).join(".config")));
    folder.map(|folder| folder.join("cooperage/auth.json"))
}

fn account_files() -> Vec<PathBuf> {
    let home = variable("HOME").map(PathBuf::from);
    let docker = variable("DOCKER_CONFIG").map(|folder| PathBuf::from(folder).join("config.json"));
    let in_home = |path: &str| home.as_ref().map(|home| home.join(path));
    [
        login_file(),
        in_home(".apptainer/docker-config.json"),
        docker,
        in_home(".docker/config.json"),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Where images come from that are in no registry, and the keys that sign them.
pub(crate) fn sources() -> Sources {
    let home = variable("HOME").map(PathBuf::from);
    let folder = |name: &str| variable(name).map(PathBuf::from);
    let in_home = |path: &str| home.as_ref().map(|home| home.join(path));
    let folders = [
        folder("APPTAINER_KEYSDIR").or_else(|| in_home(".apptainer/keys")),
        folder("SINGULARITY_SYPGPDIR").or_else(|| in_home(".singularity/sypgp")),
    ];
    let keyrings = folders.into_iter().flatten();
    let keyrings = keyrings.map(|folder| folder.join("pgp-public"));
    Sources {
        hub: text("COOPERAGE_SHUB"),
        library: text("COOPERAGE_LIBRARY"),
        library_token: text("COOPERAGE_LIBRARY_TOKEN").map(Into::into),
        hub_tokens: Vec::new(),
        keyrings: keyrings.chain([GLOBAL_KEYRING.into()]).collect(),
        keyservers: keyservers(None),
    }
}

/// Where keys are looked for that are in no file: what is set, or else the hub that is used, and the
/// keyserver that Apptainer asks.
fn keyservers(hub: Option<&Url>) -> Vec<String> {
    keyservers_of(text("COOPERAGE_KEYSERVER").as_deref(), hub)
}

fn keyservers_of(set: Option<&str>, hub: Option<&Url>) -> Vec<String> {
    match set {
        Some("none") => Vec::new(),
        Some(servers) => {
            let servers = servers
                .split([',', ' '])
                .filter(|server| !server.is_empty());
            servers.map(str::to_owned).collect()
        }
        None => {
            let hub = hub.map(|hub| hub.as_str().trim_end_matches('/').to_owned());
            hub.into_iter().chain([KEYSERVER.to_owned()]).collect()
        }
    }
}

/// The same for a worker: its hub may have the keys of its people.
pub(crate) fn sources_of_worker(hub: &Url) -> Sources {
    Sources {
        keyservers: keyservers(Some(hub)),
        ..sources()
    }
}

/// The same for somebody who calls the program: hubs get the token of their login, and the hub of the
/// last one is the library, and the first that is asked for keys.
pub(crate) fn sources_of_user() -> Sources {
    let mut sources = sources();
    if let Err(error) = add_logins(&mut sources) {
        eprintln!("warning: no login is used: {error:#}");
    }
    sources
}

fn add_logins(sources: &mut Sources) -> anyhow::Result<()> {
    let active = login::active()?;
    sources.keyservers = keyservers(active.as_ref().map(|login| &login.hub));
    if sources.library.is_none()
        && let Some(login) = active
    {
        sources.library = Some(login.hub.as_str().trim_end_matches('/').to_owned());
        sources.library_token = Some(login.token);
    }
    let logins = login::all()?.into_iter();
    sources.hub_tokens = logins.map(|login| (login.hub, login.token)).collect();
    Ok(())
}

/// Address of the Docker engine: Apptainer's variable first, then Docker's own.
pub(crate) fn docker_engine() -> String {
    ["APPTAINER_DOCKER_HOST", "DOCKER_HOST"]
        .into_iter()
        .find_map(text)
        .unwrap_or_else(|| "unix:///var/run/docker.sock".to_owned())
}

/// The caller's variables, of which the engine passes some on to scripts.
pub(crate) fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// The time of reproducible builds.
pub(crate) fn source_date_epoch() -> anyhow::Result<Option<i64>> {
    let Some(value) = text("SOURCE_DATE_EPOCH") else {
        return Ok(None);
    };
    match value.parse() {
        Ok(seconds) => Ok(Some(seconds)),
        Err(_) => anyhow::bail!("SOURCE_DATE_EPOCH {value:?} is not a number of seconds"),
    }
}

/// The caller's home.
pub(crate) fn home_folder() -> Option<PathBuf> {
    variable("HOME").map(PathBuf::from)
}

/// What is always mounted into containers, by the names that Apptainer and Singularity know.
pub(crate) fn bind_paths() -> Vec<String> {
    let names = ["SINGULARITY_BINDPATH", "SINGULARITY_BIND"];
    let newer = ["APPTAINER_BINDPATH", "APPTAINER_BIND"];
    let found: Vec<String> = newer.into_iter().filter_map(text).collect();
    if found.is_empty() {
        return names.into_iter().filter_map(text).collect();
    }
    found
}

/// The folders in which programs are looked for.
pub(crate) fn program_folders() -> Vec<PathBuf> {
    variable("PATH")
        .map(|path| std::env::split_paths(&path).collect())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_is_a_name_and_an_address() {
        let expected = ("docker.io".to_owned(), "http://127.0.0.1:5000".to_owned());
        assert_eq!(
            parse_mirror("docker.io=http://127.0.0.1:5000/"),
            Ok(expected)
        );

        for text in ["docker.io", "=http://x", "docker.io=", "docker.io=ftp://x"] {
            assert!(parse_mirror(text).is_err(), "{text}");
        }
    }

    #[test]
    fn keyservers_are_those_that_are_set_or_the_hub_and_apptainers() {
        let hub: Url = "https://hub.example.org/".parse().unwrap();

        let table = [
            (None, None, vec![KEYSERVER]),
            (None, Some(&hub), vec!["https://hub.example.org", KEYSERVER]),
            (Some("none"), Some(&hub), vec![]),
            (
                Some("http://a, http://b"),
                Some(&hub),
                vec!["http://a", "http://b"],
            ),
        ];
        for (set, hub, expected) in table {
            assert_eq!(keyservers_of(set, hub), expected, "{set:?}");
        }
    }
}
