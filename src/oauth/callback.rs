//! What comes back at the redirect URI. Checked in the order that keeps answers of others out: first that it is one
//! answer, then that it is ours, then whose it is, and only then what it says.

use super::form::{self};
use super::values::{Code, State};
use super::{problem, quoted, refuse};
use crate::run::{Fault, Raw};
use crate::taxonomy::Class;

/// What the answer is held against.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    pub state: &'a State,
    /// The issuer that was asked; `None` where the probe names none.
    pub issuer: Option<&'a str>,
    /// The metadata promise `iss` in every answer (RFC 9207 section 2.4).
    pub iss_promised: bool,
}

/// Parameters that may stand only once (RFC 6749 section 3.1).
const SINGLE: [&str; 5] = ["code", "state", "iss", "error", "error_description"];

/// Reads the query, fragment or form body of the callback. `kept` is the same text, redacted, for evidence.
pub fn read(parameters: &str, kept: &str, expected: &Expected<'_>) -> Result<Code, Fault> {
    let answer = Answer(form::pairs(parameters));
    answer.stands_once()?;
    answer.is_ours(expected.state)?;
    answer.is_of(expected)?;
    if answer.get("error").is_some() {
        return Err(error(kept));
    }
    if let Some(code) = answer.get("code") {
        return Ok(Code::new(code));
    }
    let detail = if answer.get("response").is_some() {
        "the callback carries a signed `response` (JARM), which was not asked for"
    } else {
        "the callback carries neither `code` nor `error`"
    };
    Err(refuse(Class::MalformedResponse, detail))
}

struct Answer(Vec<(String, String)>);

impl Answer {
    fn get(&self, wanted: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(name, _)| name == wanted)?;
        Some(value.as_str()).filter(|value| !value.is_empty())
    }

    fn stands_once(&self) -> Result<(), Fault> {
        let twice = SINGLE.iter().find(|&&single| {
            let named = self.0.iter().filter(|(name, _)| name == single);
            named.count() > 1
        });
        match twice {
            Some(name) => {
                let detail = format!("the callback carries `{name}` more than once");
                Err(refuse(Class::MalformedResponse, detail))
            }
            None => Ok(()),
        }
    }

    /// Some providers leave `state` out of error answers. That is against RFC 6749 section 4.1.2.1, but the error is
    /// what on-call needs, and believing a forged one costs no more than a failed run. A changed state is never
    /// believed.
    fn is_ours(&self, state: &State) -> Result<(), Fault> {
        match self.get("state") {
            Some(found) if found == state.expose() => Ok(()),
            Some(_) => Err(refuse(
                Class::StateMismatch,
                "the callback carries another `state` than was sent",
            )),
            None if self.get("error").is_some() => Ok(()),
            None => Err(refuse(
                Class::StateMismatch,
                "the callback carries no `state`",
            )),
        }
    }

    /// RFC 9207 section 2.4, also for error answers. An issuer that was not promised is compared all the same.
    fn is_of(&self, expected: &Expected<'_>) -> Result<(), Fault> {
        match (self.get("iss"), expected.issuer) {
            (Some(found), Some(issuer)) if found != issuer => {
                let detail = format!(
                    "the callback is of issuer {}, expected {}",
                    quoted(found),
                    quoted(issuer)
                );
                Err(refuse(Class::IssuerMismatch, detail))
            }
            (None, _) if expected.iss_promised && self.get("error").is_none() => Err(refuse(
                Class::IssuerMismatch,
                "the callback carries no `iss`, though the metadata promise one",
            )),
            _ => Ok(()),
        }
    }
}

/// The error answer as the fault, taken from its redacted text.
fn error(kept: &str) -> Fault {
    let problem = problem::in_parameters(&form::pairs(kept)).unwrap_or_default();
    Fault::Callback(Raw {
        status: None,
        headers: Vec::new(),
        body: kept.to_owned(),
        error: problem.error,
        error_description: problem.description,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::testing::class_of;

    fn read_here(parameters: &str, iss_promised: bool) -> Result<Code, Fault> {
        let expected = Expected {
            state: &State::new("good"),
            issuer: Some("https://op.example"),
            iss_promised,
        };
        read(parameters, parameters, &expected)
    }

    #[test]
    fn a_good_answer_gives_the_code_wherever_it_came_back() {
        for parameters in [
            "code=c%2B1&state=good",
            "?code=c%2B1&state=good",
            "#state=good&code=c%2B1&session_state=x",
            "code=c%2B1&state=good&iss=https%3A%2F%2Fop.example",
            "code=c%2B1&state=good&scope=a&scope=b",
        ] {
            assert_eq!(
                read_here(parameters, false),
                Ok(Code::new("c+1")),
                "{parameters}"
            );
        }
    }

    #[test]
    fn an_answer_that_does_not_hold_up_is_named() {
        let check = |parameters: &str, iss_promised: bool, expected: Class| {
            let fault = read_here(parameters, iss_promised).unwrap_err();
            assert_eq!(class_of(&fault), Some(expected), "{parameters}");
        };
        check("", false, Class::StateMismatch);
        check("code=c", false, Class::StateMismatch);
        check("code=c&state=", false, Class::StateMismatch);
        check("code=c&state=evil", false, Class::StateMismatch);
        check("code=c&state=GOOD", false, Class::StateMismatch);
        check(
            "error=access_denied&state=evil",
            false,
            Class::StateMismatch,
        );
        check(
            "code=c&state=evil&iss=https://evil",
            false,
            Class::StateMismatch,
        );
        check(
            "code=c&state=good&iss=https://evil",
            false,
            Class::IssuerMismatch,
        );
        check(
            "error=x&state=good&iss=https://evil",
            false,
            Class::IssuerMismatch,
        );
        check(
            "code=c&state=good&iss=https://op.example/",
            true,
            Class::IssuerMismatch,
        );
        check("code=c&state=good", true, Class::IssuerMismatch);
        check("state=good", false, Class::MalformedResponse);
        check("code=&state=good", false, Class::MalformedResponse);
        check("state=good&response=eyJ", false, Class::MalformedResponse);
        check("code=a&code=b&state=good", false, Class::MalformedResponse);
        check(
            "code=a&state=good&state=evil",
            false,
            Class::MalformedResponse,
        );
    }

    #[test]
    fn an_error_is_kept_as_it_was_redacted() {
        let expected = Expected {
            state: &State::new("good"),
            issuer: None,
            iss_promised: true,
        };
        for sent in ["error=access_denied&state=good", "error=access_denied"] {
            let kept = "error=access_denied&error_description=not+today&state=***";
            let Err(Fault::Callback(raw)) = read(sent, kept, &expected) else {
                panic!("not a callback fault");
            };
            assert_eq!(raw.error.as_deref(), Some("access_denied"));
            assert_eq!(raw.error_description.as_deref(), Some("not today"));
            assert_eq!(raw.body, kept);
        }
    }
}
