//! Durations and sizes as people write them.

use std::time::Duration;

use jiff::{Span, SpanRelativeTo};

/// Reads a duration such as `24h`, `1h30m`, `500ms` or `7d`; a day has 24 hours.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let span: Span = text.trim().parse().ok()?;
    Duration::try_from(span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?).ok()
}

/// Reads a size in bytes: `20GiB`, `512MB`, `1.5GiB`, `64m` or a plain number.
///
/// `KB`, `MB`, `GB`, `TB` count in thousands, `KiB` and so on in 1024s, and so do the single letters `k`,
/// `m`, `g` and `t`, as `docker run --memory` takes them. Case does not matter.
pub(crate) fn size(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1 << 40,
        "kb" => 1000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        _ => return None,
    };
    // The fraction is exact: its digits are counted in whole numbers.
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let scale = 10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let digits = format!("{whole}{fraction}").parse::<u128>().ok()?;
    u64::try_from(digits.checked_mul(u128::from(factor))? / scale).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, seconds) in [
            ("24h", 86_400.0),
            ("7d", 604_800.0),
            ("1h30m", 5400.0),
            ("500ms", 0.5),
            ("2 weeks", 1_209_600.0),
        ] {
            assert_eq!(duration(text), Some(Duration::from_secs_f64(seconds)), "{text}");
        }
        for text in ["", "24", "h", "-1h", "1 month", "soon"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("0", 0),
            ("20GiB", 20 << 30),
            ("512MB", 512_000_000),
            ("64m", 64 << 20),
            ("1.5 KiB", 1536),
            ("1024", 1024),
        ] {
            assert_eq!(size(text), Some(bytes), "{text}");
        }
        for text in [
            "",
            "GiB",
            "-1",
            "1.2.3k",
            "1XB",
            "99999999999TiB",
            ".",
            "1.00000000000000000000000000000000000000001",
        ] {
            assert_eq!(size(text), None, "{text}");
        }
    }
}
