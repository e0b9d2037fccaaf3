//! A run as one page of Markdown, to be pasted into a ticket as it is: what, when, by which names the other side finds it,
//! the request that failed, how to ask again, and with which versions.

use std::fmt::{Display, Write as _};

use super::{Sent, curl, exact, exchanges, failing, hops};
use crate::run::{CorrelationId, Evidence, Exchange, Part, Peer, Run, Verdict};

/// The page.
pub fn page(run: &Run) -> String {
    let mut page = Page(String::new());
    page.head(run);
    if let Some(verdict) = &run.verdict {
        page.verdict(verdict);
    }
    page.ids(run);
    page.failing(run);
    page.again(run);
    page.steps(run);
    page.requests(run);
    if let Some(evidence) = &run.evidence {
        page.seen(evidence);
    }
    page.versions(run);
    page.0
}

struct Page(String);

impl Page {
    fn line(&mut self, line: impl Display) {
        let _ = writeln!(self.0, "{line}");
    }

    fn title(&mut self, title: &str) {
        self.line(format_args!("\n## {title}\n"));
    }

    fn table(&mut self, columns: &[&str]) {
        self.line(format_args!("| {} |", columns.join(" | ")));
        self.line(format_args!("|{}", " --- |".repeat(columns.len())));
    }

    fn row(&mut self, cells: &[&str]) {
        let cells: Vec<String> = cells.iter().map(|cell| in_cell(cell)).collect();
        self.line(format_args!("| {} |", cells.join(" | ")));
    }

    /// Text as it is, between fences that it cannot close.
    fn block(&mut self, kind: &str, text: &str) {
        let longest = text
            .split(|c| c != '`')
            .map(str::len)
            .max()
            .unwrap_or_default();
        let fence = "`".repeat(longest.max(2) + 1);
        self.line(format_args!("{fence}{kind}\n{}\n{fence}", text.trim_end()));
    }

    fn head(&mut self, run: &Run) {
        match &run.verdict {
            Some(verdict) => self.line(format_args!(
                "# {}: {} at {}, {}\n",
                run.probe, run.outcome, verdict.stage, verdict.class
            )),
            None => self.line(format_args!("# {}: {}\n", run.probe, run.outcome)),
        }
        self.table(&["what", ""]);
        self.row(&["probe", run.probe.as_str()]);
        self.row(&["provider", &run.provider]);
        self.row(&["environment", &run.environment]);
        self.row(&["seen from", &run.location]);
        self.row(&["started", &exact(run.started_at)]);
        let took = jiff::SignedDuration::from_millis(run.duration_ms.try_into().unwrap_or(0));
        self.row(&["ended", &exact(run.started_at + took)]);
        self.row(&["took", &format!("{} ms", run.duration_ms)]);
        if let Some(offset) = run.evidence.as_ref().and_then(|it| it.clock_offset_ms) {
            self.row(&["provider's clock minus ours", &format!("{offset} ms")]);
        }
    }

    fn verdict(&mut self, verdict: &Verdict) {
        self.title("Verdict");
        self.table(&["field", ""]);
        self.row(&["seen", &verdict.detail]);
        self.row(&["stage", verdict.stage.as_str()]);
        let class = format!("{}: {}", verdict.class, verdict.class.meaning());
        self.row(&["class", &class]);
        self.row(&["cause", verdict.cause.as_str()]);
        let action = format!("{}: {}", verdict.action, verdict.action.advice());
        self.row(&["action", &action]);
        if let Some(rule) = &verdict.rule {
            self.row(&["rule", rule]);
        }
    }

    fn ids(&mut self, run: &Run) {
        self.title("To find it by");
        self.table(&["whose", "name", "value", "of"]);
        self.row(&["ours", "run", &run.id.to_string(), "the run"]);
        let trace = run.id.trace_id();
        self.row(&["ours", "trace id", &trace.to_string(), "the run"]);
        let sent = failing(run).into_iter().rev().find_map(|sent| match sent {
            Sent::ByProbe(exchange) => Some(exchange),
            Sent::ByBrowser { .. } => None,
        });
        if let Some((exchange, span)) = sent.and_then(|sent| Some((sent, sent.span_id?))) {
            let told = exchange
                .request_headers
                .iter()
                .any(|(name, _)| name == "traceparent");
            let name = if told {
                "traceparent, as sent"
            } else {
                "traceparent, not sent"
            };
            self.row(&["ours", name, &trace.parent(span), "the request that failed"]);
        }
        for id in run
            .evidence
            .iter()
            .flat_map(|evidence| &evidence.correlation)
        {
            self.row(&["theirs", &id.name, &id.value, &place(run, id)]);
        }
    }

    fn failing(&mut self, run: &Run) {
        let Some(last) = failing(run).pop() else {
            return;
        };
        self.title("The request that failed");
        self.line(format_args!(
            "Sent {}, {}.\n",
            exact(last.at()),
            inline(&last.outcome())
        ));
        match last {
            Sent::ByProbe(exchange) => self.exchange(exchange),
            Sent::ByBrowser { hop, .. } => {
                self.block("http", &format!("{} {}", hop.method, hop.url));
                if !hop.response_headers.is_empty() {
                    self.line("\nAnswer:\n");
                    self.block(
                        "http",
                        &message(&first_line(None, hop.status), &hop.response_headers, ""),
                    );
                }
            }
        }
        let raw = run
            .verdict
            .as_ref()
            .and_then(|verdict| verdict.raw.as_ref());
        if let Some(raw) = raw.filter(|raw| raw.status.is_none()) {
            self.line("\nParameters at the redirect URI:\n");
            self.block("", &raw.body);
        }
    }

    fn exchange(&mut self, exchange: &Exchange) {
        let line = format!("{} {}", exchange.method, exchange.url);
        self.block(
            "http",
            &message(&line, &exchange.request_headers, &exchange.request_body),
        );
        if exchange.status.is_some() {
            self.line("\nAnswer:\n");
            let line = first_line(exchange.protocol.as_deref(), exchange.status);
            self.block(
                "http",
                &message(&line, &exchange.response_headers, &exchange.response_body),
            );
        }
        self.line("");
        self.table(&["time went to", "ms"]);
        let times = exchange.timings;
        let parts = [
            ("name lookup", times.dns_us),
            ("connection", times.connect_us),
            ("handshake", times.tls_us),
            ("first byte, from the start", times.first_byte_us),
            ("all", Some(times.total_us)),
        ];
        for (name, us) in parts {
            if let Some(us) = us {
                self.row(&[name, &format!("{:.1}", us as f64 / 1e3)]);
            }
        }
        if let Some(peer) = &exchange.peer {
            self.peer(peer);
        }
    }

    fn peer(&mut self, peer: &Peer) {
        if let Some(address) = &peer.address {
            self.line(format_args!("\nAnswered by `{address}`."));
        }
        if let Some(leaf) = peer.certificates.first() {
            self.line(format_args!(
                "Its certificate is for {}, from {}, valid from {} to {}, SHA-256 `{}`.",
                inline(&leaf.subject),
                inline(&leaf.issuer),
                leaf.not_before,
                leaf.not_after,
                leaf.sha256
            ));
        }
    }

    fn again(&mut self, run: &Run) {
        if !failing(run).is_empty() {
            self.title("Ask again");
            self.block("sh", &curl(run));
        }
    }

    fn steps(&mut self, run: &Run) {
        if run.steps.is_empty() {
            return;
        }
        self.title("Steps");
        self.table(&["step", "outcome", "ms"]);
        for step in &run.steps {
            let ms = step.duration_ms.to_string();
            self.row(&[step.stage.as_str(), step.outcome.as_str(), &ms]);
        }
        for warning in &run.warnings {
            let text = inline(&warning.detail);
            self.line(format_args!(
                "\nWarning at {}, {}: {text}",
                warning.stage, warning.class
            ));
        }
    }

    fn requests(&mut self, run: &Run) {
        let mut sent = exchanges(run);
        sent.extend(hops(run));
        if sent.is_empty() {
            return;
        }
        sent.sort_by_key(|sent| sent.at());
        self.title("Requests");
        self.table(&["at", "by", "request", "outcome"]);
        for sent in sent {
            let by = match sent {
                Sent::ByProbe(exchange) => exchange.stage.as_str(),
                Sent::ByBrowser { .. } => "browser",
            };
            let request = format!("{} {}", sent.method(), sent.url());
            self.row(&[&exact(sent.at()), by, &request, &sent.outcome()]);
        }
    }

    fn seen(&mut self, evidence: &Evidence) {
        if let Some(page) = &evidence.page {
            self.title("The page at which it stopped");
            self.line(format_args!(
                "{}, titled {}\n",
                inline(&page.url),
                inline(&page.title)
            ));
            self.block("", &page.text);
            if !page.console.is_empty() {
                self.line("\nErrors of its console:\n");
                self.block("", &page.console.join("\n"));
            }
        }
        if !evidence.facts.is_empty() {
            self.title("Learned on the way");
            self.table(&["fact", ""]);
            for (name, value) in &evidence.facts {
                self.row(&[name, value]);
            }
        }
    }

    fn versions(&mut self, run: &Run) {
        self.title("Versions");
        self.table(&["part", "version"]);
        self.row(&["authcanary", env!("CARGO_PKG_VERSION")]);
        if let Some(browser) = run.evidence.as_ref().and_then(|it| it.browser.as_ref()) {
            self.row(&["browser", &browser.browser]);
            self.row(&["driver", &browser.driver]);
        }
        self.line("\nSecrets are left out: `[redacted-…]` tells how long one was, and the same mark is the same secret.");
    }
}

/// What an id of the other side belongs to.
fn place(run: &Run, id: &CorrelationId) -> String {
    let evidence = run.evidence.as_ref();
    let exchange = id.exchange.zip(evidence);
    if let Some((exchange, index)) =
        exchange.and_then(|(index, it)| Some((it.exchanges.get(index)?, index)))
    {
        let span = run
            .id
            .trace_id()
            .span(Part::Exchange(index.try_into().unwrap_or(u16::MAX)));
        return format!(
            "{} at {}, span {span}",
            id.stage,
            exact(exchange.started_at)
        );
    }
    let hop = id.hop.and_then(|index| hops(run).get(index).copied());
    match hop {
        Some(hop) => format!("browser at {}", exact(hop.at())),
        None => format!("what {} showed", id.stage),
    }
}

fn first_line(protocol: Option<&str>, status: Option<u16>) -> String {
    let status = status.map_or_else(|| "no status".to_owned(), |status| status.to_string());
    format!("{} {status}", protocol.unwrap_or("HTTP"))
}

fn message(first: &str, headers: &[(String, String)], body: &str) -> String {
    let mut text = format!("{first}\n");
    for (name, value) in headers {
        let _ = writeln!(text, "{name}: {value}");
    }
    if !body.is_empty() {
        let _ = write!(text, "\n{body}");
    }
    text
}

/// Foreign text on one line, which cannot be taken for markup.
fn inline(text: &str) -> String {
    let line: Vec<&str> = text.split_whitespace().collect();
    let line = line.join(" ");
    let longest = line.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    match line.starts_with('`') || line.ends_with('`') {
        true => format!("{fence} {line} {fence}"),
        false => format!("{fence}{line}{fence}"),
    }
}

/// Words stand as they are, everything that a reader of Markdown could take for more does not.
fn in_cell(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || " .,:;()'/-".contains(c);
    match text.chars().all(plain) && !text.contains("//") {
        true => text.to_owned(),
        false => inline(text).replace('|', r"\|"),
    }
}
