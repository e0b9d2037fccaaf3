//! What tests with a real browser share: a small site, settings for browsers of this machine, and the processes behind.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use authcanary::browser::{Browsers, Settings};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, Uri};
use axum::response::{IntoResponse, Response};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;
use tokio::time::Instant;
use url::Url;
use uuid::Uuid;

/// Far longer than anything here takes: a limit for tests that would else hang.
pub(crate) fn deadline() -> Instant {
    Instant::now() + Duration::from_secs(90)
}

/// Chromium as root, without a way to the outside.
pub(crate) fn settings() -> Settings {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Settings {
        max_sessions: 1,
        args: [
            "--no-sandbox",
            "--disable-gpu",
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE 127.0.0.2",
        ]
        .map(str::to_owned)
        .to_vec(),
        ..Settings::default()
    }
}

/// Browsers whose processes can be told from those of other tests.
pub(crate) struct Pack {
    pub(crate) browsers: Browsers,
    mark: String,
}

impl Pack {
    pub(crate) fn new(mut settings: Settings) -> Self {
        let mark = format!("--authcanary-test={}", Uuid::now_v7());
        settings.args.push(mark.clone());
        Self {
            browsers: Browsers::new(settings),
            mark,
        }
    }

    /// The one browser that is running now, with all that belongs to it.
    pub(crate) fn processes(&self) -> Processes {
        let browser = pids()
            .find(|&pid| cmdline(pid).contains(&self.mark))
            .expect("a browser of this test is running");
        Processes::of(browser)
    }
}

/// A browser, its driver, their helpers and their folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Processes {
    pub(crate) browser: i32,
    pub(crate) driver: i32,
    pub(crate) folder: PathBuf,
    all: BTreeSet<i32>,
}

impl Processes {
    /// Those that carry the mark of the folder that `browser` carries.
    pub(crate) fn of(browser: i32) -> Self {
        let environment = fs::read_to_string(format!("/proc/{browser}/environ")).unwrap();
        let mark = environment
            .split('\0')
            .find(|line| line.starts_with("AUTHCANARY_BROWSER="))
            .expect("a browser is marked")
            .to_owned();
        let folder = mark.split_once('=').unwrap().1.into();
        let mut all: BTreeSet<i32> = pids()
            .filter(|pid| {
                fs::read_to_string(format!("/proc/{pid}/environ"))
                    .is_ok_and(|environment| environment.split('\0').any(|line| line == mark))
            })
            .collect();
        // Zygotes and renderers write their titles over their environment.
        loop {
            let is_new = |pid: &i32| !all.contains(pid) && all.contains(&parent(*pid));
            let children: Vec<i32> = pids().filter(is_new).collect();
            if children.is_empty() {
                break;
            }
            all.extend(children);
        }
        let driver = *all
            .iter()
            .find(|&&pid| cmdline(pid).contains("driver\0--port=0"))
            .unwrap();
        Self {
            browser,
            driver,
            folder,
            all,
        }
    }

    /// Those that are still there, dead and not waited for included.
    pub(crate) fn left(&self) -> Vec<(i32, String)> {
        let there = self
            .all
            .iter()
            .filter(|&&pid| kill(Pid::from_raw(pid), None).is_ok());
        there.map(|&pid| (pid, cmdline(pid))).collect()
    }

    /// The process of the page that was made last.
    pub(crate) fn page(&self) -> i32 {
        let is_page = |pid: &&i32| cmdline(**pid).contains("--type=renderer");
        *self
            .all
            .iter()
            .filter(is_page)
            .max()
            .expect("a page has a process")
    }

    /// Takes the dead off the process table that came to this process when their parent was killed.
    pub(crate) fn reap(&self) {
        for &pid in &self.all {
            let _ = waitpid(Pid::from_raw(pid), None);
        }
    }

    /// Fails where anything at all is left.
    pub(crate) fn assert_gone(&self) {
        assert_eq!(self.left(), [], "processes were left");
        assert!(!self.folder.exists(), "{} was left", self.folder.display());
    }
}

pub(crate) fn signal(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).unwrap();
}

pub(crate) fn pids() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Arguments, each followed by a zero byte; empty for a process that is gone.
pub(crate) fn cmdline(pid: i32) -> String {
    fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default()
}

fn parent(pid: i32) -> i32 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let parent = after_name.split(' ').nth(1);
    parent
        .and_then(|parent| parent.parse().ok())
        .unwrap_or_default()
}

/// One request that a [`Site`] saw.
#[derive(Debug, Clone)]
pub(crate) struct Visit {
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
}

impl Visit {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// A site on a free port of 127.0.0.1 that remembers each request.
#[derive(Clone)]
pub(crate) struct Site {
    pub(crate) address: SocketAddr,
    visits: Arc<Mutex<Vec<Visit>>>,
}

impl Site {
    /// Answers by `answer`, from the request and its body.
    pub(crate) async fn start(answer: fn(&Visit, &str) -> Response) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let visits = Arc::new(Mutex::new(Vec::new()));
        let site = Self {
            address: listener.local_addr().unwrap(),
            visits: Arc::clone(&visits),
        };
        let router = Router::new().fallback(move |request: Request<Body>| {
            let visits = Arc::clone(&visits);
            async move {
                let (parts, body) = request.into_parts();
                let body = to_bytes(body, 1 << 20).await.unwrap();
                let visit = Visit {
                    uri: parts.uri,
                    headers: parts.headers,
                };
                let response = answer(&visit, &String::from_utf8_lossy(&body));
                visits.lock().unwrap().push(visit);
                response.into_response()
            }
        });
        tokio::spawn(async move { axum::serve(listener, router).await });
        site
    }

    pub(crate) fn url(&self, path: &str) -> Url {
        Url::parse(&format!("http://{}{path}", self.address)).unwrap()
    }

    /// Requests to `path` so far.
    pub(crate) fn visits(&self, path: &str) -> Vec<Visit> {
        let visits = self.visits.lock().unwrap();
        visits
            .iter()
            .filter(|visit| visit.uri.path() == path)
            .cloned()
            .collect()
    }
}
