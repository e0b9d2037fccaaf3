//! `runs`, `show` and `export`, as people run them.

use std::path::Path;
use std::process::Output;
use std::time::Duration;

use authcanary::api::{Access, Right, Token};
use authcanary::daemon::Settings;
use authcanary::probe::{Probe, Window};
use authcanary::taxonomy::Class;
use jiff::tz::TimeZone;
use serde_json::Value as Json;
use tempfile::TempDir;
use tokio::process::Command;

use crate::common::{Running, every, probe, quick, settings, start, until};

/// Of the environment of a command.
type Variables<'a> = &'a [(&'a str, &'a str)];

/// A daemon of two probes, on the target of one of which planned work is always under way.
async fn with_runs(store: &Path, access: Access) -> Running {
    let always = Window {
        pattern: "* * * * *".to_owned(),
        timezone: TimeZone::UTC,
        lasts: Duration::from_secs(3600),
    };
    let slow = Probe {
        maintenance: vec![always],
        ..every(400 * 86_400, "staging")
    };
    let settings = Settings {
        access,
        ..settings(store, vec![probe("prod"), slow])
    };
    start(settings, quick(Some(Class::InvalidClient))).await
}

pub(crate) async fn authcanary(args: &[&str], envs: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_authcanary"))
        .args(args)
        .env_remove("AUTHCANARY_TOKEN")
        .env_remove("AUTHCANARY_CONFIG")
        .envs(envs.iter().copied())
        .output()
        .await
        .unwrap()
}

/// What a command prints when it goes well.
pub(crate) async fn said(args: &[&str], url: &str) -> String {
    let output = authcanary(args, &[("AUTHCANARY_URL", url)]).await;
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{args:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn runs_are_listed_shown_and_exported() {
    let folder = TempDir::new().unwrap();
    let daemon = with_runs(folder.path(), Access::default()).await;
    let mut ids = Vec::new();
    for name in ["acme/prod", "acme/staging"] {
        ids.push(daemon.run_now(name).await);
        let path = format!("/api/v1/probes/{name}/runs");
        daemon.runs_until(&path, |runs| runs.len() == 1).await;
    }
    let base = daemon.base.clone();
    let table = said(&["runs"], &base).await;
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 2, "{table}");
    assert!(
        lines[0].contains("acme/staging") && lines[0].contains(&ids[1]),
        "newest first: {table}"
    );
    assert!(
        lines[1].contains("token_exchange: invalid_client"),
        "{table}"
    );
    let one = said(
        &[
            "runs",
            "acme/prod",
            "--format",
            "json",
            "--outcome",
            "failed",
        ],
        &base,
    )
    .await;
    let one: Json = serde_json::from_str(&one).unwrap();
    assert_eq!(one["runs"][0]["id"], ids[0].as_str());
    assert_eq!(one["runs"].as_array().unwrap().len(), 1);

    let shown = said(&["show", &ids[0]], &base).await;
    for part in [
        "acme/prod",
        "invalid_client",
        "what <was> seen",
        "34 ms",
        &ids[0],
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let json: Json =
        serde_json::from_str(&said(&["show", &ids[0], "--format", "json"], &base).await).unwrap();
    assert_eq!(json["evidence"]["clock_offset_ms"], -1500);

    let exported = said(&["export"], &base).await;
    let lines: Vec<Json> = exported
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(
        lines[0].as_object().unwrap().keys().collect::<Vec<_>>(),
        [
            "t",
            "probe",
            "provider",
            "environment",
            "location",
            "interval_s",
            "outcome",
            "class",
            "stage",
            "duration_ms"
        ]
    );
    assert_eq!(lines[0]["probe"], "acme/prod");
    assert_eq!(lines[1]["maintenance"], true, "{}", lines[1]);
    assert_eq!(lines[0]["interval_s"], 400.0 * 86_400.0);
    assert_eq!(
        (&lines[0]["class"], &lines[0]["stage"]),
        (&"invalid_client".into(), &"token_exchange".into())
    );
    assert!(lines[0]["t"].as_f64() <= lines[1]["t"].as_f64());
    let csv = said(
        &["export", "--format", "csv", "--probe", "acme/staging"],
        &base,
    )
    .await;
    let csv: Vec<&str> = csv.lines().collect();
    assert_eq!(csv.len(), 2, "{csv:?}");
    assert!(csv[0].starts_with("t,probe,") && csv[1].contains(",acme/staging,acme,staging,here,"));
    assert!(csv[1].ends_with(",true"), "{csv:?}");
    assert_eq!(
        said(&["export", "--to", "2026-01-01T00:00:00Z"], &base).await,
        ""
    );
    daemon.stop().await;

    let store = folder.path().to_str().unwrap();
    let from_store = said(&["export", "--store", store], "http://127.0.0.1:9").await;
    let of = |text: &str| -> Vec<(Json, Json)> {
        let lines = text
            .lines()
            .map(|line| serde_json::from_str::<Json>(line).unwrap());
        lines
            .map(|line| (line["t"].clone(), line["probe"].clone()))
            .collect()
    };
    assert_eq!(of(&from_store), of(&exported));
    // What it writes is what `replay` reads.
    let file = folder.path().join("runs.jsonl");
    std::fs::write(&file, exported).unwrap();
    said(&["replay", "--runs", file.to_str().unwrap()], &base).await;
}

#[tokio::test]
async fn a_token_is_taken_from_where_it_is_kept() {
    const HASH: &str = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";
    let folder = TempDir::new().unwrap();
    let token = Token::new("ci", HASH, vec![Right::Read]).unwrap();
    let daemon = with_runs(&folder.path().join("store"), Access::new(vec![token])).await;
    let file = folder.path().join("token");
    std::fs::write(&file, "secret\n").unwrap();
    let file = format!("file:{}", file.display());
    let url = ("AUTHCANARY_URL", daemon.base.as_str());
    let good: [(&[&str], Variables<'_>); 3] = [
        (&["runs"], &[url, ("AUTHCANARY_TOKEN", "secret")]),
        (&["runs", "--token", "env:MINE"], &[url, ("MINE", "secret")]),
        (&["runs", "--token", &file], &[url]),
    ];
    for (args, envs) in good {
        let output = authcanary(args, envs).await;
        assert!(output.status.success(), "{args:?}: {output:?}");
    }
    let output = authcanary(&["runs"], &[url]).await;
    assert_eq!(output.status.code(), Some(2));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(
        errors.contains("a bearer token is needed") && errors.contains("--token"),
        "{errors}"
    );
    let output = authcanary(&["runs", "--token", "secret"], &[url]).await;
    assert_eq!(output.status.code(), Some(64));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.contains("never an argument"), "{errors}");
    daemon.stop().await;
}

#[tokio::test]
async fn what_cannot_be_asked_is_told_in_words() {
    let folder = TempDir::new().unwrap();
    let empty = folder.path().to_str().unwrap().to_owned();
    let daemon = with_runs(&folder.path().join("store"), Access::default()).await;
    let nobody = "http://127.0.0.1:9";
    let id = "0190a6a0-0000-7000-8000-000000000000";
    let store = folder.path().join("store");
    let store = store.to_str().unwrap();
    until(|| async { (daemon.get("/readyz").await.0 == 200).then_some(()) }).await;
    let cases: [(&[&str], &str, i32, &str); 7] = [
        (&["runs"], nobody, 2, "is the daemon there?"),
        (&["show", id], &daemon.base, 2, "there is no run"),
        (&["show", "x"], &daemon.base, 64, "a run id is a UUID"),
        (
            &["runs", "--limit", "0"],
            &daemon.base,
            2,
            "limit must lie between",
        ),
        (
            &["export", "--store", &empty],
            nobody,
            2,
            "there is no store",
        ),
        (
            &["export", "--store", store],
            nobody,
            2,
            "in use by another process",
        ),
        (
            &[
                "export",
                "--from",
                "2026-01-02T00:00:00Z",
                "--to",
                "2026-01-01T00:00:00Z",
            ],
            nobody,
            2,
            "--from lies after --to",
        ),
    ];
    for (args, url, code, words) in cases {
        let output = authcanary(args, &[("AUTHCANARY_URL", url)]).await;
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {errors}");
        assert!(errors.contains(words), "{args:?}: {errors}");
    }
    daemon.stop().await;
}
