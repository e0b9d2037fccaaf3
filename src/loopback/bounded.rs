//! A map whose entries expire, and which never holds more than so many: whatever expires soonest makes room. The server
//! runs for days under a probe that signs in every few seconds.

use std::collections::{BTreeMap, HashMap};

/// Values by text key, each with the second at which it expires.
#[derive(Debug)]
pub(super) struct Bounded<V> {
    capacity: usize,
    entries: HashMap<String, Entry<V>>,
    /// Keys by expiry; the number keeps entries of the same second apart.
    order: BTreeMap<(i64, u64), String>,
    next: u64,
}

#[derive(Debug)]
struct Entry<V> {
    place: (i64, u64),
    value: V,
}

impl<V> Bounded<V> {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            entries: HashMap::new(),
            order: BTreeMap::new(),
            next: 0,
        }
    }

    /// Puts a value in, after throwing out what has expired and, if need be, what expires soonest.
    pub(super) fn insert(&mut self, key: String, value: V, expires: i64, now: i64) {
        self.remove(&key);
        while let Some((&(soonest, _), _)) = self.order.first_key_value() {
            if soonest > now && self.entries.len() < self.capacity {
                break;
            }
            if let Some((_, key)) = self.order.pop_first() {
                self.entries.remove(&key);
            }
        }
        self.next += 1;
        let place = (expires, self.next);
        self.order.insert(place, key.clone());
        self.entries.insert(key, Entry { place, value });
    }

    /// A value that has not expired.
    pub(super) fn get(&self, key: &str, now: i64) -> Option<&V> {
        let entry = self.entries.get(key)?;
        (entry.place.0 > now).then_some(&entry.value)
    }

    /// The same, to be changed.
    pub(super) fn get_mut(&mut self, key: &str, now: i64) -> Option<&mut V> {
        let entry = self.entries.get_mut(key)?;
        (entry.place.0 > now).then_some(&mut entry.value)
    }

    /// When an entry expires, in seconds.
    pub(super) fn expires(&self, key: &str) -> Option<i64> {
        self.entries.get(key).map(|entry| entry.place.0)
    }

    /// Takes a value out, expired or not.
    pub(super) fn remove(&mut self, key: &str) -> Option<V> {
        let entry = self.entries.remove(key)?;
        self.order.remove(&entry.place);
        Some(entry.value)
    }

    /// Moves the expiry of an entry.
    pub(super) fn prolong(&mut self, key: &str, expires: i64) {
        let Some(entry) = self.entries.get_mut(key) else {
            return;
        };
        if let Some(key) = self.order.remove(&entry.place) {
            entry.place.0 = expires;
            self.order.insert(entry.place, key);
        }
    }

    /// Entries held, expired ones that nothing has pushed out yet included.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_expires_soonest_makes_room() {
        let mut map = Bounded::new(2);
        map.insert("long".into(), 1, 100, 0);
        map.insert("short".into(), 2, 10, 0);
        map.insert("new".into(), 3, 50, 0);
        assert_eq!(
            (map.get("long", 1), map.get("short", 1), map.get("new", 1)),
            (Some(&1), None, Some(&3))
        );
    }

    #[test]
    fn an_expired_value_is_gone_even_before_it_is_thrown_out() {
        let mut map = Bounded::new(2);
        map.insert("a".into(), 1, 10, 0);
        assert_eq!((map.get("a", 9), map.get("a", 10)), (Some(&1), None));
        map.prolong("a", 20);
        assert_eq!(map.get("a", 15), Some(&1));
    }

    proptest! {
        #[test]
        fn it_never_grows_beyond_its_capacity(steps in prop::collection::vec((0..20u8, 0..30i64, 0..3u8), 0..200)) {
            let mut map = Bounded::new(5);
            for (now, (key, lifetime, act)) in steps.into_iter().enumerate() {
                let now = now as i64;
                match act {
                    0 => drop(map.remove(&key.to_string())),
                    1 => map.prolong(&key.to_string(), now + lifetime),
                    _ => map.insert(key.to_string(), key, now + lifetime, now),
                }
                prop_assert!(map.len() <= 5);
                prop_assert_eq!(map.order.len(), map.entries.len());
            }
        }
    }
}
