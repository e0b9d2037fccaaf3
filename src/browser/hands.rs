//! Does what was decided: fills, presses, and by real keys and clicks what a page takes no other way. Nothing is sent twice.

use std::time::Duration;

use super::trouble::Trouble;
use super::walker::Walker;
use crate::run::{Fault, Finding, Stop};
use crate::secret::Secret;
use crate::signin::{Act, Move, Past, Reading, What, decide};
use crate::taxonomy::{Class, Stage};

impl Walker<'_> {
    /// Fills and presses, by script.
    pub(super) async fn act(&mut self, page: &Reading, act: &Act) -> Result<(), Box<Stop>> {
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
            Err(Trouble::Gone) if self.in_frame => self.leave_frames(),
            Err(trouble) => return Err(Box::new(self.failed(trouble))),
        }
        Ok(())
    }

    /// The same act once more, since nothing was sent: with a real click, then with real keys.
    pub(super) async fn again(&mut self, page: &Reading) -> Result<(), Box<Stop>> {
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
}
