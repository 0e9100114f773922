//! How does a repository come to the hub, and on to a worker?

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::any;
use cooperage_protocol::CollectionId;

use super::*;
use crate::scan::fetch::FetchError;
use crate::scan::{Source, context};

/// Serves the repositories below a folder with git's own CGI program.
async fn serve_git(folder: &Path) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let app = Router::new()
        .fallback(any(http_backend))
        .with_state(folder.to_owned());
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    url
}

async fn http_backend(State(folder): State<PathBuf>, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let header = |name: &str| {
        parts
            .headers
            .get(name)
            .map(|value| value.to_str().unwrap().to_owned())
            .unwrap_or_default()
    };
    let mut command = Command::new("git");
    command
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", folder)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "safe.directory")
        .env("GIT_CONFIG_VALUE_0", "*")
        .env("REQUEST_METHOD", parts.method.as_str())
        .env("PATH_INFO", parts.uri.path())
        .env("QUERY_STRING", parts.uri.query().unwrap_or_default())
        .env("CONTENT_TYPE", header("content-type"))
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .env("CONTENT_LENGTH", body.len().to_string())
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped());
    let output = tokio::task::spawn_blocking(move || {
        let mut child = command.spawn().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), &body).unwrap();
        child.wait_with_output().unwrap().stdout
    })
    .await
    .unwrap();
    let end = output
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .unwrap();
    let mut response = Response::builder();
    for line in String::from_utf8_lossy(&output[..end]).lines() {
        let (name, value) = line.split_once(": ").unwrap();
        response = match name {
            "Status" => response.status(value[..3].parse::<u16>().unwrap()),
            name => response.header(name, value),
        };
    }
    response
        .body(Body::from(output[end + 4..].to_vec()))
        .unwrap()
}

fn source(world: &World, clone_url: String) -> Source {
    Source {
        repositories: world.hub.config.repositories(),
        collection: CollectionId::generate(),
        clone_url,
        limits: world.hub.config.fetch.clone(),
    }
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn exactly_the_commit_comes_over_http_and_nothing_of_its_history(db: PgPool) {
    let world = World::new(db);
    let git = world.repository("lab/tool");
    git.commit(&[("old", "old")]);
    let commit = git.commit(&[("Singularity", "Bootstrap: docker\n")]);
    let url = serve_git(world.folder.path()).await;
    let source = source(&world, format!("{url}/lab/tool/.git"));

    let found = source
        .clone()
        .at_object("refs/heads/main".into(), commit.clone())
        .await
        .unwrap();

    assert_eq!((found.commit, found.recipes.len()), (commit, 1));
    let folder = source.repositories.join(source.collection.to_string());
    let here = Git(folder);
    assert_eq!(
        here.run(&["rev-list", "--count", "refs/cooperage/heads/main"]),
        "1"
    );
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_commit_that_the_branch_has_left_behind_is_found_in_its_history(db: PgPool) {
    let world = World::new(db);
    let git = world.repository("tool");
    let first = git.commit(&[("Singularity", "Bootstrap: docker\n")]);
    let second = git.commit(&[("b.def", "Bootstrap: docker\n")]);
    let third = git.commit(&[("c.def", "Bootstrap: docker\n")]);
    let url = serve_git(world.folder.path()).await;
    let source = source(&world, format!("{url}/tool/.git"));

    for (commit, recipes) in [(third, 3), (first, 1), (second, 2)] {
        let found = source
            .clone()
            .at_object("refs/heads/main".into(), commit)
            .await
            .unwrap();
        assert_eq!(found.recipes.len(), recipes);
    }
    let gone = source
        .at_object("refs/heads/main".into(), "1".repeat(40))
        .await
        .unwrap_err();
    assert!(
        gone.to_string().contains("no longer in refs/heads/main"),
        "{gone}"
    );
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn names_are_resolved_over_http_and_from_a_path(db: PgPool) {
    let world = World::new(db);
    let git = world.repository("tool");
    let commit = git.commit(&[("Singularity", "Bootstrap: docker\n")]);
    git.run(&["tag", "-a", "v1", "-m", "one"]);
    let url = serve_git(world.folder.path()).await;

    for clone_url in [format!("{url}/tool/.git"), git.path().to_owned()] {
        let source = source(&world, clone_url.clone());
        for (name, git_ref) in [
            (None, "refs/heads/main"),
            (Some("v1"), "refs/tags/v1"),
            (Some("main"), "refs/heads/main"),
            (Some(commit.as_str()), "refs/heads/main"),
        ] {
            let found = source
                .clone()
                .at_reference(name.map(ToOwned::to_owned))
                .await
                .unwrap();
            assert_eq!(
                (found.git_ref.as_str(), &found.commit),
                (git_ref, &commit),
                "{clone_url}"
            );
            assert_eq!(found.default_branch.as_deref(), Some("main"));
        }
    }
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn limits_on_size_and_local_paths_hold(db: PgPool) {
    let world = World::new(db);
    let git = world.repository("tool");
    let numbers = (0..400_000_u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let noise = hex::encode(numbers.flat_map(u64::to_be_bytes).collect::<Vec<u8>>());
    let commit = git.commit(&[("Singularity", &noise)]);
    let url = serve_git(world.folder.path()).await;
    let mut small = source(&world, format!("{url}/tool/.git"));
    small.limits.size_mib = 1;
    let mut local = source(&world, git.path().to_owned());
    local.limits.local_paths = false;

    let too_large = small
        .at_object("refs/heads/main".into(), commit.clone())
        .await
        .unwrap_err();
    let not_allowed = local
        .at_object("refs/heads/main".into(), commit)
        .await
        .unwrap_err();

    assert!(
        too_large.to_string().contains("fetch.size_mib"),
        "{too_large}"
    );
    assert!(
        not_allowed.to_string().contains("fetch.local_paths"),
        "{not_allowed}"
    );
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_small_repository_of_large_files_is_not_sent(db: PgPool) {
    let world = World::new(db);
    let git = world.repository("tool");
    let zeros = "0".repeat(3 << 20);
    let commit = git.commit(&[("Singularity", "Bootstrap: scratch\n"), ("zeros", &zeros)]);
    let mut source = source(&world, git.path().to_owned());
    source.limits.size_mib = 2;
    let main = || "refs/heads/main".to_owned();

    let found = source.clone().at_object(main(), commit.clone()).await;
    let sent = source.ensure(main(), commit).await;

    assert_eq!(found.unwrap().recipes.len(), 1);
    assert!(matches!(sent, Err(FetchError::Refused(_))), "{sent:?}");
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_redirect_to_another_host_or_port_is_not_followed_and_404_is_final(db: PgPool) {
    let world = World::new(db);
    let git = world.repository("tool");
    let commit = git.commit(&[("Singularity", "Bootstrap: docker\n")]);
    let url = serve_git(world.folder.path()).await;
    let here = format!("{url}/tool/.git/info/refs?service=git-upload-pack");
    let elsewhere = here.replace("127.0.0.1", "127.0.0.2");
    let redirect = |to: String| any(async move || axum::response::Redirect::permanent(&to));
    let app = Router::new()
        .route("/moved/info/refs", redirect(here))
        .route("/away/info/refs", redirect(elsewhere));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let other_port = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });

    for (path, told) in [
        ("away", "another host"),
        ("moved", "another host"),
        ("gone", "404"),
    ] {
        let source = source(&world, format!("{other_port}/{path}"));
        let refused = source
            .at_object("refs/heads/main".into(), commit.clone())
            .await
            .unwrap_err();
        assert!(matches!(refused, FetchError::Refused(_)), "{refused}");
        assert!(refused.to_string().contains(told), "{refused}");
    }
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn the_context_is_the_tree_with_links_and_executables_and_always_the_same(db: PgPool) {
    let world = World::new(db);
    let git = world.repository("tool");
    let long = format!("{}/file", ["folder-with-a-name"; 12].join("/"));
    std::os::unix::fs::symlink("/etc/passwd", git.0.join("link")).unwrap();
    std::fs::write(git.0.join("run me"), "#!/bin/sh\n").unwrap();
    git.run(&["add", "--all"]);
    git.run(&["update-index", "--chmod=+x", "run me"]);
    git.run(&["commit", "--quiet", "--message=one"]);
    git.commit(&[("Singularity", "Bootstrap: docker\n"), (&long, "deep")]);
    git.run(&["update-index", "--chmod=+x", "run me"]);
    git.run(&["commit", "--quiet", "--allow-empty", "--message=two"]);
    let commit = git.run(&["rev-parse", "HEAD"]);
    let source = source(&world, git.path().to_owned());
    source
        .clone()
        .ensure("refs/heads/main".into(), commit.clone())
        .await
        .unwrap();

    let mut archives = Vec::new();
    for _ in 0..2 {
        let mut pieces = context::stream(source.clone(), commit.clone());
        let mut archive = Vec::new();
        while let Some(piece) = pieces.recv().await {
            archive.extend_from_slice(&piece.unwrap());
        }
        archives.push(archive);
    }

    assert!(
        archives[0] == archives[1],
        "two archives of a commit differ"
    );
    let mut archive = tar::Archive::new(archives[0].as_slice());
    let listed: Vec<(String, u32, Option<PathBuf>)> = archive
        .entries()
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let link = entry.link_name().unwrap().map(std::borrow::Cow::into_owned);
            let path = entry.path().unwrap().display().to_string();
            (path, entry.header().mode().unwrap(), link)
        })
        .collect();
    for expected in [
        ("Singularity".to_owned(), 0o644, None),
        ("run me".to_owned(), 0o755, None),
        ("link".to_owned(), 0o777, Some(PathBuf::from("/etc/passwd"))),
        (long, 0o644, None),
    ] {
        assert!(
            listed.contains(&expected),
            "{expected:?} is not in {listed:?}"
        );
    }
}
