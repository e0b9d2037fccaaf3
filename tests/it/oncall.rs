//! `alerts`, `silence` and `deploy`, as the one on call and a release pipeline run them.

use authcanary::notify::{Event, News, Origin, plain};
use authcanary::taxonomy::Class;
use serde_json::Value as Json;
use tempfile::TempDir;
use tokio::process::Command;

use crate::alerts::{Receiver, run, telling};
use crate::common::{Running, probe, quick, settings, start};
use crate::records::{authcanary, said};

/// A daemon that tells a webhook of a page on `acme/prod`.
async fn paging(folder: &TempDir, receiver: &Receiver) -> (Running, String) {
    let url = receiver.start().await;
    let settings = telling(settings(folder.path(), vec![probe("prod")]), &url);
    let daemon = start(settings, quick(Some(Class::SignatureInvalid))).await;
    run(&daemon).await;
    receiver.become_states(&["fired"]).await;
    let alerts = daemon.json("/api/v1/alerts").await;
    let fingerprint = alerts["alerts"][0]["fingerprint"].as_str().unwrap();
    (daemon, fingerprint.to_owned())
}

async fn json(args: &[&str], url: &str) -> Json {
    let args = [args, &["--format", "json"]].concat();
    serde_json::from_str(&said(&args, url).await).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_is_listed_shown_and_taken_on() {
    let (folder, receiver) = (TempDir::new().unwrap(), Receiver::default());
    let (daemon, fingerprint) = paging(&folder, &receiver).await;
    let base = daemon.base.clone();

    let table = said(&["alerts"], &base).await;
    assert_eq!(table.lines().count(), 1, "{table}");
    for part in [
        "page",
        "firing",
        "acme/prod: signature invalid",
        &fingerprint,
    ] {
        assert!(table.contains(part), "{part}: {table}");
    }
    let of = async |labels: &[&str]| {
        let found = json(&[&["alerts"], labels].concat(), &base).await;
        found["alerts"].as_array().unwrap().len()
    };
    assert_eq!(of(&["kind=security", "probe=acme/prod"]).await, 1);
    assert_eq!(of(&["probe=acme/staging", "probe=acme/prod"]).await, 1);
    assert_eq!(of(&["environment=staging"]).await, 0);
    assert_eq!(of(&["--state", "resolved"]).await, 0);
    assert_eq!(of(&["--all"]).await, 1);

    let shown = said(&["alerts", "show", &fingerprint], &base).await;
    for part in [
        "Firing: acme/prod: signature invalid at token exchange",
        "Where: provider acme; environment prod; probe acme/prod; location here",
        "Verdict: signature_invalid at token_exchange",
        "investigate_security",
        &format!("Runbook: {base}/runbooks/signature_invalid"),
        &format!("Evidence: {base}/runs/"),
        &format!("Silence: {base}/alerts/{fingerprint}#silence"),
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let taken = [
        "alerts",
        "ack",
        &fingerprint,
        "--by",
        "bob",
        "--note",
        "on it",
    ];
    let taken = said(&taken, &base).await;
    assert!(taken.contains("Taken on: by bob, 2"), "{taken}");
    assert!(taken.contains(": on it"), "{taken}");
    receiver.become_states(&["fired", "acknowledged"]).await;
    let table = said(&["alerts"], &base).await;
    assert!(table.contains("(taken on by bob)"), "{table}");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_that_a_notice_prints_silences_the_alert() {
    let (folder, receiver) = (TempDir::new().unwrap(), Receiver::default());
    let (daemon, fingerprint) = paging(&folder, &receiver).await;
    let base = daemon.base.clone();
    let alert = daemon.json(&format!("/api/v1/alerts/{fingerprint}")).await;
    let news = News {
        alert: serde_json::from_value(alert).unwrap(),
        event: Event::Fired,
        at: jiff::Timestamp::UNIX_EPOCH,
        note: String::new(),
        is_test: false,
    };
    let notice = plain(&news, &Origin::default());
    let lines = notice.lines();
    let command = lines
        .filter_map(|line| line.strip_prefix("Silence: "))
        .next();

    let binary = std::path::Path::new(env!("CARGO_BIN_EXE_authcanary"));
    let path = std::env::var("PATH").unwrap();
    let output = Command::new("sh")
        .args(["-c", command.unwrap()])
        .env(
            "PATH",
            format!("{}:{path}", binary.parent().unwrap().display()),
        )
        .env("AUTHCANARY_URL", &base)
        .env("USER", "ann")
        .env_remove("AUTHCANARY_TOKEN")
        .env_remove("AUTHCANARY_CONFIG")
        .output();
    let output = output.await.unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{command:?}: {errors}");
    assert!(
        errors.contains(&format!("silent now: {fingerprint}")),
        "{errors}"
    );
    let shown = json(&["alerts", "show", &fingerprint], &base).await;
    let silence = &shown["silences"][0];
    assert_eq!(silence["author"], "ann", "{shown:#}");
    assert_eq!(silence["match"]["fingerprint"], fingerprint.as_str());
    let time = |key: &str| silence[key].as_str().unwrap().parse::<jiff::Timestamp>();
    let lasts = time("ends_at")
        .unwrap()
        .duration_since(time("starts_at").unwrap());
    assert!(lasts.as_mins() > 100, "{silence}");
    let page = daemon.get(&format!("/alerts/{fingerprint}")).await.1;
    assert!(
        page.contains("ann") && page.contains("being looked at"),
        "{page}"
    );
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn silences_are_added_listed_and_ended() {
    let folder = TempDir::new().unwrap();
    let settings = settings(folder.path(), vec![probe("prod")]);
    let daemon = start(settings, quick(None)).await;
    let base = daemon.base.clone();
    let add = async |more: &[&str]| {
        let common = [
            "silence",
            "add",
            "--author",
            "ann",
            "--reason",
            "moving the database",
        ];
        let args = [&common, more, &["--format", "json"]].concat();
        let silence: Json = serde_json::from_str(&said(&args, &base).await).unwrap();
        silence["id"].as_str().unwrap().to_owned()
    };
    let now = add(&[
        "provider=acme",
        "environment=prod",
        "environment=staging",
        "--for",
        "3d",
    ])
    .await;
    let later = [
        "team=identity",
        "--from",
        "2100-01-01T00:00:00Z",
        "--until",
        "2100-01-02T00:00:00Z",
    ];
    let later = add(&later).await;
    let list = said(&["silence", "list"], &base).await;
    for part in [
        &*now,
        "environment=prod environment=staging provider=acme",
        "ends in 2 d 23 h",
        "ann",
        "moving the database",
        &later,
        "begins in",
    ] {
        assert!(list.contains(part), "{part}: {list}");
    }
    said(&["silence", "expire", &now], &base).await;
    let left = json(&["silence", "list"], &base).await;
    assert_eq!(left["silences"].as_array().unwrap().len(), 1);
    assert_eq!(left["silences"][0]["id"], later.as_str());
    let all = json(&["silence", "list", "--all"], &base).await;
    assert_eq!(all["silences"].as_array().unwrap().len(), 2);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deploy_is_marked_and_named_on_the_alert_that_begins_near_it() {
    let (folder, receiver) = (TempDir::new().unwrap(), Receiver::default());
    let (daemon, fingerprint) = paging(&folder, &receiver).await;
    let base = daemon.base.clone();
    let marker = [
        "deploy",
        "add",
        "v7",
        "--environment",
        "prod",
        "--by",
        "ci",
        "--note",
        "new gateway",
        "--link",
        "https://ci.example.com/7",
    ];
    let said_of_it = said(&marker, &base).await;
    assert!(
        said_of_it.contains("v7") && said_of_it.contains("environment prod"),
        "{said_of_it}"
    );
    receiver.become_states(&["fired", "updated"]).await;
    let shown = said(&["alerts", "show", &fingerprint], &base).await;
    assert!(shown.contains("Deploy: v7 by ci, "), "{shown}");
    assert!(
        shown.contains("new gateway https://ci.example.com/7"),
        "{shown}"
    );
    let list = said(&["deploy", "list"], &base).await;
    for part in ["v7", "environment prod", "ci", "new gateway"] {
        assert!(list.contains(part), "{part}: {list}");
    }
    let elsewhere = ["deploy", "add", "v8", "--probe", "acme/prdo", "--by", "ci"];
    let elsewhere = authcanary(&elsewhere, &[("AUTHCANARY_URL", &base)]).await;
    assert!(elsewhere.status.success());
    let warned = String::from_utf8(elsewhere.stderr).unwrap();
    assert!(
        warned.contains("no probe of this daemon is there"),
        "{warned}"
    );
    let page = daemon.get("/alerts").await.1;
    assert!(page.contains("acme/prod: signature invalid"), "{page}");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_done_is_told_in_words() {
    let folder = TempDir::new().unwrap();
    let settings = settings(folder.path(), vec![probe("prod")]);
    let daemon = start(settings, quick(None)).await;
    let there = daemon.base.as_str();
    let nobody = "http://127.0.0.1:9";
    let id = "0190a6a0-0000-7000-8000-000000000000";
    let cases: [(&[&str], &str, i32, &str); 12] = [
        (&["alerts"], nobody, 2, "is the daemon there?"),
        (
            &["alerts", "show", "nope"],
            there,
            2,
            "no alert has this fingerprint",
        ),
        (
            &["alerts", "ack", "nope", "--by", "x"],
            there,
            2,
            "no alert has this fingerprint",
        ),
        (
            &["alerts", "show", "../probes"],
            there,
            64,
            "a fingerprint is letters",
        ),
        (&["alerts", "prod"], there, 64, "a label is NAME=VALUE"),
        (&["alerts", "--state", "open"], there, 64, "--state"),
        (
            &["silence", "add", "probe=x", "--reason", "y"],
            there,
            64,
            "--for",
        ),
        (
            &["silence", "add", "--for", "1h", "--reason", "y"],
            there,
            64,
            "LABEL=VALUE",
        ),
        (
            &[
                "silence", "add", "probe=x", "--for", "1h", "--reason", " ", "--author", "x",
            ],
            there,
            2,
            "reason must not be empty",
        ),
        (
            &[
                "silence",
                "add",
                "probe=x",
                "--until",
                "2000-01-01T00:00:00Z",
                "--reason",
                "y",
                "--author",
                "x",
            ],
            there,
            2,
            "not in the past",
        ),
        (
            &["silence", "expire", id],
            there,
            2,
            "no silence has this id",
        ),
        (
            &["deploy", "add", "v1", "--by", "ci", "--link", "ftp://x/"],
            there,
            2,
            "url must begin with",
        ),
    ];
    for (args, url, code, words) in cases {
        let output = authcanary(args, &[("AUTHCANARY_URL", url)]).await;
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {errors}");
        assert!(errors.contains(words), "{args:?}: {errors}");
    }
    let nameless = [("AUTHCANARY_URL", there), ("USER", ""), ("LOGNAME", "")];
    let output = authcanary(&["alerts", "ack", "nope"], &nameless).await;
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.contains("say who you are: --by NAME"), "{errors}");
    daemon.stop().await;
}
