//! The driver that this process starts itself: found, started on a free port, and ended with everything it started.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::process::{Den, MARK};
use super::{Kind, Settings};
use crate::run::Finding;
use crate::taxonomy::Class;

/// A driver that is up in less is usual; more is a machine in trouble.
const START: Duration = Duration::from_secs(15);
/// Last lines of the driver's own words, for the message when it dies.
const WORDS: usize = 8;

/// How often a driver is started that finds its port taken.
const ATTEMPTS: u32 = 4;
/// What a driver says of it.
const PORT_TAKEN: &str = "port not available";

/// A running driver. Dropping it ends it, its browsers and their helpers, and removes their folder.
#[derive(Debug)]
pub(super) struct Driver {
    pub(super) url: Url,
    child: Child,
    words: Words,
    /// Dropped last: it kills what is left.
    _den: Den,
}

impl Driver {
    /// Starts the driver and waits until it listens. One that found its port taken, as happens where many start at
    /// once, gets another try.
    pub(super) async fn start(settings: &Settings, deadline: Instant) -> Result<Self, Finding> {
        for _ in 1..ATTEMPTS {
            match Self::launch(settings, deadline).await {
                Err(finding) if finding.detail.contains(PORT_TAKEN) => (),
                result => return result,
            }
        }
        Self::launch(settings, deadline).await
    }

    async fn launch(settings: &Settings, deadline: Instant) -> Result<Self, Finding> {
        let program = find(&settings.driver).ok_or_else(|| missing(settings))?;
        let den = Den::dig().map_err(|error| {
            unavailable(format!(
                "no folder for browser profiles: {error}; check TMPDIR"
            ))
        })?;
        let mut child = command(&program, settings.kind(), den.path())
            .spawn()
            .map_err(|error| {
                unavailable(format!("{} did not start: {error}", program.display()))
            })?;
        let words = Words::default();
        let (found, mut port) = mpsc::channel(1);
        listen(child.stdout.take(), words.clone(), found.clone());
        listen(child.stderr.take(), words.clone(), found);
        let by = deadline.min(Instant::now() + START);
        // The channel closes when both outputs do: the driver has ended.
        match timeout_at(by, port.recv()).await {
            Ok(Some(port)) => Ok(Self {
                url: address(port),
                child,
                words,
                _den: den,
            }),
            Ok(None) => Err(unavailable(format!(
                "{} ended at once{words}",
                program.display()
            ))),
            Err(_) => Err(unavailable(format!(
                "{} did not listen within {START:?}{words}",
                program.display()
            ))),
        }
    }

    /// Whether the process is still there.
    pub(super) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// What it said last, to be put after a message.
    pub(super) fn words(&self) -> String {
        self.words.to_string()
    }

    /// Ends it off the runtime, and returns when nothing of it is left.
    pub(super) async fn end(self) {
        let _ = tokio::task::spawn_blocking(move || drop(self)).await;
    }
}

fn address(port: u16) -> Url {
    Url::parse(&format!("http://127.0.0.1:{port}/")).expect("a port makes a valid address")
}

fn command(program: &Path, kind: Kind, folder: &Path) -> Command {
    let mut command = Command::new(program);
    match kind {
        Kind::Chromium => command.arg("--port=0"),
        Kind::Firefox => command.args(["--port=0", "--websocket-port=0"]),
    };
    command
        // A signal from the terminal is for the daemon, which then ends its drivers in good order.
        .process_group(0)
        .env_clear()
        .envs(std::env::vars_os().filter(|(name, _)| is_kept(name)))
        .env(MARK, folder)
        .env("TMPDIR", folder)
        .env("XDG_CONFIG_HOME", folder)
        .env("XDG_CACHE_HOME", folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// A browser runs what strangers wrote, and secrets of the daemon may stand in its environment: of that it gets what
/// programs with windows, fonts and a network need.
fn is_kept(name: &OsStr) -> bool {
    const NAMES: [&str; 21] = [
        "PATH",
        "HOME",
        "USER",
        "LOGNAME",
        "SHELL",
        "LANG",
        "LANGUAGE",
        "TZ",
        "TZDIR",
        "LD_LIBRARY_PATH",
        "DISPLAY",
        "WAYLAND_DISPLAY",
        "XAUTHORITY",
        "XDG_RUNTIME_DIR",
        "XDG_DATA_DIRS",
        "XDG_CONFIG_DIRS",
        "DBUS_SESSION_BUS_ADDRESS",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "NO_PROXY",
    ];
    const STARTS: [&str; 6] = ["LC_", "MOZ_", "CHROME_", "FONTCONFIG_", "SSL_CERT_", "GDK_"];
    let Some(name) = name.to_str() else {
        return false;
    };
    let upper = name.to_ascii_uppercase();
    NAMES.contains(&upper.as_str()) || STARTS.iter().any(|start| upper.starts_with(start))
}

/// Reads an output to its end, so that the driver never blocks on it or dies of it.
fn listen(
    output: Option<impl AsyncRead + Unpin + Send + 'static>,
    words: Words,
    found: mpsc::Sender<u16>,
) {
    let Some(output) = output else { return };
    tokio::spawn(async move {
        let mut lines = BufReader::new(output).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            if let Some(port) = port(&line) {
                let _ = found.try_send(port);
            }
            words.add(line);
        }
    });
}

/// The port from "ChromeDriver was started successfully on port 40123." or "… Listening on 127.0.0.1:40123".
fn port(line: &str) -> Option<u16> {
    let after = line
        .split_once("successfully on port ")
        .or_else(|| line.split_once("Listening on 127.0.0.1:"))?
        .1;
    let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok().filter(|&port| port != 0)
}

/// The program as a path: searched for like a shell would, unless it has a slash.
pub(super) fn find(program: &str) -> Option<PathBuf> {
    let is_program = |path: &PathBuf| path.is_file();
    if program.contains('/') {
        return Some(PathBuf::from(program)).filter(is_program);
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(OsStr::new(program)))
        .find(is_program)
}

fn missing(settings: &Settings) -> Finding {
    let install = match settings.kind() {
        Kind::Chromium => {
            "install it (Debian, Ubuntu: chromium and chromium-driver; Fedora: chromedriver)"
        }
        Kind::Firefox => "install it (geckodriver, with Firefox)",
    };
    unavailable(format!(
        "{} was not found: {install}, name its path in `browser.driver`, or a running WebDriver in `browser.url`",
        settings.driver
    ))
}

/// The monitor's own fault.
pub(super) fn unavailable(detail: impl Into<String>) -> Finding {
    Finding::new(Class::WebdriverUnavailable, detail)
}

/// The last lines that a driver wrote.
#[derive(Debug, Clone, Default)]
struct Words(Arc<Mutex<VecDeque<String>>>);

impl Words {
    fn add(&self, mut line: String) {
        line.truncate(line.floor_char_boundary(300));
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == WORDS {
            lines.pop_front();
        }
        lines.push_back(line);
    }
}

impl std::fmt::Display for Words {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match lines.iter().rev().find(|line| !line.trim().is_empty()) {
            Some(line) => write!(f, "; it said: {}", line.trim()),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_read_from_what_drivers_print() {
        let says = |line| port(line);
        assert_eq!(says("Starting ChromeDriver 156.0 (a21c) on port 0"), None);
        assert_eq!(
            says("ChromeDriver was started successfully on port 43751."),
            Some(43751)
        );
        assert_eq!(
            says("1763728000000\tgeckodriver\tINFO\tListening on 127.0.0.1:33645"),
            Some(33645)
        );
        assert_eq!(says("successfully on port 99999"), None);
    }

    #[tokio::test]
    async fn a_missing_driver_says_what_to_install() {
        let settings = Settings {
            driver: "chromedriver-that-is-not-there".into(),
            ..Settings::default()
        };
        let deadline = Instant::now() + Duration::from_secs(5);
        let finding = Driver::start(&settings, deadline).await.unwrap_err();
        assert_eq!(finding.class, Class::WebdriverUnavailable);
        assert!(
            finding.detail.contains("chromium-driver"),
            "{}",
            finding.detail
        );
    }

    #[tokio::test]
    async fn a_driver_that_ends_at_once_is_quoted() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("driver");
        std::fs::write(&program, "#!/bin/sh\necho cannot load libfoo >&2\nexit 1\n").unwrap();
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let settings = Settings {
            driver: program.to_str().unwrap().to_owned(),
            ..Settings::default()
        };
        let deadline = Instant::now() + Duration::from_secs(5);
        let finding = Driver::start(&settings, deadline).await.unwrap_err();
        assert!(
            finding.detail.contains("cannot load libfoo"),
            "{}",
            finding.detail
        );
    }
}
