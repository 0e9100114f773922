//! Errors as pages, for browsers; everybody else gets problem+json.

use askama::Template;
use askama_web::WebTemplate;
use axum::Json;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use cooperage_protocol::admin::Problem;

use super::{Layout, format};
use crate::rights::{Caller, Visit};
use crate::state::Hub;

#[derive(Template, WebTemplate)]
#[template(path = "error.html")]
struct ErrorPage {
    layout: Layout,
    problem: Problem,
}

/// Gives every refusal the form that its reader understands.
pub(crate) async fn show_errors(State(hub): State<Hub>, request: Request, next: Next) -> Response {
    let headers = request.headers().clone();
    let is_browser = accepts_html(&headers);
    let response = next.run(request).await;
    match find_problem(response).await {
        Found::Problem(problem, response) if is_browser => {
            // Whoever cannot be looked up sees the page as a stranger does.
            let visit = Visit::of(&headers, &hub).await.unwrap_or(Visit {
                caller: Caller::Anonymous,
                collection: None,
            });
            as_page(&visit, problem, &response)
        }
        Found::Problem(problem, response) if response.extensions().get::<Problem>().is_none() => {
            with_body(
                &response,
                Json(problem).into_response(),
                "application/problem+json",
            )
        }
        Found::Nothing(response) | Found::Problem(_, response) => response,
    }
}

fn accepts_html(headers: &HeaderMap) -> bool {
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/html"))
}

enum Found {
    Nothing(Response),
    Problem(Problem, Response),
}

/// The problem of a response: ours, or made of the plain text in which axum's extractors refuse.
async fn find_problem(response: Response) -> Found {
    if let Some(problem) = response.extensions().get::<Problem>() {
        return Found::Problem(problem.clone(), response);
    }
    let status = response.status();
    let is_text = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|form| form.as_bytes().starts_with(b"text/plain"));
    if !is_text || !(status.is_client_error() || status.is_server_error()) {
        return Found::Nothing(response);
    }
    let (parts, body) = response.into_parts();
    let text = to_bytes(body, 4096).await.unwrap_or_default();
    let problem = Problem {
        title: status.canonical_reason().unwrap_or("Error").to_owned(),
        status: status.as_u16(),
        detail: String::from_utf8_lossy(&text).into_owned(),
    };
    Found::Problem(
        problem,
        Response::from_parts(parts, axum::body::Body::empty()),
    )
}

fn as_page(visit: &Visit, problem: Problem, response: &Response) -> Response {
    let layout = Layout::new(visit, "");
    let page = ErrorPage { layout, problem }.into_response();
    with_body(response, page, "text/html; charset=utf-8")
}

/// The status and headers of one response with the body of another.
fn with_body(response: &Response, body: Response, form: &'static str) -> Response {
    let mut changed = Response::new(body.into_body());
    *changed.status_mut() = response.status();
    *changed.headers_mut() = response.headers().clone();
    changed.headers_mut().remove(header::CONTENT_LENGTH);
    changed
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(form));
    changed
        .headers_mut()
        .insert(header::VARY, HeaderValue::from_static("accept"));
    changed
}
