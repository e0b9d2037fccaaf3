//! From a code, or from the client's own credentials, to tokens that hold up.

use serde_json::{Map, Value};
use tokio::time::Instant;

use super::authorize::Authorized;
use super::{Answer, Journey, Known};
use crate::clock;
use crate::oauth::form::Form;
use crate::oauth::id_token::{self, Binding, Expected, IdToken};
use crate::oauth::jwks::KeySet;
use crate::oauth::jwt::{Unverified, Verified};
use crate::oauth::metadata::Endpoint;
use crate::oauth::scope;
use crate::oauth::signature::{self, Trust, Unproven};
use crate::oauth::token::{self, Due, Tokens};
use crate::oauth::values::Nonce;
use crate::run::Stop;
use crate::taxonomy::{Class, Stage};

/// What was granted, as it stands now.
pub(super) struct Grant {
    pub(super) tokens: Tokens,
    /// When they came; a refresh that brings new ones starts anew.
    pub(super) came: Instant,
    /// Who signed in; absent without OpenID Connect.
    pub(super) identity: Option<Identity>,
}

/// What later tokens of the same sign-in are held against.
pub(super) struct Identity {
    pub(super) id_token: IdToken,
    pub(super) nonce: Nonce,
    pub(super) keys: KeySet,
}

impl Grant {
    pub(super) fn subject(&self) -> Option<&str> {
        self.identity
            .as_ref()
            .map(|identity| identity.id_token.subject.as_str())
    }

    /// What conditions may see of it: claims and figures, never a token.
    pub(super) fn facts(&self) -> Map<String, Value> {
        let identity = self.identity.as_ref();
        let mut facts = identity
            .map(|identity| identity.id_token.claims.clone())
            .unwrap_or_default();
        if let Some(lifetime) = self.tokens.expires_in {
            facts.insert("expires_in".to_owned(), lifetime.as_secs().into());
        }
        if let Some(scope) = &self.tokens.scope {
            facts.insert("scope".to_owned(), scope.as_str().into());
        }
        facts
    }
}

/// The tokens that have to come, by their names.
fn expected(due: Due) -> Vec<&'static str> {
    let named = [
        ("access_token", true),
        ("id_token", due.id_token),
        ("refresh_token", due.refresh_token),
    ];
    let due = named.into_iter().filter(|(_, due)| *due);
    due.map(|(name, _)| name).collect()
}

impl Journey<'_> {
    /// The whole way from the authorization request to tokens that hold up.
    pub(super) async fn sign_in(&mut self, known: &Known) -> Result<Grant, Stop> {
        let keys = if self.is_openid() {
            Some(self.keys(&known.metadata).await?)
        } else {
            None
        };
        let authorized = self.authorize(known).await?;
        let (tokens, nonce) = self.exchange(known, authorized).await?;
        let came = Instant::now();
        let identity = match keys {
            Some(keys) => Some(self.identify(known, &tokens, nonce, keys).await?),
            None => None,
        };
        Ok(Grant {
            tokens,
            came,
            identity,
        })
    }

    fn is_openid(&self) -> bool {
        self.probe.scopes.iter().any(|scope| scope == "openid")
    }

    /// Exchanges the code (RFC 6749 section 4.1.3).
    async fn exchange(
        &mut self,
        known: &Known,
        authorized: Authorized,
    ) -> Result<(Tokens, Nonce), Stop> {
        self.enter(Stage::TokenExchange);
        let Authorized {
            code,
            redirect_uri,
            verifier,
            nonce,
            arrived,
        } = authorized;
        self.know("grant_type", "authorization_code");
        self.know("code_age_s", arrived.elapsed().as_secs_f64());
        let (form, _spent) = code.exchange(&redirect_uri, &verifier);
        let form = form.with_all(&self.probe.token_params);
        let due = Due {
            id_token: self.is_openid(),
            refresh_token: self.expects_refresh(),
        };
        self.know("expected_tokens", expected(due));
        let answer = self.post(known, Endpoint::Token, form).await?;
        let tokens = self.tokens(&answer, due)?;
        self.note_scope(&tokens);
        self.note_refresh_token(&tokens);
        self.pass();
        Ok((tokens, nonce))
    }

    /// A grant to the client itself (RFC 6749 section 4.4).
    pub(super) async fn client_credentials(&mut self, known: &Known) -> Result<Grant, Stop> {
        self.enter(Stage::TokenExchange);
        self.know("grant_type", "client_credentials");
        self.know("requested_scope", self.probe.scopes.join(" "));
        let form = Form::client_credentials(&self.probe.scopes).with_all(&self.probe.token_params);
        let answer = self.post(known, Endpoint::Token, form).await?;
        let tokens = self.tokens(&answer, Due::default())?;
        self.note_scope(&tokens);
        self.pass();
        Ok(Grant {
            tokens,
            came: Instant::now(),
            identity: None,
        })
    }

    /// Reads a token answer, and has its tokens hidden from then on.
    pub(super) fn tokens(&mut self, answer: &Answer, due: Due) -> Result<Tokens, Stop> {
        let tokens = self.held(token::read(&answer.view(), due))?;
        self.redactor.learn(tokens.access.expose());
        if let Some(refresh) = &tokens.refresh {
            self.redactor.learn(refresh.expose());
        }
        if let Some(id_token) = &tokens.id_token {
            self.redactor.learn(id_token.expose());
        }
        Ok(tokens)
    }

    /// A step that refreshes cannot go without a refresh token, and asking for one is what `offline_access` means.
    fn expects_refresh(&self) -> bool {
        use crate::probe::Step;
        self.probe
            .steps
            .iter()
            .any(|step| matches!(step, Step::Refresh { .. }))
    }

    fn note_scope(&mut self, tokens: &Tokens) {
        let missing = scope::missing(&self.probe.scopes, tokens);
        if !missing.is_empty() {
            self.warn(
                Class::ScopeDowngraded,
                format!("not granted: {}", missing.join(" ")),
            );
        }
        if let Some(lifetime) = tokens.expires_in {
            self.learn("access_token.expires_in_s", lifetime.as_secs().to_string());
        }
    }

    /// A refresh token begins its life, where the answer has one.
    pub(super) fn note_refresh_token(&mut self, tokens: &Tokens) {
        if tokens.refresh.is_none() {
            return;
        }
        self.learn("refresh_token.granted_at", clock::now().to_string());
        let lifetime = tokens.refresh_expires_in;
        if let Some(lifetime) = lifetime.filter(|lifetime| !lifetime.is_zero()) {
            let seconds = lifetime.as_secs().to_string();
            self.learn("refresh_token.expires_in_s", seconds);
        }
    }

    /// Checks the ID token of the sign-in.
    async fn identify(
        &mut self,
        known: &Known,
        tokens: &Tokens,
        nonce: Nonce,
        mut keys: KeySet,
    ) -> Result<Identity, Stop> {
        self.enter(Stage::IdToken);
        let id_token = self
            .id_token(known, tokens, Binding::SignIn(&nonce), &mut keys)
            .await?;
        self.learn("id_token.alg", id_token.alg.as_str());
        self.learn("id_token.expires_at", id_token.expires_at.to_string());
        if let Some(kid) = id_token.kid.as_deref().and_then(|kid| self.key_name(kid)) {
            self.learn("id_token.kid", kid);
        }
        self.pass();
        Ok(Identity {
            id_token,
            nonce,
            keys,
        })
    }

    /// Signature first, then the claims. Belongs to the step under way.
    pub(super) async fn id_token(
        &mut self,
        known: &Known,
        tokens: &Tokens,
        binding: Binding<'_>,
        keys: &mut KeySet,
    ) -> Result<IdToken, Stop> {
        let raw = tokens
            .id_token
            .as_ref()
            .expect("the token answer was read with an ID token due");
        let token = self.held(Unverified::parse(raw.expose(), "the ID token"))?;
        let token = self.proven(known, &token, keys).await?;
        let expected = Expected {
            issuer: known.metadata.issuer.as_deref(),
            client_id: known.credentials.id(),
            binding,
            access: Some(&tokens.access),
            now: clock::now(),
            clock_offset_ms: self.walk.evidence.clock_offset_ms,
        };
        self.held(id_token::validate(token, &expected))
    }

    /// Checks a signature; where the key is not known the key set is fetched once more, because it may have rotated
    /// (OpenID Connect Core section 10.1.1).
    pub(super) async fn proven(
        &mut self,
        known: &Known,
        token: &Unverified,
        keys: &mut KeySet,
    ) -> Result<Verified, Stop> {
        match signature::verify(token, &self.trust(known, keys)) {
            Ok(verified) => return Ok(verified),
            Err(Unproven::KeyUnknown(_)) => (),
            Err(refused) => return Err(self.stop(refused.into())),
        }
        *keys = self.newer_keys(&known.metadata).await?;
        let verified = signature::verify(token, &self.trust(known, keys));
        self.held(verified.map_err(Into::into))
    }

    fn trust<'t>(&'t self, known: &'t Known, keys: &'t KeySet) -> Trust<'t> {
        Trust {
            keys,
            registered: self.probe.client.id_token_alg.as_deref(),
            listed: &known.metadata.id_token_algs,
            secret: known.credentials.secret(),
        }
    }
}
