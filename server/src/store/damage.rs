//! Has an object the bytes that its name says?

use std::fs::File;
use std::io;

use cooperage_protocol::Digest;
use cooperage_protocol::admin::Damage;
use sha2::Digest as _;

use super::Store;
use super::upload::{blocking, hash};
use crate::error::Error;

impl Store {
    /// Reads an object; what is wrong with it, if anything is.
    pub(crate) async fn find_damage(&self, digest: Digest) -> Result<Option<Damage>, Error> {
        let path = self.path(digest);
        blocking(move || {
            let mut file = match File::open(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Ok(Some(Damage::Missing));
                }
                file => file?,
            };
            let found = Digest::from_bytes(hash(&mut file)?.finalize().into());
            Ok((found != digest).then_some(Damage::Changed))
        })
        .await
    }

    /// Takes the name from an object that has other bytes, and keeps those for whoever wants to look.
    pub(crate) async fn lay_aside(&self, digest: Digest) -> io::Result<()> {
        let damaged = self.root.join("damaged");
        tokio::fs::create_dir_all(&damaged).await?;
        tokio::fs::rename(self.path(digest), damaged.join(digest.hex())).await
    }
}
