//! Who sees a collection, and who has which role in it: the part of its settings about people.

use axum::Form;
use axum::extract::State;
use axum::response::{IntoResponse as _, Redirect, Response};
use cooperage_protocol::accounts::{Member, Who};
use cooperage_protocol::admin::CollectionChange;
use cooperage_protocol::{AccountName, CollectionName, Role, Visibility};
use serde::Deserialize;

use super::settings::{self, Named, Said};
use crate::accounts;
use crate::error::Error;
use crate::rights::Visit;
use crate::state::Hub;

#[derive(Deserialize)]
pub(super) struct ShownTo {
    visibility: Visibility,
}

pub(super) async fn show_to(
    Named(name): Named,
    State(hub): State<Hub>,
    Form(form): Form<ShownTo>,
) -> Result<Redirect, Error> {
    let change = CollectionChange {
        visibility: Some(form.visibility),
        ..CollectionChange::default()
    };
    crate::change_collection(&hub, &name, &change).await?;
    Ok(to_people(&name))
}

#[derive(Deserialize)]
pub(super) struct Given {
    kind: String,
    name: String,
    role: Role,
}

pub(super) async fn put(
    Named(name): Named,
    State(hub): State<Hub>,
    visit: Visit,
    Form(form): Form<Given>,
) -> Result<Response, Error> {
    let put = match who(&form.kind, &form.name) {
        Ok(who) => {
            let member = Member {
                who,
                role: form.role,
            };
            accounts::put_member(&hub, &name, &member).await
        }
        Err(error) => Err(error),
    };
    match put {
        Err(Error::Unprocessable(told)) => {
            let said = Said {
                member_refused: Some(told),
                ..Said::default()
            };
            settings::refused(&hub, &visit, &name, said).await
        }
        put => put.map(|()| to_people(&name).into_response()),
    }
}

#[derive(Deserialize)]
pub(super) struct Taken {
    kind: String,
    name: String,
}

pub(super) async fn remove(
    Named(name): Named,
    State(hub): State<Hub>,
    Form(form): Form<Taken>,
) -> Result<Redirect, Error> {
    accounts::remove_member(&hub, &name, &who(&form.kind, &form.name)?).await?;
    Ok(to_people(&name))
}

fn who(kind: &str, name: &str) -> Result<Who, Error> {
    let name: AccountName = name
        .trim()
        .parse()
        .map_err(|error| Error::Unprocessable(format!("{error}")))?;
    Who::of(kind, name)
        .ok_or_else(|| Error::Unprocessable(format!("{kind:?} is neither user nor team")))
}

fn to_people(name: &CollectionName) -> Redirect {
    Redirect::to(&format!("/{name}/settings#people"))
}
