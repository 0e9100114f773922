//! `up`: everything on one machine in one command.

mod postgres;
mod privileges;
mod settings;
pub(crate) mod signals;
mod supervise;
pub(crate) mod workers;

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::fchown;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use nix::fcntl::{Flock, FlockArg};
use nix::unistd::User;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::config::{DataFolder, RegistryArgs};
use crate::hub::{Hub, HubError};
use crate::{demo, exit};
use postgres::Postgres;
use settings::FilledIn;

/// How long the hub may take to answer after its start, its migrations included.
const START_TIMEOUT: Duration = Duration::from_mins(2);

/// How long the hub may take to finish its answers.
const HUB_GRACE: Duration = Duration::from_secs(15);

#[derive(Debug, clap::Args)]
#[command(after_help = "\
As root, the ports are bound first; then everything runs as the user of --user.

Settings of --config are those of `cooperage serve` (lease_seconds, attempts, [limits], [fetch], [rates]);
what a file says of data, database_url, listen and public_url gives way to this command line.

Examples:
  cooperage up --data /var/lib/cooperage --listen 0.0.0.0:80 --public-url http://hub.example.org
  cooperage up --config /etc/cooperage.toml")]
pub(crate) struct Args {
    #[command(flatten)]
    data: DataFolder,
    /// Address to listen on; may be repeated.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    listen: Vec<SocketAddr>,
    /// The hub's address as clients know it; the first --listen when absent.
    #[arg(long, value_name = "URL")]
    public_url: Option<Url>,
    /// Settings file, in which any key may be absent.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How many workers to run.
    #[arg(long, value_name = "N", default_value_t = 1)]
    workers: u32,
    /// The user to become when started as root; made when it does not exist.
    #[arg(long, value_name = "NAME", default_value = "cooperage")]
    user: String,
    /// Connect a demo repository, push to it, and show what comes of it.
    #[arg(long)]
    demo: bool,
    #[command(flatten)]
    registries: RegistryArgs,
}

pub(crate) fn run(mut args: Args) -> anyhow::Result<ExitCode> {
    let user = privileges::account(&args.user)?;
    privileges::make_private_folder(&args.data.path, user.as_ref())?;
    args.data.path = args.data.path.canonicalize()?;
    let Some(_lock) = lock(&args.data.path, user.as_ref())? else {
        return beside_a_running_hub(&args, user.as_ref());
    };
    let settings = settings::read(args.config.as_deref())?;
    let listeners = bind(&args.listen)?;
    if let Some(user) = &user {
        privileges::become_user(user)?;
    }
    privileges::check_reachable(&args.data.path)?;
    let runtime = tokio::runtime::Runtime::new()?;
    let ended = runtime.block_on(run_all(args, settings, listeners));
    runtime.shutdown_timeout(Duration::from_secs(5));
    ended.map(|()| ExitCode::SUCCESS)
}

/// Takes the data folder for this process; `None` when another has it.
fn lock(data: &Path, user: Option<&User>) -> anyhow::Result<Option<Flock<File>>> {
    let path = data.join("lock");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path);
    let file = file.with_context(|| format!("opening {}", path.display()))?;
    if let Some(user) = user {
        fchown(&file, Some(user.uid.as_raw()), Some(user.gid.as_raw()))?;
    }
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(Some(lock)),
        Err((_, nix::errno::Errno::EWOULDBLOCK)) => Ok(None),
        Err((_, error)) => Err(error).with_context(|| format!("locking {}", path.display())),
    }
}

fn beside_a_running_hub(args: &Args, user: Option<&User>) -> anyhow::Result<ExitCode> {
    if !args.demo {
        bail!(
            "{} is in use by another `cooperage up`",
            args.data.path.display()
        );
    }
    if let Some(user) = user {
        privileges::become_user(user)?;
    }
    let hub = Hub::of(&args.data.path)?;
    demo::run(&hub, &args.data.path, &args.registries).map(exit::code_for)
}

fn bind(addresses: &[SocketAddr]) -> anyhow::Result<Vec<TcpListener>> {
    let bind = |address| {
        let hint = "is another program using it, or does it need root?";
        TcpListener::bind(address).with_context(|| format!("listening on {address} ({hint})"))
    };
    addresses.iter().map(bind).collect()
}

async fn run_all(
    args: Args,
    settings: toml::Table,
    listeners: Vec<TcpListener>,
) -> anyhow::Result<()> {
    let asked_to_stop = signals::stop()?;
    let postgres = Postgres::start(&args.data.path).await?;
    let ended = match RunningHub::start(&args, settings, listeners, &postgres) {
        Ok(hub) => {
            let hub_stop = hub.stop.clone();
            let ended = work_until(args, hub, asked_to_stop).await;
            hub_stop.cancel();
            ended
        }
        Err(error) => Err(error),
    };
    postgres.stop().await;
    ended
}

/// The hub, as a task of this process.
struct RunningHub {
    local: Url,
    public: Url,
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

impl RunningHub {
    fn start(
        args: &Args,
        settings: toml::Table,
        listeners: Vec<TcpListener>,
        postgres: &Postgres,
    ) -> anyhow::Result<Self> {
        let bound: Vec<_> = listeners
            .iter()
            .map(TcpListener::local_addr)
            .collect::<std::io::Result<_>>()?;
        let local = local_url(bound[0])?;
        let public = args.public_url.clone().unwrap_or_else(|| local.clone());
        let filled_in = FilledIn {
            data: &args.data.path,
            database_url: postgres.url(),
            listen: &bound,
            public_url: &public,
        };
        let config = settings::complete(settings, &filled_in)?;
        let url_file = args.data.path.join("url");
        std::fs::write(&url_file, format!("{local}\n"))
            .with_context(|| format!("writing {}", url_file.display()))?;

        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let task = tokio::spawn(cooperage_server::serve(config, listeners, stopped));
        Ok(Self {
            local,
            public,
            stop,
            task,
        })
    }

    /// Waits until the hub answers its administrator, or has ended.
    async fn answers(&mut self, data: &Path) -> anyhow::Result<Hub> {
        let data = data.to_owned();
        let asking = tokio::task::spawn_blocking(move || ask_until_answered(&data));
        tokio::select! {
            ended = &mut self.task => {
                ended??;
                bail!("hub ended at its start")
            }
            hub = asking => hub?,
        }
    }

    async fn end(self) -> anyhow::Result<()> {
        self.stop.cancel();
        match tokio::time::timeout(HUB_GRACE, self.task).await {
            Ok(ended) => ended?,
            Err(_) => bail!("hub did not finish its answers within {HUB_GRACE:?}"),
        }
    }
}

/// How this machine reaches the hub.
fn local_url(mut address: SocketAddr) -> anyhow::Result<Url> {
    if address.ip().is_unspecified() {
        address.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    Ok(format!("http://{address}/").parse()?)
}

fn ask_until_answered(data: &Path) -> anyhow::Result<Hub> {
    let mut last = None;
    for _ in 0..START_TIMEOUT.as_millis() / 100 {
        match Hub::of(data).and_then(|hub| hub.workers().map(|_| hub)) {
            Ok(hub) => return Ok(hub),
            Err(error @ HubError::Refused(_)) if !error.may_pass() => return Err(error.into()),
            Err(error) => last = Some(error),
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let last = last.map_or_else(String::new, |error| error.to_string());
    bail!("hub does not answer: {last}")
}

async fn work_until(
    args: Args,
    mut hub: RunningHub,
    asked_to_stop: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    tokio::pin!(asked_to_stop);
    let client = tokio::select! {
        client = hub.answers(&args.data.path) => client?,
        () = &mut asked_to_stop => return hub.end().await,
    };
    let stop = CancellationToken::new();
    let mut workers = start_workers(&args, &hub, &client, &stop).await?;
    announce(&args, &hub);
    if args.demo {
        start_demo(client, &args);
    }

    let ended = tokio::select! {
        () = &mut asked_to_stop => Ok(()),
        ended = &mut hub.task => {
            ended?.and_then(|()| bail!("hub ended by itself"))
        }
    };
    tracing::info!("stopping");
    stop.cancel();
    while let Some(worker) = workers.join_next().await {
        worker?;
    }
    if hub.task.is_finished() {
        ended
    } else {
        ended.and(hub.end().await)
    }
}

async fn start_workers(
    args: &Args,
    hub: &RunningHub,
    client: &Hub,
    stop: &CancellationToken,
) -> anyhow::Result<JoinSet<()>> {
    let mut workers = JoinSet::new();
    for number in 1..=args.workers {
        let (client, data) = (client.clone(), args.data.path.clone());
        let register = move || workers::register(&client, &data, number);
        let token = tokio::task::spawn_blocking(register).await??;
        let (local, registries) = (hub.local.clone(), args.registries.clone());
        let program = workers::program(local, &args.data.path, number, token, registries);
        workers.spawn(supervise::supervise(program, stop.clone()));
    }
    Ok(workers)
}

fn announce(args: &Args, hub: &RunningHub) {
    let data = args.data.path.display();
    println!(
        "Cooperage is at {public}\n\
         \x20 login           admin, password in {data}/admin-password\n\
         \x20 add a repository:\n\
         \x20   cooperage collection add https://github.com/OWNER/REPO.git --name OWNER/REPO --data {data}",
        public = hub.public
    );
}

/// The demo talks to the hub as any other client does; the hub goes on when it has ended.
fn start_demo(hub: Hub, args: &Args) {
    let (data, registries) = (args.data.path.clone(), args.registries.clone());
    tokio::task::spawn_blocking(move || match demo::run(&hub, &data, &registries) {
        Ok(true) => tracing::info!("the demo is done, the hub goes on"),
        Ok(false) => tracing::error!("the demo's build has no image, the hub goes on"),
        Err(error) => tracing::error!("demo: {error:#}"),
    });
}
