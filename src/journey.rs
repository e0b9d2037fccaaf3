//! Walks one probe through the whole journey. Never fails: a target's failure is data, and so is our own.

mod authorize;
mod discover;
mod grant;
mod introspect;
mod logout;
mod manners;
mod refresh;
mod resource;
mod revoke;
mod tools;
mod userinfo;

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use crate::browser::Tab;
use crate::http::{self, Reply, Request};
use crate::oauth::client_auth::Credentials;
use crate::oauth::form::Form;
use crate::oauth::metadata::{Endpoint, Metadata};
use crate::oauth::{self, Kept};
use crate::probe::{Flow, Probe, Step};
use crate::redact::Redactor;
use crate::run::{Exchange, Fault, Finding, RunId, StepRecord, Stop, Walk, Warning};
use crate::secret::{Secret, SecretRef};
use crate::taxonomy::{Class, Outcome, Stage};
use crate::vault;

pub use tools::{Tools, Watcher};

/// Time that a step gets to notice its own limit before the run is cut off.
const GRACE: Duration = Duration::from_secs(2);

/// Runs `probe` once, as the run `id`, within its own time limit.
pub async fn run(probe: &Probe, id: RunId, tools: &Tools) -> Walk {
    let deadline = Instant::now() + probe.timeout;
    let mut journey = Journey::new(probe, id, tools, deadline);
    let stop = match timeout_at(deadline + GRACE, journey.walk()).await {
        Ok(result) => result.err(),
        Err(_) => Some(journey.overdue()),
    };
    journey.finish(stop).await
}

/// One run under way.
struct Journey<'a> {
    probe: &'a Probe,
    tools: &'a Tools,
    deadline: Instant,
    /// The step under way, and since when.
    stage: Stage,
    since: Instant,
    redactor: Arc<Redactor>,
    session: http::Session,
    /// The browser's tab, from sign-in to logout.
    tab: Option<Tab>,
    walk: Walk,
}

/// What is known of the provider, and what proves the client to it.
struct Known {
    metadata: Metadata,
    credentials: Credentials,
}

impl<'a> Journey<'a> {
    fn new(probe: &'a Probe, id: RunId, tools: &'a Tools, deadline: Instant) -> Self {
        let redactor = Arc::new(Redactor::default());
        let trace = http::Trace {
            id: id.trace_id(),
            is_sent: probe.traceparent,
        };
        Self {
            probe,
            tools,
            deadline,
            stage: Stage::Config,
            since: Instant::now(),
            session: tools.http.session(Arc::clone(&redactor)).traced(trace),
            redactor,
            tab: None,
            walk: Walk::default(),
        }
    }

    /// The story of a sign-in.
    async fn walk(&mut self) -> Result<(), Stop> {
        let probe = self.probe;
        let credentials = self.credentials().await?;
        let metadata = self.discover().await?;
        let known = Known {
            metadata,
            credentials,
        };
        let mut grant = match probe.flow {
            Flow::AuthorizationCode => self.sign_in(&known).await?,
            Flow::ClientCredentials => self.client_credentials(&known).await?,
        };
        for step in &probe.steps {
            match step {
                Step::Userinfo { expect } => self.userinfo(&known, &grant, expect.as_ref()).await?,
                Step::Resource {
                    get,
                    expect,
                    within,
                } => {
                    self.resource(&grant, get, expect.as_ref(), *within).await?;
                }
                Step::Introspect { expect } => {
                    self.introspect(&known, &grant, expect.as_ref()).await?;
                }
                Step::Refresh { rotation } => self.refresh(&known, &mut grant, *rotation).await?,
                Step::Revoke { token, verify } => {
                    self.revoke(&known, &grant, *token, *verify).await?;
                }
                Step::Logout {
                    post_logout_redirect_uri,
                } => {
                    self.logout(&known, &grant, post_logout_redirect_uri.as_ref())
                        .await?;
                }
            }
        }
        Ok(())
    }

    async fn credentials(&mut self) -> Result<Credentials, Stop> {
        let secret = match &self.probe.client.secret {
            Some(reference) => Some(self.secret(reference).await?),
            None => None,
        };
        self.held(Credentials::new(&self.probe.client, secret))
    }

    /// Reads a secret from where it is kept, and has it hidden from then on.
    async fn secret(&mut self, reference: &SecretRef) -> Result<Secret, Stop> {
        match vault::resolve(reference).await {
            Ok(secret) => {
                self.redactor.learn(secret.expose());
                Ok(secret)
            }
            Err(error) => {
                let detail = chain(&error);
                Err(self.stop(Fault::Monitor(Finding::new(
                    Class::SecretUnavailable,
                    detail,
                ))))
            }
        }
    }

    /// Enters a step: all that follows belongs to it, until the next one is entered.
    fn enter(&mut self, stage: Stage) {
        self.stage = stage;
        self.since = Instant::now();
        (self.tools.watcher)(&self.probe.id, stage);
    }

    /// The step under way has passed.
    fn pass(&mut self) {
        self.record(Outcome::Ok);
    }

    fn record(&mut self, outcome: Outcome) {
        let duration_ms = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        let record = StepRecord {
            stage: self.stage,
            outcome,
            duration_ms,
        };
        self.walk.steps.push(record);
    }

    /// The limit of the step under way: its own, and never beyond the run's.
    fn step_deadline(&self) -> Instant {
        self.deadline.min(self.since + self.probe.step_timeout)
    }

    /// A fault in the step under way.
    fn stop(&self, fault: Fault) -> Stop {
        Stop {
            stage: self.stage,
            fault,
        }
    }

    /// Something that was checked in the step under way and does not hold up.
    fn refuse(&self, class: Class, detail: impl Into<String>) -> Stop {
        self.stop(Fault::Check(Finding::new(class, detail)))
    }

    /// Worth knowing, and no reason to stop.
    fn warn(&mut self, class: Class, detail: impl Into<String>) {
        let warning = Warning {
            stage: self.stage,
            class,
            detail: detail.into(),
        };
        self.walk.warnings.push(warning);
    }

    /// Keeps something that the run learned.
    fn learn(&mut self, fact: &str, value: impl Into<String>) {
        self.walk
            .evidence
            .facts
            .insert(fact.to_owned(), value.into());
    }

    /// Keeps a fact around the answer to come, by a name that `classify` knows. Never a secret: some rules quote facts.
    fn know(&mut self, fact: &str, value: impl Into<Value>) {
        self.walk.context.insert(fact.to_owned(), value.into());
    }

    /// Sends a request of the step under way.
    async fn send(&mut self, request: Request) -> Result<Answer, Stop> {
        let request = self.with_own_headers(request);
        let reply = self.session.send(request, self.step_deadline()).await;
        self.answer(reply)
    }

    /// Sends a form that proves the client to an endpoint of the provider.
    async fn post(
        &mut self,
        known: &Known,
        endpoint: Endpoint,
        form: Form,
    ) -> Result<Answer, Stop> {
        let url = self.held(known.metadata.endpoint(endpoint))?.clone();
        let signed = known.credentials.sign(form);
        let mut request = Request::post_form(self.stage, url, owned(signed.form.pairs()))
            .header("accept", "application/json");
        if let Some(authorization) = &signed.authorization {
            request = request.header("authorization", authorization.expose());
        }
        self.send(request).await
    }

    fn with_own_headers(&self, mut request: Request) -> Request {
        let own = self.probe.headers.iter();
        request
            .headers
            .extend(own.map(|(name, value)| (name.clone(), value.clone())));
        request
    }

    fn answer(&self, reply: Result<Reply, Finding>) -> Result<Answer, Stop> {
        let reply = reply.map_err(|finding| self.stop(Fault::Transport(finding)))?;
        let kept = self.session.last().expect("what was answered was captured");
        Ok(Answer { reply, kept })
    }

    /// Only when a step did not heed its own limit.
    fn overdue(&self) -> Stop {
        let detail = format!(
            "the run took longer than its limit of {} s",
            self.probe.timeout.as_secs()
        );
        self.stop(match self.stage {
            Stage::Authorize | Stage::Login | Stage::Mfa | Stage::Consent | Stage::Logout => {
                Fault::Page(Finding::new(Class::NavigationTimeout, detail))
            }
            Stage::Config | Stage::Browser | Stage::Monitor => {
                Fault::Monitor(Finding::new(Class::Internal, detail))
            }
            _ => Fault::Transport(Finding::new(Class::RequestTimeout, detail)),
        })
    }

    /// Closes the browser's tab and gathers what was seen.
    async fn finish(mut self, stop: Option<Stop>) -> Walk {
        if let Some(stop) = &stop {
            self.stage = stop.stage;
            let is_recorded = self
                .walk
                .steps
                .last()
                .is_some_and(|step| step.outcome != Outcome::Ok);
            if !is_recorded {
                let ours = matches!(stop.fault, Fault::Monitor(_));
                self.record(if ours {
                    Outcome::Unknown
                } else {
                    Outcome::Failed
                });
            }
        }
        if let Some(tab) = self.tab.take() {
            self.leave(tab).await;
        }
        self.walk.evidence.exchanges = self.session.exchanges();
        self.walk.stop = stop;
        self.walk
    }
}

/// A whole answer: raw for reading, and as it was captured for evidence.
struct Answer {
    reply: Reply,
    kept: Exchange,
}

impl Answer {
    fn view(&self) -> oauth::Reply<'_> {
        oauth::Reply {
            status: self.reply.status,
            headers: &self.reply.headers,
            body: &self.reply.body,
            kept: Kept {
                headers: &self.kept.response_headers,
                body: &self.kept.response_body,
            },
        }
    }
}

fn owned<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<(String, String)> {
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// An error with its sources, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        source = inner.source();
    }
    text
}
