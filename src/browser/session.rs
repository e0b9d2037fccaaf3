//! One WebDriver session: a browser that serves one run after the other, each in a user context of its own.

use std::time::Duration;

use fantoccini::Client;
use serde_json::json;
use tokio::time::{Instant, timeout, timeout_at};
use url::Url;

use super::Settings;
use super::catch::Pattern;
use super::driver::{Driver, unavailable};
use super::open::open;
use super::wire::{Board, Wire, WireError};
use crate::run::{BrowserVersion, Finding};

/// A session serves so many runs; then a fresh one shakes off whatever a browser gathers over time.
const RUNS: u32 = 100;
const GOODBYE: Duration = Duration::from_secs(3);

/// A pattern that holds requests back.
#[derive(Debug)]
struct Armed {
    pattern: Pattern,
    /// The interception's id, where BiDi does it.
    intercept: Option<String>,
}

/// A browser, with the driver that serves it where that is ours.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) client: Client,
    pub(super) board: Board,
    pub(super) bidi: Wire,
    /// Chromium only. chromedriver takes no BiDi command while a WebDriver command waits for a page, and a page waits
    /// for the request that is held back: so that one is held and let go where chromedriver has no part in it.
    pub(super) devtools: Option<Wire>,
    /// What the browser holds back at this moment.
    armed: Option<Armed>,
    pub(super) version: BrowserVersion,
    /// Where the driver listens.
    pub(super) address: Url,
    runs: u32,
    // Last: what is above speaks to it to its end.
    driver: Option<Driver>,
}

impl Session {
    /// Starts a browser, and the driver where none is given.
    pub(super) async fn start(settings: &Settings, deadline: Instant) -> Result<Self, Finding> {
        let mut driver = match &settings.url {
            Some(_) => None,
            None => Some(Driver::start(settings, deadline).await?),
        };
        let address = match (&settings.url, &driver) {
            (Some(url), _) => url.clone(),
            (None, Some(driver)) => driver.url.clone(),
            (None, None) => unreachable!("a driver was started where no address was given"),
        };
        let opened = match timeout_at(deadline, open(settings, &address)).await {
            Ok(opened) => opened,
            Err(_) => Err(unavailable("the driver did not open a browser in time")),
        };
        match opened {
            Ok(opened) => Ok(Self {
                client: opened.client,
                board: opened.board,
                bidi: opened.bidi,
                devtools: opened.devtools,
                armed: None,
                version: opened.version,
                address,
                runs: 0,
                driver,
            }),
            Err(mut finding) => {
                if let Some(driver) = driver.take() {
                    if finding.detail.len() < 80 {
                        finding.detail.push_str(&driver.words());
                    }
                    driver.end().await;
                }
                Err(finding)
            }
        }
    }

    /// Holds back requests that fit `pattern`, and no others.
    pub(super) async fn arm(
        &mut self,
        pattern: Option<Pattern>,
        deadline: Instant,
    ) -> Result<(), WireError> {
        if self.armed.as_ref().map(|armed| &armed.pattern) == pattern.as_ref() {
            return Ok(());
        }
        if let Some(armed) = self.armed.take() {
            match (&self.devtools, armed.intercept) {
                (Some(devtools), _) => devtools.call("Fetch.disable", json!({}), deadline).await?,
                (None, intercept) => {
                    let params = json!({"intercept": intercept});
                    self.bidi
                        .call("network.removeIntercept", params, deadline)
                        .await?
                }
            };
        }
        let Some(pattern) = pattern else {
            return Ok(());
        };
        let intercept = match &self.devtools {
            Some(devtools) => {
                let paused = json!({"urlPattern": pattern.devtools, "requestStage": "Request"});
                let params = json!({"patterns": [paused]});
                devtools.call("Fetch.enable", params, deadline).await?;
                None
            }
            None => {
                let patterns = [&pattern.bidi];
                let params = json!({"phases": ["beforeRequestSent"], "urlPatterns": patterns});
                let added = self
                    .bidi
                    .call("network.addIntercept", params, deadline)
                    .await?;
                added["intercept"].as_str().map(str::to_owned)
            }
        };
        self.armed = Some(Armed { pattern, intercept });
        Ok(())
    }

    /// Drops a user context with everything in it, past a driver that may be busy.
    pub(super) async fn drop_context(
        &self,
        user_context: &str,
        deadline: Instant,
    ) -> Result<(), WireError> {
        match &self.devtools {
            Some(devtools) => {
                let params = json!({"browserContextId": user_context});
                devtools
                    .call("Target.disposeBrowserContext", params, deadline)
                    .await?;
            }
            None => {
                let params = json!({"userContext": user_context});
                self.bidi
                    .call("browser.removeUserContext", params, deadline)
                    .await?;
            }
        }
        Ok(())
    }

    /// Whether the browser answers at all; whatever a page does, it should.
    pub(super) async fn pulse(&self, deadline: Instant) -> Result<(), WireError> {
        let answer = match &self.devtools {
            Some(devtools) => {
                devtools
                    .call("Browser.getVersion", json!({}), deadline)
                    .await
            }
            None => {
                self.bidi
                    .call("browser.getUserContexts", json!({}), deadline)
                    .await
            }
        };
        match answer {
            Ok(_) | Err(WireError::Refused(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Counts a run, and says whether the session is good for another.
    pub(super) fn is_good_after_run(&mut self) -> bool {
        self.runs += 1;
        self.runs < RUNS && !self.board.is_closed()
    }

    /// Whether the driver's process is there; assumed of one that is not ours.
    pub(super) fn has_driver(&mut self) -> bool {
        self.driver.as_mut().is_none_or(Driver::is_running)
    }

    /// Ends browser and driver. A driver of ours is killed with all it started, which is quicker than asking and works
    /// when it hangs; any other is asked.
    pub(super) async fn end(self) {
        let Self { client, driver, .. } = self;
        match driver {
            Some(driver) => {
                // First: a command that hangs in the driver holds back all others of this client.
                driver.end().await;
                let _ = timeout(GOODBYE, client.persist()).await;
            }
            None => {
                let _ = timeout(GOODBYE, client.close()).await;
            }
        }
    }
}

/// A command to a running browser failed.
pub(super) fn lost(error: &WireError) -> Finding {
    use crate::taxonomy::Class;
    match error {
        WireError::Closed => Finding::new(Class::BrowserCrashed, "the browser is gone"),
        WireError::Overdue(_) => unavailable(error.to_string()),
        WireError::Refused(_) => Finding::new(Class::BrowserCrashed, error.to_string()),
    }
}
