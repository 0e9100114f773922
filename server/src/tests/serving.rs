//! Does the hub as a whole go from a push to a published image, and end when told to?

use cooperage_protocol::worker::{Assignment, Claim, Offer, OfferedObject, Outcome};
use sqlx::ConnectOptions;

use super::*;

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_push_over_http_becomes_an_image_and_the_hub_ends_when_told_to(db: PgPool) {
    let world = World::new(db);
    let git = world.repository("tool");
    let secret = world.connect("lab/tool", git.path()).await;
    let commit = git.commit(&[("Singularity", "Bootstrap: scratch\n")]);
    let (_, token) = world.worker("alice").await;
    let mut config = (*world.hub.config).clone();
    config.listen = vec![([127, 0, 0, 1], 0).into()];
    config.database_url = world.hub.db.connect_options().to_url_lossy().to_string();
    let listener = std::net::TcpListener::bind(config.listen[0]).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(async move {
        crate::serve(
            config,
            vec![listener],
            async move { stopped.await.unwrap() },
        )
        .await
    });

    let http = reqwest::Client::builder()
        .timeout(Duration::from_secs(90))
        .build()
        .unwrap();
    let body = push_payload(git.path(), "refs/heads/main", &commit);
    let pushed = http
        .post(format!("{url}/webhooks/github"))
        .header("x-github-event", "push")
        .header("x-github-delivery", "d1")
        .header("x-hub-signature-256", sign(&secret, body.as_bytes()))
        .body(body)
        .send();
    assert_eq!(pushed.await.unwrap().status(), 202);
    let claim = Claim {
        wait_seconds: 30,
        architecture: "amd64".into(),
        version: "0".into(),
        abilities: Vec::new(),
    };
    let claim = http
        .post(format!("{url}/worker/claim"))
        .bearer_auth(&token)
        .json(&claim);
    let given: Assignment = claim.send().await.unwrap().json().await.unwrap();
    let build = format!("{url}/worker/builds/{}/{}", given.build, given.attempt);
    let context = http
        .get(format!("{build}/context"))
        .bearer_auth(&token)
        .send()
        .await
        .unwrap();
    assert!(context.bytes().await.unwrap().starts_with(b"Singularity\0"));
    let image = super::uploads::image_of(&[(b"image", 0, 5)]);
    let digest = image.digest;
    let offer = Offer {
        objects: vec![OfferedObject { digest, size: 5 }],
    };
    let offer = http
        .post(format!("{build}/objects"))
        .bearer_auth(&token)
        .json(&offer);
    assert_eq!(offer.send().await.unwrap().status(), 200);
    let upload = http
        .put(format!("{build}/objects/{digest}"))
        .bearer_auth(&token)
        .body("image");
    assert_eq!(upload.send().await.unwrap().status(), 201);
    let outcome = Outcome::Succeeded(Box::new(image));
    let finish = http
        .post(format!("{build}/finish"))
        .bearer_auth(&token)
        .json(&outcome);
    assert_eq!(finish.send().await.unwrap().status(), 204);

    assert_eq!(world.texts("SELECT name FROM tags").await, ["latest"]);
    stop.send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(20), serving)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
}
