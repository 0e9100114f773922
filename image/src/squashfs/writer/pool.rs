//! How are blocks compressed on all cores?

use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use super::codec::{Codec, Compression};
use super::error::Error;

/// A block as it is stored.
pub(super) struct Stored {
    pub(super) bytes: Vec<u8>,
    pub(super) is_compressed: bool,
}

/// A block that is being compressed.
pub(super) struct Ticket(Receiver<Stored>);

impl Ticket {
    /// Waits until the block is compressed.
    pub(super) fn wait(self) -> Result<Stored, Error> {
        self.0.recv().map_err(|_| Error::Thread(None))
    }
}

struct Job {
    block: Vec<u8>,
    done: SyncSender<Stored>,
}

/// Threads that compress. How many blocks wait is up to the caller.
pub(super) struct Pool {
    jobs: Option<Sender<Job>>,
    workers: Vec<JoinHandle<()>>,
}

impl Pool {
    pub(super) fn start(threads: usize, compression: Compression) -> Result<Self, Error> {
        let (jobs, queue) = channel();
        let queue = Arc::new(Mutex::new(queue));
        let mut pool = Self {
            jobs: Some(jobs),
            workers: Vec::with_capacity(threads),
        };
        for _ in 0..threads {
            let codec = compression.codec()?;
            let queue = Arc::clone(&queue);
            let worker = thread::Builder::new()
                .name("squashfs".to_owned())
                .spawn(move || work(&queue, codec))
                .map_err(|source| Error::Thread(Some(source)))?;
            pool.workers.push(worker);
        }
        Ok(pool)
    }

    pub(super) fn compress(&self, block: Vec<u8>) -> Result<Ticket, Error> {
        let (done, ticket) = sync_channel(1);
        let jobs = self.jobs.as_ref().ok_or(Error::Thread(None))?;
        jobs.send(Job { block, done })
            .map_err(|_| Error::Thread(None))?;
        Ok(Ticket(ticket))
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.jobs = None;
        for worker in self.workers.drain(..) {
            if worker.join().is_err() {
                tracing::error!("a compressing thread panicked");
            }
        }
    }
}

fn work(queue: &Mutex<Receiver<Job>>, mut codec: Codec) {
    while let Some(Job { block, done }) = next(queue) {
        let stored = match codec.compress(&block) {
            Some(bytes) => Stored {
                bytes,
                is_compressed: true,
            },
            None => Stored {
                bytes: block,
                is_compressed: false,
            },
        };
        if done.send(stored).is_err() {
            return; // the image was given up
        }
    }
}

/// The next job, or nothing once the pool is dropped.
fn next(queue: &Mutex<Receiver<Job>>) -> Option<Job> {
    queue
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .recv()
        .ok()
}
