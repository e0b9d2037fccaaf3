//! A receiver of OTLP over both protocols, which keeps what it got as the official protobuf definitions decode it.

use std::io::Read;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use flate2::read::GzDecoder;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{
    LogsService, LogsServiceServer,
};
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::{Metric, metric, number_data_point};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tonic::codec::CompressionEncoding;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

/// How OTLP is spoken, as the daemon file has it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Protocol {
    Http,
    Grpc,
}

impl Protocol {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Http => "http/protobuf",
            Self::Grpc => "grpc",
        }
    }
}

/// All that came.
#[derive(Default, Clone)]
pub(crate) struct Kept {
    pub(crate) traces: Vec<ExportTraceServiceRequest>,
    pub(crate) metrics: Vec<ExportMetricsServiceRequest>,
    pub(crate) logs: Vec<ExportLogsServiceRequest>,
    pub(crate) headers: Vec<HeaderMap>,
}

type Shelf = Arc<Mutex<Kept>>;

/// Stops with its listener when it is dropped.
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    shelf: Shelf,
    task: JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Receiver {
    pub(crate) async fn start(protocol: Protocol) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shelf = Shelf::default();
        let task = match protocol {
            Protocol::Http => tokio::spawn(over_http(listener, shelf.clone())),
            Protocol::Grpc => tokio::spawn(over_grpc(listener, shelf.clone())),
        };
        Self {
            address,
            shelf,
            task,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn kept(&self) -> Kept {
        self.shelf.lock().unwrap().clone()
    }
}

impl Kept {
    /// All spans of a trace, named by its run.
    pub(crate) fn spans(&self, run: &str) -> Vec<Span> {
        let trace = run.replace('-', "");
        let scopes = self
            .traces
            .iter()
            .flat_map(|request| &request.resource_spans)
            .flat_map(|resource| &resource.scope_spans);
        scopes
            .flat_map(|scope| &scope.spans)
            .filter(|span| hex(&span.trace_id) == trace)
            .cloned()
            .collect()
    }

    pub(crate) fn log(&self) -> Vec<LogRecord> {
        let scopes = self
            .logs
            .iter()
            .flat_map(|request| &request.resource_logs)
            .flat_map(|resource| &resource.scope_logs);
        scopes
            .flat_map(|scope| &scope.log_records)
            .cloned()
            .collect()
    }

    /// The last value of a sum or gauge with these labels.
    pub(crate) fn figure(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let metrics = self.all_metrics();
        let mut points = metrics
            .iter()
            .filter(|metric| metric.name == name)
            .flat_map(|metric| match metric.data.as_ref() {
                Some(metric::Data::Sum(sum)) => sum.data_points.clone(),
                Some(metric::Data::Gauge(gauge)) => gauge.data_points.clone(),
                _ => Vec::new(),
            });
        let fits = |attributes: &[KeyValue]| {
            labels
                .iter()
                .all(|(key, value)| attribute(attributes, key).as_deref() == Some(value))
        };
        points
            .rfind(|point| fits(&point.attributes))
            .and_then(|point| match point.value? {
                number_data_point::Value::AsInt(value) => Some(value as f64),
                number_data_point::Value::AsDouble(value) => Some(value),
            })
    }

    pub(crate) fn all_metrics(&self) -> Vec<Metric> {
        let scopes = self
            .metrics
            .iter()
            .flat_map(|request| &request.resource_metrics)
            .flat_map(|resource| &resource.scope_metrics);
        scopes.flat_map(|scope| &scope.metrics).cloned().collect()
    }

    /// Attributes of all that sent something.
    pub(crate) fn resources(&self) -> Vec<Vec<KeyValue>> {
        let traces = self
            .traces
            .iter()
            .flat_map(|request| &request.resource_spans);
        let metrics = self
            .metrics
            .iter()
            .flat_map(|request| &request.resource_metrics);
        let logs = self.logs.iter().flat_map(|request| &request.resource_logs);
        let resources = traces
            .map(|it| &it.resource)
            .chain(metrics.map(|it| &it.resource))
            .chain(logs.map(|it| &it.resource));
        resources
            .map(|resource| resource.clone().unwrap().attributes)
            .collect()
    }

    /// Everything in one text, to search it.
    pub(crate) fn text(&self) -> String {
        format!("{:?} {:?} {:?}", self.traces, self.metrics, self.logs)
    }
}

/// An attribute as text.
pub(crate) fn attribute(attributes: &[KeyValue], key: &str) -> Option<String> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    text(found.value.as_ref())
}

pub(crate) fn text(value: Option<&AnyValue>) -> Option<String> {
    Some(match value?.value.as_ref()? {
        any_value::Value::StringValue(text) => text.clone(),
        any_value::Value::IntValue(number) => number.to_string(),
        any_value::Value::DoubleValue(number) => number.to_string(),
        any_value::Value::BoolValue(flag) => flag.to_string(),
        other => format!("{other:?}"),
    })
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn over_http(listener: TcpListener, shelf: Shelf) {
    let router = Router::new()
        .route("/v1/traces", post(http_traces))
        .route("/v1/metrics", post(http_metrics))
        .route("/v1/logs", post(http_logs))
        .with_state(shelf);
    axum::serve(listener, router).await.unwrap();
}

type Answer = (StatusCode, [(&'static str, &'static str); 1], Vec<u8>);

fn take<T: Message + Default>(headers: &HeaderMap, body: &Bytes) -> T {
    assert_eq!(headers["content-type"], "application/x-protobuf");
    let mut whole = Vec::new();
    if headers
        .get("content-encoding")
        .is_some_and(|it| it == "gzip")
    {
        GzDecoder::new(body.as_ref())
            .read_to_end(&mut whole)
            .unwrap();
    } else {
        whole.extend_from_slice(body);
    }
    T::decode(whole.as_slice()).unwrap()
}

fn answer(message: &impl Message) -> Answer {
    let kind = [("content-type", "application/x-protobuf")];
    (StatusCode::OK, kind, message.encode_to_vec())
}

async fn http_traces(State(shelf): State<Shelf>, headers: HeaderMap, body: Bytes) -> Answer {
    let request = take(&headers, &body);
    let mut kept = shelf.lock().unwrap();
    kept.traces.push(request);
    kept.headers.push(headers);
    answer(&ExportTraceServiceResponse::default())
}

async fn http_metrics(State(shelf): State<Shelf>, headers: HeaderMap, body: Bytes) -> Answer {
    let request = take(&headers, &body);
    let mut kept = shelf.lock().unwrap();
    kept.metrics.push(request);
    kept.headers.push(headers);
    answer(&ExportMetricsServiceResponse::default())
}

async fn http_logs(State(shelf): State<Shelf>, headers: HeaderMap, body: Bytes) -> Answer {
    let request = take(&headers, &body);
    let mut kept = shelf.lock().unwrap();
    kept.logs.push(request);
    kept.headers.push(headers);
    answer(&ExportLogsServiceResponse::default())
}

const GZIP: CompressionEncoding = CompressionEncoding::Gzip;

async fn over_grpc(listener: TcpListener, shelf: Shelf) {
    tonic::transport::Server::builder()
        .add_service(TraceServiceServer::new(Grpc(shelf.clone())).accept_compressed(GZIP))
        .add_service(MetricsServiceServer::new(Grpc(shelf.clone())).accept_compressed(GZIP))
        .add_service(LogsServiceServer::new(Grpc(shelf)).accept_compressed(GZIP))
        .serve_with_incoming(TcpIncoming::from(listener))
        .await
        .unwrap();
}

struct Grpc(Shelf);

#[tonic::async_trait]
impl TraceService for Grpc {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let mut kept = self.0.lock().unwrap();
        kept.headers.push(request.metadata().as_ref().clone());
        kept.traces.push(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Grpc {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        let mut kept = self.0.lock().unwrap();
        kept.headers.push(request.metadata().as_ref().clone());
        kept.metrics.push(request.into_inner());
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl LogsService for Grpc {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        let mut kept = self.0.lock().unwrap();
        kept.headers.push(request.metadata().as_ref().clone());
        kept.logs.push(request.into_inner());
        Ok(Response::new(ExportLogsServiceResponse::default()))
    }
}
