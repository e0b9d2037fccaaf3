//! When this machine runs out of memory or of room, no provider is blamed for it.

use authcanary::loopback::{self, Config};
use axum::response::{Html, IntoResponse, Response};
use tokio::process::Command;

use crate::canary::{Canary, Ended};
use crate::support::{Site, Visit};

/// An authorization page that takes memory until there is none left.
fn hungry(_: &Visit, _: &str) -> Response {
    Html(
        "<title>Sign in</title><script>const kept = []; \
         setTimeout(() => { for (;;) kept.push(new Array(100000).fill(Math.random())); }, 10);</script>",
    )
    .into_response()
}

#[tokio::test]
async fn a_page_that_takes_all_memory_kills_the_browser_and_blames_nobody() {
    let site = Site::start(hungry).await;
    let place = site.url("");
    let probe = format!(
        r#"version: 1
provider: generic
every: 5m
timeout: 120s
step_timeout: 60s
scopes: [profile]
environments:
  demo:
    endpoints: {{authorization: "{place}authorize", token: "{place}token"}}
    client: {{id: demo-public, auth: none}}
    redirect_uri: https://app.example.com/callback
    account: {{username: demo@example.com, password: {{env: PASSWORD}}}}
"#
    );
    // As much as a page gets: the machine as a whole is spared.
    let browser = r#"browser: {args: ["--no-sandbox", "--disable-gpu", "--js-flags=--max-old-space-size=64", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]}
"#;
    let canary = Canary::with_daemon(&probe, browser).variable("PASSWORD", "demo-password");
    let ended = canary.check().await;
    assert_eq!(
        ended.verdict(),
        "unknown browser browser_crashed",
        "{ended:#?}"
    );
    assert_eq!(ended.code, Some(2));
}

/// The room is taken by a limit on the size of files, which needs no rights and no file system of its own; the browser
/// and its driver have it as well.
#[tokio::test]
async fn a_run_without_room_to_write_is_unknown() {
    let provider = loopback::start(Config::demo()).await.unwrap();
    let probe = format!(
        r#"version: 1
provider: generic
every: 5m
timeout: 120s
step_timeout: 60s
scopes: [openid]
environments:
  demo:
    issuer: {}
    client: {{id: demo-public, auth: none}}
    redirect_uri: https://app.example.com/callback
    account: {{username: demo@example.com, password: {{env: PASSWORD}}}}
"#,
        provider.issuer()
    );
    let canary = Canary::new(&probe).variable("PASSWORD", "demo-password");
    let ended = limited(&canary, "--fsize=0").await;
    let verdict = ended.verdict();
    let (outcome, class) = (&verdict[..7], verdict.rsplit(' ').next().unwrap());
    assert_eq!(outcome, "unknown", "{ended:#?}");
    let own = ["webdriver_unavailable", "browser_crashed", "internal"];
    assert!(own.contains(&class), "{ended:#?}");
    assert_eq!(ended.code, Some(2));
    provider.stop().await;
}

async fn limited(canary: &Canary, limit: &str) -> Ended {
    let command = canary.command(&["check", "--format", "json"]);
    let command = command.as_std();
    let mut limited = Command::new("prlimit");
    limited
        .arg(limit)
        .arg(command.get_program())
        .args(command.get_args())
        .envs(
            command
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .kill_on_drop(true);
    let output = limited.output().await.unwrap();
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
