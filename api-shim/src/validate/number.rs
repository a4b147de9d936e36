//! Checks of numbers, strict and lax, and their bounds.

use super::{Context, Place, Problems};
use crate::json::Value;

/// The bounds of a number; the first that is not kept is told.
#[derive(Debug, Clone, Copy, Default)]
pub struct Bounds {
    /// At most.
    pub at_most: Option<i64>,
    /// At least.
    pub at_least: Option<i64>,
    /// More than.
    pub above: Option<i64>,
}

impl Bounds {
    /// Only a lower bound.
    #[must_use]
    pub const fn at_least(bound: i64) -> Self {
        Self { at_most: None, at_least: Some(bound), above: None }
    }

    /// No bounds.
    #[must_use]
    pub const fn none() -> Self {
        Self { at_most: None, at_least: None, above: None }
    }

    fn keep(self, number: f64, value: &Value, place: &Place, problems: &mut Problems) -> Option<()> {
        let broken = [
            self.at_most
                .filter(|bound| number > as_float(*bound))
                .map(|bound| ("less_than_equal", "le", bound)),
            self.at_least
                .filter(|bound| number < as_float(*bound))
                .map(|bound| ("greater_than_equal", "ge", bound)),
            self.above.filter(|bound| number <= as_float(*bound)).map(|bound| ("greater_than", "gt", bound)),
        ];
        let Some((kind, name, bound)) = broken.into_iter().flatten().next() else { return Some(()) };
        let words = match name {
            "le" => "less than or equal to",
            "ge" => "greater than or equal to",
            _ => "greater than",
        };
        let message = format!("Input should be {words} {bound}");
        problems.add_with(kind, place, value, message, Context::Bound(name, bound));
        None
    }
}

/// Bounds are small; a float holds them exactly.
fn as_float(bound: i64) -> f64 {
    i32::try_from(bound).map_or(f64::MAX, f64::from)
}

/// An integer and nothing else: no text, no `5.0`, no boolean.
pub fn strict_integer(bounds: Bounds) -> impl FnOnce(&Value, &Place, &mut Problems) -> Option<i64> {
    move |value, place, problems| {
        let Value::Int(digits) = value else {
            problems.add("int_type", place, value, "Input should be a valid integer");
            return None;
        };
        bounded_integer(digits, bounds, value, place, problems)
    }
}

/// An integer in the lax sense: also a whole float, a boolean and a text that spells one.
pub fn lax_integer(bounds: Bounds) -> impl FnOnce(&Value, &Place, &mut Problems) -> Option<i64> {
    move |value, place, problems| {
        let digits = match value {
            Value::Int(digits) => digits.clone(),
            Value::Bool(flag) => u8::from(*flag).to_string(),
            Value::Float(number) if !number.is_finite() => {
                problems.add("finite_number", place, value, "Input should be a finite number");
                return None;
            }
            Value::Float(number) if number.fract() == 0.0 => format!("{number:.0}"),
            Value::Float(_) => {
                let message = "Input should be a valid integer, got a number with a fractional part";
                problems.add("int_from_float", place, value, message);
                return None;
            }
            Value::Text(text) => spelled_integer(text, value, place, problems)?,
            Value::Null | Value::List(_) | Value::Object(_) => {
                problems.add("int_type", place, value, "Input should be a valid integer");
                return None;
            }
        };
        bounded_integer(&digits, bounds, value, place, problems)
    }
}

/// Bounds are checked on the whole number; one beyond 64 bits that keeps them becomes the nearest there is.
fn bounded_integer(
    digits: &str,
    bounds: Bounds,
    value: &Value,
    place: &Place,
    problems: &mut Problems,
) -> Option<i64> {
    let extreme = if digits.starts_with('-') { i64::MIN } else { i64::MAX };
    let nearest = digits.parse().unwrap_or(extreme);
    bounds.keep(digits.parse().unwrap_or(f64::MAX), value, place, problems)?;
    Some(nearest)
}

fn spelled_integer(text: &str, value: &Value, place: &Place, problems: &mut Problems) -> Option<String> {
    let digits = integer_digits(text);
    if digits.is_none() {
        let message = "Input should be a valid integer, unable to parse string as an integer";
        problems.add("int_parsing", place, value, message);
    }
    digits
}

/// `" +1_000.0 "` is 1000: outer spaces, one sign, single underscores and a zero fraction are allowed.
fn integer_digits(text: &str) -> Option<String> {
    let text = text.trim();
    let text = text.split_once('.').map_or(text, |(whole, fraction)| {
        if !fraction.is_empty() && fraction.bytes().all(|byte| byte == b'0') { whole } else { "" }
    });
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let parts: Vec<_> = rest.split('_').collect();
    let sound = parts.iter().all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
    sound.then(|| format!("{sign}{}", parts.concat()))
}

/// A number: also a boolean and a text that spells one.
pub fn number(bounds: Bounds) -> impl FnOnce(&Value, &Place, &mut Problems) -> Option<f64> {
    move |value, place, problems| {
        let read = match value {
            Value::Int(digits) => digits.parse().unwrap_or(f64::INFINITY),
            Value::Float(number) => *number,
            Value::Bool(flag) => f64::from(u8::from(*flag)),
            Value::Text(text) => spelled_number(text, value, place, problems)?,
            Value::Null | Value::List(_) | Value::Object(_) => {
                problems.add("float_type", place, value, "Input should be a valid number");
                return None;
            }
        };
        if read.is_nan() {
            problems.add("finite_number", place, value, "Input should be a finite number");
            return None;
        }
        bounds.keep(read, value, place, problems).map(|()| read)
    }
}

fn spelled_number(text: &str, value: &Value, place: &Place, problems: &mut Problems) -> Option<f64> {
    let number = text.trim().parse().ok();
    if number.is_none() {
        let message = "Input should be a valid number, unable to parse string as a number";
        problems.add("float_parsing", place, value, message);
    }
    number
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::parse;

    fn run<T>(
        body: &str,
        check: impl FnOnce(&Value, &Place, &mut Problems) -> Option<T>,
    ) -> Result<T, &'static str> {
        let mut problems = Problems::default();
        let value = parse(body.as_bytes()).expect("JSON");
        let read = check(&value, &Place::body(), &mut problems);
        problems.verdict(read).map_err(|problems| problems.entries()[0].kind)
    }

    #[test]
    fn a_strict_integer_is_nothing_but_an_integer() {
        assert_eq!(run("5", strict_integer(Bounds::at_least(1))), Ok(5));
        assert_eq!(run("0", strict_integer(Bounds::at_least(1))), Err("greater_than_equal"));
        for body in ["\"5\"", "5.0", "true", "null", "[]"] {
            assert_eq!(run(body, strict_integer(Bounds::none())), Err("int_type"), "{body}");
        }
    }

    #[test]
    fn a_lax_integer_is_read_as_pydantic_reads_it() {
        for (body, expected) in [
            ("5", Ok(5)),
            ("\"5\"", Ok(5)),
            ("\" 5 \"", Ok(5)),
            ("\"+1_000\"", Ok(1000)),
            ("\"5.0\"", Ok(5)),
            ("5.0", Ok(5)),
            ("true", Ok(1)),
            ("1e300", Ok(i64::MAX)),
            ("123456789012345678901234567890", Ok(i64::MAX)),
            ("1.5", Err("int_from_float")),
            ("1e400", Err("finite_number")),
            ("\"\"", Err("int_parsing")),
            ("\"5.5\"", Err("int_parsing")),
            ("\"1__0\"", Err("int_parsing")),
            ("\"a\"", Err("int_parsing")),
            ("-1", Err("greater_than_equal")),
            ("\"-1\"", Err("greater_than_equal")),
            ("null", Err("int_type")),
            ("{}", Err("int_type")),
        ] {
            assert_eq!(run(body, lax_integer(Bounds::at_least(0))), expected, "{body}");
        }
    }

    #[test]
    fn a_number_keeps_its_bounds() {
        let bounds = Bounds { at_most: Some(600), at_least: None, above: Some(0) };
        for (body, expected) in [
            ("0.5", Ok(0.5)),
            ("600", Ok(600.0)),
            ("\"2\"", Ok(2.0)),
            ("true", Ok(1.0)),
            ("0", Err("greater_than")),
            ("-1", Err("greater_than")),
            ("600.1", Err("less_than_equal")),
            ("Infinity", Err("less_than_equal")),
            ("NaN", Err("finite_number")),
            ("\"soon\"", Err("float_parsing")),
            ("[]", Err("float_type")),
        ] {
            assert_eq!(run(body, number(bounds)), expected, "{body}");
        }
    }

    #[test]
    fn a_bound_is_told_with_its_number() {
        let mut problems = Problems::default();
        let _refused = number(Bounds::at_least(1))(&Value::Int("0".into()), &Place::body(), &mut problems);
        let entry = serde_json::to_value(&problems.entries()[0]).expect("JSON");
        assert_eq!(entry["msg"], "Input should be greater than or equal to 1");
        assert_eq!(entry["ctx"], serde_json::json!({"ge": 1}));
    }
}
