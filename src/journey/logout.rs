//! RP-initiated logout, in the browser that signed in.

use url::Url;

use super::authorize::fault_of;
use super::grant::Grant;
use super::{Journey, Known};
use crate::browser;
use crate::oauth::logout;
use crate::oauth::metadata::Endpoint;
use crate::oauth::values::State;
use crate::probe::RedirectUri;
use crate::run::{Fault, Finding, Stop};
use crate::taxonomy::{Class, Stage};

impl Journey<'_> {
    /// Ends the session at the provider (OpenID Connect RP-Initiated Logout section 2).
    pub(super) async fn logout(
        &mut self,
        known: &Known,
        grant: &Grant,
        back_to: Option<&Url>,
    ) -> Result<(), Stop> {
        self.enter(Stage::Logout);
        let state = State::from_random(super::authorize::random());
        self.redactor.learn(state.expose());
        let endpoint = self.held(known.metadata.endpoint(Endpoint::EndSession))?;
        let hint = grant.tokens.id_token.as_ref();
        let url = logout::url(endpoint, known.credentials.id(), hint, back_to, &state);
        let deadline = self.step_deadline();
        let caught = match back_to
            .map(|url| RedirectUri::parse(url.as_str()))
            .transpose()
        {
            Ok(caught) => caught,
            Err(error) => {
                return Err(self.misconfigured(&format!("post_logout_redirect_uri: {error}")));
            }
        };
        let Some(tab) = &mut self.tab else {
            return Err(self.misconfigured("there is no browser session to end"));
        };
        let left = browser::logout::walk(tab, &url, caught.as_ref(), deadline).await;
        let last_status = tab.hops(&self.redactor).last().and_then(|hop| hop.status);
        let returned = left.map_err(|finding| self.stop(fault_of(finding)))?;
        match (returned, last_status) {
            (Some(parameters), _) => self.held(logout::returned(&parameters, &state))?,
            (None, Some(status @ 400..)) => {
                let class = if status < 500 {
                    Class::HttpClientError
                } else {
                    Class::HttpServerError
                };
                let detail = format!("the logout page came with status {status}");
                return Err(self.stop(Fault::Page(Finding::new(class, detail))));
            }
            (None, _) => (),
        }
        self.pass();
        Ok(())
    }
}
