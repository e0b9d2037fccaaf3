//! Faults: which there are, where each one makes sense, and which are switched on. Nothing here acts on a request; the
//! parts of the server ask what was drawn for the request in hand.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use strum::{EnumIter, IntoStaticStr};

/// A fault that is switched on at an endpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Where it shows.
    pub endpoint: Endpoint,
    /// What goes wrong there.
    pub fault: Kind,
    /// How often it still shows; without end when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    /// Share of the requests that see it, in (0, 1], spread evenly and without chance: 0.25 is every fourth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
}

impl Fault {
    /// A fault that shows at each request until it is cleared.
    pub fn new(endpoint: Endpoint, fault: Kind) -> Self {
        Self {
            endpoint,
            fault,
            times: None,
            share: None,
        }
    }

    /// Shows only so many times.
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    /// Refuses figures out of range and faults that would never show where they are put.
    pub fn check(&self) -> Result<(), FaultError> {
        let name = self.fault.name();
        if !self.fault.places().contains(&self.endpoint) {
            return Err(FaultError::Misplaced {
                name,
                endpoint: self.endpoint,
                places: self.fault.places(),
            });
        }
        if self.times == Some(0)
            || self
                .share
                .is_some_and(|share| !(share > 0.0 && share <= 1.0))
        {
            return Err(FaultError::NeverShows { name });
        }
        match &self.fault {
            Kind::Status(status) if !(200..=599).contains(status) => Err(FaultError::OutOfRange {
                name,
                range: "200 to 599",
            }),
            Kind::Drip(ms) | Kind::Latency(ms) | Kind::LateForm(ms) if *ms > MAX_DELAY_MS => {
                Err(FaultError::OutOfRange {
                    name,
                    range: "0 to 3600000 milliseconds",
                })
            }
            Kind::ClockOffset(seconds) if seconds.unsigned_abs() > MAX_OFFSET_S => {
                Err(FaultError::OutOfRange {
                    name,
                    range: "-315360000 to 315360000 seconds",
                })
            }
            _ => Ok(()),
        }
    }
}

const MAX_DELAY_MS: u64 = 3_600_000;
const MAX_OFFSET_S: u64 = 10 * 365 * 86_400;

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
pub(super) enum Moment {
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
            Self::RefusedCredentials | Self::LockedAccount | Self::PasswordExpired => &[Login, Mfa],
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
    fn shows_at(&self, moment: Moment) -> bool {
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

/// Why a fault is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FaultError {
    /// It has no meaning at that endpoint.
    #[error("fault {name} has no effect at {}, only at {}", endpoint.name(), names(places))]
    Misplaced {
        name: &'static str,
        endpoint: Endpoint,
        places: &'static [Endpoint],
    },
    /// `times` or `share` leave nothing of it.
    #[error("fault {name} would never show: times starts at 1, share lies above 0 and up to 1")]
    NeverShows { name: &'static str },
    /// Its figure makes no sense.
    #[error("fault {name} takes {range}")]
    OutOfRange {
        name: &'static str,
        range: &'static str,
    },
}

fn names(places: &[Endpoint]) -> String {
    let names: Vec<&str> = places.iter().map(|place| place.name()).collect();
    names.join(", ")
}

/// The faults that are switched on, shared between the server and whoever switches them.
#[derive(Debug, Clone, Default)]
pub struct Faults(Arc<Mutex<Vec<Active>>>);

#[derive(Debug)]
struct Active {
    fault: Fault,
    /// Requests that could have seen it.
    met: u64,
}

impl Faults {
    /// Switches one on until it is cleared. It takes the place of one of the same name at the same endpoint.
    pub fn set(&self, endpoint: Endpoint, fault: Kind) -> Result<(), FaultError> {
        self.put(Fault::new(endpoint, fault))
    }

    /// Switches one on with its `times` and `share`.
    pub fn put(&self, fault: Fault) -> Result<(), FaultError> {
        fault.check()?;
        let mut active = self.lock();
        active.retain(|old| !same(&old.fault, &fault));
        active.push(Active { fault, met: 0 });
        Ok(())
    }

    /// Switches all off.
    pub fn clear(&self) {
        self.lock().clear();
    }

    /// Switches those of one endpoint off.
    pub fn clear_at(&self, endpoint: Endpoint) {
        self.lock()
            .retain(|active| active.fault.endpoint != endpoint);
    }

    /// Those that are on, with the `times` that are left.
    pub fn list(&self) -> Vec<Fault> {
        self.lock()
            .iter()
            .map(|active| active.fault.clone())
            .collect()
    }

    /// What the request in hand gets to see.
    pub(super) fn draw(&self, endpoint: Endpoint, moment: Moment) -> Drawn {
        let mut drawn = Vec::new();
        self.lock().retain_mut(|active| {
            let here = active.fault.endpoint == endpoint
                || (active.fault.endpoint == Endpoint::Any && endpoint != Endpoint::Callback);
            if !here || !active.fault.fault.shows_at(moment) || !active.due() {
                return true;
            }
            drawn.push(active.fault.fault.clone());
            match &mut active.fault.times {
                Some(times) => {
                    *times -= 1;
                    *times > 0
                }
                None => true,
            }
        });
        Drawn(drawn.into())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Active>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Active {
    /// Counts the request, and says whether it is one of the share.
    fn due(&mut self) -> bool {
        let before = self.met;
        self.met += 1;
        let Some(share) = self.fault.share else {
            return true;
        };
        (self.met as f64 * share).floor() > (before as f64 * share).floor()
    }
}

fn same(left: &Fault, right: &Fault) -> bool {
    left.endpoint == right.endpoint && left.fault.name() == right.fault.name()
}

/// The faults that were drawn for one request.
#[derive(Debug, Clone)]
pub(super) struct Drawn(Arc<[Kind]>);

impl Default for Drawn {
    fn default() -> Self {
        Self(Arc::new([]))
    }
}

impl Drawn {
    /// Whether this very fault was drawn.
    pub(super) fn has(&self, kind: &Kind) -> bool {
        self.0.contains(kind)
    }

    /// The first for which `pick` has something to say.
    pub(super) fn find<T>(&self, pick: impl Fn(&Kind) -> Option<T>) -> Option<T> {
        self.0.iter().find_map(pick)
    }

    /// Seconds by which the answer's clock is off.
    pub(super) fn clock_offset(&self) -> i64 {
        self.find(|kind| match kind {
            Kind::ClockOffset(seconds) => Some(*seconds),
            _ => None,
        })
        .unwrap_or(0)
    }

    /// All of them, for the list of events.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Kind> {
        self.0.iter()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.fault.name(), self.endpoint.name())
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

    fn check(json: &str, problem: Option<&str>) {
        let fault: Fault = serde_json::from_str(json).unwrap();
        let found = fault.check().err().map(|error| error.to_string());
        assert_eq!(found.as_deref(), problem, "{json}");
    }

    #[test]
    fn a_fault_that_cannot_show_is_refused() {
        check(r#"{"endpoint": "token", "fault": {"status": 503}}"#, None);
        check(
            r#"{"endpoint": "token", "fault": {"status": 42}}"#,
            Some("fault status takes 200 to 599"),
        );
        check(
            r#"{"endpoint": "jwks", "fault": "wrong_nonce"}"#,
            Some("fault wrong_nonce has no effect at jwks, only at token, refresh"),
        );
        check(
            r#"{"endpoint": "any", "fault": "close", "times": 0}"#,
            Some("fault close would never show: times starts at 1, share lies above 0 and up to 1"),
        );
        check(
            r#"{"endpoint": "any", "fault": "close", "share": 1.5}"#,
            Some("fault close would never show: times starts at 1, share lies above 0 and up to 1"),
        );
    }

    /// Draws ten times and counts the hits.
    fn hits(fault: Fault) -> Vec<usize> {
        let faults = Faults::default();
        faults.put(fault).unwrap();
        (0..10)
            .filter(|_| {
                faults
                    .draw(Endpoint::Token, Moment::Submitted)
                    .has(&Kind::Close)
            })
            .collect()
    }

    #[test]
    fn times_and_share_are_exact() {
        let fault = Fault::new(Endpoint::Token, Kind::Close);
        assert_eq!(hits(fault.clone()).len(), 10);
        assert_eq!(hits(fault.clone().times(2)), [0, 1]);
        let share = |share| Fault {
            share: Some(share),
            ..fault.clone()
        };
        assert_eq!(hits(share(0.3)), [3, 6, 9]);
        assert_eq!(hits(share(0.5).times(2)), [1, 3]);
    }

    #[test]
    fn a_fault_of_the_form_waits_for_the_form() {
        let faults = Faults::default();
        faults
            .set(Endpoint::Login, Kind::RefusedCredentials)
            .unwrap();
        let drawn = |moment| {
            faults
                .draw(Endpoint::Login, moment)
                .has(&Kind::RefusedCredentials)
        };
        assert_eq!(
            (drawn(Moment::Shown), drawn(Moment::Submitted)),
            (false, true)
        );
    }
}
