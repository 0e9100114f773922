//! Whether the hub works: for scripts that start it and for load balancers.

use axum::Router;
use axum::extract::State;
use axum::routing::get;

use crate::error::Error;
use crate::state::Hub;

/// The route of the hub's health.
pub(super) fn router() -> Router<Hub> {
    Router::new().route("/healthz", get(check))
}

/// 200 when requests can be answered, that is when Postgres answers.
async fn check(State(hub): State<Hub>) -> Result<&'static str, Error> {
    sqlx::query_scalar!(r#"SELECT 1 AS "one!""#)
        .fetch_one(&hub.db)
        .await?;
    Ok("ok\n")
}
