//! What is mounted into a container, in which order.

use std::path::{Path, PathBuf};

use super::account::Caller;
use super::options::{Contain, Home, Options};
use crate::sandbox::container::{Isolation, Place, Source};

/// Folders that are the image's even when the caller is in them.
const IMAGES_OWN: [&str; 11] = [
    "/", "/bin", "/etc", "/lib", "/lib64", "/mnt", "/opt", "/root", "/sbin", "/usr", "/var",
];
const KERNELS: [&str; 3] = ["/proc", "/sys", "/dev"];

/// The home inside.
pub(super) fn home(options: &Options, caller: &Caller) -> PathBuf {
    match &options.home {
        Home::At { target, .. } => target.clone(),
        Home::Callers | Home::Nobodys => caller.home.clone(),
    }
}

/// Where the program starts, unless the caller says so.
pub(super) fn folder(options: &Options, caller: &Caller) -> PathBuf {
    if options.contain == Contain::Nothing {
        caller.folder.clone()
    } else {
        home(options, caller)
    }
}

/// Everything that is mounted, in order.
pub(super) fn places(options: &Options, isolation: Isolation, caller: &Caller) -> Vec<Place> {
    let mut places = Vec::new();
    kernel(options, isolation, &mut places);
    for file in ["/etc/hosts", "/etc/localtime", "/etc/resolv.conf"] {
        if options.mounts(file) {
            places.push(host(file, file));
        }
    }
    places.extend(home_place(options, caller));
    temporary(options, &mut places);
    places.extend(options.scratch.iter().map(|target| Place {
        required: true,
        ..memory(target, "1777")
    }));
    places.extend(options.binds.iter().map(|bind| Place {
        target: bind.target.clone(),
        source: Source::Host(bind.source.clone()),
        read_only: bind.read_only,
        required: true,
    }));
    let current = current(options, caller, &places);
    places.extend(current);
    places
}

fn kernel(options: &Options, isolation: Isolation, places: &mut Vec<Place>) {
    if options.mounts("dev") {
        places.push(if options.contain == Contain::Nothing {
            host("/dev", "/dev")
        } else {
            place(Path::new("/dev"), Source::Devices)
        });
    }
    if options.mounts("proc") {
        places.push(if isolation.processes {
            place(Path::new("/proc"), Source::Processes)
        } else {
            host("/proc", "/proc")
        });
    }
    if options.mounts("sys") {
        places.push(host("/sys", "/sys"));
    }
}

fn home_place(options: &Options, caller: &Caller) -> Option<Place> {
    let is_contained = options.contain != Contain::Nothing;
    if !options.mounts("home") || options.home == Home::Nobodys {
        return None;
    }
    let target = home(options, caller);
    if let Home::At { source, .. } = &options.home {
        return Some(Place {
            required: true,
            ..place(&target, Source::Host(source.clone()))
        });
    }
    if target == Path::new("/") {
        return None;
    }
    Some(match &options.workdir {
        Some(workdir) if is_contained => place(&target, Source::Host(workdir.join("home"))),
        _ if is_contained => memory(&target, "0750"),
        _ => place(&target, Source::Host(caller.home.clone())),
    })
}

fn temporary(options: &Options, places: &mut Vec<Place>) {
    if !options.mounts("tmp") {
        return;
    }
    for (path, name) in [("/tmp", "tmp"), ("/var/tmp", "var_tmp")] {
        places.push(match &options.workdir {
            _ if options.contain == Contain::Nothing => host(path, path),
            Some(workdir) => place(Path::new(path), Source::Host(workdir.join(name))),
            None => memory(Path::new(path), "1777"),
        });
    }
}

/// The caller's folder, unless it is seen already or belongs to the image.
fn current(options: &Options, caller: &Caller, places: &[Place]) -> Option<Place> {
    let folder = &caller.folder;
    let is_own = IMAGES_OWN.iter().any(|own| folder == Path::new(own));
    let is_kernels = KERNELS.iter().any(|kernels| folder.starts_with(kernels));
    let is_seen = places.iter().any(|place| {
        let same = matches!(&place.source, Source::Host(source) if *source == place.target);
        same && folder.starts_with(&place.target)
    });
    let is_wanted = options.contain == Contain::Nothing && options.mounts("cwd");
    let is_shown = is_wanted && !is_own && !is_kernels && !is_seen;
    is_shown.then(|| place(folder, Source::Host(folder.clone())))
}

fn host(source: &str, target: &str) -> Place {
    place(Path::new(target), Source::Host(PathBuf::from(source)))
}

fn memory(target: &Path, mode: &'static str) -> Place {
    place(target, Source::Memory(mode))
}

fn place(target: &Path, source: Source) -> Place {
    Place {
        target: target.to_owned(),
        source,
        read_only: false,
        required: false,
    }
}
