//! How Prometheus reads the figures: its text format, and OpenMetrics 1.0 for those who ask for it, which has units and
//! exemplars. The same series in both, down to the bounds of the buckets.

use std::fmt::Write as _;

use prometheus::proto::{Metric, MetricFamily, MetricType};

use super::instruments::Figure;
use super::series::Exemplar;

/// A format of `/metrics`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Text, version 0.0.4.
    Text,
    /// OpenMetrics, version 1.0.0.
    OpenMetrics,
}

impl Format {
    /// What a client likes best, by the `Accept` header of its request (RFC 9110 section 12.5.1).
    pub fn wanted(accept: &str) -> Self {
        let mut best = (0.0, Self::Text);
        for range in accept.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let format = match parts.next() {
                Some("application/openmetrics-text") => Self::OpenMetrics,
                Some("text/plain" | "text/*" | "*/*") => Self::Text,
                _ => continue,
            };
            let quality = parts.find_map(|part| part.strip_prefix("q="));
            let quality: f32 = quality.map_or(1.0, |text| text.parse().unwrap_or(0.0));
            if quality > best.0 {
                best = (quality, format);
            }
        }
        best.1
    }

    /// The `Content-Type` of an answer.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Prints families one after the other.
pub(super) struct Printer {
    format: Format,
    text: String,
}

impl Printer {
    pub(super) fn new(format: Format) -> Self {
        Self {
            format,
            text: String::with_capacity(64 << 10),
        }
    }

    /// Begins a family. Its series follow.
    pub(super) fn family(&mut self, family: &MetricFamily, figure: &Figure) {
        let kind: &str = figure.kind.into();
        let name = match self.format {
            Format::Text => family.name(),
            // The name of a counter's family has no suffix there; its series have.
            Format::OpenMetrics => family.name().trim_end_matches("_total"),
        };
        let _ = writeln!(
            self.text,
            "# HELP {name} {}\n# TYPE {name} {kind}",
            figure.help
        );
        let unit = match figure.unit {
            "s" => "seconds",
            "By" => "bytes",
            _ => return,
        };
        if self.format == Format::OpenMetrics && name.ends_with(unit) {
            let _ = writeln!(self.text, "# UNIT {name} {unit}");
        }
    }

    /// One series, with the runs that stand for its buckets.
    pub(super) fn series(
        &mut self,
        family: &MetricFamily,
        metric: &Metric,
        exemplars: &[(u8, Exemplar)],
    ) {
        let name = family.name();
        let labels = labels(metric);
        match family.get_field_type() {
            MetricType::HISTOGRAM => self.histogram(name, metric, &labels, exemplars),
            MetricType::COUNTER => self.sample(name, "", &labels, metric.get_counter().get_value()),
            MetricType::GAUGE | MetricType::SUMMARY | MetricType::UNTYPED => {
                self.sample(name, "", &labels, metric.get_gauge().get_value());
            }
        }
    }

    /// All that was printed.
    pub(super) fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.text.push_str("# EOF\n");
        }
        self.text
    }

    fn histogram(
        &mut self,
        name: &str,
        metric: &Metric,
        labels: &str,
        exemplars: &[(u8, Exemplar)],
    ) {
        let histogram = metric.get_histogram();
        let comma = if labels.is_empty() { "" } else { "," };
        let bounded = histogram.get_bucket().iter();
        let counts = bounded
            .map(|bucket| (Some(bucket.upper_bound()), bucket.cumulative_count()))
            .chain([(None, histogram.get_sample_count())]);
        for (place, (bound, count)) in counts.enumerate() {
            let _ = write!(self.text, "{name}_bucket{{{labels}{comma}le=\"");
            match bound {
                Some(bound) => write!(self.text, "{bound:?}"),
                None => write!(self.text, "+Inf"),
            }
            .expect("a text takes what is written");
            let _ = write!(self.text, "\"}} {count}");
            let exemplar = exemplars
                .iter()
                .find(|(bucket, _)| usize::from(*bucket) == place);
            if let Some((_, exemplar)) = exemplar.filter(|_| self.format == Format::OpenMetrics) {
                self.exemplar(exemplar);
            }
            self.text.push('\n');
        }
        self.sample(name, "_sum", labels, histogram.get_sample_sum());
        self.sample(name, "_count", labels, histogram.get_sample_count());
    }

    fn exemplar(&mut self, exemplar: &Exemplar) {
        let Exemplar { run, value, at } = exemplar;
        let trace = run.trace_id();
        let (seconds, millis) = (at.as_second(), at.subsec_millisecond());
        let _ = write!(
            self.text,
            " # {{trace_id=\"{trace}\",run_id=\"{run}\"}} {value} {seconds}.{millis:03}"
        );
    }

    fn sample(&mut self, name: &str, suffix: &str, labels: &str, value: impl std::fmt::Display) {
        self.text.push_str(name);
        self.text.push_str(suffix);
        if !labels.is_empty() {
            let _ = write!(self.text, "{{{labels}}}");
        }
        let _ = writeln!(self.text, " {value}");
    }
}

/// As they stand between the braces.
fn labels(metric: &Metric) -> String {
    let mut text = String::with_capacity(160);
    for label in metric.get_label() {
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(label.name());
        text.push_str("=\"");
        for character in label.value().chars() {
            match character {
                '\\' => text.push_str("\\\\"),
                '"' => text.push_str("\\\""),
                '\n' => text.push_str("\\n"),
                other => text.push(other),
            }
        }
        text.push('"');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_accept_header_decides() {
        let prometheus = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let cases = [
            (prometheus, Format::OpenMetrics),
            ("", Format::Text),
            ("*/*", Format::Text),
            ("text/html", Format::Text),
            ("text/plain;version=0.0.4", Format::Text),
            (
                "application/openmetrics-text; version=1.0.0; q=0.3, text/plain;q=0.7",
                Format::Text,
            ),
            (
                "application/openmetrics-text; version=1.0.0",
                Format::OpenMetrics,
            ),
            ("application/openmetrics-text;q=nonsense", Format::Text),
            ("application/openmetrics-text;q=0", Format::Text),
        ];
        for (accept, format) in cases {
            assert_eq!(Format::wanted(accept), format, "{accept}");
        }
    }
}
