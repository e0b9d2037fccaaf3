//! Opens a session at a driver: what is asked of the browser, and the connections beside the session.

use std::time::Duration;

use fantoccini::{Client, ClientBuilder};
use serde_json::{Map, Value as Json, json};
use tokio::time::{Instant, timeout};
use url::Url;

use super::driver::unavailable;
use super::watch::EVENTS;
use super::wire::{Board, Wire};
use super::{Kind, Settings};
use crate::run::{BrowserVersion, Finding};

/// Limit of a form post that is read back.
const POST_LIMIT_BYTES: u32 = 1024 * 1024;
const CONNECT: Duration = Duration::from_secs(5);

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

/// A session as it was opened.
pub(super) struct Opened {
    pub(super) client: Client,
    pub(super) board: Board,
    pub(super) bidi: Wire,
    pub(super) devtools: Option<Wire>,
    pub(super) version: BrowserVersion,
}

pub(super) async fn open(settings: &Settings, address: &Url) -> Result<Opened, Finding> {
    let client = ClientBuilder::rustls()
        .map_err(|error| unavailable(format!("no certificates to trust: {error}")))?
        .capabilities(capabilities(settings))
        .connect(address.as_str())
        .await
        .map_err(|error| refused(settings, address, &error.to_string()))?;
    let granted = client.capabilities().cloned().unwrap_or_default();
    let board = Board::new();
    let bidi = bidi(&granted, address, &board).await?;
    let devtools = match settings.kind() {
        Kind::Chromium => Some(devtools(&granted, address, &board).await?),
        Kind::Firefox => None,
    };
    let collector = json!({"dataTypes": ["request"], "maxEncodedDataSize": POST_LIMIT_BYTES});
    set_up(
        &bidi,
        "session.subscribe",
        json!({"events": events(settings.kind())}),
    )
    .await?;
    set_up(&bidi, "network.addDataCollector", collector).await?;
    if let Some(devtools) = &devtools {
        // Tells of pages that crash.
        set_up(
            devtools,
            "Target.setDiscoverTargets",
            json!({"discover": true}),
        )
        .await?;
    }
    Ok(Opened {
        version: version(&granted),
        client,
        board,
        bidi,
        devtools,
    })
}

/// What the browser is to tell: each event costs.
fn events(kind: Kind) -> Vec<&'static str> {
    let is_needed = |event: &&str| kind == Kind::Firefox || *event != "network.responseStarted";
    EVENTS.into_iter().filter(is_needed).collect()
}

async fn set_up(wire: &Wire, method: &'static str, params: Json) -> Result<(), Finding> {
    match wire.call(method, params, Instant::now() + CONNECT).await {
        Ok(_) => Ok(()),
        Err(error) => Err(unavailable(format!(
            "the browser refused {method}: {error}"
        ))),
    }
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

async fn bidi(granted: &Map<String, Json>, driver: &Url, board: &Board) -> Result<Wire, Finding> {
    let Some(address) = granted.get("webSocketUrl").and_then(Json::as_str) else {
        return Err(unavailable(
            "the driver does not speak WebDriver BiDi, which tells what pages request; a newer one is needed",
        ));
    };
    connect(address, driver, board)
        .await
        .map_err(|reason| unavailable(format!("no WebDriver BiDi connection: {reason}")))
}

/// A grid passes DevTools on at an address of its own; else the browser is on the driver's machine.
async fn devtools(
    granted: &Map<String, Json>,
    driver: &Url,
    board: &Board,
) -> Result<Wire, Finding> {
    let closed =
        |reason: String| unavailable(format!("no DevTools connection to the browser: {reason}"));
    if let Some(address) = granted.get("se:cdp").and_then(Json::as_str) {
        return connect(address, driver, board).await.map_err(closed);
    }
    let debugger = granted
        .get("goog:chromeOptions")
        .and_then(|options| options.get("debuggerAddress"))
        .and_then(Json::as_str)
        .ok_or_else(|| closed("the driver names no address for it".to_owned()))?;
    let known = reqwest::Client::builder()
        .no_proxy()
        .timeout(CONNECT)
        .build();
    let known = known.map_err(|error| closed(error.to_string()))?;
    let answer = async {
        let url = format!("http://{debugger}/json/version");
        let body = known.get(url).send().await?.bytes().await?;
        Ok::<_, reqwest::Error>(serde_json::from_slice::<Json>(&body).unwrap_or_default())
    };
    let answer = answer.await.map_err(|error| closed(error.to_string()))?;
    let address = answer["webSocketDebuggerUrl"].as_str().unwrap_or_default();
    connect(address, driver, board).await.map_err(closed)
}

/// Connects to `address`, or else to the same place at the host of the driver: a grid may name an address of its own
/// inside network, and the one that was given is known to work.
async fn connect(address: &str, driver: &Url, board: &Board) -> Result<Wire, String> {
    let first = match timeout(CONNECT, Wire::connect(address, board)).await {
        Ok(Ok(wire)) => return Ok(wire),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "no answer".to_owned(),
    };
    let again = outside_address(address, driver);
    if again != address
        && let Ok(Ok(wire)) = timeout(CONNECT, Wire::connect(&again, board)).await
    {
        return Ok(wire);
    }
    Err(first)
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

/// What is asked of the driver. The page load strategy is `none`: with another one a click would wait for the page that
/// follows it, which never comes where the callback is held back.
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
    if settings.kind() == Kind::Chromium {
        // The driver would have the browser write into its folder what pages write to their consoles.
        wanted[key]["excludeSwitches"] = json!(["enable-logging"]);
    }
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
