//! The buttons that change something.

use axum::extract::{Path, State};
use axum::response::Redirect;
use axum::routing::post;
use axum::{Form, Router};
use cooperage_protocol::admin::BuildOnDemand;
use cooperage_protocol::{BuildId, DeliveryId, StepCache};
use serde::Deserialize;

use super::not_found;
use crate::db::views;
use crate::error::Error;
use crate::routes::parse_collection;
use crate::state::Hub;

/// The routes of buttons.
pub(super) fn router() -> Router<Hub> {
    Router::new()
        .route("/{owner}/{repository}/build", post(build))
        .route("/{owner}/{repository}/remove", post(remove))
        .route("/builds/{id}/cancel", post(cancel))
        .route("/deliveries/{id}/replay", post(replay))
}

#[derive(Deserialize)]
struct Wish {
    #[serde(default, rename = "ref")]
    reference: String,
    #[serde(default)]
    step_cache: StepCache,
}

async fn build(
    State(hub): State<Hub>,
    Path((owner, repository)): Path<(String, String)>,
    Form(wish): Form<Wish>,
) -> Result<Redirect, Error> {
    let name = parse_collection(&owner, &repository)?;
    let reference = Some(wish.reference.trim()).filter(|reference| !reference.is_empty());
    let wish = BuildOnDemand {
        reference: reference.map(ToOwned::to_owned),
        step_cache: wish.step_cache,
    };
    let builds = crate::build_on_demand(&hub, &name, &wish).await?;
    Ok(match builds[..] {
        [only] => Redirect::to(&format!("/builds/{only}")),
        _ => Redirect::to(&format!("/{name}#builds")),
    })
}

async fn remove(
    State(hub): State<Hub>,
    Path((owner, repository)): Path<(String, String)>,
) -> Result<Redirect, Error> {
    crate::remove_collection(&hub, &parse_collection(&owner, &repository)?).await?;
    Ok(Redirect::to("/"))
}

async fn cancel(State(hub): State<Hub>, Path(id): Path<BuildId>) -> Result<Redirect, Error> {
    crate::cancel_build(&hub, id).await?;
    Ok(Redirect::to(&format!("/builds/{id}")))
}

async fn replay(State(hub): State<Hub>, Path(id): Path<DeliveryId>) -> Result<Redirect, Error> {
    let collection = views::collection_of_delivery(&hub.db, id)
        .await?
        .ok_or_else(|| not_found(format!("there is no delivery {id}")))?;
    crate::replay_delivery(&hub, id).await?;
    Ok(Redirect::to(&format!("/{collection}/deliveries#{id}")))
}
