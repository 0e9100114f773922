//! How does what a recipe prints get to those who read it? In numbered chunks, up to a limit.

use crate::db::builds::leases::Holder;
use crate::db::logs::{self, Chunk};
use crate::error::Error;
use crate::state::Hub;

/// Stores a chunk of an attempt's log; repeating one changes nothing.
///
/// Workers keep to the limit themselves. Should one not, the log ends with a line that says so.
pub(crate) async fn append(
    hub: &Hub,
    holder: Holder,
    number: i32,
    bytes: &[u8],
) -> Result<(), Error> {
    let last = logs::last(&hub.db, holder.build, holder.attempt).await?;
    let next = last.map_or(0, |last| last.number.saturating_add(1));
    let start_offset = last.map_or(0, |last| last.end_offset);
    let limit = hub.config.limits.log_mib.saturating_mul(1 << 20);
    let left = limit.saturating_sub(u64::try_from(start_offset).unwrap_or(0));
    if number < next || (left == 0 && last.is_some()) {
        return Ok(());
    }
    if number > next {
        return Err(Error::BadRequest(format!(
            "chunk {next} of the log comes before {number}"
        )));
    }
    let kept = cut(bytes, left, hub.config.limits.log_mib);
    let (build, attempt) = (holder.build, holder.attempt);
    let chunk = Chunk {
        build,
        attempt,
        number,
        start_offset,
        bytes: &kept,
    };
    Ok(logs::append(&hub.db, &chunk).await?)
}

fn cut(bytes: &[u8], left: u64, log_mib: u64) -> std::borrow::Cow<'_, [u8]> {
    let left = usize::try_from(left).unwrap_or(usize::MAX);
    if bytes.len() <= left {
        return bytes.into();
    }
    let mut kept = bytes[..left].to_vec();
    let line = format!("\n[the log ends here: it is longer than {log_mib} MiB]\n");
    kept.extend_from_slice(line.as_bytes());
    kept.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_over_the_limit_is_cut_and_said_to_be() {
        assert_eq!(cut(b"abc", 3, 1).as_ref(), b"abc");
        assert_eq!(
            String::from_utf8_lossy(&cut(b"abcdef", 2, 1)),
            "ab\n[the log ends here: it is longer than 1 MiB]\n"
        );
    }
}
