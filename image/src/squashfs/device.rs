//! How is the number of a device written?

use serde::{Deserialize, Serialize};

/// The number of a block or character device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Device {
    pub(crate) major: u32,
    pub(crate) minor: u32,
}

impl Device {
    /// Linux's 32-bit form: 12 bits of major between 8 low and 12 high bits of minor.
    pub(super) fn encode(self) -> u32 {
        (self.minor & 0xff) | ((self.major & 0xfff) << 8) | ((self.minor & 0xfff00) << 12)
    }

    /// The device of that number.
    pub(super) fn decode(number: u32) -> Self {
        Self {
            major: (number >> 8) & 0xfff,
            minor: (number & 0xff) | ((number >> 12) & 0xfff00),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minor_numbers_above_a_byte_surround_the_major_number() {
        for (major, minor, number) in [(1, 3, 0x103), (0x8fe, 0x12345, 0x1238_fe45)] {
            let device = Device { major, minor };

            assert_eq!(device.encode(), number);
            assert_eq!(Device::decode(number), device);
        }
    }
}
