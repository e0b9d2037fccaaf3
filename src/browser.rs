//! Browsers, and the windows that runs get in them. Starts drivers when the first run needs one, keeps each for one run
//! after the other, and kills what hangs, died or grew old, with its whole process tree.
//!
//! The callback is held back inside the browser, before the request is sent, so the application at
//! the redirect URI never sees a code. Every run has a user context of its own.

mod catch;
mod driver;
mod fault;
mod hands;
pub mod logout;
mod open;
pub mod page;
mod process;
mod remote;
pub mod script;
mod session;
pub mod signin;
mod tab;
mod trouble;
mod walker;
mod watch;
mod wire;

use std::path::PathBuf;
use std::sync::{Arc, Once};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, Semaphore};
use tokio::time::{Instant, timeout_at};
use url::Url;

pub use catch::Callback;
pub use tab::{Arrival, Tab};

use crate::run::{BrowserVersion, Finding};
use crate::taxonomy::Class;
use driver::unavailable;
use session::Session;

/// A browser that waited for its next run answers well within this, or is replaced.
const WAKE: Duration = Duration::from_secs(8);

/// The `browser` section of the daemon file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The WebDriver to start: `chromedriver`, `geckodriver`, or the path of one.
    #[schemars(length(min = 1))]
    pub driver: String,
    /// Address of a running WebDriver or Selenium Grid to use instead; `driver` then only says whose browser to ask for.
    #[schemars(extend("format" = "web-address"))]
    pub url: Option<Url>,
    /// Browsers that may run at the same time; each takes a few hundred MiB.
    #[schemars(range(min = 1))]
    pub max_sessions: usize,
    /// Further arguments of the browser. The sandbox stays on unless `--no-sandbox` stands here.
    pub args: Vec<String>,
    /// The browser itself, where the driver does not find it or should take another one.
    pub binary: Option<PathBuf>,
    /// Without a window; switch off to watch a probe at work.
    pub headless: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            driver: "chromedriver".into(),
            url: None,
            max_sessions: 2,
            args: Vec::new(),
            binary: None,
            headless: true,
        }
    }
}

/// Whose browser a driver drives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Chromium,
    Firefox,
}

impl Settings {
    /// Where the driver is found, as a run finds it.
    pub fn driver_path(&self) -> Option<PathBuf> {
        driver::find(&self.driver)
    }

    /// Whether the driver is that of Firefox; all others drive Chromium or its kin.
    pub fn is_firefox(&self) -> bool {
        self.kind() == Kind::Firefox
    }

    fn kind(&self) -> Kind {
        let name = self.driver.rsplit('/').next().unwrap_or_default();
        if name.contains("gecko") || name.contains("firefox") {
            Kind::Firefox
        } else {
            Kind::Chromium
        }
    }
}

/// All browsers of this process; cheap to clone.
#[derive(Debug, Clone)]
pub struct Browsers {
    pool: Arc<Pool>,
}

#[derive(Debug)]
struct Pool {
    settings: Settings,
    permits: Arc<Semaphore>,
    /// Browsers between two runs; `None` once there are to be no more.
    idle: Mutex<Option<Vec<Session>>>,
    http: reqwest::Client,
}

impl Browsers {
    /// Starts nothing yet.
    pub fn new(settings: Settings) -> Self {
        let http = reqwest::Client::builder().no_proxy().build();
        let permits = Arc::new(Semaphore::new(settings.max_sessions.max(1)));
        Self {
            pool: Arc::new(Pool {
                settings,
                permits,
                idle: Mutex::new(Some(Vec::new())),
                http: http.expect("a client without settings of its own can be built"),
            }),
        }
    }

    /// A fresh window, in a browser that is free or is started now. Only faults of the monitor come back.
    pub async fn acquire(&self, deadline: Instant) -> Result<Tab, Finding> {
        sweep_once().await;
        let pool = &self.pool;
        let mut permit = match timeout_at(deadline, Arc::clone(&pool.permits).acquire_owned()).await
        {
            Ok(Ok(permit)) => permit,
            Ok(Err(_)) => return Err(closing()),
            Err(_) => {
                let max = pool.settings.max_sessions;
                let detail = format!(
                    "no browser was free in time, all {max} were in use; see `browser.max_sessions`"
                );
                return Err(Finding::new(Class::Overloaded, detail));
            }
        };
        while let Some(session) = pool.take().await? {
            let soon = deadline.min(Instant::now() + WAKE);
            match Tab::enter(session, Arc::clone(pool), permit, soon).await {
                Ok(tab) => return Ok(tab),
                Err((finding, kept)) => {
                    tracing::warn!(reason = finding.detail, "an idle browser was replaced");
                    permit = kept;
                }
            }
        }
        let session = Session::start(&pool.settings, deadline).await?;
        let entered = Tab::enter(session, Arc::clone(pool), permit, deadline).await;
        entered.map_err(|(finding, _)| Finding::new(Class::WebdriverUnavailable, finding.detail))
    }

    /// Starts a browser as a run would, opens a window in it, and ends it.
    pub async fn try_out(
        settings: &Settings,
        deadline: Instant,
    ) -> Result<BrowserVersion, Finding> {
        let browsers = Self::new(settings.clone());
        let tab = browsers.acquire(deadline).await;
        let tried = match tab {
            Ok(tab) => {
                let version = tab.version();
                tab.close().await;
                Ok(version)
            }
            Err(finding) => Err(finding),
        };
        browsers.shutdown().await;
        tried
    }

    /// Whether they are started by this process, on this machine.
    pub fn are_own(&self) -> bool {
        self.pool.settings.url.is_none()
    }

    /// The proxy that the arguments of the browser name. One for each scheme, or one by script, is not looked at.
    pub fn proxy(&self) -> Option<Url> {
        let args = self.pool.settings.args.iter();
        let value = args
            .rev()
            .find_map(|arg| arg.strip_prefix("--proxy-server="))?;
        match value.contains("://") {
            true => Url::parse(value).ok(),
            false => Url::parse(&format!("http://{value}")).ok(),
        }
    }

    /// Browsers in use by runs at this moment, and how many there may be.
    pub fn sessions(&self) -> (usize, usize) {
        let max = self.pool.settings.max_sessions.max(1);
        (max - self.pool.permits.available_permits().min(max), max)
    }

    /// Ends idle browsers now and those in use when their runs close them. Nothing new is started.
    pub async fn shutdown(&self) {
        self.pool.permits.close();
        let idle = self.pool.idle.lock().await.take();
        futures::future::join_all(idle.into_iter().flatten().map(Session::end)).await;
    }
}

impl Pool {
    async fn take(&self) -> Result<Option<Session>, Finding> {
        match &mut *self.idle.lock().await {
            Some(idle) => Ok(idle.pop()),
            None => Err(closing()),
        }
    }

    async fn give_back(&self, session: Session) {
        let mut idle = self.idle.lock().await;
        if let Some(idle) = &mut *idle {
            idle.push(session);
            return;
        }
        drop(idle);
        session.end().await;
    }
}

fn closing() -> Finding {
    unavailable("no browser is started any more: this process is ending")
}

/// What daemons left that were killed goes before the first browser comes.
async fn sweep_once() {
    static ONCE: Once = Once::new();
    if ONCE.is_completed() {
        return;
    }
    let swept = tokio::task::spawn_blocking(|| {
        ONCE.call_once(|| {
            let count = process::sweep();
            if count > 0 {
                tracing::warn!(count, "removed browsers that a killed process had left");
            }
        });
    });
    let _ = swept.await;
}

/// Asks the driver whether it is there (WebDriver section 8.3, status).
async fn status(http: &reqwest::Client, address: &Url, limit: Duration) -> Result<(), String> {
    let mut url = address.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().push("status");
    }
    match http.get(url).timeout(limit).send().await {
        Ok(_) => Ok(()),
        Err(error) if error.is_timeout() => Err(format!("no answer within {limit:?}")),
        Err(_) => Err("it is gone".to_owned()),
    }
}
