//! What the words of `build` ask the engine for.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use cooperage_image::oci::Platform;
use cooperage_image::runtime::{self, Bind};
use cooperage_image::squashfs::Packing;
use cooperage_image::{
    Output, Parts, Permissions, Request, Test, definition_of_image, definition_of_uri,
};

use super::request_for;
use crate::definition_args::DefinitionArgs;

/// What is built, and of what.
#[derive(Debug, clap::Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "flags of a command line are independent"
)]
pub(crate) struct RequestArgs {
    /// The image to make; with --sandbox or --update a folder.
    #[arg(value_name = "IMAGE")]
    image: PathBuf,
    /// A definition file, - for standard input, an address (`docker://NAME`, `oci-archive:FILE`,
    /// `library://`, `shub://`, `oras://` …), or an image or a sandbox to convert.
    #[arg(value_name = "SPEC")]
    spec: String,
    /// Make a folder that can be changed, not a file.
    #[arg(long, short)]
    sandbox: bool,
    /// Go on from the sandbox that exists; the definition's header does not count.
    #[arg(long, short, conflicts_with = "force")]
    update: bool,
    /// Replace an image that exists.
    #[arg(long, short = 'F')]
    force: bool,
    /// Take only these sections of the definition, as setup,post; or all, or none.
    #[arg(long, value_name = "NAMES", default_value = "all")]
    section: Parts,
    /// Do not run %test.
    #[arg(long, short = 'T')]
    notest: bool,
    /// Let %test write to the image; what it writes is thrown away.
    #[arg(long, conflicts_with = "notest")]
    writable_tmpfs: bool,
    /// Show %post and %test a file or folder of this machine: SOURCE[:TARGET[:ro]].
    #[arg(long, short = 'B', value_name = "BIND")]
    bind: Vec<String>,
    /// The same as type=bind,source=PATH,target=PATH[,ro].
    #[arg(long, value_name = "MOUNT", value_parser = runtime::parse_mount)]
    mount: Vec<Bind>,
    /// Let owners read and write their files of the base, and enter their folders.
    #[arg(long)]
    fix_perms: bool,
    /// Run scripts and copy files even if nothing changed since the last build, and keep nothing.
    #[arg(long)]
    no_step_cache: bool,
    /// Build for another machine, as arm64.
    #[arg(long, value_name = "ARCH")]
    arch: Option<Platform>,
    /// How to compress, in the words of mksquashfs: -comp gzip|zstd|xz|lz4, -Xcompression-level N, -b SIZE.
    #[arg(
        long,
        value_name = "ARGS",
        default_value = "",
        allow_hyphen_values = true
    )]
    mksquashfs_args: Packing,
    /// Ask this Docker engine for images of `docker-daemon`: `unix:///PATH` or `tcp://HOST:PORT`;
    /// when not given, that of `APPTAINER_DOCKER_HOST` or `DOCKER_HOST`, or this machine's.
    #[arg(long, value_name = "URL")]
    docker_host: Option<String>,
    #[command(flatten)]
    reading: DefinitionArgs,
}

impl RequestArgs {
    pub(crate) fn request(&self) -> anyhow::Result<Request> {
        if self.update && !self.sandbox {
            bail!("only a sandbox can be updated: say --update --sandbox FOLDER");
        }
        let definition = definition(&self.spec)?;
        let request = request_for(&self.spec, definition, self.output())?;
        let docker_engine = self.docker_host.clone().or(request.docker_engine);
        Ok(Request {
            docker_engine,
            definition_options: self.reading.options()?,
            overwrite: self.force,
            parts: self.section.clone(),
            test: self.test(),
            binds: self.binds()?,
            permissions: if self.fix_perms {
                Permissions::Fix
            } else {
                Permissions::Keep
            },
            step_age: request.step_age.filter(|_| !self.no_step_cache),
            packing: self.mksquashfs_args,
            platform: self.arch.clone(),
            ..request
        })
    }

    fn binds(&self) -> anyhow::Result<Vec<Bind>> {
        let mut binds = self.mount.clone();
        for text in &self.bind {
            let parsed = runtime::parse_binds(text);
            binds.extend(parsed.map_err(|error| anyhow!("--bind {text}: {error}"))?);
        }
        for bind in &mut binds {
            bind.source = std::path::absolute(&bind.source)?;
        }
        Ok(binds)
    }

    fn output(&self) -> Output {
        let image = self.image.clone();
        match (self.update, self.sandbox) {
            (true, _) => Output::Update(image),
            (_, true) => Output::Sandbox(image),
            _ => Output::Sif(image),
        }
    }

    fn test(&self) -> Test {
        match (self.notest, self.writable_tmpfs) {
            (true, _) => Test::Skip,
            (_, true) => Test::Writable,
            _ => Test::ReadOnly,
        }
    }
}

fn definition(spec: &str) -> anyhow::Result<Vec<u8>> {
    if spec == "-" {
        let mut text = Vec::new();
        let read = std::io::stdin().lock().read_to_end(&mut text);
        read.context("reading standard input")?;
        return Ok(text);
    }
    let path = Path::new(spec);
    let written = if path.exists() {
        definition_of_image(path)
    } else {
        definition_of_uri(spec)
    };
    match written {
        Some(definition) => Ok(definition.into_bytes()),
        None => std::fs::read(path).with_context(|| format!("reading {spec}")),
    }
}
