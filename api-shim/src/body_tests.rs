use http::HeaderValue;
use prometheus_client::registry::Registry;

use super::*;

fn bodies(change: impl FnOnce(&mut BodyRules)) -> Bodies {
    let mut rules = BodyRules {
        limit: 5,
        in_flight: 1000,
        grace: Duration::from_secs(30),
        bytes_per_second: 1024,
        longest: Duration::from_mins(1),
    };
    change(&mut rules);
    Bodies::new(rules, Metrics::register(&mut Registry::default()), 2)
}

async fn read(bodies: &Bodies, headers: &HeaderMap, body: Body) -> Result<(Value, Reservation), ShimError> {
    bodies.read_json(Operation::execute, headers, body).await
}

fn declared(length: &'static str) -> HeaderMap {
    HeaderMap::from_iter([
        (header::CONTENT_LENGTH, HeaderValue::from_static(length)),
        (header::EXPECT, HeaderValue::from_static("100-continue")),
    ])
}

fn never() -> Body {
    Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>())
}

#[tokio::test]
async fn a_body_at_the_limit_is_read_and_one_above_it_is_refused() {
    let bodies = bodies(|_| {});
    let (value, _held) = read(&bodies, &HeaderMap::new(), Body::from("12345")).await.expect("read");
    assert_eq!(value, Value::Int("12345".to_owned()));
    let above = read(&bodies, &HeaderMap::new(), Body::from("123456")).await;
    assert!(matches!(above, Err(ShimError::BodyTooLarge)));
}

#[tokio::test]
async fn a_declared_length_is_enough_to_refuse() {
    let refused = read(&bodies(|_| {}), &declared("6"), never()).await;
    assert!(matches!(refused, Err(ShimError::BodyTooLarge)));
}

#[tokio::test]
async fn bodies_that_take_too_much_together_are_turned_away_until_one_is_done() {
    let bodies = bodies(|rules| rules.in_flight = 300);
    let (_, held) = read(&bodies, &HeaderMap::new(), Body::from("[1]")).await.expect("read");
    let declared = read(&bodies, &declared("5"), Body::from("[1,2]")).await;
    assert!(matches!(declared, Err(ShimError::Saturated { retry_after_seconds: 2 })));
    let chunked = Body::from_stream(futures::stream::iter(["[1,", "2]"].map(Ok::<_, std::io::Error>)));
    let grown = read(&bodies, &HeaderMap::new(), chunked).await;
    assert!(matches!(grown, Err(ShimError::Saturated { .. })));
    drop(held);
    assert!(read(&bodies, &HeaderMap::new(), Body::from("[1]")).await.is_ok());
}

#[tokio::test]
async fn a_body_whose_values_alone_are_too_many_is_too_large() {
    let bodies = bodies(|rules| (rules.limit, rules.in_flight) = (100, 1000));
    let refused = read(&bodies, &HeaderMap::new(), Body::from("[1,2,3,4,5,6,7,8,9,0]")).await;
    assert!(matches!(refused, Err(ShimError::BodyTooLarge)));
    let text = read(&bodies, &HeaderMap::new(), Body::from("\"[1,2,3,4,5,6,7,8,9,0]\"")).await;
    assert!(text.is_ok(), "what is in a string is no value");
}

#[tokio::test]
async fn a_body_that_stops_coming_is_given_up_and_its_bytes_are_free_again() {
    let bodies = bodies(|rules| (rules.grace, rules.in_flight) = (Duration::from_millis(1), 300));
    let stuck = read(&bodies, &declared("5"), never()).await;
    assert!(matches!(stuck, Err(ShimError::BodyTimeout)));
    assert!(bodies.budget.reserve(300).is_ok());
}

#[tokio::test]
async fn a_body_that_drips_is_given_up_although_it_never_stops() {
    let bodies = bodies(|rules| (rules.limit, rules.grace) = (1 << 20, Duration::from_millis(5)));
    let drops = futures::stream::unfold((), |()| async {
        tokio::time::sleep(Duration::from_millis(1)).await;
        Some((Ok::<_, std::io::Error>(" "), ()))
    });
    let read = read(&bodies, &HeaderMap::new(), Body::from_stream(drops)).await;
    assert!(matches!(read, Err(ShimError::BodyTimeout)));
}

#[test]
fn time_is_earned_by_bytes_up_to_the_longest() {
    let rules = bodies(|_| {}).rules;
    assert_eq!(rules.time_for(0), Duration::from_secs(30));
    assert_eq!(rules.time_for(2048), Duration::from_secs(32));
    assert_eq!(rules.time_for(usize::MAX), Duration::from_mins(1));
}

#[test]
fn an_empty_body_lacks_everything() {
    let Err(ShimError::Problems(problems)) = read_json(b"") else { panic!("not refused") };
    let entry = serde_json::to_value(&problems.entries()[0]).expect("JSON");
    let expected =
        serde_json::json!({"type": "missing", "loc": ["body"], "msg": "Field required", "input": null});
    assert_eq!(entry, expected);
}

#[test]
fn malformed_json_is_told_with_its_offset() {
    let Err(ShimError::Problems(problems)) = read_json(b"{") else { panic!("not refused") };
    let entry = serde_json::to_value(&problems.entries()[0]).expect("JSON");
    let expected = serde_json::json!({
        "type": "json_invalid", "loc": ["body", 1], "msg": "JSON decode error", "input": {},
        "ctx": {"error": "Expecting property name enclosed in double quotes"},
    });
    assert_eq!(entry, expected);
    assert!(matches!(read_json(b"\xff"), Err(ShimError::BodyUnreadable)));
}
