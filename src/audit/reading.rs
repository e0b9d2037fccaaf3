//! Rules that the reader of the files holds them to, and rules about the audit itself.

use crate::config::rule as id;

use super::Severity::{Error, Warning};
use super::{Check, Hit, Rule, Subject};

pub(super) const RULES: &[Rule] = &[
    Rule::of(
        Error,
        id::INVALID,
        "the file is not what it should be: its YAML, an unknown or missing key, a value that does not fit",
        "write what the message says; `authcanary schema` lets an editor check while you type",
        Check::Reading,
    ),
    Rule::of(
        Error,
        id::LITERAL_SECRET,
        "a secret stands in the file",
        "write where it is kept, `{env: NAME}`, `{file: …}`, `{credential: …}` or `{command: […]}`, and replace the secret: it was seen",
        Check::Reading,
    ),
    Rule::of(
        Error,
        id::PLAIN_HTTP,
        "an issuer, endpoint or resource is plain http outside loopback, so that tokens cross the network in clear",
        "write https",
        Check::Reading,
    ),
    Rule::of(
        Error,
        id::REDIRECT_URI_FRAGMENT,
        "a redirect URI has a fragment, which RFC 6749 section 3.1.2 forbids",
        "write it exactly as it is registered, without `#` and what follows",
        Check::Reading,
    ),
    Rule::of(
        Error,
        id::UNKNOWN_CHANNEL,
        "a route names a channel that does not exist",
        "correct the name, or add the channel",
        Check::Reading,
    ),
    Rule::of(
        Error,
        id::ROUTE_WITHOUT_CHANNEL,
        "a route names no channel, so that alerts that match it go nowhere",
        "name the channels, or leave the route out",
        Check::Reading,
    ),
    Rule::of(
        Warning,
        "unknown-rule",
        "`audit.ignore` names a rule that does not exist, so it silences nothing",
        "correct the id, or leave it out",
        Check::Files(unknown_rule),
    ),
];

fn unknown_rule(subject: &Subject<'_>) -> Vec<Hit> {
    let own = subject.probes().flat_map(|probe| {
        let ignored = subject.places.ignored_for(&probe.id);
        ignored
            .into_iter()
            .map(|(rule, place)| (rule, place, Some(probe.id.clone())))
    });
    let everywhere = subject.places.ignored_everywhere().into_iter();
    let all = everywhere
        .map(|(rule, place)| (rule, place, None))
        .chain(own);
    all.filter(|(rule, ..)| super::rules().all(|known| known.id != rule))
        .map(|(rule, place, probe)| {
            let ids = super::rules().map(|known| known.id);
            let likeness = |known: &str| strsim::jaro_winkler(known, &rule);
            let near = ids.max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
            let near = near.filter(|near| likeness(near) > 0.8);
            Hit {
                place,
                message: format!("there is no rule {}", crate::oauth::quoted(&rule)),
                fix: near.map(|near| format!("did you mean `{near}`?")),
                probe,
            }
        })
        .collect()
}
