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

use super::login::{self, Button};
use super::{Layout, format, sign_in};
use crate::error::Error;
use crate::rights::Visit;
use crate::routes::{At, keep_session};
use crate::sign_in::Purpose;
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
    providers: Vec<Button>,
}

async fn show(visit: Visit, State(hub): State<Hub>) -> InvitationPage {
    InvitationPage {
        providers: login::buttons(&hub),
        layout: Layout::new(&visit, ""),
        refusal: None,
        code: String::new(),
    }
}

#[derive(Deserialize)]
struct Taken {
    code: String,
    password: Password,
    /// Whom to sign in with, in place of a password.
    provider: Option<String>,
}

async fn take(
    visit: Visit,
    At(place): At,
    State(hub): State<Hub>,
    Form(form): Form<Taken>,
) -> Result<Response, Error> {
    if let Some(provider) = form.provider {
        let purpose = Purpose::Invitation(form.code);
        return sign_in::go_on(&hub, &visit, (&provider, purpose), &place).await;
    }
    match accounts::take_invitation(&hub, &form.code, form.password).await {
        Ok(user) => {
            let token = auth::begin_session(&hub, user, &place).await?;
            Ok((keep_session(&hub, &token), Redirect::to("/")).into_response())
        }
        Err(Error::Unprocessable(told)) => {
            let page = InvitationPage {
                providers: login::buttons(&hub),
                layout: Layout::new(&visit, ""),
                refusal: Some(told),
                code: form.code,
            };
            Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
        }
        Err(error) => Err(error),
    }
}
