//! The log of an attempt: taken from the engine's thread, sent to the hub in numbered chunks.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use cooperage_image::Cancel;
use reqwest::Method;
use tokio::sync::Notify;

use crate::attempt::{Attempt, AttemptError};

/// A chunk is sent when it has this many bytes …
const CHUNK: usize = 32 * 1024;

/// … or when its first byte is this old.
const OLDEST: Duration = Duration::from_millis(250);

/// The engine waits when the hub is this far behind.
const MOST_PENDING: usize = 1024 * 1024;

/// The hub cuts off what is over the limit, so the line about the cut has to fit, too.
const LONGEST_NOTICE: usize = 80;

/// The log between the engine and the hub.
///
/// Of a log over the limit, the first half of the limit is sent as it comes and the last half at
/// the end, with a line between them that says how much was cut.
#[derive(Debug)]
pub(crate) struct Log {
    buffer: Mutex<Buffer>,
    filled: Notify,
    drained: Condvar,
}

#[derive(Debug)]
struct Buffer {
    pending: Vec<u8>,
    head_left: usize,
    tail: VecDeque<u8>,
    tail_limit: usize,
    cut: u64,
    in_line: bool,
    closed: bool,
}

impl Log {
    /// A log of which at most `limit` bytes are kept.
    pub(crate) fn new(limit: u64) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let buffer = Buffer {
            pending: Vec::new(),
            head_left: limit / 2,
            tail: VecDeque::new(),
            tail_limit: (limit - limit / 2).saturating_sub(LONGEST_NOTICE),
            cut: 0,
            in_line: false,
            closed: false,
        };
        Self {
            buffer: Mutex::new(buffer),
            filled: Notify::new(),
            drained: Condvar::new(),
        }
    }

    /// Adds a line of our own, on a line of its own.
    pub(crate) fn line(&self, prefix: &str, text: &str, cancel: &Cancel) {
        let start = if self.lock().in_line { "\n" } else { "" };
        self.output(format!("{start}{prefix}{text}\n").as_bytes(), cancel);
    }

    /// Adds bytes as they are; waits while the hub is far behind, unless the build is stopped.
    pub(crate) fn output(&self, bytes: &[u8], cancel: &Cancel) {
        for piece in bytes.chunks(CHUNK) {
            let mut buffer = self.lock();
            while buffer.pending.len() >= MOST_PENDING && !cancel.is_cancelled() {
                let waited = self.drained.wait_timeout(buffer, OLDEST);
                buffer = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
            buffer.add(piece);
            self.filled.notify_one();
        }
    }

    /// Nothing more will come; what is kept of the end is sent.
    pub(crate) fn close(&self) {
        let mut buffer = self.lock();
        buffer.append_tail();
        buffer.closed = true;
        self.filled.notify_one();
    }

    /// Sends chunks until the log is closed and empty.
    pub(crate) async fn ship(&self, attempt: &Attempt) -> Result<(), AttemptError> {
        let mut number = 0;
        while let Some(chunk) = self.next_chunk().await {
            let call = format!("log/{number}");
            let put = || Ok(attempt.request(Method::PUT, &call).body(chunk.clone()));
            match attempt.call(put).await {
                Ok(_) => number += 1,
                Err(AttemptError::Refused(reason)) => {
                    tracing::warn!(reason, "part of a log is missing");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn next_chunk(&self) -> Option<Bytes> {
        while self.lock().is_waiting() {
            self.filled.notified().await;
        }
        let full = async {
            while !self.lock().is_ready() {
                self.filled.notified().await;
            }
        };
        // The time having run out is as good as the chunk being full.
        drop(tokio::time::timeout(OLDEST, full).await);
        let chunk = self.lock().take_chunk();
        self.drained.notify_all();
        chunk
    }

    fn lock(&self) -> MutexGuard<'_, Buffer> {
        self.buffer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Buffer {
    fn add(&mut self, bytes: &[u8]) {
        let Some(last) = bytes.last() else { return };
        self.in_line = *last != b'\n';
        let (head, rest) = bytes.split_at(bytes.len().min(self.head_left));
        self.pending.extend_from_slice(head);
        self.head_left -= head.len();
        self.tail.extend(rest);
        let over = self.tail.len().saturating_sub(self.tail_limit);
        self.tail.drain(..over);
        self.cut += over as u64;
    }

    fn append_tail(&mut self) {
        if self.cut > 0 {
            let broken = self
                .tail
                .iter()
                .position(|byte| *byte == b'\n')
                .map_or(0, |end| end + 1);
            self.tail.drain(..broken);
            let cut = self.cut + broken as u64;
            let notice = format!("\nINFO:    {cut} bytes of the log are cut out here\n");
            self.pending.extend_from_slice(notice.as_bytes());
        }
        self.pending.extend(std::mem::take(&mut self.tail));
    }

    fn is_waiting(&self) -> bool {
        self.pending.is_empty() && !self.closed
    }

    fn is_ready(&self) -> bool {
        self.pending.len() >= CHUNK || self.closed
    }

    /// Up to a chunk, not ending within a character; `None` when there is nothing left to come.
    fn take_chunk(&mut self) -> Option<Bytes> {
        if self.pending.is_empty() {
            return None;
        }
        let mut length = self.pending.len().min(CHUNK);
        if length < self.pending.len() {
            let is_inside = |at: usize| self.pending[at] & 0xC0 == 0x80;
            length = (length - 3..=length)
                .rev()
                .find(|at| !is_inside(*at))
                .unwrap_or(length);
        }
        Some(self.pending.drain(..length).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn shipped(log: &Log) -> Vec<Bytes> {
        let mut chunks = Vec::new();
        while let Some(chunk) = log.next_chunk().await {
            chunks.push(chunk);
        }
        chunks
    }

    #[tokio::test]
    async fn a_log_within_the_limit_is_sent_whole_in_chunks_of_whole_characters() {
        let log = Log::new(1 << 20);
        let text = "ein Faß läuft über\n".repeat(5000);

        log.output(text.as_bytes(), &Cancel::default());
        log.close();
        let chunks = shipped(&log).await;

        assert!(chunks.iter().all(|chunk| chunk.len() <= CHUNK));
        assert!(
            chunks
                .iter()
                .all(|chunk| std::str::from_utf8(chunk).is_ok())
        );
        assert_eq!(chunks.concat(), text.as_bytes());
    }

    #[tokio::test]
    async fn a_log_over_the_limit_keeps_its_head_and_its_tail_and_says_what_was_cut() {
        let log = Log::new(400);
        log.output(b"head\n", &Cancel::default());
        for number in 0..1000 {
            log.output(format!("line {number}\n").as_bytes(), &Cancel::default());
        }

        log.close();
        let text = String::from_utf8(shipped(&log).await.concat()).unwrap();

        assert!(text.starts_with("head\nline 0\n"), "{text}");
        assert!(
            text.contains("bytes of the log are cut out here\nline 98"),
            "{text}"
        );
        assert!(text.ends_with("line 999\n"), "{text}");
        assert!(text.len() <= 400, "{text}");
    }

    #[tokio::test]
    async fn our_own_lines_stand_on_lines_of_their_own() {
        let log = Log::new(1000);
        let cancel = Cancel::default();

        log.line("INFO:    ", "first", &cancel);
        log.output(b"no newline", &cancel);
        log.line("WARNING: ", "second", &cancel);
        log.close();

        let text = shipped(&log).await.concat();
        assert_eq!(text, b"INFO:    first\nno newline\nWARNING: second\n");
    }

    #[tokio::test]
    async fn a_short_log_is_sent_soon_though_its_chunk_is_not_full() {
        let log = Log::new(1000);
        log.output(b"alive\n", &Cancel::default());

        let chunk = tokio::time::timeout(OLDEST * 8, log.next_chunk())
            .await
            .unwrap();

        assert_eq!(chunk.as_deref(), Some(&b"alive\n"[..]));
    }

    #[test]
    fn a_hub_that_is_behind_holds_up_the_build_only_until_it_is_stopped() {
        let log = Log::new(1 << 30);
        let cancel = Cancel::default();

        std::thread::scope(|scope| {
            let writer = scope.spawn(|| log.output(&vec![b'x'; 4 * MOST_PENDING], &cancel));
            std::thread::sleep(OLDEST);
            assert!(!writer.is_finished());
            cancel.cancel();
        });

        assert_eq!(log.lock().pending.len(), 4 * MOST_PENDING);
    }
}
