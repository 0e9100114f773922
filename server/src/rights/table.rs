//! What does each route need? Every route of the hub is here; one that is not is not served.

use std::collections::HashMap;
use std::sync::LazyLock;

use axum::http::Method;

use super::Action::{self, Build, Manage, Push, Read};

/// A route and its rule.
#[derive(Debug)]
pub(super) struct Row {
    /// Its method; that of GET is HEAD's too.
    pub(super) method: Method,
    /// Its path as the router has it.
    pub(super) path: &'static str,
    /// Who is let through.
    pub(super) rule: Rule,
    /// How the others are told.
    pub(super) form: Form,
}

/// Who is let through to a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// Everybody: it tells of no collection.
    Everybody,
    /// Everybody, whatever token they show: clients show here what they have for another server.
    Strangers,
    /// Everybody, as often as they like: it tells of no collection and costs next to nothing.
    Free,
    /// Everybody: its handler shows only the collections that the caller sees.
    Lists,
    /// Who may do this to the collection that the request is about.
    Collection(Place, Action),
    /// Who may read the collection of `{owner}/{repository}`, or has a link to its `{file}`.
    File,
    /// Who has an account.
    Known,
    /// Who has an account and may change it: by a session, or by a token for everything.
    Account,
    /// An administrator, who may do this to the hub.
    Hub,
    /// Its handler asks for what workers and forges prove themselves with.
    OwnProof,
}

/// Where a request says which collection it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// `{owner}/{repository}`.
    Path,
    /// `{owner}/{reference}` of `shub://`.
    Shub,
    /// `{*container}` of `library://`.
    Container,
    /// The build `{id}`.
    Build,
    /// The delivery `{id}`.
    Delivery,
    /// The collection `{id}`.
    Collection,
    /// The upload `{id}`.
    Push,
}

/// Who reads the refusals of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// People, who are sent to the login.
    Page,
    /// Programs, by problem+json.
    Problem,
    /// Clients that fetch files: problem+json, with what Apptainer shows of it.
    File,
    /// Clients of the container library.
    Library,
    /// Clients of the container library that ask whether their token is good.
    TokenStatus,
    /// Clients of registries.
    Registry,
}

/// The rule of a route, or which methods its path has.
pub(super) fn find(method: &Method, path: &str) -> Result<&'static Row, Vec<&'static Method>> {
    static BY_PATH: LazyLock<HashMap<&'static str, Vec<&'static Row>>> = LazyLock::new(|| {
        let mut by_path = HashMap::<_, Vec<_>>::new();
        for row in TABLE {
            by_path.entry(row.path).or_default().push(row);
        }
        by_path
    });
    let rows = BY_PATH.get(path).map(Vec::as_slice).unwrap_or_default();
    let method = if method == Method::HEAD {
        &Method::GET
    } else {
        method
    };
    let row = rows.iter().find(|row| row.method == method);
    row.copied()
        .ok_or_else(|| rows.iter().map(|row| &row.method).collect())
}

const fn on(place: Place, action: Action) -> Rule {
    Rule::Collection(place, action)
}

const fn page(method: Method, path: &'static str, rule: Rule) -> Row {
    Row {
        method,
        path,
        rule,
        form: Form::Page,
    }
}

const fn api(method: Method, path: &'static str, rule: Rule) -> Row {
    Row {
        method,
        path,
        rule,
        form: Form::Problem,
    }
}

const fn file(path: &'static str, rule: Rule) -> Row {
    Row {
        method: GET,
        path,
        rule,
        form: Form::File,
    }
}

const fn library(method: Method, path: &'static str, rule: Rule) -> Row {
    Row {
        method,
        path,
        rule,
        form: Form::Library,
    }
}

const fn registry(method: Method, path: &'static str, rule: Rule) -> Row {
    Row {
        method,
        path,
        rule,
        form: Form::Registry,
    }
}

const GET: Method = Method::GET;
const POST: Method = Method::POST;
const PUT: Method = Method::PUT;
const PATCH: Method = Method::PATCH;
const DELETE: Method = Method::DELETE;

/// The usual rules, by the collection's name in the path.
const READ: Rule = on(Place::Path, Action::Read);
const PUSH: Rule = on(Place::Path, Action::Push);
const BUILD: Rule = on(Place::Path, Action::Build);
const MANAGE: Rule = on(Place::Path, Action::Manage);

/// All routes.
pub(super) const TABLE: &[Row] = &[
    // --- pages
    page(GET, "/", Rule::Lists),
    page(GET, "/api", Rule::Everybody),
    page(GET, "/queue", Rule::Lists),
    page(GET, "/login", Rule::Everybody),
    page(POST, "/login", Rule::Everybody),
    page(POST, "/logout", Rule::Everybody),
    page(GET, "/static/{file}", Rule::Free),
    page(GET, "/favicon.ico", Rule::Free),
    page(GET, "/{owner}/{repository}", READ),
    page(GET, "/{owner}/{repository}/images/{digest}", READ),
    page(POST, "/{owner}/{repository}/images/{digest}/link", READ),
    page(GET, "/{owner}/{repository}/tags/{tag}", READ),
    page(GET, "/{owner}/{repository}/deliveries", READ),
    page(GET, "/deliveries/{id}", on(Place::Delivery, Read)),
    page(GET, "/builds/{id}", on(Place::Build, Read)),
    page(POST, "/{owner}/{repository}/build", BUILD),
    page(POST, "/{owner}/{repository}/remove", MANAGE),
    page(POST, "/builds/{id}/cancel", on(Place::Build, Build)),
    page(POST, "/deliveries/{id}/replay", on(Place::Delivery, Build)),
    page(GET, "/{owner}/{repository}/settings", MANAGE),
    page(POST, "/{owner}/{repository}/settings", MANAGE),
    page(POST, "/{owner}/{repository}/settings/secret", MANAGE),
    page(POST, "/{owner}/{repository}/settings/accounts", MANAGE),
    page(
        POST,
        "/{owner}/{repository}/settings/accounts/remove",
        MANAGE,
    ),
    page(POST, "/{owner}/{repository}/settings/checks", MANAGE),
    page(GET, "/{owner}/{repository}/settings/checks/{id}", MANAGE),
    // --- accounts
    page(GET, "/auth/tokens", Rule::Account),
    page(POST, "/auth/tokens", Rule::Account),
    page(POST, "/auth/tokens/revoke", Rule::Account),
    page(POST, "/auth/sessions/revoke", Rule::Account),
    page(POST, "/auth/password", Rule::Account),
    page(GET, "/auth/sign-in/{provider}", Rule::Everybody),
    // Its handler asks for what the browser was sent away with.
    page(GET, "/auth/callback/{provider}", Rule::Everybody),
    page(POST, "/auth/identities", Rule::Account),
    page(POST, "/auth/identities/remove", Rule::Account),
    page(GET, "/auth/invitation", Rule::Everybody),
    page(POST, "/auth/invitation", Rule::Everybody),
    page(GET, "/auth/users", Rule::Hub),
    page(POST, "/auth/users", Rule::Hub),
    page(POST, "/auth/users/change", Rule::Hub),
    page(POST, "/auth/users/invite", Rule::Hub),
    page(POST, "/auth/teams", Rule::Hub),
    page(POST, "/auth/teams/change", Rule::Hub),
    page(POST, "/{owner}/{repository}/settings/visibility", MANAGE),
    page(POST, "/{owner}/{repository}/settings/members", MANAGE),
    page(
        POST,
        "/{owner}/{repository}/settings/members/remove",
        MANAGE,
    ),
    // --- what pages and the command line follow
    api(GET, "/builds/{id}/events", on(Place::Build, Read)),
    api(GET, "/builds/{id}/log", on(Place::Build, Read)),
    // --- the command line
    api(GET, "/api/collections", Rule::Lists),
    api(POST, "/api/collections", Rule::Hub),
    api(GET, "/api/collections/{owner}/{repository}", READ),
    api(PATCH, "/api/collections/{owner}/{repository}", MANAGE),
    api(DELETE, "/api/collections/{owner}/{repository}", MANAGE),
    api(
        GET,
        "/api/collections/{owner}/{repository}/credentials",
        MANAGE,
    ),
    api(
        POST,
        "/api/collections/{owner}/{repository}/credentials",
        MANAGE,
    ),
    api(
        DELETE,
        "/api/collections/{owner}/{repository}/credentials/{registry}",
        MANAGE,
    ),
    api(POST, "/api/collections/{owner}/{repository}/builds", BUILD),
    api(POST, "/api/collections/{owner}/{repository}/checks", MANAGE),
    api(
        GET,
        "/api/collections/{owner}/{repository}/checks/{id}",
        MANAGE,
    ),
    api(POST, "/api/collections/{owner}/{repository}/links", READ),
    api(GET, "/api/collections/{owner}/{repository}/checks", MANAGE),
    api(POST, "/api/collections/{owner}/{repository}/secret", MANAGE),
    api(GET, "/api/collections/{owner}/{repository}/images", READ),
    api(
        GET,
        "/api/collections/{owner}/{repository}/images/{digest}",
        READ,
    ),
    api(GET, "/api/collections/{owner}/{repository}/tags", READ),
    api(
        GET,
        "/api/collections/{owner}/{repository}/tags/{tag}",
        READ,
    ),
    api(
        GET,
        "/api/collections/{owner}/{repository}/deliveries",
        READ,
    ),
    api(GET, "/api/builds", Rule::Lists),
    api(GET, "/api/builds/{id}", on(Place::Build, Read)),
    api(POST, "/api/builds/{id}/cancel", on(Place::Build, Build)),
    api(GET, "/api/builds/{id}/log", on(Place::Build, Read)),
    api(GET, "/api/builds/{id}/phases", on(Place::Build, Read)),
    api(GET, "/api/builds/{id}/recipe", on(Place::Build, Read)),
    api(POST, "/api/builds/{id}/rebuild", on(Place::Build, Build)),
    api(GET, "/api/openapi.json", Rule::Everybody),
    api(GET, "/api/account", Rule::Known),
    api(GET, "/api/tokens", Rule::Account),
    api(POST, "/api/tokens", Rule::Account),
    api(DELETE, "/api/tokens/{id}", Rule::Account),
    api(GET, "/api/sessions", Rule::Account),
    api(DELETE, "/api/sessions/{id}", Rule::Account),
    api(GET, "/api/identities", Rule::Account),
    api(DELETE, "/api/identities/{id}", Rule::Account),
    api(GET, "/api/users", Rule::Hub),
    api(POST, "/api/users", Rule::Hub),
    api(PATCH, "/api/users/{name}", Rule::Hub),
    api(POST, "/api/users/{name}/invitation", Rule::Hub),
    api(GET, "/api/teams", Rule::Hub),
    api(POST, "/api/teams", Rule::Hub),
    api(DELETE, "/api/teams/{name}", Rule::Hub),
    api(PUT, "/api/teams/{name}/members/{user}", Rule::Hub),
    api(DELETE, "/api/teams/{name}/members/{user}", Rule::Hub),
    api(GET, "/api/collections/{owner}/{repository}/members", MANAGE),
    api(PUT, "/api/collections/{owner}/{repository}/members", MANAGE),
    api(
        DELETE,
        "/api/collections/{owner}/{repository}/members/{kind}/{name}",
        MANAGE,
    ),
    api(GET, "/api/workers", Rule::Hub),
    api(POST, "/api/workers", Rule::Hub),
    api(GET, "/api/store", Rule::Hub),
    api(POST, "/api/store/clean", Rule::Hub),
    api(POST, "/api/store/check", Rule::Hub),
    api(GET, "/api/keys", Rule::Hub),
    api(POST, "/api/keys/rotate", Rule::Hub),
    api(DELETE, "/api/keys/{fingerprint}", Rule::Hub),
    api(
        POST,
        "/api/deliveries/{id}/replay",
        on(Place::Delivery, Build),
    ),
    // --- pulls
    file("/{owner}/{repository}/{file}", Rule::File),
    file("/api/container/{owner}/{reference}", on(Place::Shub, Read)),
    library(GET, "/assets/config/config.prod.json", Rule::Everybody),
    library(GET, "/version", Rule::Everybody),
    library(GET, "/v1/rbac/users/current", Rule::Known),
    Row {
        method: GET,
        path: "/v1/token-status",
        rule: Rule::Known,
        form: Form::TokenStatus,
    },
    library(GET, "/v1/images/{*container}", on(Place::Container, Read)),
    library(
        GET,
        "/v1/imagefile/{*container}",
        on(Place::Container, Read),
    ),
    library(GET, "/v1/search", Rule::Lists),
    // --- keys
    library(GET, "/pks/lookup", Rule::Strangers),
    library(POST, "/pks/add", Rule::Known),
    registry(GET, "/v2/", Rule::Everybody),
    registry(GET, "/v2", Rule::Everybody),
    registry(GET, "/v2/token", Rule::Everybody),
    registry(GET, "/v2/_catalog", Rule::Lists),
    registry(GET, "/v2/{owner}/{repository}/manifests/{reference}", READ),
    registry(GET, "/v2/{owner}/{repository}/blobs/{digest}", READ),
    registry(GET, "/v2/{owner}/{repository}/tags/list", READ),
    registry(GET, "/v2/{owner}/{repository}/referrers/{digest}", READ),
    // --- pushes
    library(POST, "/v1/entities", Rule::Known),
    library(GET, "/v1/entities/{owner}", Rule::Lists),
    library(POST, "/v1/collections", Rule::Known),
    library(GET, "/v1/collections/{owner}/{repository}", READ),
    library(POST, "/v1/containers", Rule::Known),
    library(GET, "/v1/containers/{owner}/{repository}/{name}", READ),
    // Its handler looks for the collection that the body names, and asks who may push to it.
    library(POST, "/v1/images", Rule::Known),
    library(
        DELETE,
        "/v1/images/{*container}",
        on(Place::Container, Manage),
    ),
    // Its handler looks for what is being sent, whose id is in place of the container.
    library(POST, "/v1/imagefile/{*container}", Rule::Known),
    library(POST, "/v2/imagefile/{id}", on(Place::Push, Push)),
    library(PUT, "/v2/imagefile/{id}/bytes", Rule::OwnProof),
    library(PUT, "/v2/imagefile/{id}/_complete", on(Place::Push, Push)),
    library(POST, "/v2/imagefile/{id}/_multipart", on(Place::Push, Push)),
    library(PUT, "/v2/imagefile/{id}/_multipart", on(Place::Push, Push)),
    library(
        PUT,
        "/v2/imagefile/{id}/_multipart_complete",
        on(Place::Push, Push),
    ),
    library(
        PUT,
        "/v2/imagefile/{id}/_multipart_abort",
        on(Place::Push, Push),
    ),
    library(GET, "/v1/tags/{id}", on(Place::Collection, Read)),
    library(POST, "/v1/tags/{id}", on(Place::Collection, Push)),
    library(GET, "/v2/tags/{id}", on(Place::Collection, Read)),
    library(POST, "/v2/tags/{id}", on(Place::Collection, Push)),
    registry(PUT, "/v2/{owner}/{repository}/manifests/{reference}", PUSH),
    registry(
        DELETE,
        "/v2/{owner}/{repository}/manifests/{reference}",
        MANAGE,
    ),
    registry(DELETE, "/v2/{owner}/{repository}/blobs/{digest}", MANAGE),
    registry(POST, "/v2/{owner}/{repository}/blobs/uploads", PUSH),
    registry(POST, "/v2/{owner}/{repository}/blobs/uploads/", PUSH),
    registry(GET, "/v2/{owner}/{repository}/blobs/uploads/{id}", PUSH),
    registry(PATCH, "/v2/{owner}/{repository}/blobs/uploads/{id}", PUSH),
    registry(PUT, "/v2/{owner}/{repository}/blobs/uploads/{id}", PUSH),
    registry(DELETE, "/v2/{owner}/{repository}/blobs/uploads/{id}", PUSH),
    // --- remote builds; the handlers ask for the scope build, and who may build where
    library(POST, "/v1/build", Rule::Known),
    library(GET, "/v1/build/{id}", on(Place::Build, Read)),
    library(PUT, "/v1/build/{id}/_cancel", on(Place::Build, Build)),
    library(GET, "/v1/build-ws/{id}", on(Place::Build, Read)),
    library(POST, "/v1/build-context", Rule::Known),
    library(PUT, "/v1/build-context/{digest}", Rule::OwnProof),
    library(DELETE, "/v1/build-context/{digest}", Rule::Known),
    // --- machines
    api(GET, "/healthz", Rule::Free),
    api(POST, "/webhooks/github", Rule::OwnProof),
    api(POST, "/worker/claim", Rule::OwnProof),
    api(PUT, "/worker/checks/{id}/steps", Rule::OwnProof),
    api(
        POST,
        "/worker/builds/{id}/{attempt}/heartbeat",
        Rule::OwnProof,
    ),
    api(
        PUT,
        "/worker/builds/{id}/{attempt}/log/{number}",
        Rule::OwnProof,
    ),
    api(POST, "/worker/builds/{id}/{attempt}/phases", Rule::OwnProof),
    api(
        PUT,
        "/worker/builds/{id}/{attempt}/diagnostics",
        Rule::OwnProof,
    ),
    api(GET, "/worker/builds/{id}/{attempt}/context", Rule::OwnProof),
    api(
        POST,
        "/worker/builds/{id}/{attempt}/objects",
        Rule::OwnProof,
    ),
    api(
        PUT,
        "/worker/builds/{id}/{attempt}/objects/{digest}",
        Rule::OwnProof,
    ),
    api(POST, "/worker/builds/{id}/{attempt}/finish", Rule::OwnProof),
    api(
        POST,
        "/worker/builds/{id}/{attempt}/release",
        Rule::OwnProof,
    ),
];
