//! Settings → configuration. A setting that is not set leaves the default of [`ShimConfig`].

use std::net::SocketAddr;

use crds::{
    Quantity,
    code_execution::{PackagePolicy, Packages},
    limits,
};

use super::{
    ShimConfig, VERSION, access,
    pool::{self, OtherSettings, PoolSettings},
    reader::{ConfigError, Environment, Flags, Reader},
    refused, settings as at,
    values::{
        boolean, integer, list, listen_addresses, one_of, positive_seconds, quantity, seconds, version,
    },
};

/// Everything that was set.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The shim's own.
    pub shim: ShimConfig,
    /// The default pool's.
    pub pool: PoolSettings,
    /// Other parts'.
    pub other: OtherSettings,
    /// What to log at start, once each.
    pub warnings: Vec<String>,
}

/// Reads flags and environment, and the files of tokens and tenants.
pub fn load(flags: &Flags, environment: Environment<'_>) -> Result<Loaded, ConfigError> {
    let reader = Reader::new(flags, environment);
    refused::refuse(&reader)?;
    let mut shim = ShimConfig::default();
    listeners(&reader, &mut shim)?;
    backend(&reader, &mut shim)?;
    bodies(&reader, &mut shim)?;
    requests(&reader, &mut shim)?;
    outputs(&reader, &mut shim)?;
    capacity(&reader, &mut shim)?;
    access::access(&reader, &mut shim)?;
    let (pool, other) = (pool::pool(&reader)?, pool::other(&reader)?);
    Ok(Loaded { shim, pool, other, warnings: refused::ignored(&reader) })
}

/// Replaces a default by what was set.
fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

fn listeners(reader: &Reader<'_>, shim: &mut ShimConfig) -> Result<(), ConfigError> {
    shim.http_listen = reader.read(&at::HTTP_LISTEN, listen_addresses)?;
    let bad = |name: &str, value: String, why: &str| ConfigError::Value {
        name: name.to_owned(),
        value,
        why: why.to_owned(),
    };
    let host = reader.variable("HOST").map(|host| {
        let name = if host == "localhost" { "127.0.0.1" } else { &host };
        name.parse().map_err(|_| bad("HOST", host.clone(), "expected an IP address"))
    });
    let port = reader
        .variable("PORT")
        .map(|port| port.parse().map_err(|_| bad("PORT", port, "expected a port from 0 to 65535")));
    let (host, port) = (host.transpose()?, port.transpose()?);
    if shim.http_listen.is_none() && (host.is_some() || port.is_some()) {
        let fallback = super::DEFAULT_HTTP_LISTEN;
        shim.http_listen = Some(vec![SocketAddr::new(
            host.unwrap_or_else(|| fallback.ip()),
            port.unwrap_or_else(|| fallback.port()),
        )]);
    }
    Ok(())
}

fn backend(reader: &Reader<'_>, shim: &mut ShimConfig) -> Result<(), ConfigError> {
    let known = |text: &str| match text {
        "docker" => Err("there is no Docker backend; standalone runs without a cluster".to_owned()),
        _ => one_of(&["kubernetes", "standalone"])(text),
    };
    set(&mut shim.health.backend, reader.read(&at::BACKEND, known)?.map(str::to_owned));
    set(&mut shim.namespace, reader.text(&at::NAMESPACE));
    set(&mut shim.spec.pool, reader.text(&at::POOL));
    set(&mut shim.spec.start_deadline_seconds, reader.read(&at::READY_TIMEOUT, integer(1..=600))?);
    set(&mut shim.health.interval, reader.read(&at::HEALTH_INTERVAL, positive_seconds)?);
    set(&mut shim.health.check_timeout, reader.read(&at::CHECK_TIMEOUT, positive_seconds)?);
    let own = version(VERSION).unwrap_or_default();
    let floor = reader.read(&at::VERSION_FLOOR, version)?.unwrap_or([0, 5, 0]);
    shim.health.version = own.max(floor).map(|part| part.to_string()).join(".");
    Ok(())
}

fn requests(reader: &Reader<'_>, shim: &mut ShimConfig) -> Result<(), ConfigError> {
    let most = limits::MAX_TIMEOUT_MILLISECONDS;
    let small =
        |text: &str| integer(1..=most / 1000)(text).map(|number| u32::try_from(number).unwrap_or(u32::MAX));
    set(&mut shim.bee.max_timeout_seconds, reader.read(&at::MAX_TIMEOUT, small)?);
    set(&mut shim.bee.default_timeout_seconds, reader.read(&at::DEFAULT_TIMEOUT, small)?);
    set(&mut shim.bee.require_chat_id, reader.read(&at::REQUIRE_CHAT_ID, boolean)?);
    set(&mut shim.bee.default_max_downloads, reader.read(&at::MAX_DOWNLOADS, integer(0..=i64::MAX))?);
    set(&mut shim.onyx_max_timeout_milliseconds, reader.read(&at::MAX_TIMEOUT_MS, integer(1..=most))?);
    if shim.bee.default_timeout_seconds > shim.bee.max_timeout_seconds {
        let why = format!("it is above the maximum of {} s", shim.bee.max_timeout_seconds);
        return Err(ConfigError::Setting { name: reader.name(&at::DEFAULT_TIMEOUT), why });
    }
    Ok(())
}

fn bodies(reader: &Reader<'_>, shim: &mut ShimConfig) -> Result<(), ConfigError> {
    const GIBIBYTE: i64 = 1024 * 1024 * 1024;
    let size = |most: i64| {
        move |text: &str| {
            integer(1024..=most)(text).map(|number| usize::try_from(number).unwrap_or(usize::MAX))
        }
    };
    set(&mut shim.body.limit, reader.read(&at::MAX_BODY_BYTES, size(GIBIBYTE))?);
    set(&mut shim.body.in_flight, reader.read(&at::MAX_BODIES_BYTES, size(64 * GIBIBYTE))?);
    if shim.body.in_flight < shim.body.limit {
        let why = format!("it is below the {} bytes that one body may have", shim.body.limit);
        return Err(ConfigError::Setting { name: reader.name(&at::MAX_BODIES_BYTES), why });
    }
    Ok(())
}

fn outputs(reader: &Reader<'_>, shim: &mut ShimConfig) -> Result<(), ConfigError> {
    let spec = &mut shim.spec;
    set(&mut spec.output_bytes, reader.read(&at::MAX_OUTPUT_BYTES, integer(0..=limits::MAX_OUTPUT_BYTES))?);
    let files = reader.read(&at::MAX_OUTPUT_FILES, integer(0..=i64::from(limits::OUTPUT_FILES)))?;
    set(&mut spec.output_files, files.and_then(|files| i32::try_from(files).ok()));
    set(&mut spec.output_files_bytes, reader.read(&at::MAX_OUTPUT_FILES_BYTES, integer(0..=i64::MAX))?);
    let one = reader.read(&at::FILE_SIZE_LIMIT, quantity)?.and_then(|size| size.bytes());
    set(&mut spec.output_file_bytes, one.and_then(|bytes| i64::try_from(bytes).ok()));
    if let Some(seconds) = reader.read(&at::FILE_TTL, integer(0..=315_360_000))? {
        spec.onyx_file_ttl_seconds = (seconds > 0).then_some(seconds);
    }
    let cpu = reader.read(&at::CPU_SECONDS, integer(1..=864_000))?;
    spec.onyx_cpu_milliseconds = cpu.map(|seconds| seconds * 1000);
    let memory = reader.read(&at::MEMORY_MB, integer(16..=16 * 1024 * 1024))?;
    spec.onyx_memory = memory.map(|megabytes| Quantity::new(format!("{megabytes}Mi")));
    spec.bee_packages = packages(reader)?;
    Ok(())
}

/// The list and the deadline are read so that a bad one is told, although nothing is installed yet.
fn packages(reader: &Reader<'_>) -> Result<Packages, ConfigError> {
    let mut packages = Packages { policy: PackagePolicy::Off, ..Packages::default() };
    let off = |text: &str| match text {
        "any" | "allowlist" => {
            Err("installing packages is not supported in this version; only off can be set".to_owned())
        }
        _ => one_of(&["off"])(text),
    };
    reader.read(&at::PACKAGES, off)?;
    set(&mut packages.allowed, reader.read(&at::PACKAGES_ALLOWLIST, list)?);
    set(&mut packages.timeout_seconds, reader.read(&at::INSTALL_TIMEOUT, integer(1..=3600))?);
    Ok(packages)
}

fn capacity(reader: &Reader<'_>, shim: &mut ShimConfig) -> Result<(), ConfigError> {
    let after = |text: &str| integer(0..=86_400)(text).map(i64::unsigned_abs);
    let slots =
        |text: &str| integer(1..=100_000)(text).map(|number| usize::try_from(number).unwrap_or(usize::MAX));
    set(&mut shim.admission.slots, reader.read(&at::MAX_CONCURRENT, slots)?);
    set(&mut shim.admission.wait, reader.read(&at::QUEUE_TIMEOUT, seconds)?);
    set(&mut shim.admission.retry_after_seconds, reader.read(&at::RETRY_AFTER, after)?);
    set(&mut shim.drain, reader.read(&at::DRAIN, seconds)?);
    set(&mut shim.capacity_retry_after_seconds, reader.read(&at::CAPACITY_RETRY_AFTER, after)?);
    Ok(())
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
