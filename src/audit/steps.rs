//! Scopes, parameters, login and steps that do not go together.

use crate::probe::{Account, Flow, Login, LoginAct, Probe, ResponseMode, Step, TokenKind, Value};
use crate::provider;

use super::Severity::{Advice, Error, Warning};
use super::{Check, Hit, Rule, Subject};

pub(super) const RULES: &[Rule] = &[
    Rule::of(
        Warning,
        "openid-missing",
        "userinfo, logout or an ID token algorithm is configured, and the scope `openid` is not asked for",
        "add `openid` to `scopes`, or leave out what needs it",
        Check::Files(openid_missing),
    ),
    Rule::of(
        Error,
        "prompt-none",
        "`prompt: none` forbids the provider to show a login page, so nobody can sign in",
        "leave `prompt` out, or write `prompt: login`",
        Check::Files(prompt_none),
    ),
    Rule::of(
        Error,
        "step-after-revoke",
        "a step uses a token that an earlier step has revoked",
        "move `revoke` behind the steps that use the tokens",
        Check::Files(after_revoke),
    ),
    Rule::of(
        Warning,
        "step-after-logout",
        "a step uses a token after logout, which ends tokens at many providers",
        "move `logout` to the end",
        Check::Files(after_logout),
    ),
    Rule::of(
        Error,
        "account-without-password",
        "`login: auto` fills in a password, and the account has none",
        "add `password: {env: NAME}` to `account`, or write the login as a script",
        Check::Files(without_password),
    ),
    Rule::of(
        Warning,
        "login-script-incomplete",
        "the account has a password or a TOTP secret that the login script never fills in",
        "add a step `fill: …, with: account.password` (or `account.totp`), or leave it out of `account`",
        Check::Files(script_incomplete),
    ),
    Rule::of(
        Warning,
        "response-mode-callback",
        "`response_mode: form_post` sends a POST, which an app with an address scheme of its own cannot take",
        "use `query`, or the https redirect URI",
        Check::Files(response_mode),
    ),
    Rule::of(
        Advice,
        "timeout-short",
        "a whole sign-in through a browser has less than ten seconds, so that a slow machine looks like a slow provider",
        "raise `timeout`; `within` of a step judges how fast it must be",
        Check::Files(timeout_short),
    ),
    Rule::of(
        Warning,
        "within-over-step-timeout",
        "`within` of a step is not below `step_timeout`, which ends the step before it can be judged as slow",
        "lower `within`, or raise `step_timeout`",
        Check::Files(within_over_step_timeout),
    ),
    Rule::of(
        Warning,
        "provider-misspelt",
        "`provider` is no known name and is close to one, so that its rules and runbook notes do not apply",
        "write the known name",
        Check::Files(misspelt),
    ),
];

fn with_browser<'a>(subject: &'a Subject<'_>) -> impl Iterator<Item = &'a Probe> {
    subject
        .probes()
        .filter(|probe| probe.flow == Flow::AuthorizationCode)
}

fn openid_missing(subject: &Subject<'_>) -> Vec<Hit> {
    let mut hits = Vec::new();
    let without = |probe: &&Probe| probe.scopes.iter().all(|scope| scope != "openid");
    for probe in with_browser(subject).filter(without) {
        // Where endpoints are given by hand the provider may speak no OpenID Connect at all.
        if probe.server.issuer.is_none() {
            continue;
        }
        let needs = |step: &Step| matches!(step, Step::Userinfo { .. } | Step::Logout { .. });
        let what = match probe.steps.iter().find(|step| needs(step)) {
            Some(Step::Logout { .. }) => "logout needs an ID token",
            Some(_) => "userinfo needs a token of an OpenID sign-in",
            None if probe.client.id_token_alg.is_some() => "`id_token_alg` waits for an ID token",
            None => continue,
        };
        let message = format!("{what}, and the scope `openid` is not asked for");
        hits.push(subject.at(probe, &["scopes"], message));
    }
    hits
}

fn prompt_none(subject: &Subject<'_>) -> Vec<Hit> {
    with_browser(subject)
        .filter(|probe| {
            probe
                .authorize_params
                .get("prompt")
                .is_some_and(|prompt| prompt == "none")
        })
        .map(|probe| {
            let message = "no login page may be shown, and every run begins without a session";
            subject.at(probe, &["authorize_params", "prompt"], message)
        })
        .collect()
}

/// The first step behind one that `ends` tokens which needs one; with its index.
fn used_after(
    probe: &Probe,
    ends: impl Fn(&Step) -> bool,
    uses: impl Fn(&Step) -> bool,
) -> Option<usize> {
    let end = probe.steps.iter().position(ends)?;
    let later = probe.steps.iter().skip(end + 1).position(uses)?;
    Some(end + 1 + later)
}

fn after_revoke(subject: &Subject<'_>) -> Vec<Hit> {
    let mut hits = Vec::new();
    for probe in subject.probes() {
        // Revoking a refresh token ends the access tokens of its grant at many providers; that of an access token
        // leaves the refresh token (RFC 7009 section 2.1).
        let of_access = used_after(
            probe,
            |step| {
                matches!(
                    step,
                    Step::Revoke {
                        token: TokenKind::AccessToken,
                        ..
                    }
                )
            },
            uses_access_token,
        );
        let of_refresh = used_after(
            probe,
            |step| {
                matches!(
                    step,
                    Step::Revoke {
                        token: TokenKind::Auto | TokenKind::RefreshToken,
                        ..
                    }
                )
            },
            |step| uses_access_token(step) || matches!(step, Step::Refresh { .. }),
        );
        if let Some(index) = of_access.or(of_refresh) {
            let message = "the token it needs was revoked by an earlier step";
            hits.push(subject.at(probe, &["steps", &index.to_string()], message));
        }
    }
    hits
}

fn uses_access_token(step: &Step) -> bool {
    matches!(
        step,
        Step::Userinfo { .. } | Step::Resource { .. } | Step::Introspect { .. }
    )
}

fn after_logout(subject: &Subject<'_>) -> Vec<Hit> {
    let mut hits = Vec::new();
    for probe in subject.probes() {
        let uses = |step: &Step| uses_access_token(step) || matches!(step, Step::Refresh { .. });
        if let Some(index) = used_after(probe, |step| matches!(step, Step::Logout { .. }), uses) {
            let message = "stands behind `logout`, which ends tokens at many providers";
            hits.push(subject.at(probe, &["steps", &index.to_string()], message));
        }
    }
    hits
}

fn without_password(subject: &Subject<'_>) -> Vec<Hit> {
    let needs = |probe: &&Probe| {
        let lacks = |account: &Account| account.password.is_none();
        probe.login == Login::Auto && probe.account.as_ref().is_some_and(lacks)
    };
    with_browser(subject)
        .filter(needs)
        .map(|probe| {
            subject.at(
                probe,
                &["account"],
                "`login: auto` needs a password to fill in",
            )
        })
        .collect()
}

fn script_incomplete(subject: &Subject<'_>) -> Vec<Hit> {
    let mut hits = Vec::new();
    for probe in with_browser(subject) {
        let (Login::Steps(steps), Some(account)) = (&probe.login, &probe.account) else {
            continue;
        };
        let fills = |value: &Value| {
            let is_it =
                |act: &LoginAct| matches!(act, LoginAct::Fill { with, .. } if with == value);
            steps.iter().any(|step| is_it(&step.act))
        };
        let parts = [
            ("password", account.password.is_some(), Value::Password),
            ("totp", account.totp.is_some(), Value::Totp),
        ];
        for (key, is_given, value) in parts {
            if is_given && !fills(&value) {
                let message = format!("the login script never fills in `account.{key}`");
                hits.push(subject.at(probe, &["account", key], message));
            }
        }
    }
    hits
}

fn response_mode(subject: &Subject<'_>) -> Vec<Hit> {
    let mut hits = Vec::new();
    for probe in
        with_browser(subject).filter(|probe| probe.response_mode == Some(ResponseMode::FormPost))
    {
        let scheme = probe.redirect_uri.as_ref().map(|uri| uri.url().scheme());
        if let Some(scheme) = scheme.filter(|scheme| !matches!(*scheme, "http" | "https")) {
            let message =
                format!("a POST cannot be sent to an address that begins with `{scheme}:`");
            hits.push(subject.at(probe, &["response_mode"], message));
        }
    }
    hits
}

fn timeout_short(subject: &Subject<'_>) -> Vec<Hit> {
    let mut hits = Vec::new();
    for probe in with_browser(subject).filter(|probe| probe.timeout.as_secs() < 10) {
        let place = match subject.places.gives(&probe.id, "timeout") {
            true => "timeout",
            false => "every",
        };
        let message = format!(
            "a whole sign-in has {} s, the start of a browser included",
            probe.timeout.as_secs_f64()
        );
        hits.push(subject.at(probe, &[place], message));
    }
    hits
}

fn within_over_step_timeout(subject: &Subject<'_>) -> Vec<Hit> {
    let mut hits = Vec::new();
    for probe in subject.probes() {
        for (index, step) in probe.steps.iter().enumerate() {
            let Step::Resource {
                within: Some(within),
                ..
            } = step
            else {
                continue;
            };
            if *within >= probe.step_timeout {
                let message = format!(
                    "the step is ended after {} s",
                    probe.step_timeout.as_secs_f64()
                );
                let path = ["steps", &index.to_string(), "resource", "within"];
                hits.push(subject.at(probe, &path, message));
            }
        }
    }
    hits
}

fn misspelt(subject: &Subject<'_>) -> Vec<Hit> {
    let mut hits = Vec::new();
    for probe in subject.probes() {
        let name = probe.provider.to_lowercase().replace('_', "-");
        if name == "generic" || provider::find(&name).is_some() {
            continue;
        }
        let known = provider::ALL
            .iter()
            .flat_map(|known| std::iter::once(&known.name).chain(known.aliases));
        let likeness = |known: &str| strsim::normalized_damerau_levenshtein(known, &name);
        // Short names are close to each other by chance.
        let near = known.filter(|known| known.len() >= 5 && likeness(known) >= 0.8);
        if let Some(near) = near.max_by(|a, b| likeness(a).total_cmp(&likeness(b))) {
            let message = format!("`{}` is no provider with rules of its own", probe.provider);
            let hit = subject.at_file(probe, "provider", message);
            hits.push(hit.fix(format!("did you mean `{near}`?")));
        }
    }
    hits
}
