//! Where the root file system of an image comes from: one file for each bootstrap agent.

mod arch;
mod below;
mod busybox;
pub mod debootstrap;
mod docker;
mod docker_archive;
mod docker_daemon;
mod download;
mod folder;
mod image_file;
mod image_tree;
mod installer;
mod keyserver;
mod library;
mod localimage;
mod oci_layout;
mod oras;
mod packed;
mod shub;
mod signed;
mod stored;
mod yum;
mod zypper;

use std::io::Read;
use std::path::Path;

use url::{Host, Url};

use crate::cancellable::Cancellable;
use crate::definition::Bootstrap;
use crate::engine::{Cancel, Event, Request, Settings};
use crate::error::Error;
use crate::inside::{Reply, Task};
use crate::metadata::{BaseKind, OciConfig};
use crate::oci::{self, Accounts, Fetch, Platform, Reference};
use crate::pack::CopiedBlocks;
use crate::sandbox::{Streams, Workspace};

pub(crate) use self::below::Below;
pub(crate) use self::library::{download as download_library, state as state_of_library};
pub(crate) use self::oras::{download as download_oras, state as state_of_oras};
pub(crate) use self::packed::{BasePacks, Packed};
pub(crate) use self::shub::state as state_of_shub;
pub(crate) use self::shub::{download as download_shub, locate as locate_shub};
pub(crate) use docker::{base as docker_base, fetch as fetch_docker, state as state_of_docker};
pub(crate) use folder::read_as_tar as read_folder;
pub(crate) use image_file::{Kind, find_tree, read_tree};
pub(crate) use localimage::{copy as copy_folder, image_base, unpack as unpack_image};

/// What a base brings along besides its files.
#[derive(Debug)]
pub(crate) struct Base {
    /// Whether it is an image made from a definition before.
    pub(crate) kind: BaseKind,
    /// The configuration of a Docker or OCI image.
    pub(crate) config: Option<OciConfig>,
    /// Whether that configuration's `CMD` is preferred over its `ENTRYPOINT`.
    pub(crate) include_cmd: bool,
    /// The configuration that a base image kept of the Docker or OCI image it was made from; its
    /// environment and runscript are in the tree already.
    pub(crate) inherited: Option<OciConfig>,
    /// Its full reference, and the digest that this resolved to if there is one.
    pub(crate) reference: Option<(String, Option<String>)>,
}

impl Default for Base {
    fn default() -> Self {
        Self {
            kind: BaseKind::Fresh,
            config: None,
            include_cmd: false,
            inherited: None,
            reference: None,
        }
    }
}

/// What an image that is a file is downloaded with.
#[derive(Clone, Copy)]
pub(crate) struct Downloads<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) request: &'a Request,
    pub(crate) events: &'a (dyn Fn(Event<'_>) + Sync),
    pub(crate) cancel: &'a Cancel,
}

impl Downloads<'_> {
    fn say(&self, line: &str) {
        (self.events)(Event::Info(line));
    }

    /// How a host is spoken to that is no registry.
    fn scheme(&self, host: &str) -> &'static str {
        let plain = &self.settings.registries.plain_http;
        let name = host.split('/').next().unwrap_or_default();
        let is_loopback = Url::parse(&format!("http://{name}")).is_ok_and(|url| match url.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            Some(Host::Domain(domain)) => domain == "localhost",
            None => false,
        });
        if is_loopback || plain.iter().any(|plain| plain == name) {
            "http"
        } else {
            "https"
        }
    }

    /// Asks a registry for something.
    fn of_registry<T>(
        &self,
        reference: &Reference,
        accounts: &Accounts,
        ask: impl FnOnce(&Fetch<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        ask(&Fetch {
            reference,
            platform: &self.platform(),
            registries: &self.settings.registries,
            accounts,
            cache: &self.settings.cache,
            most_bytes: self.request.limits.disk,
        })
    }

    /// The digest of the manifest that a registry has now.
    fn state_in_registry(
        &self,
        reference: &Reference,
        accounts: &Accounts,
    ) -> Result<String, Error> {
        self.of_registry(reference, accounts, |wanted| {
            oci::resolve(wanted, self.events, self.cancel).map(|digest| digest.to_string())
        })
    }

    /// The machine that the image is for.
    fn platform(&self) -> Platform {
        let wanted = self.request.platform.clone();
        wanted.unwrap_or_else(Platform::host)
    }
}

/// What an agent works with.
pub(crate) struct Bootstrapper<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) request: &'a Request,
    pub(crate) events: &'a (dyn Fn(Event<'_>) + Sync),
    pub(crate) cancel: &'a Cancel,
    pub(crate) workspace: &'a Workspace,
    /// What the file system could not represent so far, in JSON lines.
    pub(crate) ledger: String,
    /// Bytes that the layers took on disk so far.
    pub(crate) unpacked: u64,
    /// What the root file system lies over.
    pub(crate) below: Below,
    /// Packs of what it lies over, if somebody needs them.
    pub(crate) packs: Option<BasePacks<'a>>,
}

/// Fills the root file system from the base that a header names.
pub(crate) fn bootstrap(
    bootstrapper: &mut Bootstrapper<'_>,
    bootstrap: &Bootstrap,
) -> Result<Base, Error> {
    match bootstrap {
        Bootstrap::Docker(docker) => docker::bootstrap(bootstrapper, docker),
        Bootstrap::DockerArchive(image) => docker_archive::bootstrap(bootstrapper, image),
        Bootstrap::DockerDaemon(image) => docker_daemon::bootstrap(bootstrapper, image),
        Bootstrap::Oci(image) => oci_layout::from_folder(bootstrapper, image),
        Bootstrap::OciArchive(image) => oci_layout::from_archive(bootstrapper, image),
        Bootstrap::Oras(image) => oras::bootstrap(bootstrapper, image),
        Bootstrap::Debootstrap(release) => debootstrap::for_build(bootstrapper, release),
        Bootstrap::Yum(release) => yum::bootstrap(bootstrapper, release),
        Bootstrap::Zypper(release) => zypper::bootstrap(bootstrapper, release),
        Bootstrap::Arch(release) => arch::bootstrap(bootstrapper, release),
        Bootstrap::Busybox { mirror_url } => busybox::bootstrap(bootstrapper, mirror_url),
        Bootstrap::Shub { from } => shub::bootstrap(bootstrapper, from),
        Bootstrap::Library(library) => library::bootstrap(bootstrapper, library),
        Bootstrap::LocalImage(image) => localimage::bootstrap(bootstrapper, image),
        Bootstrap::Scratch => {
            bootstrapper.begin_empty();
            Ok(Base::default())
        }
    }
}

impl<'a> Bootstrapper<'a> {
    pub(crate) fn say(&self, line: &str) {
        (self.events)(Event::Info(line));
    }

    fn downloads(&self) -> Downloads<'a> {
        Downloads {
            settings: self.settings,
            request: self.request,
            events: self.events,
            cancel: self.cancel,
        }
    }

    /// The machine that the image is for.
    pub(crate) fn platform(&self) -> Platform {
        self.downloads().platform()
    }

    /// Puts a layer over the root file system.
    pub(crate) fn apply(
        &mut self,
        layer: &mut (dyn Read + Send),
        diff_id: Option<String>,
    ) -> Result<(), Error> {
        self.apply_with((layer, None), diff_id)
    }

    /// The same, with the blocks of its pack if there are some.
    fn apply_with(
        &mut self,
        (layer, blocks): (&mut (dyn Read + Send), Option<CopiedBlocks>),
        diff_id: Option<String>,
    ) -> Result<(), Error> {
        let applied = match &self.below {
            Below::Filling { tree, key } => {
                let (tree, key) = (tree.clone(), key.clone());
                self.apply_to((&tree, &key), (layer, blocks), diff_id)?
            }
            _ => apply(self.workspace, &self.task(diff_id), layer, self.cancel)?,
        };
        self.ledger = applied.ledger;
        self.unpacked += applied.bytes;
        Ok(())
    }

    /// Puts a layer over a tree that is going to be kept, and packs it if somebody needs that.
    fn apply_to(
        &mut self,
        (tree, key): (&Path, &str),
        (layer, blocks): (&mut (dyn Read + Send), Option<CopiedBlocks>),
        diff_id: Option<String>,
    ) -> Result<Applied, Error> {
        let packs = self.packs.as_ref();
        let key = packs.map(|packs| packs.key_of_layer(diff_id.as_deref(), key));
        let (task, cancel) = (self.task(diff_id), self.cancel);
        let namespace = self.workspace.namespace();
        let unpack = |layer: &mut (dyn Read + Send)| {
            let perform = |streams: Streams<'_>| namespace.perform(tree, &task, streams);
            put(perform, layer, cancel)
        };
        match self.packs.as_mut().zip(key) {
            Some((packs, key)) => packs.tee(key, (layer, blocks), unpack),
            None => unpack(layer),
        }
    }

    fn task(&self, diff_id: Option<String>) -> Task {
        let disk = self.request.limits.disk;
        Task::ApplyLayer {
            diff_id,
            ledger: self.ledger.clone(),
            most_bytes: disk.map(|most| most.saturating_sub(self.unpacked)),
        }
    }
}

/// What putting a layer over a tree did.
pub(crate) struct Applied {
    /// What the file system cannot represent of the tree now, in JSON lines.
    pub(crate) ledger: String,
    /// Bytes that the layer took on disk, about.
    pub(crate) bytes: u64,
}

/// Does the task of a layer.
pub(crate) fn apply(
    workspace: &Workspace,
    task: &Task,
    layer: &mut (dyn Read + Send),
    cancel: &Cancel,
) -> Result<Applied, Error> {
    let perform = |streams: Streams<'_>| workspace.perform(task, streams);
    put(perform, layer, cancel)
}

fn put(
    perform: impl FnOnce(Streams<'_>) -> Result<Reply, Error>,
    layer: &mut (dyn Read + Send),
    cancel: &Cancel,
) -> Result<Applied, Error> {
    if cancel.is_cancelled() {
        return Err(Error::Cancelled);
    }
    let mut layer = Cancellable::new(layer, cancel);
    let streams = Streams {
        input: Some(&mut layer),
        ..Streams::default()
    };
    let applied = perform(streams);
    if cancel.is_cancelled() {
        return Err(Error::Cancelled);
    }
    match applied? {
        Reply::Applied { ledger, bytes } => Ok(Applied { ledger, bytes }),
        other => Err(Error::Internal(format!("layer was answered by {other:?}"))),
    }
}
