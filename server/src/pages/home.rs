//! The front page: all collections.

use askama::Template;
use askama_web::WebTemplate;
use axum::Router;
use axum::extract::{Query, State};
use axum::routing::get;
use serde::Deserialize;

use super::{Layout, format};
use crate::db::views::{self, CollectionRow, Window};
use crate::error::Error;
use crate::rights::Visit;
use crate::state::Hub;

/// The route of the front page.
pub(super) fn router() -> Router<Hub> {
    Router::new().route("/", get(show))
}

#[derive(Deserialize)]
struct Search {
    #[serde(default)]
    q: String,
}

#[derive(Template, WebTemplate)]
#[template(path = "home.html")]
struct HomePage {
    layout: Layout,
    search: String,
    collections: Vec<CollectionRow>,
}

async fn show(
    State(hub): State<Hub>,
    visit: Visit,
    Query(search): Query<Search>,
) -> Result<HomePage, Error> {
    Ok(HomePage {
        layout: Layout::new(&visit, "home"),
        collections: views::collections(
            &hub.db,
            search.q.trim(),
            visit.caller.sight(),
            Window::ALL,
        )
        .await?,
        search: search.q,
    })
}
