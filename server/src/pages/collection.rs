//! A collection: what can be pulled, what was built, and how to push.

use askama::Template;
use askama_web::WebTemplate;
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use cooperage_protocol::CollectionName;

use super::commands::{self, Command};
use super::{Layout, format, not_found};
use crate::db::views::{self, BuildRow, Builds, CollectionRow, ImageFilter, ImageRow};
use crate::error::Error;
use crate::rights::Visit;
use crate::routes::parse_collection;
use crate::state::Hub;

const SHOWN: i64 = 20;
const MOST_IMAGES: i64 = 200;

/// The route of collections.
pub(super) fn router() -> Router<Hub> {
    Router::new().route("/{owner}/{repository}", get(show))
}

#[derive(Template, WebTemplate)]
#[template(path = "collection.html")]
struct CollectionPage {
    layout: Layout,
    collection: CollectionRow,
    tags: Vec<TagLine>,
    images: Vec<ImageRow>,
    builds: Vec<BuildRow>,
    webhook_url: String,
}

struct TagLine {
    name: String,
    digest: String,
    size: u64,
    moved_at: chrono::DateTime<chrono::Utc>,
    commands: Vec<Command>,
}

async fn show(
    State(hub): State<Hub>,
    visit: Visit,
    Path((owner, repository)): Path<(String, String)>,
) -> Result<CollectionPage, Error> {
    let name = parse_collection(&owner, &repository)?;
    let collection = find(&hub, &name).await?;
    let images = views::images(&hub.db, &name, &ImageFilter::default(), MOST_IMAGES).await?;
    Ok(CollectionPage {
        layout: Layout::new(&visit, "home"),
        tags: tag_lines(&hub, &name, &collection).await?,
        images,
        builds: views::builds(&hub.db, Builds::Of(&name), visit.caller.sight(), SHOWN).await?,
        webhook_url: super::url(&hub, &format!("/webhooks/{}", collection.forge)),
        collection,
    })
}

/// The collection, or a 404.
pub(super) async fn find(hub: &Hub, name: &CollectionName) -> Result<CollectionRow, Error> {
    let collection = views::collection(&hub.db, name).await?;
    collection.ok_or_else(|| not_found(format!("there is no collection {name}")))
}

/// An image may be too old for the list of images and still have a tag, so each tag is looked up.
async fn tag_lines(
    hub: &Hub,
    name: &CollectionName,
    collection: &CollectionRow,
) -> Result<Vec<TagLine>, Error> {
    let mut lines = Vec::new();
    for tag in &collection.tags {
        let filter = ImageFilter {
            tag: tag.parse().ok(),
            ..ImageFilter::default()
        };
        for image in views::images(&hub.db, name, &filter, 1).await? {
            lines.push(TagLine {
                name: tag.clone(),
                size: image.size(),
                digest: image.digest,
                moved_at: image.moved_at,
                commands: commands::pull(&hub.config.public_url, &collection.name, tag),
            });
        }
    }
    Ok(lines)
}
