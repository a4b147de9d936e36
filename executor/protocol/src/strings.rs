//! What a program can be given as arguments and environment: the kernel's limits, as one rule for both sides.

use crate::EnvVariable;

/// The kernel's limit for one argument, or for one `NAME=value`, with the NUL at its end.
pub const MAX_STRING_BYTES: usize = 128 * 1024;

/// What all of them may take together, with a pointer for each. The kernel allows a quarter of the stack, which is
/// 2 MiB nearly everywhere; what the executor adds by itself must fit too.
pub const MAX_STRINGS_BYTES: usize = 1024 * 1024;

const POINTER_BYTES: usize = 8;

/// An argument or a variable that does not fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TooLong {
    /// It is too long by itself.
    #[error(
        "{field} takes {bytes} bytes with its end; the kernel gives a program at most {MAX_STRING_BYTES}"
    )]
    One {
        /// Which, e.g. `env[3].value`.
        field: String,
        /// What it takes: of a variable, `NAME=value` and a NUL.
        bytes: usize,
    },
    /// It is one too many.
    #[error("args and env together take more than {MAX_STRINGS_BYTES} bytes from {field} on")]
    All {
        /// The first that does not fit.
        field: String,
    },
}

impl TooLong {
    /// The field at fault.
    #[must_use]
    pub fn field(&self) -> &str {
        match self {
            Self::One { field, .. } | Self::All { field } => field,
        }
    }
}

/// Checks that `execve` takes these.
pub fn check(args: &[String], env: &[EnvVariable]) -> Result<(), TooLong> {
    let args = args.iter().enumerate().map(|(at, arg)| ("args", at, "", arg.len() + 1));
    let env = env.iter().enumerate();
    let env = env.map(|(at, variable)| ("env", at, ".value", variable.name.len() + variable.value.len() + 2));
    let mut total = 0;
    for (list, at, member, bytes) in args.chain(env) {
        total += bytes + POINTER_BYTES;
        let field = || format!("{list}[{at}]{member}");
        if bytes > MAX_STRING_BYTES {
            return Err(TooLong::One { field: field(), bytes });
        }
        if total > MAX_STRINGS_BYTES {
            return Err(TooLong::All { field: field() });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(name: &str, bytes: usize) -> EnvVariable {
        EnvVariable { name: name.to_owned(), value: "x".repeat(bytes) }
    }

    #[test]
    fn the_longest_string_is_counted_with_its_name_and_its_end() {
        let longest = MAX_STRING_BYTES - "NAME=".len() - 1;
        assert_eq!(check(&[], &[variable("A", 1), variable("NAME", longest)]), Ok(()));
        let error = check(&[], &[variable("A", 1), variable("NAME", longest + 1)]).unwrap_err();
        assert_eq!(error, TooLong::One { field: "env[1].value".to_owned(), bytes: MAX_STRING_BYTES + 1 });
        assert_eq!(check(&["x".repeat(MAX_STRING_BYTES - 1)], &[]), Ok(()));
        assert_eq!(check(&["x".repeat(MAX_STRING_BYTES)], &[]).unwrap_err().field(), "args[0]");
    }

    #[test]
    fn all_together_are_counted_with_their_pointers() {
        let fits = MAX_STRINGS_BYTES / (1 + POINTER_BYTES);
        assert_eq!(check(&vec![String::new(); fits], &[]), Ok(()));
        let error = check(&vec![String::new(); fits], &[variable("A", 1)]).unwrap_err();
        assert_eq!(error, TooLong::All { field: "env[0].value".to_owned() });
    }
}
