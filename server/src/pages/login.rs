//! The login.

use askama::Template;
use askama_web::WebTemplate;

use super::{Layout, format};
use crate::rights::Visit;
use crate::sign_in::Provider;
use crate::state::Hub;

/// Asks for name and password, or sends to a provider.
#[derive(Template, WebTemplate)]
#[template(path = "login.html")]
pub(crate) struct LoginPage {
    layout: Layout,
    refusal: String,
    providers: Vec<Button>,
    /// The page to go on with.
    next: String,
}

/// A provider that one can sign in with.
pub(super) struct Button {
    pub(super) id: String,
    pub(super) name: String,
}

/// The providers of the hub, in order.
pub(super) fn buttons(hub: &Hub) -> Vec<Button> {
    let button = |provider: &Provider| Button {
        id: provider.id().to_owned(),
        name: provider.name().to_owned(),
    };
    hub.providers.iter().map(button).collect()
}

impl LoginPage {
    /// Asks, and says why the last answer was not taken.
    pub(crate) fn ask(hub: &Hub, visit: &Visit, refusal: &str, next: String) -> Self {
        Self {
            providers: buttons(hub),
            layout: Layout::new(visit, "login"),
            refusal: refusal.to_owned(),
            next,
        }
    }
}
