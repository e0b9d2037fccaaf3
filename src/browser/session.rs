//! One WebDriver session: a browser that serves one run after the other, each in a user context of its own.

use std::time::Duration;

use fantoccini::{Client, ClientBuilder};
use serde_json::{Map, Value as Json, json};
use tokio::time::{Instant, timeout, timeout_at};
use url::Url;

use super::bidi::{Bidi, BidiError};
use super::driver::{Driver, unavailable};
use super::watch::EVENTS;
use super::{Kind, Settings};
use crate::run::{BrowserVersion, Finding};

/// A session serves so many runs; then a fresh one shakes off whatever a browser gathers over time.
const RUNS: u32 = 100;
/// Limit of a form post that is read back.
const POST_LIMIT_BYTES: u32 = 1024 * 1024;
const CONNECT: Duration = Duration::from_secs(5);
const GOODBYE: Duration = Duration::from_secs(3);

/// Switches that every run needs; the user's own come after these and win.
const CHROMIUM_ARGS: [&str; 10] = [
    "--headless=new",
    "--window-size=1280,900",
    "--disable-background-networking",
    "--disable-breakpad",
    "--disable-component-update",
    "--disable-crash-reporter",
    "--disable-quic",
    "--disable-sync",
    "--no-default-browser-check",
    "--no-first-run",
];

/// A browser, with the driver that serves it where that is ours.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) client: Client,
    pub(super) bidi: Bidi,
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
            Ok((client, bidi, version)) => Ok(Self {
                client,
                bidi,
                version,
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

    /// Counts a run, and says whether the session is good for another.
    pub(super) fn is_good_after_run(&mut self) -> bool {
        self.runs += 1;
        self.runs < RUNS && !self.bidi.is_closed()
    }

    /// Whether the driver's process is there; assumed of one that is not ours.
    pub(super) fn has_driver(&mut self) -> bool {
        self.driver.as_mut().is_none_or(Driver::is_running)
    }

    /// Ends browser and driver. A driver of ours is killed with all it started, which is quicker than asking and works
    /// when it hangs; any other is asked.
    pub(super) async fn end(self) {
        let Self {
            client,
            bidi,
            driver,
            ..
        } = self;
        drop(bidi);
        match driver {
            Some(driver) => {
                // A command that hangs in the driver would hold this one back for ever.
                let _ = timeout(GOODBYE, client.persist()).await;
                driver.end().await;
            }
            None => {
                let _ = timeout(GOODBYE, client.close()).await;
            }
        }
    }
}

async fn open(
    settings: &Settings,
    address: &Url,
) -> Result<(Client, Bidi, BrowserVersion), Finding> {
    let client = ClientBuilder::rustls()
        .map_err(|error| unavailable(format!("no certificates to trust: {error}")))?
        .capabilities(capabilities(settings))
        .connect(address.as_str())
        .await
        .map_err(|error| refused(settings, address, &error.to_string()))?;
    let granted = client.capabilities().cloned().unwrap_or_default();
    let bidi = connect(&granted, address).await?;
    let soon = Instant::now() + CONNECT;
    for (method, params) in [
        ("session.subscribe", json!({"events": EVENTS})),
        (
            "network.addDataCollector",
            json!({"dataTypes": ["request"], "maxEncodedDataSize": POST_LIMIT_BYTES}),
        ),
    ] {
        bidi.call(method, params, soon)
            .await
            .map_err(|error| unavailable(format!("the browser refused {method}: {error}")))?;
    }
    Ok((client, bidi, version(&granted)))
}

/// The driver's message, shortened to its first line, with what helps where that is known.
fn refused(settings: &Settings, address: &Url, message: &str) -> Finding {
    let line = message.lines().next().unwrap_or_default();
    let help = if message.contains("no such file")
        || message.contains("cannot find")
        || message.contains("binary")
    {
        match settings.kind() {
            Kind::Chromium => "; install Chromium or name it in `browser.binary`",
            Kind::Firefox => "; install Firefox or name it in `browser.binary`",
        }
    } else if message.contains("exited")
        || message.contains("crashed")
        || message.contains("DevToolsActivePort")
    {
        "; as root or in a container, Chromium needs `--no-sandbox` in `browser.args`"
    } else {
        ""
    };
    unavailable(format!(
        "no browser from the driver at {address}: {line}{help}"
    ))
}

async fn connect(granted: &Map<String, Json>, driver: &Url) -> Result<Bidi, Finding> {
    let Some(address) = granted.get("webSocketUrl").and_then(Json::as_str) else {
        return Err(unavailable(
            "the driver does not speak WebDriver BiDi; it is needed to hold back the callback",
        ));
    };
    let first = match timeout(CONNECT, Bidi::connect(address)).await {
        Ok(Ok(bidi)) => return Ok(bidi),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "no answer".to_owned(),
    };
    // A grid may name an address of its own inside network; the one that was given is known to work.
    let again = outside_address(address, driver);
    if again != address
        && let Ok(Ok(bidi)) = timeout(CONNECT, Bidi::connect(&again)).await
    {
        return Ok(bidi);
    }
    Err(unavailable(format!(
        "no WebDriver BiDi connection: {first}"
    )))
}

/// `address` at the host and port of `driver`.
fn outside_address(address: &str, driver: &Url) -> String {
    let Ok(mut url) = Url::parse(address) else {
        return address.to_owned();
    };
    let scheme = if driver.scheme() == "https" {
        "wss"
    } else {
        "ws"
    };
    let moved = url.set_scheme(scheme).is_ok()
        && url.set_host(driver.host_str()).is_ok()
        && url.set_port(driver.port()).is_ok();
    if moved {
        url.into()
    } else {
        address.to_owned()
    }
}

/// What is asked of the driver.
///
/// The page load strategy is `none`: with another one a click waits for the page that follows it, and while it waits,
/// chromedriver takes no word on the request that is held back, so that both wait for each other.
fn capabilities(settings: &Settings) -> Map<String, Json> {
    let mut wanted = json!({
        "pageLoadStrategy": "none",
        "unhandledPromptBehavior": "accept",
        "webSocketUrl": true,
    });
    let args = arguments(settings);
    let (name, key) = match settings.kind() {
        Kind::Chromium => ("chrome", "goog:chromeOptions"),
        Kind::Firefox => ("firefox", "moz:firefoxOptions"),
    };
    wanted["browserName"] = name.into();
    wanted[key] = json!({"args": args});
    if let Some(binary) = &settings.binary {
        wanted[key]["binary"] = binary.to_string_lossy().into();
    }
    match wanted {
        Json::Object(wanted) => wanted,
        _ => unreachable!("it was made as an object"),
    }
}

/// Our switches and the user's; where both set one, the user's stays alone.
fn arguments(settings: &Settings) -> Vec<String> {
    let ours: &[&str] = match settings.kind() {
        Kind::Chromium => &CHROMIUM_ARGS,
        Kind::Firefox => &["-headless"],
    };
    let name = |arg: &str| {
        arg.split('=')
            .next()
            .unwrap_or_default()
            .trim_start_matches('-')
            .to_owned()
    };
    let set = |arg: &&&str| settings.args.iter().any(|own| name(own) == name(arg));
    let is_wanted = |arg: &&&str| settings.headless || name(arg) != "headless";
    ours.iter()
        .filter(|arg| !set(arg) && is_wanted(arg))
        .map(|&arg| arg.to_owned())
        .chain(settings.args.iter().cloned())
        .collect()
}

fn version(granted: &Map<String, Json>) -> BrowserVersion {
    let text = |value: Option<&Json>| value.and_then(Json::as_str).unwrap_or("unknown").to_owned();
    let browser = format!(
        "{} {}",
        text(granted.get("browserName")),
        text(granted.get("browserVersion"))
    );
    let chromedriver = granted
        .get("chrome")
        .and_then(|chrome| chrome.get("chromedriverVersion"));
    let driver = match (chromedriver, granted.get("moz:geckodriverVersion")) {
        (None, Some(geckodriver)) => format!("geckodriver {}", text(Some(geckodriver))),
        (chromedriver, _) => {
            let full = text(chromedriver);
            format!(
                "chromedriver {}",
                full.split(' ').next().unwrap_or_default()
            )
        }
    };
    BrowserVersion { browser, driver }
}

/// A command to a running browser failed.
pub(super) fn lost(error: &BidiError) -> Finding {
    use crate::taxonomy::Class;
    match error {
        BidiError::Closed => Finding::new(Class::BrowserCrashed, "the browser is gone"),
        BidiError::Overdue(_) => unavailable(error.to_string()),
        BidiError::Refused(_) => Finding::new(Class::BrowserCrashed, error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(args: &[&str]) -> Settings {
        Settings {
            args: args.iter().map(|&arg| arg.to_owned()).collect(),
            ..Settings::default()
        }
    }

    #[test]
    fn a_switch_of_the_user_replaces_ours() {
        let args = arguments(&settings(&[
            "--window-size=400,800",
            "--no-sandbox",
            "--disable-quic",
        ]));
        let with = |start: &str| args.iter().filter(|arg| arg.starts_with(start)).count();
        assert_eq!(with("--window-size"), 1);
        assert!(args.contains(&"--window-size=400,800".to_owned()));
        assert_eq!(with("--disable-quic"), 1);
        assert_eq!(with("--headless"), 1);
    }

    #[test]
    fn the_sandbox_stays_on_unless_the_user_says_otherwise() {
        assert!(!arguments(&settings(&[])).contains(&"--no-sandbox".to_owned()));
    }

    #[test]
    fn a_window_can_be_shown() {
        let shown = Settings {
            headless: false,
            ..Settings::default()
        };
        assert!(!arguments(&shown).iter().any(|arg| arg.contains("headless")));
    }

    #[test]
    fn an_inside_address_of_a_grid_is_tried_at_its_outside() {
        let grid = Url::parse("https://grid.example.com/wd/hub").unwrap();
        let outside = outside_address("ws://10.0.0.3:4444/session/a/se/bidi", &grid);
        assert_eq!(outside, "wss://grid.example.com/session/a/se/bidi");
    }

    #[test]
    fn versions_are_read_from_what_the_driver_grants() {
        let granted = json!({
            "browserName": "chrome", "browserVersion": "156.0.1",
            "chrome": {"chromedriverVersion": "156.0.1 (abc)"},
        });
        let version = version(granted.as_object().unwrap());
        assert_eq!(version.browser, "chrome 156.0.1");
        assert_eq!(version.driver, "chromedriver 156.0.1");
    }
}
