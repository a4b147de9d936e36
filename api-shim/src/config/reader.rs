//! Which value of a setting counts: a flag, then our own variable, then the inherited ones in order. Every
//! value that is set is checked, also one that loses: nothing falls back silently.

use std::collections::BTreeMap;

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};

use super::settings::{ALL, Setting};

/// A setting that stops the service.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A value that cannot be read.
    #[error("{name}: {value:?}: {why}")]
    Value {
        /// The variable or flag.
        name: String,
        /// What it was set to.
        value: String,
        /// What is wrong.
        why: String,
    },
    /// Values that cannot be together, or a value that must not be shown.
    #[error("{name}: {why}")]
    Setting {
        /// The variable or flag.
        name: String,
        /// What is wrong.
        why: String,
    },
}

/// The flags of the command line. Part of a program's arguments with `#[command(flatten)]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flags(BTreeMap<&'static str, String>);

impl Flags {
    /// Sets a flag as if it had been given.
    pub fn set(&mut self, setting: &Setting, value: impl Into<String>) {
        self.0.insert(setting.flag, value.into());
    }

    /// The names under which a setting is set, that which counts first.
    #[must_use]
    pub fn names(&self, setting: &Setting, environment: Environment<'_>) -> Vec<String> {
        Reader::new(self, environment).candidates(setting).map(|(name, _)| name).collect()
    }
}

impl Args for Flags {
    fn augment_args(command: Command) -> Command {
        ALL.iter().fold(command, |command, setting| {
            let variables =
                setting.inherited.iter().map(|name| (*name).to_owned()).chain([setting.own_variable()]);
            let help = format!("{} [env: {}]", setting.help, variables.collect::<Vec<_>>().join(", "));
            command.arg(Arg::new(setting.flag).long(setting.flag).value_name("VALUE").help(help))
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut flags = Self::default();
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        for setting in ALL {
            if let Some(value) = matches.get_one::<String>(setting.flag) {
                self.0.insert(setting.flag, value.clone());
            }
        }
        Ok(())
    }
}

/// A view of the environment.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Reads settings.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    flags: &'a Flags,
    environment: Environment<'a>,
}

impl std::fmt::Debug for Reader<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("flags", self.flags).finish_non_exhaustive()
    }
}

impl<'a> Reader<'a> {
    /// Of these sources.
    #[must_use]
    pub(super) fn new(flags: &'a Flags, environment: Environment<'a>) -> Self {
        Self { flags, environment }
    }

    /// A variable; an empty one is not set.
    #[must_use]
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        (self.environment)(name).filter(|value| !value.is_empty())
    }

    /// A setting, read by `parse`.
    pub(super) fn read<T>(
        &self,
        setting: &Setting,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, ConfigError> {
        let mut first = None;
        for (name, value) in self.candidates(setting) {
            let parsed = parse(&value).map_err(|why| ConfigError::Value { name, value, why })?;
            first = first.or(Some(parsed));
        }
        Ok(first)
    }

    /// A setting as text.
    #[must_use]
    pub(super) fn text(&self, setting: &Setting) -> Option<String> {
        self.candidates(setting).next().map(|(_, value)| value)
    }

    /// What a setting that is set is called by whoever set it.
    #[must_use]
    pub(super) fn name(&self, setting: &Setting) -> String {
        self.candidates(setting).next().map_or_else(|| setting.own_variable(), |(name, _)| name)
    }

    fn candidates(&self, setting: &Setting) -> impl Iterator<Item = (String, String)> {
        let flag = self.flags.0.get(setting.flag).filter(|value| !value.is_empty()).cloned();
        let flag = flag.map(|value| (format!("--{}", setting.flag), value));
        let own = setting.own_variable();
        let own = self.variable(&own).map(|value| (own, value));
        let inherited = setting
            .inherited
            .iter()
            .filter_map(|name| self.variable(name).map(|value| ((*name).to_owned(), value)));
        flag.into_iter().chain(own).chain(inherited)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::{EXECUTOR_IMAGE, MAX_OUTPUT_BYTES};

    fn number(text: &str) -> Result<u32, String> {
        text.parse().map_err(|_| "no number".to_owned())
    }

    fn read(
        flag: Option<&str>,
        variables: &[(&str, &str)],
        setting: &Setting,
    ) -> Result<Option<u32>, ConfigError> {
        let mut flags = Flags::default();
        if let Some(value) = flag {
            flags.set(setting, value);
        }
        let lookup = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        Reader::new(&flags, &lookup).read(setting, number)
    }

    #[test]
    fn a_flag_wins_then_our_own_variable_then_the_first_inherited_one() {
        let all =
            [("KUBERNETES_EXECUTOR_IMAGE", "4"), ("APP_EXECUTOR_IMAGE", "3"), ("CARREL_EXECUTOR_IMAGE", "2")];
        assert_eq!(read(Some("1"), &all, &EXECUTOR_IMAGE), Ok(Some(1)));
        assert_eq!(read(None, &all, &EXECUTOR_IMAGE), Ok(Some(2)));
        assert_eq!(read(None, &all[..2], &EXECUTOR_IMAGE), Ok(Some(3)));
        assert_eq!(read(None, &all[..1], &EXECUTOR_IMAGE), Ok(Some(4)));
        assert_eq!(read(None, &[], &EXECUTOR_IMAGE), Ok(None));
        assert_eq!(
            read(Some(""), &[("CARREL_EXECUTOR_IMAGE", ""), ("APP_EXECUTOR_IMAGE", "3")], &EXECUTOR_IMAGE),
            Ok(Some(3))
        );
    }

    #[test]
    fn a_value_that_loses_is_checked_too_and_the_error_names_it() {
        let error = read(Some("1"), &[("MAX_OUTPUT_BYTES", "many")], &MAX_OUTPUT_BYTES).expect_err("refused");
        assert_eq!(error.to_string(), "MAX_OUTPUT_BYTES: \"many\": no number");
    }

    #[test]
    fn flags_are_read_from_a_command_line() {
        let command = Flags::augment_args(Command::new("test"));
        command.clone().debug_assert();
        let matches = command.get_matches_from(["test", "--max-output-bytes", "5"]);
        let flags = Flags::from_arg_matches(&matches).expect("flags");
        assert_eq!(Reader::new(&flags, &|_| None).read(&MAX_OUTPUT_BYTES, number), Ok(Some(5)));
    }
}
