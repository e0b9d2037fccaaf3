//! Every fault there is, and the endpoints at which it makes sense: a new one is a variant here, its line in `places`,
//! and the code of the endpoint that asks for it.

use serde::{Deserialize, Serialize};
use strum::{EnumIter, IntoStaticStr};

/// Where a fault can be put.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, EnumIter, IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Endpoint {
    /// Each of the others that answers requests.
    Any,
    /// Both metadata documents.
    Discovery,
    Jwks,
    /// The authorization request.
    Authorize,
    /// User name and password, shown and submitted.
    Login,
    /// The page of the one-time code.
    Mfa,
    Consent,
    /// The authorization response on its way back to the client.
    Callback,
    /// The token endpoint for each grant but a refresh.
    Token,
    /// The token endpoint for `refresh_token`.
    Refresh,
    Userinfo,
    Resource,
    Introspection,
    Revocation,
    Logout,
}

impl Endpoint {
    /// Its name in JSON.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// What goes wrong. In JSON a name, or an object of one name and its figure: `"close"`, `{"status": 503}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, EnumIter, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Kind {
    /// The connection is closed without an answer.
    Close,
    /// The connection is reset.
    Reset,
    /// The request is read and never answered.
    Never,
    /// A good head, then one byte of body every so many milliseconds, for ever.
    Drip(u64),
    /// Headers without end.
    EndlessHeaders,
    /// Bytes that are not HTTP.
    Noise,

    /// This status with a plain page, as a gateway would give it.
    Status(u16),
    /// An OAuth error of this name with its usual status; from the authorization endpoint, by redirect.
    Error(String),
    /// Status 200, and in the body an OAuth error of this name.
    ErrorInSuccess(String),
    /// Status 429 with a `Retry-After` of so many seconds.
    RateLimited(u64),
    /// Status 403 with the page of a web application firewall.
    BlockedByGateway,
    /// The answer comes so many milliseconds late.
    Latency(u64),
    /// A body of 1 GiB.
    HugeBody,
    /// Redirects to itself for ever.
    RedirectLoop,
    /// Status 200 and the right type, the body is nonsense.
    Garbage,
    /// The body ends half-way, its length is given as that half.
    Truncated,
    /// The connection ends half-way through the body.
    Cut,
    /// The right body under another `Content-Type`.
    WrongContentType,
    /// The `Date` header, and the times in tokens issued by the answer, are off by so many seconds.
    ClockOffset(i64),

    /// Metadata without its token endpoint and key set, a key set whose `keys` is no list.
    Broken,
    /// Another issuer: in metadata, in the authorization response or in the ID token.
    WrongIss,

    /// The button has another id, name, text and place.
    MovedButton,
    /// There is nothing to click, and Enter does nothing.
    MissingButton,
    /// The form appears so many milliseconds after the page.
    LateForm(u64),
    /// A CAPTCHA instead of the page.
    Captcha,
    /// A page that belongs to no sign-in.
    UnknownPage,
    /// The provider's own error page, status 500.
    ErrorPage,
    /// What was submitted is refused, right or wrong.
    RefusedCredentials,
    /// The account is locked.
    LockedAccount,
    /// The password must be changed first.
    PasswordExpired,
    /// The session of the sign-in timed out.
    SessionExpired,
    /// Consent counts as denied, whatever was clicked.
    ConsentDenied,

    /// `state` in the authorization response is another.
    WrongState,
    /// `state` is missing.
    MissingState,
    /// `iss` (RFC 9207) is missing, though the metadata promises it.
    MissingIss,
    /// Neither `code` nor `error`.
    MissingCode,
    /// A page in place of the redirect.
    NotReached,

    /// The client's secret has expired.
    ExpiredSecret,
    /// The signature does not verify.
    WrongSignature,
    /// `alg: none`, no signature.
    AlgNone,
    /// HS256 under the client's secret, whatever the client has registered.
    WrongAlg,
    /// A `kid` that is in no key set.
    UnknownKid,
    /// A new key from now on; the key set has it as soon as it is fetched again.
    RotatedKey,
    /// Another `aud`.
    WrongAud,
    /// Another `nonce`.
    WrongNonce,
    /// No `nonce`.
    MissingNonce,
    /// An `at_hash` that fits no access token.
    WrongAtHash,
    /// Two audiences, and `azp` names the other.
    WrongAzp,
    /// Another `sub`.
    WrongSub,
    /// `exp` in the past.
    Expired,
    /// `iat` in the future.
    IssuedInFuture,
    /// `nbf` in the future.
    NotYetValid,
    /// This token is left out.
    MissingToken(TokenName),
    /// Fewer scopes than asked for, and it says so.
    ScopeDowngraded,
    /// A good answer with odd looks: lower-case `bearer`, `expires_in` as text, scopes in another order.
    OddLooks,

    /// The refresh token stays the same and is not sent again.
    NoRotation,
    /// The refresh gives back the tokens that were there already.
    NothingNew,

    /// Says yes, and the token works as before.
    RevokesNothing,
    /// Says `active: false` of a good token.
    Inactive,
    /// Says goodbye, and the session lives on.
    StaysSignedIn,

    /// Lets through a redirect URI that is not registered.
    AcceptsForeignRedirectUri,
    /// Redeems a code again.
    AcceptsReusedCode,
    /// Does not look at the verifier.
    AcceptsBadPkce,
    /// Takes a rotated refresh token again.
    AcceptsReusedRefreshToken,
    /// Does not look at the client's secret.
    AcceptsWrongClientSecret,
}

/// A token of a token response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum TokenName {
    AccessToken,
    #[default]
    IdToken,
    RefreshToken,
}

const EVERYWHERE: &[Endpoint] = &[
    Endpoint::Any,
    Endpoint::Discovery,
    Endpoint::Jwks,
    Endpoint::Authorize,
    Endpoint::Login,
    Endpoint::Mfa,
    Endpoint::Consent,
    Endpoint::Token,
    Endpoint::Refresh,
    Endpoint::Userinfo,
    Endpoint::Resource,
    Endpoint::Introspection,
    Endpoint::Revocation,
    Endpoint::Logout,
];
const JSON: &[Endpoint] = &[
    Endpoint::Discovery,
    Endpoint::Jwks,
    Endpoint::Token,
    Endpoint::Refresh,
    Endpoint::Userinfo,
    Endpoint::Resource,
    Endpoint::Introspection,
    Endpoint::Revocation,
];
const PAGES: &[Endpoint] = &[Endpoint::Login, Endpoint::Mfa, Endpoint::Consent];
const TOKENS: &[Endpoint] = &[Endpoint::Token, Endpoint::Refresh];

/// When in the life of a page a fault shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Moment {
    /// The page is asked for.
    Shown,
    /// Its form comes back.
    Submitted,
}

impl Kind {
    /// Its name in JSON.
    pub fn name(&self) -> &'static str {
        self.into()
    }

    /// The endpoints at which it has a meaning.
    pub fn places(&self) -> &'static [Endpoint] {
        use Endpoint::{
            Authorize, Callback, Consent, Discovery, Introspection, Jwks, Login, Logout, Mfa,
            Refresh, Revocation, Token, Userinfo,
        };
        match self {
            Self::Close
            | Self::Reset
            | Self::Never
            | Self::Drip(_)
            | Self::EndlessHeaders
            | Self::Noise
            | Self::Status(_)
            | Self::RateLimited(_)
            | Self::BlockedByGateway
            | Self::Latency(_)
            | Self::HugeBody
            | Self::RedirectLoop
            | Self::Garbage
            | Self::Truncated
            | Self::Cut
            | Self::WrongContentType
            | Self::ClockOffset(_) => EVERYWHERE,
            Self::Error(_) => &[
                Endpoint::Any,
                Authorize,
                Callback,
                Discovery,
                Jwks,
                Token,
                Refresh,
                Userinfo,
                Endpoint::Resource,
                Introspection,
                Revocation,
            ],
            Self::ErrorInSuccess(_) => JSON,
            Self::Broken => &[Discovery, Jwks],
            Self::WrongIss => &[Discovery, Callback, Token, Refresh],
            Self::MovedButton | Self::MissingButton | Self::LateForm(_) | Self::Captcha => PAGES,
            Self::UnknownPage | Self::ErrorPage => &[Authorize, Login, Mfa, Consent, Logout],
            Self::RefusedCredentials | Self::LockedAccount => &[Login, Mfa],
            Self::PasswordExpired => &[Login],
            Self::SessionExpired => PAGES,
            Self::ConsentDenied => &[Consent],
            Self::WrongState
            | Self::MissingState
            | Self::MissingIss
            | Self::MissingCode
            | Self::NotReached => &[Callback],
            Self::ExpiredSecret | Self::AcceptsWrongClientSecret => {
                &[Token, Refresh, Introspection, Revocation]
            }
            Self::WrongSignature
            | Self::AlgNone
            | Self::WrongAlg
            | Self::UnknownKid
            | Self::RotatedKey
            | Self::WrongAud
            | Self::WrongNonce
            | Self::WrongAtHash
            | Self::WrongAzp
            | Self::Expired
            | Self::IssuedInFuture
            | Self::NotYetValid
            | Self::MissingToken(_)
            | Self::ScopeDowngraded
            | Self::OddLooks => TOKENS,
            Self::MissingNonce => &[Token],
            Self::WrongSub => &[Token, Refresh, Userinfo],
            Self::NoRotation | Self::NothingNew | Self::AcceptsReusedRefreshToken => &[Refresh],
            Self::RevokesNothing => &[Revocation],
            Self::Inactive => &[Introspection],
            Self::StaysSignedIn => &[Logout],
            Self::AcceptsForeignRedirectUri => &[Authorize],
            Self::AcceptsReusedCode | Self::AcceptsBadPkce => &[Token],
        }
    }

    /// Whether it has a part in this moment of a page.
    pub(super) fn shows_at(&self, moment: Moment) -> bool {
        match self {
            Self::MovedButton
            | Self::MissingButton
            | Self::LateForm(_)
            | Self::Captcha
            | Self::UnknownPage
            | Self::ErrorPage => moment == Moment::Shown,
            Self::RefusedCredentials
            | Self::LockedAccount
            | Self::PasswordExpired
            | Self::SessionExpired
            | Self::ConsentDenied => moment == Moment::Submitted,
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use strum::IntoEnumIterator;

    use super::*;

    #[test]
    fn every_fault_has_a_place_and_reads_back_from_its_json() {
        for kind in Kind::iter() {
            assert!(!kind.places().is_empty(), "{kind:?}");
            let text = serde_json::to_string(&kind).unwrap();
            assert!(text.contains(kind.name()), "{text}");
            assert_eq!(serde_json::from_str::<Kind>(&text).unwrap(), kind);
        }
    }

    #[test]
    fn every_fault_is_in_the_documentation() {
        let text = include_str!("../../../docs/loopback.md");
        for kind in Kind::iter() {
            let name = format!("\"{}\"", kind.name());
            assert!(
                text.contains(&name),
                "docs/loopback.md does not name {name}"
            );
        }
        for endpoint in Endpoint::iter() {
            let name = format!("`{}`", endpoint.name());
            assert!(
                text.contains(&name),
                "docs/loopback.md does not name {name}"
            );
        }
    }
}
