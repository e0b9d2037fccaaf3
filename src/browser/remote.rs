//! Functions that run in a page, called by WebDriver BiDi. The driver passes such a call on at once, where a WebDriver
//! script would keep it from anything else until the page answers; one that is given up costs nothing.

use std::time::Duration;

use serde_json::{Value as Json, json};
use tokio::time::Instant;

use super::trouble::{Trouble, is_crash};
use super::wire::{Board, Wire, WireError};
use crate::run::Finding;
use crate::taxonomy::Class;

/// The source of a function in the page: the files that it needs, and what it does with the options it gets.
macro_rules! function {
    ($work:literal, $($file:literal),*) => {
        concat!(
            "async (text, element) => {\n",
            include_str!("remote.js"),
            $(include_str!($file),)*
            "return answerOf(", $work, ", text, element); }"
        )
    };
}
pub(super) use function;

/// A page that has not answered by then hangs.
const SCRIPT_LIMIT: Duration = Duration::from_secs(4);

/// The member that makes an object a reference to an element (WebDriver section 12.1).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// The way to the pages of one run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Remote<'a> {
    pub(super) bidi: &'a Wire,
    pub(super) board: &'a Board,
    /// The window of the run.
    pub(super) window: &'a str,
}

impl Remote<'_> {
    /// Calls `function` in the window or frame `context`. It gets `options`, in which `element` may name an element;
    /// elements in its answer are such names again, good for WebDriver commands too.
    pub(super) async fn call(
        &self,
        context: &str,
        function: &str,
        options: &Json,
    ) -> Result<Json, Trouble> {
        let mut arguments = vec![json!({"type": "string", "value": options.to_string()})];
        if let Some(element) = options.get("element") {
            let id = element_id(element).ok_or(Trouble::Gone)?;
            arguments.push(json!({"sharedId": id}));
        }
        let answer = self.evaluate(context, function, arguments).await?;
        let parts = answer["value"].as_array().map_or(&[][..], Vec::as_slice);
        let Some((text, nodes)) = parts.split_first() else {
            return Err(Trouble::Moved);
        };
        let text = text["value"].as_str().unwrap_or("null");
        let mut answer =
            serde_json::from_str(text).map_err(|error| Trouble::Broken(error.to_string()))?;
        name_elements(&mut answer, nodes);
        match answer["broken"].as_str() {
            Some(broken) => Err(Trouble::Broken(broken.to_owned())),
            None => Ok(answer),
        }
    }

    /// The context of the page in the frame `element`.
    pub(super) async fn frame(&self, context: &str, element: &Json) -> Result<String, Trouble> {
        let id = element_id(element).ok_or(Trouble::Gone)?;
        let arguments = vec![json!({"sharedId": id})];
        let window = self
            .evaluate(context, "(frame) => frame.contentWindow", arguments)
            .await?;
        let inside = window["value"]["context"].as_str();
        inside.map(str::to_owned).ok_or(Trouble::Gone)
    }

    /// What dialogs said that opened since this was asked last; they are closed by now.
    pub(super) fn dialog(&self) -> Option<String> {
        if self.board.read(|watch| watch.dialogs.is_empty()) {
            return None;
        }
        let mut said = Vec::new();
        self.board
            .change(|watch| said = std::mem::take(&mut watch.dialogs));
        Some(said.join("\n"))
    }

    async fn evaluate(
        &self,
        context: &str,
        function: &str,
        arguments: Vec<Json>,
    ) -> Result<Json, Trouble> {
        let params = json!({
            "functionDeclaration": function,
            "arguments": arguments,
            "target": {"context": context},
            "awaitPromise": true,
            "serializationOptions": {"maxDomDepth": 0, "maxObjectDepth": 1},
        });
        let limit = Instant::now() + SCRIPT_LIMIT;
        let called = self.bidi.call("script.callFunction", params, limit).await;
        let mut answer = called.map_err(|error| trouble(&error))?;
        match answer["type"].as_str() {
            Some("success") => Ok(answer["result"].take()),
            // The document was replaced while the function waited in it.
            _ => Err(Trouble::Moved),
        }
    }
}

/// The id in a reference to an element.
pub(super) fn element_id(reference: &Json) -> Option<&str> {
    reference.get(ELEMENT)?.as_str()
}

/// Puts the id of each node where its number stands.
fn name_elements(value: &mut Json, nodes: &[Json]) {
    match value {
        Json::Object(members) => {
            if let Some(place) = members.get_mut(ELEMENT) {
                let number = place.as_u64().and_then(|n| usize::try_from(n).ok());
                let node = number.and_then(|number| nodes.get(number));
                *place = node.map_or(Json::Null, |node| node["sharedId"].clone());
                return;
            }
            members
                .values_mut()
                .for_each(|member| name_elements(member, nodes));
        }
        Json::Array(list) => list.iter_mut().for_each(|item| name_elements(item, nodes)),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
    }
}

fn trouble(error: &WireError) -> Trouble {
    let crashed = |detail: &str| Trouble::Monitor(Finding::new(Class::BrowserCrashed, detail));
    match error {
        WireError::Overdue(_) => Trouble::Stuck,
        WireError::Closed => crashed("the browser is gone"),
        WireError::Refused(said) if is_crash(said) => crashed(said),
        WireError::Refused(said)
            if said.starts_with("no such frame") || said.starts_with("no such node") =>
        {
            Trouble::Gone
        }
        WireError::Refused(_) => Trouble::Moved,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_of_an_answer_get_the_names_that_came_beside_it() {
        let mut answer =
            json!({"frames": [{"element": {ELEMENT: 1}}], "gone": {ELEMENT: 7}, "n": 1});
        name_elements(
            &mut answer,
            &[json!({"sharedId": "a"}), json!({"sharedId": "b"})],
        );
        let expected =
            json!({"frames": [{"element": {ELEMENT: "b"}}], "gone": {ELEMENT: null}, "n": 1});
        assert_eq!(answer, expected);
        assert_eq!(element_id(&answer["frames"][0]["element"]), Some("b"));
        assert_eq!(element_id(&answer["gone"]), None);
    }

    #[test]
    fn words_of_the_driver_say_what_became_of_the_page() {
        let check = |said: &str, expected: &str| {
            let found = trouble(&WireError::Refused(said.to_owned()));
            assert!(
                format!("{found:?}").starts_with(expected),
                "{said}: {found:?}"
            );
        };
        check("no such frame: Context 1 not found", "Gone");
        check("no such node: Node is stale", "Gone");
        check(
            "unknown error: Cannot find context with specified id",
            "Moved",
        );
        check(
            "unknown error: session deleted because of page crash",
            "Monitor",
        );
    }
}
