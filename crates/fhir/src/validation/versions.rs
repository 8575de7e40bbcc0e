//! Several versions of one thing: exact lookup, or the newest.

use std::cmp::Ordering;
use std::sync::Arc;

use super::node::Text;

/// Versions in order, the newest last.
#[derive(Debug)]
pub(super) struct Versions<T>(Vec<(Text, Arc<T>)>);

impl<T> Default for Versions<T> {
    fn default() -> Self {
        Versions(Vec::new())
    }
}

impl<T> Clone for Versions<T> {
    fn clone(&self) -> Self {
        Versions(self.0.clone())
    }
}

impl<T> Versions<T> {
    /// Adds a version, or replaces it.
    pub(super) fn add(&mut self, version: &str, value: Arc<T>) {
        match self.0.binary_search_by(|(other, _)| compare(other, version)) {
            Ok(at) => self.0[at].1 = value,
            Err(at) => {
                // Nearly everything has one version.
                self.0.reserve_exact(1);
                self.0.insert(at, (version.into(), value));
            }
        }
    }

    pub(super) fn remove(&mut self, version: &str) {
        self.0.retain(|(other, _)| &**other != version);
    }

    /// A version, or the newest one.
    pub(super) fn get(&self, version: Option<&str>) -> Option<&Arc<T>> {
        match version {
            None => self.0.last().map(|(_, value)| value),
            Some(version) => self.0.iter().find(|(other, _)| &**other == version).map(|(_, value)| value),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Text, &Arc<T>)> {
        self.0.iter().map(|(version, value)| (version, value))
    }
}

/// The order of two versions: numbers between the points count as numbers.
pub(super) fn compare(left: &str, right: &str) -> Ordering {
    let mut left_parts = left.split(['.', '-']);
    let mut right_parts = right.split(['.', '-']);
    loop {
        let order = match (left_parts.next(), right_parts.next()) {
            (None, None) => return left.cmp(right),
            (None, Some(_)) => Ordering::Less,
            (Some(_), None) => Ordering::Greater,
            (Some(left), Some(right)) => match (left.parse::<u64>(), right.parse::<u64>()) {
                (Ok(left), Ok(right)) => left.cmp(&right),
                _ => left.cmp(right),
            },
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newest() {
        let mut versions = Versions::default();
        for version in ["1.0", "0.9.3", "1.10", "1.2", "1.2"] {
            versions.add(version, Arc::new(version.to_owned()));
        }
        assert_eq!(versions.get(None).unwrap().as_str(), "1.10");
        assert_eq!(versions.get(Some("1.2")).unwrap().as_str(), "1.2");
        assert!(versions.get(Some("2")).is_none());
        versions.remove("1.10");
        assert_eq!(versions.get(None).unwrap().as_str(), "1.2");
        assert_eq!(versions.iter().count(), 3);
    }
}
