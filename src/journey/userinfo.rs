//! The UserInfo request: the claims must be about who signed in.

use super::grant::Grant;
use super::{Journey, Known};
use crate::http::Request;
use crate::oauth::metadata::Endpoint;
use crate::oauth::userinfo::{self, Userinfo};
use crate::probe::Expectation;
use crate::run::Stop;
use crate::taxonomy::Stage;

impl Journey<'_> {
    pub(super) async fn userinfo(
        &mut self,
        known: &Known,
        grant: &Grant,
        expect: Option<&Expectation>,
    ) -> Result<(), Stop> {
        self.enter(Stage::Userinfo);
        let url = self
            .held(known.metadata.endpoint(Endpoint::Userinfo))?
            .clone();
        let request = self
            .bearer(Request::get(self.stage, url), grant)
            .header("accept", "application/json");
        let answer = self.send(request).await?;
        let claims = match self.held(userinfo::read(&answer.view()))? {
            Userinfo::Plain(claims) => claims,
            Userinfo::Signed(token) => {
                let mut keys = grant
                    .identity
                    .as_ref()
                    .map(|identity| identity.keys.clone())
                    .unwrap_or_default();
                let verified = self.proven(known, &token, &mut keys).await?;
                let issuer = known.metadata.issuer.as_deref();
                self.held(userinfo::signed(verified, issuer, known.credentials.id()))?
            }
        };
        self.held(userinfo::same_subject(&claims, grant.subject()))?;
        self.expect(&answer, grant, expect)?;
        self.pass();
        Ok(())
    }
}
