//! From root to the user that everything runs as, for good.

use std::ffi::CString;
use std::io::ErrorKind;
use std::os::unix::fs::chown;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail, ensure};
use nix::unistd::{self, Uid, User};

/// The user to become: `None` when this process is not root.
pub(crate) fn account(name: &str) -> anyhow::Result<Option<User>> {
    if !Uid::effective().is_root() {
        return Ok(None);
    }
    if User::from_name(name)
        .context("reading the users")?
        .is_none()
    {
        make_account(name)?;
    }
    let Some(user) = User::from_name(name)? else {
        bail!("user {name:?} was made and is not there; name another with --user");
    };
    ensure!(
        !user.uid.is_root(),
        "--user {name} is root; everything runs as an ordinary user"
    );
    Ok(Some(user))
}

/// Makes a system user with subordinate ids, as `deploy/up` does.
fn make_account(name: &str) -> anyhow::Result<()> {
    let command = [
        "useradd",
        "--system",
        "--user-group",
        "--no-create-home",
        "--home-dir=/var/lib/cooperage",
        "--shell=/usr/sbin/nologin",
        "--add-subids-for-system",
        "--",
        name,
    ];
    let made = Command::new(command[0]).args(&command[1..]).output();
    let made = made.context("running useradd")?;
    ensure!(
        made.status.success(),
        "user {name:?} does not exist and could not be made: {}; name another with --user",
        String::from_utf8_lossy(&made.stderr).trim()
    );
    tracing::info!("made the system user {name}");
    Ok(())
}

/// Says which folder on the way to `path` this process may not enter, if there is one.
pub(crate) fn check_reachable(path: &Path) -> anyhow::Result<()> {
    let mut ancestors: Vec<&Path> = path.ancestors().collect();
    ancestors.reverse();
    for folder in ancestors {
        let entered = std::fs::metadata(folder.join("."));
        if entered.is_err_and(|error| error.kind() == ErrorKind::PermissionDenied) {
            bail!(
                "{} is out of reach: this user may not enter {}; let others pass with \
                 `chmod o+x`, or choose another folder",
                path.display(),
                folder.display()
            );
        }
    }
    Ok(())
}

/// Makes a folder that only `user` (or the caller) may enter.
pub(crate) fn make_private_folder(path: &Path, user: Option<&User>) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt;

    let made = !path.exists();
    std::fs::create_dir_all(path).with_context(|| format!("making {}", path.display()))?;
    if let Some(user) = user {
        let ids = (Some(user.uid.as_raw()), Some(user.gid.as_raw()));
        chown(path, ids.0, ids.1)
            .with_context(|| format!("giving {} to a user", path.display()))?;
    }
    if made {
        // Others pass through: the sandbox's users reach files below by paths they are given.
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o711))?;
    }
    Ok(())
}

/// Becomes `user` and makes sure that there is no way back.
///
/// # Security
/// The order matters: groups first, as an ordinary user may not change them.
pub(crate) fn become_user(user: &User) -> anyhow::Result<()> {
    let name = CString::new(user.name.as_str())?;
    unistd::initgroups(&name, user.gid).context("taking the user's groups")?;
    unistd::setresgid(user.gid, user.gid, user.gid).context("taking the user's group")?;
    unistd::setresuid(user.uid, user.uid, user.uid).context("becoming the user")?;

    move_home(user);

    let root = Uid::from_raw(0);
    let is_back = unistd::setuid(root).is_ok() || unistd::seteuid(root).is_ok();
    ensure!(
        !is_back,
        "root's privileges could be taken back after dropping them"
    );
    ensure!(
        unistd::getresuid()?.saved == user.uid,
        "user id was not changed everywhere"
    );
    Ok(())
}

/// Libraries look for their settings in the home folder, and root's cannot be read any more.
fn move_home(user: &User) {
    #[expect(
        unsafe_code,
        reason = "variables are changed before any thread exists that could read them"
    )]
    // SAFETY: privileges are dropped before the runtime and its threads are started.
    unsafe {
        std::env::set_var("HOME", &user.dir);
        std::env::set_var("USER", &user.name);
        for name in ["XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR"] {
            std::env::remove_var(name);
        }
    }
}
