//! The daemon file: where to listen, store, watch with, tell whom.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;
use url::Url;

use crate::api::Access;
use crate::browser;
use crate::egress;
use crate::http;
use crate::probe::Probe;
use crate::secret::SecretRef;
use crate::telemetry::otlp;

use super::address::WebUrl;
use super::fault::rule;
use super::layers::Layers;
use super::probe::AuditSettings;
use super::report::Report;
use super::scalar::{Name, Text, text};
use super::sections::{
    ApiSettings, Channel, EgressSettings, HttpSettings, Route, Store, Telemetry, TextOrSecret,
};
use super::words::nearest;
use super::yaml::child;

/// Everything that the daemon runs by.
#[derive(Debug, Clone)]
pub struct Daemon {
    /// Where this daemon runs; a label of everything it reports.
    pub location: String,
    /// Address of the API, the pages and `/metrics`; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Address under which people reach the pages, for links.
    pub public_url: Option<Url>,
    pub probes: Vec<Probe>,
    pub store: Store,
    pub browser: browser::Settings,
    pub http: http::Settings,
    pub egress: egress::Settings,
    /// Whether `/metrics` is served.
    pub prometheus: bool,
    /// Lines that `/metrics` may have for probes and channels.
    pub max_series: usize,
    /// A collector for traces, figures and logs.
    pub otlp: Option<otlp::Settings>,
    /// Who may use the API.
    pub access: Access,
    pub channels: BTreeMap<String, Channel>,
    pub routes: Vec<Route>,
    /// The file that was named.
    pub source: PathBuf,
    /// Every file that was read; a change of one is a reason to load again.
    pub files: Vec<PathBuf>,
}

/// The daemon file as written.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["version"]))]
pub(super) struct DaemonFile {
    /// Version of the file format: 1.
    #[schemars(extend("const" = 1))]
    version: u32,
    /// Where this daemon runs, such as `fra1`; a label of everything it reports.
    #[serde(deserialize_with = "text")]
    #[schemars(with = "Text<Name>")]
    location: Name,
    /// Address of the API, the pages and `/metrics`. Loopback unless you change it.
    #[serde(deserialize_with = "text")]
    #[schemars(with = "Text<SocketAddr>")]
    listen: SocketAddr,
    /// Address under which people reach the pages, such as `https://canary.example.com`, for links to runs. By default
    /// that of `listen`.
    public_url: Option<Text<WebUrl>>,
    /// Probe files, as paths or patterns such as `probes/*.yaml`, relative to this file.
    #[schemars(extend("items" = {"type": "string", "minLength": 1}))]
    pub(super) probes: Vec<String>,
    /// Where runs are kept, and for how long.
    store: Store,
    /// The browser that signs in.
    browser: browser::Settings,
    /// How the requests are made that probes send by themselves.
    http: HttpSettings,
    /// How a fault of this machine is told from one of a provider.
    egress: EgressSettings,
    /// Where figures and traces go.
    telemetry: Telemetry,
    /// Who may use the API.
    api: ApiSettings,
    /// Where notices can go, by a name of your own.
    #[schemars(extend("propertyNames" = {"format": "name"}))]
    channels: BTreeMap<String, Channel>,
    /// Who is told of what: every route that matches an alert sends it to its channels.
    routes: Vec<Option<Route>>,
    /// How `validate` judges these files.
    audit: AuditSettings,
}

impl Default for DaemonFile {
    fn default() -> Self {
        Self {
            version: 1,
            location: Name("default".to_owned()),
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8420)),
            public_url: None,
            probes: Vec::new(),
            store: Store::default(),
            browser: browser::Settings::default(),
            http: HttpSettings::default(),
            egress: EgressSettings::default(),
            telemetry: Telemetry::default(),
            api: ApiSettings::default(),
            channels: BTreeMap::new(),
            routes: Vec::new(),
            audit: AuditSettings::default(),
        }
    }
}

/// Sections whose entries are looked at one by one.
pub(super) const CONTAINERS: [&str; 2] = ["channels", "routes"];

/// Labels that every alert has.
const ALERT_LABELS: [&str; 9] = [
    "provider",
    "environment",
    "probe",
    "location",
    "stage",
    "class",
    "cause",
    "severity",
    "kind",
];

impl DaemonFile {
    /// From the well-shaped keys of a file.
    pub(super) fn from_layers(layers: &Layers, report: &mut Report<'_>) -> Self {
        let settings = serde_json::Value::Object(layers.settings.clone());
        serde_json::from_value(settings).unwrap_or_else(|error| {
            // The schema has passed; this is what it could not say.
            report.value(&layers.own, error.to_string(), "");
            Self::default()
        })
    }

    /// Checks what a schema cannot say. `probes` are those that could be read.
    pub(super) fn check(&self, layers: &Layers, probes: &[Probe], report: &mut Report<'_>) {
        self.check_channels(layers, report);
        self.check_routes(layers, probes, report);
        if let Some(otlp) = &self.telemetry.otlp {
            let place = layers.below("telemetry", "otlp/headers");
            check_headers(&otlp.headers, &place, report);
        }
        let mut names = BTreeSet::new();
        for (index, token) in self.api.tokens.iter().enumerate() {
            if !names.insert(&token.name.0.0) {
                let place = layers.below("api", &format!("tokens/{index}/name"));
                report.value(&place, "a second token has this name", "");
            }
        }
    }

    fn check_channels(&self, layers: &Layers, report: &mut Report<'_>) {
        for (name, channel) in &self.channels {
            let place = child(layers.place("channels"), name);
            match channel {
                Channel::Webhook(webhook) => {
                    check_headers(
                        &webhook.headers,
                        &format!("{place}/webhook/headers"),
                        report,
                    );
                }
                Channel::Email(email) if email.password.is_some() && email.username.is_none() => {
                    report.key(
                        &format!("{place}/email"),
                        "a password without a user name",
                        "add `username`",
                    );
                }
                Channel::Email(_) | Channel::Pagerduty(_) | Channel::Slack(_) => {}
            }
        }
    }

    fn check_routes(&self, layers: &Layers, probes: &[Probe], report: &mut Report<'_>) {
        let own: BTreeSet<&str> = probes
            .iter()
            .flat_map(|probe| probe.alerts.labels.keys())
            .map(String::as_str)
            .chain(ALERT_LABELS)
            .collect();
        for (index, route) in self.routes.iter().enumerate() {
            let Some(route) = route else {
                continue;
            };
            let place = layers.below("routes", &index.to_string());
            for (item, channel) in route.to.iter().enumerate() {
                if layers.has_entry("channels", channel) {
                    continue;
                }
                let message = format!("there is no channel `{}`", super::yaml::shorten(channel));
                let help = known(channel, self.channels.keys().map(String::as_str));
                let mut report = report.by(rule::UNKNOWN_CHANNEL);
                report.value(&format!("{place}/to/{item}"), message, &help);
            }
            for label in route
                .matches
                .keys()
                .filter(|label| !own.contains(label.as_str()))
            {
                let message = format!("no alert has the label `{}`", super::yaml::shorten(label));
                let help = known(label, own.iter().copied());
                report.key(&child(&format!("{place}/match"), label), message, &help);
            }
        }
    }

    /// Puts the parts together; relative paths are taken from `folder`.
    pub(super) fn into_daemon(
        self,
        probes: Vec<Probe>,
        folder: &Path,
        default_store: PathBuf,
    ) -> Daemon {
        let mut store = self.store;
        store.path = match store.path.as_os_str().is_empty() {
            true => default_store,
            false => folder.join(store.path),
        };
        Daemon {
            location: self.location.0,
            listen: self.listen,
            public_url: self.public_url.map(|Text(WebUrl(url))| url),
            probes,
            store,
            browser: self.browser,
            http: self.http.ready(folder),
            egress: self.egress.ready(),
            prometheus: self.telemetry.prometheus,
            max_series: self.telemetry.max_series,
            otlp: self.telemetry.otlp.map(|otlp| otlp.ready(folder)),
            access: self.api.access(),
            channels: anchored(self.channels, folder),
            routes: self.routes.into_iter().flatten().collect(),
            source: PathBuf::new(),
            files: Vec::new(),
        }
    }
}

/// Where the store is when the file does not say, by the environment of the process.
pub fn default_store_path(environment: impl Fn(&str) -> Option<OsString>) -> PathBuf {
    let folder = |name: &str| {
        environment(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    if let Some(list) = folder("STATE_DIRECTORY") {
        // systemd gives several as one list with colons.
        let first = list.to_string_lossy().split(':').next().map(PathBuf::from);
        return first.unwrap_or(list);
    }
    let state = folder("XDG_STATE_HOME").or_else(|| Some(folder("HOME")?.join(".local/state")));
    state.map_or_else(
        || PathBuf::from("/var/lib/authcanary"),
        |state| state.join("authcanary"),
    )
}

fn anchored(mut channels: BTreeMap<String, Channel>, folder: &Path) -> BTreeMap<String, Channel> {
    for channel in channels.values_mut() {
        match channel {
            Channel::Pagerduty(pagerduty) => anchor(&mut pagerduty.routing_key, folder),
            Channel::Email(email) => email.password.iter_mut().for_each(|it| anchor(it, folder)),
            Channel::Webhook(webhook) => {
                webhook.secret.iter_mut().for_each(|it| anchor(it, folder));
                anchor_headers(&mut webhook.headers, folder);
            }
            Channel::Slack(slack) => anchor(&mut slack.url, folder),
        }
    }
    channels
}

pub(super) fn anchor_headers(headers: &mut BTreeMap<String, TextOrSecret>, folder: &Path) {
    for value in headers.values_mut() {
        if let TextOrSecret::Secret(secret) = value {
            anchor(secret, folder);
        }
    }
}

/// A relative file of a secret is meant from the folder of the file that names it.
pub(super) fn anchor(secret: &mut SecretRef, folder: &Path) {
    if let SecretRef::File(path) = secret {
        *path = folder.join(&*path);
    }
}

/// Whether a header of this name usually carries a secret.
pub(super) fn names_a_secret(name: &str) -> bool {
    let name = name.to_lowercase();
    let words = [
        "authorization",
        "cookie",
        "api-key",
        "apikey",
        "api_key",
        "token",
        "secret",
        "password",
    ];
    words.iter().any(|word| name.contains(word))
}

fn check_headers(headers: &BTreeMap<String, TextOrSecret>, place: &str, report: &mut Report<'_>) {
    for (name, value) in headers {
        if matches!(value, TextOrSecret::Text(_)) && names_a_secret(name) {
            report.by(rule::LITERAL_SECRET).value(
                &child(place, name),
                "a secret must not stand in the file",
                "write where it is kept: {env: NAME}, {file: …}, {credential: …} or {command: […]}",
            );
        }
    }
}

fn known<'a>(word: &str, words: impl Iterator<Item = &'a str> + Clone) -> String {
    match nearest(word, words.clone()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known are {}", words.collect::<Vec<_>>().join(", ")),
    }
}
