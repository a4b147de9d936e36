//! Takes in a program's text: not what an earlier connection brought, and not more than the executor may send.

use protocol::Stream;

use super::super::output;
use crate::live_output::LiveRun;

/// How much of each stream one connection still skips, and how much of it is here. Stdout first.
#[derive(Debug)]
pub(super) struct Intake {
    most: usize,
    skip: [usize; 2],
    taken: [usize; 2],
}

impl Intake {
    /// `limit` is `limits.outputBytes`.
    pub(super) fn new(live: &LiveRun, limit: usize) -> Self {
        let here = [live.bytes(Stream::Stdout), live.bytes(Stream::Stderr)];
        Self { most: output::most(limit), skip: here, taken: here }
    }

    /// Takes in text as far as it is new and fits.
    pub(super) fn push(&mut self, live: &LiveRun, stream: Stream, text: &str) {
        let ([out_skip, err_skip], [out_taken, err_taken]) = (&mut self.skip, &mut self.taken);
        let (skip, taken) = match stream {
            Stream::Stdout => (out_skip, out_taken),
            Stream::Stderr => (err_skip, err_taken),
        };
        let known = (*skip).min(text.len());
        *skip -= known;
        let fresh = text.get(known..).unwrap_or_default();
        let fits = output::beginning(fresh, self.most.saturating_sub(*taken));
        // After a cut nothing more is taken, also when it would fit.
        *taken = if fits.len() == fresh.len() { *taken + fits.len() } else { self.most };
        live.push(stream, fits);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_was_there_before_a_lost_connection_is_not_taken_twice() {
        let live = LiveRun::default();
        live.push(Stream::Stdout, "abc");
        let mut intake = Intake::new(&live, 100);
        intake.push(&live, Stream::Stdout, "ab");
        intake.push(&live, Stream::Stdout, "cd");
        intake.push(&live, Stream::Stderr, "x");
        assert_eq!((live.text(Stream::Stdout).as_str(), live.text(Stream::Stderr).as_str()), ("abcd", "x"));
    }

    #[test]
    fn an_executor_cannot_send_more_than_its_limit_allows() {
        let live = LiveRun::default();
        let mut intake = Intake::new(&live, 10);
        for _ in 0..100 {
            intake.push(&live, Stream::Stdout, "😀😀😀");
            intake.push(&live, Stream::Stderr, "ab");
        }
        let most = output::most(10);
        let (out, err) = (live.bytes(Stream::Stdout), live.bytes(Stream::Stderr));
        assert!(out <= most && output::was_cut(out, 10), "{out}");
        assert_eq!(err, most);
        Intake::new(&live, 10).push(&live, Stream::Stdout, &format!("{}a", "😀".repeat(100)));
        assert_eq!(live.bytes(Stream::Stdout), out, "a second connection brings no more either");
    }
}
