//! The accounts of a build, as the engine reads them: a file in memory, which no disk ever has.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::path::PathBuf;

use cooperage_protocol::worker::RegistryAccount;
use nix::sys::memfd::{MFdFlags, memfd_create};
use serde_json::{Map, Value, json};

/// A file in the form of Docker's `config.json`. It is gone when this is dropped, and programs
/// that are started do not inherit it.
#[derive(Debug)]
pub(crate) struct AccountFile {
    file: File,
}

impl AccountFile {
    /// Writes accounts, each for its registry alone.
    pub(crate) fn new(accounts: &[RegistryAccount]) -> std::io::Result<Self> {
        let mut file = File::from(memfd_create("accounts", MFdFlags::MFD_CLOEXEC)?);
        let entries = accounts.iter().map(|account| {
            let entry = json!({
                "username": account.username, "password": account.password.expose(),
            });
            (account.registry.clone(), entry)
        });
        let auths: Map<String, Value> = entries.collect();
        file.write_all(json!({ "auths": auths }).to_string().as_bytes())?;
        Ok(Self { file })
    }

    /// Where this process, and no other, reads it.
    pub(crate) fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.file.as_raw_fd()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_account_is_that_of_its_registry_and_gone_with_the_file() {
        let account = RegistryAccount {
            registry: "ghcr.io".to_owned(),
            username: "lab".to_owned(),
            password: "s3:cret\"".to_owned().into(),
        };

        let file = AccountFile::new(&[account]).unwrap();
        let json: Value = serde_json::from_slice(&std::fs::read(file.path()).unwrap()).unwrap();
        let again = std::fs::read(file.path()).unwrap();
        let link = std::fs::read_link(file.path()).unwrap();

        assert_eq!(json["auths"]["ghcr.io"]["password"], "s3:cret\"");
        assert_eq!(json["auths"].as_object().unwrap().len(), 1);
        assert!(!again.is_empty());
        let link = link.display().to_string();
        assert!(link.starts_with("/memfd:accounts"), "{link}");
    }
}
