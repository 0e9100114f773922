//! How does an image become a list of files in order?

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender};

use super::entry::{Entry, Reader};
use crate::base;
use crate::engine::{Cancel, Limits, Settings};
use crate::error::Error;
use crate::sandbox::Namespace;
use crate::squashfs::Bounds;

/// Files that wait to be compared.
pub(super) const MOST_WAITING: usize = 32;

/// An image that is compared.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) name: String,
    pub(super) file: File,
    pub(super) is_folder: bool,
}

impl Source {
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let file = File::open(path).map_err(Error::io("opening", path))?;
        let metadata = file.metadata().map_err(Error::io("reading", path))?;
        Ok(Self {
            name: path.display().to_string(),
            file,
            is_folder: metadata.is_dir(),
        })
    }

    /// Sends the files and then the end, sorted by name and a folder before what is in it.
    pub(super) fn list(
        &self,
        settings: &Settings,
        cancel: &Cancel,
        files: &SyncSender<Message>,
    ) -> Result<(), Error> {
        let take = |archive: &mut (dyn Read + Send)| send(archive, cancel, files);
        let place = (&self.file, self.name.as_str());
        if self.is_folder {
            let namespace = Namespace::new(settings.identity)?;
            return base::read_folder(&namespace, place, cancel, take);
        }
        let bounds = Bounds {
            limits: Limits {
                disk: None,
                ..Limits::default()
            },
            cancel,
        };
        base::read_tree(place, bounds, take).map(drop)
    }
}

/// What comes of an image that is read.
pub(super) enum Message {
    File(Box<Entry>),
    /// All files came. A list without an end broke off.
    End,
}

fn send(
    archive: &mut (dyn Read + Send),
    cancel: &Cancel,
    files: &SyncSender<Message>,
) -> Result<(), Error> {
    let mut reader = Reader::new(&mut *archive, cancel);
    while let Some(entry) = reader.next()? {
        tell(files, Message::File(Box::new(entry)))?;
    }
    io::copy(archive, &mut io::sink()).map_err(Error::io("reading", "an image"))?;
    tell(files, Message::End)
}

/// Nobody listens any more when the other image cannot be read, or enough was told.
fn tell(files: &SyncSender<Message>, message: Message) -> Result<(), Error> {
    files.send(message).map_err(|_| Error::Cancelled)
}

/// The files of an image, one at a time.
pub(super) struct Files {
    messages: Receiver<Message>,
    last: Option<Box<Entry>>,
}

/// What comes next of an image.
pub(super) enum Next {
    File(Box<Entry>),
    End,
    /// It cannot be read on.
    Broken,
}

impl Files {
    pub(super) fn new(messages: Receiver<Message>) -> Self {
        Self {
            messages,
            last: None,
        }
    }

    pub(super) fn next(&mut self) -> Next {
        if let Some(entry) = self.last.take() {
            return Next::File(entry);
        }
        match self.messages.recv() {
            Ok(Message::File(entry)) => Next::File(entry),
            // The sender is gone afterwards, and whoever asks again has not understood the end.
            Ok(Message::End) => Next::End,
            Err(_) => Next::Broken,
        }
    }

    /// Gives a file back, which comes next then.
    pub(super) fn put_back(&mut self, entry: Box<Entry>) {
        self.last = Some(entry);
    }
}
