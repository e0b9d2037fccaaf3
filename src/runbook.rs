//! Runbooks: what to do about each class, written to be read at three in the morning. They are the files in
//! `docs/runbooks`, compiled in: the pages, the command line and the repository show the same text.
//!
//! A class without one does not compile; that each has the same sections in the same order is held by the tests.

use crate::taxonomy::Class;

/// Sections of every runbook, in this order.
pub const SECTIONS: [&str; 8] = [
    "What it means",
    "Be sure",
    "Likely causes",
    "Fix",
    "Roll back or rotate",
    "Tell",
    "Escalate",
    "Providers",
];

/// What all runbooks have in common: how to gather evidence, escalate and silence; and the list of them.
pub const COMMON: &str = include_str!("../docs/runbooks/README.md");

/// What the alerts of the rules for Prometheus mean and what to do, a section each.
pub const PROMETHEUS: &str = include_str!("../docs/prometheus.md");

macro_rules! runbooks {
    ($($class:ident => $file:literal,)*) => {
        /// The runbook of a class, in Markdown.
        pub const fn text(class: Class) -> &'static str {
            match class {
                $(Class::$class => include_str!(concat!("../docs/runbooks/", $file, ".md")),)*
            }
        }
    };
}

runbooks! {
    InvalidRequest => "invalid_request",
    RedirectUriMismatch => "redirect_uri_mismatch",
    InvalidClient => "invalid_client",
    ClientSecretExpired => "client_secret_expired",
    ClientDisabled => "client_disabled",
    UnauthorizedClient => "unauthorized_client",
    UnsupportedGrantType => "unsupported_grant_type",
    UnsupportedResponseType => "unsupported_response_type",
    InvalidScope => "invalid_scope",
    InvalidTarget => "invalid_target",
    InvalidGrant => "invalid_grant",
    CodeExpired => "code_expired",
    CodeReused => "code_reused",
    PkceMismatch => "pkce_mismatch",
    RefreshTokenExpired => "refresh_token_expired",
    RefreshTokenRevoked => "refresh_token_revoked",
    RefreshTokenReused => "refresh_token_reused",
    AccessDenied => "access_denied",
    LoginRequired => "login_required",
    ConsentRequired => "consent_required",
    InteractionRequired => "interaction_required",
    MfaRequired => "mfa_required",
    PolicyBlocked => "policy_blocked",
    EntitlementMissing => "entitlement_missing",
    AccountLocked => "account_locked",
    BadUserCredentials => "bad_user_credentials",
    InvalidToken => "invalid_token",
    InsufficientScope => "insufficient_scope",
    UnsupportedTokenType => "unsupported_token_type",
    InvalidDpopProof => "invalid_dpop_proof",
    DeviceCodeExpired => "device_code_expired",
    SessionExpired => "session_expired",
    ServerError => "server_error",
    TemporarilyUnavailable => "temporarily_unavailable",
    RateLimited => "rate_limited",
    StateMismatch => "state_mismatch",
    IssuerMismatch => "issuer_mismatch",
    NonceMismatch => "nonce_mismatch",
    AudienceMismatch => "audience_mismatch",
    SignatureInvalid => "signature_invalid",
    SigningKeyUnknown => "signing_key_unknown",
    AlgorithmMismatch => "algorithm_mismatch",
    TokenExpired => "token_expired",
    TokenNotYetValid => "token_not_yet_valid",
    ClockSkew => "clock_skew",
    ScopeDowngraded => "scope_downgraded",
    TokenMissing => "token_missing",
    TokenConfusion => "token_confusion",
    MalformedResponse => "malformed_response",
    MetadataInvalid => "metadata_invalid",
    ErrorHiddenInSuccess => "error_hidden_in_success",
    DnsFailure => "dns_failure",
    ConnectRefused => "connect_refused",
    ConnectTimeout => "connect_timeout",
    ConnectionReset => "connection_reset",
    TlsHandshake => "tls_handshake",
    TlsExpired => "tls_expired",
    TlsUntrusted => "tls_untrusted",
    TlsHostnameMismatch => "tls_hostname_mismatch",
    ProxyError => "proxy_error",
    RequestTimeout => "request_timeout",
    ResponseTooLarge => "response_too_large",
    RedirectLoop => "redirect_loop",
    HttpClientError => "http_client_error",
    HttpServerError => "http_server_error",
    BlockedByGateway => "blocked_by_gateway",
    ElementNotFound => "element_not_found",
    UnexpectedPage => "unexpected_page",
    NavigationTimeout => "navigation_timeout",
    BotChallenge => "bot_challenge",
    CallbackNotReached => "callback_not_reached",
    AcceptedForeignRedirectUri => "accepted_foreign_redirect_uri",
    AcceptedReusedCode => "accepted_reused_code",
    AcceptedBadPkce => "accepted_bad_pkce",
    AcceptedRevokedToken => "accepted_revoked_token",
    AcceptedReusedRefreshToken => "accepted_reused_refresh_token",
    AcceptedUnsignedRequest => "accepted_unsigned_request",
    AcceptedWrongClientSecret => "accepted_wrong_client_secret",
    WebdriverUnavailable => "webdriver_unavailable",
    BrowserCrashed => "browser_crashed",
    ConfigInvalid => "config_invalid",
    SecretUnavailable => "secret_unavailable",
    Overloaded => "overloaded",
    Internal => "internal",
}

/// The runbook with the notes on this provider alone; with those on every provider when none is named.
pub fn for_provider(class: Class, provider: Option<&str>) -> String {
    let text = text(class);
    let Some(provider) = provider else {
        return text.to_owned();
    };
    let (general, notes) = apart(text);
    let known: Vec<&str> = notes.iter().map(|(slug, _)| *slug).collect();
    let note = match notes.iter().find(|(slug, _)| *slug == provider) {
        Some((_, note)) => (*note).to_owned(),
        None if known.is_empty() => return text.to_owned(),
        // The name is not repeated: it may come from an address, and this may become a page.
        None => format!(
            "There are no notes on this provider here, only on: {}.\n",
            known.join(", ")
        ),
    };
    format!("{general}{note}")
}

/// The providers that the runbook of a class has notes on.
pub fn providers(class: Class) -> Vec<&'static str> {
    let (_, notes) = apart(text(class));
    notes.into_iter().map(|(slug, _)| slug).collect()
}

/// The class whose name is nearest to `word`, unless none is near.
pub fn nearest(word: &str) -> Option<Class> {
    // Far longer than any name; keeps the comparison short.
    if word.len() > 100 {
        return None;
    }
    let word = word.trim().to_lowercase().replace(['-', ' '], "_");
    Class::all()
        .map(|class| (strsim::jaro_winkler(class.as_str(), &word), class))
        .filter(|(likeness, _)| *likeness >= 0.75)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, class)| class)
}

/// All before the notes on providers, and each note with its slug, its heading included.
fn apart(text: &'static str) -> (&'static str, Vec<(&'static str, &'static str)>) {
    const HEADING: &str = "\n### ";
    let start = text.find(HEADING).map_or(text.len(), |at| at + 1);
    let (general, mut rest) = text.split_at(start);
    let mut notes = Vec::new();
    while !rest.is_empty() {
        let end = rest.find(HEADING).map_or(rest.len(), |at| at + 1);
        let (note, later) = rest.split_at(end);
        let heading = note.lines().next().unwrap_or_default();
        notes.push((heading.trim_start_matches("### "), note));
        rest = later;
    }
    (general, notes)
}

#[cfg(test)]
mod tests;
