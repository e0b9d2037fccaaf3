//! Commands for a shell that ask again what failed. What was hidden is a variable for whoever runs them to set.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::{HIDDEN, Sent, exact, exchanges, failing};
use crate::run::{Exchange, Run};
use crate::taxonomy::Stage;

/// Parameters with which the time of a sign-in ends: the one of the run is spent.
const SPENT: &[&str] = &["CODE", "CODE_VERIFIER"];

/// Writes an option as a line of a configuration of curl.
const OPTION: &str = r#"option() { printf '%s = "%s"\n' "$1" "$(printf %s "$2" | sed 's/[\\"]/\\&/g')"; }
"#;

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
    if commands
        .iter()
        .any(|command| command.contains("\n  option "))
    {
        script.push_str(OPTION);
    }
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
    let mut options = match sent {
        Sent::ByProbe(exchange) => by_probe(exchange, variables),
        Sent::ByBrowser { hop, .. } if hop.method != "GET" || place(&hop.url).contains(HIDDEN) => {
            text.push_str("# only the browser gets there, by the pages before it\n");
            return text;
        }
        Sent::ByBrowser { hop, .. } => vec![url(&hop.url, variables)],
    };
    if follows {
        text.push_str("# followed to the page that it leads to\n");
        options.extend([Given::flag("location"), Given::known("cookie", "")]);
    }
    if let Sent::ByProbe(exchange) = sent {
        if exchange.request_headers.is_empty() {
            text.push_str("# headers and body are not kept of this run\n");
        }
        if options.iter().any(|option| option.name == "user") {
            text.push_str(
                "# id and secret are percent-encoded first where they hold more than letters, digits and -._~\n",
            );
        }
    }
    text.push_str(&command(&options));
    text
}

/// Secrets go in by standard input: the list of processes shows arguments.
fn command(options: &[Given]) -> String {
    let (hidden, known): (Vec<&Given>, Vec<&Given>) =
        options.iter().partition(|option| option.is_secret);
    let mut curl = String::new();
    if !hidden.is_empty() {
        curl.push_str("{\n");
        for Given { name, word, .. } in &hidden {
            let _ = writeln!(curl, "  option {name} {word}");
        }
        curl.push_str("} | ");
    }
    curl.push_str("curl --include --silent --show-error --globoff --max-time 60");
    if !hidden.is_empty() {
        curl.push_str(" --config -");
    }
    for Given { name, word, .. } in known {
        let _ = write!(curl, " \\\n  {}", format!("--{name} {word}").trim_end());
    }
    curl.push('\n');
    curl
}

/// An option of curl with its value, as a word of the shell; a flag has none.
struct Given {
    name: String,
    word: String,
    is_secret: bool,
}

impl Given {
    fn known(name: &str, value: &str) -> Self {
        Self {
            name: name.to_owned(),
            word: quoted(value),
            is_secret: false,
        }
    }

    fn new(name: &str, word: Word) -> Self {
        Self {
            name: name.to_owned(),
            is_secret: word.has_variable,
            word: word.finish(),
        }
    }

    fn flag(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            word: String::new(),
            is_secret: false,
        }
    }
}

/// An address without its query and fragment.
fn place(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or_default()
}

fn by_probe(exchange: &Exchange, variables: &mut Variables) -> Vec<Given> {
    let mut options = vec![url(&exchange.url, variables)];
    let usual = if exchange.request_body.is_empty() {
        "GET"
    } else {
        "POST"
    };
    if exchange.method != usual {
        options.push(Given::known("request", &exchange.method));
    }
    for (name, value) in &exchange.request_headers {
        // Each request is a span of its own.
        if name != "traceparent" {
            options.push(header(name, value, variables));
        }
    }
    options.extend(form(&exchange.request_body, variables));
    options
}

fn header(name: &str, value: &str, variables: &mut Variables) -> Given {
    let mut word = Word::default();
    let Some((before, _)) = value.split_once(HIDDEN) else {
        word.text(name);
        match value {
            // `name:` alone would leave the header out.
            "" => word.text(";"),
            _ => word.text(": ").text(value),
        };
        return Given::new("header", word);
    };
    let is_authorization = name.eq_ignore_ascii_case("authorization");
    match before.trim().to_ascii_lowercase().as_str() {
        "basic" if is_authorization => {
            let (id, secret) = (
                variables.named("client_id"),
                variables.named("client_secret"),
            );
            word.variable(&id).text(":").variable(&secret);
            return Given::new("user", word);
        }
        "bearer" | "dpop" if is_authorization => {
            let token = variables.named("access_token");
            word.text(name).text(": ").text(before).variable(&token);
        }
        _ => {
            let whole = variables.named(name);
            word.text(name).text(": ").variable(&whole);
        }
    }
    Given::new("header", word)
}

/// An address; a parameter with something hidden in it is a variable as a whole, and so is a part of the path.
fn url(url: &str, variables: &mut Variables) -> Given {
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
    Given::new("url", word)
}

/// The body as curl sends it: what is known as it was, what is a variable encoded by curl.
fn form(body: &str, variables: &mut Variables) -> Vec<Given> {
    let mut options = Vec::new();
    let mut known: Vec<&str> = Vec::new();
    for pair in body.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some((name, value)) if value.contains(HIDDEN) => {
                let mut word = Word::default();
                word.text(name).text("=").variable(&variables.named(name));
                options.push(Given::new("data-urlencode", word));
            }
            _ => known.push(pair),
        }
    }
    if !known.is_empty() {
        options.push(Given::known("data-raw", &known.join("&")));
    }
    options
}

/// One word of a command, of texts and variables.
#[derive(Default)]
struct Word {
    done: String,
    text: String,
    has_variable: bool,
}

impl Word {
    fn text(&mut self, text: &str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    fn variable(&mut self, name: &str) -> &mut Self {
        self.close();
        self.has_variable |= !FREE.contains(&name);
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
