//! The numbers of a spec in the executor's units: pure.

use crds::{
    code_execution::{Failure, Limits},
    limits,
};
use protocol::RunLimits;

use super::refuse;

pub(super) fn run_limits(given: &Limits) -> Result<RunLimits, Failure> {
    let Limits {
        memory,
        cpu_milliseconds,
        processes,
        output_bytes,
        output_files,
        output_file_bytes,
        output_files_bytes,
    } = given;
    let memory_bytes = match memory {
        Some(quantity) => Some(quantity.bytes().filter(|bytes| *bytes > 0).ok_or_else(|| {
            let message = "limits.memory is no amount of bytes above 0, such as 512Mi";
            refuse("limits.memory", Some(quantity.as_str()), message)
        })?),
        None => None,
    };
    let cpu_milliseconds = match cpu_milliseconds {
        Some(cpu) => Some(positive(*cpu, "limits.cpuMilliseconds")?),
        None => None,
    };
    let processes = match processes {
        Some(count) => Some(positive(i64::from(*count), "limits.processes")?),
        None => None,
    };
    Ok(RunLimits {
        memory_bytes,
        cpu_milliseconds,
        processes,
        output_bytes: not_negative((*output_bytes).min(limits::MAX_OUTPUT_BYTES), "limits.outputBytes")?,
        file_bytes: not_negative(*output_file_bytes, "limits.outputFileBytes")?,
        files: not_negative(i64::from((*output_files).min(limits::OUTPUT_FILES)), "limits.outputFiles")?,
        files_total_bytes: not_negative(*output_files_bytes, "limits.outputFilesBytes")?,
    })
}

pub(super) fn positive(number: i64, field: &str) -> Result<u64, Failure> {
    let checked = u64::try_from(number).ok().filter(|number| *number > 0);
    checked.ok_or_else(|| refuse(field, Some(&number.to_string()), format!("{field} must be above 0")))
}

pub(super) fn not_negative(number: i64, field: &str) -> Result<u64, Failure> {
    u64::try_from(number)
        .map_err(|_| refuse(field, Some(&number.to_string()), format!("{field} must not be negative")))
}
