//! One page in the browser: read it, act on it, keep what it showed. All through scripts that run in the page, so that
//! one round trip sees a whole page with its open shadow roots and frames of the same origin.

use std::time::Duration;

use fantoccini::Client;
use fantoccini::elements::{Element, ElementRef};
use fantoccini::error::{CmdError, ErrorStatus};
use fantoccini::wd::TimeoutConfiguration;
use serde::Deserialize;
use serde_json::{Value as Json, json};
use thiserror::Error;

use crate::redact::Redactor;
use crate::run::{Finding, PageEvidence};
use crate::secret::Secret;
use crate::signin::Reading;
use crate::taxonomy::Class;

const READ: &str = concat!(
    include_str!("page.js"),
    include_str!("read.js"),
    "read(arguments[0], arguments[1]);"
);
const ACT: &str = concat!(
    include_str!("page.js"),
    include_str!("read.js"),
    include_str!("act.js"),
    "act(arguments[0]).then(arguments[1], (error) => arguments[1]({ broken: String(error) }));"
);
const FIND: &str = concat!(
    include_str!("page.js"),
    include_str!("read.js"),
    include_str!("act.js"),
    include_str!("find.js"),
    "find(arguments[0], arguments[1]);"
);
const FILL: &str = concat!(
    include_str!("page.js"),
    include_str!("act.js"),
    include_str!("find.js"),
    "fillOne(arguments[0]).then(arguments[1], (error) => arguments[1]({ broken: String(error) }));"
);
const CHOOSE: &str = concat!(
    include_str!("page.js"),
    include_str!("act.js"),
    include_str!("find.js"),
    "return choose(arguments[0]);"
);
const MASK: &str = concat!(
    include_str!("page.js"),
    include_str!("read.js"),
    include_str!("mask.js"),
    "return mask(arguments[0]);"
);
const UNCOVERED: &str = concat!(
    include_str!("page.js"),
    include_str!("read.js"),
    include_str!("mask.js"),
    "return uncovered(arguments[0]);"
);

/// Longest that a script may keep the driver busy; a page that hangs is told from a driver that hangs by it.
const SCRIPT_LIMIT: Duration = Duration::from_secs(4);

/// Beyond it a driver that has not answered counts as gone.
const DRIVER_LIMIT: Duration = Duration::from_secs(15);

/// Most characters of a page's text that are kept.
const TEXT_LIMIT: usize = 4000;

/// Why a command to the page gave nothing.
#[derive(Debug, Error)]
pub(super) enum Trouble {
    /// The page went away under the script: another one is on its way.
    #[error("the page is changing")]
    Moved,
    /// The page is hung, or still loading.
    #[error("the page does not answer")]
    Stuck,
    /// The page had opened a dialog, which is closed by now.
    #[error("the page opened a dialog: {0}")]
    Dialog(String),
    /// The frame or the element is no longer there.
    #[error("what was named is gone")]
    Gone,
    /// Another element lies over the one to click, or it takes no input.
    #[error("the element cannot be used")]
    Covered,
    /// A selector or a script is at fault.
    #[error("{0}")]
    Broken(String),
    /// The browser or its driver.
    #[error("{0:?}")]
    Monitor(Finding),
}

/// Commands to the page that the client is switched to.
pub(super) struct Page<'a> {
    pub(super) client: &'a Client,
}

/// What filling and pressing came to.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Acted {
    /// What was to be acted on is no longer there; nothing was done.
    pub(super) gone: bool,
    /// Fields that did not take their value, as WebDriver elements.
    pub(super) refused: Vec<Json>,
    /// The elements of a dry run: fields, then button.
    pub(super) elements: Vec<Json>,
    broken: Option<String>,
}

/// A reading, and the frames of other origins that have to be entered to be read.
pub(super) struct Sight {
    pub(super) reading: Reading,
    pub(super) frames: Vec<Json>,
}

impl Page<'_> {
    /// Bounds what a hung page can do to the driver. Once per session is enough.
    pub(super) async fn prepare(&self) -> Result<(), Trouble> {
        let mut timeouts = TimeoutConfiguration::default();
        timeouts.set_script(Some(SCRIPT_LIMIT));
        timeouts.set_implicit(None);
        timeouts.set_page_load(None);
        answer(self.client.update_timeouts(timeouts)).await
    }

    /// Reads the page once it differs from `known`, or when `patience` ends; `act` is the number of the last act.
    pub(super) async fn read(
        &self,
        act: u64,
        known: &str,
        patience: Duration,
    ) -> Result<Option<Sight>, Trouble> {
        let patience = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
        let options = json!({"act": act, "known": known, "patience": patience, "settle": 1500});
        let mut read = answer(self.client.execute_async(READ, vec![options])).await?;
        if read.is_null() {
            return Ok(None);
        }
        if let Some(broken) = read.get("broken").and_then(Json::as_str) {
            return Err(Trouble::Broken(broken.to_owned()));
        }
        let frames = read.get_mut("frames").map(Json::take).unwrap_or_default();
        let frames = frames.as_array().map_or_else(Vec::new, |list| {
            list.iter()
                .filter_map(|frame| frame.get("element").cloned())
                .collect()
        });
        let reading =
            serde_json::from_value(read).map_err(|error| Trouble::Broken(error.to_string()))?;
        Ok(Some(Sight { reading, frames }))
    }

    /// Fills fields and presses a button, or Enter in the field `enter`.
    pub(super) async fn act(
        &self,
        act: u64,
        fills: &[(usize, &Secret)],
        press: Option<usize>,
        enter: Option<usize>,
    ) -> Result<Acted, Trouble> {
        let fills: Vec<Json> = fills
            .iter()
            .map(|(index, value)| json!([index, value.expose()]))
            .collect();
        let options = json!({"act": act, "fills": fills, "ticks": [], "press": press, "enter": enter, "dry": false});
        let acted = answer(self.client.execute_async(ACT, vec![options])).await?;
        let acted: Acted = serde_json::from_value(acted).unwrap_or_default();
        match acted.broken {
            Some(broken) => Err(Trouble::Broken(broken)),
            None => Ok(acted),
        }
    }

    /// The fields and the button of an act as WebDriver elements, after filling `fills` and pressing nothing.
    pub(super) async fn elements(
        &self,
        act: u64,
        fills: &[(usize, &Secret)],
        fields: &[usize],
        press: Option<usize>,
    ) -> Result<Vec<Json>, Trouble> {
        let fills: Vec<Json> = fills
            .iter()
            .map(|(index, value)| json!([index, value.expose()]))
            .collect();
        let options = json!({"act": act, "fills": fills, "fields": fields, "ticks": [], "press": press, "enter": null, "dry": true});
        let acted = answer(self.client.execute_async(ACT, vec![options])).await?;
        let acted: Acted = serde_json::from_value(acted).unwrap_or_default();
        if acted.gone {
            Err(Trouble::Gone)
        } else {
            Ok(acted.elements)
        }
    }

    /// Types with real keys, after clearing the field.
    pub(super) async fn type_into(&self, element: &Json, text: &str) -> Result<(), Trouble> {
        let element = self.element(element)?;
        // Frameworks notice keys, and not always a cleared field.
        answer(element.send_keys("\u{e009}a\u{e000}\u{e003}")).await?;
        answer(element.send_keys(text)).await
    }

    /// Sends keys to an element as a keyboard would.
    pub(super) async fn keys(&self, element: &Json, keys: &str) -> Result<(), Trouble> {
        answer(self.element(element)?.send_keys(keys)).await
    }

    /// Clicks as a mouse would.
    pub(super) async fn click(&self, element: &Json) -> Result<(), Trouble> {
        answer(self.element(element)?.click()).await
    }

    /// Sends keys to what has the focus.
    pub(super) async fn keys_to_focus(&self, keys: &str) -> Result<(), Trouble> {
        let element = answer(self.client.active_element()).await?;
        answer(element.send_keys(keys)).await
    }

    /// Waits for an element to be visible (and usable); gives the raw answer of the script.
    pub(super) async fn find(&self, options: Json) -> Result<Json, Trouble> {
        let found = answer(self.client.execute_async(FIND, vec![options])).await?;
        match found.get("broken").and_then(Json::as_str) {
            Some(broken) => Err(Trouble::Broken(broken.to_owned())),
            None => Ok(found),
        }
    }

    /// Puts a value into one field; whether the field took it.
    pub(super) async fn fill(&self, element: &Json, value: &Secret) -> Result<bool, Trouble> {
        let options = json!({"element": element, "value": value.expose()});
        let filled = answer(self.client.execute_async(FILL, vec![options])).await?;
        Ok(filled.get("taken").and_then(Json::as_bool).unwrap_or(false))
    }

    /// Chooses an option by value or text; whether there is one.
    pub(super) async fn choose(&self, element: &Json, option: &str) -> Result<bool, Trouble> {
        let options = json!({"element": element, "option": option});
        let chosen = answer(self.client.execute(CHOOSE, vec![options])).await?;
        Ok(chosen.get("missing").is_none())
    }

    /// Notes what the page shows, before something is pressed without a target.
    pub(super) async fn mark(&self, act: u64) -> Result<(), Trouble> {
        let focus = json!({"css": ":focus, body"});
        let options =
            json!({"target": focus, "patience": 0, "usable": false, "once": true, "mark": act});
        self.find(options).await.map(|_| ())
    }

    /// Opens an address.
    pub(super) async fn open(&self, url: &str) -> Result<(), Trouble> {
        answer(self.client.goto(url)).await
    }

    /// Goes into a frame.
    pub(super) async fn enter(&self, frame: &Json) -> Result<(), Trouble> {
        answer(self.element(frame)?.enter_frame()).await
    }

    /// Back to the top page, from whatever frame, also from one that is gone.
    pub(super) async fn leave_frames(&self) -> Result<(), Trouble> {
        let window = answer(self.client.window()).await?;
        answer(self.client.switch_to_window(window)).await
    }

    fn element(&self, reference: &Json) -> Result<Element, Trouble> {
        let id = reference
            .as_object()
            .and_then(|members| members.values().next())
            .and_then(Json::as_str);
        let id = id.ok_or(Trouble::Gone)?;
        Ok(Element::from_element_id(
            self.client.clone(),
            ElementRef::from(id.to_owned()),
        ))
    }
}

/// Keeps what the page shows: address, title, text, and a picture taken after every one of `values`, and whatever else
/// was typed, is covered wherever it stands. Without certainty that it is covered, there is no picture.
pub async fn capture(client: &Client, values: &[Secret], redactor: &Redactor) -> PageEvidence {
    let page = Page { client };
    let mut evidence = PageEvidence::default();
    let exposed: Vec<&str> = values.iter().map(Secret::expose).collect();
    let _ = page.leave_frames().await;
    let Ok(facts) = answer(client.execute(MASK, vec![json!(exposed)])).await else {
        return evidence;
    };
    let text = |name: &str| {
        facts
            .get(name)
            .and_then(Json::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let typed = Redactor::new(values);
    // The browser's own error page has an address that says nothing.
    let url = match text("url") {
        url if url.starts_with("chrome-error:") => {
            answer(client.current_url()).await.map_or(url, String::from)
        }
        url => url,
    };
    evidence.url = typed.url(&redactor.url(&url));
    evidence.title = typed.text(&redactor.text(&text("title")));
    let visible: String = text("text").chars().take(TEXT_LIMIT).collect();
    evidence.text = typed.text(&redactor.text(&visible));
    if !mask_frames(&page, &facts, &exposed).await {
        return evidence;
    }
    let picture = answer(client.screenshot()).await;
    // A page may have drawn a value again in between.
    let still = answer(client.execute(UNCOVERED, vec![json!(exposed)])).await;
    if still.is_ok_and(|still| still == Json::Bool(false)) {
        evidence.screenshot = picture.ok();
    }
    evidence
}

/// Covers values in frames of other origins; `false` where one could not be entered.
async fn mask_frames(page: &Page<'_>, facts: &Json, exposed: &[&str]) -> bool {
    let frames = facts
        .get("frames")
        .and_then(Json::as_array)
        .cloned()
        .unwrap_or_default();
    let mut covered = true;
    for frame in &frames {
        let entered = page.enter(frame).await;
        covered &= entered.is_ok()
            && answer(page.client.execute(MASK, vec![json!(exposed)]))
                .await
                .is_ok();
        covered &= page.leave_frames().await.is_ok();
    }
    covered
}

/// Waits for the driver's answer, not forever, and sorts its errors by what they mean for the walk.
pub(super) async fn answer<T>(
    command: impl Future<Output = Result<T, CmdError>>,
) -> Result<T, Trouble> {
    match tokio::time::timeout(DRIVER_LIMIT, command).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(trouble(&error)),
        Err(_) => Err(Trouble::Monitor(Finding::new(
            Class::WebdriverUnavailable,
            format!(
                "the driver has not answered for {} s",
                DRIVER_LIMIT.as_secs()
            ),
        ))),
    }
}

fn trouble(error: &CmdError) -> Trouble {
    let CmdError::Standard(said) = error else {
        return Trouble::Monitor(Finding::new(
            Class::WebdriverUnavailable,
            format!("the driver failed: {error}"),
        ));
    };
    let message = first_line(&said.message);
    match said.error {
        ErrorStatus::UnexpectedAlertOpen => {
            let text = said
                .data
                .as_ref()
                .and_then(|data| data.get("text"))
                .and_then(Json::as_str);
            Trouble::Dialog(text.unwrap_or(&message).to_owned())
        }
        ErrorStatus::ScriptTimeout | ErrorStatus::Timeout => Trouble::Stuck,
        ErrorStatus::NoSuchFrame
        | ErrorStatus::StaleElementReference
        | ErrorStatus::NoSuchElement
        | ErrorStatus::DetachedShadowRoot => Trouble::Gone,
        ErrorStatus::ElementClickIntercepted
        | ErrorStatus::ElementNotInteractable
        | ErrorStatus::InvalidElementState
        | ErrorStatus::MoveTargetOutOfBounds => Trouble::Covered,
        ErrorStatus::InvalidSessionId => {
            Trouble::Monitor(Finding::new(Class::BrowserCrashed, message))
        }
        _ if is_crash(&message) => Trouble::Monitor(Finding::new(Class::BrowserCrashed, message)),
        // A frame that went away shows as a window that went away.
        ErrorStatus::NoSuchWindow => Trouble::Gone,
        ErrorStatus::InvalidSelector | ErrorStatus::InvalidArgument => Trouble::Broken(message),
        // The document was replaced while the script waited in it.
        _ => Trouble::Moved,
    }
}

fn is_crash(message: &str) -> bool {
    [
        "crash",
        "disconnected",
        "not reachable",
        "unable to receive message",
        "session deleted",
    ]
    .iter()
    .any(|word| message.contains(word))
}

fn first_line(message: &str) -> String {
    message.lines().next().unwrap_or_default().to_owned()
}
