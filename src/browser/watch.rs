//! What the browser tells while a run is under way, folded into hops, console errors and the callback. Pure: events and
//! the time go in, what to answer the browser comes out.

use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::catch::{Catch, Caught, Paused, Request};
use super::fault;
use crate::run::{Finding, Hop};

/// Headers of one answer that are kept.
const HEADER_LIMIT: usize = 64;
const HOP_LIMIT: usize = 200;
const CONSOLE_LIMIT: usize = 50;
const DIALOG_LIMIT: usize = 20;
const LINE_LIMIT_BYTES: usize = 500;

/// The events of WebDriver BiDi that are folded here. A status is taken from `network.responseCompleted`: after a redirect
/// chromedriver at times tells `network.responseStarted` too early, with the status of the response before.
pub(super) const EVENTS: [&str; 7] = [
    "network.beforeRequestSent",
    "network.responseStarted",
    "network.responseCompleted",
    "network.fetchError",
    "log.entryAdded",
    "browsingContext.load",
    "browsingContext.userPromptOpened",
];

/// The state of one run in the browser.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// The window of the run; hops are those of its top page and of windows that it opened.
    context: String,
    catch: Option<Catch>,
    pub(super) caught: Option<Caught>,
    /// The process of the page died.
    pub(super) crashed: bool,
    /// The last document could not be loaded.
    pub(super) failed: Option<Finding>,
    /// Address of the page that loaded last, since the last address was asked for.
    pub(super) loaded: Option<String>,
    pub(super) hops: Vec<Hop>,
    pub(super) console: Vec<String>,
    /// What dialogs said that opened and nobody asked about yet.
    pub(super) dialogs: Vec<String>,
    /// Ids of the requests behind `hops`; a redirect keeps the id.
    ids: Vec<String>,
}

/// A command that an event calls for; its answer does not matter.
pub(super) type Reaction = (&'static str, Json);

impl Watch {
    /// Of a run in the window `context`.
    pub(super) fn new(context: &str) -> Self {
        Self {
            context: context.to_owned(),
            ..Self::default()
        }
    }

    /// Starts over for the next address of the same run; hops and console stay.
    pub(super) fn expect(&mut self, catch: Option<Catch>) {
        self.catch = catch;
        self.caught = None;
        self.failed = None;
        self.loaded = None;
    }

    /// Whether there is something to tell: the callback, or why it will not come.
    pub(super) fn is_settled(&self) -> bool {
        self.caught.is_some() || self.failed.is_some() || self.crashed
    }

    /// Whether the page that was asked for is there to its end. The end of the one before may be told late.
    pub(super) fn has_loaded(&self) -> bool {
        let is_answered = self.hops.last().is_some_and(|hop| hop.status.is_some());
        is_answered && self.loaded.is_some()
    }

    /// Takes one event in.
    pub(super) fn take(&mut self, method: &str, params: Json, at_ms: u64) -> Option<Reaction> {
        match method {
            "log.entryAdded" => {
                self.log(&params);
                return None;
            }
            "browsingContext.load" => {
                self.load(&params);
                return None;
            }
            "browsingContext.userPromptOpened" => return self.dialog(&params),
            "Target.targetCrashed" => {
                self.crashed |= params["targetId"] == self.context;
                return None;
            }
            "Fetch.requestPaused" => return self.paused(params),
            _ => {}
        }
        let event: NetworkEvent = serde_json::from_value(params).ok()?;
        match method {
            "network.beforeRequestSent" => self.request(&event, at_ms),
            "network.responseStarted" => {
                self.redirect(&event);
                None
            }
            "network.responseCompleted" => {
                self.response(&event, at_ms);
                None
            }
            "network.fetchError" => {
                self.error(&event, at_ms);
                None
            }
            _ => None,
        }
    }

    fn request(&mut self, event: &NetworkEvent, at_ms: u64) -> Option<Reaction> {
        let request = &event.request;
        if event.navigation.is_some() && self.is_document(event) {
            self.failed = None;
            self.hop(event, at_ms);
        }
        let held = self.catch.as_ref().and_then(|catch| catch.holds(request));
        let hold = held.is_some();
        // Where DevTools hold the request back, this event comes beside theirs and holds nothing.
        let is_app = self.catch.as_ref().is_some_and(|catch| !catch.is_http());
        // The first answer counts. A page that asks twice is held back twice all the same.
        if self.caught.is_none() && (event.is_blocked || is_app) {
            self.caught = held;
        }
        if !event.is_blocked {
            return None;
        }
        let parameters = json!({"request": request.request});
        Some(if hold {
            ("network.failRequest", parameters)
        } else {
            ("network.continueRequest", parameters)
        })
    }

    /// DevTools hold a request back.
    fn paused(&mut self, params: Json) -> Option<Reaction> {
        let paused: Paused = serde_json::from_value(params).ok()?;
        let held = self
            .catch
            .as_ref()
            .and_then(|catch| catch.holds_paused(&paused));
        let id = paused.request_id;
        let Some(caught) = held else {
            return Some(("Fetch.continueRequest", json!({"requestId": id})));
        };
        self.caught.get_or_insert(caught);
        // An answer without content leaves the page as it is, where an error would bring an error page with a process
        // of its own.
        let parameters = json!({"requestId": id, "responseCode": 204});
        Some(("Fetch.fulfillRequest", parameters))
    }

    fn response(&mut self, event: &NetworkEvent, at_ms: u64) {
        let Some(response) = &event.response else {
            return;
        };
        // What is held back is answered here, not by anybody out there.
        let is_held = self.is_held(event);
        if let Some(hop) = self.find(event, &response.url).filter(|_| !is_held) {
            hop.status = Some(response.status);
            hop.response_headers = response.texts();
            hop.took_ms = Some(at_ms.saturating_sub(hop.at_ms));
        }
    }

    /// Firefox does not tell of a request to an app, and breaks off the one that redirected to it.
    fn redirect(&mut self, event: &NetworkEvent) {
        if self.caught.is_none()
            && let Some(response) = &event.response
            && let Some(catch) = &self.catch
            && !catch.is_http()
            && let Some(location) = response.header("location")
        {
            self.caught = catch.holds_address("GET", location).map(Caught::Complete);
        }
    }

    fn error(&mut self, event: &NetworkEvent, at_ms: u64) {
        let error = event.error_text.clone().unwrap_or_default();
        let is_held = self.is_held(event);
        let found = self.find(event, &event.request.url);
        let Some(hop) = found.filter(|_| !is_held) else {
            return;
        };
        hop.error = Some(error.clone());
        hop.took_ms = Some(at_ms.saturating_sub(hop.at_ms));
        let url = event.request.url.clone();
        self.failed = fault::of_load(&error, &url);
    }

    fn is_held(&self, event: &NetworkEvent) -> bool {
        let catch = self.catch.as_ref();
        catch.is_some_and(|catch| catch.holds(&event.request).is_some())
    }

    fn load(&mut self, event: &Json) {
        let url = event["url"].as_str().unwrap_or_default();
        // The page with which a window begins may be told late.
        if event["context"] == self.context && url != "about:blank" {
            self.loaded = Some(url.to_owned());
        }
    }

    /// A dialog stops its page until it is answered. One on leaving a page says nothing about the sign-in.
    fn dialog(&mut self, prompt: &Json) -> Option<Reaction> {
        let context = prompt["context"].as_str()?;
        if prompt["type"] != "beforeunload" && self.dialogs.len() < DIALOG_LIMIT {
            self.dialogs.push(line(&prompt["message"]));
        }
        // The browser answers by itself, as was agreed with the session, unless it says otherwise.
        let is_open = prompt["handler"]
            .as_str()
            .is_none_or(|handler| handler == "ignore");
        let answer = json!({"context": context, "accept": true});
        is_open.then_some(("browsingContext.handleUserPrompt", answer))
    }

    fn log(&mut self, entry: &Json) {
        if entry["level"] == "error" && self.console.len() < CONSOLE_LIMIT {
            self.console.push(line(&entry["text"]));
        }
    }

    /// Pictures of the browser's own error pages and the like are no part of the journey.
    fn is_document(&self, event: &NetworkEvent) -> bool {
        let of_frame = event.context.as_deref() != Some(&self.context) && event.is_frame();
        !of_frame && !event.request.url.starts_with("data:")
    }

    fn hop(&mut self, event: &NetworkEvent, at_ms: u64) {
        if self.hops.len() >= HOP_LIMIT {
            return;
        }
        self.ids.push(event.request.request.clone());
        self.hops.push(Hop {
            method: event.request.method.clone(),
            url: event.request.url.clone(),
            status: None,
            response_headers: Vec::new(),
            at_ms,
            took_ms: None,
            error: None,
        });
    }

    /// The hop of this request that was for `address` and is still open.
    fn find(&mut self, event: &NetworkEvent, address: &str) -> Option<&mut Hop> {
        let bare = |url: &str| url.split('#').next().map(str::to_owned);
        let mut hops = self.hops.iter_mut().zip(&self.ids);
        let found = hops.find(|(hop, id)| {
            **id == event.request.request && hop.status.is_none() && bare(&hop.url) == bare(address)
        });
        found.map(|(hop, _)| hop)
    }
}

/// A text of the page, cut to a length that fits a line.
fn line(text: &Json) -> String {
    let mut line = text.as_str().unwrap_or_default().to_owned();
    line.truncate(line.floor_char_boundary(LINE_LIMIT_BYTES));
    line
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct NetworkEvent {
    context: Option<String>,
    #[serde(default)]
    is_blocked: bool,
    navigation: Option<String>,
    request: Request,
    response: Option<Response>,
    error_text: Option<String>,
}

impl NetworkEvent {
    fn is_frame(&self) -> bool {
        self.request
            .destination
            .as_deref()
            .is_some_and(|d| d == "iframe" || d == "frame")
    }
}

#[derive(Debug, Deserialize)]
struct Response {
    url: String,
    status: u16,
    #[serde(default)]
    headers: Vec<Header>,
}

impl Response {
    fn header(&self, name: &str) -> Option<&str> {
        let header = self
            .headers
            .iter()
            .find(|header| header.name.eq_ignore_ascii_case(name))?;
        header.value["value"].as_str()
    }

    /// All headers whose values are text. Several of one name may come as lines of one value, and a line is what redaction
    /// reads.
    fn texts(&self) -> Vec<(String, String)> {
        let texts = self.headers.iter().take(HEADER_LIMIT);
        let texts = texts.filter(|header| header.value["type"] == "string");
        let lines = texts.flat_map(|header| {
            let name = header.name.to_ascii_lowercase();
            let value = header.value["value"].as_str().unwrap_or_default();
            value
                .lines()
                .map(move |line| (name.clone(), line.to_owned()))
        });
        lines.collect()
    }
}

#[derive(Debug, Deserialize)]
struct Header {
    name: String,
    value: Json,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::browser::catch::Callback;
    use crate::probe::{RedirectUri, ResponseMode};
    use crate::secret::Secret;

    fn catch(uri: &str, mode: Option<ResponseMode>) -> Catch {
        Catch {
            uri: RedirectUri::parse(uri).unwrap(),
            mode,
        }
    }

    fn request(id: &str, url: &str, blocked: bool) -> Json {
        json!({
            "context": "tab", "isBlocked": blocked, "navigation": "n",
            "request": {"request": id, "url": url, "method": "GET", "destination": "document"},
        })
    }

    #[test]
    fn a_redirect_to_the_callback_is_held_back_and_the_hops_are_kept() {
        let mut watch = Watch::new("tab");
        watch.expect(Some(catch("https://app.example.com/cb", None)));
        let first = request("1", "https://op.example.com/auth?x=1", false);
        assert_eq!(
            watch.take("network.beforeRequestSent", first.clone(), 1),
            None
        );
        let mut response = first;
        response["response"] = json!({"url": "https://op.example.com/auth?x=1", "status": 302, "headers": [
            {"name": "X-Request-Id", "value": {"type": "string", "value": "r-1"}},
            {"name": "X-Odd", "value": {"type": "base64", "value": "/w=="}},
        ]});
        watch.take("network.responseCompleted", response, 2);
        let callback = request("1", "https://app.example.com/cb?code=c", true);
        let reaction = watch.take("network.beforeRequestSent", callback.clone(), 3);
        assert_eq!(
            reaction,
            Some(("network.failRequest", json!({"request": "1"})))
        );
        let mut failed = callback;
        failed["isBlocked"] = false.into();
        failed["errorText"] = "net::ERR_FAILED".into();
        watch.take("network.fetchError", failed, 4);

        assert!(matches!(watch.caught, Some(Caught::Complete(_))));
        assert_eq!(watch.failed, None);
        let seen: Vec<_> = watch
            .hops
            .iter()
            .map(|hop| (hop.status, hop.at_ms, hop.took_ms, hop.error.clone()))
            .collect();
        assert_eq!(seen, [(Some(302), 1, Some(1), None), (None, 3, None, None)]);
        let id = ("x-request-id".to_owned(), "r-1".to_owned());
        assert_eq!(watch.hops[0].response_headers, [id]);
    }

    #[test]
    fn a_neighbour_of_the_callback_goes_through() {
        let mut watch = Watch::default();
        watch.expect(Some(catch("http://127.0.0.1/cb", None)));
        let neighbour = request("1", "http://127.0.0.1:8080/cb?code=1", true);
        let reaction = watch.take("network.beforeRequestSent", neighbour, 1);
        assert_eq!(
            reaction,
            Some(("network.continueRequest", json!({"request": "1"})))
        );
        assert_eq!(watch.caught, None);
    }

    fn paused(watch: &mut Watch, request: &Json) -> Option<Reaction> {
        let params = json!({"requestId": "f", "networkId": "n", "request": request});
        watch.take("Fetch.requestPaused", params, 1)
    }

    #[test]
    fn devtools_hold_back_with_fragment_and_body() {
        let held = Some((
            "Fetch.fulfillRequest",
            json!({"requestId": "f", "responseCode": 204}),
        ));
        let cases = [
            (
                json!({"url": "https://app.example.com/cb?code=1", "method": "GET"}),
                ResponseMode::Query,
            ),
            (
                json!({"url": "https://app.example.com/cb", "urlFragment": "#code=1", "method": "GET"}),
                ResponseMode::Fragment,
            ),
            (
                json!({"url": "https://app.example.com/cb", "postData": "code=1", "method": "POST"}),
                ResponseMode::FormPost,
            ),
        ];
        for (request, mode) in cases {
            let mut watch = Watch::new("tab");
            watch.expect(Some(catch("https://app.example.com/cb", None)));
            assert_eq!(paused(&mut watch, &request), held);
            let parameters = Secret::new("code=1");
            assert_eq!(
                watch.caught,
                Some(Caught::Complete(Callback { mode, parameters }))
            );
        }
    }

    #[test]
    fn devtools_let_go_what_is_not_the_redirect_uri() {
        let mut watch = Watch::new("tab");
        watch.expect(Some(catch("https://app.example.com/cb", None)));
        let neighbour = json!({"url": "https://app.example.com/cbx?code=1", "method": "GET"});
        let reaction = paused(&mut watch, &neighbour);
        assert_eq!(
            reaction,
            Some(("Fetch.continueRequest", json!({"requestId": "f"})))
        );
        assert_eq!(watch.caught, None);
    }

    #[test]
    fn a_redirect_to_an_app_is_seen_in_the_redirect_itself() {
        let mut watch = Watch::default();
        watch.expect(Some(catch("myapp://cb", None)));
        let mut response = request("1", "https://op.example.com/auth", false);
        response["response"] = json!({
            "url": "https://op.example.com/auth",
            "status": 302,
            "headers": [{"name": "Location", "value": {"type": "string", "value": "myapp://cb?code=c"}}],
        });
        watch.take("network.responseStarted", response, 1);
        assert!(
            matches!(&watch.caught, Some(Caught::Complete(c)) if c.parameters.expose() == "code=c")
        );
    }

    #[test]
    fn a_document_that_does_not_load_is_a_failure_until_the_next_one() {
        let mut watch = Watch::new("tab");
        let mut event = request("1", "https://op.example.com/", false);
        watch.take("network.beforeRequestSent", event.clone(), 1);
        event["errorText"] = "net::ERR_CONNECTION_REFUSED".into();
        watch.take("network.fetchError", event, 2);
        assert!(watch.failed.is_some());
        watch.take(
            "network.beforeRequestSent",
            request("2", "https://op.example.com/", false),
            3,
        );
        assert_eq!(watch.failed, None);
    }

    #[test]
    fn garbage_from_the_browser_is_harmless() {
        let mut watch = Watch::default();
        for params in [
            json!(null),
            json!({}),
            json!([1]),
            json!({"request": {"request": 1}}),
        ] {
            for method in EVENTS {
                assert_eq!(watch.take(method, params.clone(), 0), None);
            }
        }
    }
}
