//! `stanch up`: the same triggers over HTTP as in the cloud, a work queue and a timer, on loopback.
//!
//! Every request must name a loopback `Host` (a page elsewhere could point its own name here), carry no foreign `Origin`, and,
//! if it changes anything, the bearer token of the data folder. GET never changes state.

mod auth;
mod routes;
mod work;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use stanch_store::FileSpill;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::demo;
use crate::local::{self, SANDBOX_FILE, SERVER_FILE, ServerFile, TOKEN_FILE, write_private};
use crate::recognize::read_as;
use crate::settings::Settings;
use crate::wiring::{self, WiringError};

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

    let settings = own_settings(&options);
    local::make_private(&options.data).map_err(|e| data(e.to_string()))?;
    let state = wiring::state(&settings).await?;
    let token = auth::token(&options.data.join(TOKEN_FILE)).map_err(data)?;
    let demo = options.demo.then(wiring::sandbox);
    let (rules, clouds): (_, wiring::CloudPorts) = if let Some((sandbox, source)) = &demo {
        (demo::rules(options.rules.as_deref())?, (Arc::new(sandbox.clone()), Arc::new(source.clone())))
    } else {
        (wiring::rules(options.rules.as_deref())?, wiring::real_clouds(&settings)?)
    };
    let spill = Arc::new(FileSpill::new(&options.data.join("spill")));
    let engine = wiring::sweeping_engine(&settings, rules, clouds, &state)?.with_spill(spill, |function, event| read_as(event, function));
    let file = ServerFile { addr, pid: std::process::id(), account: settings.account().map(str::to_owned) };
    let left = LeftBehind(options.data.join(SERVER_FILE));
    write_private(&left.0, &serde_json::to_string(&file).unwrap_or_default()).map_err(|e| data(e.to_string()))?;

    let user = options.settings.user.as_deref().unwrap_or("unknown");
    let router = routes::router(engine.clone(), state.store.clone(), token, user);
    let server = tokio::spawn(async move { axum::serve(listener, router).with_graceful_shutdown(crate::signal::ended()).await });
    // Lets the server's task listen for the end before anything long begins.
    tokio::task::yield_now().await;
    if let Some((_, source)) = &demo {
        demo::feed(&engine, source, addr, &options.data).await.map_err(UpError::Demo)?;
    } else {
        tracing::info!(%addr, state = state.place, data = %options.data.display(), "stanch is up");
    }
    let (stop, stopped) = watch::channel(false);
    let worker = tokio::spawn(work::keep_working(engine, state, stopped));
    let served = server.await;
    stop.send_replace(true);
    drop(tokio::time::timeout(Duration::from_secs(30), worker).await);
    drop(left);
    match served {
        Ok(Ok(())) => Ok(()),
        Ok(Err(reason)) => Err(UpError::Listen { addr, reason }),
        Err(error) => Err(UpError::Demo(error.to_string())),
    }
}

/// The settings of this server. The demo keeps its state in its folder, tells nobody real and lists no real source.
fn own_settings(options: &UpOptions) -> Settings {
    let mut settings = Settings { data: Some(options.data.clone()), ..options.settings.clone() };
    if options.demo {
        settings.keep_in(options.data.clone());
        (settings.channels, settings.sweep) = (None, None);
    }
    settings
}

/// Removes the server's file when the server ends.
struct LeftBehind(PathBuf);

impl Drop for LeftBehind {
    fn drop(&mut self) {
        drop(std::fs::remove_file(Path::new(&self.0)));
    }
}
