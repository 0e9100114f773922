//! How are the bytes of an image read? Extent after extent, from any offset.

use std::io::{self, SeekFrom};

use cooperage_protocol::image::{Extent, Layout};
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;

use super::Store;

/// Bytes read from disk at a time.
const PIECE: usize = 256 << 10;

impl Store {
    /// The bytes of an image from `start`, at most `length` of them.
    pub fn read(
        &self,
        layout: &Layout,
        start: u64,
        length: u64,
    ) -> impl Stream<Item = io::Result<bytes::Bytes>> + Send + 'static {
        let store = self.clone();
        stream::iter(cut(layout, start, length))
            .then(move |extent| {
                let path = store.path(extent.object);
                async move {
                    let mut file = tokio::fs::File::open(path).await?;
                    file.seek(SeekFrom::Start(extent.offset)).await?;
                    io::Result::Ok(ReaderStream::with_capacity(file.take(extent.length), PIECE))
                }
            })
            .try_flatten()
    }
}

/// The extents, or parts of them, that hold the bytes from `start`.
fn cut(layout: &Layout, start: u64, length: u64) -> Vec<Extent> {
    let (mut skip, mut left) = (start, length);
    let mut cut = Vec::new();
    for extent in &layout.0 {
        let skipped = skip.min(extent.length);
        let taken = (extent.length - skipped).min(left);
        skip -= skipped;
        left -= taken;
        if taken > 0 {
            let offset = extent.offset + skipped;
            cut.push(Extent {
                object: extent.object,
                offset,
                length: taken,
            });
        }
    }
    cut
}

#[cfg(test)]
mod tests {
    use cooperage_protocol::Digest;

    use super::*;

    #[tokio::test]
    async fn any_range_of_an_image_is_the_same_range_of_its_pieces_together() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let mut extents = Vec::new();
        for (content, offset, length) in [("0123456789", 2, 5), ("abcdef", 0, 6), ("XYZ", 1, 0)] {
            let object = Digest::of(content.as_bytes());
            std::fs::create_dir_all(store.path(object).parent().unwrap()).unwrap();
            std::fs::write(store.path(object), content).unwrap();
            extents.push(Extent {
                object,
                offset,
                length,
            });
        }
        let (layout, whole) = (Layout(extents), b"23456abcdef");

        for start in 0..=whole.len() {
            for end in start..=whole.len() {
                let pieces = store.read(&layout, start as u64, (end - start) as u64);
                let read: Vec<bytes::Bytes> = pieces.try_collect().await.unwrap();
                assert_eq!(read.concat(), whole[start..end], "{start}..{end}");
            }
        }
    }
}
