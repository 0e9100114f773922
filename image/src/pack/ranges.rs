//! Which bytes of packs are in an image, and where?

use crate::squashfs::writer::output::ALIGNMENT;

/// Gaps between live bytes that are smaller stay: what an image takes more is less than what more
/// pieces cost.
const SMALLEST_GAP: u64 = 64 << 10;

/// A piece of a pack's data in an image. All places in it are multiples of 4096, so that file
/// systems can share it between files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    /// The pack, by its place in the stack.
    pub(super) pack: usize,
    /// Where it begins in the pack.
    pub(super) offset: u64,
    pub(super) length: u64,
    /// Where it begins in the file system.
    pub(super) place: u64,
}

/// All pieces, in the order of the image, which is that of packs and places in them.
#[derive(Debug)]
pub(super) struct Ranges {
    pub(super) ranges: Vec<Range>,
    /// Behind the last.
    pub(super) end: u64,
}

/// Bytes of a pack that are in use: the pack, and where they begin and end.
pub(super) type Live = (usize, u64, u64);

impl Ranges {
    /// Lays what is in use out, from a place in the file system on.
    pub(super) fn of(mut live: Vec<Live>, begin: u64) -> Self {
        live.sort_unstable();
        let mut ranges = Self {
            ranges: Vec::new(),
            end: begin,
        };
        let mut open: Option<Live> = None;
        for (pack, start, end) in live {
            let (start, end) = (floor(start), end.next_multiple_of(ALIGNMENT));
            match &mut open {
                Some((last, _, last_end)) if *last == pack && start <= *last_end + SMALLEST_GAP => {
                    *last_end = end.max(*last_end);
                }
                _ => ranges.close(open.replace((pack, start, end))),
            }
        }
        ranges.close(open);
        ranges
    }

    fn close(&mut self, range: Option<Live>) {
        let Some((pack, offset, end)) = range else {
            return;
        };
        let length = end - offset;
        self.ranges.push(Range {
            pack,
            offset,
            length,
            place: self.end,
        });
        self.end += length;
    }

    /// Where a byte of a pack is in the file system. It must be in use.
    pub(super) fn place(&self, pack: usize, offset: u64) -> u64 {
        let after = self
            .ranges
            .partition_point(|range| (range.pack, range.offset) <= (pack, offset));
        let range = self.ranges[after - 1];
        debug_assert!(range.pack == pack && offset < range.offset + range.length);
        range.place + (offset - range.offset)
    }
}

fn floor(offset: u64) -> u64 {
    offset - offset % ALIGNMENT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_whole_pages_and_large_gaps_are_left_out() {
        let far = (1 << 20) + 5;
        let live = vec![
            (1, 100, 200),
            (0, far, far + 10),
            (0, 5000, 5001),
            (0, 60_000, 70_000),
        ];

        let ranges = Ranges::of(live, 4096);

        let found: Vec<_> = ranges
            .ranges
            .iter()
            .map(|it| (it.pack, it.offset, it.length))
            .collect();
        assert_eq!(found, [(0, 4096, 69_632), (0, 1 << 20, 4096), (1, 0, 4096)]);
        assert_eq!(ranges.end, 4096 + 69_632 + 4096 + 4096);
        for (pack, offset) in [(0, 5000), (0, 69_999), (0, far), (1, 100)] {
            assert_eq!(ranges.place(pack, offset) % 4096, offset % 4096);
        }
        assert_eq!(ranges.place(0, far), 4096 + 69_632 + 5);
    }

    #[test]
    fn nothing_in_use_takes_no_place() {
        assert_eq!(Ranges::of(Vec::new(), 4096).end, 4096);
    }
}
