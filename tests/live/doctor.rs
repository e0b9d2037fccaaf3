//! `doctor` on a machine where all is well: it starts a real browser, and reaches what the configuration names.

use authcanary::loopback::{self, Config};
use serde_json::Value;

use crate::canary::Canary;

#[tokio::test]
async fn on_a_good_machine_all_is_well() {
    let provider = loopback::start(Config::demo()).await.unwrap();
    let probe = format!(
        r#"version: 1
provider: loopback
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
    let ended = canary.run(&["doctor", "--format", "json"]).await;
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    let level = |name: &str| {
        let checks = report["checks"].as_array().unwrap();
        let check = checks.iter().find(|check| check["check"] == name);
        check.map(|check| check["level"].as_str().unwrap().to_owned())
    };
    // What the machine of the test has little of is only to be looked at.
    for name in [
        "localhost",
        "driver",
        "browser",
        "versions",
        "sandbox",
        "session",
        "store",
        "secrets",
        "listen",
        "provider",
        "clock",
    ] {
        assert_eq!(level(name).as_deref(), Some("ok"), "{name}: {report:#}");
    }
    assert_eq!(ended.code, Some(0), "{report:#}");
    assert!(canary.processes().is_empty(), "a browser was left");
    provider.stop().await;
}
