//! How does somebody follow a build as it happens? Its log and its states, in their order.

use std::sync::Arc;
use std::time::Duration;

use cooperage_protocol::BuildId;
use cooperage_protocol::admin::Build;
use futures_util::{Stream, StreamExt as _, stream};
use sqlx::PgPool;
use sqlx::postgres::PgListener;
use tokio::sync::{OnceCell, broadcast};

use crate::db::{logs, views};
use crate::state::Hub;

const POLL: Duration = Duration::from_secs(1);

/// Something that happened to a build.
#[derive(Debug)]
pub(crate) enum Told {
    /// More of its log, in whole characters, and how many bytes there are with it.
    Log(String, i64),
    /// Where it stands now. Nothing follows a final state.
    State(Box<Build>),
}

/// Tells of a build from a byte of its log on, until it is over. An error of the database ends it
/// too: who follows comes back with the offset they have.
pub(crate) async fn follow(
    hub: &Hub,
    build: BuildId,
    offset: u64,
) -> impl Stream<Item = Told> + use<> {
    let follower = Follower {
        hub: hub.clone(),
        build,
        offset: offset.try_into().unwrap_or(i64::MAX),
        seen: None,
        is_over: false,
        wakeups: hub.followers.subscribe(&hub.db).await,
    };
    stream::unfold(follower, |mut follower| async move {
        let told = follower.next().await?;
        Some((stream::iter(told), follower))
    })
    .flatten()
}

/// One listener on the database for all who follow a build, started by the first of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Followers(Arc<OnceCell<broadcast::Sender<String>>>);

impl Followers {
    async fn subscribe(&self, db: &PgPool) -> broadcast::Receiver<String> {
        let sender = self.0.get_or_init(async || {
            let (sender, _) = broadcast::channel(256);
            tokio::spawn(listen(db.clone(), sender.clone()));
            sender
        });
        sender.await.subscribe()
    }
}

/// Passes notifications on until the pool is closed. While the database is away, followers poll.
async fn listen(db: PgPool, sender: broadcast::Sender<String>) {
    while !db.is_closed() {
        if let Err(error) = pass_on(&db, &sender).await
            && !db.is_closed()
        {
            tracing::warn!(%error, "lost the database's notifications");
        }
        tokio::time::sleep(POLL).await;
    }
}

async fn pass_on(db: &PgPool, sender: &broadcast::Sender<String>) -> sqlx::Result<()> {
    let mut listener = PgListener::connect_with(db).await?;
    listener.listen_all(["build_log", "build_state"]).await?;
    loop {
        let notification = listener.recv().await?;
        // An error says that nobody follows a build now, which is fine.
        sender.send(notification.payload().to_owned()).ok();
    }
}

/// Somebody who follows a build, and how far they have got.
struct Follower {
    hub: Hub,
    build: BuildId,
    offset: i64,
    seen: Option<String>,
    is_over: bool,
    wakeups: broadcast::Receiver<String>,
}

impl Follower {
    /// Waits until there is something to tell; nothing after the final state.
    async fn next(&mut self) -> Option<Vec<Told>> {
        while !self.is_over {
            match self.look().await {
                Ok(told) if told.is_empty() => self.wait().await,
                Ok(told) => return Some(told),
                Err(error) => {
                    tracing::warn!(error = format!("{error:#}"), "cannot follow {}", self.build);
                    return None;
                }
            }
        }
        None
    }

    /// The state is read before the log, so that a final state is never told before the last line.
    async fn look(&mut self) -> anyhow::Result<Vec<Told>> {
        let Some(build) = views::build(&self.hub.db, self.build).await? else {
            self.is_over = true;
            return Ok(Vec::new());
        };
        let build = Build::try_from(build)?;
        let phases = views::phases(&self.hub.db, self.build).await?;
        let mut told = self.read_log(build.state.is_final()).await?;
        if build.state.is_final() && !told.is_empty() {
            return Ok(told);
        }
        let seen = format!("{}{phases:?}", serde_json::to_string(&build)?);
        if self.seen.as_ref() != Some(&seen) {
            self.seen = Some(seen);
            self.is_over = build.state.is_final();
            told.push(Told::State(Box::new(build)));
        }
        Ok(told)
    }

    async fn read_log(&mut self, is_final: bool) -> anyhow::Result<Vec<Told>> {
        let pieces = logs::read(&self.hub.db, self.build, self.offset).await?;
        let bytes: Vec<u8> = pieces.into_iter().flat_map(|piece| piece.bytes).collect();
        let whole = match whole_characters(&bytes) {
            0 if is_final => bytes.len(),
            whole => whole,
        };
        if whole == 0 {
            return Ok(Vec::new());
        }
        self.offset += i64::try_from(whole)?;
        let text = String::from_utf8_lossy(&bytes[..whole]).into_owned();
        Ok(vec![Told::Log(text, self.offset)])
    }

    async fn wait(&mut self) {
        let build = self.build.to_string();
        let wakeup =
            async { while matches!(self.wakeups.recv().await, Ok(other) if other != build) {} };
        // Time running out is no error: it is when to look without having been woken.
        tokio::time::timeout(POLL, wakeup).await.ok();
    }
}

/// How many bytes there are without the beginning of a character whose end has not come yet.
fn whole_characters(bytes: &[u8]) -> usize {
    match std::str::from_utf8(
        bytes
            .get(bytes.len().saturating_sub(4)..)
            .unwrap_or_default(),
    ) {
        Ok(_) => bytes.len(),
        Err(_) => (1..=3.min(bytes.len()))
            .map(|back| bytes.len() - back)
            .find(|&at| bytes[at] & 0xC0 != 0x80)
            .filter(|&at| {
                std::str::from_utf8(&bytes[at..]).is_err_and(|error| error.error_len().is_none())
            })
            .unwrap_or(bytes.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_is_not_told_before_it_is_whole() {
        for (bytes, whole) in [
            ("abc".as_bytes(), 3),
            ("ab\u{20ac}".as_bytes(), 5),
            (b"ab\xe2\x82", 2),
            (b"\xf0\x9f\x98", 0),
            (b"ab\xff", 3),
            (b"ab\x80\x80\x80\x80", 6),
            (b"", 0),
        ] {
            assert_eq!(whole_characters(bytes), whole, "{bytes:?}");
        }
    }
}
