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
use crate::notify::route::{ALERT_LABELS, Route};
use crate::notify::{Channel, Origin};
use crate::probe::Probe;
use crate::secret::{SecretRef, TextOrSecret, names_a_secret};
use crate::telemetry::otlp;

use super::fault::rule;
use super::layers::Layers;
use super::probe::AuditSettings;
use super::report::Report;
use super::scalar::{Name, Text, text};
use super::sections::{ApiSettings, EgressSettings, HttpSettings, Store, Telemetry};
use super::words::nearest;
use super::yaml::child;

/// Everything that the daemon runs by.
#[derive(Debug, Clone)]
pub struct Daemon {
    /// Where this daemon runs; a label of everything it reports.
    pub location: String,
    /// Address of the API, the pages and `/metrics`; port 0 takes a free one.
    pub listen: SocketAddr,
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
    /// Where people reach the pages of this daemon.
    pub public_url: Option<Url>,
    /// Where a trace is shown: `{trace_id}` stands for its id.
    pub trace_url: Option<String>,
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
    /// Where people reach the pages of this daemon, such as `https://canary.example.com`; notices and traces link to it. Without
    /// it notices name commands instead.
    #[schemars(with = "String", extend("format" = "web-address"))]
    public_url: Option<Url>,
    /// Where a trace is shown, such as `https://grafana.example.com/explore?trace={trace_id}`; the id of the newest run
    /// that decided stands in place of `{trace_id}`.
    #[schemars(with = "String", extend("format" = "web-address"))]
    trace_url: Option<String>,
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
    /// Who is told of what: the first route that matches an alert decides, unless it says `continue`. An alert that no route
    /// matches goes to every channel.
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
            trace_url: None,
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
        if self
            .trace_url
            .as_ref()
            .is_some_and(|url| !url.contains("{trace_id}"))
        {
            report.value(
                layers.place("trace_url"),
                "there is no place for the trace in this address",
                "write `{trace_id}` where its id belongs",
            );
        }
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
            let place = child(&child(layers.place("channels"), name), channel.name());
            for fault in channel.faults() {
                let place = format!("{place}{}", fault.pointer);
                let mut report = report.by(match fault.is_secret {
                    true => rule::LITERAL_SECRET,
                    false => rule::INVALID,
                });
                match fault.pointer.is_empty() {
                    true => report.key(&place, fault.message, fault.help),
                    false => report.value(&place, fault.message, fault.help),
                }
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
            public_url: self.public_url,
            trace_url: self.trace_url,
            source: PathBuf::new(),
            files: Vec::new(),
        }
    }
}

impl Daemon {
    /// Where notices come from, and where their links lead.
    pub fn origin(&self) -> Origin {
        Origin {
            location: self.location.clone(),
            public_url: self.public_url.clone(),
            trace_url: self.trace_url.clone(),
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
        for (_, secret) in channel.secrets() {
            anchor(secret, folder);
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
