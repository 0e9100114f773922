//! The agents that make the base of a stage, and what each is told.

use secrecy::SecretString;

/// The agent that makes the base, with its settings.
#[derive(Debug, Clone)]
pub enum Bootstrap {
    /// An image of a Docker or OCI registry.
    Docker(Docker),
    /// An image that `docker save` wrote: `PATH[:TAG]`.
    DockerArchive(StoredImage),
    /// An image of the Docker engine of this machine: `NAME[:TAG|@DIGEST]`.
    DockerDaemon(StoredImage),
    /// A folder in the OCI image layout: `FOLDER[@DIGEST]`.
    Oci(StoredImage),
    /// Such a folder as a tar archive: `FILE[:TAG]`.
    OciArchive(StoredImage),
    /// An image of a container library.
    Library(Library),
    /// A SIF image of an OCI registry.
    Oras(Oras),
    /// An image of a Singularity Hub, such as ours.
    Shub {
        /// `[HOST/]COLLECTION[:TAG|@VERSION]`.
        from: String,
    },
    /// An image or a folder on this machine.
    LocalImage(LocalImage),
    /// A Debian or Ubuntu, from its packages.
    Debootstrap(Debootstrap),
    /// A distribution of rpm packages, by dnf or yum.
    Yum(Yum),
    /// A SUSE, from its packages.
    Zypper(Box<Zypper>),
    /// An Arch Linux, from its packages.
    Arch(Arch),
    /// One program that is many.
    Busybox {
        /// Where that program is downloaded from.
        mirror_url: String,
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

/// An image in Docker's or OCI's format, outside of a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredImage {
    /// Which one, as it was written.
    pub from: String,
    /// Whether the image's `CMD` is preferred over its `ENTRYPOINT`.
    pub include_cmd: bool,
}

/// Which image of which container library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Library {
    /// The reference, as it was written.
    pub from: String,
    /// Address of the library, when it is not part of the reference.
    pub library: Option<String>,
    /// Who must have signed the image: fingerprints of PGP keys in hex.
    pub fingerprints: Vec<String>,
}

/// Which SIF image of which registry.
#[derive(Debug, Clone)]
pub struct Oras {
    /// The reference, as it was written.
    pub from: String,
    /// Who must have signed the image: fingerprints of PGP keys in hex.
    pub fingerprints: Vec<String>,
    /// The account at the registry.
    pub account: Option<Account>,
}

/// Which image or folder of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalImage {
    /// Its path.
    pub from: String,
    /// Who must have signed the image: fingerprints of PGP keys in hex.
    pub fingerprints: Vec<String>,
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

/// Which distribution of rpm packages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Yum {
    /// The release; stands for `%{OSVERSION}` in the addresses.
    pub os_version: Option<String>,
    /// The repository.
    pub mirror_url: String,
    /// The repository of updates.
    pub update_url: Option<String>,
    /// Packages besides the base.
    pub include: Vec<String>,
    /// Options of dnf, each `NAME=VALUE`.
    pub setopt: Vec<String>,
    /// Address of the key that signs the packages (Singularity 2).
    pub gpg: Option<String>,
}

/// Which SUSE: openSUSE by its mirrors, or SLE by its registration.
#[derive(Debug, Clone)]
pub struct Zypper {
    /// The release; stands for `%{OSVERSION}` in the addresses.
    pub os_version: Option<String>,
    /// The repository.
    pub mirror_url: Option<String>,
    /// The repository of updates.
    pub update_url: Option<String>,
    /// Further repositories, in the order of their numbers.
    pub other_urls: Vec<String>,
    /// Packages besides the base.
    pub include: Vec<String>,
    /// Which product of SLE.
    pub registration: Option<Registration>,
}

/// How a SLE is registered.
#[derive(Debug, Clone)]
pub struct Registration {
    /// The product, such as `SLES`.
    pub product: String,
    /// The user.
    pub user: Option<String>,
    /// The code that was bought.
    pub regcode: Option<SecretString>,
    /// The key that signs the product.
    pub product_pgp: Option<String>,
    /// The server, when it is not SUSE's own.
    pub register_url: Option<String>,
    /// Modules of the product.
    pub modules: Vec<String>,
}

/// Which Arch Linux.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arch {
    /// Address of the configuration of pacman, when it is not Arch's own.
    pub conf_url: Option<String>,
    /// Packages besides the base.
    pub include: Vec<String>,
}
