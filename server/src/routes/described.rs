//! What is the same for all calls of the API is told here, from the table of rights.

use axum::http::{Method, StatusCode};
use cooperage_protocol::admin::Problem;
use cooperage_protocol::published::Delivery;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{
    Components, ContentBuilder, OpenApi, PathItem, Ref, RefOr, Response, ResponseBuilder,
};

use crate::auth::SESSION_COOKIE;
use crate::rights::{self, Needs};

/// The head of the description.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Cooperage",
        description = "Everything that the pages of a hub do, for programs. Say who you are by \
            `Authorization: Bearer TOKEN`; tokens are made at `/auth/tokens`. Errors are \
            `application/problem+json` (RFC 9457). A collection that you may not see is answered for \
            as one that is not there. Where a list goes on, its `Link` header says (RFC 8288).",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    components(schemas(Delivery, Problem)),
    tags(
        (name = "collections", description = "Connected repositories, and who has a role in them."),
        (name = "builds", description = "What was built, is built, and will be."),
        (name = "images", description = "What was published."),
        (name = "deliveries", description = "What forges sent."),
        (name = "registries", description = "As whom a collection fetches its bases."),
        (name = "account", description = "The account that calls."),
        (name = "people", description = "Accounts and teams of the hub."),
        (name = "workers", description = "Who builds."),
        (name = "keys", description = "What the hub signs with, and what it hands out."),
        (name = "store", description = "What images take on the hub's disk."),
        (name = "description", description = "The API itself."),
    )
)]
pub(super) struct Api;

const TOKEN: &str = "token";
const SESSION: &str = "session";

/// Adds to each call who may make it, and how it is refused.
pub(super) fn complete(mut api: OpenApi) -> OpenApi {
    let components = api.components.get_or_insert_with(Components::new);
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
    components.add_security_scheme(TOKEN, SecurityScheme::Http(bearer));
    let cookie = ApiKey::Cookie(ApiKeyValue::new(SESSION_COOKIE));
    components.add_security_scheme(SESSION, SecurityScheme::ApiKey(cookie));
    for (path, item) in &mut api.paths.paths {
        for (method, operation) in operations(item) {
            if let Some(needs) = rights::needs(&method, path) {
                complete_operation(operation, &needs);
            }
        }
    }
    api
}

/// The calls of a path.
pub(crate) fn operations(item: &mut PathItem) -> impl Iterator<Item = (Method, &mut Operation)> {
    [
        (Method::GET, item.get.as_mut()),
        (Method::PUT, item.put.as_mut()),
        (Method::POST, item.post.as_mut()),
        (Method::PATCH, item.patch.as_mut()),
        (Method::DELETE, item.delete.as_mut()),
    ]
    .into_iter()
    .filter_map(|(method, operation)| Some((method, operation?)))
}

fn complete_operation(operation: &mut Operation, needs: &Needs) {
    let who = format!("Who may: {}.", needs.who);
    operation.description = Some(match operation.description.take() {
        Some(told) if !told.is_empty() => format!("{told}\n\n{who}"),
        _ => who,
    });
    let mut security = vec![requirement(TOKEN), requirement(SESSION)];
    if needs.anonymous {
        security.insert(0, SecurityRequirement::default());
    }
    operation.security = Some(security);

    let mut refusals = needs.refusals.to_vec();
    if operation.parameters.is_some() || operation.request_body.is_some() {
        refusals.push(StatusCode::BAD_REQUEST);
    }
    if operation.request_body.is_some() {
        refusals.push(StatusCode::PAYLOAD_TOO_LARGE);
    }
    for status in refusals {
        let responses = &mut operation.responses.responses;
        let refusal = responses.entry(status.as_u16().to_string());
        refusal.or_insert_with(|| problem(status).into());
    }
    for (status, response) in &mut operation.responses.responses {
        if let RefOr::T(response) = response {
            describe(status, response);
        }
    }
}

fn requirement(scheme: &str) -> SecurityRequirement {
    SecurityRequirement::new::<_, [String; 0], String>(scheme, [])
}

fn problem(status: StatusCode) -> Response {
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name("Problem")))
        .build();
    ResponseBuilder::new()
        .description(match status {
            StatusCode::BAD_REQUEST => "the request is malformed",
            StatusCode::UNAUTHORIZED => "there is no token, or it is not good",
            StatusCode::FORBIDDEN => "you may not",
            StatusCode::NOT_FOUND => "there is none, or you may not know of it",
            StatusCode::PAYLOAD_TOO_LARGE => "the body is too large",
            _ => "",
        })
        .content("application/problem+json", content)
        .build()
}

/// Each answer has a description, and each refusal is a problem.
fn describe(status: &str, response: &mut Response) {
    if response.description.is_empty() {
        let known = status
            .parse()
            .ok()
            .and_then(|status: u16| StatusCode::from_u16(status).ok());
        let words = known.and_then(|status| status.canonical_reason());
        words
            .unwrap_or("An answer")
            .clone_into(&mut response.description);
    }
    if status.starts_with('4') || status.starts_with('5') {
        let json = response.content.shift_remove("application/json");
        if let Some(json) = json {
            response
                .content
                .insert("application/problem+json".to_owned(), json);
        }
    }
}
