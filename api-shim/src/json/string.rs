//! The inside of one JSON string: escapes, surrogate pairs and the ways in which they can be wrong.

use super::parse::Stop;

/// What was between the quotes.
pub(super) struct Read {
    pub(super) text: String,
    /// The byte after the closing quote.
    pub(super) end: usize,
    /// Half of a surrogate pair was escaped; such a text has no UTF-8 form.
    pub(super) lone_surrogate: bool,
}

/// Reads from the byte after the opening quote.
pub(super) fn read_string(text: &str, start: usize) -> Result<Read, Stop> {
    let bytes = text.as_bytes();
    let unterminated = || Stop::At(start - 1, "Unterminated string starting at");
    let mut read = Read { text: String::new(), end: start, lone_surrogate: false };
    loop {
        let special = find_special(bytes, read.end)?;
        read.text.push_str(text.get(read.end..special).unwrap_or_default());
        match bytes.get(special) {
            None => return Err(unterminated()),
            Some(b'"') => {
                read.end = special + 1;
                return Ok(read);
            }
            Some(_) => match bytes.get(special + 1) {
                None => return Err(unterminated()),
                Some(b'u') => unicode_escape(bytes, special, &mut read)?,
                Some(letter) => {
                    let plain = simple_escape(*letter).ok_or(Stop::At(special, "Invalid \\escape"))?;
                    read.text.push(plain);
                    read.end = special + 2;
                }
            },
        }
    }
}

/// The next quote, backslash or end; a control character before it is an error.
fn find_special(bytes: &[u8], from: usize) -> Result<usize, Stop> {
    let rest = bytes.get(from..).unwrap_or_default();
    let found = rest
        .iter()
        .position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f))
        .map_or(bytes.len(), |offset| from + offset);
    match bytes.get(found) {
        Some(0..=0x1f) => Err(Stop::At(found, "Invalid control character at")),
        _ => Ok(found),
    }
}

const fn simple_escape(letter: u8) -> Option<char> {
    Some(match letter {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        _ => return None,
    })
}

/// `\uXXXX` at `backslash`, with its second half when it is the first of a pair.
fn unicode_escape(bytes: &[u8], backslash: usize, read: &mut Read) -> Result<(), Stop> {
    let first = four_digits(bytes, backslash)?;
    read.end = backslash + 6;
    let is_high = (0xd800..0xdc00).contains(&first);
    if is_high && bytes.get(read.end..read.end + 2) == Some(b"\\u") {
        let second = four_digits(bytes, read.end)?;
        if (0xdc00..0xe000).contains(&second) {
            let joined = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
            read.text.push(char::from_u32(joined).unwrap_or(char::REPLACEMENT_CHARACTER));
            read.end += 6;
            return Ok(());
        }
    }
    match char::from_u32(first) {
        Some(character) => read.text.push(character),
        None => read.lone_surrogate = true,
    }
    Ok(())
}

/// The digits after `\u`. At least one more character must follow them: a string has to be closed.
fn four_digits(bytes: &[u8], backslash: usize) -> Result<u32, Stop> {
    let invalid = || Stop::At(backslash + 1, "Invalid \\uXXXX escape");
    let digits = bytes.get(backslash + 2..backslash + 6).ok_or_else(invalid)?;
    if bytes.len() <= backslash + 6 {
        return Err(invalid());
    }
    digits
        .iter()
        .try_fold(0, |sum, digit| char::from(*digit).to_digit(16).map(|value| sum * 16 + value))
        .ok_or_else(invalid)
}
