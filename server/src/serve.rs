//! How does the hub start, run and end?

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use anyhow::Context;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::config::Config;
use crate::db::deliveries;
use crate::state::Hub;
use crate::store::Store;
use crate::{
    MIGRATOR, auth, collector, credentials, process, pulls, queue, routes, sign_in, signing,
};

/// How long open requests may take to end when the hub does.
const GRACE: Duration = Duration::from_secs(5);

/// Deliveries of different collections that are processed side by side.
const PROCESSORS: usize = 4;

/// Runs the hub on all of `listeners` until `shutdown` is done.
///
/// The caller has installed a rustls provider.
pub async fn serve(
    config: Config,
    listeners: Vec<TcpListener>,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let hub = start(config).await?;
    let background = spawn_background(&hub);
    let result = answer(hub.clone(), listeners, shutdown).await;
    drop(background);
    hub.write_pulls().await;
    result
}

async fn start(config: Config) -> anyhow::Result<Hub> {
    config.check()?;
    sign_in::check_secrets(&config)?;
    std::fs::create_dir_all(&config.data)
        .with_context(|| format!("data folder {} cannot be made", config.data.display()))?;
    let store = Store::open(&config.objects()).context("the store cannot be opened")?;
    // Our statements have one good plan each: to plan them again takes longer than to run them.
    let options: PgConnectOptions = config
        .database_url
        .parse()
        .context("database_url is not an address of Postgres")?;
    let options = options.options([("plan_cache_mode", "force_generic_plan")]);
    let db = PgPoolOptions::new()
        .max_connections(32)
        .connect_with(options)
        .await
        .context("Postgres cannot be reached at database_url")?;
    MIGRATOR
        .run(&db)
        .await
        .context("the schema cannot be brought up to date")?;
    auth::ensure_admin(&db, &config.data).await?;
    deliveries::rescue(&db).await?;
    let hub = Hub::new(config, db, store);
    credentials::reseal(&hub)
        .await
        .context("passwords of registries cannot be sealed")?;
    signing::prepare(&hub)
        .await
        .context("the key that signs images cannot be made")?;
    Ok(hub)
}

fn spawn_background(hub: &Hub) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    tasks.spawn(listen_forever(hub.clone()));
    tasks.spawn(queue::reap_forever(hub.clone()));
    tasks.spawn(collector::collect_forever(hub.clone()));
    tasks.spawn(pulls::write_forever(hub.clone()));
    for _ in 0..PROCESSORS {
        tasks.spawn(process::process_forever(hub.clone()));
    }
    tasks
}

async fn answer(
    hub: Hub,
    listeners: Vec<TcpListener>,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let (stop, stopping) = watch::channel(false);
    let mut servers = JoinSet::new();
    for listener in listeners {
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let mut stopping = stopping.clone();
        let stopped = async move {
            if stopping.wait_for(|stop| *stop).await.is_err() {
                tracing::debug!("the hub is gone");
            }
        };
        let app = routes::router(hub.clone()).into_make_service_with_connect_info::<SocketAddr>();
        servers.spawn(async move {
            axum::serve(listener, app)
                .with_graceful_shutdown(stopped)
                .await
        });
    }
    tokio::select! {
        () = shutdown => {}
        Some(ended) = servers.join_next() => ended??,
    }
    stop.send_replace(true);
    let all_ended = async { while servers.join_next().await.is_some() {} };
    if tokio::time::timeout(GRACE, all_ended).await.is_err() {
        tracing::info!("ended while requests were open");
    }
    Ok(())
}

/// Passes on what Postgres notifies of; after a break everybody looks for themselves.
pub(crate) async fn listen_forever(hub: Hub) {
    loop {
        if let Err(error) = listen(&hub).await {
            tracing::warn!(error = %error, "Postgres cannot be listened to");
        }
        hub.wakeups.queue.notify_waiters();
        hub.wakeups.deliveries.notify_waiters();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn listen(hub: &Hub) -> sqlx::Result<()> {
    let mut listener = PgListener::connect_with(&hub.db).await?;
    listener.listen_all(["build_queued", "delivery"]).await?;
    while let Some(notification) = listener.try_recv().await? {
        match notification.channel() {
            "build_queued" => hub.wakeups.queue.notify_waiters(),
            _ => hub.wakeups.deliveries.notify_waiters(),
        }
    }
    Ok(())
}
