//! An incident in words: one line of what and where, one of figures. No line that is made here holds a secret: names,
//! words of the taxonomy and numbers.

use std::time::Duration;

use super::change::{Figures, Incident, Test};
use super::observation::Stream;
use super::{Kind, Scope};

/// Odds beyond this say the same, and nobody reads so many digits.
const MOST_ODDS: f64 = 1e9;

impl Incident {
    /// What is wrong and where, in one line that a tired person understands.
    pub fn summary(&self) -> String {
        format!("{}: {}", place(self), self.fault())
    }

    /// How many of how many, over how long, against which baseline, at which odds by chance.
    pub fn reason(&self) -> String {
        let figures = &self.figures;
        let counts = match figures.test {
            Test::Streak => format!(
                "the same fault {} times in a row over {}, of a kind that does not pass by itself",
                figures.bad,
                span(figures.over)
            ),
            Test::Window => format!(
                "{} of the last {} runs {} in {}",
                figures.bad,
                figures.runs,
                self.verb(),
                span(figures.over)
            ),
            Test::Hours => format!(
                "{} of {} runs {}, spread over {}",
                figures.bad,
                figures.runs,
                self.verb(),
                span(figures.over)
            ),
        };
        let slower = figures
            .slowdown
            .map(|times| format!(", {times:.1} times the usual on average"))
            .unwrap_or_default();
        format!(
            "{counts}{slower}; baseline {}; odds of this by chance {}",
            percent(figures.baseline),
            odds(figures)
        )
    }

    fn verb(&self) -> &'static str {
        match self.stream {
            Stream::Failed => "failed",
            Stream::Unknown => "could not be judged or did not happen",
            Stream::Slow | Stream::SlowStage(_) => "were slow",
        }
    }

    fn fault(&self) -> String {
        let finding = self
            .finding
            .as_ref()
            .map(|finding| format!("{} at {}", finding.class, finding.stage));
        match (self.kind, self.stream) {
            (Kind::Monitor, Stream::Failed) => {
                let mostly = finding.map_or(String::new(), |finding| format!(", mostly {finding}"));
                format!("unrelated providers fail together, look at our own side first{mostly}")
            }
            (_, Stream::Failed) => {
                let words = if self.figures.rate() < 0.9 {
                    "some sign-ins fail"
                } else {
                    "sign-in fails"
                };
                finding.map_or(words.to_owned(), |finding| format!("{words}, {finding}"))
            }
            (_, Stream::Unknown) => match finding {
                Some(finding) => format!("runs cannot be judged, {finding}"),
                None => "runs do not happen".to_owned(),
            },
            (_, Stream::Slow) => format!("sign-in is slow{}", times(&self.figures)),
            (_, Stream::SlowStage(stage)) => format!("{stage} is slow{}", times(&self.figures)),
        }
    }
}

fn times(figures: &Figures) -> String {
    figures.slowdown.map_or(String::new(), |times| {
        format!(", {times:.1} times the usual")
    })
}

/// The scope in words; single probes by name, many by number.
fn place(incident: &Incident) -> String {
    let Scope {
        provider,
        environment,
        probe,
        location,
    } = &incident.scope;
    let at = |locations: &[String]| match locations {
        [] => String::new(),
        several => format!(" at {}", several.join(", ")),
    };
    match &probe[..] {
        [] => {}
        [one] => return format!("{one}{}", at(location)),
        few if few.len() <= 3 => {
            let names: Vec<&str> = few.iter().map(|probe| probe.as_str()).collect();
            return format!("{}{}", names.join(", "), at(location));
        }
        many => {
            return format!(
                "{} probes of {}{}",
                many.len(),
                provider.join(", "),
                at(location)
            );
        }
    }
    match (&provider[..], &environment[..]) {
        ([], []) if location.is_empty() => "everything".to_owned(),
        ([], []) => format!("everything{}", at(location)),
        ([], environments) => format!(
            "{} of all providers{}",
            environments.join(", "),
            at(location)
        ),
        (providers, []) => format!("{}{}", providers.join(", "), at(location)),
        (providers, environments) => format!(
            "{} {}{}",
            providers.join(", "),
            environments.join(", "),
            at(location)
        ),
    }
}

/// A span in the unit that a person would choose.
fn span(span: Duration) -> String {
    let minutes = span.as_secs().div_ceil(60).max(1);
    match minutes {
        0..120 => format!("{minutes} min"),
        120..2880 => format!("{} h", (minutes + 30) / 60),
        _ => format!("{} days", (minutes + 720) / 1440),
    }
}

fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent < 0.1 {
        format!("{percent:.2} %")
    } else {
        format!("{percent:.1} %")
    }
}

fn odds(figures: &Figures) -> String {
    let one_in = figures.one_in();
    if one_in > MOST_ODDS {
        return "less than 1 in a billion".to_owned();
    }
    let digits = format!("{one_in:.0}");
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("1 in {grouped}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_odds_read_well() {
        let check = |seconds: u64, expected: &str| {
            assert_eq!(span(Duration::from_secs(seconds)), expected);
        };
        check(240, "4 min");
        check(601, "11 min");
        check(5400, "90 min");
        check(7200, "2 h");
        check(48 * 3600, "2 days");
        let figures = |nats: f64| Figures {
            test: Test::Window,
            bad: 7,
            runs: 9,
            over: Duration::from_secs(600),
            baseline: 0.06,
            nats,
            needed: 13.0,
            slowdown: None,
        };
        assert_eq!(odds(&figures(3_984_372_f64.ln())), "1 in 3,984,372");
        assert_eq!(odds(&figures(999_f64.ln())), "1 in 999");
        assert_eq!(odds(&figures(50.0)), "less than 1 in a billion");
        assert_eq!(percent(0.06), "6.0 %");
        assert_eq!(percent(0.0005), "0.05 %");
    }
}
