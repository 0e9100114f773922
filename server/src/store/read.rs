//! How are the bytes of an image read? Extent after extent, from any offset, without making its
//! file. What the system has in memory is read at once, the rest on a thread that may wait.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{self, IoSliceMut};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use bytes::Bytes;
use cooperage_protocol::image::{Extent, Layout};
use futures_util::{Stream, stream};
use rustix::io::{Errno, ReadWriteFlags, preadv2};

use super::Store;
use super::buffers::{Buffer, Buffers, SIZE};

/// A part of an image. Its objects are open: it can be read even when they are removed meanwhile.
#[derive(Debug)]
pub struct OpenImage {
    extents: VecDeque<OpenExtent>,
    buffers: Buffers,
}

#[derive(Debug)]
struct OpenExtent {
    file: Arc<File>,
    offset: u64,
    length: u64,
}

impl Store {
    /// Opens the bytes `range` of an image. An object that is too short is an error here, before
    /// the first byte is sent: the client is told, and does not keep half an image.
    pub fn open_image(&self, layout: &Layout, range: Range<u64>) -> io::Result<OpenImage> {
        let mut files = BTreeMap::new();
        let mut extents = VecDeque::new();
        for extent in clip(layout, &range) {
            let (file, size) = match files.get(&extent.object) {
                Some(opened) => opened,
                None => files
                    .entry(extent.object)
                    .or_insert(self.open_object(extent)?),
            };
            if extent.offset + extent.length > *size {
                return Err(io::Error::other(format!(
                    "object {} has {size} bytes where {} are needed",
                    extent.object,
                    extent.offset + extent.length
                )));
            }
            extents.push_back(OpenExtent {
                file: Arc::clone(file),
                offset: extent.offset,
                length: extent.length,
            });
        }
        Ok(OpenImage {
            extents,
            buffers: self.buffers.clone(),
        })
    }

    fn open_object(&self, extent: Extent) -> io::Result<(Arc<File>, u64)> {
        let path = self.path(extent.object);
        let opened = File::open(&path).and_then(|file| Ok((file.metadata()?.len(), file)));
        match opened {
            Ok((size, file)) => Ok((Arc::new(file), size)),
            Err(error) => Err(io::Error::new(
                error.kind(),
                format!("{}: {error}", path.display()),
            )),
        }
    }
}

impl OpenImage {
    /// The bytes, piece by piece, on a thread that may wait for the disk.
    pub fn pieces(mut self) -> impl Iterator<Item = io::Result<Bytes>> {
        std::iter::from_fn(move || {
            let is_over = self.extents.is_empty();
            (!is_over).then(|| self.next_piece())
        })
    }

    /// The bytes, piece by piece.
    pub fn stream(self) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
        stream::try_unfold(self, async |mut image| {
            if image.extents.is_empty() {
                return Ok(None);
            }
            if let Some(piece) = image.piece_in_memory()? {
                return Ok(Some((piece, image)));
            }
            let waiting = move || image.next_piece().map(|piece| Some((piece, image)));
            tokio::task::spawn_blocking(waiting).await?
        })
    }

    fn next_piece(&mut self) -> io::Result<Bytes> {
        let buffer = self.buffers.take();
        let read = |extent: &OpenExtent, into: &mut [u8]| extent.file.read_at(into, extent.offset);
        let piece = self.fill(buffer, read)?;
        piece.ok_or_else(|| io::Error::other("a disk read would wait where it may"))
    }

    /// What there is without waiting for the disk; nothing when all of it has to be waited for,
    /// or when the file system does not tell.
    fn piece_in_memory(&mut self) -> io::Result<Option<Bytes>> {
        let buffer = self.buffers.take();
        self.fill(buffer, |extent, into| {
            let mut into = [IoSliceMut::new(into)];
            let read = preadv2(
                &extent.file,
                &mut into,
                extent.offset,
                ReadWriteFlags::NOWAIT,
            );
            match read {
                Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::INTR) => {
                    Err(io::ErrorKind::WouldBlock.into())
                }
                read => Ok(read?),
            }
        })
    }

    /// Fills a buffer as far as it goes; nothing if the first byte would have to be waited for.
    fn fill(
        &mut self,
        mut buffer: Buffer,
        read: impl Fn(&OpenExtent, &mut [u8]) -> io::Result<usize>,
    ) -> io::Result<Option<Bytes>> {
        let mut length = 0;
        while let Some(extent) = self.extents.front_mut() {
            let room = usize::try_from(extent.length).map_or(SIZE, |left| left.min(SIZE - length));
            if room == 0 {
                break;
            }
            let count = match read(extent, &mut buffer.bytes[length..length + room]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            };
            length += count;
            extent.offset += count as u64;
            extent.length -= count as u64;
            if extent.length == 0 {
                self.extents.pop_front();
            }
        }
        Ok((length > 0).then(|| buffer.freeze(length)))
    }
}

/// The extents, or parts of them, that lie in a range of the image.
fn clip(layout: &Layout, range: &Range<u64>) -> Vec<Extent> {
    let mut position = 0;
    let mut clipped = Vec::new();
    for extent in &layout.0 {
        let first = position.max(range.start);
        let last = (position + extent.length).min(range.end);
        if first < last {
            clipped.push(Extent {
                object: extent.object,
                offset: extent.offset + (first - position),
                length: last - first,
            });
        }
        position += extent.length;
    }
    clipped
}

#[cfg(test)]
mod tests {
    use cooperage_protocol::Digest;
    use futures_util::TryStreamExt as _;

    use super::*;

    fn put(store: &Store, content: &[u8]) -> Digest {
        let object = Digest::of(content);
        std::fs::create_dir_all(store.path(object).parent().unwrap()).unwrap();
        std::fs::write(store.path(object), content).unwrap();
        object
    }

    fn layout(store: &Store, pieces: &[(&[u8], u64, u64)]) -> Layout {
        let extents = pieces.iter().map(|(content, offset, length)| Extent {
            object: put(store, content),
            offset: *offset,
            length: *length,
        });
        Layout(extents.collect())
    }

    async fn read(store: &Store, layout: &Layout, range: Range<u64>) -> Vec<u8> {
        let stream = store.open_image(layout, range).unwrap().stream();
        let pieces: Vec<Bytes> = stream.try_collect().await.unwrap();
        pieces.concat()
    }

    #[tokio::test]
    async fn any_range_of_an_image_is_the_same_range_of_its_pieces_together() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let pieces: [(&[u8], _, _); 3] = [
            (b"0123456789", 2, 5),
            (b"abcdef", 0, 6),
            (b"0123456789", 9, 1),
        ];
        let (layout, whole) = (layout(&store, &pieces), b"23456abcdef9");

        for start in 0..=whole.len() {
            for end in start..=whole.len() {
                let found = read(&store, &layout, start as u64..end as u64).await;
                assert_eq!(found, whole[start..end], "{start}..{end}");
            }
        }
    }

    #[tokio::test]
    async fn an_image_is_read_to_its_end_though_its_objects_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let (one, other) = (vec![1; 3 * SIZE + 7], vec![2; SIZE + 5]);
        let size = (one.len() + other.len()) as u64;
        let pieces: [(&[u8], _, _); 2] =
            [(&one, 0, one.len() as u64), (&other, 0, other.len() as u64)];
        let layout = layout(&store, &pieces);

        let image = store.open_image(&layout, 0..size).unwrap();
        for extent in &layout.0 {
            store.remove(extent.object).await.unwrap();
        }
        let found: Vec<Bytes> = image.stream().try_collect().await.unwrap();

        assert!(found.concat() == [one, other].concat());
    }

    #[test]
    fn an_object_that_is_too_short_is_told_before_the_first_byte() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let layout = layout(&store, &[(b"whole", 0, 5), (b"short", 2, 4)]);

        let refused = store.open_image(&layout, 0..9).unwrap_err().to_string();

        assert!(refused.contains("has 5 bytes where 6 are"), "{refused}");
    }
}
