//! Pages in every state, for everybody and for the administrator.

use axum::http::StatusCode;
use sqlx::PgPool;

use crate::support::{COMMIT, HOSTILE, Site, request};

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn an_empty_hub_says_what_to_do_next(db: PgPool) {
    let site = Site::open(db).await;

    let collection = site.page("/lab/TOOL").await;
    let deliveries = site.page("/Lab/tool/deliveries").await;
    let queue = site.page("/queue").await;
    sqlx::query("DELETE FROM collections")
        .execute(&site.hub.db)
        .await
        .unwrap();
    let home = site.page("/").await;

    assert!(collection.contains("cooperage collection build Lab/tool"));
    assert!(collection.contains("http://hub.example.org/webhooks/github"));
    assert!(deliveries.contains("http://hub.example.org/webhooks/github"));
    assert!(queue.contains("cooperage worker add NAME"));
    assert!(home.contains("cooperage collection add https://github.com/OWNER/REPO"));
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn a_build_says_what_came_from_the_step_cache_and_whether_it_was_not_to_be_used(db: PgPool) {
    let site = Site::open(db).await;
    let (with, without) = (
        site.add_build("succeeded", "latest").await,
        site.add_build("succeeded", "latest").await,
    );
    site.add_phase(with, "step").await;
    site.add_phase(without, "post").await;
    sqlx::query("UPDATE builds SET step_cache = 'off' WHERE id = $1")
        .bind(without.0)
        .execute(&site.hub.db)
        .await
        .unwrap();

    let with = site.page(&format!("/builds/{with}")).await;
    let without = site.page(&format!("/builds/{without}")).await;

    let (taken, unused) = (
        "scripts and files, from the step cache",
        "not used, as was asked for",
    );
    assert!(with.contains(taken) && !with.contains(unused));
    assert!(without.contains(unused) && !without.contains(taken));
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn pages_show_each_state_and_run_nothing_that_a_recipe_smuggles_in(db: PgPool) {
    let site = Site::open(db).await;
    let digest = site.publish("latest", b"image").await;
    let mut paths = vec![
        "/".to_owned(),
        format!("/?q={}", "%3Cscript%3Ealert('x')%3C/script%3E"),
        "/Lab/tool".to_owned(),
        "/queue".to_owned(),
        "/Lab/tool/deliveries".to_owned(),
        "/Lab/tool/tags/latest".to_owned(),
        format!("/Lab/tool/images/{digest}"),
    ];
    for state in ["queued", "running", "succeeded", "failed", "cancelled"] {
        let build = site.add_build(state, "latest").await;
        site.add_log(
            build,
            1,
            0,
            format!("\u{1b}[31m{HOSTILE}\u{1b}[0m\n").as_bytes(),
        )
        .await;
        site.add_phase(build, HOSTILE).await;
        paths.push(format!("/builds/{build}"));
        let page = site.page(&format!("/builds/{build}")).await;
        assert!(page.contains(&format!("pill {state}")), "{state}");
        assert!(page.contains("alert("), "{state}");
    }
    for (state, verdict) in [
        ("received", None),
        ("done", Some(HOSTILE)),
        ("failed", Some("no")),
    ] {
        site.add_delivery(state, verdict).await;
    }

    for path in paths {
        let page = site.page(&path).await;
        assert!(!page.contains("<script>alert"), "{path}");
        assert!(!page.contains("<img src=x"), "{path}");
        assert!(!page.contains('\u{1b}'), "{path}");
    }
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn a_failure_is_told_with_kind_place_cause_and_help(db: PgPool) {
    let site = Site::open(db).await;
    let build = site.add_build("failed", "latest").await;

    let page = site.page(&format!("/builds/{build}")).await;

    for part in [
        "recipe",
        "<code>%post</code>",
        "exit status 3",
        ":4:2",
        "write %post",
    ] {
        assert!(page.contains(part), "{part}");
    }
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn an_image_page_has_the_commands_that_pull_it(db: PgPool) {
    let site = Site::open(db).await;
    site.publish("latest", b"image").await;

    let page = site.page("/lab/tool/tags/latest").await;

    for command in [
        "curl -fo tool_latest.sif http://hub.example.org/Lab/tool/latest.sif",
        "apptainer pull tool_latest.sif http://hub.example.org/Lab/tool/latest.sif",
        "apptainer pull --no-https shub://hub.example.org/Lab/tool:latest",
        "class=\"hl-section\">%post",
        COMMIT,
    ] {
        assert!(page.contains(command), "{command}");
    }
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn errors_are_pages_for_browsers_and_problems_for_programs(db: PgPool) {
    let site = Site::open(db).await;

    for path in ["/nobody/nothing", "/builds/not-an-id", "/a/b/c/d"] {
        let page = site.get(path, &[("accept", "text/html,*/*")]).await;
        assert!(page.status.is_client_error(), "{path}");
        assert!(page.text().contains("Back to the collections"), "{path}");
        assert!(
            page.header("content-security-policy")
                .contains("default-src 'none'")
        );
        let problem = site.get(path, &[("accept", "*/*")]).await;
        assert_eq!(
            problem.header("content-type"),
            "application/problem+json",
            "{path}"
        );
        let json: serde_json::Value = serde_json::from_slice(&problem.body).unwrap();
        assert_eq!(json["status"], problem.status.as_u16());
    }
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn a_button_without_login_leads_to_the_login_and_changes_nothing(db: PgPool) {
    let site = Site::open(db).await;
    let build = site.add_build("queued", "latest").await;

    for path in [
        "/Lab/tool/remove".to_owned(),
        format!("/builds/{build}/cancel"),
    ] {
        let answer = site.ask(request("POST", &path, &[FORM], "")).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{path}");
        assert_eq!(answer.header("location"), "/login");
    }

    assert!(
        site.page(&format!("/builds/{build}"))
            .await
            .contains("pill queued")
    );
    assert!(!site.page("/Lab/tool").await.contains("Build now"));
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn the_administrator_logs_in_cancels_a_build_and_logs_out(db: PgPool) {
    let site = Site::open(db).await;
    let build = site.add_build("queued", "latest").await;
    let body = format!("name=Admin&password={}", site.secret("admin-password"));

    let login = site.ask(request("POST", "/login", &[FORM], &body)).await;
    let cookie = login
        .header("set-cookie")
        .split(';')
        .next()
        .unwrap()
        .to_owned();
    assert_eq!(login.status, StatusCode::SEE_OTHER);
    assert!(
        login
            .header("set-cookie")
            .contains("HttpOnly; SameSite=Lax")
    );

    let path = format!("/builds/{build}/cancel");
    let session = [FORM, ("cookie", cookie.as_str())];
    let foreign = [session[0], session[1], ("sec-fetch-site", "cross-site")];
    let forged = site.ask(request("POST", &path, &foreign, "")).await;
    assert_eq!(forged.status, StatusCode::FORBIDDEN);
    assert!(
        site.page(&format!("/builds/{build}"))
            .await
            .contains("pill queued")
    );

    let cancelled = site.ask(request("POST", &path, &session, "")).await;
    assert_eq!(cancelled.header("location"), format!("/builds/{build}"));
    assert!(
        site.page(&format!("/builds/{build}"))
            .await
            .contains("pill cancelled")
    );

    site.ask(request("POST", "/logout", &session, "")).await;
    let after = site.ask(request("POST", &path, &session, "")).await;
    assert_eq!(after.header("location"), "/login");
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn wrong_passwords_are_refused_and_soon_not_even_looked_at(db: PgPool) {
    let site = Site::open(db).await;
    let right = format!("name=admin&password={}", site.secret("admin-password"));

    for _ in 0..10 {
        let wrong = request("POST", "/login", &[FORM], "name=admin&password=guess");
        assert_eq!(site.ask(wrong).await.status, StatusCode::UNAUTHORIZED);
    }
    let answer = site.ask(request("POST", "/login", &[FORM], &right)).await;

    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert!(answer.text().contains("Too many wrong passwords"));
}
