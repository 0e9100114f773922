//! Links to a file of a private collection, for those who have no account, and for a while.
//!
//! A link is as good as its maker: when they may not read the collection any more, neither may it.

use chrono::{DateTime, TimeDelta, Utc};
use cooperage_protocol::accounts::{Link, NewLink};
use cooperage_protocol::{Scope, UserId};
use serde::Deserialize;

use super::signed::{self, Purpose};
use super::{Action, Caller, Collection, Person, Proof, Visit, may};
use crate::db::{rights, users};
use crate::error::Error;
use crate::state::Hub;

const LONGEST_SECONDS: u32 = 30 * 24 * 60 * 60;

/// What the query of a link says.
#[derive(Debug, Deserialize)]
pub(super) struct Query {
    by: UserId,
    until: i64,
    signature: String,
}

/// Makes a link to a file of the collection of a visit.
pub(crate) fn make(hub: &Hub, visit: &Visit, new: &NewLink) -> Result<Link, Error> {
    let refused = |told: String| Err(Error::Unprocessable(told));
    if !(1..=LONGEST_SECONDS).contains(&new.seconds) {
        return refused(format!("a link is good for 1 to {LONGEST_SECONDS} seconds"));
    }
    let is_named = |c: char| c.is_ascii_alphanumeric() || "_.-@:".contains(c);
    if new.file.is_empty() || !new.file.chars().all(is_named) {
        return refused(format!(
            "{:?} is no file of a collection: write v1.sif or sha256:DIGEST.sif",
            new.file
        ));
    }
    let by = visit.person()?.id;
    let collection = visit.collection.as_ref();
    let collection = collection.ok_or_else(|| anyhow::anyhow!("a link to no collection"))?;
    let expires_at: DateTime<Utc> = Utc::now() + TimeDelta::seconds(new.seconds.into());
    let until = expires_at.timestamp();
    let text = text(collection, &new.file, by, until);
    let signature = signed::sign(hub, Purpose::Link, &text)?;
    let (name, file) = (&collection.name, &new.file);
    let path = format!("/{name}/{file}?by={by}&until={until}&signature={signature}");
    Ok(Link {
        url: hub.config.url(&path),
        expires_at,
    })
}

/// Whether a link lets somebody have this file now.
pub(super) async fn is_good(
    hub: &Hub,
    link: &Query,
    collection: &Collection,
    file: &str,
) -> Result<bool, Error> {
    let text = text(collection, file, link.by, link.until);
    if !signed::is_signed(hub, Purpose::Link, &text, &link.signature)?
        || link.until <= Utc::now().timestamp()
    {
        return Ok(false);
    }
    let Some(maker) = users::find_by_id(&hub.db, link.by).await? else {
        return Ok(false);
    };
    let name = collection.name.parse().map_err(anyhow::Error::from)?;
    let theirs = rights::of_collection(&hub.db, &name, Some(link.by)).await?;
    let maker = Caller::Person(Person {
        id: link.by,
        name: maker.name,
        is_admin: maker.is_admin,
        scopes: vec![Scope::Read],
        by: Proof::Link,
    });
    Ok(theirs.is_some_and(|collection| may(&maker, Action::Read, &collection)))
}

/// The collection's id, not its name: another one of the same name is another one.
fn text(collection: &Collection, file: &str, by: UserId, until: i64) -> String {
    format!("{}\n{file}\n{by}\n{until}", collection.id)
}
