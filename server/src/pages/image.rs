//! An image, by its digest or by a tag.

use askama::Template;
use askama_web::WebTemplate;
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use cooperage_protocol::{CollectionName, Digest, Tag};

use super::commands::{self, Command};
use super::highlight::{self, Line};
use super::{Layout, format, not_found};
use crate::db::views::{self, ImageFilter, ImageRow};
use crate::error::Error;
use crate::rights::Visit;
use crate::routes::{explain_missing, parse_collection};
use crate::signers::{self, Signer};
use crate::state::Hub;

/// The routes of images.
pub(super) fn router() -> Router<Hub> {
    Router::new()
        .route("/{owner}/{repository}/images/{digest}", get(show_digest))
        .route("/{owner}/{repository}/tags/{tag}", get(show_tag))
}

#[derive(Template, WebTemplate)]
#[template(path = "image.html")]
struct ImagePage {
    layout: Layout,
    reference: String,
    title: String,
    commands: Vec<Command>,
    image: ImageRow,
    signers: Vec<Signer>,
}

impl ImagePage {
    fn definition(&self) -> Vec<Line<'_>> {
        highlight::definition(&self.image.facts.definition)
    }

    fn scripts(&self) -> Vec<(&'static str, &str)> {
        let facts = &self.image.facts;
        [
            ("Runscript", &facts.runscript),
            ("Startscript", &facts.startscript),
            ("Test", &facts.test),
        ]
        .into_iter()
        .filter_map(|(title, script)| Some((title, script.as_deref()?)))
        .filter(|(_, script)| does_something(script))
        .collect()
    }
}

/// Images have scripts that hold nothing but the line that names their shell.
fn does_something(script: &str) -> bool {
    script
        .lines()
        .any(|line| !line.trim().is_empty() && !line.starts_with("#!"))
}

async fn show_digest(
    State(hub): State<Hub>,
    visit: Visit,
    Path((owner, repository, digest)): Path<(String, String, String)>,
) -> Result<ImagePage, Error> {
    let name = parse_collection(&owner, &repository)?;
    let digest: Digest = digest
        .parse()
        .map_err(|error| not_found(format!("{error}")))?;
    let filter = ImageFilter {
        sha256: Some(digest.hex()),
        ..ImageFilter::default()
    };
    let image = find(&hub, &name, &filter).await?;
    let names = (digest.to_string(), digest.short());
    page(&hub, &visit, image, names).await
}

async fn show_tag(
    State(hub): State<Hub>,
    visit: Visit,
    Path((owner, repository, tag)): Path<(String, String, String)>,
) -> Result<ImagePage, Error> {
    let name = parse_collection(&owner, &repository)?;
    let tag: Tag = tag.parse().map_err(|error| not_found(format!("{error}")))?;
    let filter = ImageFilter {
        tag: Some(tag.clone()),
        ..ImageFilter::default()
    };
    let image = find(&hub, &name, &filter).await?;
    let names = (tag.to_string(), tag.to_string());
    page(&hub, &visit, image, names).await
}

async fn find(hub: &Hub, name: &CollectionName, filter: &ImageFilter) -> Result<ImageRow, Error> {
    match views::images(&hub.db, name, filter, 1).await?.pop() {
        Some(image) => Ok(image),
        None => Err(explain_missing(hub, name).await?),
    }
}

async fn page(
    hub: &Hub,
    visit: &Visit,
    image: ImageRow,
    (reference, title): (String, String),
) -> Result<ImagePage, Error> {
    Ok(ImagePage {
        layout: Layout::new(visit, "home"),
        commands: commands::pull(&hub.config.public_url, &image.collection, &reference),
        reference,
        title,
        signers: signers::of_image(hub, image.id).await?,
        image,
    })
}
