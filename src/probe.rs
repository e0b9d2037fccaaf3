//! A probe: everything that one scheduled sign-in needs, checked and ready to use. `config` reads files into it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{EnumIter, EnumString, IntoStaticStr};
use url::Url;

use crate::secret::SecretRef;
use crate::taxonomy::{Action, Cause, Class};

/// `provider/environment`, or `provider/environment/name` where a file defines several.
#[derive(
    Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct ProbeId(String);

impl ProbeId {
    /// Joins the parts of the name.
    pub fn new(provider: &str, environment: &str, name: Option<&str>) -> Self {
        Self(match name {
            Some(name) => format!("{provider}/{environment}/{name}"),
            None => format!("{provider}/{environment}"),
        })
    }

    /// A name as it was recorded, whole.
    pub fn recorded(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// The whole name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ProbeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// One sign-in to walk, at one provider and environment.
#[derive(Debug, Clone)]
pub struct Probe {
    pub id: ProbeId,
    /// Names the provider's quirks; `generic` where none fits.
    pub provider: String,
    pub environment: String,
    pub flow: Flow,
    pub cadence: Cadence,
    /// Limit of a whole run, waiting for a browser included.
    pub timeout: Duration,
    /// Limit of one step of the run; never more than `timeout`.
    pub step_timeout: Duration,
    pub scopes: Vec<String>,
    pub server: Server,
    pub client: Client,
    /// Absent only for flows without a browser.
    pub redirect_uri: Option<RedirectUri>,
    /// `response_mode` of the authorization request, where it is not the default of the flow.
    pub response_mode: Option<ResponseMode>,
    pub account: Option<Account>,
    /// Extra parameters of the authorization request.
    pub authorize_params: BTreeMap<String, String>,
    /// Extra parameters of the token request.
    pub token_params: BTreeMap<String, String>,
    /// Extra headers of every request that this probe sends by itself (the browser's requests are the browser's).
    pub headers: BTreeMap<String, String>,
    /// Whether those requests carry `traceparent` (W3C Trace Context), so that the provider can find them.
    pub traceparent: bool,
    pub login: Login,
    /// What follows the code exchange, in this order.
    pub steps: Vec<Step>,
    /// Checks of things that the provider must refuse.
    pub guards: Vec<Guard>,
    /// What answers mean that no table knows; asked first.
    pub errors: Vec<ErrorRule>,
    pub budget: Budget,
    pub expires: Expires,
    pub alerts: Alerts,
    /// Planned work on the target.
    pub maintenance: Vec<Window>,
    /// The file that defines the probe.
    pub source: PathBuf,
}

/// How tokens are obtained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Flow {
    /// Authorization code with PKCE, through a browser (RFC 6749 section 4.1, RFC 7636).
    AuthorizationCode,
    /// Client credentials, without a browser (RFC 6749 section 4.4).
    ClientCredentials,
}

/// When a probe is due.
#[derive(Debug, Clone, PartialEq)]
pub enum Cadence {
    /// Every so often, with a phase of its own.
    Every(Duration),
    /// By a cron pattern in a time zone.
    Cron { pattern: String, timezone: TimeZone },
}

/// Where the provider is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Compared as an exact string everywhere; absent where only `endpoints` are given.
    pub issuer: Option<String>,
    /// Given ones win over discovered ones; discovery is skipped when `token` (and, with a browser, `authorization`) is given.
    pub endpoints: Endpoints,
}

/// Addresses of the provider's endpoints, by their names in the metadata without `_endpoint`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Endpoints {
    /// Authorization endpoint.
    pub authorization: Option<Url>,
    /// Token endpoint.
    pub token: Option<Url>,
    /// Key set of the provider.
    pub jwks: Option<Url>,
    /// UserInfo endpoint.
    pub userinfo: Option<Url>,
    /// Token introspection endpoint.
    pub introspection: Option<Url>,
    /// Token revocation endpoint.
    pub revocation: Option<Url>,
    /// RP-initiated logout endpoint.
    pub end_session: Option<Url>,
}

/// The client as registered at the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    pub id: String,
    pub auth: ClientAuth,
    /// Absent exactly when `auth` is `none`.
    pub secret: Option<SecretRef>,
    /// `id_token_signed_response_alg` as registered; any signing algorithm that the metadata lists when absent.
    pub id_token_alg: Option<String>,
}

/// How the client authenticates at the token endpoint (OpenID Connect Core section 9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClientAuth {
    /// HTTP Basic, id and secret form-encoded first (RFC 6749 section 2.3.1).
    #[default]
    ClientSecretBasic,
    /// Id and secret in the body.
    ClientSecretPost,
    /// A public client: only its id, in the body.
    None,
}

/// A redirect URI: compared and sent as the exact string of the file, parsed once for its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedirectUri {
    text: String,
    url: Url,
}

impl RedirectUri {
    /// Parses an absolute URI without a fragment (RFC 6749 section 3.1.2).
    pub fn parse(text: &str) -> Result<Self, RedirectUriError> {
        let url =
            Url::parse(text).map_err(|error| RedirectUriError::NotAbsolute(error.to_string()))?;
        if url.fragment().is_some() {
            return Err(RedirectUriError::Fragment);
        }
        Ok(Self {
            text: text.to_owned(),
            url,
        })
    }

    /// Exactly as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Its parts.
    pub fn url(&self) -> &Url {
        &self.url
    }
}

/// Why a text is no redirect URI.
#[derive(Debug, thiserror::Error)]
pub enum RedirectUriError {
    #[error("not an absolute URI: {0}")]
    NotAbsolute(String),
    #[error("a redirect URI must not have a fragment")]
    Fragment,
}

/// How the authorization response comes back (OAuth 2.0 Multiple Response Types, Form Post Response Mode).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum ResponseMode {
    /// In the query of the redirect URI.
    Query,
    /// In its fragment.
    Fragment,
    /// In the body of a POST to it.
    FormPost,
}

/// The account that signs in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// User name as typed on the login page.
    #[schemars(length(min = 1))]
    pub username: String,
    /// Its password.
    #[serde(default)]
    pub password: Option<SecretRef>,
    /// Its TOTP secret: base32, or an `otpauth://` address.
    #[serde(default)]
    pub totp: Option<SecretRef>,
}

/// How the pages between the authorization request and the callback are passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Login {
    /// Finds user name, password, code and consent by itself.
    Auto,
    /// By script.
    Steps(Vec<LoginStep>),
}

/// One line of a login script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginStep {
    /// Do this step only where the target is on the page; never wait for it.
    pub only_if: Option<Target>,
    pub act: LoginAct,
    /// Limit of this step alone; the step limit of the probe when absent.
    pub within: Option<Duration>,
    /// Line of the file, for messages.
    pub line: usize,
}

/// What a script step does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoginAct {
    Fill {
        target: Target,
        with: Value,
    },
    Click(Target),
    /// A key by its WebDriver name, such as `Enter`, to the focused element.
    Press(String),
    Select {
        target: Target,
        option: Value,
    },
    /// Until the target is visible.
    Wait(Target),
    Goto(Url),
    /// Fails unless the target is visible.
    Expect(Target),
    /// Later steps act inside this frame; `None` is the top page again.
    Frame(Option<Target>),
}

/// An element of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    Css(String),
    XPath(String),
    /// Visible text of a control or label.
    Text(String),
}

impl Target {
    /// `//…`, `(//…` and `xpath=…` are XPath, `text=…` is visible text, all else is CSS.
    pub fn parse(text: &str) -> Self {
        if let Some(rest) = text.strip_prefix("text=") {
            Self::Text(rest.to_owned())
        } else if let Some(rest) = text.strip_prefix("xpath=") {
            Self::XPath(rest.to_owned())
        } else if text.starts_with("//") || text.starts_with("(//") {
            Self::XPath(text.to_owned())
        } else {
            Self::Css(text.strip_prefix("css=").unwrap_or(text).to_owned())
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Css(css) => f.write_str(css),
            Self::XPath(path) => f.write_str(path),
            Self::Text(text) => write!(f, "text={text}"),
        }
    }
}

/// What a script fills in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// `account.username`
    Username,
    /// `account.password`
    Password,
    /// `account.totp`: the code of the moment
    Totp,
    /// Anything else: the text itself, which is no secret.
    Literal(String),
}

/// A step after the code exchange.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// UserInfo request; its `sub` must equal the ID token's (OpenID Connect Core section 5.3.2).
    Userinfo { expect: Option<Expectation> },
    /// A protected resource with the access token.
    Resource {
        get: Url,
        expect: Option<Expectation>,
        within: Option<Duration>,
    },
    /// Introspection of the access token (RFC 7662).
    Introspect { expect: Option<Expectation> },
    /// Refresh token grant (RFC 6749 section 6).
    Refresh { rotation: Rotation },
    /// Revocation (RFC 7009); with `verify` the token must be refused afterwards.
    Revoke { token: TokenKind, verify: bool },
    /// RP-initiated logout in the browser that signed in.
    Logout {
        post_logout_redirect_uri: Option<Url>,
    },
}

/// A condition in CEL over `status`, `headers`, `body`, `account` and `token`, known to compile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expectation(pub String);

/// A rule of the probe file: what an answer means. Where it gives no cause and action, those of the class hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorRule {
    pub when: Expectation,
    pub class: Class,
    pub cause: Option<Cause>,
    pub action: Option<Action>,
}

/// What is expected of the refresh token after a refresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Rotation {
    /// Either is fine; what happened is reported.
    #[default]
    Any,
    /// A new refresh token must come.
    Required,
    /// The old one must stay.
    Forbidden,
}

/// Which token is revoked.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Default,
    Serialize,
    Deserialize,
    JsonSchema,
    IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum TokenKind {
    /// The refresh token where there is one, the access token otherwise.
    #[default]
    Auto,
    AccessToken,
    RefreshToken,
}

/// A thing that the provider must refuse.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
    EnumIter,
    EnumString,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Guard {
    /// An authorization request with a redirect URI that is not registered.
    ForeignRedirectUri,
    /// The code of this run once more.
    ReusedCode,
    /// A code exchange with a wrong verifier.
    BadPkce,
}

/// How politely the provider is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Budget {
    /// Sign-ins a minute with this account, over all runs. 30 by default.
    #[schemars(range(min = 1, max = 600))]
    pub logins_per_minute: u32,
    /// After so many refused passwords in a row the probe stops signing in, so that the account is not locked. 3 by default.
    #[schemars(range(min = 1, max = 100))]
    pub stop_after_refused_credentials: u32,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            logins_per_minute: 30,
            stop_after_refused_credentials: 3,
        }
    }
}

/// When things end that no run can see, as the probe file declares it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expires {
    pub client_secret: Option<Timestamp>,
    /// The key that the client signs with.
    pub client_key: Option<Timestamp>,
    pub client_certificate: Option<Timestamp>,
    pub account_password: Option<Timestamp>,
    pub refresh_token: RefreshLimits,
}

/// How long a refresh token is good.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RefreshLimits {
    /// From its grant; what the provider says wins.
    pub lifetime: Option<Duration>,
    /// From its last use.
    pub idle: Option<Duration>,
}

/// What alerts on this probe carry, and where its rules differ from the usual ones.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Alerts {
    /// Labels for routing, such as the team that owns the client.
    pub labels: BTreeMap<String, String>,
    /// Address of a runbook, `{class}` in it stands for the class of the verdict.
    pub runbook: Option<String>,
    /// Runs that fail more often than usual.
    pub failure_rate: AlertRule,
    /// Runs, or stages of them, that are slower than usual.
    pub latency: AlertRule,
    /// Runs that could not be judged, or did not happen.
    pub monitor: AlertRule,
}

/// Planned work on the target: it begins at each match of a pattern and lasts for a while.
#[derive(Debug, Clone, PartialEq)]
pub struct Window {
    /// When it begins, as a cron pattern of five or six fields.
    pub pattern: String,
    /// The zone that the pattern is in.
    pub timezone: TimeZone,
    /// How long it lasts.
    pub lasts: Duration,
}

/// Where the rule of one kind of alert differs from the usual one for a probe.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AlertRule {
    /// No alert of this kind when true, and runs of this probe are no evidence for one. `false` by default.
    pub off: bool,
    /// `page` wakes somebody, `ticket` waits for the morning. `page` by default.
    pub severity: Severity,
    /// Percent of runs that are to be good, such as 99.5: takes the place of the baseline that is learned, so that
    /// what lies within it never alerts. The learned baseline holds when left out.
    #[schemars(range(min = 50.0, max = 99.999))]
    pub objective: Option<f64>,
    /// Fewest bad runs before an alert on this probe alone. 3 by default, 5 for `latency`; 2 for failures that do not
    /// pass by themselves.
    #[schemars(range(min = 2, max = 40))]
    pub minimum: Option<u32>,
}

impl Default for AlertRule {
    fn default() -> Self {
        Self {
            off: false,
            severity: Severity::Page,
            objective: None,
            minimum: None,
        }
    }
}

/// Whether somebody is woken.
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
pub enum Severity {
    /// For working hours.
    Ticket,
    /// For now.
    Page,
}
