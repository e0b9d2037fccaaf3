//! Commands for a shell that ask again what failed. What was hidden is a variable for whoever runs them to set.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::{HIDDEN, Sent, exact, exchanges, failing};
use crate::run::{Exchange, Run};
use crate::taxonomy::Stage;

/// Parameters with which the time of a sign-in ends: the one of the run is spent.
const SPENT: &[&str] = &["CODE", "CODE_VERIFIER"];

/// Parameters that may be anything when one asks again.
const FREE: &[&str] = &["STATE", "NONCE"];

/// A script of POSIX shell and curl. Of a run that passed it holds every request of the probe.
pub fn script(run: &Run) -> String {
    let mut wanted = failing(run);
    if run.verdict.is_none() {
        wanted = exchanges(run);
    }
    let mut variables = Variables::default();
    let follows = follows(run);
    let commands: Vec<String> = wanted
        .iter()
        .enumerate()
        .map(|(index, sent)| described(*sent, follows && index == 0, &mut variables))
        .collect();
    let mut script = format!(
        "# {} run {}, started {}\n",
        run.probe,
        run.id,
        exact(run.started_at)
    );
    if let Some(verdict) = &run.verdict {
        let _ = writeln!(
            script,
            "# {} at {}: {}",
            run.outcome, verdict.stage, verdict.class
        );
    }
    if commands.is_empty() {
        script.push_str("# no request of the run can be asked again\n");
        return script;
    }
    script.push_str(&variables.declared(run));
    for command in commands {
        script.push('\n');
        script.push_str(&command);
    }
    script
}

/// Pages are reached by redirects from the authorization request. Not where the way led back to the application: that is
/// left alone.
fn follows(run: &Run) -> bool {
    let stage = run.verdict.as_ref().map(|verdict| verdict.stage);
    stage.is_some_and(|stage| {
        stage.is_in_browser() && !matches!(stage, Stage::Callback | Stage::Logout)
    })
}

/// What has to be set before the commands run: names in order, each once.
#[derive(Default)]
struct Variables(BTreeSet<String>);

impl Variables {
    /// The name of the variable for a parameter or header, such as `CLIENT_SECRET`.
    fn named(&mut self, name: &str) -> String {
        let plain = name.chars().map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_uppercase()
            } else {
                '_'
            }
        });
        let mut plain: String = plain.collect();
        if !plain.starts_with(|c: char| c.is_ascii_alphabetic()) {
            plain.insert_str(0, "V_");
        }
        self.0.insert(plain.clone());
        plain
    }

    fn declared(&self, run: &Run) -> String {
        let mut lines = String::new();
        for name in &self.0 {
            let line = match name.as_str() {
                "CLIENT_ID" if client_id(run).is_some() => {
                    format!("{name}={}", quoted(&client_id(run).unwrap_or_default()))
                }
                _ if FREE.contains(&name.as_str()) => format!("{name}=any-value-will-do"),
                _ if SPENT.contains(&name.as_str()) => format!(
                    ": \"${{{name}:?set it first: that of a new sign-in, which has not been exchanged}}\""
                ),
                _ => format!(": \"${{{name}:?set it first}}\""),
            };
            lines.push_str(&line);
            lines.push('\n');
        }
        lines
    }
}

/// The client's id is no secret, but Basic authentication hides it. Other requests show it.
fn client_id(run: &Run) -> Option<String> {
    let evidence = run.evidence.as_ref()?;
    let queries = evidence.hops.iter().map(|hop| hop.url.as_str());
    let queries = queries.filter_map(|url| url.split_once('?').map(|(_, query)| query));
    let bodies = evidence.exchanges.iter().map(|it| it.request_body.as_str());
    let mut pairs = queries
        .chain(bodies)
        .flat_map(|encoded| form_urlencoded::parse(encoded.as_bytes()));
    let found = pairs.find(|(name, value)| name == "client_id" && !value.contains(HIDDEN))?;
    Some(found.1.into_owned())
}

fn described(sent: Sent<'_>, follows: bool, variables: &mut Variables) -> String {
    let mut text = format!(
        "# {} {} {}: {}\n",
        exact(sent.at()),
        sent.method(),
        place(sent.url()),
        sent.outcome().replace(['\n', '\r'], " ")
    );
    let mut parts = match sent {
        Sent::ByProbe(exchange) => by_probe(exchange, variables),
        Sent::ByBrowser { hop, .. } if hop.method != "GET" || place(&hop.url).contains(HIDDEN) => {
            text.push_str("# only the browser gets there, by the pages before it\n");
            return text;
        }
        Sent::ByBrowser { hop, .. } => vec![url(&hop.url, variables)],
    };
    if follows {
        text.push_str("# followed to the page that it leads to\n");
        parts.insert(0, "--location --cookie ''".to_owned());
    }
    if let Sent::ByProbe(exchange) = sent {
        if exchange.request_headers.is_empty() {
            text.push_str("# headers and body are not kept of this run\n");
        }
        if parts.iter().any(|part| part.starts_with("--user")) {
            text.push_str(
                "# id and secret are percent-encoded first where they hold more than letters, digits and -._~\n",
            );
        }
    }
    let options = "curl --include --silent --show-error --globoff --max-time 60";
    let _ = writeln!(text, "{options} \\\n  {}", parts.join(" \\\n  "));
    text
}

/// An address without its query and fragment.
fn place(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or_default()
}

fn by_probe(exchange: &Exchange, variables: &mut Variables) -> Vec<String> {
    let mut parts = vec![url(&exchange.url, variables)];
    if exchange.method != "GET" && !(exchange.method == "POST" && !exchange.request_body.is_empty())
    {
        parts.insert(0, format!("--request {}", exchange.method));
    }
    for (name, value) in &exchange.request_headers {
        // Each request is a span of its own.
        if name != "traceparent" {
            parts.push(header(name, value, variables));
        }
    }
    parts.extend(form(&exchange.request_body, variables));
    parts
}

fn header(name: &str, value: &str, variables: &mut Variables) -> String {
    let mut word = Word::default();
    let Some((before, _)) = value.split_once(HIDDEN) else {
        word.text(name);
        match value {
            // `name:` alone would leave the header out.
            "" => word.text(";"),
            _ => word.text(": ").text(value),
        };
        return format!("--header {}", word.finish());
    };
    let is_authorization = name.eq_ignore_ascii_case("authorization");
    word.text(name).text(": ");
    match before.trim().to_ascii_lowercase().as_str() {
        "basic" if is_authorization => {
            let (id, secret) = (
                variables.named("client_id"),
                variables.named("client_secret"),
            );
            return format!("--user \"${id}:${secret}\"");
        }
        "bearer" | "dpop" if is_authorization => {
            let token = variables.named("access_token");
            word.text(before).variable(&token);
        }
        _ => {
            let whole = variables.named(name);
            word.variable(&whole);
        }
    }
    format!("--header {}", word.finish())
}

/// An address; a parameter with something hidden in it is a variable as a whole, and so is a part of the path.
fn url(url: &str, variables: &mut Variables) -> String {
    let mut word = Word::default();
    let (place, query) = match url.split_once('?') {
        Some((place, query)) => (place, Some(query)),
        None => (url, None),
    };
    for (index, segment) in place.split('/').enumerate() {
        if index > 0 {
            word.text("/");
        }
        if segment.contains(HIDDEN) {
            word.variable(&variables.named(&format!("path_{index}")));
        } else {
            word.text(segment);
        }
    }
    for (index, pair) in query.iter().flat_map(|query| query.split('&')).enumerate() {
        word.text(if index == 0 { "?" } else { "&" });
        match pair.split_once('=') {
            Some((name, value)) if value.contains(HIDDEN) => {
                word.text(name).text("=").variable(&variables.named(name));
            }
            _ => {
                word.text(pair);
            }
        }
    }
    format!("--url {}", word.finish())
}

/// The body as curl sends it: what is known as it was, what is a variable encoded by curl.
fn form(body: &str, variables: &mut Variables) -> Vec<String> {
    let mut parts = Vec::new();
    let mut known: Vec<&str> = Vec::new();
    for pair in body.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some((name, value)) if value.contains(HIDDEN) => {
                parts.extend(as_it_was(&mut known));
                let mut word = Word::default();
                word.text(name).text("=").variable(&variables.named(name));
                parts.push(format!("--data-urlencode {}", word.finish()));
            }
            _ => known.push(pair),
        }
    }
    parts.extend(as_it_was(&mut known));
    parts
}

fn as_it_was(known: &mut Vec<&str>) -> Option<String> {
    let pairs = std::mem::take(known);
    (!pairs.is_empty()).then(|| format!("--data-raw {}", quoted(&pairs.join("&"))))
}

/// One word of a command, of texts and variables.
#[derive(Default)]
struct Word {
    done: String,
    text: String,
}

impl Word {
    fn text(&mut self, text: &str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    fn variable(&mut self, name: &str) -> &mut Self {
        self.close();
        let _ = write!(self.done, "\"${name}\"");
        self
    }

    fn close(&mut self) {
        if !self.text.is_empty() {
            self.done.push_str(&quoted(&std::mem::take(&mut self.text)));
        }
    }

    fn finish(mut self) -> String {
        self.close();
        self.done
    }
}

/// A word of the shell that stands for exactly this text.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
