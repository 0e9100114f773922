//! What lies in the store, whoever knows of it?

use std::io;
use std::path::{Path, PathBuf};

use cooperage_protocol::{BuildId, Digest};

use super::Store;

impl Store {
    /// The folders that objects lie in.
    pub(crate) async fn folders(&self) -> io::Result<Vec<PathBuf>> {
        list(&self.objects()).await
    }

    /// The objects in one of these folders.
    pub(crate) async fn objects_in(&self, folder: &Path) -> io::Result<Vec<Digest>> {
        let paths = list(folder).await?;
        Ok(paths.iter().filter_map(|path| digest_at(path)).collect())
    }

    /// The uploads that were begun and not finished.
    pub(crate) async fn begun_uploads(&self) -> io::Result<Vec<(BuildId, PathBuf)>> {
        let paths = list(&self.uploads()).await?;
        let uploads = paths.into_iter().filter_map(|path| {
            let (build, _) = path.file_name()?.to_str()?.split_once('.')?;
            Some((build.parse().ok()?, path))
        });
        Ok(uploads.collect())
    }

    /// Removes what uploads of a build brought that were not finished.
    pub(crate) async fn remove_uploads_of(&self, build: BuildId) -> io::Result<()> {
        for (begun, path) in self.begun_uploads().await? {
            if begun == build {
                super::remove(&path).await?;
            }
        }
        Ok(())
    }

    /// Removes what an upload brought.
    pub(crate) async fn remove_upload(&self, path: &Path) -> io::Result<()> {
        super::remove(path).await
    }
}

fn digest_at(path: &Path) -> Option<Digest> {
    let rest = path.file_name()?.to_str()?;
    let first = path.parent()?.file_name()?.to_str()?;
    format!("sha256:{first}{rest}").parse().ok()
}

async fn list(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut entries = match tokio::fs::read_dir(folder).await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut paths = Vec::new();
    while let Some(entry) = entries.next_entry().await? {
        paths.push(entry.path());
    }
    Ok(paths)
}
