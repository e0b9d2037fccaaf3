//! The refresh token grant. A token that rotated replaces the old one at once; without a new one the old one stays.

use tokio::time::Instant;

use super::grant::{Grant, Identity};
use super::{Journey, Known};
use crate::clock;
use crate::oauth::form::Form;
use crate::oauth::id_token::Binding;
use crate::oauth::metadata::Endpoint;
use crate::oauth::token::{self, Due, Rotated};
use crate::probe::Rotation;
use crate::run::Stop;
use crate::taxonomy::{Class, Stage};

impl Journey<'_> {
    pub(super) async fn refresh(
        &mut self,
        known: &Known,
        grant: &mut Grant,
        wanted: Rotation,
    ) -> Result<(), Stop> {
        self.enter(Stage::Refresh);
        let Some(old) = grant.tokens.refresh.take() else {
            return Err(self.refuse(Class::TokenMissing, "there is no refresh token to use"));
        };
        let age = grant.came.elapsed();
        self.know("grant_type", "refresh_token");
        self.know("refresh_token_age_days", age.as_secs_f64() / 86_400.0);
        self.know("expected_tokens", vec!["access_token"]);
        let form = Form::refresh(&old).with_all(&self.probe.token_params);
        let answer = self.post(known, Endpoint::Token, form).await?;
        let mut tokens = self.tokens(&answer, Due::default())?;
        let rotated = self.held(token::rotation(&old, &tokens, wanted))?;
        self.learn(
            "refresh_token.rotation",
            match rotated {
                Rotated::New => "rotated",
                Rotated::Kept => "kept",
            },
        );
        self.learn("refresh_token.used_at", clock::now().to_string());
        if rotated == Rotated::New {
            self.note_refresh_token(&tokens);
        }
        tokens.refresh.get_or_insert(old);
        if tokens.id_token.is_some()
            && let Some(Identity {
                id_token,
                nonce,
                keys,
            }) = &mut grant.identity
        {
            let binding = Binding::Refresh {
                nonce,
                subject: &id_token.subject,
            };
            self.id_token(known, &tokens, binding, keys).await?;
        } else {
            tokens.id_token = grant.tokens.id_token.take();
        }
        grant.tokens = tokens;
        grant.came = Instant::now();
        self.pass();
        Ok(())
    }
}
