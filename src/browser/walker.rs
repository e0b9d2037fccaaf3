//! From page to page: reads, asks [`crate::signin`] what to do, has it done, and keeps the time of each kind of page.

use std::time::Duration;

use serde_json::Value as Json;
use tokio::time::Instant;

use super::page::{Page, Sight};
use super::script;
use super::signin::{Person, halt};
use super::tab::Tab;
use super::trouble::Trouble;
use crate::probe::Login;
use crate::run::{Fault, Finding, StepRecord, Stop};
use crate::secret::Secret;
use crate::signin::{Move, Past, Reading, decide, overdue};
use crate::taxonomy::{Class, Outcome, Stage};

/// One reading waits so long for news; then a page that stays as it is may be due for something else.
const PATIENCE: Duration = Duration::from_millis(200);

/// The walk as it stands.
pub(super) struct Walker<'a> {
    pub(super) page: Page<'a>,
    pub(super) person: &'a Person<'a>,
    pub(super) step_timeout: Duration,
    pub(super) deadline: Instant,
    pub(super) past: Past,
    pub(super) steps: Vec<StepRecord>,
    stage: (Stage, Instant),
    pub(super) filled: Vec<Secret>,
    /// The one code of this walk: it is asked for once, and never sent twice.
    pub(super) code: Option<Secret>,
    /// Number of the last act, by which a page knows whether it was acted on.
    pub(super) acts: u64,
    /// What the last act was, to be undone in `past` where it did not get through.
    pub(super) before: Option<Past>,
    pub(super) in_frame: bool,
}

impl<'a> Walker<'a> {
    pub(super) fn new(
        tab: &'a Tab,
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
            page: Page::of(tab),
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

    pub(super) async fn go(&mut self, login: &Login) -> Stop {
        let deadline = self.deadline;
        let walk = async {
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
            // What a page says may hold what was typed into it.
            let word = match &next {
                Move::Stop(stop) => stop.class.into(),
                Move::Act(_) => "act",
                Move::Again => "again",
                Move::Wait => "wait",
            };
            tracing::debug!(
                page.status = reading.status,
                page.fresh = reading.fresh,
                next = word,
                "read a page"
            );
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
                        self.leave_frames();
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
                self.leave_frames();
                Ok(None)
            }
            Err(Trouble::Moved | Trouble::Stuck) => {
                // It is answered at once while a document is being replaced.
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
            self.leave_frames();
        }
        None
    }

    pub(super) fn leave_frames(&mut self) {
        self.page.leave_frames();
        self.in_frame = false;
    }

    /// The journey is at this kind of page from now on.
    pub(super) fn enter(&mut self, stage: Stage) {
        if self.stage.0 != stage {
            self.close(Outcome::Ok);
            self.stage = (stage, Instant::now());
        }
    }

    pub(super) fn close(&mut self, outcome: Outcome) {
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
