//! The sheet, the script and the icon, from inside the program.

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use rust_embed::RustEmbed;

use crate::error::Error;
use crate::state::Hub;

#[derive(RustEmbed)]
#[folder = "../static"]
struct Files;

/// The routes of static files.
pub(super) fn router() -> Router<Hub> {
    Router::new()
        .route(
            "/static/{file}",
            get(async |Path(file): Path<String>, headers: HeaderMap| serve(&file, &headers)),
        )
        .route(
            "/favicon.ico",
            get(async |headers: HeaderMap| serve("favicon.svg", &headers)),
        )
}

fn serve(name: &str, request: &HeaderMap) -> Result<Response, Error> {
    let file =
        Files::get(name).ok_or_else(|| Error::NotFound(format!("there is no file {name:?}")))?;
    let etag = format!("\"{}\"", hex::encode(&file.metadata.sha256_hash()[..16]));
    let known = request
        .get(header::IF_NONE_MATCH)
        .and_then(|known| known.to_str().ok());
    let headers = [
        (header::CONTENT_TYPE, file.metadata.mimetype().to_owned()),
        (header::CACHE_CONTROL, "no-cache".to_owned()),
        (header::ETAG, etag.clone()),
    ];
    if known.is_some_and(|known| known.contains(&etag)) {
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    Ok((headers, file.data).into_response())
}
