//! How a tree is compressed, also in the words of `mksquashfs`.

use std::str::FromStr;

use super::writer::{Compression, Options};

/// How a tree is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packing {
    /// With which compressor, and how hard it tries.
    pub compression: Compression,
    /// Bytes of content that are compressed together.
    pub block_size: u32,
    /// How many threads compress; zero means one for each core.
    pub threads: usize,
}

impl Default for Packing {
    fn default() -> Self {
        let options = Options::default();
        Self {
            compression: options.compression,
            block_size: options.block_size,
            threads: options.threads,
        }
    }
}

const UNDERSTOOD: &str =
    "-comp gzip|zstd|xz|lz4, -Xcompression-level N, -b SIZE, -processors N, -mem SIZE";

impl FromStr for Packing {
    type Err = String;

    /// Reads arguments of `mksquashfs`, as far as they say how a tree is compressed.
    fn from_str(arguments: &str) -> Result<Self, String> {
        let mut packing = Self::default();
        let (mut compressor, mut level) = (None, None);
        let mut words = arguments.split_whitespace();
        while let Some(option) = words.next() {
            let mut value = || {
                let value = words.next();
                value.ok_or_else(|| format!("{option} has no value"))
            };
            match option {
                "-comp" => compressor = Some(value()?),
                "-Xcompression-level" => level = Some(number(option, value()?)?),
                "-b" => packing.block_size = block_size(value()?)?,
                "-processors" => packing.threads = number(option, value()?)?,
                // Memory is bounded whatever the tree's size, and nothing is appended to.
                "-mem" => drop(value()?),
                "-noappend" | "-no-progress" | "-quiet" => {}
                _ => return Err(format!("{option} is not understood, but {UNDERSTOOD} are")),
            }
        }
        packing.compression = compression(compressor.unwrap_or("gzip"), level)?;
        let options = packing.options(None);
        options.check().map_err(|error| error.to_string())?;
        Ok(packing)
    }
}

impl Packing {
    /// The writer's options.
    pub(crate) fn options(self, modified: Option<u32>) -> Options {
        Options {
            block_size: self.block_size,
            compression: self.compression,
            modified,
            threads: self.threads,
        }
    }
}

fn compression(name: &str, level: Option<i32>) -> Result<Compression, String> {
    match name {
        "gzip" => Ok(Compression::Gzip {
            level: level.unwrap_or(6),
        }),
        "zstd" => Ok(Compression::Zstd {
            level: level.unwrap_or(15),
        }),
        "xz" => Ok(Compression::Xz {
            level: level.unwrap_or(6),
        }),
        "lz4" if level.is_some() => Err("lz4 has no -Xcompression-level".to_owned()),
        "lz4" => Ok(Compression::Lz4),
        _ => Err(format!(
            "there is no compressor {name}: {UNDERSTOOD} are understood"
        )),
    }
}

fn number<T: FromStr>(option: &str, text: &str) -> Result<T, String> {
    let number = text.parse();
    number.map_err(|_| format!("{option} {text} is not a number that makes sense there"))
}

/// Bytes, or with a letter behind them kibibytes and mebibytes.
fn block_size(text: &str) -> Result<u32, String> {
    let (digits, unit) = match text.strip_suffix(['k', 'K']) {
        Some(digits) => (digits, 1 << 10),
        None => match text.strip_suffix(['m', 'M']) {
            Some(digits) => (digits, 1 << 20),
            None => (text, 1),
        },
    };
    let size: u32 = number("-b", digits)?;
    size.checked_mul(unit)
        .ok_or_else(|| format!("-b {text} is too large"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_of_mksquashfs_say_how_to_compress() {
        let packing: Packing = "-comp zstd -Xcompression-level 3 -b 256K -processors 2 -mem 1G"
            .parse()
            .unwrap();

        assert_eq!(packing.compression, Compression::Zstd { level: 3 });
        assert_eq!(packing.block_size, 262_144);
        assert_eq!(packing.threads, 2);
    }

    #[test]
    fn arguments_that_mean_nothing_are_refused_by_name() {
        for (arguments, named) in [
            ("-all-root", "-all-root"),
            ("-comp", "-comp"),
            ("-comp rar", "rar"),
            ("-b 3000", "3000"),
            ("-b 4G", "4G"),
            ("-comp gzip -Xcompression-level 99", "99"),
            ("-comp lz4 -Xcompression-level 3", "lz4 has no"),
            ("-comp xz -Xcompression-level 10", "from 0 to 9"),
            ("-processors many", "many"),
        ] {
            let error = arguments.parse::<Packing>().unwrap_err();
            assert!(error.contains(named), "{arguments}: {error}");
        }
    }
}
