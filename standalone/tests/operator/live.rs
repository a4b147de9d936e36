//! Output while the program still runs.

use crds::Reason;
use futures::StreamExt as _;
use protocol::Stream;

use crate::{
    bed::{Bed, alone, soon},
    programs::{go, waiting},
};

#[test]
fn a_follower_sees_text_before_the_program_ends_and_then_all_of_it() {
    alone(async {
        let bed = Bed::new(1, 2).await;
        let made = bed.create("long", waiting(&bed, "long")).await;
        let uid = made.metadata.uid.unwrap();
        let live = &bed.operator.as_ref().unwrap().live;
        let mut early = Box::pin(live.follow(&uid).unwrap());
        // The program waits for us, so this text comes before its end.
        let mut seen = String::new();
        while seen != "before\n" {
            let chunk = soon(early.next()).await.unwrap();
            assert_eq!(chunk.stream, Stream::Stdout);
            seen.push_str(&chunk.text);
            assert!("before\n".starts_with(&seen), "{seen}");
        }
        let late = live.follow(&uid).unwrap();
        go(&bed, "long");
        let text = |chunks: Vec<operator::live_output::LiveChunk>| -> String {
            chunks.into_iter().map(|chunk| chunk.text).collect()
        };
        assert_eq!(text(soon(early.collect()).await), "after\n");
        assert_eq!(text(soon(late.collect()).await), "before\nafter\n");
        let status = bed.finished("long").await;
        assert_eq!(status.reason, Some(Reason::Completed));
        assert_eq!(status.stdout.unwrap().text, "before\nafter\n");
        assert!(live.follow(&uid).is_none());
    });
}
