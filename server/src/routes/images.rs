//! The calls about what was published, and about what the forge sent.

use axum::Json;
use axum::extract::{Path, State};
use cooperage_protocol::published::{Delivery, Image, ImageDetail, TaggedImage};
use cooperage_protocol::{Digest, Tag};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::api::InCollection;
use super::download::{self, Reference};
use super::paging::{Listed, Paging};
use crate::db::views::{self, ImageFilter, ImageRow};
use crate::error::Error;
use crate::state::Hub;

/// The routes of images, tags and deliveries.
pub(super) fn router() -> OpenApiRouter<Hub> {
    OpenApiRouter::new()
        .routes(routes!(list_images))
        .routes(routes!(show_image))
        .routes(routes!(list_tags))
        .routes(routes!(show_tag))
        .routes(routes!(list_deliveries))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct OfImage {
    /// SHA-256 of the image's file.
    digest: Digest,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct OfTag {
    /// The tag.
    tag: Tag,
}

/// Lists the images of a collection, newest first.
#[utoipa::path(
    get,
    path = "/api/collections/{owner}/{repository}/images",
    tag = "images",
    params(InCollection, Paging),
    responses(Listed<Image>),
)]
async fn list_images(
    State(hub): State<Hub>,
    Path(of): Path<InCollection>,
    paging: Paging,
) -> Result<Listed<Image>, Error> {
    let all = ImageFilter::default();
    let rows = views::images(&hub.db, &of.name()?, &all, paging.window()).await?;
    let images = rows.iter().map(image);
    Ok(paging.list(images.collect::<Result<_, _>>()?))
}

/// Shows an image by its digest.
#[utoipa::path(
    get,
    path = "/api/collections/{owner}/{repository}/images/{digest}",
    tag = "images",
    params(InCollection, OfImage),
    responses((status = 200, body = ImageDetail)),
)]
async fn show_image(
    State(hub): State<Hub>,
    Path(of): Path<InCollection>,
    Path(OfImage { digest }): Path<OfImage>,
) -> Result<Json<ImageDetail>, Error> {
    detail(&hub, &of, &Reference::Digest(digest)).await
}

/// Lists the tags of a collection and what they point at, `latest` first.
#[utoipa::path(
    get,
    path = "/api/collections/{owner}/{repository}/tags",
    tag = "images",
    params(InCollection),
    responses((status = 200, body = Vec<TaggedImage>)),
)]
async fn list_tags(
    State(hub): State<Hub>,
    Path(of): Path<InCollection>,
) -> Result<Json<Vec<TaggedImage>>, Error> {
    let rows = views::tags(&hub.db, &of.name()?).await?.into_iter();
    let tags = rows.map(|row| {
        Ok::<_, anyhow::Error>(TaggedImage {
            tag: row.name.parse()?,
            digest: row.digest.parse()?,
            size: row.size_bytes.try_into()?,
            moved_at: row.moved_at,
        })
    });
    Ok(Json(tags.collect::<Result<_, _>>()?))
}

/// Shows the image that a tag points at.
#[utoipa::path(
    get,
    path = "/api/collections/{owner}/{repository}/tags/{tag}",
    tag = "images",
    params(InCollection, OfTag),
    responses((status = 200, body = ImageDetail)),
)]
async fn show_tag(
    State(hub): State<Hub>,
    Path(of): Path<InCollection>,
    Path(OfTag { tag }): Path<OfTag>,
) -> Result<Json<ImageDetail>, Error> {
    detail(&hub, &of, &Reference::Tag(tag)).await
}

async fn detail(
    hub: &Hub,
    of: &InCollection,
    what: &Reference,
) -> Result<Json<ImageDetail>, Error> {
    let row = download::find(hub, &of.name()?, what).await?;
    Ok(Json(ImageDetail {
        image: image(&row)?,
        facts: row.facts.0,
    }))
}

fn image(row: &ImageRow) -> anyhow::Result<Image> {
    let tags = row.tags.iter().map(|tag| tag.parse());
    Ok(Image {
        collection: row.collection.parse()?,
        digest: row.digest.parse()?,
        md5: row.md5.clone(),
        size: row.size_bytes.try_into()?,
        tags: tags.collect::<Result<_, _>>()?,
        created_at: row.created_at,
        pulls: row.pulls.try_into()?,
        download: format!("/{}/{}.sif", row.collection, row.digest),
    })
}

/// Lists what the forge sent, newest first.
#[utoipa::path(
    get,
    path = "/api/collections/{owner}/{repository}/deliveries",
    tag = "deliveries",
    params(InCollection, Paging),
    responses(Listed<Delivery>),
)]
async fn list_deliveries(
    State(hub): State<Hub>,
    Path(of): Path<InCollection>,
    paging: Paging,
) -> Result<Listed<Delivery>, Error> {
    let found = views::deliveries(&hub.db, &of.name()?, paging.window()).await?;
    Ok(paging.list(found))
}
