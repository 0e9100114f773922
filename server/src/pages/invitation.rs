//! Where somebody who was invited sets a password.

use askama::Template;
use askama_web::WebTemplate;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;
use axum::{Form, Router};
use cooperage_protocol::Password;
use serde::Deserialize;

use super::{Layout, format};
use crate::error::Error;
use crate::rights::Visit;
use crate::routes::{At, keep_session};
use crate::state::Hub;
use crate::{accounts, auth};

/// The route of invitations.
pub(super) fn router() -> Router<Hub> {
    Router::new().route("/auth/invitation", get(show).post(take))
}

#[derive(Template, WebTemplate)]
#[template(path = "invitation.html")]
struct InvitationPage {
    layout: Layout,
    refusal: Option<String>,
    code: String,
}

async fn show(visit: Visit) -> InvitationPage {
    InvitationPage {
        layout: Layout::new(&visit, ""),
        refusal: None,
        code: String::new(),
    }
}

#[derive(Deserialize)]
struct Taken {
    code: String,
    password: Password,
}

async fn take(
    visit: Visit,
    At(place): At,
    State(hub): State<Hub>,
    Form(form): Form<Taken>,
) -> Result<Response, Error> {
    match accounts::take_invitation(&hub, &form.code, form.password).await {
        Ok(user) => {
            let token = auth::begin_session(&hub, user, &place).await?;
            Ok((keep_session(&hub, &token), Redirect::to("/")).into_response())
        }
        Err(Error::Unprocessable(told)) => {
            let page = InvitationPage {
                layout: Layout::new(&visit, ""),
                refusal: Some(told),
                code: form.code,
            };
            Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
        }
        Err(error) => Err(error),
    }
}
