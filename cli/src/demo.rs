//! The demo: a repository, a push through the signed webhook, a build, an image that is run once.

mod recipe;
mod repository;
mod webhook;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use cooperage_protocol::admin::{AddedCollection, Build, NewCollection};
use cooperage_protocol::{BuildState, CollectionName, Mode, StepCache};
use reqwest::Method;

use crate::commands::tell_end;
use crate::config::{self, RegistryArgs};
use crate::follow;
use crate::hub::{Hub, HubError};
use crate::up::workers::write_secret;
use repository::{DemoRepository, Pushed};

/// How long the hub may take from the webhook to the queued build.
const QUEUE_TIMEOUT: Duration = Duration::from_mins(1);

/// Shows the whole way from a push to a running image; false when a build has no image.
///
/// It can be repeated: every run pushes one more commit.
pub(crate) fn run(hub: &Hub, data: &Path, registries: &RegistryArgs) -> anyhow::Result<bool> {
    let folder = data.join("demo");
    std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let repository = DemoRepository::open(&folder.join("hello.git"))?;
    let collection = connect(hub, &folder, &repository)?;
    let public = public_url(&collection);

    let recipes = recipe::recipes(repository.pushes() + 1, registries)?;
    let pushed = repository.push(&recipes)?;
    step(&format!(
        "pushed commit {} to {}",
        pushed.commit,
        repository.path().display()
    ));
    webhook::deliver(hub, &collection, &repository, &pushed)?;
    step("the signed webhook was accepted");

    let mut all_built = true;
    for build in queued_builds(hub, &collection.name, &pushed, recipes.len())? {
        step(&format!(
            "following {}, {public}/builds/{}",
            build.recipe, build.id
        ));
        let build = follow::follow(hub, build.id, &mut std::io::stdout())?;
        tell_end(&build);
        all_built &= build.state == BuildState::Succeeded;
        if build.state == BuildState::Succeeded {
            show_image(hub, &folder, public, &build)?;
        }
    }
    Ok(all_built)
}

/// Says what the demo has done, apart from the logs that it shows.
fn step(text: &str) {
    println!("==> {text}");
}

fn name() -> anyhow::Result<CollectionName> {
    Ok("demo/hello".parse()?)
}

/// Connects the repository, or remembers that it is: the secret is shown only once.
fn connect(
    hub: &Hub,
    folder: &Path,
    repository: &DemoRepository,
) -> anyhow::Result<AddedCollection> {
    let file = folder.join("collection.json");
    let name = name()?;
    let is_connected = hub.collections()?.iter().any(|known| known.name == name);
    if is_connected {
        let text = std::fs::read_to_string(&file).with_context(|| {
            format!(
                "{}: the secret of demo/hello is lost; `cooperage collection remove demo/hello` \
                 and run the demo again",
                file.display()
            )
        })?;
        return Ok(serde_json::from_str(&text)?);
    }
    let clone_url = repository
        .path()
        .to_str()
        .context("path of the data is not UTF-8")?;
    let collection = NewCollection {
        clone_url: clone_url.to_owned(),
        name,
        max_running: None,
        mode: Mode::Modern,
        step_cache: StepCache::On,
    };
    let added = hub.add_collection(&collection)?;
    write_secret(&file, &serde_json::to_string(&added)?)?;
    step(&format!("connected {}", added.name));
    Ok(added)
}

/// The hub's public address: that of its webhook without the path.
fn public_url(collection: &AddedCollection) -> &str {
    let url = &collection.webhook_url;
    url.strip_suffix(webhook::PATH)
        .unwrap_or(url)
        .trim_end_matches('/')
}

/// The builds of the pushed commit, as many as it has recipes.
fn queued_builds(
    hub: &Hub,
    name: &CollectionName,
    pushed: &Pushed,
    recipes: usize,
) -> anyhow::Result<Vec<Build>> {
    const PAUSE: Duration = Duration::from_millis(300);
    for _ in 0..QUEUE_TIMEOUT.as_millis() / PAUSE.as_millis() {
        let mut builds = hub.builds(Some(name), 20)?;
        builds.retain(|build| build.commit == pushed.commit);
        if builds.len() >= recipes {
            builds.sort_by(|one, other| one.recipe.cmp(&other.recipe));
            return Ok(builds);
        }
        std::thread::sleep(PAUSE);
    }
    bail!("the push made no build; the deliveries of {name} on the hub's pages say why")
}

fn show_image(hub: &Hub, folder: &Path, public: &str, build: &Build) -> anyhow::Result<()> {
    let Build {
        collection, tag, ..
    } = build;
    step(&format!("image page   {public}/{collection}/tags/{tag}"));
    step(&format!(
        "pull it with curl -fo hello.sif {public}/{collection}/{tag}.sif"
    ));
    step(&format!(
        "          or apptainer pull hello.sif {public}/{collection}/{tag}.sif"
    ));
    if let Some(host) = shub_host(public) {
        step(&format!(
            "          or apptainer pull {host}/{collection}:{tag}"
        ));
    }
    let file = folder.join(format!("hello_{tag}.sif"));
    download(hub, &format!("/{collection}/{tag}.sif"), &file)?;
    run_image(&file)
}

/// `shub://` has no place for a port.
fn shub_host(public: &str) -> Option<String> {
    let url: url::Url = public.parse().ok()?;
    let host = url.host_str().filter(|_| url.port().is_none())?;
    let flag = if url.scheme() == "http" {
        "--no-https "
    } else {
        ""
    };
    Some(format!("{flag}shub://{host}"))
}

fn download(hub: &Hub, path: &str, file: &Path) -> anyhow::Result<()> {
    let request = hub
        .request(Method::GET, path)
        .timeout(Duration::from_mins(10));
    let mut image = hub.send(request)?;
    let mut out = std::fs::File::create(file)?;
    image
        .copy_to(&mut out)
        .map_err(|error| HubError::Unreachable(hub.base().clone(), error))?;
    out.flush()
        .with_context(|| format!("writing {}", file.display()))
}

/// Runs the image as its users would, or by ourselves where they have no runtime.
fn run_image(image: &Path) -> anyhow::Result<()> {
    let (shown, runtime) = find_runtime().map_or_else(
        || ("cooperage".into(), PathBuf::from("/proc/self/exe")),
        |runtime| (runtime.display().to_string(), runtime),
    );
    step(&format!("{shown} run {}", image.display()));
    let status = Command::new(&runtime).arg("run").arg(image).status();
    let status = status.with_context(|| format!("running {shown}"))?;
    ensure!(status.success(), "{shown} run ended with {status}");
    Ok(())
}

fn find_runtime() -> Option<PathBuf> {
    let folders = config::program_folders();
    ["apptainer", "singularity"].iter().find_map(|program| {
        folders
            .iter()
            .map(|folder| folder.join(program))
            .find(|path| path.is_file())
    })
}
