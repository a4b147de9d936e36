//! Kubernetes quantities (`512Mi`, `1G`, `1500m`) as bytes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An amount of bytes in the notation of Kubernetes, e.g. `512Mi`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Quantity(
    #[schemars(
        length(min = 1, max = 32),
        regex(pattern = r"^[0-9]+(\.[0-9]+)?(Ki|Mi|Gi|Ti|Pi|Ei|k|M|G|T|P|E)?$")
    )]
    String,
);

/// The suffixes and what they multiply by.
const SUFFIXES: [(&str, u64); 12] = [
    ("Ki", 1 << 10),
    ("Mi", 1 << 20),
    ("Gi", 1 << 30),
    ("Ti", 1 << 40),
    ("Pi", 1 << 50),
    ("Ei", 1 << 60),
    ("k", 1_000),
    ("M", 1_000_000),
    ("G", 1_000_000_000),
    ("T", 1_000_000_000_000),
    ("P", 1_000_000_000_000_000),
    ("E", 1_000_000_000_000_000_000),
];

impl Quantity {
    /// A quantity from its text; it is checked when it is read.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The bytes, rounded up; `None` when the text is no amount of bytes or larger than 2^63 - 1.
    #[must_use]
    pub fn bytes(&self) -> Option<u64> {
        let (number, factor) = SUFFIXES
            .iter()
            .find_map(|(suffix, factor)| self.0.strip_suffix(suffix).map(|n| (n, *factor)))
            .unwrap_or((&self.0, 1));
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let digits = format!("{whole}{fraction}");
        if whole.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let scale = 10u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
        let product = digits.parse::<u128>().ok()?.checked_mul(u128::from(factor))?;
        let bytes = u64::try_from(product.div_ceil(scale)).ok()?;
        i64::try_from(bytes).is_ok().then_some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_as_kubernetes_reads_them() {
        for (text, bytes) in [
            ("0", 0),
            ("1000", 1000),
            ("512Mi", 512 << 20),
            ("1Gi", 1 << 30),
            ("1G", 1_000_000_000),
            ("1.5Ki", 1536),
            ("0.1Ki", 103),
        ] {
            assert_eq!(Quantity::new(text).bytes(), Some(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_amount_of_bytes_is_refused() {
        for text in ["", "Mi", "-1", "1e3", "1 Gi", "1KiB", ".5", "16Ei", "1.5.5"] {
            assert_eq!(Quantity::new(text).bytes(), None, "{text}");
        }
    }
}
