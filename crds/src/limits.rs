//! Every size and time limit that more than one component must agree on, with its unit in the name.
//!
//! A limit of one component alone lives there. Limits that nest are asserted at compile time at the end.

/// Encoded JSON of a `CodeExecution` spec, in bytes. etcd counts bytes where a schema counts characters.
pub const SPEC_BYTES: usize = 512 * 1024;
/// Encoded JSON of a `CodeExecution` status, in bytes.
pub const STATUS_BYTES: usize = 384 * 1024;
/// What one stream (stdout or stderr) may take inline in the status, in encoded JSON bytes.
pub const INLINE_OUTPUT_BYTES: usize = 64 * 1024;
/// What the list of changed files may take inline in the status, in encoded JSON bytes.
pub const INLINE_FILES_BYTES: usize = 128 * 1024;
/// What the typed results may take inline in the status, in encoded JSON bytes.
pub const INLINE_RESULTS_BYTES: usize = 64 * 1024;
/// How many skipped files a status names; further ones are only counted.
pub const SKIPPED_FILES: usize = 64;
/// The largest object the API takes, in bytes (etcd's default request limit).
pub const OBJECT_BYTES: usize = 1_572_864;
/// The largest source that is run, in bytes; a longer one than fits the spec travels as a file.
pub const SOURCE_BYTES: usize = 16 * 1024 * 1024;

/// Default of `limits.outputBytes`, per stream.
pub const OUTPUT_BYTES: i64 = 1_000_000;
/// Highest `limits.outputBytes`, per stream.
pub const MAX_OUTPUT_BYTES: i64 = 64 * 1024 * 1024;
/// Default and highest number of changed files that are kept.
pub const OUTPUT_FILES: i32 = 1000;
/// Default of the bytes of all changed files together.
pub const OUTPUT_FILES_BYTES: i64 = 1024 * 1024 * 1024;
/// Default of the bytes of one changed file.
pub const OUTPUT_FILE_BYTES: i64 = 1024 * 1024 * 1024;
/// What ends a text that was cut (contract: output limit).
pub const TRUNCATION_MARKER: &str = "\n...[truncated]";
/// How much shorter than the limit a cut text is, so that the marker fits, in bytes.
pub const TRUNCATION_RESERVE_BYTES: usize = 32;

/// Default time for the program to run.
pub const TIMEOUT_MILLISECONDS: i64 = 60_000;
/// Longest time a program may run: one day.
pub const MAX_TIMEOUT_MILLISECONDS: i64 = 86_400_000;
/// Default life of a finished execution made with kubectl.
pub const TTL_SECONDS: i64 = 600;
/// Life of a finished execution that the shim made and has read.
pub const SHIM_TTL_SECONDS: i64 = 60;
/// How many finished executions one namespace keeps, whatever their TTL.
pub const FINISHED_PER_NAMESPACE: usize = 10_000;
/// Default wait of the shim for a sandbox.
pub const START_DEADLINE_SECONDS: i64 = 30;

/// A run is shown as `Running` only when it lasts longer than this: short runs save the write.
pub const LAZY_RUNNING_MILLISECONDS: u64 = 150;
/// An execution is shown as `Queued` only when it waits longer than this.
pub const LAZY_QUEUED_MILLISECONDS: u64 = 500;
/// Time for killing a run's processes and reading its changed files, after its deadline.
pub const COLLECT_MILLISECONDS: i64 = 60_000;
/// What the operator allows an executor beyond deadline and collection before it asks again.
pub const OPERATOR_MARGIN_MILLISECONDS: i64 = 15_000;
/// What the shim allows the operator on top of that before it gives up on an answer.
pub const SHIM_MARGIN_MILLISECONDS: i64 = OPERATOR_MARGIN_MILLISECONDS + 15_000;

/// How long a file without an expiry is kept unless somebody says otherwise: a week.
pub const FILE_RETENTION_SECONDS: i64 = 604_800;
/// The largest whole number that every JSON reader takes exactly (RFC 8259, section 6): 2^53 - 1.
pub const MAX_INTEGER: i64 = 9_007_199_254_740_991;
/// The last second of the year 9999, the last one that the API's timestamps can write (RFC 3339).
pub const MAX_UNIX_SECONDS: i64 = 253_402_300_799;

/// Duration of the leader's lease.
pub const LEASE_SECONDS: i64 = 15;
/// The leader renews its lease this often.
pub const LEASE_RENEW_SECONDS: i64 = 5;
/// Life of a token that permits one request to an executor: always inside the lease.
pub const TOKEN_SECONDS: i64 = 8;
/// A pod whose clock differs by more is not used.
pub const CLOCK_SKEW_MILLISECONDS: i64 = 1000;
/// A new leader waits this long beyond the old lease when a pod does not answer.
pub const TAKEOVER_MARGIN_SECONDS: i64 = 2;
/// After this an execution that a silent pod may hold ends as `Lost`.
pub const LOST_AFTER_SECONDS: i64 = 60;

const _: () = assert!(SPEC_BYTES + STATUS_BYTES + 256 * 1024 <= OBJECT_BYTES);
const _: () =
    assert!(2 * INLINE_OUTPUT_BYTES + INLINE_FILES_BYTES + INLINE_RESULTS_BYTES + 64 * 1024 <= STATUS_BYTES);
const _: () = assert!(TIMEOUT_MILLISECONDS <= MAX_TIMEOUT_MILLISECONDS);
const _: () = assert!(OUTPUT_BYTES <= MAX_OUTPUT_BYTES);
const _: () = assert!(SHIM_MARGIN_MILLISECONDS > OPERATOR_MARGIN_MILLISECONDS);
const _: () = assert!(LEASE_RENEW_SECONDS * 2 < LEASE_SECONDS);
const _: () = assert!(
    TOKEN_SECONDS + LEASE_RENEW_SECONDS + TAKEOVER_MARGIN_SECONDS <= LEASE_SECONDS,
    "a token given right before a missed renewal must be dead when the lease is"
);
const _: () = assert!(SHIM_TTL_SECONDS <= TTL_SECONDS);
