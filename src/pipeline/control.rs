//! Looks at this machine before a doubtful failure is believed, and turns what was our own fault into `unknown`. Stands
//! between judging and storing. Runs that passed, and failures that the provider spoke itself, are not held up.
//!
//! One look at a time: failures that arrive together share it.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::rehearsal;
use crate::clock;
use crate::control::{self, Blame, Findings, Judgement, Reach, Rehearsal, Sighting, Site};
use crate::egress::{self, Questions, Target};
use crate::journey::Tools;
use crate::machine;
use crate::probe::Probe;
use crate::run::Run;
use crate::taxonomy::{Action, Cause, Class, Outcome, Stage};

/// Limit of a whole look; a run is stored after it, whatever came out.
const LIMIT: Duration = Duration::from_secs(20);

/// The sign-in at the built-in provider ends before that.
const REHEARSAL: Duration = Duration::from_secs(15);

/// Independent places have this long to answer.
const ANSWER: Duration = Duration::from_secs(5);

/// A look that began so long ago still says how things are.
const FRESH: Duration = Duration::from_secs(5);

/// Runs that are remembered, to see failures that coincide.
const REMEMBERED: usize = 512;

/// Looks at this machine for all runs of a process; cheap to clone.
#[derive(Clone)]
pub struct Control(Arc<Inner>);

struct Inner {
    tools: Tools,
    settings: egress::Settings,
    /// A proxy that the browser alone is told of.
    browser_proxy: Option<Url>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    targets: Vec<Target>,
    recent: VecDeque<Sighting>,
    look: Option<Look>,
}

/// A look under way, or one that has ended.
struct Look {
    began: Instant,
    with_browser: bool,
    findings: Shared<BoxFuture<'static, Arc<Findings>>>,
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Control")
    }
}

impl Control {
    /// For runs of `probes`. Nothing is contacted before a failure is doubtful.
    pub fn new(tools: &Tools, settings: egress::Settings, probes: &[Probe]) -> Self {
        let control = Self(Arc::new(Inner {
            tools: tools.clone(),
            settings,
            browser_proxy: tools.browser_proxy(),
            state: Mutex::default(),
        }));
        control.watch(probes);
        control
    }

    /// Other probes are run from here on; the places of those that went are left in peace.
    pub fn watch(&self, probes: &[Probe]) {
        let targets = egress::targets(&self.0.settings, probes);
        self.0.state().targets = targets;
    }

    /// Gives the run back as it is to be stored: with what the look found, and `unknown` where the fault was ours.
    pub async fn review(&self, probe: &Probe, mut run: Run) -> Run {
        let inner = &self.0;
        if !inner.settings.control {
            return run;
        }
        let place = place(probe, &run);
        let failure = inner.sighting(&run, place.as_ref()).await;
        let recent = inner.remember(&failure);
        if !control::is_doubtful(&failure, &recent) {
            return run;
        }
        // A grid's browsers cannot reach a provider on this machine.
        let with_browser = failure.in_browser && inner.tools.has_own_browser();
        let deadline = Instant::now() + LIMIT;
        let findings = inner.findings(place.as_ref(), with_browser);
        let judgement = match timeout_at(deadline, findings).await {
            Ok(findings) => control::judge(&failure, &recent, &findings),
            Err(_) => Judgement {
                blame: Blame::Undecided,
                reason: format!("the look at this machine did not end within {LIMIT:?}"),
            },
        };
        apply(&mut run, &judgement);
        run
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn sighting(&self, run: &Run, place: Option<&Url>) -> Sighting {
        let class = run.verdict.as_ref().map(|verdict| verdict.class);
        let in_browser = class.is_some() && stopped_in_browser(run);
        let reach = match (class, place) {
            (Some(_), Some(_)) if in_browser && self.browser_proxy.is_some() => Reach::Proxied,
            (Some(_), Some(url)) => {
                egress::reach(self.tools.http(), url, Instant::now() + ANSWER).await
            }
            _ => Reach::Public,
        };
        Sighting {
            provider: run.provider.clone(),
            site: place.map_or_else(|| Site::named(run.probe.as_str()), Site::of),
            reach,
            in_browser,
            ended_at: clock::now(),
            class,
        }
    }

    /// Notes a run and gives those before it.
    fn remember(&self, sighting: &Sighting) -> Vec<Sighting> {
        let mut state = self.state();
        let before = state.recent.iter().cloned().collect();
        if state.recent.len() == REMEMBERED {
            state.recent.pop_front();
        }
        state.recent.push_back(sighting.clone());
        before
    }

    /// Of a look that is under way or has just been, else of a new one.
    fn findings(
        &self,
        failing: Option<&Url>,
        with_browser: bool,
    ) -> Shared<BoxFuture<'static, Arc<Findings>>> {
        let mut state = self.state();
        let usable = state.look.as_ref().filter(|look| {
            let is_under_way = look.findings.peek().is_none() && look.began.elapsed() < LIMIT;
            let is_fresh = look.began.elapsed() < FRESH;
            (is_under_way || is_fresh) && (look.with_browser || !with_browser)
        });
        if let Some(look) = usable {
            return look.findings.clone();
        }
        let questions = Questions {
            targets: state.targets.clone(),
            names: self.settings.names.clone(),
            browser_proxy: self.browser_proxy.clone(),
            failing: failing.cloned(),
        };
        let findings = look(self.tools.clone(), questions, with_browser);
        let findings = findings.boxed().shared();
        state.look = Some(Look {
            began: Instant::now(),
            with_browser,
            findings: findings.clone(),
        });
        findings
    }
}

async fn look(tools: Tools, questions: Questions, with_browser: bool) -> Arc<Findings> {
    let now = Instant::now();
    let (egress, rehearsal) = tokio::join!(
        egress::examine(tools.http(), &questions, now + ANSWER),
        rehearsal::hold(&tools, with_browser, now + REHEARSAL),
    );
    if let Rehearsal::Failed { why, .. } = &rehearsal {
        tracing::warn!(why, "signing in at the built-in provider failed");
    }
    Arc::new(Findings {
        rehearsal,
        trials: egress.trials,
        lookups: egress.lookups,
        proxies: egress.proxies,
        nameservers: egress.nameservers,
        has_route: machine::has_route(),
        memory_bytes: machine::memory_bytes(),
        disk_bytes: machine::room_bytes(&std::env::temp_dir()),
    })
}

/// Where the run was going when it stopped: the request that got no answer, the page that did not load, else the
/// provider's front door.
fn place(probe: &Probe, run: &Run) -> Option<Url> {
    let failed = run.evidence.as_ref().and_then(|evidence| {
        let exchange = evidence.exchanges.last();
        let exchange = exchange.filter(|exchange| exchange.error.is_some());
        let hop = evidence.hops.last().filter(|hop| hop.error.is_some());
        let url = exchange.map(|exchange| &exchange.url);
        url.or_else(|| hop.map(|hop| &hop.url))
    });
    failed
        .and_then(|url| Url::parse(url).ok())
        .filter(Url::has_host)
        .or_else(|| egress::front_door(probe))
}

fn stopped_in_browser(run: &Run) -> bool {
    let stage = run.steps.last().map(|step| step.stage);
    stage.is_some_and(|stage| {
        matches!(
            stage,
            Stage::Authorize
                | Stage::Login
                | Stage::Mfa
                | Stage::Consent
                | Stage::Callback
                | Stage::Logout
        )
    })
}

/// What was seen first stays: in the detail, in the raw answer, and among the facts.
fn apply(run: &mut Run, Judgement { blame, reason }: &Judgement) {
    let Some(verdict) = &mut run.verdict else {
        return;
    };
    let first = format!("{} {}", verdict.stage, verdict.class);
    if let Some(evidence) = &mut run.evidence {
        let facts = &mut evidence.facts;
        facts.insert("control".to_owned(), format!("{blame}: {reason}"));
        if *blame == Blame::Ours {
            facts.insert("first_verdict".to_owned(), first.clone());
        }
    }
    if *blame != Blame::Ours {
        tracing::debug!(run.id = %run.id, probe = %run.probe, %blame, reason, "a failure stands");
        return;
    }
    tracing::warn!(run.id = %run.id, probe = %run.probe, first, reason, "a failure was a fault of this machine");
    verdict.detail = format!("{reason}; seen first: {first}: {}", verdict.detail);
    verdict.stage = Stage::Monitor;
    verdict.class = Class::Internal;
    verdict.cause = Cause::Monitor;
    verdict.action = Action::FixMonitor;
    verdict.rule = Some("control/ours".to_owned());
    run.outcome = Outcome::Unknown;
    for step in &mut run.steps {
        if step.outcome == Outcome::Failed {
            step.outcome = Outcome::Unknown;
        }
    }
}
