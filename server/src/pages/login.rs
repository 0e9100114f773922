//! The login.

use askama::Template;
use askama_web::WebTemplate;

use super::{Layout, format};
use crate::rights::Visit;

/// Asks for name and password.
#[derive(Template, WebTemplate)]
#[template(path = "login.html")]
pub(crate) struct LoginPage {
    layout: Layout,
    refusal: &'static str,
    /// The page to go on with.
    next: String,
}

impl LoginPage {
    /// Asks, and says why the last answer was not taken.
    pub(crate) fn ask(visit: &Visit, refusal: &'static str, next: String) -> Self {
        Self {
            layout: Layout::new(visit, "login"),
            refusal,
            next,
        }
    }
}
