//! The words of a verdict: stage, class, cause, action, outcome. A public contract: metric labels, alert labels, API
//! fields and runbook addresses are built from these names, so a name never changes its meaning.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{EnumIter, EnumString, IntoEnumIterator, IntoStaticStr};

/// How a run ended.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    JsonSchema,
    EnumIter,
    EnumString,
    IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Outcome {
    /// Every step passed.
    Ok,
    /// Every step passed, with warnings.
    Degraded,
    /// The target failed.
    Failed,
    /// The monitor itself could not judge; never counts towards a provider's failure rate.
    Unknown,
}

/// Where in the journey a run stopped.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    JsonSchema,
    EnumIter,
    EnumString,
    IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Stage {
    /// Settings and secrets, before anything is sent.
    Config,
    /// Name resolution.
    Dns,
    /// TCP connection.
    Connect,
    /// TLS handshake and certificate.
    Tls,
    /// Metadata document (OpenID Connect Discovery, RFC 8414).
    Discovery,
    /// Key set of the provider (RFC 7517).
    Jwks,
    /// Pushed authorization request (RFC 9126).
    Par,
    /// Authorization request, up to the first page.
    Authorize,
    /// User name and password.
    Login,
    /// Second factor.
    Mfa,
    /// Consent page.
    Consent,
    /// Redirect back to the client.
    Callback,
    /// Device authorization request (RFC 8628).
    DeviceAuthorization,
    /// Code (or other grant) against tokens.
    TokenExchange,
    /// Validation of the ID token.
    IdToken,
    /// UserInfo request.
    Userinfo,
    /// Call of a protected resource.
    Resource,
    /// Token introspection (RFC 7662).
    Introspection,
    /// Refresh token grant.
    Refresh,
    /// Token revocation (RFC 7009).
    Revocation,
    /// RP-initiated logout.
    Logout,
    /// The browser or its driver.
    Browser,
    /// The monitor itself.
    Monitor,
}

/// Whose problem it is.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    JsonSchema,
    EnumIter,
    EnumString,
    IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Cause {
    /// Registration or settings of the client, at the provider or here.
    Configuration,
    /// A secret, key, certificate or password.
    Credential,
    /// The code, token or session at hand.
    Grant,
    /// A rule of the provider or the tenant.
    Policy,
    /// A fault in how the client spoke the protocol.
    Client,
    /// Clocks that disagree.
    Clock,
    /// The path between here and the provider.
    Network,
    /// The provider.
    Provider,
    /// The login script no longer fits the page.
    Script,
    /// The monitor.
    Monitor,
}

/// What on-call does next.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    JsonSchema,
    EnumIter,
    EnumString,
    IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Action {
    /// Try again; it passes by itself.
    Retry,
    /// Try again later, and less often.
    BackOff,
    /// Sign in again for a new grant.
    Reauthorize,
    /// Renew the secret, key or password.
    RotateCredentials,
    /// Correct the registration or the settings.
    FixConfig,
    /// Ask who owns the policy.
    ReviewPolicy,
    /// Correct the clock.
    FixClock,
    /// Mend the path to the provider.
    FixNetwork,
    /// Bring the login script up to date with the page.
    UpdateScript,
    /// Open a case with the provider.
    Escalate,
    /// Treat as a security incident until shown otherwise.
    InvestigateSecurity,
    /// Mend the monitor.
    FixMonitor,
}

/// The kind a class belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// The server said so.
    Protocol,
    /// We checked an answer, and it does not hold up.
    Response,
    /// Transport and HTTP.
    Transport,
    /// The browser's part of the journey.
    Browser,
    /// A check that should have been refused was accepted.
    Security,
    /// The monitor itself; the outcome of such a run is `unknown`.
    Monitor,
}

macro_rules! classes {
    ($($family:ident { $($class:ident => $cause:ident, $action:ident, $meaning:literal;)* })*) => {
        /// What failed, exactly. Each class has a default cause and action; evidence may override them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        #[derive(EnumIter, EnumString, IntoStaticStr)]
        #[serde(rename_all = "snake_case")]
        #[strum(serialize_all = "snake_case")]
        pub enum Class { $($(#[doc = $meaning] $class,)*)* }

        impl Class {
            const fn row(self) -> (Family, Cause, Action, &'static str) {
                match self { $($(Self::$class => (Family::$family, Cause::$cause, Action::$action, $meaning),)*)* }
            }
        }
    };
}

classes! {
    Protocol {
        InvalidRequest => Configuration, FixConfig, "parameter missing, repeated or malformed";
        RedirectUriMismatch => Configuration, FixConfig, "redirect URI is not byte-for-byte a registered one, or differs between authorize and token request";
        InvalidClient => Credential, RotateCredentials, "client not authenticated: wrong id, secret or auth method";
        ClientSecretExpired => Credential, RotateCredentials, "secret, key or certificate of the client has expired";
        ClientDisabled => Configuration, FixConfig, "client deleted, suspended, disabled or not installed";
        UnauthorizedClient => Configuration, FixConfig, "client known but not allowed this grant or flow";
        UnsupportedGrantType => Configuration, FixConfig, "server does not support the grant";
        UnsupportedResponseType => Configuration, FixConfig, "server does not support the response type or mode";
        InvalidScope => Configuration, FixConfig, "scope unknown, malformed or not approved";
        InvalidTarget => Configuration, FixConfig, "unknown audience, resource or tenant";
        InvalidGrant => Grant, Reauthorize, "grant refused, and nothing says why";
        CodeExpired => Grant, Reauthorize, "authorization code too old";
        CodeReused => Client, Reauthorize, "authorization code already redeemed";
        PkceMismatch => Client, FixConfig, "verifier missing or not matching the challenge";
        RefreshTokenExpired => Grant, Reauthorize, "refresh token past its lifetime or idle limit";
        RefreshTokenRevoked => Grant, Reauthorize, "revoked by user, admin, password change or token limit";
        RefreshTokenReused => Client, Reauthorize, "a rotated refresh token used again; the family may be revoked";
        AccessDenied => Policy, ReviewPolicy, "the user, or a policy, said no";
        LoginRequired => Grant, Reauthorize, "no session, `prompt=none` could not be met";
        ConsentRequired => Policy, ReviewPolicy, "user or admin consent missing";
        InteractionRequired => Policy, ReviewPolicy, "more interaction needed than the request allowed";
        MfaRequired => Policy, ReviewPolicy, "second factor demanded and not given";
        PolicyBlocked => Policy, ReviewPolicy, "conditional access, device posture, IP or risk rule blocked it";
        EntitlementMissing => Policy, ReviewPolicy, "the plan, licence, enrolment or tenant feature does not cover this call, whatever status or error it hides behind";
        AccountLocked => Credential, RotateCredentials, "the probe's account is locked, disabled, or must change its password";
        BadUserCredentials => Credential, RotateCredentials, "the probe's user name or password was refused";
        InvalidToken => Client, Reauthorize, "resource server refused the access token";
        InsufficientScope => Configuration, FixConfig, "token valid, scope not enough";
        UnsupportedTokenType => Configuration, FixConfig, "revocation or introspection of that kind unsupported";
        InvalidDpopProof => Client, FixConfig, "DPoP proof refused, or nonce demanded and not met";
        DeviceCodeExpired => Grant, Reauthorize, "device code ran out before the user finished";
        SessionExpired => Grant, Retry, "the login or consent session timed out between steps";
        ServerError => Provider, Escalate, "the server reports an error of its own";
        TemporarilyUnavailable => Provider, Retry, "overloaded or in maintenance";
        RateLimited => Provider, BackOff, "too many requests or quota spent";
    }
    Response {
        StateMismatch => Client, InvestigateSecurity, "`state` missing or changed";
        IssuerMismatch => Configuration, InvestigateSecurity, "`iss` in callback, metadata or token is not the expected issuer";
        NonceMismatch => Client, InvestigateSecurity, "`nonce` missing or changed in the ID token";
        AudienceMismatch => Configuration, FixConfig, "token is for somebody else";
        SignatureInvalid => Provider, InvestigateSecurity, "JWT signature does not verify";
        SigningKeyUnknown => Provider, Escalate, "`kid` not in the JWKS, after one refetch";
        AlgorithmMismatch => Provider, InvestigateSecurity, "JWT algorithm not allowed (`none`, or not the agreed one)";
        TokenExpired => Clock, FixClock, "`exp` is past when the token arrives";
        TokenNotYetValid => Clock, FixClock, "`nbf` or `iat` lies in the future";
        ClockSkew => Clock, FixClock, "the server says that something we signed or sent is too old or from the future, or the measured offset is beyond the limit";
        ScopeDowngraded => Configuration, FixConfig, "fewer scopes granted than asked";
        TokenMissing => Provider, Escalate, "success status, but an expected token is absent";
        TokenConfusion => Client, FixConfig, "the wrong kind of token was issued, sent or accepted";
        MalformedResponse => Provider, Escalate, "not parseable as what the endpoint must return";
        MetadataInvalid => Provider, Escalate, "discovery document or JWKS broken or inconsistent";
        ErrorHiddenInSuccess => Provider, Escalate, "status 200, the body carries an error that maps to no class above";
    }
    Transport {
        DnsFailure => Network, FixNetwork, "name does not resolve";
        ConnectRefused => Network, FixNetwork, "host reached, port closed";
        ConnectTimeout => Network, FixNetwork, "no answer to connect";
        ConnectionReset => Network, Retry, "dropped mid-way";
        TlsHandshake => Network, FixNetwork, "protocol, cipher or other handshake fault";
        TlsExpired => Provider, Escalate, "certificate expired or not yet valid";
        TlsUntrusted => Network, FixNetwork, "unknown issuer, broken chain or self-signed";
        TlsHostnameMismatch => Provider, Escalate, "certificate is for another name";
        ProxyError => Network, FixNetwork, "proxy or gateway on our side of the path refused or failed";
        RequestTimeout => Provider, Retry, "connected, no full answer in time";
        ResponseTooLarge => Provider, Escalate, "answer over the size limit";
        RedirectLoop => Provider, Escalate, "too many redirects";
        HttpClientError => Configuration, FixConfig, "other 4xx without an OAuth error";
        HttpServerError => Provider, Escalate, "5xx without an OAuth error";
        BlockedByGateway => Network, FixNetwork, "WAF, CDN or API gateway answered instead of the provider";
    }
    Browser {
        ElementNotFound => Script, UpdateScript, "the page no longer has what the script expects";
        UnexpectedPage => Script, UpdateScript, "neither the expected page nor a known error page";
        NavigationTimeout => Provider, Retry, "page did not load in time";
        BotChallenge => Policy, ReviewPolicy, "CAPTCHA or bot check";
        CallbackNotReached => Provider, Escalate, "consent given, redirect never came";
    }
    Security {
        AcceptedForeignRedirectUri => Provider, InvestigateSecurity, "a redirect URI that is not registered was accepted";
        AcceptedReusedCode => Provider, InvestigateSecurity, "an authorization code was redeemed a second time";
        AcceptedBadPkce => Provider, InvestigateSecurity, "a wrong PKCE verifier was accepted";
        AcceptedRevokedToken => Provider, InvestigateSecurity, "a revoked token still works";
        AcceptedReusedRefreshToken => Provider, InvestigateSecurity, "a rotated refresh token was accepted again";
        AcceptedUnsignedRequest => Provider, InvestigateSecurity, "an unsigned request was accepted where a signature is required";
        AcceptedWrongClientSecret => Provider, InvestigateSecurity, "a wrong client secret was accepted";
    }
    Monitor {
        WebdriverUnavailable => Monitor, FixMonitor, "no WebDriver could be started or reached";
        BrowserCrashed => Monitor, FixMonitor, "the browser died during the run";
        ConfigInvalid => Monitor, FixMonitor, "the probe cannot be run as it is configured";
        SecretUnavailable => Monitor, FixMonitor, "a referenced secret could not be read";
        Overloaded => Monitor, FixMonitor, "no browser session was free in time";
        Internal => Monitor, FixMonitor, "a fault of the monitor itself";
    }
}

impl Stage {
    /// Whether the browser walks this step.
    pub const fn is_in_browser(self) -> bool {
        matches!(
            self,
            Self::Authorize
                | Self::Login
                | Self::Mfa
                | Self::Consent
                | Self::Callback
                | Self::Logout
        )
    }
}

impl Class {
    /// The kind this class belongs to.
    pub const fn family(self) -> Family {
        self.row().0
    }

    /// Whose problem it is, unless the evidence says more.
    pub const fn cause(self) -> Cause {
        self.row().1
    }

    /// What to do next, unless the evidence says more.
    pub const fn action(self) -> Action {
        self.row().2
    }

    /// What the class means, in one sentence.
    pub const fn meaning(self) -> &'static str {
        self.row().3
    }

    /// The outcome of a run that stopped with this class.
    pub fn outcome(self) -> Outcome {
        if self.family() == Family::Monitor {
            Outcome::Unknown
        } else {
            Outcome::Failed
        }
    }
}

impl Action {
    /// Whether the daemon may try again by itself. A code is never exchanged twice all the same.
    pub const fn retryable(self) -> bool {
        matches!(self, Self::Retry | Self::BackOff)
    }

    /// The advice as one plain sentence.
    pub const fn advice(self) -> &'static str {
        match self {
            Self::Retry => "try again: it usually passes by itself",
            Self::BackOff => "wait, then try again less often",
            Self::Reauthorize => "sign in again to obtain a new grant",
            Self::RotateCredentials => "renew the secret, key or password this probe uses",
            Self::FixConfig => "correct the client registration at the provider, or the probe file",
            Self::ReviewPolicy => "ask whoever owns the access policy",
            Self::FixClock => "correct the clock, here or at the provider",
            Self::FixNetwork => "mend the path between this machine and the provider",
            Self::UpdateScript => {
                "bring the login steps in the probe file up to date with the page"
            }
            Self::Escalate => "open a case with the provider and attach the evidence",
            Self::InvestigateSecurity => "treat it as a security incident until shown otherwise",
            Self::FixMonitor => "mend this monitor: the target was not judged",
        }
    }
}

macro_rules! spoken {
    ($($word:ty),*) => {$(
        impl $word {
            /// The name in files, labels and the API.
            pub fn as_str(self) -> &'static str {
                self.into()
            }

            /// Every value, in the order of the taxonomy.
            pub fn all() -> impl Iterator<Item = Self> {
                Self::iter()
            }
        }

        impl fmt::Display for $word {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }
    )*};
}

spoken!(Outcome, Stage, Class, Cause, Action);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_snake_case_and_survive_a_round_trip() {
        for class in Class::all() {
            let json = serde_json::to_string(&class).unwrap();
            assert_eq!(json, format!("\"{class}\""));
            assert_eq!(class.as_str().parse(), Ok(class));
        }
    }

    #[test]
    fn only_the_monitor_s_own_classes_are_unknown() {
        for class in Class::all() {
            assert_eq!(
                class.outcome() == Outcome::Unknown,
                class.cause() == Cause::Monitor,
                "{class}"
            );
            assert_eq!(
                class.cause() == Cause::Monitor,
                class.action() == Action::FixMonitor,
                "{class}"
            );
        }
    }

    #[test]
    fn the_counts_are_those_of_the_published_taxonomy() {
        let counts = [
            Stage::all().count(),
            Class::all().count(),
            Cause::all().count(),
            Action::all().count(),
        ];
        assert_eq!(counts, [23, 84, 10, 12]);
    }
}
