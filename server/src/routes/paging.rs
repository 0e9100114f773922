//! Which part of a long list is asked for, and where does it go on?

use axum::Json;
use axum::extract::{FromRequestParts, OriginalUri, Query};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::openapi::response::Response as Described;
use utoipa::openapi::{
    Array, ContentBuilder, Header, HeaderBuilder, Object, Ref, RefOr, ResponseBuilder, Type,
};
use utoipa::{IntoParams, IntoResponses, ToSchema};

use crate::db::views::Window;
use crate::error::Error;

const MOST: u16 = 1000;

/// The part of a list that a request asks for.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Paging {
    /// How many at most.
    #[serde(default = "usual")]
    #[param(required = false, minimum = 1, maximum = 1000, default = 50)]
    limit: u16,
    /// How many to leave out at the beginning.
    #[serde(default)]
    #[param(required = false)]
    offset: u32,
    #[serde(skip)]
    #[param(ignore)]
    uri: Uri,
}

fn usual() -> u16 {
    50
}

impl FromRequestParts<crate::Hub> for Paging {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &crate::Hub) -> Result<Self, Error> {
        let Query(mut paging) = Query::<Self>::try_from_uri(&parts.uri)
            .map_err(|error| Error::BadRequest(error.body_text()))?;
        if !(1..=MOST).contains(&paging.limit) {
            let told = format!("limit {} is not from 1 to {MOST}", paging.limit);
            return Err(Error::BadRequest(told));
        }
        let original = parts.extensions.get::<OriginalUri>();
        paging.uri = original.map_or_else(|| parts.uri.clone(), |uri| uri.0.clone());
        Ok(paging)
    }
}

impl Paging {
    /// The rows to be read: one more than is shown tells whether the list goes on.
    pub(super) fn window(&self) -> Window {
        Window {
            limit: i64::from(self.limit) + 1,
            offset: self.offset.into(),
        }
    }

    /// The answer of these rows.
    pub(super) fn list<T>(&self, mut rows: Vec<T>) -> Listed<T> {
        let shown = usize::from(self.limit);
        let next = (rows.len() > shown).then(|| self.next());
        rows.truncate(shown);
        Listed { rows, next }
    }

    fn next(&self) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        let asked = self.uri.query().unwrap_or_default().as_bytes();
        for (name, value) in url::form_urlencoded::parse(asked) {
            if !matches!(&*name, "limit" | "offset") {
                query.append_pair(&name, &value);
            }
        }
        let offset = u64::from(self.offset) + u64::from(self.limit);
        query.append_pair("limit", &self.limit.to_string());
        query.append_pair("offset", &offset.to_string());
        format!("<{}?{}>; rel=\"next\"", self.uri.path(), query.finish())
    }
}

/// A part of a list, and how to ask for the next one: a `Link` header of RFC 8288.
pub(super) struct Listed<T> {
    rows: Vec<T>,
    next: Option<String>,
}

impl<T: Serialize> IntoResponse for Listed<T> {
    fn into_response(self) -> Response {
        let mut response = Json(self.rows).into_response();
        let next = self.next.and_then(|next| HeaderValue::try_from(next).ok());
        if let Some(next) = next {
            response.headers_mut().insert(header::LINK, next);
        }
        response
    }
}

impl<T: ToSchema> IntoResponses for Listed<T> {
    fn responses() -> std::collections::BTreeMap<String, RefOr<Described>> {
        let rows = Array::new(Ref::from_schema_name(T::name()));
        let link: Header = HeaderBuilder::new()
            .schema(Some(Object::with_type(Type::String)))
            .description(Some("Where the list goes on: `<PATH>; rel=\"next\"`."))
            .build();
        let listed = ResponseBuilder::new()
            .description("A part of the list.")
            .content(
                "application/json",
                ContentBuilder::new().schema(Some(rows)).build(),
            )
            .header("Link", link)
            .build();
        [("200".to_owned(), listed.into())].into()
    }
}
