//! The way of the figures to a collector. An exporter of our own, because the SDK's would send each series that ever was,
//! those of probes that were taken out included: this one sends what `/metrics` shows, with the runs that stand for the
//! buckets of a histogram.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, Request, StatusCode};
use opentelemetry_http::HttpClient;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar as Named, HistogramDataPoint, Metric, exemplar,
};
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::metrics::Temporality;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use prost::Message as _;
use tonic::Code;
use tonic::transport::Channel;

use super::super::series::{Exemplar, Exemplars, Series};
use super::super::traces;
use super::guard::State;
use super::wire::{Client, Headers, root};
use crate::run::Part;

/// Time before a round is sent again that found nobody.
const PAUSES: [Duration; 3] = [
    Duration::from_millis(100),
    Duration::from_millis(400),
    Duration::from_millis(1600),
];

/// How a request gets to the collector.
pub(super) struct Way {
    protocol: Protocol,
    state: State,
}

enum Protocol {
    Http {
        client: Client,
        url: String,
        gzip: bool,
    },
    Grpc {
        client: MetricsServiceClient<Channel>,
        headers: Headers,
    },
}

/// Why a request was not taken.
struct Refused {
    reason: String,
    /// Whether it may well be taken in a moment.
    again: bool,
}

impl Way {
    pub(super) fn http(client: Client, url: String, gzip: bool, state: State) -> Self {
        let protocol = Protocol::Http { client, url, gzip };
        Self { protocol, state }
    }

    pub(super) fn grpc(
        client: MetricsServiceClient<Channel>,
        headers: Headers,
        state: State,
    ) -> Self {
        let protocol = Protocol::Grpc { client, headers };
        Self { protocol, state }
    }

    async fn send(&self, request: ExportMetricsServiceRequest) -> OTelSdkResult {
        let mut pauses = PAUSES.into_iter();
        loop {
            let sent = match &self.protocol {
                Protocol::Http { client, url, gzip } => post(client, url, *gzip, &request).await,
                Protocol::Grpc { client, headers } => call(client, headers, &request).await,
            };
            let Err(Refused { reason, again }) = sent.and_then(|taken| whole(&taken)) else {
                return Ok(());
            };
            match pauses.next().filter(|_| again) {
                Some(pause) => self.state.pause(pause).await,
                None => return Err(OTelSdkError::InternalFailure(reason)),
            }
        }
    }
}

async fn post(
    client: &Client,
    url: &str,
    gzip: bool,
    request: &ExportMetricsServiceRequest,
) -> Result<ExportMetricsServiceResponse, Refused> {
    let never = |reason: String| Refused {
        reason,
        again: false,
    };
    let mut body = request.encode_to_vec();
    let mut post = Request::post(url)
        .header(CONTENT_TYPE, "application/x-protobuf")
        .header(
            USER_AGENT,
            concat!("authcanary/", env!("CARGO_PKG_VERSION")),
        );
    if gzip {
        body = gzipped(&body).map_err(|error| never(error.to_string()))?;
        post = post.header(CONTENT_ENCODING, "gzip");
    }
    let post = post
        .body(Bytes::from(body))
        .map_err(|error| never(error.to_string()))?;
    let answer = client.send_bytes(post).await.map_err(|error| Refused {
        reason: root(error.as_ref()),
        again: true,
    })?;
    if !answer.status().is_success() {
        return Err(Refused {
            reason: format!("it answered {}", answer.status()),
            again: is_passing(answer.status(), answer.headers()),
        });
    }
    // What cannot be read was taken all the same.
    Ok(ExportMetricsServiceResponse::decode(answer.into_body()).unwrap_or_default())
}

/// Whether a refusal may be over in a moment (OTLP, "Retryable Response Codes"). Who names a time or complains of too
/// much is left alone until the next round.
fn is_passing(status: StatusCode, headers: &HeaderMap) -> bool {
    matches!(status.as_u16(), 502..=504) && !headers.contains_key(RETRY_AFTER)
}

fn gzipped(body: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body)?;
    encoder.finish()
}

async fn call(
    client: &MetricsServiceClient<Channel>,
    headers: &Headers,
    request: &ExportMetricsServiceRequest,
) -> Result<ExportMetricsServiceResponse, Refused> {
    let mut request = tonic::Request::new(request.clone());
    headers.put(request.metadata_mut().as_mut());
    let answer = client.clone().export(request).await;
    let answer = answer.map_err(|status| Refused {
        reason: root(&status),
        again: status.code() == Code::Unavailable,
    })?;
    Ok(answer.into_inner())
}

/// What a collector leaves out is lost, and no other try would help.
fn whole(taken: &ExportMetricsServiceResponse) -> Result<(), Refused> {
    match &taken.partial_success {
        Some(part) if part.rejected_data_points > 0 => Err(Refused {
            reason: format!(
                "it left {} points out: {}",
                part.rejected_data_points, part.error_message
            ),
            again: false,
        }),
        _ => Ok(()),
    }
}

/// Sends the figures that are shown.
pub(crate) struct FigureExporter {
    way: Way,
    temporality: Temporality,
    series: Arc<Series>,
}

impl FigureExporter {
    pub(super) fn new(way: Way, temporality: Temporality, series: Arc<Series>) -> Self {
        Self {
            way,
            temporality,
            series,
        }
    }
}

impl PushMetricExporter for FigureExporter {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        let mut request = ExportMetricsServiceRequest::from(metrics);
        let scopes = request.resource_metrics.iter_mut();
        for scope in scopes.flat_map(|resource| &mut resource.scope_metrics) {
            scope
                .metrics
                .retain_mut(|metric| keep(metric, &self.series));
        }
        self.way.send(request).await
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        Ok(())
    }

    fn temporality(&self) -> Temporality {
        self.temporality
    }
}

/// Takes out what is not shown, and says whether anything is left.
fn keep(metric: &mut Metric, series: &Series) -> bool {
    let name = metric.name.as_str();
    match &mut metric.data {
        Some(Data::Gauge(gauge)) => {
            let points = &mut gauge.data_points;
            points.retain(|point| shown(series, name, &point.attributes).is_some());
            !points.is_empty()
        }
        Some(Data::Sum(sum)) => {
            let points = &mut sum.data_points;
            points.retain(|point| shown(series, name, &point.attributes).is_some());
            !points.is_empty()
        }
        Some(Data::Histogram(histogram)) => {
            let points = &mut histogram.data_points;
            points.retain_mut(|point| {
                let exemplars = shown(series, name, &point.attributes);
                exemplars
                    .map(|exemplars| stand_for(point, &exemplars))
                    .is_some()
            });
            !points.is_empty()
        }
        // There are none of these.
        Some(Data::ExponentialHistogram(_) | Data::Summary(_)) | None => true,
    }
}

fn shown(series: &Series, name: &str, attributes: &[KeyValue]) -> Option<Exemplars> {
    let labels: Vec<(&str, &str)> = attributes
        .iter()
        .filter_map(|attribute| Some((attribute.key.as_str(), text(attribute.value.as_ref()?)?)))
        .collect();
    series.shown(name, &labels)
}

fn text(value: &AnyValue) -> Option<&str> {
    match value.value.as_ref()? {
        any_value::Value::StringValue(text) => Some(text),
        _ => None,
    }
}

/// Names the runs that came since the time that a point tells of.
fn stand_for(point: &mut HistogramDataPoint, exemplars: &[(u8, Exemplar)]) {
    let named = exemplars.iter().map(|(_, exemplar)| named(exemplar));
    let start = point.start_time_unix_nano;
    point.exemplars = named
        .filter(|named| named.time_unix_nano >= start)
        .collect();
}

fn named(exemplar: &Exemplar) -> Named {
    let Exemplar { run, value, at } = exemplar;
    let run_id = any_value::Value::StringValue(run.to_string());
    Named {
        filtered_attributes: vec![KeyValue {
            key: "authcanary.run.id".to_owned(),
            value: Some(AnyValue {
                value: Some(run_id),
            }),
            ..KeyValue::default()
        }],
        time_unix_nano: u64::try_from(at.as_nanosecond()).unwrap_or_default(),
        span_id: traces::span_id(*run, Part::Run).to_bytes().to_vec(),
        trace_id: traces::trace_id(*run).to_bytes().to_vec(),
        value: Some(exemplar::Value::AsDouble(*value)),
    }
}
