//! What the forge sent, and what came of it.

use askama::Template;
use askama_web::WebTemplate;
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;

use super::{Layout, collection, format};
use crate::auth::Viewer;
use crate::db::views::{self, CollectionRow, DeliveryRow};
use crate::error::Error;
use crate::routes::parse_collection;
use crate::state::Hub;

const SHOWN: i64 = 100;

/// The route of deliveries.
pub(super) fn router() -> Router<Hub> {
    Router::new().route("/{owner}/{repository}/deliveries", get(show))
}

#[derive(Template, WebTemplate)]
#[template(path = "deliveries.html")]
struct DeliveriesPage {
    layout: Layout,
    collection: CollectionRow,
    deliveries: Vec<DeliveryRow>,
    webhook_url: String,
}

async fn show(
    State(hub): State<Hub>,
    viewer: Viewer,
    Path((owner, repository)): Path<(String, String)>,
) -> Result<DeliveriesPage, Error> {
    let name = parse_collection(&owner, &repository)?;
    let collection = collection::find(&hub, &name).await?;
    Ok(DeliveriesPage {
        layout: Layout::new(viewer, "home"),
        deliveries: views::deliveries(&hub.db, &name, SHOWN).await?,
        webhook_url: super::url(&hub, &format!("/webhooks/{}", collection.forge)),
        collection,
    })
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
