//! Why a command to a page gave nothing, in the words of the walk: from the driver's errors to what to do about them.

use std::time::Duration;

use fantoccini::error::{CmdError, ErrorStatus};
use serde_json::Value as Json;
use thiserror::Error;

use crate::run::Finding;
use crate::taxonomy::Class;

/// Beyond it a driver that has not answered counts as gone.
const DRIVER_LIMIT: Duration = Duration::from_secs(15);

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

/// Whether the driver speaks of a browser, or of the process of a page, that is gone.
pub(super) fn is_crash(message: &str) -> bool {
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
