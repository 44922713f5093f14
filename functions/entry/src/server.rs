//! `stanch up`: the same triggers over HTTP as in the cloud, a work queue and a timer, on loopback.
//!
//! Every request must name a loopback `Host` (a page elsewhere could point its own name here), carry no foreign `Origin`, and,
//! if it changes anything, the bearer token of the data folder. GET never changes state.

mod auth;
mod routes;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use stanch_engine::Engine;
use stanch_store::{LocalQueue, SqliteStore};
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::demo;
use crate::local::{SANDBOX_FILE, SERVER_FILE, ServerFile, TOKEN_FILE, write_private};
use crate::settings::Settings;
use crate::wiring::{self, WiringError};

/// How many remediations one round of the worker takes up.
const ROUND: usize = 64;

/// What `stanch up` was asked.
#[derive(Clone, Debug)]
pub struct UpOptions {
    /// Simulated clouds and a feed of findings.
    pub demo: bool,
    /// Where to listen; loopback only.
    pub listen: SocketAddr,
    /// The data folder.
    pub data: PathBuf,
    /// Rules; without them those that ship (for the demo: the demo's).
    pub rules: Option<PathBuf>,
    /// The settings.
    pub settings: Settings,
}

/// Why the server could not serve.
#[derive(Debug, thiserror::Error)]
pub enum UpError {
    /// Not a loopback address.
    #[error("refusing to listen on {0}: only loopback (127.0.0.1, [::1]) is served until sign-in is configured")]
    NotLoopback(SocketAddr),
    /// The address cannot be listened on.
    #[error("cannot listen on {addr}: {reason}\nhint: name another address with `--listen 127.0.0.1:PORT`")]
    Listen {
        /// The address.
        addr: SocketAddr,
        /// Why.
        reason: std::io::Error,
    },
    /// The data folder cannot be used.
    #[error("cannot use the data folder `{folder}`: {reason}")]
    Data {
        /// The folder.
        folder: PathBuf,
        /// Why.
        reason: String,
    },
    /// Settings, rules or fixes are wrong.
    #[error(transparent)]
    Wiring(#[from] WiringError),
    /// The demo's feed failed.
    #[error("the demo failed: {0}")]
    Demo(String),
}

/// Serves until the process is told to end.
pub async fn up(options: UpOptions) -> Result<(), UpError> {
    if !options.listen.ip().is_loopback() {
        return Err(UpError::NotLoopback(options.listen));
    }
    let data = |reason: String| UpError::Data { folder: options.data.clone(), reason };
    let marked = options.data.join(SANDBOX_FILE).exists();
    if options.demo {
        demo::prepare(&options.data).map_err(data)?;
    } else if marked {
        return Err(data("it belongs to the demo; name another with `--data DIR`".into()));
    }
    let listen = |reason| UpError::Listen { addr: options.listen, reason };
    let listener = TcpListener::bind(options.listen).await.map_err(listen)?;
    let addr = listener.local_addr().map_err(listen)?;

    let store = Arc::new(SqliteStore::open(&options.data).map_err(WiringError::from)?);
    let token = auth::token(&options.data.join(TOKEN_FILE)).map_err(data)?;
    let (queue, nudge) = LocalQueue::new(Arc::new(wiring::now));
    let queue = Arc::new(queue);
    let demo = options.demo.then(wiring::sandbox);
    let (rules, (clouds, sources)) = if let Some((sandbox, source)) = &demo {
        let clouds: wiring::CloudPorts = (Arc::new(sandbox.clone()), Arc::new(source.clone()));
        (demo::rules(options.rules.as_deref())?, clouds)
    } else {
        (wiring::rules(options.rules.as_deref())?, wiring::real_clouds(&options.settings)?)
    };
    let mut settings = options.settings.clone();
    if options.demo {
        // The demo tells nobody real.
        settings.channels = None;
    }
    let engine = wiring::engine(&settings, rules, clouds, sources, store.clone(), queue)?;
    let file = ServerFile { addr, pid: std::process::id() };
    let left = LeftBehind(options.data.join(SERVER_FILE));
    write_private(&left.0, &serde_json::to_string(&file).unwrap_or_default()).map_err(|e| data(e.to_string()))?;

    let user = options.settings.user.as_deref().unwrap_or("unknown");
    let router = routes::router(engine.clone(), store.clone(), token, user);
    let server = tokio::spawn(async move { axum::serve(listener, router).with_graceful_shutdown(crate::signal::ended()).await });
    // Lets the server's task listen for the end before anything long begins.
    tokio::task::yield_now().await;
    if let Some((_, source)) = &demo {
        demo::feed(&engine, source, addr, &options.data).await.map_err(UpError::Demo)?;
    } else {
        tracing::info!(%addr, data = %options.data.display(), "stanch is up");
    }
    let stop = Arc::new(Notify::new());
    let worker = tokio::spawn(keep_working(engine, nudge, stop.clone()));
    let served = server.await;
    // A round under way ends first: a write that is cut off has an unknown outcome.
    stop.notify_one();
    drop(tokio::time::timeout(Duration::from_secs(30), worker).await);
    drop(left);
    match served {
        Ok(Ok(())) => Ok(()),
        Ok(Err(reason)) => Err(UpError::Listen { addr, reason }),
        Err(error) => Err(UpError::Demo(error.to_string())),
    }
}

/// Works until told to stop. A panic is a fault of ours; it costs one round, not the worker.
async fn keep_working(engine: Engine, nudge: Arc<Notify>, stop: Arc<Notify>) {
    while let Err(error) = tokio::spawn(work(engine.clone(), nudge.clone(), stop.clone())).await {
        tracing::error!(%error, "round failed inside stanch; please report it");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Runs what is due, at a nudge and once a second. The due times in the store are the truth; a nudge only saves waiting.
async fn work(engine: Engine, nudge: Arc<Notify>, stop: Arc<Notify>) {
    loop {
        // Messages first: they say what is worth a look now. A full round leaves more behind it.
        let followed = match engine.work(ROUND).await {
            Ok(worked) => worked.taken(),
            Err(error) => {
                tracing::error!(%error, "queue not read; what is due is found without it");
                0
            }
        };
        if engine.reconcile(ROUND).await.ran.max(followed) == ROUND {
            continue;
        }
        tokio::select! {
            () = stop.notified() => return,
            _ = tokio::time::timeout(Duration::from_secs(1), nudge.notified()) => {}
        }
    }
}

/// Removes the server's file when the server ends.
struct LeftBehind(PathBuf);

impl Drop for LeftBehind {
    fn drop(&mut self) {
        drop(std::fs::remove_file(Path::new(&self.0)));
    }
}
