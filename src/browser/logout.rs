//! RP-initiated logout in the window that signed in: follows it to its end, and says yes where the provider asks.

use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, timeout, timeout_at};
use url::Url;

use super::remote::function;
use super::trouble::Trouble;
use super::{Arrival, Tab};
use crate::probe::RedirectUri;
use crate::run::Finding;
use crate::taxonomy::Class;

const SAY_YES: &str = function!("sayYes", "logout.js");

/// How long a page is given to move on before it is looked at.
const LOOK: Duration = Duration::from_millis(250);

/// A page asks at most this often; more is a loop.
const QUESTIONS: u32 = 3;

/// Goes to the logout address. With `back_to`, gives the parameters that came back there; the request itself is held
/// back. Without it, ends when a page has loaded that asks nothing more.
pub async fn walk(
    tab: &mut Tab,
    url: &Url,
    back_to: Option<&RedirectUri>,
    deadline: Instant,
) -> Result<Option<String>, Finding> {
    let Some(back_to) = back_to else {
        tab.navigate(url, deadline).await?;
        confirm(tab, deadline).await?;
        return Ok(None);
    };
    tab.open(url, back_to, None, deadline).await?;
    let tab = &*tab;
    // One future for the whole wait: it also looks after the browser, at longer intervals than a page is looked at.
    let mut arrived = std::pin::pin!(tab.arrived());
    let mut asked = 0;
    loop {
        match timeout(LOOK, &mut arrived).await {
            Ok(Arrival::Callback(callback)) => {
                return Ok(Some(callback.parameters.expose().to_owned()));
            }
            Ok(Arrival::Failed(finding) | Arrival::Lost(finding)) => return Err(finding),
            Err(_) if Instant::now() >= deadline => return Err(never_came_back(back_to)),
            Err(_) if asked < QUESTIONS && confirm(tab, deadline).await? => asked += 1,
            Err(_) => (),
        }
    }
}

fn never_came_back(back_to: &RedirectUri) -> Finding {
    let detail = format!(
        "the provider never sent the browser back to {}",
        back_to.as_str()
    );
    Finding::new(Class::CallbackNotReached, detail)
}

/// Whether the page asked and was answered.
async fn confirm(tab: &Tab, deadline: Instant) -> Result<bool, Finding> {
    let remote = tab.remote();
    let options = json!({});
    let pressed = remote.call(remote.window, SAY_YES, &options);
    match timeout_at(deadline, pressed).await {
        Ok(Ok(pressed)) => Ok(pressed.as_bool().unwrap_or(false)),
        Ok(Err(Trouble::Monitor(finding))) => Err(finding),
        // The page went away under the script: it is moving on.
        Ok(Err(_)) => Ok(false),
        Err(_) => Err(Finding::new(
            Class::NavigationTimeout,
            "the logout page does not answer",
        )),
    }
}
