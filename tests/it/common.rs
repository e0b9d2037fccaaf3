//! Probes, runs and daemons for the tests.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use authcanary::api::Access;
use authcanary::clock;
use authcanary::daemon::{self, Runner, Settings};
use authcanary::probe::*;
use authcanary::run::{Evidence, RUN_VERSION, Run, StepRecord, Verdict};
use authcanary::store::Limits;
use authcanary::taxonomy::{Class, Outcome, Stage};
use serde_json::Value as Json;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Long enough for a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(60);

/// A probe that is never due in a test, unless its cadence is changed.
pub(crate) fn probe(environment: &str) -> Probe {
    Probe {
        id: ProbeId::new("acme", environment, None),
        provider: "acme".to_owned(),
        environment: environment.to_owned(),
        flow: Flow::ClientCredentials,
        cadence: Cadence::Every(Duration::from_secs(400 * 86_400)),
        timeout: Duration::from_secs(60),
        step_timeout: Duration::from_secs(20),
        scopes: vec![],
        server: Server {
            issuer: Some("http://127.0.0.1:9".to_owned()),
            endpoints: Endpoints::default(),
        },
        client: Client {
            id: "canary".to_owned(),
            auth: ClientAuth::None,
            secret: None,
            id_token_alg: None,
        },
        redirect_uri: None,
        response_mode: None,
        account: None,
        authorize_params: BTreeMap::new(),
        token_params: BTreeMap::new(),
        headers: BTreeMap::new(),
        traceparent: false,
        login: Login::Auto,
        steps: vec![],
        guards: vec![],
        errors: Vec::new(),
        budget: Budget::default(),
        expires: Expires::default(),
        alerts: Alerts::default(),
        maintenance: vec![],
        source: PathBuf::from("probes/acme.yaml"),
    }
}

pub(crate) fn every(seconds: u64, environment: &str) -> Probe {
    Probe {
        cadence: Cadence::Every(Duration::from_secs(seconds)),
        ..probe(environment)
    }
}

/// A runner that ends at once with this class, or well.
pub(crate) fn quick(class: Option<Class>) -> Runner {
    Arc::new(move |probe, id, scheduled_at| {
        let step = |stage| StepRecord {
            stage,
            outcome: Outcome::Ok,
            duration_ms: 12,
        };
        let run = Run {
            version: RUN_VERSION,
            id,
            probe: probe.id.clone(),
            provider: probe.provider.clone(),
            environment: probe.environment.clone(),
            location: "here".to_owned(),
            scheduled_at,
            started_at: clock::stamp(),
            duration_ms: 34,
            outcome: class.map_or(Outcome::Ok, Class::outcome),
            verdict: class.map(|class| Verdict {
                stage: Stage::TokenExchange,
                class,
                cause: class.cause(),
                action: class.action(),
                detail: "what <was> seen".to_owned(),
                rule: Some("code/of_a_test".to_owned()),
                raw: None,
            }),
            steps: vec![step(Stage::Discovery), step(Stage::TokenExchange)],
            warnings: vec![],
            evidence: Some(Evidence {
                clock_offset_ms: Some(-1500),
                ..Evidence::default()
            }),
        };
        Box::pin(std::future::ready(run))
    })
}

/// A daemon under test.
pub(crate) struct Running {
    pub(crate) base: String,
    pub(crate) client: reqwest::Client,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<anyhow::Result<()>>,
}

pub(crate) fn settings(store: &Path, probes: Vec<Probe>) -> Settings {
    Settings {
        location: "here".to_owned(),
        store: store.to_owned(),
        limits: Limits::default(),
        probes,
        access: Access::default(),
        grace: Duration::from_secs(30),
        telemetry: None,
        notify: None,
        settle: jiff::SignedDuration::ZERO,
        changes: Box::pin(futures::stream::empty()),
    }
}

pub(crate) async fn start(settings: Settings, runner: Runner) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let (stop, stopped) = oneshot::channel();
    let serving = tokio::spawn(daemon::serve(settings, listener, runner, async {
        let _ = stopped.await;
    }));
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let client = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    Running {
        base,
        client,
        stop: Some(stop),
        serving,
    }
}

impl Running {
    /// Asks the daemon to stop and waits until it has.
    pub(crate) async fn stop(mut self) {
        drop(self.stop.take());
        self.serving.await.unwrap().unwrap();
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        get(&self.client, &format!("{}{path}", self.base)).await
    }

    pub(crate) async fn json(&self, path: &str) -> Json {
        let (status, body) = self.get(path).await;
        assert!((200..300).contains(&status), "{path}: {status} {body}");
        serde_json::from_str(&body).unwrap()
    }

    /// Runs a probe now and gives the id of the run.
    pub(crate) async fn run_now(&self, probe: &str) -> String {
        let answer = self
            .client
            .post(format!("{}/api/v1/probes/{probe}/runs", self.base))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 202);
        let body: Json = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        body["id"].as_str().unwrap().to_owned()
    }

    /// Waits until a list of runs satisfies `enough`.
    pub(crate) async fn runs_until(
        &self,
        path: &str,
        enough: impl Fn(&[Json]) -> bool,
    ) -> Vec<Json> {
        until(|| async {
            let runs = self.json(path).await["runs"].as_array().unwrap().clone();
            enough(&runs).then_some(runs)
        })
        .await
    }
}

pub(crate) async fn get(client: &reqwest::Client, url: &str) -> (u16, String) {
    let answer = client.get(url).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

/// Asks again and again until there is an answer.
pub(crate) async fn until<T, F: Future<Output = Option<T>>>(mut ask: impl FnMut() -> F) -> T {
    let asking = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asking)
        .await
        .expect("the condition came true in time")
}
