use http::HeaderValue;

use super::*;

fn connection(peer: &str, local: &str) -> Connection {
    Connection { peer: peer.parse().expect(peer), local: local.parse().expect(local) }
}

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| (name.parse().expect("a name"), HeaderValue::from_static(value)))
        .collect()
}

fn local() -> Connection {
    connection("127.0.0.1:5000", "127.0.0.1:8000")
}

fn remote() -> Connection {
    connection("10.1.2.3:5000", "10.0.0.1:8000")
}

/// Requests whose URI is a mere path, as HTTP/1.1 sends it.
trait Http1 {
    fn http1(&self, connection: Option<Connection>, headers: &HeaderMap) -> Result<(), Refusal>;
}

impl Http1 for GuardRules {
    fn http1(&self, connection: Option<Connection>, headers: &HeaderMap) -> Result<(), Refusal> {
        self.check(connection, &Uri::from_static("/v1/execute"), headers)
    }
}

const LOCAL_HOST: (&str, &str) = ("host", "localhost:8000");

fn with(change: impl FnOnce(&mut GuardRules)) -> GuardRules {
    let mut rules = GuardRules::default();
    change(&mut rules);
    rules
}

#[test]
fn nothing_set_allows_loopback_only() {
    let rules = GuardRules::default();
    assert!(rules.http1(Some(local()), &headers(&[LOCAL_HOST])).is_ok());
    assert!(
        rules.http1(Some(connection("[::1]:1", "[::1]:8000")), &headers(&[("host", "[::1]:8000")])).is_ok()
    );
    assert!(rules.http1(Some(local()), &headers(&[])).is_ok());
    assert!(rules.http1(Some(remote()), &headers(&[LOCAL_HOST])).is_err());
    // A wildcard listener is judged by the address that the connection came in on.
    assert!(rules.http1(Some(connection("127.0.0.1:1", "127.0.0.1:8000")), &headers(&[LOCAL_HOST])).is_ok());
    assert!(rules.http1(None, &headers(&[LOCAL_HOST])).is_err());
}

#[test]
fn every_list_that_is_set_must_match() {
    let by_address = with(|rules| rules.addresses = vec!["10.0.0.0/8".parse().expect("a network")]);
    assert!(by_address.http1(Some(remote()), &headers(&[("host", "carrel.internal")])).is_ok());
    assert!(by_address.http1(Some(local()), &headers(&[LOCAL_HOST])).is_err());
    let both = with(|rules| {
        rules.addresses = vec!["10.0.0.0/8".parse().expect("a network")];
        rules.hosts = vec!["carrel.internal".to_owned()];
    });
    assert!(both.http1(Some(remote()), &headers(&[("host", "Carrel.Internal:8000")])).is_ok());
    assert!(both.http1(Some(remote()), &headers(&[("host", "other")])).is_err());
    assert!(both.http1(Some(remote()), &headers(&[])).is_err());
}

#[test]
fn a_list_applies_also_when_public_or_authenticated() {
    for set in
        [|rules: &mut GuardRules| rules.public = true, |rules: &mut GuardRules| rules.authenticated = true]
    {
        assert!(with(set).http1(Some(remote()), &headers(&[])).is_ok());
        let mut listed = with(set);
        listed.addresses = vec!["192.168.0.0/16".parse().expect("a network")];
        assert!(listed.http1(Some(remote()), &headers(&[])).is_err());
    }
}

#[test]
fn a_page_of_another_site_is_refused_unless_a_credential_was_checked() {
    let foreign = [
        headers(&[LOCAL_HOST, ("sec-fetch-site", "cross-site")]),
        headers(&[LOCAL_HOST, ("origin", "https://evil.example")]),
        headers(&[LOCAL_HOST, ("origin", "null")]),
    ];
    for sent in &foreign {
        assert!(GuardRules::default().http1(Some(local()), sent).is_err(), "{sent:?}");
        assert!(with(|rules| rules.public = true).http1(Some(local()), sent).is_err(), "{sent:?}");
        assert!(with(|rules| rules.authenticated = true).http1(Some(local()), sent).is_ok(), "{sent:?}");
    }
    let own = headers(&[LOCAL_HOST, ("origin", "http://LOCALHOST:3000"), ("sec-fetch-site", "same-site")]);
    assert!(GuardRules::default().http1(Some(local()), &own).is_ok());
}

#[test]
fn a_foreign_name_that_resolves_to_loopback_is_refused() {
    let rebound = headers(&[("host", "evil.example:8000"), ("origin", "http://evil.example:8000")]);
    assert!(GuardRules::default().http1(Some(local()), &rebound).is_err());
    let listed = with(|rules| rules.addresses = vec!["127.0.0.1".parse().expect("an address")]);
    assert!(listed.http1(Some(local()), &rebound).is_err());
    assert!(
        with(|rules| rules.hosts = vec!["evil.example".to_owned()]).http1(Some(local()), &rebound).is_ok()
    );
    assert!(with(|rules| rules.public = true).http1(Some(local()), &rebound).is_ok());
}

#[test]
fn behind_a_trusted_proxy_the_forwarded_client_counts() {
    let rules = with(|rules| {
        rules.addresses = vec!["10.0.0.0/8".parse().expect("a network")];
        rules.trusted_proxies = vec!["127.0.0.1".parse().expect("an address")];
    });
    let sent = |client| headers(&[("host", "carrel.example"), ("x-forwarded-for", client)]);
    assert!(rules.http1(Some(local()), &sent("10.9.9.9")).is_ok());
    assert!(rules.http1(Some(local()), &sent("8.8.8.8")).is_err());
    assert!(rules.http1(Some(local()), &sent("10.9.9.9, garbage")).is_err());
    assert!(rules.http1(Some(remote()), &sent("8.8.8.8")).is_ok());
}

#[test]
fn the_start_tells_what_will_be_refused() {
    let everywhere = ["0.0.0.0:8000".parse().expect("an address")];
    let here = ["127.0.0.1:8000".parse().expect("an address")];
    assert_eq!(GuardRules::default().warnings(&everywhere).len(), 1);
    assert!(GuardRules::default().warnings(&here).is_empty());
    let both = with(|rules| {
        rules.public = true;
        rules.hosts = vec!["a".to_owned()];
    });
    assert_eq!(both.warnings(&everywhere).len(), 1);
}

#[test]
fn the_host_is_read_from_the_header_and_from_the_authority() {
    let open = GuardRules::default();
    let listed = with(|rules| rules.hosts = vec!["carrel.internal".to_owned()]);
    for (rules, uri, hosts, allowed) in [
        (&open, "http://localhost:8000/v1/execute", vec![], true),
        (&open, "http://[::1]:8000/v1/execute", vec![], true),
        (&open, "http://evil.example:8000/v1/execute", vec![], false),
        (&open, "http://localhost@evil.example/v1/execute", vec![], false),
        (&listed, "http://Carrel.Internal/v1/execute", vec![], true),
        (&listed, "http://localhost/v1/execute", vec![], false),
        (&listed, "/v1/execute", vec![], false),
        (&open, "http://localhost/v1/execute", vec!["LOCALHOST:8000"], true),
        (&open, "http://evil.example/v1/execute", vec!["localhost"], false),
        (&open, "http://localhost/v1/execute", vec!["evil.example"], false),
        (&listed, "http://evil.example/v1/execute", vec!["carrel.internal"], false),
        (&open, "/v1/execute", vec!["localhost", "localhost:8000"], true),
        (&open, "/v1/execute", vec!["localhost", "evil.example"], false),
        (&open, "/v1/execute", vec!["\u{e9}vil.example"], false),
    ] {
        let mut sent = HeaderMap::new();
        for host in &hosts {
            sent.append("host", HeaderValue::from_bytes(host.as_bytes()).expect("a value"));
        }
        let checked = rules.check(Some(local()), &uri.parse().expect("a URI"), &sent);
        assert_eq!(checked.is_ok(), allowed, "{uri} {hosts:?} {checked:?}");
    }
}

#[test]
fn the_origin_is_compared_with_the_authority_too() {
    let uri = Uri::from_static("http://localhost:8000/v1/execute");
    let check = |origin| GuardRules::default().check(Some(local()), &uri, &headers(&[("origin", origin)]));
    assert!(check("http://localhost:3000").is_ok());
    assert!(check("https://evil.example").is_err());
}
