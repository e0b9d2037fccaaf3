//! What a journey works with.

use std::fmt;
use std::sync::Arc;

use super::manners::Manners;
use crate::browser::{self, Browsers};
use crate::http::{self, Http, HttpError};
use crate::probe::ProbeId;
use crate::taxonomy::Stage;

/// Told of each step as it begins.
pub type Watcher = Arc<dyn Fn(&ProbeId, Stage) + Send + Sync>;

/// Shared by all runs of a process, cheap to clone.
#[derive(Clone)]
pub struct Tools {
    pub(super) http: Http,
    pub(super) browsers: Browsers,
    pub(super) manners: Arc<Manners>,
    pub(super) watcher: Watcher,
}

impl fmt::Debug for Tools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tools").finish_non_exhaustive()
    }
}

impl Tools {
    /// Nothing is started yet: the first run that needs a browser starts it.
    pub fn new(
        http: &http::Settings,
        browser: browser::Settings,
        watcher: Watcher,
    ) -> Result<Self, HttpError> {
        Ok(Self {
            http: Http::new(http)?,
            browsers: Browsers::new(browser),
            manners: Arc::default(),
            watcher,
        })
    }

    /// For the provider on this machine: the same browsers, no proxy, and nobody who watches.
    pub fn for_loopback(&self) -> Self {
        Self {
            http: self.http.direct(),
            browsers: self.browsers.clone(),
            manners: Arc::default(),
            watcher: Arc::new(|_, _| ()),
        }
    }

    /// Whether the browsers run on this machine, and not behind the address of a grid.
    pub fn has_own_browser(&self) -> bool {
        self.browsers.are_own()
    }

    /// A proxy that the browsers alone are told of.
    pub fn browser_proxy(&self) -> Option<url::Url> {
        self.browsers.proxy()
    }

    /// What requests are made with.
    pub fn http(&self) -> &Http {
        &self.http
    }

    /// Browser sessions in use, and how many there may be.
    pub fn browser_sessions(&self) -> (usize, usize) {
        self.browsers.sessions()
    }

    /// Ends driver and browser, with their whole process tree.
    pub async fn shutdown(&self) {
        self.browsers.shutdown().await;
    }
}
