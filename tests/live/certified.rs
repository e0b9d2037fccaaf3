//! The certified provider of the tests, as a process of its own.

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// Ends with the test: its standard input closes when this is dropped.
pub(crate) struct Certified {
    pub(crate) issuer: String,
    _process: Child,
}

/// The client secret and password that the server is started with by default.
pub(crate) const SECRET: &str = r#"s3cret +/%&=:?"~"#;
pub(crate) const USERNAME: &str = "canary@example.com";
pub(crate) const PASSWORD: &str = "c4nary & \"Söhne\" +%";

impl Certified {
    pub(crate) async fn start(configuration: &Value) -> Self {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/live/oidc-provider");
        let mut process = Command::new("node")
            .arg("server.mjs")
            .arg(configuration.to_string())
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("node starts");
        let mut lines = BufReader::new(process.stdout.take().expect("stdout is piped")).lines();
        let first = timeout(Duration::from_secs(60), lines.next_line())
            .await
            .expect("the provider starts in time");
        let line = first
            .expect("a line")
            .expect("the provider says where it is; is `npm ci` done?");
        let ready: Value = serde_json::from_str(&line).expect("the first line is JSON");
        let issuer = ready["issuer"].as_str().expect("an issuer").to_owned();
        // A full pipe would stop it.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self {
            issuer,
            _process: process,
        }
    }

    /// With its usual clients, account and pages.
    pub(crate) async fn usual() -> Self {
        Self::start(&json!({})).await
    }
}
