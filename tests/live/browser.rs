//! The browser edge with a real browser: the callback, and what happens when browser or driver die, hang or are missing.

use std::process::{Command, Stdio};
use std::time::Duration;

use authcanary::browser::{Arrival, Callback, Tab};
use authcanary::probe::{RedirectUri, ResponseMode};
use authcanary::redact::Redactor;
use authcanary::taxonomy::Class;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{Html, IntoResponse, Response};
use fantoccini::Locator;
use nix::sys::signal::Signal;
use url::Url;

use super::support::{Pack, Processes, Site, Visit, cmdline, deadline, pids, settings, signal};

/// An authorization server that asks nothing (`/now`) or shows a page with one button (`/ask`), and sends the answer to
/// `to` by `mode`; `/cb` is the application, which must never be asked.
fn answer(visit: &Visit, _body: &str) -> Response {
    let address = format!("http://x{}", visit.uri);
    let url = Url::parse(&address).unwrap();
    let parameter = |name: &str| {
        let found = url.query_pairs().find(|(key, _)| key == name);
        found
            .map(|(_, value)| value.into_owned())
            .unwrap_or_default()
    };
    match url.path() {
        "/ask" => {
            let action = format!("/now?{}", url.query().unwrap()).replace('&', "&amp;");
            Html(format!("<title>ask</title><form method=post action=\"{action}\"><button id=allow>Allow</button></form>"))
                .into_response()
        }
        "/now" => {
            let to = parameter("to");
            match parameter("mode").as_str() {
                "form_post" => Html(format!(
                    "<body onload=\"document.forms[0].submit()\"><form method=post action=\"{to}\">\
                     <input type=hidden name=code value=c-1><input type=hidden name=state value=\"a b&amp;c\"></form>"
                ))
                .into_response(),
                "fragment" => redirect(&format!("{to}#code=c-1&state=a%20b%26c")),
                _ => redirect(&format!("{to}?code=c-1&state=a%20b%26c")),
            }
        }
        "/errors" => {
            Html("<title>errors</title><script>console.error('the page complains')</script>")
                .into_response()
        }
        "/moved" => redirect("/end"),
        "/end" | "/cb" => Html("<title>end</title>").into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

fn redirect(to: &str) -> Response {
    (StatusCode::SEE_OTHER, [(LOCATION, to)]).into_response()
}

fn request(site: &Site, path: &str, to: &str, mode: ResponseMode) -> Url {
    let mut url = site.url(path);
    let mode: &'static str = mode.into();
    url.query_pairs_mut()
        .append_pair("to", to)
        .append_pair("mode", mode);
    url
}

async fn arrived(tab: &Tab) -> Callback {
    // As a sign-in does: it reads the page all the time, also while the request is held back.
    let reading = async {
        loop {
            let _ = tab
                .client()
                .execute("return document.title", Vec::new())
                .await;
        }
    };
    let arrival = tokio::select! {
        arrival = tokio::time::timeout_at(deadline(), tab.arrived()) => arrival,
        () = reading => unreachable!("it reads for ever"),
    };
    match arrival.expect("a callback") {
        Arrival::Callback(callback) => callback,
        other => panic!("no callback but {other:?}"),
    }
}

async fn lost(tab: &Tab) -> Class {
    match tokio::time::timeout_at(deadline(), tab.arrived())
        .await
        .expect("an end")
    {
        Arrival::Lost(finding) => finding.class,
        other => panic!("not lost but {other:?}"),
    }
}

/// A port on which nothing listens.
async fn dead_port() -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().port()
}

/// Opens a page that stays open: nothing arrives.
async fn open_and_stay(tab: &mut Tab, site: &Site) {
    let redirect_uri = RedirectUri::parse("https://app.example.com/cb").unwrap();
    let url = request(site, "/ask", redirect_uri.as_str(), ResponseMode::Query);
    tab.open(&url, &redirect_uri, None, deadline())
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_callback_is_held_back_whatever_its_place_and_mode() {
    let site = Site::start(answer).await;
    let pack = Pack::new(settings());
    let places = [
        format!("http://{}/cb", site.address),
        format!("http://127.0.0.1:{}/cb", dead_port().await),
        "https://app.example.com/oauth/(cb)".to_owned(),
        "myapp://cb".to_owned(),
        "com.example.app:/cb".to_owned(),
    ];
    for place in &places {
        for mode in [
            ResponseMode::Query,
            ResponseMode::Fragment,
            ResponseMode::FormPost,
        ] {
            if mode == ResponseMode::FormPost && !place.starts_with("http") {
                continue;
            }
            for path in ["/now", "/ask"] {
                let mut tab = pack.browsers.acquire(deadline()).await.unwrap();
                let redirect_uri = RedirectUri::parse(place).unwrap();
                let url = request(&site, path, place, mode);
                tab.open(&url, &redirect_uri, Some(mode), deadline())
                    .await
                    .unwrap();
                if path == "/ask" {
                    let button = tab
                        .client()
                        .wait()
                        .for_element(Locator::Id("allow"))
                        .await
                        .unwrap();
                    button.click().await.unwrap();
                }
                let callback = arrived(&tab).await;
                assert_eq!(callback.mode, mode, "{place} {path}");
                let parameters =
                    Url::parse(&format!("x:?{}", callback.parameters.expose())).unwrap();
                let pairs: Vec<_> = parameters.query_pairs().into_owned().collect();
                let expected = [("code", "c-1"), ("state", "a b&c")];
                let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
                assert_eq!(pairs, expected, "{place} {path} {mode:?}");
                tab.close().await;
            }
        }
    }
    assert_eq!(
        site.visits("/cb").len(),
        0,
        "the application saw a callback"
    );
    pack.browsers.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hops_console_and_versions_are_told() {
    let site = Site::start(answer).await;
    let pack = Pack::new(settings());
    let mut tab = pack.browsers.acquire(deadline()).await.unwrap();
    let reached = tab.navigate(&site.url("/moved"), deadline()).await.unwrap();
    assert_eq!(reached, site.url("/end"));
    tab.navigate(&site.url("/errors"), deadline())
        .await
        .unwrap();
    let redirect_uri = RedirectUri::parse("https://app.example.com/cb").unwrap();
    let url = request(&site, "/now", redirect_uri.as_str(), ResponseMode::Query);
    tab.open(&url, &redirect_uri, None, deadline())
        .await
        .unwrap();
    arrived(&tab).await;

    let redactor = Redactor::default();
    let mut hops = tab.hops(&redactor);
    // The callback is caught before the last hops are told.
    let limit = deadline();
    while hops.len() < 5 || hops.iter().filter(|hop| hop.status.is_none()).count() > 1 {
        assert!(tokio::time::Instant::now() < limit, "{hops:?}");
        tokio::task::yield_now().await;
        hops = tab.hops(&redactor);
    }
    let seen: Vec<_> = hops
        .iter()
        .map(|hop| (hop.url.split('?').next().unwrap(), hop.status))
        .collect();
    let place = |path: &str| site.url(path).to_string();
    assert_eq!(
        seen,
        [
            (place("/moved").as_str(), Some(303)),
            (place("/end").as_str(), Some(200)),
            (place("/errors").as_str(), Some(200)),
            (place("/now").as_str(), Some(303)),
            ("https://app.example.com/cb", None),
        ]
    );
    assert!(
        !format!("{hops:?}").contains("c-1"),
        "a code is in {hops:?}"
    );
    assert_eq!(tab.console_errors(&redactor), ["the page complains"]);
    let version = tab.version();
    assert!(version.browser.starts_with("chrome"), "{version:?}");
    assert!(version.driver.starts_with("chromedriver "), "{version:?}");
    assert!(tab.screenshot().await.unwrap().starts_with(b"\x89PNG"));
    tab.close().await;
    pack.browsers.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_does_not_answer_is_told_from_a_browser_that_does_not() {
    let pack = Pack::new(settings());
    let mut tab = pack.browsers.acquire(deadline()).await.unwrap();
    let redirect_uri = RedirectUri::parse("https://app.example.com/cb").unwrap();
    let dead = Url::parse(&format!("http://127.0.0.1:{}/", dead_port().await)).unwrap();
    tab.open(&dead, &redirect_uri, None, deadline())
        .await
        .unwrap();
    match tab.arrived().await {
        Arrival::Failed(finding) => assert_eq!(finding.class, Class::ConnectRefused),
        other => panic!("{other:?}"),
    }
    let unknown = Url::parse("https://op.example.com/").unwrap();
    tab.open(&unknown, &redirect_uri, None, deadline())
        .await
        .unwrap();
    match tab.arrived().await {
        Arrival::Failed(finding) => assert_eq!(finding.class, Class::DnsFailure),
        other => panic!("{other:?}"),
    }
    // Accepts, and says nothing.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}/", silent.local_addr().unwrap())).unwrap();
    let soon = tokio::time::Instant::now() + Duration::from_secs(1);
    let finding = tab.navigate(&url, soon).await.unwrap_err();
    assert_eq!(finding.class, Class::NavigationTimeout);
    assert_eq!(tab.trouble(Duration::from_secs(30)).await, None);
    let soon = tokio::time::Instant::now() + Duration::from_secs(1);
    let _ = tab.open(&url, &redirect_uri, None, soon).await;
    tokio::time::timeout(Duration::from_secs(4), tab.arrived())
        .await
        .unwrap_err();
    assert_eq!(tab.trouble(Duration::from_secs(30)).await, None);
    tab.close().await;
    pack.browsers.shutdown().await;
}

/// The next run gets a window, in a browser of its own, and nothing is left of `before`.
async fn assert_replaced(pack: &Pack, tab: Tab, before: &Processes) {
    tab.close().await;
    before.assert_gone();
    let tab = pack.browsers.acquire(deadline()).await.unwrap();
    let after = pack.processes();
    assert_ne!(after.browser, before.browser);
    tab.close().await;
    pack.browsers.shutdown().await;
    after.assert_gone();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_driver_killed_in_a_run_is_the_monitors_fault_and_replaced() {
    let site = Site::start(answer).await;
    let pack = Pack::new(settings());
    let mut tab = pack.browsers.acquire(deadline()).await.unwrap();
    open_and_stay(&mut tab, &site).await;
    let before = pack.processes();
    signal(before.driver, Signal::SIGKILL);
    assert_eq!(lost(&tab).await, Class::WebdriverUnavailable);
    assert_replaced(&pack, tab, &before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_killed_in_a_run_is_the_monitors_fault_and_replaced() {
    let site = Site::start(answer).await;
    let pack = Pack::new(settings());
    let mut tab = pack.browsers.acquire(deadline()).await.unwrap();
    open_and_stay(&mut tab, &site).await;
    let before = pack.processes();
    signal(before.browser, Signal::SIGKILL);
    assert_eq!(lost(&tab).await, Class::BrowserCrashed);
    assert_replaced(&pack, tab, &before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_driver_that_hangs_in_a_run_is_the_monitors_fault_and_replaced() {
    let site = Site::start(answer).await;
    let pack = Pack::new(settings());
    let mut tab = pack.browsers.acquire(deadline()).await.unwrap();
    open_and_stay(&mut tab, &site).await;
    let before = pack.processes();
    signal(before.driver, Signal::SIGSTOP);
    assert_eq!(lost(&tab).await, Class::WebdriverUnavailable);
    assert_replaced(&pack, tab, &before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_hangs_in_a_run_is_the_monitors_fault_and_replaced() {
    let site = Site::start(answer).await;
    let pack = Pack::new(settings());
    let mut tab = pack.browsers.acquire(deadline()).await.unwrap();
    open_and_stay(&mut tab, &site).await;
    let before = pack.processes();
    signal(before.browser, Signal::SIGSTOP);
    assert_eq!(lost(&tab).await, Class::BrowserCrashed);
    assert_replaced(&pack, tab, &before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_whose_process_crashes_is_the_monitors_fault() {
    let site = Site::start(answer).await;
    let pack = Pack::new(settings());
    let mut tab = pack.browsers.acquire(deadline()).await.unwrap();
    open_and_stay(&mut tab, &site).await;
    tab.client()
        .wait()
        .for_element(Locator::Id("allow"))
        .await
        .unwrap();
    let before = pack.processes();
    signal(before.page(), Signal::SIGKILL);
    assert_eq!(lost(&tab).await, Class::BrowserCrashed);
    tab.close().await;
    pack.browsers.shutdown().await;
    before.assert_gone();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_driver_that_hangs_between_runs_costs_no_run() {
    let pack = Pack::new(settings());
    pack.browsers
        .acquire(deadline())
        .await
        .unwrap()
        .close()
        .await;
    let before = pack.processes();
    signal(before.driver, Signal::SIGSTOP);
    let tab = pack.browsers.acquire(deadline()).await.unwrap();
    assert_replaced(&pack, tab, &before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_driver_that_never_listens_is_unavailable_in_time() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("chromedriver");
    std::fs::write(&program, "#!/bin/sh\nexec sleep 1000\n").unwrap();
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut settings = settings();
    settings.driver = program.to_str().unwrap().to_owned();
    let pack = Pack::new(settings);
    let soon = tokio::time::Instant::now() + Duration::from_secs(1);
    let finding = pack.browsers.acquire(soon).await.unwrap_err();
    assert_eq!(finding.class, Class::WebdriverUnavailable);
    assert_eq!(pack.browsers.sessions(), (0, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_a_browser_has_an_end() {
    let pack = Pack::new(settings());
    let tab = pack.browsers.acquire(deadline()).await.unwrap();
    assert_eq!(pack.browsers.sessions(), (1, 1));
    let soon = tokio::time::Instant::now() + Duration::from_millis(50);
    let finding = pack.browsers.acquire(soon).await.unwrap_err();
    assert_eq!(finding.class, Class::Overloaded);
    let (next, ()) = tokio::join!(pack.browsers.acquire(deadline()), tab.close());
    next.unwrap().close().await;
    pack.browsers.shutdown().await;
    let finding = pack.browsers.acquire(deadline()).await.unwrap_err();
    assert_eq!(finding.class, Class::WebdriverUnavailable);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_cut_off_or_panics_leaves_nothing() {
    let pack = Pack::new(settings());
    let tab = pack.browsers.acquire(deadline()).await.unwrap();
    let cut_off = pack.processes();
    drop(tab);
    cut_off.assert_gone();

    let tab = pack.browsers.acquire(deadline()).await.unwrap();
    let panicked = pack.processes();
    let task = tokio::spawn(async move {
        let _tab = tab;
        panic!("a run panics");
    });
    task.await.unwrap_err();
    panicked.assert_gone();
    pack.browsers
        .acquire(deadline())
        .await
        .unwrap()
        .close()
        .await;
    let last = pack.processes();
    drop(pack);
    last.assert_gone();
}

/// A process of its own, told by environment variables what to do.
fn spawn_helper(folder: &std::path::Path, mark: &str) -> std::process::Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "browser::helper"])
        .env("TMPDIR", folder)
        .env("AUTHCANARY_TEST_MARK", mark)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a process of another test"]
async fn helper() {
    let mark = std::env::var("AUTHCANARY_TEST_MARK").unwrap();
    let mut settings = settings();
    settings.args.push(mark.clone());
    let browsers = authcanary::browser::Browsers::new(settings);
    let tab = browsers.acquire(deadline()).await.unwrap();
    if mark.contains("stay") {
        std::future::pending::<()>().await;
    }
    tab.close().await;
    browsers.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_daemon_left_goes_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let mark = format!("--authcanary-test-stay={}", uuid::Uuid::now_v7());
    let mut killed = spawn_helper(folder.path(), &mark);
    let browser = loop {
        // A renderer: the window is there.
        let found = pids().find(|&pid| {
            let line = cmdline(pid);
            line.contains(&mark) && !line.contains("--ignored")
        });
        if let Some(browser) = found {
            break browser;
        }
        assert!(
            killed.try_wait().unwrap().is_none(),
            "the helper ended by itself"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let left = Processes::of(browser);
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert_ne!(left.left(), [], "a killed daemon leaves its browser");

    let mut next = spawn_helper(folder.path(), "--authcanary-test=next");
    let status = tokio::task::spawn_blocking(move || next.wait().unwrap())
        .await
        .unwrap();
    assert!(status.success());
    left.reap();
    left.assert_gone();
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        0,
        "folders were left"
    );
}
