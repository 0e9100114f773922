//! How is work on blocks shared among all cores?

use std::io;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

/// Work that somebody does.
pub(super) struct Ticket<Output>(Receiver<Output>);

impl<Output> Ticket<Output> {
    /// Waits until the work is done; nothing if it will never be.
    pub(super) fn wait(self) -> Option<Output> {
        self.0.recv().ok()
    }
}

struct Job<Input, Output> {
    input: Input,
    done: SyncSender<Output>,
}

/// Threads that work. How many jobs wait is up to the caller.
pub(super) struct Pool<Input, Output> {
    jobs: Option<Sender<Job<Input, Output>>>,
    workers: Vec<JoinHandle<()>>,
}

impl<Input: Send + 'static, Output: Send + 'static> Pool<Input, Output> {
    /// Starts a thread for each of the workers.
    pub(super) fn start<Worker>(workers: Vec<Worker>) -> io::Result<Self>
    where
        Worker: FnMut(Input) -> Output + Send + 'static,
    {
        let (jobs, queue) = channel();
        let queue = Arc::new(Mutex::new(queue));
        let mut pool = Self {
            jobs: Some(jobs),
            workers: Vec::with_capacity(workers.len()),
        };
        for worker in workers {
            let queue = Arc::clone(&queue);
            let worker = thread::Builder::new()
                .name("squashfs".to_owned())
                .spawn(move || work(&queue, worker))?;
            pool.workers.push(worker);
        }
        Ok(pool)
    }

    /// Gives work to the threads; nothing if none of them is left.
    pub(super) fn submit(&self, input: Input) -> Option<Ticket<Output>> {
        let (done, ticket) = sync_channel(1);
        self.jobs.as_ref()?.send(Job { input, done }).ok()?;
        Some(Ticket(ticket))
    }
}

impl<Input, Output> Drop for Pool<Input, Output> {
    fn drop(&mut self) {
        self.jobs = None;
        for worker in self.workers.drain(..) {
            if worker.join().is_err() {
                tracing::error!("a thread that works on squashfs blocks panicked");
            }
        }
    }
}

/// How many threads are worth starting.
pub(super) fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

fn work<Input, Output>(
    queue: &Mutex<Receiver<Job<Input, Output>>>,
    mut worker: impl FnMut(Input) -> Output,
) {
    while let Some(Job { input, done }) = next(queue) {
        if done.send(worker(input)).is_err() {
            return; // the image was given up
        }
    }
}

/// The next job, or nothing once the pool is dropped.
fn next<Job>(queue: &Mutex<Receiver<Job>>) -> Option<Job> {
    queue
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .recv()
        .ok()
}
