use std::time::Duration;

use super::*;

fn loaded(variables: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
    let lookup =
        |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    load(&Flags::default(), &lookup)
}

fn accepted(variables: &[(&str, &str)]) -> Loaded {
    loaded(variables).unwrap_or_else(|error| panic!("{variables:?}: {error}"))
}

#[test]
fn nothing_set_gives_the_defaults_of_the_contract() {
    let Loaded { shim, pool, warnings, .. } = accepted(&[]);
    assert_eq!(shim.http_listen(), ["0.0.0.0:8000".parse().expect("an address")]);
    assert_eq!(shim.admission.slots, 16);
    assert_eq!(shim.admission.wait, Duration::from_secs(30));
    assert_eq!((shim.bee.default_timeout_seconds, shim.bee.max_timeout_seconds), (60, 600));
    assert_eq!((shim.onyx_max_timeout_milliseconds, shim.body.limit), (60_000, 16_777_216));
    assert_eq!((shim.spec.output_bytes, shim.spec.onyx_file_ttl_seconds), (1_000_000, Some(86_400)));
    assert_eq!((shim.health.version.as_str(), shim.health.backend.as_str()), (VERSION, "kubernetes"));
    assert!(!shim.tokens.required() && warnings.is_empty());
    assert_eq!(pool, PoolSettings::default());
}

#[test]
fn host_and_port_count_when_no_other_address_is_given() {
    let listen = |variables: &[(&str, &str)]| accepted(variables).shim.http_listen()[0].to_string();
    assert_eq!(listen(&[("PORT", "9000")]), "0.0.0.0:9000");
    assert_eq!(listen(&[("HOST", "::1")]), "[::1]:8000");
    assert_eq!(listen(&[("HOST", "localhost"), ("PORT", "1")]), "127.0.0.1:1");
    assert_eq!(listen(&[("PORT", "9000"), ("APP_HTTP_LISTEN_ADDR", "127.0.0.1:5000")]), "127.0.0.1:5000");
    assert_eq!(
        listen(&[("CARREL_HTTP_LISTEN", "127.0.0.1:1"), ("APP_HTTP_LISTEN_ADDR", "127.0.0.1:2")]),
        "127.0.0.1:1"
    );
}

#[test]
fn a_bad_value_stops_the_service_and_is_named() {
    for (name, value) in [
        ("APP_HTTP_LISTEN_ADDR", "8000"),
        ("HOST", "somewhere"),
        ("PORT", "99999"),
        ("APP_INTERNAL_IP_ALLOWLIST", "10.0.0.0/40"),
        ("APP_INTERNAL_IP_ALLOWLIST", "[\"10.0.0.0/8\", \"x\"]"),
        ("APP_PUBLIC_SPAWN_ENABLED", "maybe"),
        ("APP_FILE_SIZE_LIMIT", "1 GB"),
        ("MAX_CONCURRENT_EXECUTIONS", "0"),
        ("MAX_EXEC_TIMEOUT_MS", "-1"),
        ("EXECUTION_QUEUE_TIMEOUT_SEC", "soon"),
        ("KUBERNETES_EXECUTOR_READY_TIMEOUT_SEC", "601"),
        ("KUBERNETES_EXECUTOR_RUN_AS_USER", "0"),
        ("MEMORY_LIMIT_MB", "8"),
        ("CARREL_PACKAGES", "all"),
        ("CARREL_PACKAGES", "any"),
        ("CARREL_PACKAGES", "allowlist"),
        ("CARREL_VERSION_FLOOR", "one"),
        ("LOG_FORMAT", "xml"),
        ("EXECUTOR_BACKEND", "docker"),
        ("PYTHON_EXECUTOR_DOCKER_RUN_ARGS", "--read-only"),
        ("PYTHON_EXECUTOR_DOCKER_NETWORK", "bridge"),
        ("APP_EXECUTOR_POD_SPEC_EXTRA", "{\"containers\": []}"),
        ("KUBERNETES_EXECUTOR_POD_OVERRIDES", "{\"labels\": {\"app\": \"x\"}}"),
        ("KUBERNETES_EXECUTOR_POD_OVERRIDES", "{\"annotations\": {\"carrel.dev/pool\": \"x\"}}"),
        ("KUBERNETES_EXECUTOR_POD_RESOURCES", "{\"limits\": {\"memory\": \"1Gi\"}}"),
        ("APP_EXECUTOR_CONTAINER_RESOURCES", "nothing"),
        ("CARREL_AUTH_TOKENS_FILE", "/does/not/exist"),
        ("CARREL_TENANTS_FILE", "/does/not/exist"),
        ("CARREL_AUTH_MODE", "token"),
    ] {
        let error = loaded(&[(name, value)]).expect_err(name).to_string();
        assert!(error.starts_with(&format!("{name}: {value:?}: ")), "{error}");
    }
    assert!(
        loaded(&[("EXECUTOR_BACKEND", "docker")]).expect_err("docker").to_string().contains("standalone")
    );
}

#[test]
fn all_bodies_together_may_have_what_one_may_have() {
    let error = loaded(&[("CARREL_MAX_BODIES_BYTES", "1024")]).expect_err("too little").to_string();
    assert!(error.starts_with("CARREL_MAX_BODIES_BYTES: it is below the 16777216 bytes"), "{error}");
    let small = [("CARREL_MAX_BODIES_BYTES", "1024"), ("CARREL_MAX_BODY_BYTES", "1024")];
    assert_eq!(accepted(&small).shim.body.in_flight, 1024);
}

#[test]
fn half_of_a_certificate_stops_the_service() {
    let pem = "pem";
    for variables in [
        vec![("APP_GRPC_TLS_CERT", pem)],
        vec![("APP_GRPC_TLS_CERT_KEY", pem)],
        vec![("APP_GRPC_TLS_CA_CERT", pem)],
    ] {
        let error = loaded(&variables).expect_err("half").to_string();
        assert!(error.starts_with(variables[0].0) && !error.contains("\"pem\""), "{error}");
    }
    let all = [("APP_GRPC_TLS_CERT", pem), ("APP_GRPC_TLS_CERT_KEY", pem), ("APP_GRPC_TLS_CA_CERT", pem)];
    assert!(accepted(&all).other.grpc.require_client_certificate);
    let off: Vec<_> = all.into_iter().chain([("CARREL_GRPC_CLIENT_CERTS", "off")]).collect();
    assert!(!accepted(&off).other.grpc.require_client_certificate);
}

#[test]
fn what_has_no_effect_is_said_once() {
    let loaded =
        accepted(&[("APP_LOGGING_CONFIG", "{}"), ("OUTPUT_BASE64", ""), ("KUBERNETES_OWN_NAMESPACE", "x")]);
    assert_eq!(loaded.warnings.len(), 2);
    assert!(loaded.warnings[0].starts_with("APP_LOGGING_CONFIG"));
}

#[test]
fn the_larger_version_is_reported() {
    assert_eq!(accepted(&[("CARREL_VERSION_FLOOR", "0.10.0")]).shim.health.version, "0.10.0");
    assert_eq!(accepted(&[("CARREL_VERSION_FLOOR", "0.1.0")]).shim.health.version, VERSION);
}

#[test]
fn values_reach_their_places() {
    let Loaded { shim, pool, .. } = accepted(&[
        ("AUTH_TOKEN", "secret"),
        ("APP_INTERNAL_IP_ALLOWLIST", "10.0.0.0/8, 127.0.0.1"),
        ("APP_INTERNAL_HOST_ALLOWLIST", "[\"Carrel.Internal\"]"),
        ("EXECUTION_QUEUE_TIMEOUT_SEC", "0"),
        ("MAX_OUTPUT_BYTES", "5"),
        ("CARREL_DRAIN_SECONDS", "80"),
        ("FILE_TTL_SEC", "0"),
        ("CPU_TIME_LIMIT_SEC", "7"),
        ("APP_EXECUTOR_IMAGE", "registry.example:5000/carrel"),
        ("KUBERNETES_EXECUTOR_IMAGE", "other"),
        (
            "KUBERNETES_EXECUTOR_POD_OVERRIDES",
            "{\"nodeSelector\": {\"a\": \"b\"}, \"priorityClassName\": \"low\"}",
        ),
        ("APP_EXECUTOR_POD_SPEC_EXTRA", "{\"priorityClassName\": \"high\"}"),
        ("KUBERNETES_EXECUTOR_WORKSPACE_SIZE_LIMIT", "2Gi"),
    ]);
    assert!(shim.guard.authenticated && shim.tokens.required());
    assert_eq!(
        (shim.guard.addresses.len(), shim.guard.hosts.as_slice()),
        (2, &["carrel.internal".to_owned()][..])
    );
    assert!(shim.admission.wait.is_zero());
    assert_eq!(shim.drain, Duration::from_secs(80));
    assert_eq!((shim.spec.output_bytes, shim.spec.onyx_file_ttl_seconds), (5, None));
    assert_eq!(shim.spec.onyx_cpu_milliseconds, Some(7000));
    assert_eq!(pool.image.as_deref(), Some("registry.example:5000/carrel:latest"));
    assert_eq!(pool.template["priorityClassName"], "high");
    assert_eq!(pool.template["nodeSelector"]["a"], "b");
    assert_eq!((pool.workspace_size, pool.onyx_workspace_size), (Some(Quantity::new("2Gi")), None));
}

/// A file that lives as long as the test.
fn file(content: &str) -> (tempfile::NamedTempFile, String) {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), content).expect("written");
    let path = file.path().to_str().expect("a path").to_owned();
    (file, path)
}

#[test]
fn tenants_come_from_their_file() {
    let (_file, path) = file(r#"{"default": "a", "tenants": [{"namespace": "a"}, {"namespace": "b"}]}"#);
    let tenants = accepted(&[("CARREL_TENANTS_FILE", &path)]).shim.tenants();
    assert_eq!(tenants.iter().map(|tenant| tenant.namespace.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    let both = [("CARREL_TENANTS_FILE", path.as_str()), ("KUBERNETES_EXECUTOR_NAMESPACE", "a")];
    let error = loaded(&both).expect_err("two places").to_string();
    assert!(error.starts_with("KUBERNETES_EXECUTOR_NAMESPACE: CARREL_TENANTS_FILE names"), "{error}");

    let (_file, path) = file(r#"{"tenants": [{"namespace": "a", "identities": ["x"]}]}"#);
    let error = loaded(&[("CARREL_TENANTS_FILE", &path)]).expect_err("nobody comes in").to_string();
    assert!(error.starts_with("CARREL_TENANTS_FILE: without authentication"), "{error}");
    accepted(&[("CARREL_TENANTS_FILE", &path), ("AUTH_TOKEN", "t")]);

    let (_file, path) = file(r#"{"tenants": [{"namespaces": "a"}]}"#);
    let error = loaded(&[("CARREL_TENANTS_FILE", &path)]).expect_err("a bad field").to_string();
    assert!(
        error.starts_with("CARREL_TENANTS_FILE: ") && error.contains("tenants[0].namespaces: "),
        "{error}"
    );
}

#[test]
fn without_tenants_all_is_in_one_namespace() {
    let Loaded { mut shim, .. } = accepted(&[("CARREL_EXECUTOR_NAMESPACE", "x")]);
    assert_eq!(shim.tenants().of_identity(None), Some("x"));
    // As the binary does when nothing is set.
    "own".clone_into(&mut shim.namespace);
    assert_eq!(shim.tenants().of_identity(Some("alice")), Some("own"));
}

#[test]
fn a_file_without_tokens_stops_the_start() {
    let (_file, path) = file("{}");
    for rest in [vec![], vec![("CARREL_AUTH_MODE", "tokens")], vec![("AUTH_TOKEN", "t")]] {
        let variables = [vec![("CARREL_AUTH_TOKENS_FILE", path.as_str())], rest].concat();
        let error = loaded(&variables).expect_err("refused").to_string();
        assert!(error.contains("has no tokens"), "{error}");
    }
    let (_file, path) = file(r#"{"alice": "t"}"#);
    assert!(accepted(&[("CARREL_AUTH_TOKENS_FILE", &path)]).shim.guard.authenticated);
}

#[test]
fn a_mode_that_does_not_fit_the_tokens_stops_the_service() {
    let review = accepted(&[("CARREL_AUTH_MODE", "tokenReview"), ("CARREL_TOKEN_AUDIENCE", "carrel")]).shim;
    let audience = review.token_review.as_ref().and_then(|rules| rules.audience.as_deref());
    assert_eq!((audience, review.guard.authenticated), (Some("carrel"), true));
    assert!(!accepted(&[("CARREL_AUTH_MODE", "none")]).shim.guard.authenticated);
    assert!(accepted(&[("CARREL_AUTH_MODE", "tokens"), ("AUTH_TOKEN", "t")]).shim.guard.authenticated);
    for (variables, begin) in [
        (vec![("CARREL_AUTH_MODE", "tokens")], "CARREL_AUTH_MODE: the mode tokens needs"),
        (vec![("CARREL_AUTH_MODE", "none"), ("AUTH_TOKEN", "t")], "CARREL_AUTH_MODE: tokens are set"),
        (vec![("CARREL_AUTH_MODE", "tokenReview"), ("AUTH_TOKEN", "t")], "CARREL_AUTH_MODE: tokens are set"),
        (vec![("CARREL_TOKEN_AUDIENCE", "carrel")], "CARREL_TOKEN_AUDIENCE: it means something in"),
    ] {
        let error = loaded(&variables).expect_err("refused").to_string();
        assert!(error.starts_with(begin), "{error}");
    }
}
