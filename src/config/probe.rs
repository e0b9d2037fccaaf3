//! Probe files: one provider, and per environment what a sign-in there needs.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::probe::{
    Account, Alerts, Budget, Cadence, Client, ClientAuth, Endpoints, ErrorRule, Expectation,
    Expires, Flow, Guard, Login, Probe, ProbeId, RedirectUri, RefreshLimits, ResponseMode, Server,
    Window,
};
use crate::secret::SecretRef;
use crate::taxonomy::{Action, Cause, Class};

use super::address::Issuer;
use super::checks::{
    check_account, check_client, check_errors, check_extras, check_server, check_steps,
};
use super::daemon::anchor;
use super::explain::Misfit;
use super::fault::rule;
use super::layers::Layers;
use super::report::Report;
use super::scalar::{CronPattern, HeaderValue, Name, Scope, Text};
use super::script::{LoginSettings, StepSettings, login};
use super::yaml::child;

/// A probe file as written. Every setting may stand at the top, where it holds for all environments, or in one
/// environment, where it replaces that of the top.
#[derive(Debug, Deserialize, JsonSchema)]
#[expect(
    dead_code,
    reason = "gives the schema; the values are read layer by layer"
)]
pub(super) struct ProbeFile {
    /// Version of the file format: 1.
    #[schemars(extend("const" = 1))]
    version: u32,
    /// The provider: first part of the probe's name. Names its quirks where they are known, such as `keycloak`;
    /// `generic` where none fits.
    provider: Text<Name>,
    /// What is probed, by a name of your own, such as `prod`: second part of the probe's name.
    #[schemars(extend("minProperties" = 1, "propertyNames" = {"format": "name"}))]
    environments: BTreeMap<String, EnvironmentSettings>,
    #[serde(flatten)]
    settings: Settings,
}

/// One environment of a provider: a probe of its own, or several under `probes`.
#[derive(Debug, Deserialize, JsonSchema)]
#[expect(
    dead_code,
    reason = "gives the schema; the values are read layer by layer"
)]
#[schemars(rename = "Environment")]
struct EnvironmentSettings {
    /// Several probes of this environment, by names of your own: third part of the probe's name. Settings here
    /// replace those of the environment.
    #[serde(default)]
    #[schemars(extend("minProperties" = 1, "propertyNames" = {"format": "name"}))]
    probes: Option<BTreeMap<String, Settings>>,
    #[serde(flatten)]
    settings: Settings,
}

/// What a sign-in needs.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(rename = "Probe")]
pub(super) struct Settings {
    /// How tokens are obtained. `authorization_code` by default.
    pub(super) flow: Option<Flow>,
    /// Time from one run to the next, at least 1s. 5m by default; not together with `cron`.
    pub(super) every: Option<Text<Duration>>,
    /// Cron pattern of the runs, read in `timezone`; not together with `every`.
    pub(super) cron: Option<Text<CronPattern>>,
    /// IANA time zone of `cron`. UTC by default.
    pub(super) timezone: Option<Text<TimeZone>>,
    /// Limit of a whole run, waiting for a browser included. 60s by default, or `every` where that is shorter.
    pub(super) timeout: Option<Text<Duration>>,
    /// Limit of each step of a run. 30s by default, or `timeout` where that is shorter.
    pub(super) step_timeout: Option<Text<Duration>>,
    /// Scopes to ask for. `[openid]` by default with a browser, none without.
    #[schemars(with = "Option<Vec<Text<Scope>>>", extend("uniqueItems" = true))]
    pub(super) scopes: Option<Vec<String>>,
    /// Issuer, exactly as the provider writes it in its metadata and tokens; the rest is found from it.
    pub(super) issuer: Option<Text<Issuer>>,
    /// Addresses of endpoints, where metadata does not give them or gives others.
    pub(super) endpoints: Option<Endpoints>,
    /// The client as registered at the provider.
    pub(super) client: Option<ClientSettings>,
    /// Redirect URI, exactly as registered. The browser never opens it, so that of the real application will do.
    pub(super) redirect_uri: Option<Text<RedirectUri>>,
    /// `response_mode` of the authorization request, where it is not the default.
    pub(super) response_mode: Option<ResponseMode>,
    /// The account that signs in: one made for this, never a person's.
    pub(super) account: Option<Account>,
    /// Extra parameters of the authorization request.
    pub(super) authorize_params: Option<BTreeMap<String, String>>,
    /// Extra parameters of the token request.
    pub(super) token_params: Option<BTreeMap<String, String>>,
    /// Extra headers of the requests that the probe sends by itself. Not for secrets.
    #[schemars(
        with = "Option<BTreeMap<String, Text<HeaderValue>>>",
        extend("propertyNames" = {"format": "header-name"})
    )]
    pub(super) headers: Option<BTreeMap<String, String>>,
    /// Whether those requests carry `traceparent` (W3C Trace Context) with the trace of the run, so that the provider can find
    /// them in its logs and traces. `false` by default: then the provider is told nothing.
    pub(super) traceparent: Option<bool>,
    /// The way through the login pages: `auto`, which finds user name, password, code and consent by itself, or a
    /// script. `auto` by default.
    pub(super) login: Option<LoginSettings>,
    /// What follows the code exchange, in this order.
    pub(super) steps: Option<Vec<Option<StepSettings>>>,
    /// Things that the provider must refuse, tried after the rest. None by default.
    #[schemars(extend("uniqueItems" = true))]
    pub(super) guards: Option<Vec<Guard>>,
    /// What answers of this provider mean, where the built-in rules do not know or do not fit; asked in order, before
    /// those. None by default.
    pub(super) errors: Option<Vec<Option<ErrorSettings>>>,
    /// How politely the provider is treated.
    pub(super) budget: Option<Budget>,
    /// When things end that no run can see, so that their end is announced.
    pub(super) expires: Option<ExpiresSettings>,
    /// What alerts on this probe carry.
    pub(super) alerts: Option<Alerts>,
    /// Planned work on the target: runs in it are no evidence for an alert, and nobody is told. None by default.
    pub(super) maintenance: Option<Vec<Option<WindowSettings>>>,
    /// How `validate` judges these settings.
    pub(super) audit: Option<AuditSettings>,
}

/// Planned work that comes again.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[schemars(rename = "Window")]
pub(super) struct WindowSettings {
    /// When it begins, as a cron pattern read in `timezone`.
    cron: Text<CronPattern>,
    /// IANA time zone of `cron`. UTC by default.
    #[serde(default)]
    timezone: Option<Text<TimeZone>>,
    /// How long it lasts.
    lasts: Text<Duration>,
}

impl WindowSettings {
    fn ready(self) -> Window {
        let (Text(CronPattern(pattern)), Text(lasts)) = (self.cron, self.lasts);
        Window {
            pattern,
            timezone: self.timezone.map_or(TimeZone::UTC, |Text(zone)| zone),
            lasts,
        }
    }
}

/// When things end that no run can see.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(rename = "Expires")]
pub(super) struct ExpiresSettings {
    /// Secret of the client: a day, or a moment with its zone.
    client_secret: Option<Text<Timestamp>>,
    /// Key that the client signs with.
    client_key: Option<Text<Timestamp>>,
    /// Certificate of the client.
    client_certificate: Option<Text<Timestamp>>,
    /// Password of the account.
    account_password: Option<Text<Timestamp>>,
    /// How long refresh tokens are good, where the provider does not say.
    refresh_token: Option<RefreshSettings>,
}

/// How long refresh tokens are good.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(rename = "RefreshLimits")]
pub(super) struct RefreshSettings {
    /// From the grant of one.
    lifetime: Option<Text<Duration>>,
    /// From its last use.
    idle: Option<Text<Duration>>,
}

impl ExpiresSettings {
    fn ready(self) -> Expires {
        let at = |text: Option<Text<Timestamp>>| text.map(|Text(at)| at);
        let limits = self.refresh_token.unwrap_or_default();
        Expires {
            client_secret: at(self.client_secret),
            client_key: at(self.client_key),
            client_certificate: at(self.client_certificate),
            account_password: at(self.account_password),
            refresh_token: RefreshLimits {
                lifetime: limits.lifetime.map(|Text(lifetime)| lifetime),
                idle: limits.idle.map(|Text(idle)| idle),
            },
        }
    }
}

/// The client as registered at the provider.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[schemars(rename = "Client")]
pub(super) struct ClientSettings {
    /// `client_id`.
    #[schemars(length(min = 1))]
    pub(super) id: String,
    /// How it authenticates at the token endpoint. `client_secret_basic` by default.
    #[serde(default)]
    pub(super) auth: ClientAuth,
    /// Where its secret is kept; not with `auth: none`.
    #[serde(default)]
    pub(super) secret: Option<SecretRef>,
    /// Algorithm that ID tokens are registered to be signed with; any that the metadata lists when left out.
    #[serde(default)]
    #[schemars(extend("enum" = [
        "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
    ]))]
    pub(super) id_token_alg: Option<String>,
}

/// What an answer means.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[schemars(rename = "ErrorRule")]
pub(super) struct ErrorSettings {
    /// Condition in CEL over `status` (0 for parameters at the redirect URI), `headers` and `body`, such as
    /// `status == 429 && body.error == "plan_limit"`.
    when: Text<Expectation>,
    /// Class of the verdict, such as `entitlement_missing`.
    pub(super) class: Class,
    /// Whose problem it is; that of the class when left out.
    #[serde(default)]
    cause: Option<Cause>,
    /// What to do next; that of the class when left out.
    #[serde(default)]
    action: Option<Action>,
}

/// How `validate` judges a file.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(rename = "Audit")]
pub(super) struct AuditSettings {
    /// Rules by id whose findings are left out.
    #[schemars(extend("uniqueItems" = true))]
    ignore: Vec<String>,
}

impl ErrorSettings {
    fn ready(self) -> ErrorRule {
        ErrorRule {
            when: self.when.0,
            class: self.class,
            cause: self.cause,
            action: self.action,
        }
    }
}

/// Settings whose entries are looked at one by one: a badly shaped entry does not hide what is wrong with the others.
const CONTAINERS: [&str; 7] = [
    "authorize_params",
    "errors",
    "headers",
    "login",
    "maintenance",
    "steps",
    "token_params",
];

/// Keys that build the tree of layers and are no settings.
const STRUCTURE: [&str; 4] = ["version", "provider", "environments", "probes"];

/// Every probe of a file, as far as it can be read; what is wrong goes to `report`. `misfits` are what
/// the schema refused.
pub(super) fn probes(
    root: &Value,
    source: &Path,
    misfits: &[Misfit],
    report: &mut Report<'_>,
) -> Vec<(Layers, Probe)> {
    let provider = root
        .get("provider")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let environments = root.get("environments").and_then(Value::as_object);
    let mut probes = Vec::new();
    for (environment, settings) in environments.into_iter().flatten() {
        let place = child("/environments", environment);
        let named = settings.get("probes").and_then(Value::as_object);
        let names: Vec<Option<&str>> = match named {
            Some(named) if !named.is_empty() => {
                named.keys().map(|name| Some(name.as_str())).collect()
            }
            _ => vec![None],
        };
        for name in names {
            let inner = name.map(|name| child(&format!("{place}/probes"), name));
            let mut pointers = vec!["", place.as_str()];
            pointers.extend(inner.as_deref());
            if pointers
                .iter()
                .any(|pointer| !root.pointer(pointer).is_some_and(Value::is_object))
            {
                continue;
            }
            let layers = Layers::new(root, &pointers, &STRUCTURE, &CONTAINERS, misfits);
            let id = ProbeId::new(provider, environment, name);
            if let Some(mut probe) = probe(id, &layers, source, report) {
                provider.clone_into(&mut probe.provider);
                environment.clone_into(&mut probe.environment);
                probes.push((layers, probe));
            }
        }
    }
    probes
}

fn probe(id: ProbeId, layers: &Layers, source: &Path, report: &mut Report<'_>) -> Option<Probe> {
    let settings: Settings = serde_json::from_value(Value::Object(layers.settings.clone()))
        // The schema has passed; this is what it could not say.
        .map_err(|error| report.key(&layers.own, error.to_string(), ""))
        .ok()?;
    let folder = source.parent().unwrap_or(Path::new(""));
    let flow = settings.flow.unwrap_or(Flow::AuthorizationCode);
    let has_browser = flow == Flow::AuthorizationCode;
    let cadence = cadence(&settings, layers, report);
    let timeout = timeout(&settings, &cadence, layers, report);
    let step_timeout = step_timeout(&settings, timeout, layers, report);
    let scopes = settings
        .scopes
        .clone()
        .unwrap_or_else(|| match has_browser {
            true => vec!["openid".to_owned()],
            false => Vec::new(),
        });
    check_server(&settings, has_browser, &scopes, layers, report);
    check_client(&settings, flow, layers, report);
    check_account(&settings, has_browser, layers, report);
    check_extras(&settings, layers, report);
    check_errors(&settings, layers, report);
    check_steps(&settings, flow, timeout, layers, report);
    let login = match has_browser {
        true => login(
            settings.login.as_ref(),
            layers.place("login"),
            settings.account.as_ref(),
            timeout,
            report,
        ),
        false => Login::Auto,
    };
    let steps = settings
        .steps
        .iter()
        .flatten()
        .flatten()
        .map(StepSettings::ready)
        .collect();
    let client = settings.client?;
    Some(Probe {
        id,
        provider: String::new(),
        environment: String::new(),
        flow,
        cadence,
        timeout,
        step_timeout,
        scopes,
        server: Server {
            issuer: settings.issuer.map(|Text(Issuer(issuer))| issuer),
            endpoints: settings.endpoints.unwrap_or_default(),
        },
        client: Client {
            id: client.id,
            auth: client.auth,
            secret: client.secret.map(|secret| anchored(secret, folder)),
            id_token_alg: client.id_token_alg,
        },
        redirect_uri: settings.redirect_uri.map(|Text(uri)| uri),
        response_mode: settings.response_mode,
        account: settings.account.map(|account| Account {
            username: account.username,
            password: account.password.map(|secret| anchored(secret, folder)),
            totp: account.totp.map(|secret| anchored(secret, folder)),
        }),
        authorize_params: settings.authorize_params.unwrap_or_default(),
        token_params: settings.token_params.unwrap_or_default(),
        headers: settings.headers.unwrap_or_default(),
        traceparent: settings.traceparent.unwrap_or_default(),
        login,
        steps,
        guards: settings.guards.unwrap_or_default(),
        errors: settings
            .errors
            .unwrap_or_default()
            .into_iter()
            .flatten()
            .map(ErrorSettings::ready)
            .collect(),
        budget: settings.budget.unwrap_or_default(),
        expires: settings.expires.unwrap_or_default().ready(),
        alerts: settings.alerts.unwrap_or_default(),
        maintenance: settings
            .maintenance
            .unwrap_or_default()
            .into_iter()
            .flatten()
            .map(WindowSettings::ready)
            .collect(),
        source: source.to_owned(),
    })
}

fn anchored(mut secret: SecretRef, folder: &Path) -> SecretRef {
    anchor(&mut secret, folder);
    secret
}

fn cadence(settings: &Settings, layers: &Layers, report: &mut Report<'_>) -> Cadence {
    if layers.has("every") && layers.has("cron") {
        report.key(
            layers.place("cron"),
            "`every` and `cron` exclude each other",
            "keep one of the two",
        );
    }
    if let Some(Text(CronPattern(pattern))) = &settings.cron {
        return Cadence::Cron {
            pattern: pattern.clone(),
            timezone: settings
                .timezone
                .clone()
                .map_or(TimeZone::UTC, |Text(zone)| zone),
        };
    }
    let every = settings
        .every
        .as_ref()
        .map_or(Duration::from_secs(300), |Text(every)| *every);
    if every < Duration::from_secs(1) {
        report.value(
            layers.place("every"),
            "shorter than a second",
            "write 1s or more",
        );
    }
    Cadence::Every(every)
}

fn timeout(
    settings: &Settings,
    cadence: &Cadence,
    layers: &Layers,
    report: &mut Report<'_>,
) -> Duration {
    let usual = Duration::from_secs(60);
    let most = match cadence {
        // A broken `every` says nothing about the timeout.
        Cadence::Every(every) if settings.every.is_some() || !layers.has("every") => Some(*every),
        Cadence::Every(_) | Cadence::Cron { .. } => None,
    };
    let Some(Text(timeout)) = settings.timeout else {
        return most.map_or(usual, |most| most.min(usual));
    };
    let place = layers.place("timeout");
    if most.is_some_and(|most| timeout > most) {
        let message = "longer than `every`: a run would last into the next one";
        let mut report = report.by(rule::TIMEOUT_OVER_INTERVAL);
        report.value(place, message, "raise `every`, or lower this");
    }
    timeout
}

fn step_timeout(
    settings: &Settings,
    timeout: Duration,
    layers: &Layers,
    report: &mut Report<'_>,
) -> Duration {
    let Some(Text(step_timeout)) = settings.step_timeout else {
        return timeout.min(Duration::from_secs(30));
    };
    let place = layers.place("step_timeout");
    if step_timeout > timeout && (settings.timeout.is_some() || !layers.has("timeout")) {
        let message = "longer than the whole run may take";
        report.value(place, message, "raise `timeout`, or lower this");
    }
    step_timeout
}
