//! `validate --online` against the certified provider.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value as Json, json};

use crate::certified::Certified;

fn validate(file: &Path) -> (i32, Json) {
    let output = Command::new(env!("CARGO_BIN_EXE_authcanary"))
        .args(["validate", "--online", "--strict", "--format", "json", "-c"])
        .arg(file)
        .output()
        .unwrap();
    (
        output.status.code().unwrap(),
        serde_json::from_slice(&output.stdout).unwrap(),
    )
}

/// Exit code, and rule and line of each finding, of a probe file with these settings of its environment.
fn audited(provider: &Certified, settings: &[&str]) -> (i32, Vec<(String, u64)>) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("probe.yaml");
    let mut text = format!(
        "version: 1\nprovider: node-oidc-provider\nenvironments:\n  local:\n    issuer: {}\n    \
         redirect_uri: https://app.example.com/callback\n    account: {{username: a, password: {{env: P}}}}\n",
        provider.issuer
    );
    for line in settings {
        text.push_str(&format!("    {line}\n"));
    }
    fs::write(&file, text).unwrap();
    let (code, report) = tokio::task::block_in_place(|| validate(&file));
    let findings = report["findings"].as_array().unwrap().iter();
    let findings = findings.map(|finding| {
        let rule = finding["rule"].as_str().unwrap().to_owned();
        (rule, finding["line"].as_u64().unwrap())
    });
    (code, findings.collect())
}

fn expected(findings: &[(&str, u64)]) -> Vec<(String, u64)> {
    let owned = |(rule, line): &(&str, u64)| ((*rule).to_owned(), *line);
    findings.iter().map(owned).collect()
}

const CLIENT: &str = "client: {id: canary-basic, secret: {env: SECRET}}";

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_is_held_against_what_the_certified_provider_says() {
    let provider = Certified::usual().await;
    let good = [
        CLIENT,
        "scopes: [openid, offline_access]",
        "response_mode: form_post",
        "steps: [{userinfo: {}}, {introspect: {}}, {refresh: {}}, {revoke: {}}, {logout: {}}]",
    ];
    assert_eq!(audited(&provider, &good), (0, vec![]));
    let scope = [CLIENT, "scopes: [openid, payments]"];
    let findings = expected(&[("scope-unsupported", 9)]);
    assert_eq!(audited(&provider, &scope), (78, findings));
    let grant = [CLIENT, "flow: client_credentials"];
    let findings = expected(&[("grant-unsupported", 9)]);
    assert_eq!(audited(&provider, &grant), (78, findings));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_takes_only_pushed_requests_is_told_apart() {
    let features =
        json!({"pushedAuthorizationRequests": {"requirePushedAuthorizationRequests": true}});
    let provider = Certified::start(&json!({"features": features})).await;
    let findings = expected(&[("request-form-required", 5)]);
    assert_eq!(audited(&provider, &[CLIENT]), (78, findings));
}
