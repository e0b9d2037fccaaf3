//! Nothing secret leaves memory. A daemon and the commands run with everything switched on, against a provider that fails
//! and that shows in its errors whatever it was sent; then every byte that came out anywhere is searched for every secret
//! that was on the wire or in a vault.

mod daemon;
mod needles;
mod scene;
mod tap;
mod watch;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use regex::Regex;
use serde_json::{Value, json};

use crate::mail;

use daemon::{Daemon, until};
use needles::{Needles, Search, written};
use scene::{API_TOKEN, PASSWORD, SLACK_PATH, Scene, Spoiled};
use tap::Echo;
use watch::Watch;

/// Probe, what is wrong, and the verdict of the run.
fn runs() -> Vec<(&'static str, Spoiled, &'static str)> {
    use Spoiled::{Fault, Not};
    let echo = Spoiled::Echo;
    vec![
        ("basic", Not, "ok"),
        ("post", Not, "ok"),
        ("machine", Not, "ok"),
        ("basic", echo(Echo::TokenJson), ""),
        ("post", echo(Echo::TokenPage), ""),
        ("basic", echo(Echo::TokenText), ""),
        ("post", echo(Echo::TokenCut), ""),
        ("machine", echo(Echo::TokenJson), ""),
        ("basic", echo(Echo::RefreshJson), ""),
        ("post", echo(Echo::Userinfo), ""),
        ("basic", echo(Echo::Revocation), ""),
        ("basic", echo(Echo::LoginPage), ""),
        ("factor", echo(Echo::MfaRedirect), ""),
        ("basic", echo(Echo::CallbackError), ""),
        ("basic", echo(Echo::CallbackState), ""),
        (
            "basic",
            Fault("token", json!("wrong_signature")),
            "signature_invalid",
        ),
        (
            "post",
            Fault("token", json!("truncated")),
            "malformed_response",
        ),
        ("basic", Fault("login", json!("captcha")), "bot_challenge"),
        (
            "factor",
            Fault("mfa", json!("refused_credentials")),
            "bad_user_credentials",
        ),
        (
            "basic",
            Fault("login", json!("refused_credentials")),
            "bad_user_credentials",
        ),
        (
            "basic",
            Fault("login", json!("refused_credentials")),
            "bad_user_credentials",
        ),
        (
            "machine",
            Fault("token", json!("expired_secret")),
            "client_secret_expired",
        ),
        (
            "machine",
            Fault("token", json!("expired_secret")),
            "client_secret_expired",
        ),
    ]
}

/// Places and what stands there.
type Hay = Vec<(String, Vec<u8>)>;

fn files(hay: &mut Hay, folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files(hay, &path);
        } else {
            hay.push((
                path.display().to_string(),
                fs::read(&path).unwrap_or_default(),
            ));
        }
    }
}

/// Every address that the API has for a GET, with every id that there is.
async fn pages(daemon: &Daemon, hay: &mut Hay) {
    let listed = async |path: &str, list: &str, id: &str| {
        let found = daemon.json(path).await;
        let items = found[list].as_array().cloned().unwrap_or_default();
        items
            .iter()
            .map(|item| item[id].as_str().unwrap_or_default().to_owned())
            .collect::<Vec<_>>()
    };
    let runs = listed("/api/v1/runs?limit=1000", "runs", "id").await;
    let alerts = listed("/api/v1/alerts", "alerts", "fingerprint").await;
    assert!(!alerts.is_empty(), "there is no alert to look at");
    let mut probes = vec!["generic/basic".to_owned()];
    probes.push("generic/basic/runs".to_owned());
    probes.push("generic/post/stats".to_owned());
    let route = Regex::new(r#"route\(\s*"([^"]+)""#).unwrap();
    let place = Regex::new(r"\{[^}]+\}").unwrap();
    for route in route.captures_iter(include_str!("../../src/api.rs")) {
        let pattern = &route[1];
        let ids = match () {
            () if pattern.contains("{class}") => vec!["invalid_grant".to_owned()],
            () if pattern.contains("{fingerprint}") => alerts.clone(),
            () if pattern.contains("{*") => probes.clone(),
            () if pattern.contains("{id}") => runs.clone(),
            () => vec![String::new()],
        };
        for id in ids {
            let path = place.replace(pattern, id.as_str());
            let (_, text) = daemon.get(&path).await;
            hay.push((path.into_owned(), text.into_bytes()));
        }
    }
    let (_, text) = daemon.get("/api/v1/export?format=csv").await;
    hay.push(("export as CSV".to_owned(), text.into_bytes()));
    // Who puts a token where it does not belong is refused, and does not find it in the log.
    let (_, text) = daemon
        .get(&format!("/api/v1/nothing?access_token={API_TOKEN}"))
        .await;
    hay.push(("an address that is not there".to_owned(), text.into_bytes()));
}

/// What the commands print, those that run a probe by themselves and those that ask the daemon.
async fn commands(scene: &Scene, daemon: &Daemon, runs: &[Value], hay: &mut Hay) {
    let failed = runs.iter().find(|run| run["outcome"] == "failed").unwrap();
    let id = failed["id"].as_str().unwrap();
    let asking: &[&[&str]] = &[
        &["runs", "--url", &daemon.base],
        &["show", id, "--url", &daemon.base],
        &["show", id, "--format", "json", "--url", &daemon.base],
        &["export", "--url", &daemon.base],
        &["validate"],
    ];
    for arguments in asking {
        let ended = scene.canary.run(arguments).await;
        assert!(!ended.stdout.is_empty(), "{arguments:?}: {ended:?}");
        hay.push((
            format!("{arguments:?}"),
            format!("{}{}", ended.stdout, ended.stderr).into_bytes(),
        ));
    }
    for (echo, format) in [
        (Echo::TokenJson, "json"),
        (Echo::LoginPage, "pretty"),
        (Echo::CallbackError, "junit"),
    ] {
        scene.spoil(&Spoiled::Echo(echo));
        let arguments = [
            "--log",
            "trace",
            "--log-format",
            "json",
            "check",
            "generic/basic",
            "--format",
            format,
        ];
        let ended = scene.canary.run(&arguments).await;
        assert_eq!(ended.code, Some(1), "{:.2000}", ended.stdout);
        hay.push((
            format!("stdout of check --format {format}"),
            ended.stdout.into_bytes(),
        ));
        hay.push((
            format!("stderr of check --format {format}"),
            ended.stderr.into_bytes(),
        ));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_found_in_anything_that_leaves_memory() {
    let mut scene = Scene::start().await;
    let watch = Watch::start(&scene.canary);
    let daemon = Daemon::start(&scene).await;
    let (mut done, mut wrong) = (Vec::new(), Vec::new());
    for (environment, spoiled, expected) in runs() {
        scene.spoil(&spoiled);
        let run = daemon.run(environment).await;
        let got = run["verdict"]["class"].as_str().or(run["outcome"].as_str());
        // What an answer means that quotes half a conversation is nothing to hold on to.
        let is_wrong = match spoiled {
            Spoiled::Echo(_) => run["outcome"] != "failed",
            Spoiled::Not | Spoiled::Fault(..) => got != Some(expected),
        };
        if is_wrong {
            let (got, detail) = (got.unwrap_or_default(), &run["verdict"]["detail"]);
            wrong.push(format!(
                "{environment}: {got} instead of {expected}; {detail:.600}"
            ));
        }
        if matches!(spoiled, Spoiled::Echo(_)) && scene.tap.echo(None) == 0 {
            wrong.push(format!("{environment} {expected}: nothing was shown"));
        }
        done.push(run);
    }
    let mut hay = Hay::new();
    let notice = scene.mail.line().await;
    let letter = mail::parsed(notice["mail"].as_str().unwrap()).await;
    hay.push(("a mail".to_owned(), letter.to_string().into_bytes()));
    until("a webhook and a message", async || {
        let chat = scene.site.visits(&format!("/services/T1/B2/{SLACK_PATH}"));
        let program = scene.canary.tmp().join("notice.json").exists();
        (program && !chat.is_empty() && !scene.site.visits("/hook").is_empty()).then_some(())
    })
    .await;
    for exchange in scene.tap.seen() {
        if exchange.url.port() == Some(scene.site.address.port()) {
            hay.push((
                format!(
                    "a notice to {:.40}",
                    exchange.url.path().replace(SLACK_PATH, "")
                ),
                exchange.asked.clone(),
            ));
        }
    }
    pages(&daemon, &mut hay).await;
    commands(&scene, &daemon, &done, &mut hay).await;
    daemon.end().await;

    files(&mut hay, &scene.canary.path(""));
    // Where the secrets and the account come from.
    let given = |place: &String| place.contains("/secret-") || place.ends_with("/probe.yaml");
    hay.retain(|(place, _)| !given(place));
    let kept = scene.collector.kept();
    assert!(!kept.traces.is_empty() && !kept.metrics.is_empty() && !kept.logs.is_empty());
    hay.push((
        "what the collector got".to_owned(),
        kept.text().into_bytes(),
    ));
    hay.extend(watch.end());
    search(&scene, &hay);
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn search(scene: &Scene, hay: &Hay) {
    let needles = scene.needles();
    let search = Search::new(&needles);
    check_search(scene, &needles, &search);
    let mut leaks: Vec<String> = Vec::new();
    for (place, bytes) in hay {
        let mut kinds = BTreeSet::new();
        for found in search.found(bytes) {
            let kind = found.split(" (").next().unwrap_or_default().to_owned();
            if kinds.insert(kind) {
                leaks.push(format!("{place:.60}: {found:.300}"));
            }
        }
    }
    let size: usize = hay.iter().map(|(_, bytes)| bytes.len()).sum();
    println!(
        "{} secrets, {} places, {} MB",
        needles.values().count(),
        hay.len(),
        size >> 20
    );
    assert!(
        leaks.is_empty(),
        "{} leaks:\n{}",
        leaks.len(),
        leaks.join("\n")
    );
}

/// The search finds what it should: in what was really sent, and wherever it is planted in any form.
fn check_search(scene: &Scene, needles: &Needles, search: &Search) {
    let kinds = needles.kinds();
    for kind in [
        "cookie",
        "code",
        "state",
        "form field code",
        "form field code_verifier",
        "access_token",
        "refresh_token",
        "signature of id_token",
        "authorization header",
    ] {
        let there = kinds.contains(&kind);
        assert!(there, "no {kind} was seen among {kinds:?}");
    }
    let wire: Vec<u8> = scene
        .tap
        .seen()
        .iter()
        .flat_map(|exchange| exchange.asked.clone())
        .collect();
    let wire = search.found(&wire).join("\n");
    for sent in [
        "client secret by post",
        "password",
        "form field code_verifier",
    ] {
        assert!(wire.contains(sent), "no {sent} was sent");
    }
    for value in needles.values() {
        for (form, bytes) in written(value) {
            if value.len() < 8 && form != "plain" {
                continue;
            }
            let planted = [b"before \"", bytes.as_slice(), b"\" after"].concat();
            assert!(
                !search.found(&planted).is_empty(),
                "{form} of {value} is not found"
            );
        }
    }
    let packed = zstd::stream::encode_all(PASSWORD.as_bytes(), 0).unwrap();
    assert!(
        !search.found(&packed).is_empty(),
        "nothing compressed is found"
    );
}
