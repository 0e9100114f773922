//! Which ways into an account are there? Its owner sees them, and takes away all but the last.

use cooperage_protocol::IdentityId;
use cooperage_protocol::accounts::Identity;

use crate::db::identities;
use crate::error::Error;
use crate::rights::Person;
use crate::state::Hub;

/// The caller's accounts at providers.
pub(crate) async fn list(hub: &Hub, person: &Person) -> Result<Vec<Identity>, Error> {
    let rows = identities::list(&hub.db, person.id).await?;
    let shown = rows.into_iter().map(|row| Identity {
        id: row.id,
        provider: hub.providers.name_of(&row.issuer).to_owned(),
        issuer: row.issuer,
        name: row.label,
        created_at: row.created_at,
        last_used_at: row.last_used_at,
    });
    Ok(shown.collect())
}

/// Takes away one of the ways into the caller's account.
pub(crate) async fn unlink(hub: &Hub, person: &Person, id: IdentityId) -> Result<(), Error> {
    let mut tx = hub.db.begin().await?;
    identities::lock(&mut tx, person.id).await?;
    if !identities::delete(&mut tx, person.id, id).await? {
        return Err(Error::NotFound(format!("you have no linked account {id}")));
    }
    if !identities::can_sign_in(&mut tx, person.id, &hub.providers.issuers()).await? {
        return Err(Error::Conflict(
            "this is the only way into your account: set a password, or link another one first"
                .to_owned(),
        ));
    }
    tx.commit().await?;
    tracing::info!(user.id = %person.id, "unlinked an account");
    Ok(())
}
