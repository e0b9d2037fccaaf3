//! What the daemon answers over HTTP.

use authcanary::api::Right;
use authcanary::api::{Access, Token};
use authcanary::daemon::Settings;
use authcanary::run::Run;
use authcanary::taxonomy::Class;
use tempfile::TempDir;

use crate::common::{Running, probe, quick, settings, start};

/// A daemon with two probes, the first of which has run twice.
async fn with_runs(folder: &TempDir, class: Option<Class>) -> Running {
    let daemon = start(
        settings(folder.path(), vec![probe("prod"), probe("staging")]),
        quick(class),
    )
    .await;
    for expected in 1..=2 {
        daemon.run_now("acme/prod").await;
        daemon
            .runs_until("/api/v1/runs", |runs| runs.len() == expected)
            .await;
        idle(&daemon).await;
    }
    daemon
}

async fn idle(daemon: &Running) {
    crate::common::until(|| async {
        daemon.json("/api/v1/probes/acme/prod").await["running"]
            .is_null()
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_run_has_the_shape_it_has_everywhere() {
    let folder = TempDir::new().unwrap();
    let daemon = with_runs(&folder, Some(Class::InvalidClient)).await;
    let runs = daemon.json("/api/v1/runs").await["runs"].clone();
    assert!(runs[0].get("evidence").is_none(), "left out of lists");
    let id = runs[0]["id"].as_str().unwrap();
    let json = daemon.json(&format!("/api/v1/runs/{id}")).await;
    let run: Run = serde_json::from_value(json.clone()).unwrap();
    assert_eq!(serde_json::to_value(&run).unwrap(), json);
    assert_eq!(run.evidence.unwrap().clock_offset_ms, Some(-1500));
    let evidence = daemon.json(&format!("/api/v1/runs/{id}/evidence")).await;
    assert_eq!(evidence, json["evidence"]);
    let har = daemon
        .json(&format!("/api/v1/runs/{id}/evidence.har"))
        .await;
    assert_eq!(har["log"]["_run"]["id"], id);
    for (kind, words) in [
        (
            "md",
            "# acme/prod: failed at token_exchange, invalid_client",
        ),
        ("curl", "# failed at token_exchange: invalid_client"),
    ] {
        let path = format!("/api/v1/runs/{id}/evidence.{kind}");
        let (status, text) = daemon.get(&path).await;
        assert_eq!(status, 200, "{text}");
        assert!(text.contains(words), "{text}");
    }
    let (_, page) = daemon.get(&format!("/runs/{id}")).await;
    for words in [
        "evidence.har",
        "evidence.md",
        "evidence.curl",
        "code/of_a_test",
    ] {
        assert!(page.contains(words), "{words} is missing in {page}");
    }
    assert!(page.contains(&id.replace('-', "")), "the trace of the run");
    daemon.stop().await;
}

#[tokio::test]
async fn lists_are_filtered_and_paged() {
    let folder = TempDir::new().unwrap();
    let daemon = with_runs(&folder, None).await;
    let all = daemon.json("/api/v1/runs?limit=1").await;
    let next = all["next_before"].as_str().unwrap();
    let rest = daemon.json(&format!("/api/v1/runs?before={next}")).await;
    assert_eq!(
        (
            rest["runs"].as_array().unwrap().len(),
            rest["next_before"].is_null()
        ),
        (1, true)
    );
    let count = async |path: &str| daemon.json(path).await["runs"].as_array().unwrap().len();
    assert_eq!(count("/api/v1/runs?outcome=ok&probe=acme/prod").await, 2);
    assert_eq!(count("/api/v1/runs?outcome=failed").await, 0);
    assert_eq!(count("/api/v1/runs?probe=acme/staging").await, 0);
    for name in ["acme/prod", "acme%2Fprod"] {
        assert_eq!(
            count(&format!("/api/v1/probes/{name}/runs?limit=2")).await,
            2
        );
        assert_eq!(
            daemon.json(&format!("/api/v1/probes/{name}")).await["outcome"],
            "ok"
        );
    }
    let probes = daemon.json("/api/v1/probes").await["probes"].clone();
    assert_eq!(probes.as_array().unwrap().len(), 2);
    assert_eq!(probes[1]["id"], "acme/staging");
    assert!(probes[1]["next_start_at"].is_string() && probes[1]["last_run"].is_null());
    daemon.stop().await;
}

#[tokio::test]
async fn bad_requests_get_a_problem_that_names_what_is_wrong() {
    let folder = TempDir::new().unwrap();
    let daemon = start(settings(folder.path(), vec![probe("prod")]), quick(None)).await;
    let unknown = "0197a000-0000-7000-8000-000000000000";
    let cases = [
        ("/api/v1/runs?limit=0", 400, "between 1 and 1000"),
        ("/api/v1/runs?limit=many", 400, "invalid digit"),
        ("/api/v1/runs?outcome=good", 400, "unknown variant"),
        ("/api/v1/runs?colour=red", 400, "unknown field"),
        ("/api/v1/runs/42", 400, "UUID"),
        (&format!("/api/v1/runs/{unknown}"), 404, unknown),
        (&format!("/api/v1/runs/{unknown}/evidence"), 404, unknown),
        (
            &format!("/api/v1/runs/{unknown}/evidence.har"),
            404,
            unknown,
        ),
        (&format!("/api/v1/runs/{unknown}/evidence.md"), 404, unknown),
        (
            &format!("/api/v1/runs/{unknown}/evidence.curl"),
            404,
            unknown,
        ),
        (
            &format!("/api/v1/runs/{unknown}/evidence/screenshot.png"),
            404,
            unknown,
        ),
        (&format!("/runs/{unknown}"), 404, unknown),
        (
            "/api/v1/probes/acme/nowhere/runs",
            404,
            "no probe has this name",
        ),
        ("/probes/acme/nowhere", 404, "no probe has this name"),
        ("/nothing", 404, "nothing at this address"),
        ("/api/v1/probes/%ff/runs", 400, "UTF-8"),
    ];
    for (path, status, words) in cases {
        let (got, body) = daemon.get(path).await;
        assert_eq!(got, status, "{path}: {body}");
        let problem: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(problem["status"], status, "{path}");
        assert!(
            problem["detail"].as_str().unwrap().contains(words),
            "{path}: {body}"
        );
    }
    let answer = daemon
        .client
        .delete(format!("{}/api/v1/runs", daemon.base))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 405);
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    daemon.stop().await;
}

#[tokio::test]
async fn health_and_readiness() {
    let folder = TempDir::new().unwrap();
    let daemon = start(settings(folder.path(), vec![]), quick(None)).await;
    assert_eq!(daemon.get("/healthz").await, (200, "ok\n".to_owned()));
    assert_eq!(daemon.json("/readyz").await["ready"], true);
    daemon.stop().await;
}

#[tokio::test]
async fn tokens_close_everything_but_health() {
    let folder = TempDir::new().unwrap();
    // SHA-256 of `secret`.
    let hash = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";
    let token = Token::new("ci", hash, vec![Right::Read]).unwrap();
    let settings = Settings {
        access: Access::new(vec![token]),
        ..settings(folder.path(), vec![probe("prod")])
    };
    let daemon = start(settings, quick(None)).await;
    for (path, status) in [
        ("/", 401),
        ("/metrics", 401),
        ("/api/v1/runs", 401),
        ("/healthz", 200),
        ("/readyz", 200),
    ] {
        assert_eq!(daemon.get(path).await.0, status, "{path}");
    }
    let with = |request: reqwest::RequestBuilder| request.bearer_auth("secret").send();
    let read = with(daemon.client.get(format!("{}/api/v1/runs", daemon.base)))
        .await
        .unwrap();
    assert_eq!(read.status(), 200);
    let run = with(
        daemon
            .client
            .post(format!("{}/api/v1/probes/acme/prod/runs", daemon.base)),
    )
    .await
    .unwrap();
    assert_eq!(run.status(), 403);
    daemon.stop().await;
}

#[tokio::test]
async fn another_site_s_name_or_page_gets_nothing() {
    let folder = TempDir::new().unwrap();
    let daemon = start(settings(folder.path(), vec![probe("prod")]), quick(None)).await;
    let rebound = daemon
        .client
        .get(&daemon.base)
        .header("host", "rebound.example")
        .send()
        .await
        .unwrap();
    assert_eq!(rebound.status(), 403);
    let address = format!("{}/api/v1/probes/acme/prod/runs", daemon.base);
    let forged = daemon
        .client
        .post(address)
        .header("origin", "https://evil.example")
        .send()
        .await
        .unwrap();
    assert_eq!(forged.status(), 403);
    assert!(
        daemon.json("/api/v1/runs").await["runs"]
            .as_array()
            .unwrap()
            .is_empty()
    );
    daemon.stop().await;
}

#[tokio::test]
async fn pages_show_what_broke_in_words_and_escape_what_strangers_said() {
    let folder = TempDir::new().unwrap();
    let daemon = with_runs(&folder, Some(Class::InvalidClient)).await;
    let id = daemon.json("/api/v1/runs").await["runs"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    for path in ["/", "/probes/acme/prod", &format!("/runs/{id}")] {
        let (status, page) = daemon.get(path).await;
        assert_eq!(status, 200, "{path}: {page}");
        for words in [
            "invalid_client",
            "token_exchange",
            Class::InvalidClient.action().advice(),
        ] {
            assert!(page.contains(words), "{path} lacks {words}");
        }
        assert!(page.contains("what &#60;was&#62; seen"), "{path}");
        assert!(!page.contains("<script"), "{path}");
    }
    let page = daemon.client.get(&daemon.base).send().await.unwrap();
    assert!(
        page.headers()["content-security-policy"]
            .to_str()
            .unwrap()
            .starts_with("default-src 'none'")
    );
    daemon.stop().await;
}

#[tokio::test]
async fn the_button_leads_to_the_run() {
    let folder = TempDir::new().unwrap();
    let daemon = start(settings(folder.path(), vec![probe("prod")]), quick(None)).await;
    let address = format!("{}/api/v1/probes/acme/prod/runs", daemon.base);
    let answer = daemon
        .client
        .post(address)
        .header("accept", "text/html,*/*")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 303);
    let page = daemon
        .get(answer.headers()["location"].to_str().unwrap())
        .await;
    assert_eq!(page.0, 200);
    daemon.stop().await;
}

#[tokio::test]
async fn runbooks_are_pages_and_markdown() {
    let folder = TempDir::new().unwrap();
    let daemon = with_runs(&folder, Some(Class::InvalidClient)).await;
    let (_, front) = daemon.get("/").await;
    assert!(front.contains(r#"href="/runbooks/invalid_client?provider=acme""#));
    for (path, words) in [
        ("/runbooks", "id=\"evidence\""),
        ("/runbooks/prometheus", "id=\"authcanaryexpired\""),
        (
            "/runbooks/invalid_client?provider=acme",
            "no notes on this provider",
        ),
        (
            "/runbooks/invalid_client?provider=keycloak",
            "CLIENT_LOGIN_ERROR",
        ),
    ] {
        let (status, page) = daemon.get(path).await;
        assert!(status == 200 && page.contains(words), "{path}: {page}");
        assert!(!page.contains("<script"), "{path}");
    }
    let raw = daemon
        .client
        .get(format!(
            "{}/runbooks/invalid_client?provider=okta",
            daemon.base
        ))
        .header("accept", "text/markdown")
        .send()
        .await
        .unwrap();
    assert_eq!(
        raw.headers()["content-type"],
        "text/markdown; charset=utf-8"
    );
    let raw = raw.text().await.unwrap();
    assert!(raw.starts_with("# invalid_client\n") && raw.ends_with('\n'));
    assert!(raw.contains("### okta") && !raw.contains("### keycloak"));
    for (path, status, words) in [
        (
            "/runbooks/invalid_clint",
            404,
            "the nearest is invalid_client",
        ),
        ("/runbooks/zzz", 404, "/runbooks lists all"),
        ("/runbooks/invalid_client?colour=red", 400, "unknown field"),
        (
            "/runbooks/invalid_client?provider=%3Cscript%3E",
            200,
            "no notes on this provider",
        ),
    ] {
        let (got, body) = daemon.get(path).await;
        assert!(
            got == status && body.contains(words),
            "{path}: {got} {body}"
        );
        assert!(!body.contains("<script"), "{path}");
    }
    daemon.stop().await;
}

#[tokio::test]
async fn figures_over_a_span_count_the_runs_and_give_percentiles() {
    let folder = TempDir::new().unwrap();
    let daemon = with_runs(&folder, None).await;
    let stats = daemon
        .json("/api/v1/probes/acme/prod/stats?last=2d&quantiles=0.5,0.99")
        .await;
    assert_eq!(
        (&stats["probe"], &stats["runs"]),
        (&"acme/prod".into(), &2.into())
    );
    assert_eq!(stats["outcomes"]["ok"], 2);
    assert_eq!(stats["outcomes"]["failed"], 0);
    assert_eq!(stats["failure_ratio"], 0.0);
    assert_eq!(stats["duration"]["quantiles_ms"]["0.99"], 34.0);
    assert_eq!(stats["stages"]["token_exchange"]["mean_ms"], 12.0);
    let (from, to) = (
        stats["from"].as_str().unwrap(),
        stats["to"].as_str().unwrap(),
    );
    let all = daemon
        .json(&format!("/api/v1/stats?from={from}&to={to}"))
        .await;
    assert_eq!(all["probes"]["acme/prod"]["runs"], 2);
    let earlier = format!("/api/v1/probes/acme/prod/stats?to={from}");
    assert_eq!(daemon.json(&earlier).await["runs"], 0);
    let wrong = [
        "last=0h",
        "last=soon",
        "last=1h&from=2026-01-01T00:00:00Z",
        "from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z",
        "quantiles=1.5",
        "quantiles=",
        "quantile=0.5",
    ];
    for query in wrong {
        let (status, body) = daemon.get(&format!("/api/v1/stats?{query}")).await;
        assert_eq!(status, 400, "{query}: {body}");
    }
    assert_eq!(daemon.get("/api/v1/probes/acme/none/stats").await.0, 404);
    daemon.stop().await;
}
