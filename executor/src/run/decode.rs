//! UTF-8 decoding with replacement of a text that comes in pieces. Pure.
//!
//! Whatever the cuts, the pieces joined are what decoding the whole at once gives.

const REPLACEMENT: char = char::REPLACEMENT_CHARACTER;

/// A decoder between two pieces: it holds back the start of a character that is not complete.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    /// At most 3 bytes.
    pending: Vec<u8>,
}

impl Decoder {
    /// Decodes what is complete.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> String {
        let joined;
        let mut rest = if self.pending.is_empty() {
            bytes
        } else {
            joined = [&std::mem::take(&mut self.pending), bytes].concat();
            &joined
        };
        let mut text = String::with_capacity(rest.len());
        loop {
            let error = match std::str::from_utf8(rest) {
                Ok(valid) => {
                    text.push_str(valid);
                    return text;
                }
                Err(error) => error,
            };
            let (valid, after) = rest.split_at(error.valid_up_to());
            text.push_str(std::str::from_utf8(valid).unwrap_or_default());
            let Some(wrong) = error.error_len() else {
                self.pending = after.to_vec();
                return text;
            };
            text.push(REPLACEMENT);
            rest = after.get(wrong..).unwrap_or_default();
        }
    }

    /// The end: a character that never became complete is replaced.
    pub(crate) fn end(self) -> &'static str {
        if self.pending.is_empty() { "" } else { "\u{fffd}" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLES: [&[u8]; 9] = [
        b"plain",
        "é日本😀".as_bytes(),
        b"\xff\xfe",
        b"a\xe2\x82",
        b"\xe2\x82\xe2\x82\xac",
        b"\xf0\x9f\x98",
        b"\xf0\x9f\x98\x80\x80x",
        b"\xed\xa0\x80",
        b"\xc0\xaf\xf4\x90\x80\x80\0",
    ];

    fn decode(pieces: &[&[u8]]) -> String {
        let mut decoder = Decoder::default();
        let mut text: String = pieces.iter().map(|piece| decoder.push(piece)).collect();
        text.push_str(decoder.end());
        text
    }

    #[test]
    fn every_cut_into_three_gives_the_decode_of_the_whole() {
        for sample in SAMPLES {
            let whole = String::from_utf8_lossy(sample);
            for first in 0..=sample.len() {
                for second in first..=sample.len() {
                    let pieces = [&sample[..first], &sample[first..second], &sample[second..]];
                    assert_eq!(decode(&pieces), whole, "{pieces:?}");
                }
            }
        }
    }

    #[test]
    fn byte_by_byte_gives_the_decode_of_the_whole() {
        for sample in SAMPLES {
            let pieces: Vec<&[u8]> = sample.chunks(1).collect();
            assert_eq!(decode(&pieces), String::from_utf8_lossy(sample));
        }
    }

    #[test]
    fn a_complete_character_is_not_held_back() {
        let mut decoder = Decoder::default();
        assert_eq!(decoder.push("aé".as_bytes()), "aé");
        assert_eq!(decoder.push(b"\xc3"), "");
        assert_eq!(decoder.push(b"\xa9b"), "éb");
        assert_eq!(decoder.end(), "");
    }
}
