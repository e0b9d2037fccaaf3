//! Login by script: each step waits for its element, within its own time, and acts as a user would.

use std::time::Duration;

use serde_json::{Value as Json, json};
use tokio::time::Instant;

use super::trouble::Trouble;
use super::walker::Walker;
use crate::probe::{LoginAct, LoginStep, Target, Value};
use crate::run::{Fault, Finding, Stop};
use crate::secret::Secret;
use crate::signin::What;
use crate::taxonomy::{Class, Stage};

/// One look for an element waits so long in the page.
const PATIENCE: Duration = Duration::from_millis(200);

/// A page that just loads is given so long before `if` says that a thing is not there.
const SETTLE: Duration = Duration::from_secs(3);

/// Does the steps in order, then watches the pages until the walk is cut off by the callback; so it always ends in a stop.
pub(super) async fn run(walker: &mut Walker<'_>, steps: &[LoginStep]) -> Stop {
    let mut done: Vec<&LoginStep> = Vec::new();
    for (place, step) in steps.iter().enumerate() {
        match one(walker, step, stage_of(&done, &steps[place..])).await {
            Ok(true) => done.push(step),
            Ok(false) => {}
            Err(stop) => return *stop,
        }
    }
    // What is left is up to the provider: the callback, or a page that says why not.
    walker.auto(false).await
}

/// One step; `false` where its condition did not hold.
async fn one(walker: &mut Walker<'_>, step: &LoginStep, stage: Stage) -> Result<bool, Box<Stop>> {
    let within = step.within.unwrap_or(walker.step_timeout);
    let until = (Instant::now() + within).min(walker.deadline);
    if let Some(target) = &step.only_if
        && !is_there(walker, target, until, step).await?
    {
        return Ok(false);
    }
    walker.enter(stage);
    match &step.act {
        LoginAct::Fill { target, with } => fill(walker, step, target, with, until).await?,
        LoginAct::Click(target) => click(walker, step, target, until).await?,
        LoginAct::Press(key) => {
            let keys = key_named(key)
                .ok_or_else(|| broken(walker, step, &format!("no key is named `{key}`")))?;
            let act = walker.next_act();
            sorted(walker, step, walker.page.mark(act).await)?;
            let pressed = walker.page.keys_to_focus(&keys).await;
            sorted(walker, step, pressed)?;
        }
        LoginAct::Select { target, option } => {
            let element = wait_for(walker, step, target, until, true).await?;
            let option = value(walker, option).await?;
            let chosen = walker.page.choose(&element, option.expose()).await;
            if matches!(chosen, Ok(false)) {
                return Err(missing(walker, step, format!("`{target}` has no such option")).await);
            }
            sorted(walker, step, chosen.map(|_| ()))?;
        }
        LoginAct::Wait(target) | LoginAct::Expect(target) => {
            wait_for(walker, step, target, until, false).await?;
        }
        LoginAct::Goto(url) => sorted(walker, step, walker.page.open(url.as_str()).await)?,
        LoginAct::Frame(None) => walker.page.leave_frames(),
        LoginAct::Frame(Some(target)) => {
            let element = wait_for(walker, step, target, until, false).await?;
            let entered = walker.page.enter(&element).await;
            sorted(walker, step, entered)?;
        }
    }
    Ok(true)
}

async fn fill(
    walker: &mut Walker<'_>,
    step: &LoginStep,
    target: &Target,
    with: &Value,
    until: Instant,
) -> Result<(), Box<Stop>> {
    let element = wait_for(walker, step, target, until, true).await?;
    let value = value(walker, with).await?;
    let filled = walker.page.fill(&element, &value).await;
    if matches!(filled, Ok(false)) {
        let typed = walker.page.type_into(&element, value.expose()).await;
        sorted(walker, step, typed)?;
    } else {
        sorted(walker, step, filled.map(|_| ()))?;
    }
    // From here on the page is judged as one that has the credentials.
    match with {
        Value::Username => walker.past.username_sent = Some(String::new()),
        Value::Password => walker.past.password_sent = true,
        Value::Totp => walker.past.code_sent = true,
        Value::Literal(_) => {}
    }
    Ok(())
}

async fn click(
    walker: &mut Walker<'_>,
    step: &LoginStep,
    target: &Target,
    until: Instant,
) -> Result<(), Box<Stop>> {
    loop {
        let element = wait_for(walker, step, target, until, true).await?;
        match walker.page.click(&element).await {
            Err(Trouble::Covered | Trouble::Gone) if Instant::now() < until => {
                // Something lies over it, or it was drawn anew: it is looked for again, until the step's time is up.
                tokio::time::sleep(Duration::from_millis(30)).await;
            }
            Err(Trouble::Covered) => {
                return Err(missing(
                    walker,
                    step,
                    format!("`{target}` is covered by something else"),
                )
                .await);
            }
            // The click itself may take the page away.
            Err(Trouble::Moved | Trouble::Stuck) | Ok(()) => return Ok(()),
            other => return sorted(walker, step, other),
        }
    }
}

/// Whether `target` is on the page, once the page has come to rest.
async fn is_there(
    walker: &mut Walker<'_>,
    target: &Target,
    until: Instant,
    step: &LoginStep,
) -> Result<bool, Box<Stop>> {
    let until = until.min(Instant::now() + SETTLE);
    loop {
        let late = Instant::now() >= until;
        let patience = if late { 0 } else { millis(PATIENCE) };
        let options =
            json!({"target": json_of(target), "patience": patience, "usable": false, "once": true});
        match walker.page.find(options).await {
            Ok(found) if found.get("element").is_some() => return Ok(true),
            Ok(_) if late => return Ok(false),
            // The script answers early exactly when the page is at rest.
            Ok(found) if found.get("calm").and_then(Json::as_bool) == Some(true) => {
                return Ok(false);
            }
            Err(Trouble::Moved | Trouble::Stuck | Trouble::Dialog(_)) if late => return Ok(false),
            Ok(_) | Err(Trouble::Moved | Trouble::Stuck | Trouble::Dialog(_)) => {
                tokio::task::yield_now().await;
            }
            Err(trouble) => sorted(walker, step, Err(trouble))?,
        }
    }
}

/// Waits until the target is visible, and usable where that matters.
async fn wait_for(
    walker: &mut Walker<'_>,
    step: &LoginStep,
    target: &Target,
    until: Instant,
    usable: bool,
) -> Result<Json, Box<Stop>> {
    let started = Instant::now();
    let mut seen = Json::Null;
    let mark = if usable { walker.next_act() } else { 0 };
    loop {
        let options = json!({"target": json_of(target), "patience": millis(PATIENCE), "usable": usable, "once": false, "mark": mark});
        match walker.page.find(options).await {
            Ok(found) => match found.get("element") {
                Some(element) => return Ok(element.clone()),
                None => seen = found,
            },
            Err(Trouble::Dialog(text)) => walker.past.dialogs.push(text),
            Err(Trouble::Moved | Trouble::Stuck) => {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Err(trouble) => sorted(walker, step, Err(trouble))?,
        }
        if Instant::now() >= until {
            let waited = started.elapsed().as_secs_f64();
            let how = match () {
                () if seen.get("disabled").and_then(Json::as_bool) == Some(true) => {
                    "is there, and takes no input"
                }
                () if seen.get("hidden").and_then(Json::as_u64).unwrap_or(0) > 0 => {
                    "is there, and not visible"
                }
                () => "is not on the page",
            };
            return Err(missing(
                walker,
                step,
                format!("`{target}` {how} after {waited:.1} s"),
            )
            .await);
        }
    }
}

async fn value(walker: &mut Walker<'_>, value: &Value) -> Result<Secret, Box<Stop>> {
    match value {
        Value::Username => walker.value(What::Username).await,
        Value::Password => walker.value(What::Password).await,
        Value::Totp => walker.value(What::Code).await,
        Value::Literal(text) => Ok(Secret::new(text.clone())),
    }
}

/// The element is not there: because the page says why, or because the script no longer fits.
async fn missing(walker: &mut Walker<'_>, step: &LoginStep, what: String) -> Box<Stop> {
    let said = walker.verdict_of_page().await;
    if let Some(stop) = said {
        return Box::new(stop);
    }
    let finding = Finding::new(
        Class::ElementNotFound,
        format!("line {}: {what}", step.line),
    );
    Box::new(Stop {
        stage: walker.stage(),
        fault: Fault::Page(finding),
    })
}

fn broken(walker: &Walker<'_>, step: &LoginStep, what: &str) -> Box<Stop> {
    let finding = Finding::new(Class::ConfigInvalid, format!("line {}: {what}", step.line));
    Box::new(Stop {
        stage: walker.stage(),
        fault: Fault::Monitor(finding),
    })
}

/// Faults of the step itself name its line; those of the browser stay what they are.
fn sorted(
    walker: &Walker<'_>,
    step: &LoginStep,
    result: Result<(), Trouble>,
) -> Result<(), Box<Stop>> {
    match result {
        Ok(()) | Err(Trouble::Moved | Trouble::Dialog(_)) => Ok(()),
        Err(Trouble::Broken(text)) => Err(broken(walker, step, &text)),
        Err(Trouble::Gone | Trouble::Covered) => {
            let finding = Finding::new(
                Class::ElementNotFound,
                format!("line {}: the element went away", step.line),
            );
            Err(Box::new(Stop {
                stage: walker.stage(),
                fault: Fault::Page(finding),
            }))
        }
        Err(trouble) => Err(Box::new(walker.failed(trouble))),
    }
}

/// The stage that a step belongs to: that of the credential it sends or waits for; consent after the last one was sent.
fn stage_of(done: &[&LoginStep], rest: &[LoginStep]) -> Stage {
    let credential = |step: &LoginStep| match &step.act {
        LoginAct::Fill {
            with: Value::Username | Value::Password,
            ..
        } => Some(Stage::Login),
        LoginAct::Fill {
            with: Value::Totp, ..
        } => Some(Stage::Mfa),
        _ => None,
    };
    let next = rest.iter().find_map(credential);
    let Some(place) = done.iter().rposition(|step| credential(step).is_some()) else {
        return next.unwrap_or(Stage::Login);
    };
    let sent = done[place..]
        .iter()
        .any(|step| matches!(step.act, LoginAct::Click(_) | LoginAct::Press(_)));
    match sent {
        false => next
            .filter(|_| rest.first().is_some_and(|step| credential(step).is_some()))
            .or_else(|| credential(done[place])),
        true => Some(next.unwrap_or(Stage::Consent)),
    }
    .unwrap_or(Stage::Login)
}

fn json_of(target: &Target) -> Json {
    match target {
        Target::Css(css) => json!({"css": css}),
        Target::XPath(path) => json!({"xpath": path}),
        Target::Text(text) => json!({"text": text}),
    }
}

/// The character that WebDriver means by a named key (WebDriver section 17.4.2); single characters stand for themselves.
fn key_named(name: &str) -> Option<String> {
    let code = match name.to_ascii_lowercase().as_str() {
        "enter" | "return" => '\u{e007}',
        "tab" => '\u{e004}',
        "escape" | "esc" => '\u{e00c}',
        "space" => '\u{e00d}',
        "backspace" => '\u{e003}',
        "delete" => '\u{e017}',
        "home" => '\u{e011}',
        "end" => '\u{e010}',
        "pageup" => '\u{e00e}',
        "pagedown" => '\u{e00f}',
        "arrowleft" | "left" => '\u{e012}',
        "arrowup" | "up" => '\u{e013}',
        "arrowright" | "right" => '\u{e014}',
        "arrowdown" | "down" => '\u{e015}',
        _ => return (name.chars().count() == 1).then(|| name.to_owned()),
    };
    Some(code.to_string())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(act: LoginAct) -> LoginStep {
        LoginStep {
            only_if: None,
            act,
            within: None,
            line: 1,
        }
    }

    fn fill(with: Value) -> LoginStep {
        step(LoginAct::Fill {
            target: Target::Css("x".into()),
            with,
        })
    }

    fn click() -> LoginStep {
        step(LoginAct::Click(Target::Css("x".into())))
    }

    #[test]
    fn the_stage_of_a_step_follows_from_what_is_filled_in() {
        let steps = [
            step(LoginAct::Wait(Target::Css("x".into()))),
            fill(Value::Username),
            click(),
            fill(Value::Password),
            click(),
            step(LoginAct::Wait(Target::Css("x".into()))),
            fill(Value::Totp),
            click(),
            click(),
        ];
        let done: Vec<&LoginStep> = steps.iter().collect();
        let stages: Vec<Stage> = (0..steps.len())
            .map(|place| stage_of(&done[..place], &steps[place..]))
            .collect();
        use Stage::{Consent, Login, Mfa};
        assert_eq!(
            stages,
            [Login, Login, Login, Login, Login, Mfa, Mfa, Mfa, Consent]
        );
    }

    #[test]
    fn keys_go_by_their_names() {
        assert_eq!(key_named("Enter").as_deref(), Some("\u{e007}"));
        assert_eq!(key_named("a").as_deref(), Some("a"));
        assert_eq!(key_named("Hyper"), None);
    }
}
