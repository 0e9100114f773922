//! What a request can be refused for, and how that is told: problem+json, or a page for browsers.

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use cooperage_protocol::admin::Problem;
use sqlx::error::DatabaseError;

use crate::scan::fetch::FetchError;

/// What Postgres says of text that UTF-8 has and it has not: our text is UTF-8, so it is a zero byte.
const ZERO_IN_TEXT: &str = "22021";

/// Why a request is refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The thing asked for does not exist, or the caller may not know that it does.
    #[error("{0}")]
    NotFound(String),
    /// The request is malformed.
    #[error("{0}")]
    BadRequest(String),
    /// No credentials, or wrong ones.
    #[error("{0}")]
    Unauthorized(&'static str),
    /// The caller is known, and may not.
    #[error("{0}")]
    Forbidden(&'static str),
    /// The request contradicts what is there.
    #[error("{0}")]
    Conflict(String),
    /// The body is larger than allowed.
    #[error("{0}")]
    TooLarge(String),
    /// The request is well-formed but its content is not what it says it is.
    #[error("{0}")]
    Unprocessable(String),
    /// A part of an object does not begin where the part before it ended.
    #[error("the part begins at {offset}, but {length} bytes of the object are here")]
    WrongOffset {
        /// Where the part begins.
        offset: u64,
        /// How many bytes are here.
        length: u64,
    },
    /// The client asked for more than it may in a while.
    #[error("{told}")]
    TooMany {
        /// What was too much.
        told: String,
        /// After how many seconds it may ask again.
        seconds: u64,
    },
    /// There is no room for what was sent.
    #[error("{0}")]
    NoSpace(&'static str),
    /// Somebody we depend on does not answer now; asking again later makes sense.
    #[error("{0}")]
    Unavailable(String),
    /// Our fault: logged here, never sent.
    #[error("internal error")]
    Internal(#[from] anyhow::Error),
}

impl Error {
    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::Unauthorized(_) => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Unprocessable(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::WrongOffset { .. } => StatusCode::RANGE_NOT_SATISFIABLE,
            Self::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::NoSpace(_) => StatusCode::INSUFFICIENT_STORAGE,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The header that says when to ask again, where that helps.
    pub(crate) fn retry_after(&self) -> Option<[(HeaderName, HeaderValue); 1]> {
        match self {
            Self::TooMany { seconds, .. } => Some([(header::RETRY_AFTER, (*seconds).into())]),
            _ => None,
        }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(DatabaseError::code);
        if code.as_deref() == Some(ZERO_IN_TEXT) {
            return Self::BadRequest(
                "text with a zero byte cannot be kept: leave it out".to_owned(),
            );
        }
        Self::Internal(error.into())
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self::Internal(error.into())
    }
}

impl From<FetchError> for Error {
    fn from(error: FetchError) -> Self {
        match error {
            FetchError::Internal(source) => Self::Internal(source),
            FetchError::Unreachable(told) => Self::Unavailable(told),
            FetchError::Refused(told) => Self::Unprocessable(told),
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        if let Self::Internal(source) = &self {
            tracing::error!(error = format!("{source:#}"), "request failed");
        }
        let status = self.status();
        let problem = Problem {
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            status: status.as_u16(),
            detail: self.to_string(),
        };
        let content_type = [(header::CONTENT_TYPE, "application/problem+json")];
        let retry_after = self.retry_after();
        let body = Json(problem.clone());
        let mut response = (status, content_type, retry_after, body).into_response();
        if status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer");
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, challenge);
        }
        // `pages::show_errors` makes a page of it when the caller is a browser.
        response.extensions_mut().insert(problem);
        response
    }
}
