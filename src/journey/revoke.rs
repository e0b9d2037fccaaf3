//! Revocation, and the proof that it took effect.

use super::grant::Grant;
use super::{Answer, Journey, Known};
use crate::http::Request;
use crate::oauth::form::Form;
use crate::oauth::metadata::Endpoint;
use crate::oauth::{introspection, revocation};
use crate::probe::TokenKind;
use crate::run::Stop;
use crate::taxonomy::{Class, Stage};

impl Journey<'_> {
    pub(super) async fn revoke(
        &mut self,
        known: &Known,
        grant: &Grant,
        kind: TokenKind,
        verify: bool,
    ) -> Result<(), Stop> {
        self.enter(Stage::Revocation);
        let refresh = grant.tokens.refresh.as_ref();
        let form = match (kind, refresh) {
            (TokenKind::RefreshToken, None) => {
                return Err(self.refuse(Class::TokenMissing, "there is no refresh token to revoke"));
            }
            (TokenKind::AccessToken, _) | (TokenKind::Auto, None) => {
                Form::revoke_access(&grant.tokens.access)
            }
            (TokenKind::RefreshToken | TokenKind::Auto, Some(refresh)) => {
                Form::revoke_refresh(refresh)
            }
        };
        let is_access = matches!(kind, TokenKind::AccessToken) || refresh.is_none();
        let answer = self.post(known, Endpoint::Revocation, form).await?;
        self.held(revocation::read(&answer.view()))?;
        if verify {
            self.verify_revoked(known, grant, is_access).await?;
        }
        self.pass();
        Ok(())
    }

    /// Uses the revoked token where it would be used, which must be refused. Only where an access token has no such place,
    /// the introspection endpoint is asked.
    async fn verify_revoked(
        &mut self,
        known: &Known,
        grant: &Grant,
        is_access: bool,
    ) -> Result<(), Stop> {
        if let (false, Some(refresh)) = (is_access, &grant.tokens.refresh) {
            let answer = self
                .post(known, Endpoint::Token, Form::refresh(refresh))
                .await?;
            return self.refused(&answer);
        }
        if let (Ok(url), Some(_)) = (known.metadata.endpoint(Endpoint::Userinfo), &grant.identity) {
            let request = self.bearer(Request::get(self.stage, url.clone()), grant);
            let answer = self.send(request).await?;
            return self.refused(&answer);
        }
        if known.metadata.endpoint(Endpoint::Introspection).is_ok() {
            let form = Form::introspect(&grant.tokens.access);
            let answer = self.post(known, Endpoint::Introspection, form).await?;
            self.held(introspection::read(&answer.view(), false))?;
            return Ok(());
        }
        self.learn(
            "revocation.verified",
            "no: the provider has no place to try an access token",
        );
        Ok(())
    }

    fn refused(&self, answer: &Answer) -> Result<(), Stop> {
        self.held(revocation::refused_afterwards(&answer.view()))
    }
}
