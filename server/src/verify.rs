//! Is an image what its worker says? Every byte of it is read before it is published.

use std::collections::HashMap;
use std::io;

use cooperage_protocol::image::Layout;
use cooperage_protocol::worker::FinishedImage;
use cooperage_protocol::{BuildId, Digest};
use md5::Md5;
use sha2::{Digest as _, Sha256};

use crate::db::offers;
use crate::error::Error;
use crate::state::Hub;
use crate::store::Store;

/// The most pieces that an image is made of.
const MOST_EXTENTS: usize = 1 << 16;

/// An image whose layout has its digests, of objects that its build may use.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Verified<'a>(&'a FinishedImage);

impl<'a> Verified<'a> {
    /// Reads the image of a build, and holds it against what is said of it.
    pub(crate) async fn of(
        hub: &Hub,
        build: BuildId,
        image: &'a FinishedImage,
    ) -> Result<Self, Error> {
        let mut db = hub.db.acquire().await?;
        let sizes = offers::usable(&mut db, build).await?;
        drop(db);
        check(&image.layout, &sizes).map_err(Error::Unprocessable)?;
        let (store, layout) = (hub.store.clone(), image.layout.clone());
        let read = tokio::task::spawn_blocking(move || digests(&store, &layout));
        let (digest, md5) = read.await.map_err(anyhow::Error::from)??;
        if digest != image.digest || md5 != image.md5 {
            return Err(Error::Unprocessable(format!(
                "the image has the digest {digest} and the MD5 {md5}, not {} and {}",
                image.digest, image.md5
            )));
        }
        Ok(Self(image))
    }

    /// The image.
    pub(crate) fn image(self) -> &'a FinishedImage {
        self.0
    }
}

fn check(layout: &Layout, sizes: &HashMap<String, i64>) -> Result<(), String> {
    let mut total = 0_u64;
    for extent in &layout.0 {
        let name = extent.object.to_string();
        let size = sizes.get(&name).and_then(|size| u64::try_from(*size).ok());
        let size = size.ok_or_else(|| format!("object {name} was not uploaded by this build"))?;
        let end = extent.offset.checked_add(extent.length);
        if end.is_none_or(|end| end > size) {
            return Err(format!("object {name} has only {size} bytes"));
        }
        if extent.length == 0 {
            return Err(format!("a piece of object {name} is empty"));
        }
        total = total
            .checked_add(extent.length)
            .ok_or("the image is larger than any file")?;
    }
    if layout.0.len() > MOST_EXTENTS {
        return Err(format!("an image may have {MOST_EXTENTS} pieces"));
    }
    if total == 0 {
        return Err("the image is empty".to_owned());
    }
    Ok(())
}

/// SHA-256, and MD5 in hex.
pub(crate) fn digests(store: &Store, layout: &Layout) -> io::Result<(Digest, String)> {
    let (mut sha256, mut md5) = (Sha256::new(), Md5::new());
    for piece in store.open_image(layout, 0..layout.size())?.pieces() {
        let piece = piece?;
        sha256.update(&piece);
        md5.update(&piece);
    }
    let digest = Digest::from_bytes(sha256.finalize().into());
    Ok((digest, hex::encode(md5.finalize())))
}

#[cfg(test)]
mod tests {
    use cooperage_protocol::image::Extent;

    use super::*;

    #[test]
    fn pieces_are_of_usable_objects_and_inside_of_them() {
        let (here, strange) = (Digest::of(b"here"), Digest::of(b"strange"));
        let sizes = HashMap::from([(here.to_string(), 4)]);
        let table = [
            (vec![(here, 0, 4), (here, 3, 1)], ""),
            (vec![(here, 0, 4), (strange, 0, 1)], "not uploaded"),
            (vec![(here, 1, 4)], "has only 4 bytes"),
            (vec![(here, u64::MAX, 2)], "has only 4 bytes"),
            (vec![(here, 2, 0)], "is empty"),
            (vec![], "is empty"),
        ];
        for (pieces, expected) in table {
            let extents = pieces.into_iter().map(|(object, offset, length)| Extent {
                object,
                offset,
                length,
            });
            let refused = check(&Layout(extents.collect()), &sizes).err();
            let refused = refused.unwrap_or_default();
            assert_eq!(expected.is_empty(), refused.is_empty(), "{refused}");
            assert!(refused.contains(expected), "{refused}");
        }
    }
}
