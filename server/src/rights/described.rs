//! What does a route need, for people?

use axum::http::{Method, StatusCode};

use super::Action;
use super::table::{self, Rule};

/// What a route needs, and how those who lack it are refused.
#[derive(Debug)]
pub(crate) struct Needs {
    /// Who is let through.
    pub(crate) who: String,
    /// Whether somebody without an account may be.
    pub(crate) anonymous: bool,
    /// What others are answered.
    pub(crate) refusals: &'static [StatusCode],
}

/// What a route of the table needs.
pub(crate) fn needs(method: &Method, path: &str) -> Option<Needs> {
    const TOO_OFTEN: &[StatusCode] = &[StatusCode::TOO_MANY_REQUESTS];
    const BAD_TOKEN: &[StatusCode] = &[StatusCode::UNAUTHORIZED, StatusCode::TOO_MANY_REQUESTS];
    const UNSEEN: &[StatusCode] = &[
        StatusCode::UNAUTHORIZED,
        StatusCode::NOT_FOUND,
        StatusCode::TOO_MANY_REQUESTS,
    ];
    const REFUSED: &[StatusCode] = &[
        StatusCode::UNAUTHORIZED,
        StatusCode::FORBIDDEN,
        StatusCode::TOO_MANY_REQUESTS,
    ];
    const ALL: &[StatusCode] = &[
        StatusCode::UNAUTHORIZED,
        StatusCode::FORBIDDEN,
        StatusCode::NOT_FOUND,
        StatusCode::TOO_MANY_REQUESTS,
    ];
    let (who, anonymous, refusals) = match table::find(method, path).ok()?.rule {
        Rule::Everybody | Rule::Free | Rule::OwnProof => ("everybody".to_owned(), true, BAD_TOKEN),
        Rule::Strangers => (
            "everybody, whatever token they show".to_owned(),
            true,
            TOO_OFTEN,
        ),
        Rule::Lists => (
            "everybody; it shows what the caller may see".to_owned(),
            true,
            BAD_TOKEN,
        ),
        Rule::Collection(_, Action::Read) => {
            ("whoever may see the collection".to_owned(), true, UNSEEN)
        }
        Rule::File => (
            "whoever may see the collection or has a link to the file".to_owned(),
            true,
            UNSEEN,
        ),
        Rule::Collection(_, action) => (of_collection(action), false, ALL),
        Rule::Known => ("every account".to_owned(), false, BAD_TOKEN),
        Rule::Account => (
            "every account, by a session or a token with the scope admin".to_owned(),
            false,
            REFUSED,
        ),
        Rule::Hub => (
            "administrators, by a session or a token with the scope admin".to_owned(),
            false,
            REFUSED,
        ),
    };
    Some(Needs {
        who,
        anonymous,
        refusals,
    })
}

fn of_collection(action: Action) -> String {
    let role = action.needs();
    let article = if role.as_str().starts_with('o') {
        "an"
    } else {
        "a"
    };
    match action.scope() {
        Some(scope) => format!(
            "{article} {role} of the collection, by a session or a token with the scope {scope}"
        ),
        None => format!("{article} {role} of the collection"),
    }
}

/// The calls of the JSON API in the table.
#[cfg(test)]
pub(crate) fn calls() -> impl Iterator<Item = (&'static Method, &'static str)> {
    table::TABLE
        .iter()
        .filter(|row| row.path.starts_with("/api/"))
        .filter(|row| !matches!(row.rule, Rule::Collection(table::Place::Shub, _)))
        .map(|row| (&row.method, row.path))
}
