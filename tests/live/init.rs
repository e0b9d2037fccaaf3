//! `init` against the certified provider: by flags, and by a person at a terminal; then the daemon runs what it wrote.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use nix::pty::openpty;
use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{LocalFlags, tcgetattr};
use nix::unistd::Pid;
use tokio::time::{Instant, sleep, timeout};

use crate::canary::Canary;
use crate::certified::{Certified, PASSWORD, SECRET, USERNAME};
use crate::service::Service;

const PATIENCE: Duration = Duration::from_secs(600);

/// An empty folder in which the files of `init` are to stand, and a command whose children can be told.
fn empty() -> Canary {
    let canary = Canary::new("");
    for name in ["authcanary.yaml", "probe.yaml"] {
        fs::remove_file(canary.path(name)).unwrap();
    }
    canary
}

/// What `init` needs besides answers: a place for the store, any port, and a browser that looks up nothing.
fn usual<'a>(issuer: &'a str, store: &'a Path) -> Vec<&'a str> {
    vec![
        "init",
        issuer,
        "--store",
        store.to_str().unwrap(),
        "--listen",
        "127.0.0.1:0",
        "--browser-arg=--disable-gpu",
        "--browser-arg=--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    ]
}

/// Runs the probe that `init` wrote in a daemon, once.
async fn assert_serves(canary: &Canary) {
    let service = Service::start(canary).await;
    service.wait_for_good_run("generic/prod").await;
    assert_eq!(service.end(Signal::SIGTERM).await, Some(0));
}

#[tokio::test]
async fn what_init_wrote_by_flags_serves() {
    let provider = Certified::usual().await;
    let canary = empty()
        .variable("CLIENT_SECRET", SECRET)
        .variable("PASSWORD", PASSWORD);
    let store = canary.path("store");
    // As people paste it, with a slash too many.
    let issuer = format!("{}/", provider.issuer);
    let mut arguments = usual(&issuer, &store);
    arguments.extend([
        "--client-id",
        "canary-basic",
        "--client-secret",
        "env:CLIENT_SECRET",
        "--redirect-uri",
        "https://app.example.com/callback",
        "--username",
        USERNAME,
        "--password",
        "env:PASSWORD",
    ]);
    let ended = canary.run(&arguments).await;
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    for words in [
        "generic/prod  ok",
        "revocation",
        "logout",
        "authcanary serve",
    ] {
        assert!(ended.stdout.contains(words), "{words}: {ended:#?}");
    }
    assert_serves(&canary).await;
}

/// A terminal with a program on it, from the side of whoever sits there.
struct Terminal {
    keys: File,
    shown: Arc<Mutex<String>>,
    /// Up to where the screen was read.
    read: usize,
}

impl Terminal {
    /// The first text to come that holds `words`.
    async fn wait_for(&mut self, words: &str) {
        let end = Instant::now() + PATIENCE;
        loop {
            let shown = self.shown.lock().unwrap().clone();
            if let Some(at) = shown[self.read..].find(words) {
                self.read += at + words.len();
                return;
            }
            assert!(Instant::now() < end, "never came: {words}\n{shown}");
            sleep(Duration::from_millis(20)).await;
        }
    }

    async fn answer(&mut self, question: &str, text: &str) {
        self.wait_for(question).await;
        self.keys.write_all(format!("{text}\n").as_bytes()).unwrap();
    }

    /// Types only once the terminal shows no more what is typed, as the eye of a person waits for the prompt.
    async fn answer_unseen(&mut self, question: &str, text: &str) {
        self.wait_for(question).await;
        let end = Instant::now() + PATIENCE;
        while tcgetattr(&self.keys)
            .unwrap()
            .local_flags
            .contains(LocalFlags::ECHO)
        {
            assert!(Instant::now() < end, "what is typed is shown: {question}");
            sleep(Duration::from_millis(5)).await;
        }
        self.keys.write_all(format!("{text}\n").as_bytes()).unwrap();
    }
}

/// Runs `command` on a terminal of its own.
fn on_terminal(canary: &Canary, arguments: &[&str]) -> (tokio::process::Child, Terminal) {
    let pty = openpty(None, None).unwrap();
    let slave = || Stdio::from(pty.slave.try_clone().unwrap());
    let child = canary
        .command(arguments)
        .stdin(slave())
        .stdout(slave())
        .stderr(slave())
        .spawn()
        .unwrap();
    drop(pty.slave);
    let keys = File::from(pty.master);
    let mut screen = keys.try_clone().unwrap();
    let shown = Arc::new(Mutex::new(String::new()));
    let written = Arc::clone(&shown);
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let mut buffer = [0; 4096];
        // Reading fails when the last program has left the terminal.
        while let Ok(count @ 1..) = screen.read(&mut buffer) {
            bytes.extend_from_slice(&buffer[..count]);
            *written.lock().unwrap() = String::from_utf8_lossy(&bytes).into_owned();
        }
    });
    let terminal = Terminal {
        keys,
        shown,
        read: 0,
    };
    (child, terminal)
}

#[tokio::test]
async fn what_init_asked_for_at_a_terminal_serves() {
    let provider = Certified::usual().await;
    let canary = empty();
    let store = canary.path("store");
    let (mut child, mut terminal) = on_terminal(&canary, &usual(&provider.issuer, &store));
    let shown = Arc::clone(&terminal.shown);
    // An empty line takes what is proposed.
    terminal.answer("Environment", "").await;
    terminal.answer("Client id", "canary-post").await;
    terminal
        .answer("How the client authenticates", "\x1b[B")
        .await;
    terminal.answer("Where is the client secret kept", "").await;
    terminal.answer_unseen("The client secret", SECRET).await;
    terminal
        .answer("Redirect URI", "https://app.example.com/callback")
        .await;
    terminal.answer("Scopes", "").await;
    terminal.answer("User name", USERNAME).await;
    terminal.answer("Where is the password kept", "").await;
    terminal.answer_unseen("The password", PASSWORD).await;
    terminal.answer("one-time code", "").await;
    terminal.wait_for("Next:").await;
    let ended = timeout(PATIENCE, child.wait()).await.unwrap();
    let shown = shown.lock().unwrap().clone();
    assert_eq!(ended.unwrap().code(), Some(0), "{shown}");
    for secret in [SECRET, PASSWORD] {
        assert!(!shown.contains(secret), "{shown}");
    }
    let probe = fs::read_to_string(canary.path("probes/generic.yaml")).unwrap();
    assert!(
        probe.contains("auth: client_secret_post, secret: {file: "),
        "{probe}"
    );
    let mode = |path: &str| {
        fs::metadata(canary.path(path))
            .unwrap()
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!(mode("secrets"), 0o700);
    assert_eq!(mode("secrets/generic-prod-client"), 0o600);
    assert_eq!(mode("secrets/generic-prod-password"), 0o600);
    assert_serves(&canary).await;
}

#[tokio::test]
async fn who_leaves_at_a_question_leaves_nothing() {
    let provider = Certified::usual().await;
    let canary = empty();
    let store = canary.path("store");
    let (mut child, mut terminal) = on_terminal(&canary, &usual(&provider.issuer, &store));
    let pid = Pid::from_raw(child.id().unwrap().cast_signed());
    terminal.answer("Environment", "").await;
    terminal.wait_for("Client id").await;
    kill(pid, Signal::SIGINT).unwrap();
    let ended = timeout(PATIENCE, child.wait()).await.unwrap();
    assert_eq!(ended.unwrap().code(), Some(130));
    assert!(!canary.path("authcanary.yaml").exists() && !canary.path("probes").exists());
}
