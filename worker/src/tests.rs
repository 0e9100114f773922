//! The worker against a hub in miniature, with a build in place of the engine.

use std::collections::BTreeMap;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Request as HttpRequest, StatusCode};
use axum::response::{IntoResponse, Response};
use cooperage_image::oci::Registries;
use cooperage_image::pack::{Extent, Layout, Object, ObjectBytes};
use cooperage_image::sandbox::{Identity, Network};
use cooperage_image::{
    BuiltImage, Cancel, Error as EngineError, Event, Facts, Hold, ImageFile, Phase, Request,
    definition,
};
use cooperage_protocol::check::{Step, Subject, Verdict};
use cooperage_protocol::worker::{
    Ability, Assignment, CheckAssignment, Claim, Lease, Limits, Missing, MissingObject, Offer,
    Outcome, RegistryAccount, Work,
};
use cooperage_protocol::{
    BuildId, CheckId, Diagnostic, Digest, FailureKind, Mode, Severity, StepCache, Tag,
};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::{Build, Error, Settings, run_with};

/// What the hub was told, and how it answers.
#[derive(Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a thing of its own that a test looks at"
)]
struct Told {
    work: Option<Work>,
    steps: Option<Vec<Step>>,
    log: BTreeMap<u32, Vec<u8>>,
    phases: Vec<String>,
    diagnostics: Vec<Diagnostic>,
    offered: BTreeMap<Digest, u64>,
    objects: BTreeMap<Digest, Vec<u8>>,
    sent_bytes: usize,
    /// How many bytes the next upload brings before it breaks.
    break_after: Option<usize>,
    outcome: Option<Outcome>,
    released: bool,
    heartbeats: u32,
    lease_lost: bool,
    cancel: bool,
    away_for: u32,
    refuse_token: bool,
}

type Hub = Arc<Mutex<Told>>;

async fn answer(State(hub): State<Hub>, request: HttpRequest<Body>) -> Response {
    let path = request.uri().path().to_owned();
    let query = request.uri().query().unwrap_or_default().to_owned();
    let headers = request.headers().clone();
    let body = axum::body::to_bytes(request.into_body(), 1 << 24)
        .await
        .unwrap();
    if path.starts_with("/v2/slow/") {
        tokio::time::sleep(Duration::from_secs(20)).await;
    }
    if path.starts_with("/v2/") {
        return registry(&headers);
    }
    let mut told = hub.lock().unwrap();
    if told.refuse_token || headers["authorization"] != "Bearer secret" {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    if path == "/worker/claim" {
        let claim: Claim = serde_json::from_slice(&body).unwrap();
        assert_eq!(claim.abilities, [Ability::Check]);
        return match told.work.take() {
            Some(work) => axum::Json(work).into_response(),
            None => StatusCode::NO_CONTENT.into_response(),
        };
    }
    if told.away_for > 0 {
        told.away_for -= 1;
        return StatusCode::BAD_GATEWAY.into_response();
    }
    if told.lease_lost {
        return StatusCode::CONFLICT.into_response();
    }
    if path.starts_with("/worker/checks/") {
        assert!(path.ends_with("/steps"), "{path}");
        told.steps = Some(serde_json::from_slice(&body).unwrap());
        return StatusCode::NO_CONTENT.into_response();
    }
    let parts: Vec<&str> = path.split('/').skip(5).collect();
    if let ["objects", digest] = parts[..] {
        assert_eq!(headers["content-length"], body.len().to_string());
        return take_object(&mut told, digest.parse().unwrap(), &query, &body);
    }
    attempt_call(&mut told, &parts, &body)
}

/// A registry that lets `lab` with the password `s3cret` in.
fn registry(headers: &HeaderMap) -> Response {
    let challenge = [("www-authenticate", "Basic realm=\"the lab\"")];
    let authorization = headers.get("authorization");
    if authorization.is_none_or(|given| given != "Basic bGFiOnMzY3JldA==") {
        return (StatusCode::UNAUTHORIZED, challenge).into_response();
    }
    let blob = |form: &str| {
        serde_json::json!({
            "mediaType": format!("application/vnd.oci.image.{form}"), "size": 2,
            "digest": format!("sha256:{}", "0".repeat(64)),
        })
    };
    let manifest = serde_json::json!({
        "schemaVersion": 2, "config": blob("config.v1+json"), "layers": [blob("layer.v1.tar+gzip")],
    });
    let form = [("content-type", "application/vnd.oci.image.manifest.v1+json")];
    (form, manifest.to_string()).into_response()
}

/// What the worker offers and is not whole here.
fn missing(told: &mut Told, offer: &Offer) -> Response {
    let offered = offer.objects.iter().map(|it| (it.digest, it.size));
    told.offered = offered.collect();
    let mut objects = Vec::new();
    for object in &offer.objects {
        let (digest, received) = (
            object.digest,
            told.objects.entry(object.digest).or_default(),
        );
        let received = received.len() as u64;
        if received < object.size {
            objects.push(MissingObject { digest, received });
        }
    }
    axum::Json(Missing { objects }).into_response()
}

fn take_object(told: &mut Told, digest: Digest, query: &str, body: &Bytes) -> Response {
    let kept = told.break_after.take().unwrap_or(body.len());
    let object = told.objects.get_mut(&digest).unwrap();
    assert_eq!(query, format!("offset={}", object.len()));
    object.extend_from_slice(&body[..kept]);
    told.sent_bytes += kept;
    if kept < body.len() {
        return StatusCode::BAD_GATEWAY.into_response();
    }
    if Digest::of(object) != digest {
        object.clear();
        return StatusCode::UNPROCESSABLE_ENTITY.into_response();
    }
    StatusCode::CREATED.into_response()
}

fn attempt_call(told: &mut Told, parts: &[&str], body: &Bytes) -> Response {
    match parts {
        ["heartbeat"] => {
            told.heartbeats += 1;
            return axum::Json(Lease {
                seconds: 1,
                cancel: told.cancel,
            })
            .into_response();
        }
        ["context"] => return context_tar().into_response(),
        ["log", number] => {
            told.log.insert(number.parse().unwrap(), body.to_vec());
        }
        ["phases"] => {
            let phase: serde_json::Value = serde_json::from_slice(body).unwrap();
            told.phases.push(phase["name"].as_str().unwrap().to_owned());
        }
        ["diagnostics"] => told.diagnostics = serde_json::from_slice(body).unwrap(),
        ["objects"] => return missing(told, &serde_json::from_slice(body).unwrap()),
        ["finish"] => told.outcome = Some(serde_json::from_slice(body).unwrap()),
        ["release"] => told.released = true,
        other => panic!("unknown call {other:?}"),
    }
    StatusCode::NO_CONTENT.into_response()
}

fn context_tar() -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    let text = b"Bootstrap: scratch\n";
    header.set_size(text.len() as u64);
    header.set_mode(0o644);
    tar.append_data(&mut header, "tools/Singularity", &text[..])
        .unwrap();
    tar.into_inner().unwrap()
}

fn assignment() -> Assignment {
    Assignment {
        build: BuildId(uuid::Uuid::from_u128(1)),
        attempt: 1,
        lease: Lease {
            seconds: 1,
            cancel: false,
        },
        collection: "lab/tool".parse().unwrap(),
        tag: Tag::latest(),
        commit: "c0ffee".to_owned(),
        commit_time: 1_600_000_000,
        recipe: "tools/Singularity".to_owned(),
        mode: Mode::Modern,
        step_cache: StepCache::On,
        accounts: Vec::new(),
        limits: Limits {
            seconds: 60,
            memory_bytes: 1 << 30,
            processes: 100,
            disk_bytes: 1 << 30,
            log_bytes: 1 << 20,
        },
    }
}

/// A worker at work: stop it, and its scratch must be empty.
struct Running {
    hub: Hub,
    address: String,
    scratch: TempDir,
    stopping: CancellationToken,
    ended: tokio::task::JoinHandle<Result<(), Error>>,
}

async fn start(told: Told, build: Arc<Build>) -> Running {
    // A second installation is the only error, and harmless.
    drop(rustls::crypto::ring::default_provider().install_default());
    let hub = Arc::new(Mutex::new(told));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().fallback(answer).with_state(Arc::clone(&hub));
    tokio::spawn(async move { axum::serve(listener, router).await });

    let scratch = tempfile::tempdir().unwrap();
    let settings = Settings {
        hub: format!("http://{address}").parse().unwrap(),
        token: "secret".to_owned().into(),
        name: "test".to_owned(),
        engine: cooperage_image::Settings {
            cache: scratch.path().join("cache"),
            scratch: scratch.path().to_owned(),
            registries: Registries::default(),
            sources: cooperage_image::Sources::default(),
            identity: Identity::default(),
            network: Network::default(),
            environment: std::collections::BTreeMap::new(),
            roots: cooperage_image::Roots::default(),
        },
    };
    let stopping = CancellationToken::new();
    let ended = tokio::spawn(run_with(
        settings,
        build,
        stopping.clone().cancelled_owned(),
    ));
    Running {
        hub,
        address: address.to_string(),
        scratch,
        stopping,
        ended,
    }
}

impl Running {
    async fn until(&self, reached: impl Fn(&Told) -> bool) {
        for _ in 0..200 {
            if reached(&self.hub.lock().unwrap()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the hub was not told what was expected");
    }

    /// Stops the worker, which must happen soon, and gives what it told the hub.
    async fn stop(self) -> Told {
        self.stopping.cancel();
        tokio::time::timeout(Duration::from_secs(5), self.ended)
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        let left = std::fs::read_dir(self.scratch.path()).unwrap();
        let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["worker.lock"]);
        std::mem::take(&mut *self.hub.lock().unwrap())
    }
}

fn quick_build() -> Arc<Build> {
    Arc::new(
        |request: &Request, events: &(dyn Fn(Event<'_>) + Sync), _: &Cancel| {
            assert_eq!(request.definition, b"Bootstrap: scratch\n");
            events(Event::Phase(Phase::Base));
            events(Event::Info("starting"));
            events(Event::Phase(Phase::Post));
            events(Event::Output(b"hello from %post\n"));
            Ok(write_image(request.output.path()))
        },
    )
}

fn write_image(path: &Path) -> BuiltImage {
    let content = vec![7; 300_000];
    std::fs::write(path, &content).unwrap();
    let sha256 = hex::decode(Digest::of(&content).hex()).unwrap();
    let sha256 = sha256.try_into().unwrap();
    let size = content.len() as u64;
    BuiltImage {
        path: path.to_owned(),
        file: Some(ImageFile {
            layout: Layout {
                extents: vec![Extent {
                    object: sha256,
                    offset: 0,
                    length: size,
                }],
                objects: vec![Object {
                    sha256,
                    size,
                    bytes: ObjectBytes::File(path.to_owned()),
                }],
            },
            hold: Hold::default(),
        }),
        facts: Facts::default(),
    }
}

/// A build that goes on until it is stopped.
fn endless_build() -> Arc<Build> {
    Arc::new(
        |_: &Request, events: &(dyn Fn(Event<'_>) + Sync), cancel: &Cancel| {
            events(Event::Output(b"begun\n"));
            while !cancel.is_cancelled() {
                std::thread::sleep(Duration::from_millis(10));
            }
            Err(EngineError::Cancelled)
        },
    )
}

fn with_one_build() -> Told {
    Told {
        work: Some(Work::Build(Box::new(assignment()))),
        ..Told::default()
    }
}

#[tokio::test]
async fn a_claimed_build_is_logged_uploaded_and_finished() {
    let running = start(with_one_build(), quick_build()).await;

    running.until(|told| told.outcome.is_some()).await;
    let told = running.stop().await;

    let log: Vec<u8> = told.log.into_values().flatten().collect();
    assert_eq!(
        String::from_utf8(log).unwrap(),
        "INFO:    starting\nhello from %post\n"
    );
    assert_eq!(told.phases, ["fetch", "base", "post", "upload"]);
    let Some(Outcome::Succeeded(image)) = told.outcome else {
        panic!("{:?}", told.outcome)
    };
    assert_eq!(image.layout.size(), 300_000);
    assert_eq!(told.objects.keys().collect::<Vec<_>>(), [&image.digest]);
    assert!(!told.released);
}

#[tokio::test]
async fn a_hub_that_is_away_for_a_moment_loses_nothing() {
    let told = Told {
        away_for: 6,
        ..with_one_build()
    };

    let running = start(told, quick_build()).await;
    running.until(|told| told.outcome.is_some()).await;
    let told = running.stop().await;

    assert!(
        matches!(told.outcome, Some(Outcome::Succeeded(_))),
        "{:?}",
        told.outcome
    );
    let log: Vec<u8> = told.log.into_values().flatten().collect();
    assert!(log.ends_with(b"hello from %post\n"));
}

#[tokio::test]
async fn an_upload_that_breaks_goes_on_where_it_was_and_nothing_is_sent_twice() {
    let told = Told {
        break_after: Some(100_000),
        ..with_one_build()
    };

    let running = start(told, quick_build()).await;
    running.until(|told| told.outcome.is_some()).await;
    let told = running.stop().await;

    assert!(matches!(told.outcome, Some(Outcome::Succeeded(_))));
    assert_eq!(told.sent_bytes, 300_000);
}

#[tokio::test]
async fn what_the_hub_has_is_not_sent() {
    let content = vec![7; 300_000];
    let told = Told {
        objects: BTreeMap::from([(Digest::of(&content), content)]),
        ..with_one_build()
    };

    let running = start(told, quick_build()).await;
    running.until(|told| told.outcome.is_some()).await;
    let told = running.stop().await;

    assert!(matches!(told.outcome, Some(Outcome::Succeeded(_))));
    assert_eq!((told.offered.len(), told.sent_bytes), (1, 0));
}

#[tokio::test]
async fn a_lost_lease_stops_the_build_and_nothing_more_is_told() {
    let running = start(with_one_build(), endless_build()).await;
    running
        .until(|told| !told.log.is_empty() && told.heartbeats > 0)
        .await;

    running.hub.lock().unwrap().lease_lost = true;
    tokio::time::sleep(Duration::from_millis(800)).await;
    running.hub.lock().unwrap().lease_lost = false;
    let told = running.stop().await;

    assert_eq!((told.outcome, told.released), (None, false));
}

#[tokio::test]
async fn a_lease_that_runs_out_without_contact_stops_the_build() {
    let running = start(with_one_build(), endless_build()).await;
    running.until(|told| told.heartbeats > 0).await;

    running.hub.lock().unwrap().away_for = u32::MAX;
    tokio::time::sleep(Duration::from_millis(2500)).await;
    running.hub.lock().unwrap().away_for = 0;
    let told = running.stop().await;

    assert_eq!((told.outcome, told.released), (None, false));
}

#[tokio::test]
async fn a_cancelled_build_is_finished_as_cancelled() {
    let running = start(with_one_build(), endless_build()).await;
    running.until(|told| !told.log.is_empty()).await;

    running.hub.lock().unwrap().cancel = true;
    running.until(|told| told.outcome.is_some()).await;
    let told = running.stop().await;

    let Some(Outcome::Failed(failure)) = told.outcome else {
        panic!("{:?}", told.outcome)
    };
    assert_eq!(failure.kind, FailureKind::Cancelled);
}

#[tokio::test]
async fn a_worker_that_shuts_down_hands_its_build_back() {
    let running = start(with_one_build(), endless_build()).await;
    running.until(|told| !told.log.is_empty()).await;

    let told = running.stop().await;

    assert_eq!((told.outcome, told.released), (None, true));
}

#[tokio::test]
async fn a_failed_script_is_told_with_section_and_status_also_in_the_log() {
    let build = |_: &Request, _: &(dyn Fn(Event<'_>) + Sync), _: &Cancel| {
        Err(EngineError::Script {
            section: "post".to_owned(),
            status: 3,
        })
    };
    let running = start(with_one_build(), Arc::new(build)).await;

    running.until(|told| told.outcome.is_some()).await;
    let told = running.stop().await;

    let Some(Outcome::Failed(failure)) = told.outcome else {
        panic!("{:?}", told.outcome)
    };
    assert_eq!(
        (failure.section.as_deref(), failure.status),
        (Some("%post"), Some(3))
    );
    let log: Vec<u8> = told.log.into_values().flatten().collect();
    assert_eq!(log, b"FATAL:   %post ended with exit status 3\n");
}

#[tokio::test]
async fn a_build_without_the_step_cache_asks_for_no_step_of_any_age() {
    for (step_cache, is_taken) in [(StepCache::On, true), (StepCache::Off, false)] {
        let build = move |request: &Request, _: &(dyn Fn(Event<'_>) + Sync), _: &Cancel| {
            assert_eq!(request.step_age.is_some(), is_taken);
            Ok(write_image(request.output.path()))
        };
        let mut told = with_one_build();
        told.work = Some(Work::Build(Box::new(Assignment {
            step_cache,
            ..assignment()
        })));
        let running = start(told, Arc::new(build)).await;

        running.until(|told| told.outcome.is_some()).await;
        let told = running.stop().await;

        let outcome = told.outcome;
        assert!(
            matches!(outcome, Some(Outcome::Succeeded(_))),
            "{outcome:?}"
        );
    }
}

#[tokio::test]
async fn what_the_cache_forgot_is_made_again_before_it_is_sent() {
    let times = AtomicUsize::new(0);
    let build = move |request: &Request, _: &(dyn Fn(Event<'_>) + Sync), _: &Cancel| {
        let image = write_image(request.output.path());
        if times.fetch_add(1, Ordering::SeqCst) == 0 {
            let file = std::fs::File::options().write(true).open(&image.path);
            file.unwrap().write_all_at(b"!", 200_000).unwrap();
        }
        Ok(image)
    };
    let running = start(with_one_build(), Arc::new(build)).await;

    running.until(|told| told.outcome.is_some()).await;
    let told = running.stop().await;

    let outcome = told.outcome;
    assert!(
        matches!(outcome, Some(Outcome::Succeeded(_))),
        "{outcome:?}"
    );
    let log: Vec<u8> = told.log.into_values().flatten().collect();
    let log = String::from_utf8(log).unwrap();
    assert!(log.contains("cache of this worker was damaged"), "{log}");
}

#[tokio::test]
async fn an_engine_that_panics_fails_the_build_and_not_the_worker() {
    let build = |_: &Request, _: &(dyn Fn(Event<'_>) + Sync), _: &Cancel| panic!("broken");
    let running = start(with_one_build(), Arc::new(build)).await;

    running.until(|told| told.outcome.is_some()).await;
    let told = running.stop().await;

    let Some(Outcome::Failed(failure)) = told.outcome else {
        panic!("{:?}", told.outcome)
    };
    assert_eq!(failure.kind, FailureKind::Internal);
}

#[tokio::test]
async fn a_wrong_token_ends_the_worker() {
    let running = start(
        Told {
            refuse_token: true,
            ..Told::default()
        },
        quick_build(),
    )
    .await;

    let ended = running.ended.await.unwrap();

    assert!(matches!(ended, Err(Error::Unauthorized(_))), "{ended:?}");
}

#[tokio::test]
async fn what_is_wrong_with_a_definition_is_told_with_its_places_and_in_the_log() {
    let diagnostic = |severity, code, line| definition::Diagnostic {
        severity,
        code,
        message: format!("{code} is meant"),
        help: None,
        line,
        column: 1,
        length: 9,
    };
    let build = move |_: &Request, events: &(dyn Fn(Event<'_>) + Sync), _: &Cancel| {
        let warning = diagnostic(definition::Severity::Warning, "odd", 1);
        events(Event::Diagnostic(&warning));
        let advice = diagnostic(definition::Severity::Advice, "better", 3);
        events(Event::Diagnostic(&advice));
        let error = diagnostic(definition::Severity::Error, "wrong", 2);
        Err(EngineError::Definition(vec![error]))
    };
    let running = start(with_one_build(), Arc::new(build)).await;

    running.until(|told| told.outcome.is_some()).await;
    let told = running.stop().await;

    let places = told.diagnostics.iter();
    let places: Vec<_> = places.map(|told| (told.severity, told.line)).collect();
    let expected = [
        (Severity::Warning, 1),
        (Severity::Advice, 3),
        (Severity::Error, 2),
    ];
    assert_eq!(places, expected);
    let log: Vec<u8> = told.log.into_values().flatten().collect();
    let log = String::from_utf8(log).unwrap();
    assert!(
        log.starts_with("warning[odd]: odd is meant\n --> tools/Singularity:1:1\n"),
        "{log}"
    );
    assert!(log.contains("error[wrong]: wrong is meant"), "{log}");
}

/// Has a worker check an image of the registry in miniature, with this password.
async fn checked(repository: &str, password: &str, seconds: u64) -> Vec<Step> {
    let running = start(Told::default(), quick_build()).await;
    let registry = running.address.clone();
    let account = RegistryAccount {
        registry: registry.clone(),
        username: "lab".to_owned(),
        password: password.to_owned().into(),
    };
    running.hub.lock().unwrap().work = Some(Work::Check(CheckAssignment {
        check: CheckId(uuid::Uuid::from_u128(2)),
        collection: "lab/tool".parse().unwrap(),
        uri: format!("docker://{registry}/{repository}:1.0"),
        accounts: vec![account],
        seconds,
    }));
    running.until(|told| told.steps.is_some()).await;
    running.stop().await.steps.unwrap()
}

#[tokio::test]
async fn a_check_asks_with_the_accounts_it_is_given_and_says_which_step_is_wrong() {
    let good = checked("lab/base", "s3cret", 60).await;
    let bad = checked("lab/base", "hunter22", 60).await;

    let last = |steps: &[Step]| steps.last().map(|step| (step.subject, step.verdict));
    assert_eq!(
        last(&good),
        Some((Subject::Image, Verdict::Good)),
        "{good:?}"
    );
    assert_eq!(last(&bad), Some((Subject::Login, Verdict::Bad)), "{bad:?}");
    let told = serde_json::to_string(&(good, bad)).unwrap();
    assert!(
        told.contains("account `lab` from the collection's settings"),
        "{told}"
    );
    for secret in ["s3cret", "hunter22", "/proc/self"] {
        assert!(!told.contains(secret), "{told}");
    }
}

#[tokio::test]
async fn a_registry_that_does_not_answer_in_time_is_told_as_that() {
    let steps = checked("slow/base", "s3cret", 12).await;

    assert_eq!(steps.len(), 1, "{steps:?}");
    assert_eq!(steps[0].verdict, Verdict::Bad);
    assert_eq!(steps[0].message, "no answer for 1 seconds");
}
