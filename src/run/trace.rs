//! Names of a run and of its parts in a trace (W3C Trace Context, version 00). They are derived from the run id, so that
//! whoever knows a run can find its spans and its requests at the provider, and nothing has to be stored for it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::RunId;

/// Trace of a run: its run id without the hyphens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TraceId([u8; 16]);

/// One span of a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SpanId([u8; 8]);

/// What a span stands for. Parts are counted from 0, in the order in which they began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// The run as a whole.
    Run,
    /// A step, by its place in the steps of the run.
    Step(u16),
    /// A request that the probe sent by itself.
    Exchange(u16),
    /// A hop of the browser.
    Hop(u16),
}

impl RunId {
    /// The trace of this run. A UUID of version 7 ends in random bits, as a trace id should.
    pub fn trace_id(self) -> TraceId {
        TraceId(self.0.into_bytes())
    }
}

impl TraceId {
    /// As bytes, most significant first.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0
    }

    /// The span of a part: the same for the same part, and no other part's within this trace.
    pub fn span(self, part: Part) -> SpanId {
        let offset = match part {
            Part::Run => 1 << 16,
            Part::Step(number) => 2 << 16 | u64::from(number),
            Part::Exchange(number) => 3 << 16 | u64::from(number),
            Part::Hop(number) => 4 << 16 | u64::from(number),
        };
        let [_, _, _, _, _, _, _, _, end @ ..] = self.0;
        // The variant bits of a UUID keep the sum from being 0, which is no span id.
        SpanId(u64::from_be_bytes(end).wrapping_add(offset).to_be_bytes())
    }

    /// Value of the `traceparent` header of a request, with the flag that asks to record it (Trace Context section 3.2).
    pub fn parent(self, span: SpanId) -> String {
        format!("00-{self}-{span}-01")
    }
}

impl SpanId {
    /// As bytes, most significant first.
    pub fn to_bytes(self) -> [u8; 8] {
        self.0
    }
}

/// Why a text is no id of a trace or span.
#[derive(Debug, thiserror::Error)]
#[error("not an id of a trace or span")]
pub struct NoId;

macro_rules! hexadecimal {
    ($name:ident, $number:ty) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl FromStr for $name {
            type Err = NoId;

            fn from_str(text: &str) -> Result<Self, NoId> {
                let hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
                if !hex || text.len() != <$number>::BITS as usize / 4 {
                    return Err(NoId);
                }
                let number = <$number>::from_str_radix(text, 16).map_err(|_| NoId)?;
                Ok(Self(number.to_be_bytes()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = NoId;

            fn try_from(text: String) -> Result<Self, NoId> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.to_string()
            }
        }
    };
}

hexadecimal!(TraceId, u128);
hexadecimal!(SpanId, u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_run_have_names_of_their_own() {
        let run: RunId = serde_json::from_str(r#""019ab3a2-7e30-7d5c-9a0b-ffffffffff01""#).unwrap();
        let trace = run.trace_id();
        assert_eq!(trace.to_string(), "019ab3a27e307d5c9a0bffffffffff01");
        let parts = [
            Part::Run,
            Part::Step(0),
            Part::Step(u16::MAX),
            Part::Exchange(0),
            Part::Exchange(1),
        ];
        let spans = parts.map(|part| trace.span(part));
        for (index, span) in spans.iter().enumerate() {
            assert!(!spans[..index].contains(span), "{span}");
            assert_ne!(span.to_bytes(), [0; 8]);
        }
        assert_eq!(
            trace.parent(trace.span(Part::Exchange(0))),
            "00-019ab3a27e307d5c9a0bffffffffff01-9a0c00000002ff01-01"
        );
    }

    #[test]
    fn ids_are_read_as_they_are_written() {
        let span = RunId(uuid::Uuid::now_v7()).trace_id().span(Part::Run);
        let text = serde_json::to_string(&span).unwrap();
        assert_eq!(serde_json::from_str::<SpanId>(&text).unwrap(), span);
        for wrong in [
            "",
            "0",
            "9a0c00000002ff0",
            "+a0c00000002ff01",
            "9a0c00000002ff0é",
        ] {
            assert!(wrong.parse::<SpanId>().is_err(), "{wrong}");
        }
    }
}
