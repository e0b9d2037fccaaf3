//! Settings of an environment win over those of its file, key by key and whole: a `client` of an environment replaces
//! the file's. Remembers where each setting in force stands, so that a fault names that place.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::explain::Misfit;
use super::yaml::child;

/// Keys of which one in a layer puts the other of the layers above out of force.
const EXCLUSIVE: [&str; 2] = ["every", "cron"];

/// The settings in force at one place, and where each stands.
pub(super) struct Layers {
    /// Pointer of the innermost layer, where something missing is reported.
    pub(super) own: String,
    /// Keys of each mapping in force, badly shaped entries included.
    entries: BTreeMap<String, BTreeSet<String>>,
    /// Pointer of each key in force, badly shaped ones included.
    places: BTreeMap<String, String>,
    /// Settings in force that are well shaped.
    pub(super) settings: Map<String, Value>,
}

impl Layers {
    /// Lays the mappings at `pointers` over each other, outermost first. Keys that `misfits` speak of are known to be
    /// given and kept out of the settings, misspelt ones under the name that was meant. `structure` names the keys
    /// that are no settings. Of `containers` only the entries at fault are kept out: those of a list become `null`, so
    /// that the others keep their places.
    pub(super) fn new(
        root: &Value,
        pointers: &[&str],
        structure: &[&str],
        containers: &[&str],
        misfits: &[Misfit],
    ) -> Self {
        let mut layers = Self {
            own: pointers.last().copied().unwrap_or_default().to_owned(),
            entries: BTreeMap::new(),
            places: BTreeMap::new(),
            settings: Map::new(),
        };
        for pointer in pointers {
            let Some(layer) = root.pointer(pointer).and_then(Value::as_object) else {
                continue;
            };
            layers.lay(pointer, layer, structure, containers, misfits);
        }
        layers
    }

    fn lay(
        &mut self,
        pointer: &str,
        layer: &Map<String, Value>,
        structure: &[&str],
        containers: &[&str],
        misfits: &[Misfit],
    ) {
        if EXCLUSIVE.iter().any(|key| layer.contains_key(*key)) {
            for key in EXCLUSIVE {
                self.places.remove(key);
                self.settings.remove(key);
            }
        }
        for (key, value) in layer {
            if structure.contains(&key.as_str()) {
                continue;
            }
            let place = child(pointer, key);
            let misspelt = misfits
                .iter()
                .find(|misfit| misfit.pointer == place && misfit.at_key);
            let meant = misspelt.and_then(|misfit| misfit.known_key.as_ref());
            let key = meant.unwrap_or(key);
            self.settings.remove(key);
            if let Some(value) = sound(value, &place, containers.contains(&key.as_str()), misfits) {
                self.settings.insert(key.clone(), value);
            }
            let entries = value.as_object().map(|map| map.keys().cloned().collect());
            self.entries
                .insert(key.clone(), entries.unwrap_or_default());
            self.places.insert(key.clone(), place);
        }
    }

    /// Whether the key is given, well shaped or not.
    pub(super) fn has(&self, key: &str) -> bool {
        self.places.contains_key(key)
    }

    /// Whether the mapping at `key` has this entry, well shaped or not.
    pub(super) fn has_entry(&self, key: &str, entry: &str) -> bool {
        self.entries
            .get(key)
            .is_some_and(|entries| entries.contains(entry))
    }

    /// Where the key in force stands; the innermost layer where it is not given.
    pub(super) fn place(&self, key: &str) -> &str {
        self.places.get(key).unwrap_or(&self.own)
    }

    /// Pointer of each key in force.
    pub(super) fn into_places(self) -> BTreeMap<String, String> {
        self.places
    }

    /// Pointer of something below a key.
    pub(super) fn below(&self, key: &str, path: &str) -> String {
        format!("{}/{path}", self.place(key))
    }
}

/// What of a value fits.
fn sound(value: &Value, place: &str, is_container: bool, misfits: &[Misfit]) -> Option<Value> {
    if !is_broken(misfits, place) {
        return Some(value.clone());
    }
    let as_a_whole = misfits.iter().any(|misfit| misfit.pointer == place);
    match value {
        Value::Array(items) if is_container && !as_a_whole => {
            let entry = |(index, item): (usize, &Value)| {
                sound(item, &format!("{place}/{index}"), false, misfits).unwrap_or(Value::Null)
            };
            Some(items.iter().enumerate().map(entry).collect())
        }
        Value::Object(map) if is_container && !as_a_whole => {
            let entry = |(key, item): (&String, &Value)| {
                Some((
                    key.clone(),
                    sound(item, &child(place, key), false, misfits)?,
                ))
            };
            Some(Value::Object(map.iter().filter_map(entry).collect()))
        }
        _ => None,
    }
}

/// Whether something in this value does not fit.
fn is_broken(misfits: &[Misfit], place: &str) -> bool {
    misfits.iter().any(|misfit| {
        let rest = misfit.pointer.strip_prefix(place);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_innermost_layer_wins_and_is_the_place() {
        let root = json!({
            "version": 1, "cron": "* * * * *", "timeout": "60s", "client": {"id": "a"},
            "environments": {"prod": {
                "every": "1m", "client": {"id": "b"}, "timeout": 3, "redirect_url": "", "steps": [1, 2],
            }},
        });
        let misfit = |pointer: &str, at_key, known_key: Option<&str>| Misfit {
            pointer: pointer.to_owned(),
            at_key,
            message: String::new(),
            help: None,
            known_key: known_key.map(str::to_owned),
            rule: None,
        };
        let misfits = [
            misfit("/environments/prod/steps/0/x", false, None),
            misfit("/environments/prod/timeout", false, None),
            misfit(
                "/environments/prod/redirect_url",
                true,
                Some("redirect_uri"),
            ),
        ];
        let layers = Layers::new(
            &root,
            &["", "/environments/prod"],
            &["version", "environments"],
            &["steps"],
            &misfits,
        );
        assert_eq!(
            Value::Object(layers.settings.clone()),
            json!({"every": "1m", "client": {"id": "b"}, "steps": [null, 2]})
        );
        assert_eq!(layers.place("every"), "/environments/prod/every");
        assert_eq!(layers.place("issuer"), "/environments/prod");
        assert!(layers.has("timeout") && layers.has("redirect_uri") && !layers.has("cron"));
    }
}
