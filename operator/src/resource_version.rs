//! Which of two states of one object is the later one.
//!
//! A resourceVersion is a number without leading zeros, of any length: every API server of Kubernetes 1.35 must have it
//! so, and the ones before had (KEP-5504).

/// Whether `a` is the earlier one.
pub(crate) fn is_older(a: &str, b: &str) -> bool {
    (a.len(), a) < (b.len(), b)
}

/// Takes in what the API has said, if it is news: the answer to our own write may come after the watch has shown a later
/// write of somebody else.
pub(crate) fn advance(known: &mut String, said: String) {
    if !is_older(&said, known) {
        *known = said;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_numbers_of_any_length_and_never_go_back() {
        let mut known = String::new();
        for (said, then) in
            [("9", "9"), ("10", "10"), ("9", "10"), ("10", "10"), ("123456789012345678901", "")]
        {
            advance(&mut known, said.to_owned());
            assert_eq!(known, if then.is_empty() { said } else { then });
        }
    }
}
