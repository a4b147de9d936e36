//! Finds the token of a request. What it must say is decided in `protocol::token`.

use axum::http::{HeaderMap, HeaderValue};
use protocol::TokenError;

/// The one token header. Two of them are refused: another reader might choose the other one.
pub(crate) fn header(headers: &HeaderMap) -> Result<&str, TokenError> {
    let mut values = headers.get_all(protocol::token::HEADER).iter();
    match (values.next().map(HeaderValue::to_str), values.next()) {
        (Some(Ok(value)), None) => Ok(value),
        _ => Err(TokenError::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_one_readable_header_is_needed() {
        let mut headers = HeaderMap::new();
        assert_eq!(header(&headers), Err(TokenError::Malformed));
        headers.append("authorization", HeaderValue::from_static("Carrel a.b"));
        assert_eq!(header(&headers), Ok("Carrel a.b"));
        headers.append("authorization", HeaderValue::from_static("Carrel a.b"));
        assert_eq!(header(&headers), Err(TokenError::Malformed));
    }

    #[test]
    fn bytes_that_are_no_text_are_malformed() {
        let mut headers = HeaderMap::new();
        headers.append("authorization", HeaderValue::from_bytes(b"Carrel \xff").unwrap());
        assert_eq!(header(&headers), Err(TokenError::Malformed));
    }
}
