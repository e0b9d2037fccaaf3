//! What a text means: which pairs of subject and predicate name which class. Rows are asked in order, the narrow ones
//! first; what a row says depends on what was asked of the provider, because "the token expired" is another thing at a
//! refresh than at a call.

use super::concepts::Concept::{self, *};
use super::concepts::{Concepts, in_sentence};
use super::text::sentences;
use crate::taxonomy::{Action, Cause, Class, Stage};

/// What was asked of the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    /// A code against tokens, or a token request of unknown grant.
    Code,
    Password,
    ClientCredentials,
    /// A signed assertion, or another token, against tokens.
    Assertion,
    Device,
    Refresh,
    /// A call with the access token.
    Bearer,
    /// The token itself is the matter: revocation, introspection.
    OnToken,
    /// Pages, and what comes back from them.
    Browser,
    Other,
}

impl Call {
    /// By step and grant type.
    pub(super) fn of(stage: Stage, grant: Option<&str>) -> Self {
        match stage {
            Stage::Refresh => Self::Refresh,
            Stage::Userinfo | Stage::Resource => Self::Bearer,
            Stage::Revocation | Stage::Introspection => Self::OnToken,
            Stage::DeviceAuthorization => Self::Device,
            Stage::Authorize
            | Stage::Login
            | Stage::Mfa
            | Stage::Consent
            | Stage::Callback
            | Stage::Logout
            | Stage::Browser => Self::Browser,
            Stage::TokenExchange | Stage::IdToken => match grant.unwrap_or_default() {
                "refresh_token" => Self::Refresh,
                "password" => Self::Password,
                "client_credentials" | "account_credentials" => Self::ClientCredentials,
                grant if grant.ends_with("device_code") => Self::Device,
                grant if grant.contains("bearer") || grant.ends_with("token-exchange") => {
                    Self::Assertion
                }
                _ => Self::Code,
            },
            Stage::Config
            | Stage::Dns
            | Stage::Connect
            | Stage::Tls
            | Stage::Discovery
            | Stage::Jwks
            | Stage::Par
            | Stage::Monitor => Self::Other,
        }
    }
}

/// One row: everything of `all`, something of `any` where it names anything, nothing of `none`, at one of `at`.
struct Row {
    class: Class,
    all: Concepts,
    any: Concepts,
    none: Concepts,
    at: &'static [Call],
    blame: Option<(Cause, Action)>,
}

const fn row(class: Class, all: &[Concept], any: &[Concept]) -> Row {
    Row {
        class,
        all: Concepts::of(all),
        any: Concepts::of(any),
        none: Concepts::of(&[]),
        at: &[],
        blame: None,
    }
}

impl Row {
    const fn but(mut self, none: &[Concept]) -> Self {
        self.none = Concepts::of(none);
        self
    }

    const fn at(mut self, at: &'static [Call]) -> Self {
        self.at = at;
        self
    }

    const fn blame(mut self, cause: Cause, action: Action) -> Self {
        self.blame = Some((cause, action));
        self
    }

    fn fits(&self, call: Call, said: Concepts) -> bool {
        said.has_all(self.all)
            && (self.any == Concepts::default() || said.has_any(self.any))
            && !said.has_any(self.none)
            && (self.at.is_empty() || self.at.contains(&call))
    }
}

/// What a text means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Meaning {
    pub(super) class: Class,
    pub(super) blame: Option<(Cause, Action)>,
}

/// The meaning of texts: of one sentence where one says enough, of all of them together where none does.
pub(super) fn of<'t>(call: Call, texts: impl IntoIterator<Item = &'t str>) -> Option<Meaning> {
    let sentences: Vec<String> = texts
        .into_iter()
        .take(60)
        .flat_map(sentences)
        .take(120)
        .collect();
    let (advice, facts): (Vec<&String>, Vec<&String>) =
        sentences.iter().partition(|sentence| is_advice(sentence));
    let of = |sentences: &[&String]| -> Vec<Concepts> {
        sentences
            .iter()
            .map(|sentence| in_sentence(sentence))
            .collect()
    };
    let fact = of_concepts(call, &of(&facts));
    let open = fact.is_none_or(|fact| {
        is_vague(fact.class) || fact.class == Class::InvalidGrant && fact.blame.is_none()
    });
    if !open {
        return fact;
    }
    // "The code could not be verified. Please make sure that the redirect URI is the same."
    let advised = of_concepts(call, &of(&advice));
    let telling = |advised: &Meaning| {
        fact.is_none()
            || matches!(
                advised.class,
                Class::RedirectUriMismatch | Class::PkceMismatch
            )
    };
    advised.filter(telling).or(fact)
}

/// What to do about it is not what it is.
fn is_advice(sentence: &str) -> bool {
    const STARTS: [&str; 8] = [
        " please ",
        " try ",
        " contact ",
        " for more ",
        " visit ",
        " see ",
        " you can try ",
        " if you ",
    ];
    STARTS.iter().any(|start| sentence.starts_with(start))
}

fn of_concepts(call: Call, said: &[Concepts]) -> Option<Meaning> {
    let by_sentence = first(call, said);
    if by_sentence.is_some_and(|found| !is_vague(found.class)) || said.len() > 6 {
        return by_sentence;
    }
    let together = said.iter().fold(Concepts::default(), |all, one| all | *one);
    let of_all = first(call, &[together]);
    by_sentence.or(of_all)
}

fn first(call: Call, said: &[Concepts]) -> Option<Meaning> {
    let found = ROWS
        .iter()
        .find(|row| said.iter().any(|said| row.fits(call, *said)))?;
    Some(Meaning {
        class: found.class,
        blame: found.blame,
    })
}

/// Classes that any text could have; a code says more than they do.
pub(super) fn is_vague(class: Class) -> bool {
    matches!(
        class,
        Class::InvalidRequest
            | Class::ServerError
            | Class::AccessDenied
            | Class::TemporarilyUnavailable
    )
}

const BROKEN: &[Concept] = &[Invalid, Unknown, Mismatch];
const REFUSED: &[Concept] = &[Denied, Disabled, Unsupported, Insufficient];
const SIGNED: &[Call] = &[Call::Assertion, Call::ClientCredentials, Call::Other];
const FOR_TOKENS: &[Call] = &[
    Call::Code,
    Call::Password,
    Call::ClientCredentials,
    Call::Assertion,
    Call::Device,
    Call::Refresh,
    Call::Other,
    Call::Browser,
];
const USER_AT_DOOR: &[Call] = &[Call::Password, Call::Browser];

#[rustfmt::skip]
static ROWS: &[Row] = &[
    row(Class::BotChallenge, &[Bot], &[]),
    row(Class::InvalidDpopProof, &[Dpop], &[Future, Expired]).blame(Cause::Clock, Action::FixClock),
    row(Class::InvalidDpopProof, &[Dpop], &[]),
    row(Class::RateLimited, &[Rate], &[]),
    // How the user stands.
    row(Class::AccountLocked, &[TooManyAttempts], &[]),
    row(Class::MfaRequired, &[Mfa], &[]).but(&[Invalid, Certificate]),
    row(Class::BadUserCredentials, &[Mfa, Invalid], &[]).at(USER_AT_DOOR),
    row(Class::MfaRequired, &[Mfa], &[]),
    row(Class::AccountLocked, &[PasswordChange], &[]).but(&[Revoked]),
    row(Class::PkceMismatch, &[Verifier], &[]),
    row(Class::PolicyBlocked, &[NetworkPlace], &[Denied, Mismatch, Unknown, Locked, Policy, Invalid, Insufficient]),
    row(Class::PolicyBlocked, &[Policy], &[Denied, Locked, Missing, Insufficient, Mismatch, Invalid, User])
        .but(&[Redirect, Internal]),
    // What was sent.
    row(Class::AccessDenied, &[DeviceCode, Cancelled], &[]),
    row(Class::InvalidRequest, &[DeviceCode, Missing], &[]).but(&[Denied, Disabled, Expired]),
    row(Class::DeviceCodeExpired, &[DeviceCode, Expired], &[]),
    row(Class::UnauthorizedClient, &[DeviceCode], REFUSED),
    row(Class::InvalidGrant, &[DeviceCode], &[Invalid, Unknown, Mismatch, Used]),
    row(Class::UnauthorizedClient, &[ResponseType], &[Denied, Disabled]),
    row(Class::UnsupportedResponseType, &[ResponseType], &[Unsupported, Invalid, Unknown, Mismatch]),
    row(Class::InvalidRequest, &[ResponseType, Missing], &[]),
    row(Class::UnauthorizedClient, &[GrantType], &[Denied, Disabled, Mismatch]).but(&[Secret]),
    row(Class::UnsupportedGrantType, &[GrantType], &[Unsupported, Invalid, Unknown]),
    row(Class::InvalidRequest, &[GrantType, Missing], &[]),
    row(Class::RedirectUriMismatch, &[Redirect], &[Mismatch, Invalid, Unknown, Denied, Unsupported, Insufficient]),
    row(Class::InvalidRequest, &[Redirect, Missing], &[]),
    // Clocks: what we signed, not what we were given.
    row(Class::ClientSecretExpired, &[Expired], &[Secret, Certificate, Key]).but(&[Password]),
    row(Class::InvalidClient, &[Used], &[Assertion, ClientAuth]).blame(Cause::Client, Action::FixConfig),
    row(Class::ClockSkew, &[Future], &[]).at(&[Call::Code, Call::Password, Call::ClientCredentials, Call::Assertion,
        Call::Refresh, Call::Other, Call::OnToken]),
    row(Class::ClockSkew, &[Expired, Assertion], &[]).at(SIGNED),
    // The plan does not cover it.
    row(Class::EntitlementMissing, &[Plan], &[Denied, Missing, Insufficient, Expired, Disabled, Unsupported, Mismatch,
        Unknown]).but(&[Code, RefreshToken, AccessToken, Consent]),
    // The account.
    row(Class::AccountLocked, &[User], &[Locked, Disabled]).but(&[Client, Token, AccessToken, Scope, Session, Consent,
        Revoked]),
    row(Class::AccessDenied, &[UserDenied], &[]).at(FOR_TOKENS),
    row(Class::AccessDenied, &[UserDenied, User], &[]).but(&[Token, AccessToken, Scope, Session]).at(&[Call::Bearer]),
    row(Class::AccessDenied, &[User, Unknown], &[]).but(&[Client, Session, Token, Password]).at(&[Call::Assertion]),
    row(Class::AccessDenied, &[User, Unknown, Tenant], &[]).but(&[Client]),
    row(Class::AccessDenied, &[Cancelled], &[]).but(&[Scope, Client, Token, Code]),
    row(Class::InvalidRequest, &[Password, Missing], &[]).at(&[Call::Password]).but(&[Invalid, Unknown, Mismatch]),
    row(Class::BadUserCredentials, &[Password], &[Invalid, Unknown, Mismatch]).but(&[Client, Secret, ClientAuth])
        .at(FOR_TOKENS),
    row(Class::BadUserCredentials, &[Credentials], &[Invalid, Unknown, Mismatch, Denied]).but(&[Client, Secret,
        ClientAuth]).at(USER_AT_DOOR),
    row(Class::BadUserCredentials, &[User], &[Invalid, Unknown]).but(&[Client, Secret, Tenant, Session, Token,
        Consent, Scope]).at(USER_AT_DOOR),
    row(Class::AccessDenied, &[Cancelled, User], &[]).at(&[Call::Browser, Call::Device]),
    row(Class::RefreshTokenRevoked, &[Consent, Revoked], &[]).at(&[Call::Refresh]),
    row(Class::ConsentRequired, &[Consent], &[]).but(&[Used, Expired]),
    row(Class::BadUserCredentials, &[AuthFailed], &[]).but(&[Client, ClientAuth, Secret]).at(USER_AT_DOOR),
    // Refresh tokens.
    row(Class::CodeReused, &[Code, Used], &[]).at(&[Call::Code]),
    row(Class::RefreshTokenReused, &[RefreshToken, Used], &[]),
    row(Class::InvalidGrant, &[RefreshToken, OtherClient], &[]).blame(Cause::Client, Action::FixConfig),
    row(Class::RefreshTokenRevoked, &[RefreshToken, Revoked], &[]),
    row(Class::RefreshTokenExpired, &[RefreshToken, Expired], &[]),
    row(Class::InvalidGrant, &[RefreshToken], &[Invalid, Unknown, Mismatch, Disabled]),
    row(Class::UnauthorizedClient, &[RefreshToken, Client, Denied], &[]),
    row(Class::InvalidRequest, &[RefreshToken, Missing], &[]),
    row(Class::InvalidScope, &[Scope], &[Invalid, Unknown, Denied, Mismatch, Unsupported, Insufficient, Missing])
        .at(&[Call::Refresh]),
    row(Class::InvalidClient, &[], &[Secret, ClientAuth]).but(&[Disabled, Expired, Used, Denied])
        .at(&[Call::Refresh]),
    row(Class::RefreshTokenReused, &[Used], &[]).at(&[Call::Refresh]),
    row(Class::InvalidGrant, &[OtherClient], &[]).at(&[Call::Refresh]).blame(Cause::Client, Action::FixConfig),
    row(Class::RefreshTokenRevoked, &[Revoked], &[]).but(&[Client]).at(&[Call::Refresh]),
    row(Class::RefreshTokenExpired, &[Expired], &[]).but(&[Client]).at(&[Call::Refresh]),
    row(Class::InvalidGrant, &[], &[Token, Session]).but(&[Client, Internal]).at(&[Call::Refresh]),
    // Tokens of the wrong kind or for others, at a call.
    row(Class::TokenConfusion, &[WrongKind], &[]),
    row(Class::AudienceMismatch, &[Audience], &[]).at(&[Call::Bearer]),
    row(Class::SigningKeyUnknown, &[Key], &[Unknown, Mismatch, Missing]).at(&[Call::Bearer]),
    row(Class::IssuerMismatch, &[Issuer], BROKEN).at(&[Call::Bearer]),
    row(Class::TokenConfusion, &[Client, Token, Mismatch], &[]).at(&[Call::Bearer]),
    row(Class::InsufficientScope, &[Insufficient], &[Scope, Permission]).at(&[Call::Bearer]),
    row(Class::InsufficientScope, &[], &[Scope, Permission]).but(&[Expired, Revoked]).at(&[Call::Bearer]),
    row(Class::InvalidToken, &[], &[AccessToken, Token, Session]).but(&[Internal, Unavailable]).at(&[Call::Bearer,
        Call::OnToken]),
    row(Class::InvalidToken, &[], &[LoginNeeded, Credentials, AuthFailed]).at(&[Call::Bearer]),
    row(Class::InvalidToken, &[Signature], BROKEN).at(&[Call::Bearer, Call::OnToken]),
    // Codes.
    row(Class::CodeReused, &[Code, Used], &[]),
    row(Class::InvalidGrant, &[Code, OtherClient], &[]).blame(Cause::Client, Action::FixConfig),
    row(Class::InvalidGrant, &[OtherClient], &[]).at(&[Call::Code, Call::Assertion]).blame(Cause::Client,
        Action::FixConfig),
    row(Class::InvalidGrant, &[OtherTenant], &[]).at(&[Call::Code]).blame(Cause::Configuration, Action::FixConfig),
    row(Class::CodeExpired, &[Code, Expired], &[]).at(&[Call::Code, Call::Assertion, Call::Device, Call::Other]),
    row(Class::CodeReused, &[Used], &[]).but(&[State, Nonce]).at(&[Call::Code]),
    row(Class::SessionExpired, &[Session], &[Expired, Unknown, Invalid, Missing, Revoked]).at(&[Call::Code,
        Call::Browser, Call::Other]),
    row(Class::CodeExpired, &[Expired], &[]).but(&[Password, User, Client, Session, Secret, Plan]).at(&[Call::Code]),
    // Scopes and targets of a request.
    row(Class::UnauthorizedClient, &[Client, Flow, Denied], &[]).but(&[Secret]),
    row(Class::InvalidScope, &[Scope], &[Invalid, Unknown, Denied, Mismatch, Unsupported, Missing, Insufficient])
        .at(FOR_TOKENS),
    row(Class::UnauthorizedClient, &[Client, Denied], &[Audience, Resource]).but(&[Mismatch, Unknown]),
    row(Class::InvalidTarget, &[], &[Audience, Resource]).but(&[Internal, Unavailable]).at(FOR_TOKENS),
    row(Class::InvalidTarget, &[OtherTenant], &[]).at(FOR_TOKENS),
    // The client.
    row(Class::InvalidClient, &[Secret], &[Invalid, Unknown, Mismatch, Missing, Denied]).but(&[Flow]),
    row(Class::InvalidClient, &[ClientAuth], &[]).but(&[Disabled]),
    row(Class::InvalidClient, &[Signature], BROKEN).at(FOR_TOKENS),
    row(Class::UnauthorizedClient, &[Flow], &[Denied, Disabled, Unsupported]),
    row(Class::ClientDisabled, &[Client], &[Disabled, Locked]).but(&[Unknown]),
    row(Class::UnauthorizedClient, &[Client, Denied], &[]),
    row(Class::InvalidClient, &[Client], BROKEN),
    row(Class::InvalidTarget, &[Tenant], &[Unknown, Invalid, Disabled, Mismatch, Missing]).at(FOR_TOKENS),
    row(Class::InvalidGrant, &[Code], BROKEN).at(&[Call::Code]),
    row(Class::InvalidRequest, &[Assertion, Unsupported], &[]),
    row(Class::InvalidGrant, &[Assertion], BROKEN).at(FOR_TOKENS),
    row(Class::InvalidRequest, &[Client, Missing], &[]),
    row(Class::InvalidRequest, &[Code, Missing], &[]).at(&[Call::Code]),
    // Pages and callbacks.
    row(Class::LoginRequired, &[LoginNeeded], &[]).but(&[Internal]),
    row(Class::SessionExpired, &[Session], &[Expired, Unknown, Invalid]).at(&[Call::Browser]),
    row(Class::TemporarilyUnavailable, &[Unavailable], &[]),
    row(Class::ServerError, &[Internal], &[]),
    row(Class::AccessDenied, &[], &[Cancelled]).at(FOR_TOKENS),
    row(Class::AccessDenied, &[Denied], &[User, Permission, LoginNeeded]),
    row(Class::InvalidRequest, &[Missing], &[]).at(FOR_TOKENS),
];
