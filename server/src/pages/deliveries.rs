//! What the forge sent, and what came of it.

use askama::Template;
use askama_web::WebTemplate;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::Redirect;
use axum::routing::get;
use cooperage_protocol::DeliveryId;
use cooperage_protocol::published::Delivery;

use super::{Layout, collection, format};
use crate::db::views::{self, CollectionRow};
use crate::error::Error;
use crate::rights::Visit;
use crate::routes::parse_collection;
use crate::state::Hub;

const SHOWN: i64 = 100;

/// The route of deliveries.
pub(super) fn router() -> Router<Hub> {
    Router::new()
        .route("/{owner}/{repository}/deliveries", get(show))
        .route("/deliveries/{id}", get(find))
}

#[derive(Template, WebTemplate)]
#[template(path = "deliveries.html")]
struct DeliveriesPage {
    layout: Layout,
    collection: CollectionRow,
    deliveries: Vec<Delivery>,
    webhook_url: String,
}

async fn show(
    State(hub): State<Hub>,
    visit: Visit,
    Path((owner, repository)): Path<(String, String)>,
) -> Result<DeliveriesPage, Error> {
    let name = parse_collection(&owner, &repository)?;
    let collection = collection::find(&hub, &name).await?;
    Ok(DeliveriesPage {
        layout: Layout::new(&visit, "home"),
        deliveries: views::deliveries(&hub.db, &name, SHOWN).await?,
        webhook_url: super::url(&hub, &format!("/webhooks/{}", collection.forge)),
        collection,
    })
}

/// The address that a webhook is answered with: the place of the delivery on its page.
async fn find(State(hub): State<Hub>, Path(id): Path<String>) -> Result<Redirect, Error> {
    let missing = || Error::NotFound(format!("there is no delivery {id:?}"));
    let delivery: DeliveryId = id.parse().map_err(|_| missing())?;
    let name = views::collection_of_delivery(&hub.db, delivery)
        .await?
        .ok_or_else(missing)?;
    Ok(Redirect::to(&format!("/{name}/deliveries#{delivery}")))
}

/// The look of a state of a delivery.
fn pill(state: &str) -> &'static str {
    match state {
        "done" => "succeeded",
        "failed" | "rejected" => "failed",
        "processing" => "running",
        _ => "queued",
    }
}
