//! An image, by its digest or by a tag, and links to it for those who have no account.

use askama::Template;
use askama_web::WebTemplate;
use axum::extract::{Path, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::routing::{get, post};
use axum::{Form, Router};
use cooperage_protocol::accounts::{Link, NewLink};
use cooperage_protocol::{CollectionName, Digest, Tag, Visibility};
use serde::Deserialize;

use super::commands::{self, Command};
use super::highlight::{self, Line};
use super::{Layout, format, not_found};
use crate::db::views::{self, ImageFilter, ImageRow};
use crate::error::Error;
use crate::rights::{Visit, link};
use crate::routes::{explain_missing, parse_collection};
use crate::signers::{self, Signer};
use crate::state::Hub;

/// The routes of images.
pub(super) fn router() -> Router<Hub> {
    Router::new()
        .route("/{owner}/{repository}/images/{digest}", get(show_digest))
        .route("/{owner}/{repository}/tags/{tag}", get(show_tag))
        .route(
            "/{owner}/{repository}/images/{digest}/link",
            post(make_link),
        )
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
    /// Whether the reader may want a link for those who do not see the collection.
    may_link: bool,
    link: Option<Link>,
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
    page_of_digest(&hub, &visit, (&owner, &repository, &digest)).await
}

#[derive(Deserialize)]
struct Wish {
    hours: u32,
}

/// A link is shown once, in the answer to the button.
async fn make_link(
    State(hub): State<Hub>,
    visit: Visit,
    Path((owner, repository, digest)): Path<(String, String, String)>,
    Form(wish): Form<Wish>,
) -> Result<([(HeaderName, HeaderValue); 1], ImagePage), Error> {
    let mut page = page_of_digest(&hub, &visit, (&owner, &repository, &digest)).await?;
    let new = NewLink {
        file: format!("{}.sif", page.image.digest),
        seconds: wish.hours.saturating_mul(3600),
    };
    page.link = Some(link::make(&hub, &visit, &new)?);
    let unkept = HeaderValue::from_static("no-store");
    Ok(([(header::CACHE_CONTROL, unkept)], page))
}

async fn page_of_digest(
    hub: &Hub,
    visit: &Visit,
    (owner, repository, digest): (&str, &str, &str),
) -> Result<ImagePage, Error> {
    let name = parse_collection(owner, repository)?;
    let digest: Digest = digest
        .parse()
        .map_err(|error| not_found(format!("{error}")))?;
    let filter = ImageFilter {
        sha256: Some(digest.hex()),
        ..ImageFilter::default()
    };
    let image = find(hub, &name, &filter).await?;
    let names = (digest.to_string(), digest.short());
    page(hub, visit, image, names).await
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
        may_link: visit.caller.person().is_some()
            && visit
                .collection
                .as_ref()
                .is_some_and(|collection| collection.visibility != Visibility::Public),
        link: None,
        image,
    })
}
