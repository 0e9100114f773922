//! The hub as a keystore: it finds keys of `OpenPGP`, and takes those that people add.
//!
//! What is kept of a key is what it signed itself. Whose it says it is nobody checks: a fingerprint
//! is what people should compare.

use cooperage_protocol::Scope;
use cooperage_protocol::admin::{self, KeyUse};
use sqlx::PgConnection;

use crate::db::keys::{self, Key, NewKey, Search};
use crate::error::Error;
use crate::openpgp::PublicKey;
use crate::rights::Person;
use crate::state::Hub;

/// The most keys that somebody may add.
const MOST_KEYS: i64 = 100;

/// The most bytes of a key, as a text.
const LARGEST_KEY: usize = 256 << 10;

/// The most keys of an answer.
const MOST_FOUND: i64 = 100;

/// Some of the keys that were looked for, and where the next ones begin.
#[derive(Debug)]
pub(crate) struct Page {
    /// The keys.
    pub(crate) keys: Vec<PublicKey>,
    /// How many were passed, if there may be more.
    pub(crate) next: Option<i64>,
}

/// Reads what is looked for: `0x` and digits of a fingerprint or of its end, or a text.
///
/// Apptainer writes the 64 bits of an id as a number, so the zeros at its beginning are missing.
pub(crate) fn parse_search(text: &str, is_exact: bool) -> Result<Search, Error> {
    let text = text.trim();
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let is_hex = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_id = |digits: &str| is_hex(digits) && [8, 16, 40].contains(&digits.len());
    match digits {
        Some(digits) if is_id(digits) => Ok(Search::Id(digits.to_uppercase())),
        Some(digits) if is_hex(digits) && (9..16).contains(&digits.len()) => {
            Ok(Search::Id(format!("{:0>16}", digits.to_uppercase())))
        }
        Some(_) => Err(Error::BadRequest(
            "after 0x come the 40 digits of a fingerprint, or the last 16 or 8 of them".to_owned(),
        )),
        None if is_hex(text) && text.len() == 40 => Ok(Search::Id(text.to_uppercase())),
        None if text.is_empty() => Err(Error::BadRequest(
            "search for the fingerprint of a key, or for words of its user id".to_owned(),
        )),
        None if is_exact => Ok(Search::UserId(text.to_owned())),
        None => Ok(Search::Words(text.to_owned())),
    }
}

/// The keys that are looked for, after those that were passed already.
pub(crate) async fn find(
    hub: &Hub,
    search: &Search,
    (passed, most): (i64, Option<i64>),
) -> Result<Page, Error> {
    let most = most.unwrap_or(MOST_FOUND).clamp(1, MOST_FOUND);
    let found = keys::search(&hub.db, search, (passed.max(0), most + 1)).await?;
    let has_more = i64::try_from(found.len()).is_ok_and(|count| count > most);
    let shown = found.iter().take(usize::try_from(most).unwrap_or_default());
    Ok(Page {
        keys: shown.map(read).collect::<Result<_, _>>()?,
        next: has_more.then_some(passed.max(0) + most),
    })
}

/// Takes a key that somebody adds; gives its fingerprint. Of a key that is here already, what is
/// new is added, whoever sends it: only its owner can have signed it.
pub(crate) async fn add(hub: &Hub, person: &Person, text: &str) -> Result<String, Error> {
    if !person.has(Scope::Push) {
        return Err(Error::Forbidden(
            "adding a key needs a token with the scope push",
        ));
    }
    let key = PublicKey::parse(text).map_err(|error| Error::Unprocessable(error.to_string()))?;
    let fingerprint = key.fingerprint();
    let mut tx = hub.db.begin().await?;
    match keys::lock(&mut tx, &fingerprint).await? {
        Some(before) => renew(&mut tx, person, &before, key).await?,
        None => insert(&mut tx, person, &key).await?,
    }
    tx.commit().await?;
    Ok(fingerprint)
}

async fn insert(db: &mut PgConnection, person: &Person, key: &PublicKey) -> Result<(), Error> {
    if keys::count_of(&mut *db, person.id).await? >= MOST_KEYS {
        return Err(Error::Forbidden("an account may add 100 keys"));
    }
    let fingerprint = key.fingerprint();
    if !keys::insert(db, person.id, &to_keep(key)?).await? {
        return Err(Error::Conflict(format!(
            "somebody else added the key {fingerprint} just now: send it again"
        )));
    }
    tracing::info!(user.id = %person.id, "the key {fingerprint} was added");
    Ok(())
}

async fn renew(
    db: &mut PgConnection,
    person: &Person,
    before: &Key,
    key: PublicKey,
) -> Result<(), Error> {
    let known = read(before)?;
    let key = known.clone().with(key);
    if key == known {
        return Ok(());
    }
    let fingerprint = &before.fingerprint;
    if before.is_hubs {
        return Err(Error::Conflict(format!(
            "the key {fingerprint} is the hub's own, which nobody changes"
        )));
    }
    let new = to_keep(&key)?;
    if new.armored.len() > LARGEST_KEY {
        return Err(Error::Unprocessable(format!(
            "with what is here of it already, the key {fingerprint} has more than {LARGEST_KEY} bytes"
        )));
    }
    keys::renew(db, &new).await?;
    tracing::info!(user.id = %person.id, "the key {fingerprint} was renewed");
    Ok(())
}

/// A key as it is kept.
pub(crate) fn to_keep(key: &PublicKey) -> anyhow::Result<NewKey> {
    Ok(NewKey {
        fingerprints: key.fingerprints(),
        user_ids: key.user_ids(),
        armored: key.armored()?,
    })
}

/// All keys that are here.
pub async fn all_keys(hub: &Hub) -> Result<Vec<admin::Key>, Error> {
    let told = |(key, signs): (Key, bool)| {
        let user_ids = read(&key)?.user_ids();
        let usage = match (key.is_hubs, signs) {
            (_, true) => KeyUse::Signs,
            (true, false) => KeyUse::Signed,
            (false, false) => KeyUse::Added,
        };
        Ok(admin::Key {
            fingerprint: key.fingerprint,
            user_ids,
            usage,
            added_by: key.added_by,
            added_at: key.added_at,
        })
    };
    keys::all(&hub.db).await?.into_iter().map(told).collect()
}

/// Forgets a key that somebody added. Those of the hub stay, for the images that they signed.
pub async fn remove_key(hub: &Hub, fingerprint: &str) -> Result<(), Error> {
    if !keys::delete(&hub.db, &fingerprint.to_uppercase()).await? {
        let message = format!("nobody added a key of the fingerprint {fingerprint}");
        return Err(Error::NotFound(message));
    }
    tracing::info!("the key {fingerprint} was removed");
    Ok(())
}

/// A key as it was kept.
pub(crate) fn read(key: &Key) -> Result<PublicKey, Error> {
    let read = PublicKey::parse(&key.armored);
    read.map_err(|error| Error::Internal(anyhow::Error::new(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_is_for_digits_or_for_words() {
        let fpr = "0123456789abcdef0123456789abcdef01234567";
        let id = |digits: &str| Some(Search::Id(digits.to_uppercase()));
        let table = [
            (format!("0x{fpr}"), false, id(fpr)),
            (fpr.to_owned(), true, id(fpr)),
            (format!("0X{}", &fpr[24..]), false, id(&fpr[24..])),
            ("0x01234567".to_owned(), true, id("01234567")),
            ("0x9abcdef01".to_owned(), false, id("00000009abcdef01")),
            ("0x0123".to_owned(), false, None),
            ("0x0123456789abcdef0".to_owned(), false, None),
            (" ".to_owned(), false, None),
            (
                "ada".to_owned(),
                false,
                Some(Search::Words("ada".to_owned())),
            ),
            (
                "ada".to_owned(),
                true,
                Some(Search::UserId("ada".to_owned())),
            ),
        ];
        for (text, is_exact, expected) in table {
            assert_eq!(parse_search(&text, is_exact).ok(), expected, "{text}");
        }
    }
}
