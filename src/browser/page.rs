//! One page in the browser: read it, act on it, keep what it showed. All through scripts that run in the page, so that
//! one round trip sees a whole page with its open shadow roots and frames of the same origin.

use std::time::Duration;

use fantoccini::Client;
use fantoccini::elements::{Element, ElementRef};
use fantoccini::wd::WindowHandle;
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::remote::{Remote, element_id, function};
use super::tab::Tab;
use super::trouble::{Trouble, answer};
use crate::redact::Redactor;
use crate::run::PageEvidence;
use crate::secret::Secret;
use crate::signin::Reading;

const READ: &str = function!("read", "page.js", "read.js");
const ACT: &str = function!("act", "page.js", "read.js", "act.js");
const FIND: &str = function!("find", "page.js", "read.js", "act.js", "find.js");
const FILL: &str = function!("fillOne", "page.js", "act.js", "find.js");
const CHOOSE: &str = function!("choose", "page.js", "act.js", "find.js");
const MASK: &str = function!("mask", "page.js", "read.js", "mask.js");
const UNCOVERED: &str = function!("uncovered", "page.js", "read.js", "mask.js");

/// Most characters of a page's text that are kept.
const TEXT_LIMIT: usize = 4000;

/// The page in the window of a run, or the one in a frame of it.
pub(super) struct Page<'a> {
    client: &'a Client,
    remote: Remote<'a>,
    /// The frames that were entered: the element of each, and the context inside.
    frames: Vec<(Json, String)>,
    /// WebDriver commands, for keys and clicks, go to so many of `frames`.
    followed: usize,
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
}

/// A reading, and the frames of other origins that have to be entered to be read.
pub(super) struct Sight {
    pub(super) reading: Reading,
    pub(super) frames: Vec<Json>,
}

impl<'a> Page<'a> {
    /// The page in the window of `tab`.
    pub(super) fn of(tab: &'a Tab) -> Self {
        Self {
            client: tab.client(),
            remote: tab.remote(),
            frames: Vec::new(),
            followed: 0,
        }
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
        let mut read = self.call(READ, &options).await?;
        if read.is_null() {
            return Ok(None);
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
        let options = json!({
            "act": act, "fills": exposed(fills), "ticks": [], "press": press, "enter": enter, "dry": false,
        });
        let acted = self.call(ACT, &options).await?;
        Ok(serde_json::from_value(acted).unwrap_or_default())
    }

    /// The fields and the button of an act as WebDriver elements, after filling `fills` and pressing nothing.
    pub(super) async fn elements(
        &self,
        act: u64,
        fills: &[(usize, &Secret)],
        fields: &[usize],
        press: Option<usize>,
    ) -> Result<Vec<Json>, Trouble> {
        let options = json!({
            "act": act, "fills": exposed(fills), "fields": fields, "ticks": [], "press": press, "enter": null,
            "dry": true,
        });
        let acted = self.call(ACT, &options).await?;
        let acted: Acted = serde_json::from_value(acted).unwrap_or_default();
        if acted.gone {
            Err(Trouble::Gone)
        } else {
            Ok(acted.elements)
        }
    }

    /// Types with real keys, after clearing the field.
    pub(super) async fn type_into(&mut self, element: &Json, text: &str) -> Result<(), Trouble> {
        let element = self.element(element).await?;
        // Frameworks notice keys, and not always a cleared field.
        answer(element.send_keys("\u{e009}a\u{e000}\u{e003}")).await?;
        answer(element.send_keys(text)).await
    }

    /// Sends keys to an element as a keyboard would.
    pub(super) async fn keys(&mut self, element: &Json, keys: &str) -> Result<(), Trouble> {
        answer(self.element(element).await?.send_keys(keys)).await
    }

    /// Clicks as a mouse would.
    pub(super) async fn click(&mut self, element: &Json) -> Result<(), Trouble> {
        answer(self.element(element).await?.click()).await
    }

    /// Sends keys to what has the focus.
    pub(super) async fn keys_to_focus(&mut self, keys: &str) -> Result<(), Trouble> {
        self.follow().await?;
        let element = answer(self.client.active_element()).await?;
        answer(element.send_keys(keys)).await
    }

    /// Waits for an element to be visible (and usable); gives the raw answer of the script.
    pub(super) async fn find(&self, options: Json) -> Result<Json, Trouble> {
        self.call(FIND, &options).await
    }

    /// Puts a value into one field; whether the field took it.
    pub(super) async fn fill(&self, element: &Json, value: &Secret) -> Result<bool, Trouble> {
        let options = json!({"element": element, "value": value.expose()});
        let filled = self.call(FILL, &options).await?;
        Ok(filled.get("taken").and_then(Json::as_bool).unwrap_or(false))
    }

    /// Chooses an option by value or text; whether there is one.
    pub(super) async fn choose(&self, element: &Json, option: &str) -> Result<bool, Trouble> {
        let options = json!({"element": element, "option": option});
        let chosen = self.call(CHOOSE, &options).await?;
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
    pub(super) async fn enter(&mut self, frame: &Json) -> Result<(), Trouble> {
        let inside = self.remote.frame(self.context(), frame).await?;
        self.frames.push((frame.clone(), inside));
        Ok(())
    }

    /// Back to the top page, from whatever frame, also from one that is gone.
    pub(super) fn leave_frames(&mut self) {
        self.frames.clear();
    }

    /// The page that this is about.
    fn context(&self) -> &str {
        let inside = self.frames.last().map(|(_, inside)| inside.as_str());
        inside.unwrap_or(self.remote.window)
    }

    /// What the function answers, unless a dialog opened over it.
    async fn call(&self, function: &str, options: &Json) -> Result<Json, Trouble> {
        let answer = self.remote.call(self.context(), function, options).await;
        match self.remote.dialog() {
            Some(said) => Err(Trouble::Dialog(said)),
            None => answer,
        }
    }

    async fn element(&mut self, reference: &Json) -> Result<Element, Trouble> {
        let id = element_id(reference).ok_or(Trouble::Gone)?.to_owned();
        self.follow().await?;
        Ok(Element::from_element_id(
            self.client.clone(),
            ElementRef::from(id),
        ))
    }

    /// Has WebDriver commands go where the functions go.
    async fn follow(&mut self) -> Result<(), Trouble> {
        if self.followed == 0 && self.frames.is_empty() {
            return Ok(());
        }
        // From the top each time: what was followed before may be gone.
        let window = WindowHandle::try_from(self.remote.window.to_owned());
        let window = window.map_err(|error| Trouble::Broken(error.to_string()))?;
        answer(self.client.switch_to_window(window)).await?;
        self.followed = 0;
        for (frame, _) in &self.frames {
            let id = element_id(frame).ok_or(Trouble::Gone)?.to_owned();
            let frame = Element::from_element_id(self.client.clone(), ElementRef::from(id));
            answer(frame.enter_frame()).await?;
            self.followed += 1;
        }
        Ok(())
    }
}

fn exposed(fills: &[(usize, &Secret)]) -> Vec<Json> {
    let fill = |(index, value): &(usize, &Secret)| json!([index, value.expose()]);
    fills.iter().map(fill).collect()
}

/// Keeps what the page in the window shows: address, title, text, and a picture taken after every one of `values`, and
/// whatever else was typed, is covered wherever it stands. Without certainty that it is covered, there is no picture.
pub async fn capture(tab: &Tab, values: &[Secret], redactor: &Redactor) -> PageEvidence {
    let mut page = Page::of(tab);
    let mut evidence = PageEvidence::default();
    let exposed: Vec<&str> = values.iter().map(Secret::expose).collect();
    let options = json!({"values": exposed});
    let _ = page.remote.dialog();
    let Ok(facts) = page.call(MASK, &options).await else {
        return evidence;
    };
    let text = |name: &str| facts[name].as_str().unwrap_or_default().to_owned();
    let typed = Redactor::new(values);
    // The browser's own error page has an address that says nothing.
    let url = match text("url") {
        url if url.starts_with("chrome-error:") => answer(page.client.current_url())
            .await
            .map_or(url, String::from),
        url => url,
    };
    evidence.url = typed.url(&redactor.url(&url));
    evidence.title = typed.text(&redactor.text(&text("title")));
    // Cut at the end: the first half of a secret would not be known for one.
    let visible = typed.text(&redactor.text(&text("text")));
    evidence.text = visible.chars().take(TEXT_LIMIT).collect();
    let frames = facts["frames"].as_array().cloned().unwrap_or_default();
    if !mask_frames(&mut page, &frames, &options).await {
        return evidence;
    }
    let picture = answer(page.client.screenshot()).await;
    // A page may have drawn a value again in between.
    let still = page.call(UNCOVERED, &options).await;
    if still.is_ok_and(|still| still == Json::Bool(false)) {
        evidence.screenshot = picture.ok();
    }
    evidence
}

/// Covers values in frames of other origins; `false` where one could not be entered.
async fn mask_frames(page: &mut Page<'_>, frames: &[Json], options: &Json) -> bool {
    let mut covered = true;
    for frame in frames {
        covered &= page.enter(frame).await.is_ok() && page.call(MASK, options).await.is_ok();
        page.leave_frames();
    }
    covered
}
