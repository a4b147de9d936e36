use super::*;

fn tenants() -> Tenants {
    Tenants::parse(
        r#"{"default": "ns-a", "tenants": [
            {"namespace": "ns-b", "identities": ["bob", "system:serviceaccount:ns-a:bot"], "groups": ["devs", "ops"]},
            {"namespace": "ns-a", "identities": ["alice"], "groups": ["all"], "pool": "fast"}]}"#,
    )
    .expect("a file")
}

#[test]
fn an_identity_is_where_it_is_named_and_otherwise_in_the_default() {
    for (identity, namespace) in
        [(Some("bob"), "ns-b"), (Some("alice"), "ns-a"), (Some("carol"), "ns-a"), (None, "ns-a")]
    {
        assert_eq!(tenants().of_identity(identity), Some(namespace), "{identity:?}");
    }
    // A group is no identity.
    assert_eq!(tenants().of_identity(Some("devs")), Some("ns-a"));
}

#[test]
fn without_a_default_only_those_who_are_named_have_a_tenant() {
    let closed =
        Tenants::parse(r#"{"tenants": [{"namespace": "a", "identities": ["alice"]}]}"#).expect("a file");
    assert_eq!(closed.of_identity(Some("alice")), Some("a"));
    assert_eq!((closed.of_identity(Some("bob")), closed.of_identity(None)), (None, None));
    assert!(!closed.has_default());
}

#[test]
fn a_user_is_found_by_name_then_by_group_then_as_a_service_account_of_a_tenant() {
    let groups = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    for (name, in_groups, namespace) in [
        ("bob", groups(&["all"]), Some("ns-b")),
        ("carol", groups(&["x", "devs"]), Some("ns-b")),
        ("carol", groups(&["devs", "all"]), Some("ns-b")),
        ("system:serviceaccount:ns-a:bot", vec![], Some("ns-b")),
        ("system:serviceaccount:ns-a:other", vec![], Some("ns-a")),
        ("system:serviceaccount:ns-a:other", groups(&["ops"]), Some("ns-b")),
        ("system:serviceaccount:ns-c:other", groups(&["system:authenticated"]), None),
        ("carol", vec![], None),
        // A name that is called like a group is not in it.
        ("devs", vec![], None),
        ("ns-a:x", vec![], None),
    ] {
        assert_eq!(tenants().of_user(name, &in_groups), namespace, "{name} {in_groups:?}");
    }
}

#[test]
fn the_default_comes_first() {
    let namespaces: Vec<_> = tenants().iter().map(|tenant| tenant.namespace.clone()).collect();
    assert_eq!(namespaces, ["ns-a", "ns-b"]);
}

#[test]
fn everybody_is_in_the_one_namespace_there_is() {
    let one = Tenants::one("default");
    assert_eq!((one.of_identity(None), one.of_identity(Some("x"))), (Some("default"), Some("default")));
    assert_eq!(one.of_user("system:serviceaccount:default:x", &[]), Some("default"));
    assert_eq!(one.of_user("alice", &[]), None);
}

#[test]
fn a_file_that_cannot_be_meant_is_refused_by_the_name_of_the_field() {
    for (content, begin) in [
        ("", "the file: "),
        ("[]", "the file: "),
        (r#"{"tenants": [{"namespace": "a"}]} x"#, "the file: "),
        ("{}", "the file: missing field `tenants`"),
        (r#"{"tenants": []}"#, "tenants: there is none"),
        (r#"{"tenants": [], "tenant": 1}"#, "tenant: unknown field"),
        (r#"{"tenants": [{"identities": []}]}"#, "tenants[0]: missing field `namespace`"),
        (r#"{"tenants": [{"namespace": 1}]}"#, "tenants[0].namespace: invalid type"),
        (r#"{"tenants": [{"namespace": "a", "identity": []}]}"#, "tenants[0].identity: unknown field"),
        (
            r#"{"tenants": [{"namespace": "a"}, {"namespace": "A_b"}]}"#,
            "tenants[1].namespace: \"A_b\" is no name",
        ),
        (
            r#"{"tenants": [{"namespace": "a"}, {"namespace": "a"}]}"#,
            "tenants[1].namespace: \"a\" is named twice",
        ),
        (r#"{"tenants": [{"namespace": "a", "pool": ""}]}"#, "tenants[0].pool: \"\" is no name"),
        (r#"{"tenants": [{"namespace": "a", "identities": [""]}]}"#, "tenants[0].identities: \"\" is empty"),
        (r#"{"tenants": [{"namespace": "a", "groups": [5]}]}"#, "tenants[0].groups[0]: invalid type"),
        (
            r#"{"tenants": [{"namespace": "a", "identities": ["x"]}, {"namespace": "b", "identities": ["y", "x"]}]}"#,
            "tenants[1].identities: \"x\" is already in the tenant \"a\"",
        ),
        (
            r#"{"tenants": [{"namespace": "a", "groups": ["x"]}, {"namespace": "b", "groups": ["x"]}]}"#,
            "tenants[1].groups: \"x\" is already in the tenant \"a\"",
        ),
        (
            r#"{"default": "b", "tenants": [{"namespace": "a"}]}"#,
            "default: \"b\" is the namespace of no tenant",
        ),
    ] {
        let error = Tenants::parse(content).expect_err(content).to_string();
        assert!(error.starts_with(begin), "{content}: {error}");
    }
}
