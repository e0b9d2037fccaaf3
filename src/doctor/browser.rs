//! The browser: is it there, does its driver fit, may it have its sandbox, does it start.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;
use tokio::time::{Instant, timeout};

use super::{ANSWER, Check, install};
use crate::browser::{Browsers, Settings};
use crate::machine;

/// A browser that has not started by then will not do for a probe either.
const START: std::time::Duration = std::time::Duration::from_secs(60);

/// Where drivers look beside `PATH`.
const FOLDERS: [&str; 6] = [
    "/usr/local/bin",
    "/usr/bin",
    "/bin",
    "/opt/google/chrome",
    "/usr/lib/chromium",
    "/snap/bin",
];

/// A helper that gives the sandbox what the kernel does not give to users.
const HELPERS: [&str; 3] = [
    "/usr/lib/chromium/chrome-sandbox",
    "/opt/google/chrome/chrome-sandbox",
    "/usr/lib/chromium-browser/chrome-sandbox",
];

const NO_SANDBOX: &str = "--no-sandbox";

pub(super) async fn checks(settings: &Settings) -> Vec<Check> {
    if let Some(url) = &settings.url {
        return vec![
            session(
                settings,
                &format!("see whether a WebDriver answers: curl {url}status"),
            )
            .await,
        ];
    }
    let driver = Program::find(settings.driver_path()).await;
    let browser = Program::find(browser_path(settings)).await;
    let mut checks = vec![
        of_driver(settings, driver.as_ref()),
        of_browser(settings, browser.as_ref()),
    ];
    if let (Some(driver), Some(browser), false) = (&driver, &browser, settings.is_firefox()) {
        checks.push(versions(&driver.version, &browser.version));
    }
    if driver.is_none() {
        checks.push(Check::skipped(
            "session",
            "no driver to start a browser with",
        ));
        return checks;
    }
    if !settings.is_firefox() {
        checks.push(sandbox(&Sandbox::of_this_machine(settings)));
    }
    let help =
        "read the reason, then try by hand what `authcanary explain webdriver_unavailable` says";
    checks.push(session(settings, help).await);
    checks
}

/// A program that was found, and what it says of itself.
struct Program {
    path: PathBuf,
    /// As printed, in one line; empty where it says nothing.
    version: String,
}

impl Program {
    async fn find(path: Option<PathBuf>) -> Option<Self> {
        let path = path?;
        let asked = Command::new(&path)
            .arg("--version")
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .output();
        let said = match timeout(ANSWER, asked).await {
            Ok(Ok(output)) => String::from_utf8_lossy(&output.stdout).into_owned(),
            Ok(Err(_)) | Err(_) => String::new(),
        };
        let version = said.lines().next().unwrap_or_default().trim().to_owned();
        Some(Self { path, version })
    }

    fn words(&self) -> String {
        let place = self.path.display();
        match named(&self.version).as_str() {
            "" => format!("{place}, which does not tell its version"),
            name => format!("{name} at {place}"),
        }
    }
}

/// Up to the number: what comes behind it is about the build.
fn named(version: &str) -> String {
    let is_number = |word: &str| word.starts_with(|first: char| first.is_ascii_digit());
    let words: Vec<&str> = version.split_whitespace().collect();
    let end = words
        .iter()
        .position(|word| is_number(word))
        .map_or(0, |at| at + 1);
    words[..end].join(" ")
}

fn browser_path(settings: &Settings) -> Option<PathBuf> {
    if let Some(binary) = &settings.binary {
        return Some(binary.clone()).filter(|path| path.is_file());
    }
    let names: &[&str] = match settings.is_firefox() {
        true => &["firefox", "firefox-esr"],
        false => &[
            "google-chrome",
            "google-chrome-stable",
            "chromium",
            "chromium-browser",
            "chrome",
        ],
    };
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path)
        .chain(FOLDERS.map(PathBuf::from))
        .collect();
    let mut places = names
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    places.find(|path| path.is_file())
}

fn installed(settings: &Settings) -> String {
    match settings.is_firefox() {
        true => format!(
            "{}; cargo install geckodriver",
            install("firefox-esr", "firefox", "firefox")
        ),
        false => install(
            "chromium chromium-driver",
            "chromium chromedriver",
            "chromium chromium-chromedriver",
        ),
    }
}

fn of_driver(settings: &Settings, found: Option<&Program>) -> Check {
    match found {
        Some(driver) => Check::ok("driver", driver.words()),
        None => Check::fault(
            "driver",
            format!("{} was not found", settings.driver),
            installed(settings),
        ),
    }
}

fn of_browser(settings: &Settings, found: Option<&Program>) -> Check {
    match (found, &settings.binary) {
        (Some(browser), _) => Check::ok("browser", browser.words()),
        (None, Some(binary)) => Check::fault(
            "browser",
            format!("{} is not there", binary.display()),
            format!("{}, and leave `browser.binary` out", installed(settings)),
        ),
        (None, None) => Check::fault("browser", "no browser was found", installed(settings)),
    }
}

/// Browser and driver of Chromium go together by their first number.
fn versions(driver: &str, browser: &str) -> Check {
    match (major(driver), major(browser)) {
        (Some(driver), Some(browser)) if driver == browser => {
            Check::ok("versions", format!("browser and driver are both {driver}"))
        }
        (Some(driver), Some(browser)) => Check::fault(
            "versions",
            format!("the driver is for {driver}, the browser is {browser}"),
            "install both from the same source: apt-get install chromium chromium-driver",
        ),
        _ => Check::skipped("versions", "one of the two does not tell its version"),
    }
}

/// The first number with a dot behind it.
fn major(version: &str) -> Option<u32> {
    let mut words = version.split_whitespace();
    words.find_map(|word| word.split_once('.')?.0.parse().ok())
}

/// What the sandbox of Chromium depends on.
#[derive(Debug, Clone, Default)]
struct Sandbox {
    is_switched_off: bool,
    is_root: bool,
    has_helper: bool,
    /// A setting of the kernel that keeps users from namespaces of their own.
    forbidden_by: Option<&'static str>,
}

impl Sandbox {
    fn of_this_machine(settings: &Settings) -> Self {
        Self {
            is_switched_off: settings.args.iter().any(|arg| arg == NO_SANDBOX),
            is_root: nix::unistd::geteuid().is_root(),
            has_helper: HELPERS.iter().any(|path| Path::new(path).exists()),
            forbidden_by: forbidden_by(machine::kernel),
        }
    }
}

fn forbidden_by(setting: impl Fn(&str) -> Option<u64>) -> Option<&'static str> {
    [
        (
            "user/max_user_namespaces",
            0,
            "user.max_user_namespaces=15000",
        ),
        (
            "kernel/unprivileged_userns_clone",
            0,
            "kernel.unprivileged_userns_clone=1",
        ),
        (
            "kernel/apparmor_restrict_unprivileged_userns",
            1,
            "kernel.apparmor_restrict_unprivileged_userns=0",
        ),
    ]
    .into_iter()
    .find_map(|(name, forbids, mend)| (setting(name) == Some(forbids)).then_some(mend))
}

fn sandbox(facts: &Sandbox) -> Check {
    const NAME: &str = "sandbox";
    match facts {
        Sandbox {
            is_switched_off: true,
            is_root: true,
            ..
        } => Check::ok(NAME, "off by --no-sandbox, as it must be for root"),
        Sandbox {
            is_switched_off: true,
            ..
        } => Check::warning(
            NAME,
            "off by --no-sandbox, though this user is not root: pages run unconfined",
            "leave --no-sandbox out of `browser.args`",
        ),
        Sandbox { is_root: true, .. } => Check::fault(
            NAME,
            "Chromium refuses to start its sandbox for root",
            "run authcanary as a user of its own, or write `browser: {args: [\"--no-sandbox\"]}` in the daemon file",
        ),
        Sandbox {
            forbidden_by: Some(setting),
            has_helper: false,
            ..
        } => Check::fault(
            NAME,
            "the kernel gives this user no namespaces, which the sandbox is made of",
            format!(
                "sysctl -w {setting}, or: {}",
                install("chromium-sandbox", "chromium", "chromium")
            ),
        ),
        Sandbox { .. } => Check::ok(NAME, "this user may have it"),
    }
}

/// The proof of it all. As root, where the sandbox is the fault that is known already, the rest is tried without it.
async fn session(settings: &Settings, help: &str) -> Check {
    let is_known = settings.url.is_none()
        && !settings.is_firefox()
        && nix::unistd::geteuid().is_root()
        && !settings.args.iter().any(|arg| arg == NO_SANDBOX);
    let mut tried = settings.clone();
    if is_known {
        tried.args.push(NO_SANDBOX.to_owned());
    }
    let how = if is_known {
        "starts with --no-sandbox"
    } else {
        "starts"
    };
    match Browsers::try_out(&tried, Instant::now() + START).await {
        Ok(version) => Check::ok("session", format!("{how}: {}", version.browser)),
        Err(finding) => Check::fault("session", finding.detail, help),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    #[test]
    fn versions_go_together_by_their_first_number() {
        let check = |driver: &str, browser: &str| versions(driver, browser).level;
        let driver = "ChromeDriver 156.0.7444.59 (4b3f)";
        assert_eq!(
            check(driver, "Chromium 156.0.7444.59 built on Debian"),
            Level::Ok
        );
        assert_eq!(check(driver, "Google Chrome 155.0.1.2"), Level::Fault);
        assert_eq!(check(driver, ""), Level::Skipped);
    }

    #[test]
    fn names_end_with_their_number() {
        assert_eq!(
            named("Chromium 156.0.1 built on Debian GNU/Linux 12"),
            "Chromium 156.0.1"
        );
        assert_eq!(
            named("Mozilla Firefox 140.4.0esr"),
            "Mozilla Firefox 140.4.0esr"
        );
        assert_eq!(named(""), "");
    }

    #[test]
    fn the_sandbox_is_judged_by_user_kernel_and_arguments() {
        let check = |facts: Sandbox, level: Level, mend: &str| {
            let judged = sandbox(&facts);
            assert_eq!(judged.level, level, "{facts:?}");
            assert!(judged.mend.unwrap_or_default().contains(mend), "{facts:?}");
        };
        let usual = Sandbox::default;
        check(usual(), Level::Ok, "");
        check(
            Sandbox {
                is_root: true,
                ..usual()
            },
            Level::Fault,
            "--no-sandbox",
        );
        let off = Sandbox {
            is_switched_off: true,
            ..usual()
        };
        check(off.clone(), Level::Warning, "leave --no-sandbox out");
        check(
            Sandbox {
                is_root: true,
                ..off
            },
            Level::Ok,
            "",
        );
        let forbidden = Sandbox {
            forbidden_by: Some("user.max_user_namespaces=15000"),
            ..usual()
        };
        check(
            forbidden.clone(),
            Level::Fault,
            "sysctl -w user.max_user_namespaces=15000",
        );
        check(
            Sandbox {
                has_helper: true,
                ..forbidden
            },
            Level::Ok,
            "",
        );
    }

    #[test]
    fn settings_of_the_kernel_are_read_by_their_meaning() {
        let with = |name: &'static str, value| move |asked: &str| (asked == name).then_some(value);
        assert_eq!(
            forbidden_by(with("user/max_user_namespaces", 0)),
            Some("user.max_user_namespaces=15000")
        );
        assert_eq!(forbidden_by(with("user/max_user_namespaces", 96_365)), None);
        assert_eq!(
            forbidden_by(with("kernel/unprivileged_userns_clone", 1)),
            None
        );
        assert!(forbidden_by(with("kernel/apparmor_restrict_unprivileged_userns", 1)).is_some());
    }
}
