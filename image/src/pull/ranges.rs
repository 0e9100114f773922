//! Which bytes are there? Ranges, in order and apart from each other.

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// Ranges that do not touch each other.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<(u64, u64)>", into = "Vec<(u64, u64)>")]
pub(super) struct Ranges(Vec<Range<u64>>);

impl Ranges {
    /// Adds a range.
    pub(super) fn add(&mut self, new: Range<u64>) {
        if new.is_empty() {
            return;
        }
        let first = self.0.partition_point(|range| range.end < new.start);
        let last = self.0.partition_point(|range| range.start <= new.end);
        let touched = &self.0[first..last];
        let start = touched
            .first()
            .map_or(new.start, |it| it.start.min(new.start));
        let end = touched.last().map_or(new.end, |it| it.end.max(new.end));
        self.0.splice(first..last, std::iter::once(start..end));
    }

    /// Adds all ranges of another.
    pub(super) fn merge(&mut self, other: &Self) {
        for range in &other.0 {
            self.add(range.clone());
        }
    }

    /// Where the last one ends.
    pub(super) fn end(&self) -> u64 {
        self.0.last().map_or(0, |range| range.end)
    }

    /// The parts of a range that are not there.
    pub(super) fn missing_in(&self, wanted: Range<u64>) -> Vec<Range<u64>> {
        let mut missing = Vec::new();
        let mut from = wanted.start;
        let first = self.0.partition_point(|range| range.end <= wanted.start);
        for range in &self.0[first..] {
            if range.start >= wanted.end {
                break;
            }
            if from < range.start {
                missing.push(from..range.start);
            }
            from = range.end;
        }
        if from < wanted.end {
            missing.push(from..wanted.end);
        }
        missing
    }

    /// The same ranges, and what lies between those that are at most `gap` apart.
    pub(super) fn bridged(self, gap: u64) -> Vec<Range<u64>> {
        let mut bridged: Vec<Range<u64>> = Vec::new();
        for range in self.0 {
            match bridged.last_mut() {
                Some(last) if range.start - last.end <= gap => last.end = range.end,
                _ => bridged.push(range),
            }
        }
        bridged
    }
}

impl TryFrom<Vec<(u64, u64)>> for Ranges {
    type Error = &'static str;

    fn try_from(pairs: Vec<(u64, u64)>) -> Result<Self, Self::Error> {
        let mut ranges = Self::default();
        for (start, end) in pairs {
            if start >= end {
                return Err("a range ends before it begins");
            }
            ranges.add(start..end);
        }
        Ok(ranges)
    }
}

impl From<Ranges> for Vec<(u64, u64)> {
    fn from(ranges: Ranges) -> Self {
        let pairs = ranges.0.into_iter().map(|range| (range.start, range.end));
        pairs.collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_added_is_there_and_the_rest_is_missing(
            added in vec((0_u64..60, 0_u64..12), 0..10),
            wanted in (0_u64..60, 0_u64..40),
        ) {
            let mut ranges = Ranges::default();
            let mut there = [false; 128];
            for (start, length) in added {
                ranges.add(start..start + length);
                for byte in start..start + length {
                    there[usize::try_from(byte).unwrap()] = true;
                }
            }
            let wanted = wanted.0..wanted.0 + wanted.1;

            let missing = ranges.missing_in(wanted.clone());

            for byte in 0..128_u64 {
                let is_missing = missing.iter().any(|range| range.contains(&byte));
                let is_there = there[usize::try_from(byte).unwrap()];
                prop_assert_eq!(is_missing, wanted.contains(&byte) && !is_there);
            }
            let is_apart = ranges.0.windows(2).all(|pair| pair[0].end < pair[1].start);
            prop_assert!(is_apart, "{:?}", ranges);
            let pairs: Vec<(u64, u64)> = ranges.clone().into();
            prop_assert_eq!(Ranges::try_from(pairs), Ok(ranges));
        }
    }

    #[test]
    fn small_gaps_are_bridged() {
        let mut ranges = Ranges::default();
        for range in [0..10, 14..20, 25..30] {
            ranges.add(range);
        }

        assert_eq!(ranges.bridged(4), [0..20, 25..30]);
    }
}
