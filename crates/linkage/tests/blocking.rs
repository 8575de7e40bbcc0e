//! Blocking finds a subset, and says about how much it lost.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::num::NonZeroUsize;

use linkage::bits::Bits;
use linkage::dice::Threshold;
use linkage::encode::wire_header;
use linkage::filters::{FilterSet, Header};
use linkage::matching::{
    Blocking, BlockingError, MatchError, Options, Strategy, Watch, compatible_watched, site_unique,
};
use linkage::profile::WireProfile;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

const BITS: usize = 512;

/// Two sites with the same persons, each pair differing in some bits.
fn sites(persons: usize, flips: usize) -> Vec<FilterSet> {
    let mut random = StdRng::seed_from_u64(1);
    let header = Header { bits: BITS as u32, ..wire_header(WireProfile::Stub1) };
    let mut sets = vec![FilterSet::new(header.clone()), FilterSet::new(header)];
    for _ in 0..persons {
        let mut bits = vec![false; BITS];
        bits.fill_with(|| random.random_bool(0.4));
        for set in &mut sets {
            let mut filter = Bits::new(BITS);
            bits.iter().enumerate().filter(|(_, bit)| **bit).for_each(|(place, _)| filter.set(place));
            set.push(&filter).unwrap();
            for _ in 0..flips {
                let place = random.random_range(0..BITS);
                bits[place] = !bits[place];
            }
        }
    }
    sets
}

#[test]
fn the_expected_loss_is_about_the_loss() {
    let sets = sites(1000, 60);
    let mut options = Options::new(Threshold::new(0.75).unwrap());
    let all = site_unique(&sets, &["a", "b"], &options).unwrap();
    assert!(all.report.candidates > 900, "{:?}", all.report);
    assert_eq!(all.report.blocking, None);
    for blocking in [
        Blocking { tables: 10, sample: 15, seed: 1 },
        Blocking { tables: 30, sample: 20, seed: 2 },
        Blocking { tables: 200, sample: 12, seed: 3 },
    ] {
        options.blocking = Some(blocking);
        let some = site_unique(&sets, &["a", "b"], &options).unwrap();
        let report = some.report.blocking.unwrap();
        let lost = 1.0 - some.report.candidates as f64 / all.report.candidates as f64;
        assert!(lost >= 0.0 && some.report.compared <= all.report.compared);
        assert!((report.expected_loss - lost).abs() < 0.08, "{blocking:?}: lost {lost}, {report:?}");
        assert!(report.loss_at_threshold >= report.expected_loss - 0.05, "{report:?}");
        // The same on more threads.
        options.threads = NonZeroUsize::new(3).unwrap();
        assert_eq!(site_unique(&sets, &["a", "b"], &options).unwrap(), some);
        options.threads = NonZeroUsize::MIN;
    }
    // Equal filters always share a block.
    let same = sites(200, 0);
    options.blocking = Some(Blocking { tables: 1, sample: 64, seed: 4 });
    let found = site_unique(&same, &["a", "b"], &options).unwrap();
    assert_eq!(found.groups.iter().filter(|group| group.len() == 2).count(), 200);
    assert_eq!(found.report.blocking.unwrap().expected_loss, 0.0);
}

#[test]
fn blocking_out_of_bounds_is_refused() {
    let sets = sites(5, 0);
    let mut options = Options::new(Threshold::HIGHMED);
    for (tables, sample) in [(0, 1), (1, 0), (1001, 1), (1, 65)] {
        options.blocking = Some(Blocking { tables, sample, seed: 0 });
        let refused = site_unique(&sets, &["a", "b"], &options);
        assert_eq!(refused, Err(MatchError::Blocking(BlockingError::Bounds)));
    }
}

#[test]
fn a_matching_tells_how_far_it_is_and_stops_when_asked() {
    let filters = |seed: u64| {
        let mut set = FilterSet::new(Header { bits: 256, ..wire_header(WireProfile::Stub1) });
        for record in 0..200_u64 {
            let mut bits = Bits::new(256);
            (0..60).for_each(|bit| bits.set(((record * 31 + seed + bit * bit * 7) % 256) as usize));
            set.push(&bits).unwrap();
        }
        set
    };
    let sets = [filters(0), filters(5)];
    let options = Options::new(Threshold::HIGHMED);
    let all = site_unique(&sets, &["a", "b"], &options).unwrap();
    assert_eq!(options.watch.progress(), (40_000, 40_000));
    assert_eq!(all.report.pairs, 40_000);
    let watch = Watch::default();
    compatible_watched(&sets, Strategy::Min, 0.8, &watch).unwrap();
    assert_eq!(watch.progress(), (40_000, 40_000));
    // With blocking the records of both sites in each table come first.
    let mut blocked = Options::new(Threshold::HIGHMED);
    blocked.blocking = Some(Blocking { tables: 3, sample: 4, seed: 1 });
    let pairs = site_unique(&sets, &["a", "b"], &blocked).unwrap().report.blocking.unwrap().pairs;
    assert_eq!(blocked.watch.progress(), (3 * 400 + pairs, 3 * 400 + pairs));
    // The watch was asked before: nothing is decided.
    let stopped = Options::new(Threshold::HIGHMED);
    stopped.watch.stop();
    assert_eq!(site_unique(&sets, &["a", "b"], &stopped), Err(MatchError::Cancelled));
    watch.stop();
    assert_eq!(compatible_watched(&sets, Strategy::Min, 0.8, &watch), Err(MatchError::Cancelled));
}
