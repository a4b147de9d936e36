//! Settings of who may come in, who that is, and where it belongs. What does not fit together is refused: the service
//! would be open, or closed, by surprise.

use super::{
    ShimConfig, TokenReviewRules,
    reader::{ConfigError, Reader},
    settings::{self as at, Setting},
    values::{boolean, hosts, networks, one_of},
};
use crate::{guard::GuardRules, tenants::Tenants, token_file::TokenFile};

/// Reads them, and the files of tokens and tenants.
pub(super) fn access(reader: &Reader<'_>, shim: &mut ShimConfig) -> Result<(), ConfigError> {
    tokens(reader, shim)?;
    mode(reader, shim)?;
    tenants(reader, shim)?;
    guard(reader, shim)
}

fn refused<T>(reader: &Reader<'_>, setting: &Setting, why: impl Into<String>) -> Result<T, ConfigError> {
    Err(ConfigError::Setting { name: reader.name(setting), why: why.into() })
}

fn tokens(reader: &Reader<'_>, shim: &mut ShimConfig) -> Result<(), ConfigError> {
    if let Some(token) = reader.text(&at::AUTH_TOKEN) {
        if token.contains(char::is_whitespace) {
            return refused(reader, &at::AUTH_TOKEN, "a token has no spaces");
        }
        shim.tokens.add_single(&token);
    }
    let add = |content: &str| shim.tokens.add_file(content).map_err(|error| error.to_string());
    file(reader, &at::AUTH_TOKENS_FILE, add)?;
    shim.token_file = reader.text(&at::AUTH_TOKENS_FILE).map(TokenFile::new);
    Ok(())
}

fn mode(reader: &Reader<'_>, shim: &mut ShimConfig) -> Result<(), ConfigError> {
    let mode = reader.read(&at::AUTH_MODE, one_of(&["none", "tokens", "tokenReview"]))?;
    let audience = reader.text(&at::TOKEN_AUDIENCE);
    let has_tokens = shim.tokens.required();
    match mode {
        Some("tokens") if !has_tokens => {
            return refused(
                reader,
                &at::AUTH_MODE,
                "the mode tokens needs CARREL_AUTH_TOKENS_FILE or AUTH_TOKEN",
            );
        }
        Some(mode @ ("none" | "tokenReview")) if has_tokens => {
            let why = format!("tokens are set, which the mode {mode} does not take");
            return refused(reader, &at::AUTH_MODE, why);
        }
        _ => {}
    }
    if mode == Some("tokenReview") {
        shim.token_review = Some(TokenReviewRules { audience });
    } else if audience.is_some() {
        return refused(reader, &at::TOKEN_AUDIENCE, "it means something in the mode tokenReview only");
    }
    Ok(())
}

fn tenants(reader: &Reader<'_>, shim: &mut ShimConfig) -> Result<(), ConfigError> {
    let parse = |content: &str| Tenants::parse(content).map_err(|error| error.to_string());
    shim.tenants = file(reader, &at::TENANTS_FILE, parse)?;
    let Some(tenants) = &shim.tenants else { return Ok(()) };
    if reader.text(&at::NAMESPACE).is_some() {
        return refused(
            reader,
            &at::NAMESPACE,
            "CARREL_TENANTS_FILE names the namespaces; set one of the two",
        );
    }
    if !shim.authenticates() && !tenants.has_default() {
        let why = "without authentication everybody is in the default tenant, and the file names none";
        return refused(reader, &at::TENANTS_FILE, why);
    }
    Ok(())
}

/// Reads a file that a setting names.
fn file<T>(
    reader: &Reader<'_>,
    setting: &Setting,
    read: impl FnOnce(&str) -> Result<T, String>,
) -> Result<Option<T>, ConfigError> {
    let Some(path) = reader.text(setting) else { return Ok(None) };
    let content = std::fs::read_to_string(&path).map_err(|error| format!("cannot be read: {error}"));
    let value = content.and_then(|content| read(&content));
    value.map(Some).map_err(|why| ConfigError::Value { name: reader.name(setting), value: path, why })
}

fn guard(reader: &Reader<'_>, shim: &mut ShimConfig) -> Result<(), ConfigError> {
    shim.guard = GuardRules {
        addresses: reader.read(&at::IP_ALLOWLIST, networks)?.unwrap_or_default(),
        hosts: reader.read(&at::HOST_ALLOWLIST, hosts)?.unwrap_or_default(),
        public: reader.read(&at::PUBLIC_SPAWN, boolean)?.unwrap_or(false),
        authenticated: shim.authenticates(),
        trusted_proxies: reader.read(&at::TRUSTED_PROXIES, networks)?.unwrap_or_default(),
    };
    Ok(())
}
