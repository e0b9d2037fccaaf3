//! What a token response holds: makes the tokens of a grant, and spoils them where a fault says so.

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::authorize::SCOPES;
use super::faults::{Drawn, Kind, TokenName};
use super::keys::{
    Keys, SigningKey, at_hash, random, sha256, sign_hs256, spoil_signature, unsigned,
};
use super::reply;
use super::state::{AccessToken, Grant, RefreshToken, Server, now, seconds, subject};
use super::{Client, SigningAlg};

/// What is to be issued under a grant that the server holds already.
#[derive(Debug)]
pub(super) struct Order<'a> {
    pub(super) client: &'a Client,
    pub(super) grant_id: &'a str,
    pub(super) grant: &'a Grant,
    /// May be narrower than the grant's.
    pub(super) scope: Vec<String>,
    pub(super) nonce: Option<&'a str>,
    pub(super) new_refresh_token: bool,
}

/// Issues tokens, keeps them, and answers with them (RFC 6749 section 5.1).
pub(super) fn issue(server: &Server, order: &Order<'_>, drawn: &Drawn) -> Response {
    let real_now = now();
    let lifetimes = server.config.lifetimes;
    let mut scope = order.scope.clone();
    if drawn.has(&Kind::ScopeDowngraded) {
        scope.truncate((scope.len() / 2).max(1));
    }
    let old = drawn
        .has(&Kind::NothingNew)
        .then(|| order.grant.last_access_token.clone());
    let access_token = old.clone().unwrap_or_else(random);
    let refresh_token = (order.new_refresh_token && old.is_none()).then(random);
    {
        let mut state = server.state();
        if old.is_none() {
            let access = AccessToken {
                grant: order.grant_id.to_owned(),
                issued: real_now,
                scope: scope.clone(),
            };
            let expires = real_now + seconds(lifetimes.access_token);
            state
                .access_tokens
                .insert(sha256(&access_token), access, expires, real_now);
        }
        if let Some(token) = &refresh_token {
            let refresh = RefreshToken {
                grant: order.grant_id.to_owned(),
                issued: real_now,
                spent: false,
            };
            let expires = real_now + seconds(lifetimes.refresh_token);
            state
                .refresh_tokens
                .insert(sha256(token), refresh, expires, real_now);
        }
        if let Some(grant) = state.grants.get_mut(order.grant_id, real_now) {
            grant.last_access_token.clone_from(&access_token);
        }
    }
    let mut body = Map::new();
    body.insert("access_token".into(), access_token.as_str().into());
    body.insert("token_type".into(), "Bearer".into());
    body.insert("expires_in".into(), seconds(lifetimes.access_token).into());
    if let Some(token) = refresh_token {
        body.insert("refresh_token".into(), token.into());
    }
    if let (true, Some(username)) = (
        scope.iter().any(|word| word == "openid"),
        &order.grant.username,
    ) {
        let id_token = IdToken {
            issuer: &server.issuer,
            client: order.client,
            subject: &subject(username),
            nonce: order.nonce,
            auth_time: order.grant.auth_time,
            access_token: &access_token,
            now: real_now + drawn.clock_offset(),
            lifetime: seconds(lifetimes.id_token),
        };
        body.insert(
            "id_token".into(),
            id_token.sign(&server.keys(), drawn).into(),
        );
    }
    body.insert("scope".into(), scope.join(" ").into());
    spoil_response(&mut body, drawn);
    reply::json(StatusCode::OK, &Value::Object(body))
}

fn spoil_response(body: &mut Map<String, Value>, drawn: &Drawn) {
    let missing = drawn.find(|kind| match kind {
        Kind::MissingToken(token) => Some(*token),
        _ => None,
    });
    if let Some(token) = missing {
        body.remove(match token {
            TokenName::AccessToken => "access_token",
            TokenName::IdToken => "id_token",
            TokenName::RefreshToken => "refresh_token",
        });
    }
    if drawn.has(&Kind::OddLooks) {
        let scope: Vec<&str> = body["scope"]
            .as_str()
            .unwrap_or_default()
            .split(' ')
            .rev()
            .collect();
        let scope = scope.join(" ");
        let expires_in = body["expires_in"].to_string();
        body.insert("token_type".into(), "bearer".into());
        body.insert("expires_in".into(), expires_in.into());
        body.insert("scope".into(), scope.into());
        body.insert("not_before_policy".into(), 0.into());
    }
}

/// Makes the key that the fault of a rotated key asks for. Slow for RSA: call it off the runtime.
pub(super) fn rotate_key(server: &Server, alg: SigningAlg) {
    if let Ok(key) = SigningKey::new(alg) {
        server.keys().rotate(key);
    }
}

/// What an ID token says (OpenID Connect Core section 2).
#[derive(Debug, Clone, Copy)]
struct IdToken<'a> {
    issuer: &'a str,
    client: &'a Client,
    subject: &'a str,
    nonce: Option<&'a str>,
    auth_time: i64,
    access_token: &'a str,
    /// Seconds, as the server's clock shows it.
    now: i64,
    lifetime: i64,
}

/// Seconds by which the times of spoiled tokens are off; more than any leeway.
const FAR_S: i64 = 7_200;

impl IdToken<'_> {
    fn sign(&self, keys: &Keys, drawn: &Drawn) -> String {
        let claims = self.claims(drawn);
        let key = keys.current(self.client.alg);
        if drawn.has(&Kind::AlgNone) {
            return unsigned(&claims);
        }
        if drawn.has(&Kind::WrongAlg) {
            let secret = self
                .client
                .secret
                .as_ref()
                .map_or("public", |secret| secret.expose());
            return sign_hs256(&claims, secret);
        }
        let stranger = drawn.has(&Kind::UnknownKid).then(random);
        let token = key.sign(&claims, stranger.as_deref());
        if drawn.has(&Kind::WrongSignature) {
            return spoil_signature(&token);
        }
        token
    }

    fn claims(&self, drawn: &Drawn) -> Map<String, Value> {
        let mut claims = Map::new();
        let mut set = |name: &str, value: Value| claims.insert(name.to_owned(), value);
        set("iss", self.issuer.into());
        set("sub", self.subject.into());
        set("aud", self.client.id.as_str().into());
        set("exp", (self.now + self.lifetime).into());
        set("iat", self.now.into());
        set("auth_time", self.auth_time.into());
        set("at_hash", at_hash(self.access_token).into());
        if let Some(nonce) = self.nonce {
            set("nonce", nonce.into());
        }
        if drawn.has(&Kind::WrongIss) {
            set("iss", "https://another-issuer.example".into());
        }
        if drawn.has(&Kind::WrongSub) {
            set("sub", "somebody-else".into());
        }
        if drawn.has(&Kind::WrongAud) {
            set("aud", "another-client".into());
        }
        if drawn.has(&Kind::WrongAzp) {
            set("aud", json!([self.client.id, "another-client"]));
            set("azp", "another-client".into());
        }
        if drawn.has(&Kind::WrongNonce) {
            set("nonce", random().into());
        }
        if drawn.has(&Kind::WrongAtHash) {
            set("at_hash", at_hash("another token").into());
        }
        if drawn.has(&Kind::Expired) {
            set("iat", (self.now - 2 * FAR_S).into());
            set("exp", (self.now - FAR_S).into());
        }
        if drawn.has(&Kind::IssuedInFuture) {
            set("iat", (self.now + FAR_S).into());
            set("exp", (self.now + FAR_S + self.lifetime).into());
        }
        if drawn.has(&Kind::NotYetValid) {
            set("nbf", (self.now + FAR_S).into());
            set("exp", (self.now + FAR_S + self.lifetime).into());
        }
        if drawn.has(&Kind::MissingNonce) {
            claims.remove("nonce");
        }
        claims
    }
}

/// The scopes of a list that the server knows, in the server's order and without doubles.
pub(super) fn known_scopes(words: &[String]) -> Vec<String> {
    let known = SCOPES
        .iter()
        .filter(|known| words.iter().any(|word| word == *known));
    known.map(|&known| known.to_owned()).collect()
}
