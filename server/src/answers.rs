//! What did the hub answer to everybody a moment ago? Small answers to people and programs that
//! show no account are kept that long, so that a crowd costs the database nothing.
//!
//! # Security
//!
//! Only what nobody proved anything for is kept, and given to nobody who proves something. Whatever
//! a request changes is forgotten before that request is answered; what another hub or a task of
//! this one changed may be told as it was for as long as [`Answers`] keeps it, and once more that
//! long while somebody asks anew.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, HttpBody as _};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, header};
use axum::response::Response;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::downloads::Served;

/// The largest answer that is kept, in bytes.
const LARGEST: u64 = 256 << 10;

/// What all of them may take, in bytes.
const ALL: u64 = 32 << 20;

/// About how many there are.
const ITEMS: usize = 1024;

/// What makes an answer another one, or one of its own.
const OWN: [HeaderName; 9] = [
    header::AUTHORIZATION,
    header::COOKIE,
    header::RANGE,
    header::IF_RANGE,
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_UNMODIFIED_SINCE,
    header::UPGRADE,
];

/// What is asked for: answers to the same are the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Asked {
    target: String,
    host: Option<Vec<u8>>,
    accept: Option<Vec<u8>>,
}

impl Asked {
    /// What a request asks for, unless its answer is its own.
    pub(crate) fn by(request: &Parts) -> Option<Self> {
        let headers = &request.headers;
        if request.method != Method::GET || OWN.iter().any(|name| headers.contains_key(name)) {
            return None;
        }
        let value = |name| headers.get(name).map(|value| value.as_bytes().to_vec());
        Some(Self {
            target: request.uri.to_string(),
            host: value(header::HOST),
            accept: value(header::ACCEPT),
        })
    }
}

/// An answer, and when it was true.
#[derive(Debug, Clone)]
struct Kept {
    headers: HeaderMap,
    body: Bytes,
    time: Time,
    /// Whether somebody asks anew, since it is old.
    is_renewed: Arc<AtomicBool>,
}

/// A moment, and how often something was changed before it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Time {
    at: Instant,
    changes: u64,
}

#[derive(Debug, Clone)]
struct Bytewise;

impl Weighter<Asked, Kept> for Bytewise {
    fn weight(&self, asked: &Asked, kept: &Kept) -> u64 {
        // Headers take about so much.
        (asked.target.len() + kept.body.len() + 1024) as u64
    }
}

/// The answers that are kept.
#[derive(Debug)]
pub(crate) struct Answers {
    kept: Cache<Asked, Kept, Bytewise>,
    changes: AtomicU64,
    longest: Duration,
}

impl Answers {
    /// Keeps answers as long as this; none when it is nothing.
    pub(crate) fn new(longest: Duration) -> Self {
        Self {
            kept: Cache::with_weighter(ITEMS, ALL, Bytewise),
            changes: AtomicU64::new(0),
            longest,
        }
    }

    /// Now: what is read after it is not older.
    pub(crate) fn now(&self) -> Time {
        Time {
            at: Instant::now(),
            changes: self.changes.load(Ordering::SeqCst),
        }
    }

    /// Something was changed: no answer from before is given after this.
    pub(crate) fn forget(&self) {
        self.changes.fetch_add(1, Ordering::SeqCst);
    }

    /// The answer of a moment ago. Of a crowd that finds it old one asks anew, and the others do not
    /// wait.
    pub(crate) fn find(&self, asked: &Asked) -> Option<Response> {
        let kept = self.kept.get(asked)?;
        let age = kept.time.at.elapsed();
        let is_true = kept.time.changes == self.changes.load(Ordering::SeqCst)
            && (age < self.longest
                || (age < self.longest * 2 && kept.is_renewed.swap(true, Ordering::SeqCst)));
        is_true.then(|| {
            let mut response = Response::new(Body::from(kept.body));
            *response.headers_mut() = kept.headers;
            response
        })
    }

    /// Keeps an answer that was begun at a time, if it is one for everybody.
    pub(crate) async fn keep(&self, asked: Asked, time: Time, response: Response) -> Response {
        if self.longest.is_zero() || !is_for_everybody(&response) {
            return response;
        }
        let (parts, body) = response.into_parts();
        // All of it is here already, and it is small.
        let body = match axum::body::to_bytes(body, usize::MAX).await {
            Ok(body) => body,
            Err(error) => {
                tracing::error!(%error, "an answer broke off that was there");
                return Response::from_parts(parts, Body::empty());
            }
        };
        let kept = Kept {
            headers: parts.headers.clone(),
            body: body.clone(),
            time,
            is_renewed: Arc::default(),
        };
        self.kept.insert(asked, kept);
        Response::from_parts(parts, Body::from(body))
    }
}

fn is_for_everybody(response: &Response) -> bool {
    let headers = response.headers();
    let is_own = headers.contains_key(header::SET_COOKIE)
        || headers
            .get(header::CACHE_CONTROL)
            .is_some_and(|value| value == "no-store");
    let length = response.body().size_hint().exact();
    response.status() == StatusCode::OK
        && !is_own
        && length.is_some_and(|length| length <= LARGEST)
        && response.extensions().get::<Served>().is_none()
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn asked(method: &str, path: &str, header: Option<(&str, &str)>) -> Option<Asked> {
        let mut request = Request::builder().method(method).uri(path);
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        Asked::by(&request.body(()).unwrap().into_parts().0)
    }

    async fn kept(answers: &Answers, response: Response) -> bool {
        let question = asked("GET", "/x", None).unwrap();
        let given = answers
            .keep(question.clone(), answers.now(), response)
            .await;
        let body = axum::body::to_bytes(given.into_body(), 1 << 20).await;
        assert_eq!(body.unwrap(), "answer");
        answers.find(&question).is_some()
    }

    #[test]
    fn what_shows_an_account_or_asks_for_less_has_an_answer_of_its_own() {
        assert!(asked("GET", "/x", None).is_some());
        assert_ne!(asked("GET", "/x", None), asked("GET", "/x?y", None));
        let html = asked("GET", "/x", Some(("accept", "text/html")));
        assert_ne!(asked("GET", "/x", None), html);
        for (method, header) in [
            ("POST", None),
            ("HEAD", None),
            ("GET", Some(("cookie", "session=1"))),
            ("GET", Some(("authorization", "Bearer x"))),
            ("GET", Some(("if-none-match", "*"))),
            ("GET", Some(("range", "bytes=0-1"))),
        ] {
            assert_eq!(asked(method, "/x", header), None, "{method} {header:?}");
        }
    }

    #[tokio::test]
    async fn an_answer_is_kept_until_something_changes_or_it_is_old() {
        let answers = Answers::new(Duration::from_mins(1));
        let before = answers.now();
        assert!(kept(&answers, Response::new("answer".into())).await);
        answers.forget();
        let question = asked("GET", "/x", None).unwrap();
        assert!(answers.find(&question).is_none());
        // It was begun before the change, so it may be what was there before it.
        let late = Response::new("answer".into());
        drop(answers.keep(question.clone(), before, late).await);
        assert!(answers.find(&question).is_none());

        let answers = Answers::new(Duration::from_millis(1));
        kept(&answers, Response::new("answer".into())).await;
        std::thread::sleep(Duration::from_millis(3));
        assert!(answers.find(&question).is_none());
        assert!(answers.find(&question).is_none());
    }

    #[tokio::test]
    async fn one_of_a_crowd_asks_anew_when_an_answer_is_old() {
        let answers = Answers::new(Duration::from_mins(1));
        let question = asked("GET", "/x", None).unwrap();
        let mut before = answers.now();
        before.at -= Duration::from_secs(61);
        let response = || Response::new(Body::from("answer"));
        drop(answers.keep(question.clone(), before, response()).await);
        assert!(answers.find(&question).is_none());
        assert!(answers.find(&question).is_some());
        answers.forget();
        assert!(answers.find(&question).is_none());
        drop(
            answers
                .keep(question.clone(), answers.now(), response())
                .await,
        );
        assert!(answers.find(&question).is_some());
        assert!(answers.find(&question).is_some());
    }

    #[tokio::test]
    async fn what_is_not_for_everybody_is_not_kept() {
        let answers = Answers::new(Duration::from_mins(1));
        let with = |name: &str, value: &str| {
            let response = Response::builder().header(name, value);
            response.body(Body::from("answer")).unwrap()
        };
        assert!(!kept(&answers, with("set-cookie", "session=1")).await);
        assert!(!kept(&answers, with("cache-control", "no-store")).await);
        let refused = Response::builder().status(404);
        let refused = refused.body(Body::from("answer")).unwrap();
        assert!(!kept(&answers, refused).await);
        let streamed = Body::from_stream(tokio_stream::once(Ok::<_, std::io::Error>("answer")));
        assert!(!kept(&answers, Response::new(streamed)).await);
    }
}
