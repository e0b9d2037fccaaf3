//! How long something took, many times over. A few values are kept as they are; more become a sketch that gives any
//! percentile within one percent. Both add up without loss.

use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sketches_ddsketch::DDSketch;

/// Up to so many values are smaller as they are, and exact.
const FEW: usize = 32;

/// Durations in milliseconds.
#[derive(Clone)]
pub struct Latency(Values);

#[derive(Clone)]
enum Values {
    Few(Vec<u64>),
    Many(Box<DDSketch>),
}

impl Default for Latency {
    fn default() -> Self {
        Self(Values::Few(Vec::new()))
    }
}

impl Latency {
    /// Of one duration.
    pub fn of(ms: u64) -> Self {
        Self(Values::Few(vec![ms]))
    }

    /// Adds what another one holds.
    pub fn merge(&mut self, other: &Self) {
        match (&mut self.0, &other.0) {
            (Values::Few(own), Values::Few(more)) if own.len() + more.len() <= FEW => {
                own.extend_from_slice(more);
            }
            (Values::Many(own), Values::Few(more)) => add(own, more),
            (Values::Many(own), Values::Many(more)) => merge(own, more),
            (Values::Few(own), more) => {
                let mut sketch = match more {
                    Values::Few(more) => {
                        let mut sketch = Box::<DDSketch>::default();
                        add(&mut sketch, more);
                        sketch
                    }
                    Values::Many(more) => more.clone(),
                };
                add(&mut sketch, own);
                self.0 = Values::Many(sketch);
            }
        }
    }

    /// How many durations it holds.
    pub fn count(&self) -> u64 {
        match &self.0 {
            Values::Few(values) => values.len() as u64,
            Values::Many(sketch) => sketch.count() as u64,
        }
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.count() == 0
    }

    /// `None` where there are none.
    pub fn mean_ms(&self) -> Option<f64> {
        let sum = match &self.0 {
            Values::Few(values) => values.iter().map(|&ms| as_f64(ms)).sum(),
            Values::Many(sketch) => sketch.sum()?,
        };
        (!self.is_empty()).then(|| sum / as_f64(self.count()))
    }

    /// The duration in milliseconds that a share of `quantile` (0 to 1) did not exceed; `None` where there are none.
    pub fn quantile_ms(&self, quantile: f64) -> Option<f64> {
        let quantile = quantile.clamp(0.0, 1.0);
        match &self.0 {
            Values::Few(values) => {
                let mut sorted = values.clone();
                sorted.sort_unstable();
                let rank = quantile * as_f64(sorted.len().saturating_sub(1) as u64);
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a rank lies between 0 and the number of values"
                )]
                sorted.get(rank as usize).map(|&ms| as_f64(ms))
            }
            // Fails for a quantile out of bounds only.
            Values::Many(sketch) => sketch.quantile(quantile).ok().flatten(),
        }
    }
}

fn add(sketch: &mut DDSketch, values: &[u64]) {
    for &ms in values {
        sketch.add(as_f64(ms));
    }
}

fn merge(own: &mut DDSketch, more: &DDSketch) {
    // Fails for sketches of different accuracy, and there is but one here.
    let _ = own.merge(more);
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a run of 285,000 years may be off by a millisecond"
)]
fn as_f64(ms: u64) -> f64 {
    ms as f64
}

/// As it lies on disk.
#[derive(Serialize, Deserialize)]
enum Stored {
    Few(Vec<u64>),
    /// In the encoding that sketches of this kind share across languages.
    Many(Vec<u8>),
}

impl Stored {
    fn of(latency: &Latency) -> Self {
        match &latency.0 {
            Values::Few(values) => Self::Few(values.clone()),
            Values::Many(sketch) => Self::Many(sketch.to_java_bytes()),
        }
    }

    fn latency(self) -> Result<Latency, String> {
        Ok(Latency(match self {
            Self::Few(values) => Values::Few(values),
            Self::Many(bytes) => {
                let sketch = DDSketch::from_java_bytes(&bytes);
                Values::Many(Box::new(sketch.map_err(|fault| fault.to_string())?))
            }
        }))
    }
}

/// As it lay in JSON, in stores of before.
#[derive(Deserialize)]
#[serde(untagged)]
enum AsText {
    Few(Vec<u64>),
    Many(String),
}

impl AsText {
    fn stored(self) -> Result<Stored, String> {
        Ok(match self {
            Self::Few(values) => Stored::Few(values),
            Self::Many(text) => {
                let bytes = BASE64_STANDARD_NO_PAD.decode(text);
                Stored::Many(bytes.map_err(|fault| fault.to_string())?)
            }
        })
    }
}

impl Serialize for Latency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Stored::of(self).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Latency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let stored = if deserializer.is_human_readable() {
            AsText::deserialize(deserializer)?.stored()
        } else {
            Ok(Stored::deserialize(deserializer)?)
        };
        stored.and_then(Stored::latency).map_err(de::Error::custom)
    }
}

impl PartialEq for Latency {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Values::Few(a), Values::Few(b)) => {
                let sorted = |values: &[u64]| {
                    let mut values = values.to_vec();
                    values.sort_unstable();
                    values
                };
                sorted(a) == sorted(b)
            }
            (Values::Many(a), Values::Many(b)) => a.to_java_bytes() == b.to_java_bytes(),
            _ => false,
        }
    }
}

impl std::fmt::Debug for Latency {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Values::Few(values) => f.debug_tuple("Latency").field(values).finish(),
            Values::Many(_) => write!(
                f,
                "Latency({} values, median {:?} ms)",
                self.count(),
                self.quantile_ms(0.5)
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(values: &[u64]) -> Latency {
        let mut all = Latency::default();
        for &ms in values {
            all.merge(&Latency::of(ms));
        }
        all
    }

    proptest! {
        #[test]
        fn any_split_gives_the_percentiles_of_the_values(
            mut values in proptest::collection::vec(0_u64..200_000, 1..300),
            cuts in proptest::collection::vec(0_usize..300, 0..6),
            quantile in 0.0..=1.0_f64,
        ) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(values.len())).collect();
            cuts.extend([0, values.len()]);
            cuts.sort_unstable();
            let mut merged = Latency::default();
            for part in cuts.windows(2) {
                let part = of(&values[part[0]..part[1]]);
                let bytes = postcard::to_stdvec(&part).unwrap();
                let read: Latency = postcard::from_bytes(&bytes).unwrap();
                prop_assert_eq!(&read, &part);
                merged.merge(&read);
            }
            prop_assert_eq!(merged.count(), values.len() as u64);
            let mean = as_f64(values.iter().sum()) / as_f64(values.len() as u64);
            prop_assert!((merged.mean_ms().unwrap() - mean).abs() < 1e-6);
            values.sort_unstable();
            let rank = (quantile * as_f64(values.len() as u64 - 1)) as usize;
            let (exact, found) = (as_f64(values[rank]), merged.quantile_ms(quantile).unwrap());
            prop_assert!((exact - found).abs() <= exact * 0.0101, "{} is not {}", found, exact);
        }
    }

    #[test]
    fn what_was_written_as_text_is_still_read() {
        let many = of(&(0..100).collect::<Vec<_>>());
        let Stored::Many(bytes) = Stored::of(&many) else {
            panic!("a hundred values make a sketch");
        };
        let text = format!("[[3,1,2],\"{}\"]", BASE64_STANDARD_NO_PAD.encode(bytes));
        let read: Vec<Latency> = serde_json::from_str(&text).unwrap();
        assert_eq!(read, [of(&[1, 2, 3]), many]);
    }

    #[test]
    fn nothing_has_no_percentile() {
        assert_eq!(Latency::default().quantile_ms(0.5), None);
        assert!(Latency::default().is_empty());
    }
}
