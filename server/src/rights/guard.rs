//! Stands before every route: who asks, what about, and may they?

use axum::extract::{FromRequestParts, MatchedPath, Query, RawPathParams, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use cooperage_protocol::{CollectionName, Scope, Visibility};

use super::refusal::{Asked, Refusal};
use super::table::{self, Place, Row, Rule};
use super::{Action, Caller, Collection, Person, link, may};
use crate::answers::Asked as Question;
use crate::clients::{self, Client};
use crate::db::rights;
use crate::downloads::Served;
use crate::error::Error;
use crate::routes;
use crate::state::Hub;

/// Who asks about what: a handler that has one was let through.
#[derive(Debug, Clone)]
pub(crate) struct Visit {
    /// Who asks.
    pub(crate) caller: Caller,
    /// The collection that it is about, where the route's rule names one.
    pub(crate) collection: Option<Collection>,
}

impl Visit {
    /// The visit of somebody to no collection.
    pub(crate) async fn of(headers: &HeaderMap, hub: &Hub) -> Result<Self, Error> {
        let caller = Caller::of(headers, hub).await?;
        Ok(Self {
            caller,
            collection: None,
        })
    }

    /// The caller's account, on a route whose rule asks for one.
    pub(crate) fn person(&self) -> Result<&Person, Error> {
        let person = self.caller.person();
        person.ok_or(Error::Unauthorized("this needs an account: log in"))
    }

    /// Whether the caller may do this too, to the collection of the visit.
    pub(crate) fn may(&self, action: Action) -> bool {
        let collection = self.collection.as_ref();
        collection.is_some_and(|collection| may(&self.caller, action, collection))
    }
}

impl FromRequestParts<Hub> for Visit {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &Hub) -> Result<Self, Error> {
        let visit = parts.extensions.get::<Self>().cloned();
        visit.ok_or_else(|| Error::Internal(anyhow::anyhow!("a handler without a guard")))
    }
}

/// Lets a request through to its handler when the rule of its route says so.
///
/// # Security
///
/// A route that has no rule is not served.
pub(crate) async fn guard(
    State(hub): State<Hub>,
    path: Option<MatchedPath>,
    request: Request,
    next: Next,
) -> Response {
    let Some(path) = path else {
        return next.run(request).await;
    };
    let row = match table::find(request.method(), path.as_str()) {
        Ok(row) => row,
        Err(methods) => return without_rule(path.as_str(), &methods),
    };
    if row.rule == Rule::OwnProof {
        let answer = next.run(request).await;
        hub.answers.forget();
        return answer;
    }
    let (mut parts, body) = request.into_parts();
    let question = Question::by(&parts).filter(|_| row.rule != Rule::Free);
    if let Some(question) = &question
        && let Some(answer) = hub.answers.find(question)
        && hub.rates.take(client(&hub, &parts, None)).is_ok()
    {
        return answer;
    }
    let (begun, changes) = (hub.answers.now(), !parts.method.is_safe());
    let params = Params(
        RawPathParams::from_request_parts(&mut parts, &())
            .await
            .ok(),
    );
    let mut asked = Asked {
        is_anonymous: false,
        page: (parts.method == Method::GET).then(|| parts.uri.path().to_owned()),
        scope: params.registry_scope(row.rule),
    };
    let answered = match admit(&hub, row, &parts, &params, &mut asked).await {
        Ok((visit, client)) => {
            let collection = visit.collection.clone();
            let is_download = parts.method == Method::GET;
            parts.extensions.insert(visit);
            let response = next.run(Request::from_parts(parts, body)).await;
            match collection {
                Some(collection) if is_download => let_out(&hub, client, &collection, response),
                Some(collection) => Ok(keep_from_caches(&collection, response)),
                None => Ok(response),
            }
        }
        Err(refusal) => Err(refusal),
    };
    if changes {
        hub.answers.forget();
    }
    let answer = answered.unwrap_or_else(|refusal| refusal.answer(&hub, row.form, &asked));
    match question {
        Some(question) => hub.answers.keep(question, begun, answer).await,
        None => answer,
    }
}

/// Counts what is downloaded.
fn let_out(
    hub: &Hub,
    client: Client,
    collection: &Collection,
    response: Response,
) -> Result<Response, Refusal> {
    let response = keep_from_caches(collection, response);
    let Some(served) = response.extensions().get::<Served>().copied() else {
        return Ok(response);
    };
    let payers = (client, collection.id);
    let response = hub.downloads.charge(payers, served, response)?;
    hub.pulls.count(collection.id, served);
    Ok(response)
}

fn without_rule(path: &str, methods: &[&Method]) -> Response {
    if methods.is_empty() {
        let message = format!("{path} is in no row of server/src/rights/table.rs");
        return Error::Internal(anyhow::anyhow!(message)).into_response();
    }
    let mut allowed: Vec<&str> = methods.iter().map(|method| method.as_str()).collect();
    if allowed.contains(&"GET") {
        allowed.push("HEAD");
    }
    (
        StatusCode::METHOD_NOT_ALLOWED,
        [(header::ALLOW, allowed.join(","))],
    )
        .into_response()
}

async fn admit(
    hub: &Hub,
    row: &Row,
    parts: &Parts,
    params: &Params,
    asked: &mut Asked,
) -> Result<(Visit, Client), Refusal> {
    let visit = Visit::of(&parts.headers, hub).await;
    let client = client(hub, parts, visit.as_ref().ok());
    if row.rule != Rule::Free {
        hub.rates.take(client)?;
    }
    let mut visit = match visit {
        Err(Error::Unauthorized(_)) if row.rule == Rule::Strangers => Visit {
            caller: Caller::Anonymous,
            collection: None,
        },
        known => known?,
    };
    asked.is_anonymous = visit.caller == Caller::Anonymous;
    match row.rule {
        Rule::Everybody | Rule::Strangers | Rule::Free | Rule::Lists | Rule::OwnProof => {}
        Rule::Known => drop(known(&visit.caller)?),
        Rule::Account => account_is_run_by(&visit.caller)?,
        Rule::Hub => hub_is_run_by(&visit.caller)?,
        Rule::File => visit.collection = Some(find_file(hub, parts, params, &visit.caller).await?),
        Rule::Collection(place, action) => {
            let collection = find(hub, place, params, &visit.caller).await?;
            visit.collection = Some(collection);
            if !visit.may(action) {
                return Err(refuse(&visit.caller, action));
            }
        }
    }
    Ok((visit, client))
}

/// Whom a request is counted for. A token that is not good is nobody's.
fn client(hub: &Hub, parts: &Parts, visit: Option<&Visit>) -> Client {
    match visit.and_then(|visit| visit.caller.person()) {
        Some(person) => Client::Account(person.id),
        None => Client::at(clients::address_of(
            &hub.config.trusted_proxies,
            &parts.headers,
            &parts.extensions,
        )),
    }
}

fn known(caller: &Caller) -> Result<&Person, Refusal> {
    caller.person().ok_or(Refusal::Anonymous)
}

fn account_is_run_by(caller: &Caller) -> Result<(), Refusal> {
    if known(caller)?.has(Scope::Admin) {
        return Ok(());
    }
    Err(Refusal::Forbidden(
        "a token changes its account only when it has the scope admin",
    ))
}

fn hub_is_run_by(caller: &Caller) -> Result<(), Refusal> {
    if known(caller)?.runs_the_hub() {
        return Ok(());
    }
    Err(Refusal::Forbidden(
        "this is for an administrator, whose token needs the scope admin",
    ))
}

fn refuse(caller: &Caller, action: Action) -> Refusal {
    if *caller == Caller::Anonymous {
        return Refusal::Anonymous;
    }
    Refusal::Forbidden(action.refusal())
}

/// The collection that a request is about. One that the caller may not see is looked for, and
/// missed, in the same way as one that is not there.
async fn find(
    hub: &Hub,
    place: Place,
    params: &Params,
    caller: &Caller,
) -> Result<Collection, Refusal> {
    let (found, missing) = look_up(hub, place, params, caller).await?;
    found
        .filter(|collection| may(caller, Action::Read, collection))
        .ok_or(Refusal::Missing(missing))
}

/// The same for a file, which a link may be to.
async fn find_file(
    hub: &Hub,
    parts: &Parts,
    params: &Params,
    caller: &Caller,
) -> Result<Collection, Refusal> {
    let (found, missing) = look_up(hub, Place::Path, params, caller).await?;
    let collection = found.ok_or_else(|| Refusal::Missing(missing.clone()))?;
    if may(caller, Action::Read, &collection) {
        return Ok(collection);
    }
    if let Ok(Query(link)) = Query::<link::Query>::try_from_uri(&parts.uri)
        && link::is_good(hub, &link, &collection, params.get("file")).await?
    {
        return Ok(collection);
    }
    Err(Refusal::Missing(missing))
}

async fn look_up(
    hub: &Hub,
    place: Place,
    params: &Params,
    caller: &Caller,
) -> Result<(Option<Collection>, String), Refusal> {
    let person = caller.person().map(|person| person.id);
    Ok(match place {
        Place::Path | Place::Shub | Place::Container => {
            let name = params.collection(place)?;
            let missing = format!("there is no collection {name}");
            (
                rights::of_collection(&hub.db, &name, person).await?,
                missing,
            )
        }
        Place::Build => {
            let id = params.get("id");
            let missing = format!("there is no build {id}");
            let Ok(id) = id.parse() else {
                return Err(Refusal::Missing(missing));
            };
            (rights::of_build(&hub.db, id, person).await?, missing)
        }
        Place::Delivery => {
            let id = params.get("id");
            let missing = format!("there is no delivery {id}");
            let Ok(id) = id.parse() else {
                return Err(Refusal::Missing(missing));
            };
            (rights::of_delivery(&hub.db, id, person).await?, missing)
        }
        Place::Collection => {
            let id = params.get("id");
            let missing = format!("there is no container {id}");
            let Ok(id) = id.parse() else {
                return Err(Refusal::Missing(missing));
            };
            (rights::of_id(&hub.db, id, person).await?, missing)
        }
        Place::Push => {
            let id = params.get("id");
            let missing = format!("there is no image {id} that is being sent");
            let Ok(id) = id.parse() else {
                return Err(Refusal::Missing(missing));
            };
            (rights::of_push(&hub.db, id, person).await?, missing)
        }
    })
}

/// What the path of a request says.
struct Params(Option<RawPathParams>);

impl Params {
    fn get(&self, wanted: &str) -> &str {
        let mut params = self.0.iter().flatten();
        let found = params.find(|(name, _)| *name == wanted);
        found.map_or("", |(_, value)| value)
    }

    fn collection(&self, place: Place) -> Result<CollectionName, Refusal> {
        let name = match place {
            Place::Shub => routes::shub_collection(self.get("owner"), self.get("reference")),
            Place::Container => routes::library_collection(self.get("container")),
            _ => routes::parse_collection(self.get("owner"), self.get("repository")),
        };
        name.map_err(|error| match error {
            Error::NotFound(what) => Refusal::Missing(what),
            other => Refusal::Other(other),
        })
    }

    fn registry_scope(&self, rule: Rule) -> Option<String> {
        let name = self.collection(Place::Path).ok()?;
        let actions = match rule {
            Rule::Collection(_, Action::Push) => "pull,push",
            Rule::Collection(_, Action::Manage) => "pull,push,delete",
            _ => "pull",
        };
        Some(format!("repository:{name}:{actions}").to_lowercase())
    }
}

/// Lets no cache that several people share keep what not everybody may see.
fn keep_from_caches(collection: &Collection, mut response: Response) -> Response {
    if collection.visibility == Visibility::Public {
        return response;
    }
    let headers = response.headers_mut();
    let kept = headers.get(header::CACHE_CONTROL);
    if kept.is_none_or(|kept| kept != "no-store") {
        headers.insert(
            header::CACHE_CONTROL,
            HeaderValue::from_static("private, no-cache"),
        );
    }
    headers.append(
        header::VARY,
        HeaderValue::from_static("authorization, cookie"),
    );
    response
}
