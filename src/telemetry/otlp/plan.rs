//! What is sent where, and how: settings of the file before `OTEL_*` variables of the environment, variables of one
//! signal before those of all, and the defaults of OpenTelemetry behind them. Pure.

use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use opentelemetry_sdk::metrics::Temporality;
use percent_encoding::percent_decode_str;
use url::Url;

use super::{ClientCertificate, OtlpError, Protocol, Settings, Signal};
use crate::secret::{Secret, SecretRef, TextOrSecret};

/// Limit of one attempt, unless it is set.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Longer limits would keep a queue standing behind one attempt.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(120);

/// Spans or log records that may wait, unless it is set; the default of OpenTelemetry.
const QUEUE: usize = 2048;

/// More would be a leak by another name.
const LONGEST_QUEUE: usize = 1_000_000;

/// All that is sent.
#[derive(Debug, Clone)]
pub struct Plans {
    /// One for each signal that is sent.
    pub signals: Vec<Plan>,
    /// Share of the traces that is sent, from 0 to 1.
    pub sampled: f64,
    /// Whether a round of figures says all of them again, or what came since the last.
    pub temporality: Temporality,
    /// Variables with values that mean nothing, in words for the log.
    pub notices: Vec<String>,
}

/// How one signal is sent.
#[derive(Debug, Clone)]
pub struct Plan {
    pub signal: Signal,
    /// Address of the signal, path included.
    pub endpoint: Url,
    pub protocol: Protocol,
    pub headers: Vec<Header>,
    pub timeout: Duration,
    pub gzip: bool,
    pub ca_file: Option<PathBuf>,
    pub client: Option<ClientCertificate>,
    /// Spans or records that may wait.
    pub queue: usize,
}

/// A header of each request.
#[derive(Debug, Clone)]
pub struct Header {
    pub name: HeaderName,
    pub value: Value,
}

/// What a header holds. All of them are taken for secrets: collectors are given their keys by headers of any name.
#[derive(Debug, Clone)]
pub enum Value {
    Known(Secret),
    Kept(SecretRef),
}

/// Merges the section of the file, if there is one, with the variables that `environment` gives.
pub(super) fn plan(
    file: Option<&Settings>,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<Plans, OtlpError> {
    let mut reader = Reader {
        file: file.cloned().unwrap_or_default(),
        environment: &environment,
        notices: Vec::new(),
    };
    let sampled = reader.sampled();
    let temporality = reader.temporality();
    let mut signals = Vec::new();
    if !reader.flag("OTEL_SDK_DISABLED") {
        for signal in Signal::ALL {
            if reader.is_sent(signal) {
                signals.extend(reader.signal(signal)?);
            }
        }
    }
    Ok(Plans {
        signals,
        sampled,
        temporality,
        notices: reader.notices,
    })
}

/// Whether a trace belongs to the share that is sent: its last 56 bits are random (W3C Trace Context level 2), and
/// every party that samples by them decides alike.
pub(super) fn is_sampled(share: f64, trace: [u8; 16]) -> bool {
    let mut random = [0; 8];
    random[1..].copy_from_slice(&trace[9..]);
    let place = u64::from_be_bytes(random) as f64 / (1_u64 << 56) as f64;
    place >= 1.0 - share
}

struct Reader<'a> {
    file: Settings,
    environment: &'a dyn Fn(&str) -> Option<String>,
    notices: Vec<String>,
}

impl Reader<'_> {
    fn flag(&self, name: &str) -> bool {
        (self.environment)(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// `OTEL_EXPORTER_OTLP_TRACES_<name>`, or `OTEL_EXPORTER_OTLP_<name>`, and which of them it was.
    fn variable(&self, signal: Signal, name: &str) -> Option<(String, String)> {
        let own = own_name(signal, name);
        let general = general_name(name);
        [own, general]
            .into_iter()
            .find_map(|name| Some(((self.environment)(&name)?, name)))
    }

    fn is_sent(&self, signal: Signal) -> bool {
        if let Some(signals) = &self.file.signals {
            return signals.contains(&signal);
        }
        let name = format!("OTEL_{}_EXPORTER", upper(signal));
        (self.environment)(&name).is_none_or(|exporters| {
            exporters
                .split(',')
                .any(|exporter| exporter.trim().eq_ignore_ascii_case("otlp"))
        })
    }

    /// `None` where neither file nor environment names a collector.
    fn signal(&mut self, signal: Signal) -> Result<Option<Plan>, OtlpError> {
        let protocol = self.protocol(signal);
        let Some(endpoint) = self.endpoint(signal, protocol)? else {
            return Ok(None);
        };
        Ok(Some(Plan {
            signal,
            endpoint,
            protocol,
            headers: self.headers(signal)?,
            timeout: self.timeout(signal),
            gzip: self.gzip(signal),
            ca_file: self
                .file
                .ca_file
                .clone()
                .or_else(|| Some(self.variable(signal, "CERTIFICATE")?.0.into())),
            client: self.client(signal),
            queue: self.queue(signal),
        }))
    }

    fn protocol(&mut self, signal: Signal) -> Protocol {
        if let Some(protocol) = self.file.protocol {
            return protocol;
        }
        match self.variable(signal, "PROTOCOL") {
            None => Protocol::HttpProtobuf,
            Some((value, name)) => match value.to_ascii_lowercase().as_str() {
                "grpc" => Protocol::Grpc,
                "http/protobuf" => Protocol::HttpProtobuf,
                _ => {
                    self.ignore(&name, "known are grpc and http/protobuf");
                    Protocol::HttpProtobuf
                }
            },
        }
    }

    fn endpoint(&self, signal: Signal, protocol: Protocol) -> Result<Option<Url>, OtlpError> {
        let path = match protocol {
            Protocol::HttpProtobuf => format!("v1/{}", signal.as_str()),
            Protocol::Grpc => String::new(),
        };
        if let Some(endpoint) = &self.file.endpoint {
            return Ok(Some(below(endpoint, &path)));
        }
        let own = own_name(signal, "ENDPOINT");
        if let Some(value) = (self.environment)(&own) {
            // Taken as it is, other than the one for all.
            return self.address(signal, protocol, &own, &value).map(Some);
        }
        let general = general_name("ENDPOINT");
        let Some(value) = (self.environment)(&general) else {
            return Ok(None);
        };
        let base = self.address(signal, protocol, &general, &value)?;
        Ok(Some(below(&base, &path)))
    }

    fn address(
        &self,
        signal: Signal,
        protocol: Protocol,
        name: &str,
        value: &str,
    ) -> Result<Url, OtlpError> {
        // gRPC knows addresses without a scheme.
        let value = match (protocol, value.contains("://")) {
            (Protocol::Grpc, false) => {
                let insecure = self.variable(signal, "INSECURE");
                let insecure =
                    insecure.is_some_and(|(value, _)| value.eq_ignore_ascii_case("true"));
                format!("{}://{value}", if insecure { "http" } else { "https" })
            }
            _ => value.to_owned(),
        };
        Url::parse(&value)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .ok_or_else(|| OtlpError::Address {
                name: name.to_owned(),
            })
    }

    /// Those of the file, and those of the environment that it does not name.
    fn headers(&mut self, signal: Signal) -> Result<Vec<Header>, OtlpError> {
        let mut headers = Vec::new();
        for (name, value) in &self.file.headers {
            let wrong = || OtlpError::Header { name: name.clone() };
            let value = match value {
                TextOrSecret::Text(text) => {
                    HeaderValue::from_str(text).map_err(|_| wrong())?;
                    Value::Known(Secret::new(text))
                }
                TextOrSecret::Secret(reference) => Value::Kept(reference.clone()),
            };
            let name = HeaderName::try_from(name).map_err(|_| wrong())?;
            headers.push(Header { name, value });
        }
        if let Some((list, variable)) = self.variable(signal, "HEADERS") {
            for entry in list.split(',').filter(|entry| !entry.trim().is_empty()) {
                match header(entry) {
                    None => self.ignore(&variable, "it is a list of name=value"),
                    Some(header) if headers.iter().any(|known| known.name == header.name) => {}
                    Some(header) => headers.push(header),
                }
            }
        }
        Ok(headers)
    }

    fn timeout(&mut self, signal: Signal) -> Duration {
        let given = self.file.timeout.or_else(|| {
            let (value, name) = self.variable(signal, "TIMEOUT")?;
            let timeout = value.parse().ok().map(Duration::from_millis);
            if timeout.is_none() {
                self.ignore(&name, "it is a number of milliseconds");
            }
            timeout
        });
        let timeout = given.filter(|timeout| !timeout.is_zero());
        timeout.unwrap_or(TIMEOUT).min(LONGEST_TIMEOUT)
    }

    fn gzip(&mut self, signal: Signal) -> bool {
        if let Some(gzip) = self.file.gzip {
            return gzip;
        }
        match self.variable(signal, "COMPRESSION") {
            None => false,
            Some((value, name)) => match value.to_ascii_lowercase().as_str() {
                "gzip" => true,
                "none" => false,
                _ => {
                    self.ignore(&name, "known are gzip and none");
                    false
                }
            },
        }
    }

    fn client(&mut self, signal: Signal) -> Option<ClientCertificate> {
        if let Some(client) = &self.file.client {
            return Some(client.clone());
        }
        let certificate = self.variable(signal, "CLIENT_CERTIFICATE");
        let key = self.variable(signal, "CLIENT_KEY");
        match (certificate, key) {
            (Some((certificate, _)), Some((key, _))) => Some(ClientCertificate {
                cert_file: certificate.into(),
                key: SecretRef::File(key.into()),
            }),
            (None, None) => None,
            (Some((_, name)), None) | (None, Some((_, name))) => {
                self.ignore(&name, "certificate and key need each other");
                None
            }
        }
    }

    fn queue(&mut self, signal: Signal) -> usize {
        let name = match signal {
            Signal::Traces => "OTEL_BSP_MAX_QUEUE_SIZE",
            Signal::Logs => "OTEL_BLRP_MAX_QUEUE_SIZE",
            Signal::Metrics => return 0,
        };
        let Some(value) = (self.environment)(name) else {
            return QUEUE;
        };
        match value.parse() {
            Ok(size @ 1..=LONGEST_QUEUE) => size,
            _ => {
                self.ignore(name, "it is a number from 1 to a million");
                QUEUE
            }
        }
    }

    fn sampled(&mut self) -> f64 {
        let Some(sampler) = (self.environment)("OTEL_TRACES_SAMPLER") else {
            return 1.0;
        };
        let sampler = sampler.to_ascii_lowercase();
        // A run has no parent: what decides by a parent decides like its root.
        match sampler.strip_prefix("parentbased_").unwrap_or(&sampler) {
            "always_on" => 1.0,
            "always_off" => 0.0,
            "traceidratio" => {
                let name = "OTEL_TRACES_SAMPLER_ARG";
                let Some(share) = (self.environment)(name) else {
                    return 1.0;
                };
                let share = share.parse().ok();
                share
                    .filter(|share| (0.0..=1.0).contains(share))
                    .unwrap_or_else(|| {
                        self.ignore(name, "it is a share from 0 to 1");
                        1.0
                    })
            }
            _ => {
                self.ignore(
                    "OTEL_TRACES_SAMPLER",
                    "known are always_on, always_off and traceidratio",
                );
                1.0
            }
        }
    }

    fn temporality(&mut self) -> Temporality {
        let name = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";
        let Some(value) = (self.environment)(name) else {
            return Temporality::Cumulative;
        };
        match value.to_ascii_lowercase().as_str() {
            "cumulative" => Temporality::Cumulative,
            "delta" => Temporality::Delta,
            "lowmemory" => Temporality::LowMemory,
            _ => {
                self.ignore(name, "known are cumulative, delta and lowmemory");
                Temporality::Cumulative
            }
        }
    }

    /// A value that means nothing is passed over, as OpenTelemetry wants it. The value itself may be a secret.
    fn ignore(&mut self, name: &str, why: &str) {
        let notice = format!("{name} is passed over: {why}");
        if !self.notices.contains(&notice) {
            self.notices.push(notice);
        }
    }
}

fn upper(signal: Signal) -> String {
    signal.as_str().to_ascii_uppercase()
}

fn own_name(signal: Signal, name: &str) -> String {
    format!("OTEL_EXPORTER_OTLP_{}_{name}", upper(signal))
}

fn general_name(name: &str) -> String {
    format!("OTEL_EXPORTER_OTLP_{name}")
}

fn below(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    if !path.is_empty() {
        let folder = base.path().trim_end_matches('/');
        url.set_path(&format!("{folder}/{path}"));
    }
    url
}

/// `name=value`, the value percent-encoded (W3C Baggage).
fn header(entry: &str) -> Option<Header> {
    let (name, value) = entry.split_once('=')?;
    let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
    HeaderValue::from_str(&value).ok()?;
    Some(Header {
        name: HeaderName::try_from(name.trim()).ok()?,
        value: Value::Known(Secret::new(value)),
    })
}

#[cfg(test)]
mod tests;
