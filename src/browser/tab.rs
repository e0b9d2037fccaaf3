//! One run in the browser: a window in a user context of its own, which takes cookies, storage, cache, workers, HTTP
//! authentication and history with it when it goes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fantoccini::Client;
use fantoccini::wd::WindowHandle;
use jiff::Timestamp;
use serde_json::{Value as Json, json};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout, timeout_at};
use url::Url;

use super::catch::{Callback, Catch, Caught, Pattern};
use super::driver::unavailable;
use super::fault;
use super::remote::Remote;
use super::session::{Session, lost};
use super::wire::WireError;
use super::{Pool, status};
use crate::probe::{RedirectUri, ResponseMode};
use crate::redact::Redactor;
use crate::run::{BrowserVersion, Finding, Hop};
use crate::taxonomy::Class;

/// A healthy browser drops a context in a tenth of this on a busy machine.
const CLOSE: Duration = Duration::from_secs(5);
const SCREENSHOT: Duration = Duration::from_secs(5);
const RETRY: Duration = Duration::from_millis(50);
const POST: Duration = Duration::from_secs(5);
/// While nothing comes, browser and driver are asked so often whether they are there,
const HEARTBEAT: Duration = Duration::from_secs(2);
/// and must answer within this.
const PULSE: Duration = Duration::from_secs(6);

/// An isolated window for one run. Dropping it kills its browser; closing it keeps the browser for the next run.
#[derive(Debug)]
pub struct Tab {
    session: Option<Session>,
    user_context: String,
    context: String,
    /// Browser or driver failed this run; they get no other.
    broken: AtomicBool,
    pool: Arc<Pool>,
    _permit: OwnedSemaphorePermit,
}

/// How the browser's part ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arrival {
    /// The callback came, and was held back.
    Callback(Callback),
    /// A document on the way could not be loaded: a finding about the target or the network.
    Failed(Finding),
    /// Browser or driver are gone or hang: a finding about the monitor.
    Lost(Finding),
}

impl Tab {
    /// A new context in `session`. On an error the session is gone.
    pub(super) async fn enter(
        session: Session,
        pool: Arc<Pool>,
        permit: OwnedSemaphorePermit,
        deadline: Instant,
    ) -> Result<Self, (Finding, OwnedSemaphorePermit)> {
        match prepare(&session, deadline).await {
            Ok((user_context, context)) => Ok(Self {
                session: Some(session),
                user_context,
                context,
                broken: AtomicBool::new(false),
                pool,
                _permit: permit,
            }),
            Err(finding) => {
                session.end().await;
                Err((finding, permit))
            }
        }
    }

    fn session(&self) -> &Session {
        self.session
            .as_ref()
            .expect("only `close` takes it, and ends the tab")
    }

    /// For commands on the page; it is switched to the window of this run.
    pub fn client(&self) -> &Client {
        &self.session().client
    }

    /// For functions that run in the page.
    pub(super) fn remote(&self) -> Remote<'_> {
        let Session { bidi, board, .. } = self.session();
        Remote {
            bidi,
            board,
            window: &self.context,
        }
    }

    /// Requests `url`, with everything armed that holds back the answer at `redirect_uri`. Returns when the request is
    /// under way, not when a page has loaded: the callback may come at once.
    pub async fn open(
        &mut self,
        url: &Url,
        redirect_uri: &RedirectUri,
        mode: Option<ResponseMode>,
        deadline: Instant,
    ) -> Result<(), Finding> {
        let catch = Catch {
            uri: redirect_uri.clone(),
            mode,
        };
        self.arm(catch.pattern(), deadline).await?;
        let board = &self.session().board;
        board.change(|watch| watch.expect(Some(catch)));
        self.start(url, deadline).await
    }

    /// Waits for the callback, as long as the browser lives.
    pub async fn arrived(&self) -> Arrival {
        let board = &self.session().board;
        loop {
            let news = board.until(|watch| watch.is_settled());
            if timeout(HEARTBEAT, news).await.is_err() {
                if let Some(finding) = self.trouble(PULSE).await {
                    return Arrival::Lost(finding);
                }
                continue;
            }
            let (caught, failed) = board.read(|watch| (watch.caught.clone(), watch.failed.clone()));
            match (caught, failed) {
                (Some(Caught::Complete(callback)), _) => return Arrival::Callback(callback),
                (Some(Caught::Posted { request }), _) => return self.posted(request).await,
                (None, Some(finding)) => return Arrival::Failed(finding),
                (None, None) => {
                    let gone = Finding::new(Class::BrowserCrashed, "the browser is gone");
                    return Arrival::Lost(self.trouble(PULSE).await.unwrap_or(gone));
                }
            }
        }
    }

    /// Loads `url` to its end and says where that was; nothing is held back.
    pub async fn navigate(&mut self, url: &Url, deadline: Instant) -> Result<Url, Finding> {
        self.arm(None, deadline).await?;
        let board = &self.session().board;
        board.change(|watch| watch.expect(None));
        self.start(url, deadline).await?;
        let ended = board.until(|watch| watch.is_settled() || watch.has_loaded());
        if timeout_at(deadline, ended).await.is_err() {
            return Err(self.blame(&WireError::Overdue("a page")).await);
        }
        let (failed, loaded) = board.read(|watch| (watch.failed.clone(), watch.loaded.clone()));
        match (failed, loaded) {
            (Some(finding), _) => Err(finding),
            (None, Some(loaded)) => Ok(Url::parse(&loaded).unwrap_or_else(|_| url.clone())),
            (None, None) => Err(self.blame(&WireError::Closed).await),
        }
    }

    /// Sends the window to `url`, and returns when that is requested: the command itself ends only with an answer. A page
    /// that cannot be loaded shows in the watch.
    async fn start(&self, url: &Url, deadline: Instant) -> Result<(), Finding> {
        let Session { bidi, board, .. } = self.session();
        let before = board.read(|watch| watch.hops.len());
        let params = json!({"context": self.context, "url": url.as_str(), "wait": "none"});
        let navigation = tokio::select! {
            biased;
            () = board.until(|watch| watch.is_settled() || watch.hops.len() > before) => return Ok(()),
            navigation = bidi.call("browsingContext.navigate", params, deadline) => navigation,
        };
        match navigation {
            Ok(_) => Ok(()),
            Err(WireError::Refused(message)) => {
                let failed = fault::of_load(&message, url.as_str());
                board.change(|watch| watch.failed = watch.failed.take().or(failed));
                Ok(())
            }
            Err(error) => Err(self.blame(&error).await),
        }
    }

    /// Holds back requests that fit `pattern`, and no others.
    async fn arm(&mut self, pattern: Option<Pattern>, deadline: Instant) -> Result<(), Finding> {
        let session = self.session.as_mut().expect("only `close` takes it");
        match session.arm(pattern, deadline).await {
            Ok(()) => Ok(()),
            Err(error) => Err(self.blame(&error).await),
        }
    }

    /// Whether browser or driver are at fault: asks both, and gives each `limit` to answer. For whoever waited for a
    /// page in vain, before a provider is blamed.
    pub async fn trouble(&self, limit: Duration) -> Option<Finding> {
        let finding = self.diagnose(limit).await;
        if finding.is_some() {
            self.broken.store(true, Ordering::Relaxed);
        }
        finding
    }

    async fn diagnose(&self, limit: Duration) -> Option<Finding> {
        let session = self.session();
        let deadline = Instant::now() + limit;
        let driver = status(&self.pool.http, &session.address, limit);
        let (driver, browser) = tokio::join!(driver, session.pulse(deadline));
        if let Err(error) = driver {
            return Some(unavailable(format!("the driver does not answer: {error}")));
        }
        let detail = match browser {
            Ok(()) if session.board.read(|watch| watch.crashed) => {
                "the page's process crashed".to_owned()
            }
            Ok(()) => return None,
            Err(WireError::Overdue(_)) => format!("the browser did not answer within {limit:?}"),
            Err(_) => "the browser ended in the middle of the run".to_owned(),
        };
        Some(Finding::new(Class::BrowserCrashed, detail))
    }

    /// What the top page requested so far, in order.
    pub fn hops(&self, redactor: &Redactor) -> Vec<Hop> {
        let mut hops = self.session().board.read(|watch| watch.hops.clone());
        for hop in &mut hops {
            hop.url = redactor.url(&hop.url);
            for (name, value) in &mut hop.response_headers {
                *value = redactor.header(name, value);
            }
        }
        hops
    }

    /// When the browser's part began, from which hops count their time.
    pub fn began_at(&self) -> Timestamp {
        self.session().board.began_at()
    }

    /// Errors that pages wrote to the console so far.
    pub fn console_errors(&self, redactor: &Redactor) -> Vec<String> {
        let lines = self.session().board.read(|watch| watch.console.clone());
        lines.iter().map(|line| redactor.text(line)).collect()
    }

    /// Browser and driver, as they name themselves.
    pub fn version(&self) -> BrowserVersion {
        self.session().version.clone()
    }

    /// The window as a PNG, as it is: filled values are to be masked before.
    pub async fn screenshot(&self) -> Option<Vec<u8>> {
        let taken = async {
            loop {
                // Refused while one page gives way to the next.
                match self.client().screenshot().await {
                    Ok(png) => return png,
                    Err(_) => tokio::time::sleep(RETRY).await,
                }
            }
        };
        timeout(SCREENSHOT, taken).await.ok()
    }

    /// Drops everything that the run left in the browser. One that does not do so in time is killed.
    pub async fn close(mut self) {
        let Some(mut session) = self.session.take() else {
            return;
        };
        let cleared = !self.broken.load(Ordering::Relaxed)
            && session.has_driver()
            && session
                .drop_context(&self.user_context, Instant::now() + CLOSE)
                .await
                .is_ok();
        if cleared && session.is_good_after_run() {
            self.pool.give_back(session).await;
        } else {
            session.end().await;
        }
    }

    /// The body of the form post at the redirect URI. The browser gives it out once the request has failed.
    async fn posted(&self, request: String) -> Arrival {
        let deadline = Instant::now() + POST;
        let params = json!({"dataType": "request", "request": request});
        let bidi = &self.session().bidi;
        match bidi.call("network.getData", params, deadline).await {
            Ok(data) => Arrival::Callback(Callback {
                mode: ResponseMode::FormPost,
                parameters: body(&data["bytes"]),
            }),
            Err(error) => Arrival::Lost(self.blame(&error).await),
        }
    }

    /// A command failed: the driver's fault, or the browser's, or the page was just slow.
    async fn blame(&self, error: &WireError) -> Finding {
        match (self.trouble(PULSE).await, error) {
            (Some(finding), _) => finding,
            (None, WireError::Overdue(_)) => {
                Finding::new(Class::NavigationTimeout, "the page did not load in time")
            }
            (None, error) => lost(error),
        }
    }
}

async fn prepare(session: &Session, deadline: Instant) -> Result<(String, String), Finding> {
    let bidi = &session.bidi;
    let made = async {
        let made = bidi
            .call("browser.createUserContext", json!({}), deadline)
            .await?;
        let user_context = text(&made, "userContext")?;
        let params = json!({"type": "tab", "userContext": user_context});
        let made = bidi
            .call("browsingContext.create", params, deadline)
            .await?;
        Ok((user_context, text(&made, "context")?))
    };
    let (user_context, context) = made.await.map_err(|error| lost(&error))?;
    session.board.begin(&context);
    let window = WindowHandle::try_from(context.clone())
        .map_err(|_| unavailable("the browser made a window that WebDriver cannot name"))?;
    match timeout_at(deadline, session.client.switch_to_window(window)).await {
        Ok(Ok(())) => Ok((user_context, context)),
        Ok(Err(error)) => Err(unavailable(format!(
            "no command reaches the new window: {error}"
        ))),
        Err(_) => Err(unavailable(
            "the driver did not switch to the new window in time",
        )),
    }
}

fn text(result: &Json, name: &'static str) -> Result<String, WireError> {
    let text = result[name].as_str().map(str::to_owned);
    text.ok_or_else(|| WireError::Refused(format!("an answer without `{name}`")))
}

/// Bytes as BiDi gives them: text, or base64 where they are no text.
fn body(bytes: &Json) -> crate::secret::Secret {
    use base64::Engine;
    let value = bytes["value"].as_str().unwrap_or_default();
    if bytes["type"] != "base64" {
        return crate::secret::Secret::new(value);
    }
    let decoded = base64::engine::general_purpose::STANDARD
        .decode(value)
        .unwrap_or_default();
    crate::secret::Secret::new(String::from_utf8_lossy(&decoded).into_owned())
}
