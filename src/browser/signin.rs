//! Walks the pages between the authorization request and the callback: reads each, asks [`crate::signin`] what to do,
//! does it, and keeps the time of each kind of page.

use std::time::Duration;

use fantoccini::Client;
use serde_json::Value as Json;
use tokio::time::Instant;

use super::page::{self, Page, Sight, Trouble};
use super::script;
use crate::probe::Login;
use crate::redact::Redactor;
use crate::run::{Fault, Finding, PageEvidence, StepRecord, Stop};
use crate::secret::Secret;
use crate::signin::{Act, Halt, Move, Past, Reading, What, decide, overdue};
use crate::taxonomy::{Class, Outcome, Stage};
use crate::totp::Totp;

/// Who signs in.
#[derive(Debug, Clone, Copy)]
pub struct Person<'a> {
    pub username: &'a str,
    pub password: Option<&'a Secret>,
    pub totp: Option<&'a Totp>,
}

/// How the pages were passed.
#[derive(Debug)]
pub struct SignIn<T> {
    /// What `arrived` gave; absent exactly when `stop` is there.
    pub arrived: Option<T>,
    /// Authorize, login, mfa, consent, as far as they were met.
    pub steps: Vec<StepRecord>,
    pub stop: Option<Stop>,
    /// The page at which it stopped.
    pub page: Option<PageEvidence>,
    /// Everything that was typed: to be hidden wherever else it turns up.
    pub filled: Vec<Secret>,
}

/// One reading waits so long for news; short, so that a command to the driver never blocks others for long.
const PATIENCE: Duration = Duration::from_millis(200);

/// Walks from the authorization request (already opened) until `arrived`, a stop, or `deadline`. No page gets longer
/// than `step_timeout`.
pub async fn walk<T>(
    client: &Client,
    login: &Login,
    person: &Person<'_>,
    step_timeout: Duration,
    deadline: Instant,
    redactor: &Redactor,
    arrived: impl Future<Output = T> + Unpin,
) -> SignIn<T> {
    let mut walker = Walker::new(client, person, step_timeout, deadline);
    let outcome = tokio::select! {
        biased;
        output = arrived => Ok(output),
        stop = walker.go(login) => Err(stop),
    };
    let mut sign_in = SignIn {
        arrived: None,
        steps: Vec::new(),
        stop: None,
        page: None,
        filled: Vec::new(),
    };
    match outcome {
        Ok(output) => {
            walker.close(Outcome::Ok);
            sign_in.arrived = Some(output);
        }
        Err(stop) => {
            walker.enter(stop.stage);
            walker.close(outcome_of(&stop.fault));
            if !matches!(&stop.fault, Fault::Monitor(finding) if finding.class != Class::ConfigInvalid)
            {
                sign_in.page = Some(page::capture(client, &walker.filled, redactor).await);
            }
            sign_in.stop = Some(stop);
        }
    }
    sign_in.steps = walker.steps;
    sign_in.filled = walker.filled;
    sign_in
}

/// The walk as it stands.
pub(super) struct Walker<'a> {
    pub(super) page: Page<'a>,
    pub(super) person: &'a Person<'a>,
    pub(super) step_timeout: Duration,
    pub(super) deadline: Instant,
    pub(super) past: Past,
    steps: Vec<StepRecord>,
    stage: (Stage, Instant),
    pub(super) filled: Vec<Secret>,
    /// The one code of this walk: it is asked for once, and never sent twice.
    code: Option<Secret>,
    /// Number of the last act, by which a page knows whether it was acted on.
    acts: u64,
    /// What the last act was, to be undone in `past` where it did not get through.
    before: Option<Past>,
    in_frame: bool,
}

impl<'a> Walker<'a> {
    fn new(
        client: &'a Client,
        person: &'a Person<'a>,
        step_timeout: Duration,
        deadline: Instant,
    ) -> Self {
        let past = Past {
            username: person.username.to_owned(),
            has_password: person.password.is_some(),
            has_totp: person.totp.is_some(),
            ..Past::default()
        };
        Self {
            page: Page { client },
            person,
            step_timeout,
            deadline,
            past,
            steps: Vec::new(),
            stage: (Stage::Authorize, Instant::now()),
            filled: Vec::new(),
            code: None,
            acts: 0,
            before: None,
            in_frame: false,
        }
    }

    async fn go(&mut self, login: &Login) -> Stop {
        let deadline = self.deadline;
        let walk = async {
            if let Err(trouble) = self.page.prepare().await {
                return self.failed(trouble);
            }
            match login {
                Login::Auto => self.auto(true).await,
                Login::Steps(steps) => script::run(self, steps).await,
            }
        };
        match tokio::time::timeout_at(deadline, walk).await {
            Ok(stop) => stop,
            Err(_) => halt(overdue(None, &self.past)),
        }
    }

    /// Acts on page after page until a stop. Without `hands` it only looks: what a script left is judged, not touched.
    pub(super) async fn auto(&mut self, hands: bool) -> Stop {
        let mut shape = String::new();
        let mut known = String::new();
        let mut since = Instant::now();
        let mut acted = Instant::now();
        loop {
            let sight = match self.look(&known).await {
                Ok(sight) => sight,
                Err(stop) => return *stop,
            };
            let Some(Sight { reading, frames }) = sight else {
                if since.elapsed() > self.step_timeout {
                    return halt(overdue(None, &self.past));
                }
                continue;
            };
            if reading.shape != shape {
                shape.clone_from(&reading.shape);
                since = Instant::now();
            }
            known.clone_from(&reading.signature);
            self.past.waited = since.elapsed();
            let (reading, next) = match decide(&reading, &self.past) {
                Move::Act(act) => (reading, Move::Act(act)),
                other if frames.is_empty() => (reading, other),
                other => match self.look_inside(&frames).await {
                    Some((inside, next)) => (inside, next),
                    None => (reading, other),
                },
            };
            tracing::debug!(page.title = %reading.title, page.fresh = reading.fresh, next = ?next, "read a page");
            let done = match next {
                Move::Stop(stop) => return halt(stop),
                Move::Act(act) if hands => self.act(&reading, &act).await,
                Move::Again if hands => self.again(&reading).await,
                Move::Wait | Move::Act(_) | Move::Again => {
                    let waited = since.elapsed().max(acted.elapsed());
                    if waited > self.step_timeout {
                        return halt(overdue(Some(&reading), &self.past));
                    }
                    if self.in_frame && since.elapsed() > PATIENCE {
                        self.leave_frames().await;
                    }
                    continue;
                }
            };
            if let Err(stop) = done {
                return *stop;
            }
            (since, acted) = (Instant::now(), Instant::now());
            shape.clear();
            known.clear();
        }
    }

    /// A number for the act that follows.
    pub(super) fn next_act(&mut self) -> u64 {
        self.acts += 1;
        self.acts
    }

    /// What the page says by itself about why it goes no further; `None` where it says nothing that is known.
    pub(super) async fn verdict_of_page(&mut self) -> Option<Stop> {
        let sight = self.look("").await.ok().flatten()?;
        self.past.waited = self.step_timeout;
        let untouched = Reading {
            fresh: true,
            changed: true,
            ..sight.reading
        };
        match decide(&untouched, &self.past) {
            Move::Stop(found)
                if !matches!(
                    found.class,
                    Class::UnexpectedPage | Class::CallbackNotReached
                ) =>
            {
                Some(halt(found))
            }
            Move::Stop(_) | Move::Wait | Move::Act(_) | Move::Again => None,
        }
    }

    /// The stage that the walk is in.
    pub(super) fn stage(&self) -> Stage {
        self.stage.0
    }

    /// One reading; `None` while the page is on its way.
    async fn look(&mut self, known: &str) -> Result<Option<Sight>, Box<Stop>> {
        match self.page.read(self.acts, known, PATIENCE).await {
            Ok(sight) => Ok(sight),
            Err(Trouble::Dialog(text)) => {
                self.past.dialogs.push(text);
                Ok(None)
            }
            Err(Trouble::Gone) if self.in_frame => {
                self.leave_frames().await;
                Ok(None)
            }
            Err(Trouble::Moved | Trouble::Stuck) => {
                // The driver answers at once while a document is being replaced.
                tokio::time::sleep(Duration::from_millis(5)).await;
                Ok(None)
            }
            Err(
                trouble @ (Trouble::Gone
                | Trouble::Covered
                | Trouble::Broken(_)
                | Trouble::Monitor(_)),
            ) => Err(Box::new(self.failed(trouble))),
        }
    }

    /// Frames of other origins, one after the other, until one has something to do or to say.
    async fn look_inside(&mut self, frames: &[Json]) -> Option<(Reading, Move)> {
        for frame in frames {
            if self.page.enter(frame).await.is_err() {
                continue;
            }
            self.in_frame = true;
            if let Ok(Some(sight)) = self.page.read(self.acts, "", PATIENCE).await {
                let next = decide(&sight.reading, &self.past);
                let telling =
                    !matches!(&next, Move::Stop(stop) if stop.class == Class::UnexpectedPage);
                if telling && !matches!(next, Move::Wait) {
                    return Some((sight.reading, next));
                }
            }
            self.leave_frames().await;
        }
        None
    }

    async fn leave_frames(&mut self) {
        // A failure shows again, and with its reason, at the next reading.
        let _ = self.page.leave_frames().await;
        self.in_frame = false;
    }

    /// Fills and presses, by script.
    async fn act(&mut self, page: &Reading, act: &Act) -> Result<(), Box<Stop>> {
        self.note(page, act);
        let fills = self.values(act).await?;
        let fills: Vec<(usize, &Secret)> =
            fills.iter().map(|(index, value)| (*index, value)).collect();
        let enter = act
            .press
            .is_none()
            .then(|| fills.last().map(|(index, _)| *index))
            .flatten();
        if self.in_frame && act.press.is_some() {
            // A frame may only send its parent elsewhere after a real click.
            return self.by_hand(act, &fills, false).await;
        }
        self.acts += 1;
        match self.page.act(self.acts, &fills, act.press, enter).await {
            Ok(acted) if acted.gone => self.undo(),
            Ok(acted) if !acted.refused.is_empty() => return self.by_hand(act, &fills, true).await,
            Ok(_) | Err(Trouble::Moved | Trouble::Stuck) => {}
            Err(Trouble::Dialog(text)) => self.past.dialogs.push(text),
            Err(Trouble::Gone) if self.in_frame => self.leave_frames().await,
            Err(trouble) => return Err(Box::new(self.failed(trouble))),
        }
        Ok(())
    }

    /// The same act once more, since nothing was sent: with a real click, then with real keys.
    async fn again(&mut self, page: &Reading) -> Result<(), Box<Stop>> {
        self.undo();
        self.past.tries += 1;
        let tries = self.past.tries;
        let untouched = Reading {
            fresh: true,
            changed: true,
            withheld: false,
            ..page.clone()
        };
        let Move::Act(act) = decide(&untouched, &self.past) else {
            return Ok(());
        };
        if page.withheld && tries < 3 {
            return self.act(page, &act).await;
        }
        self.note(page, &act);
        let fills = self.values(&act).await?;
        let fills: Vec<(usize, &Secret)> =
            fills.iter().map(|(index, value)| (*index, value)).collect();
        self.by_hand(&act, &fills, tries != 1).await
    }

    /// Fills with real keys and clicks with the real mouse, for pages that trust nothing less.
    async fn by_hand(
        &mut self,
        act: &Act,
        fills: &[(usize, &Secret)],
        keys: bool,
    ) -> Result<(), Box<Stop>> {
        self.acts += 1;
        let planned = if keys { &[] } else { fills };
        let fields: Vec<usize> = fills.iter().map(|(index, _)| *index).collect();
        let elements = match self
            .page
            .elements(self.acts, planned, &fields, act.press)
            .await
        {
            Ok(elements) => elements,
            Err(trouble) => return self.passing(trouble),
        };
        let (typed, button) = elements.split_at(fills.len().min(elements.len()));
        let done = async {
            if keys {
                for (element, (_, value)) in typed.iter().zip(fills) {
                    self.page.type_into(element, value.expose()).await?;
                }
            }
            match (button.first(), typed.last()) {
                (Some(button), _) if self.past.tries < 3 => self.page.click(button).await,
                (_, Some(last)) => self.page.keys(last, "\u{e007}").await,
                (Some(button), None) => self.page.keys(button, "\u{e007}").await,
                (None, None) => Ok(()),
            }
        };
        match done.await {
            Ok(()) => Ok(()),
            Err(trouble) => self.passing(trouble),
        }
    }

    /// Troubles that the next reading sorts out are let pass.
    fn passing(&mut self, trouble: Trouble) -> Result<(), Box<Stop>> {
        match trouble {
            Trouble::Moved | Trouble::Stuck | Trouble::Gone | Trouble::Covered => Ok(()),
            Trouble::Dialog(text) => {
                self.past.dialogs.push(text);
                Ok(())
            }
            Trouble::Broken(_) | Trouble::Monitor(_) => Err(Box::new(self.failed(trouble))),
        }
    }

    /// Writes the act into the past, before it is done: a form is rather thought sent than sent twice.
    fn note(&mut self, page: &Reading, act: &Act) {
        if let Some(stage) = act.stage {
            self.enter(stage);
        }
        self.before = Some(self.past.clone());
        self.past.dialogs.clear();
        self.past.known_lines = page
            .text
            .lines()
            .map(str::to_owned)
            .chain(page.alerts.iter().cloned())
            .collect();
        for (_, what) in &act.fills {
            match what {
                What::Username => self.past.username_sent = Some(page.origin()),
                What::Password => self.past.password_sent = true,
                What::Code | What::Digit(_) => self.past.code_sent = true,
            }
        }
        if act.fills.is_empty() {
            *self.past.pressed.entry(act.name.clone()).or_default() += 1;
            self.past.consents += u32::from(act.stage == Some(Stage::Consent));
        } else {
            let fresh_act = page.fresh || page.changed;
            if fresh_act && self.past.tries == 0 {
                self.past.waited = Duration::ZERO;
            }
        }
    }

    /// Takes the last act out of the past again: nothing was sent.
    fn undo(&mut self) {
        if let Some(before) = self.before.take() {
            let tries = self.past.tries;
            self.past = Past { tries, ..before };
        }
    }

    /// The values that go into the fields of an act.
    async fn values(&mut self, act: &Act) -> Result<Vec<(usize, Secret)>, Box<Stop>> {
        let mut values = Vec::new();
        for (index, what) in &act.fills {
            values.push((*index, self.value(*what).await?));
        }
        Ok(values)
    }

    /// One value, remembered as typed.
    pub(super) async fn value(&mut self, what: What) -> Result<Secret, Box<Stop>> {
        let value = match what {
            What::Username => Secret::new(self.person.username),
            What::Password => match self.person.password {
                Some(password) => password.clone(),
                None => {
                    let finding = Finding::new(
                        Class::ConfigInvalid,
                        "the account of this probe has no password",
                    );
                    return Err(Box::new(Stop {
                        stage: Stage::Login,
                        fault: Fault::Monitor(finding),
                    }));
                }
            },
            What::Code => self.code().await?,
            What::Digit(place) => {
                let code = self.code().await?;
                let digit = code
                    .expose()
                    .chars()
                    .nth(place)
                    .map_or_else(String::new, String::from);
                return Ok(Secret::new(digit));
            }
        };
        if !self.filled.contains(&value) {
            self.filled.push(value.clone());
        }
        Ok(value)
    }

    async fn code(&mut self) -> Result<Secret, Box<Stop>> {
        if let Some(code) = &self.code {
            return Ok(code.clone());
        }
        let Some(totp) = self.person.totp else {
            let finding = Finding::new(
                Class::ConfigInvalid,
                "the account of this probe has no totp secret",
            );
            return Err(Box::new(Stop {
                stage: Stage::Mfa,
                fault: Fault::Monitor(finding),
            }));
        };
        let code = totp.code(self.deadline).await.map_err(|error| {
            let finding = Finding::new(Class::ConfigInvalid, error.to_string());
            Box::new(Stop {
                stage: Stage::Mfa,
                fault: Fault::Monitor(finding),
            })
        })?;
        self.filled.push(code.clone());
        self.code = Some(code.clone());
        Ok(code)
    }

    /// The journey is at this kind of page from now on.
    pub(super) fn enter(&mut self, stage: Stage) {
        if self.stage.0 != stage {
            self.close(Outcome::Ok);
            self.stage = (stage, Instant::now());
        }
    }

    fn close(&mut self, outcome: Outcome) {
        let (stage, since) = self.stage;
        let duration_ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.steps.push(StepRecord {
            stage,
            outcome,
            duration_ms,
        });
    }

    pub(super) fn failed(&self, trouble: Trouble) -> Stop {
        let fault = match trouble {
            Trouble::Monitor(finding) => Fault::Monitor(finding),
            Trouble::Broken(text) => Fault::Monitor(Finding::new(
                Class::Internal,
                format!("a script failed in the page: {text}"),
            )),
            Trouble::Gone => Fault::Monitor(Finding::new(
                Class::BrowserCrashed,
                "the browser's window is gone",
            )),
            Trouble::Moved | Trouble::Stuck | Trouble::Dialog(_) | Trouble::Covered => {
                Fault::Page(Finding::new(Class::NavigationTimeout, trouble.to_string()))
            }
        };
        Stop {
            stage: if matches!(fault, Fault::Monitor(_)) {
                Stage::Browser
            } else {
                self.stage.0
            },
            fault,
        }
    }
}

/// A stop of the thought as a stop of the run.
pub(super) fn halt(halt: Halt) -> Stop {
    let finding = Finding::new(halt.class, halt.detail);
    let fault = match halt.class {
        Class::ConfigInvalid => Fault::Monitor(finding),
        Class::DnsFailure
        | Class::ConnectRefused
        | Class::ConnectTimeout
        | Class::ConnectionReset
        | Class::TlsExpired
        | Class::TlsHostnameMismatch
        | Class::TlsUntrusted
        | Class::TlsHandshake
        | Class::ProxyError => Fault::Transport(finding),
        _ => Fault::Page(finding),
    };
    Stop {
        stage: halt.stage,
        fault,
    }
}

fn outcome_of(fault: &Fault) -> Outcome {
    match fault {
        Fault::Monitor(_) => Outcome::Unknown,
        Fault::Answer(_)
        | Fault::Callback(_)
        | Fault::Check(_)
        | Fault::Transport(_)
        | Fault::Page(_) => Outcome::Failed,
    }
}
