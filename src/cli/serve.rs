//! `serve`: the daemon.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use jiff::SignedDuration;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::spawn_blocking;

use super::{Exit, reload};
use crate::config::Daemon;
use crate::daemon::{self, Change, Runner};
use crate::evidence::Sample;
use crate::http::{Http, HttpError};
use crate::journey::Tools;
use crate::notify::Edge;
use crate::notify::sender;
use crate::pipeline::{self, Control};
use crate::run::Run;
use crate::telemetry::Telemetry;
use crate::telemetry::otlp::{self, Exporters};

/// How long runs under way may take to end once the daemon is asked to stop.
const GRACE: Duration = Duration::from_secs(20);

/// Alerts that come up right after the start wait so long: by then it is clear how far they reach.
const SETTLE: SignedDuration = SignedDuration::from_secs(60);

/// How long the last telemetry may take to reach its collector.
pub(crate) const FLUSH: Duration = Duration::from_secs(10);

/// Serves until SIGTERM or SIGINT, then finishes or closes what runs.
pub(crate) async fn run(config: Daemon) -> anyhow::Result<Exit> {
    let listener = TcpListener::bind(config.listen)
        .await
        .with_context(|| format!("cannot listen on {}", config.listen))?;
    let changes = reload::changes(&config)?;
    serve(config, listener, |_| (), changes, SETTLE, stop_signal()?).await?;
    Ok(Exit::Ok)
}

/// The daemon on a given listener; `seen` is told of each run that ended. Alerts that come up within `settle` are held back
/// so long.
pub(crate) async fn serve(
    config: Daemon,
    listener: TcpListener,
    seen: impl Fn(&Run) + Send + Sync + 'static,
    changes: BoxStream<'static, Change>,
    settle: SignedDuration,
    stop: impl Future<Output = ()> + Send,
) -> anyhow::Result<()> {
    let tools = Tools::new(&config.http, config.browser.clone(), Arc::new(|_, _| ()))?;
    let exporters = exporters(&config).await?;
    let pages = match &config.public_url {
        Some(url) => url.to_string(),
        None => format!("http://{}", listener.local_addr()?),
    };
    let (location, pages) = (&config.location, Some(pages));
    let telemetry = Telemetry::exporting(location, exporters, pages, config.max_series)?;
    let telemetry = Arc::new(match config.prometheus {
        true => telemetry,
        false => telemetry.without_prometheus(),
    });
    let control = Control::new(&tools, config.egress.clone(), &config.probes);
    let watching = control.clone();
    let changes = changes.inspect(move |change| match change {
        Change::Taken(plan) => watching.watch(&plan.probes),
        Change::Refused(_) => (),
    });
    let settings = daemon::Settings {
        notify: Some(notify(&config)?),
        settle,
        access: config.access.clone(),
        limits: config.store.limits(),
        grace: GRACE,
        telemetry: Some(Arc::clone(&telemetry)),
        changes: changes.boxed(),
        location: config.location.clone(),
        probes: config.probes,
        store: config.store.path.clone(),
    };
    let sample = Sample::of(config.store.evidence_every);
    let runner = runner(tools.clone(), control, config.location, sample, seen);
    let served = tokio::select! {
        served = daemon::serve(settings, listener, runner, stop) => served,
        () = count_browsers(&tools, &telemetry) => Ok(()),
    };
    tools.shutdown().await;
    // The last of it; a collector that takes nothing holds nothing up.
    let _ = spawn_blocking(move || telemetry.shutdown(FLUSH)).await;
    served
}

/// Whom a configuration tells of alerts.
pub(crate) fn notify(config: &Daemon) -> Result<sender::Settings, HttpError> {
    Ok(sender::Settings {
        channels: config.channels.clone(),
        routes: config.routes.clone(),
        origin: config.origin(),
        edge: Edge::new(&Http::new(&config.http)?, config.http.ca_file.clone())?,
    })
}

/// The ways to the collector of the file or of the environment.
pub(crate) async fn exporters(config: &Daemon) -> anyhow::Result<Exporters> {
    let plans = otlp::plan(config.otlp.as_ref())?;
    for notice in &plans.notices {
        tracing::warn!(notice, "a variable of OpenTelemetry means nothing");
    }
    Ok(Exporters::new(&plans).await?)
}

/// Keeps the figure of browsers in use; never ends by itself.
async fn count_browsers(tools: &Tools, telemetry: &Telemetry) {
    let mut pulse = tokio::time::interval(Duration::from_millis(500));
    loop {
        pulse.tick().await;
        telemetry.set_browser_sessions(tools.browser_sessions().0);
    }
}

fn runner(
    tools: Tools,
    control: Control,
    location: String,
    sample: Sample,
    seen: impl Fn(&Run) + Send + Sync + 'static,
) -> Runner {
    let shared = Arc::new((tools, control, location, sample, seen));
    Arc::new(move |probe, id, scheduled_at| {
        let shared = Arc::clone(&shared);
        async move {
            let (tools, control, location, sample, seen) = shared.as_ref();
            let run = pipeline::execute(&probe, id, location, scheduled_at, tools).await;
            let mut run = control.review(&probe, run).await;
            sample.thin(&mut run);
            seen(&run);
            run
        }
        .boxed()
    })
}

/// Resolves when the process is asked to stop.
pub(crate) fn stop_signal() -> anyhow::Result<impl Future<Output = ()> + Send + 'static> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => (),
            _ = interrupt.recv() => (),
        }
    })
}
