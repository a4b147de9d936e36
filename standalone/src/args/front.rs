//! The settings of the HTTP front as flags of `carrel serve`. What they mean is `api_shim::config`'s business; here is
//! only which are shown and which were given.

use std::{collections::BTreeSet, net::SocketAddr};

use api_shim::config::{
    Environment, Flags,
    settings::{ALL, Setting},
};
use clap::{ArgMatches, Args, FromArgMatches};

use crate::serve::has_no_effect;

const HTTP_LISTEN: &str = "http-listen";
/// The settings of the HTTP front as flags. Each is a variable too, which the front reads by itself.
#[derive(Debug, Clone, Default)]
pub struct FrontFlags {
    flags: Flags,
    given: BTreeSet<&'static str>,
}

impl FrontFlags {
    /// The address and nothing else.
    pub(crate) fn listening_on(address: SocketAddr) -> Self {
        let mut this = Self::default();
        if let Some(setting) = ALL.iter().find(|setting| setting.flag == HTTP_LISTEN) {
            this.flags.set(setting, address.to_string());
            this.given.insert(setting.flag);
        }
        this
    }

    /// As the front takes them.
    pub(crate) fn flags(&self) -> &Flags {
        &self.flags
    }

    /// The names under which a setting is set, that which counts first.
    pub(crate) fn names(&self, setting: &Setting, set: Environment<'_>) -> Vec<String> {
        let flag = self.given.contains(setting.flag).then(|| format!("--{}", setting.flag));
        let inherited = setting.inherited.iter().map(|&name| name.to_owned());
        let variables = std::iter::once(setting.own_variable()).chain(inherited);
        flag.into_iter().chain(variables.filter(|name| set(name).is_some())).collect()
    }
}

const HTTP_LISTEN_HELP: &str = "HTTP addresses, one or several with commas; port 0 takes a free one [env: \
                                CARREL_HTTP_LISTEN, APP_HTTP_LISTEN_ADDR, HOST and PORT] [default: 127.0.0.1:8000]";

impl Args for FrontFlags {
    /// `-h` shows the address alone, `--help` whatever has an effect.
    fn augment_args(command: clap::Command) -> clap::Command {
        let command = Flags::augment_args(command.next_help_heading("Settings of the HTTP front"));
        command.mut_args(|arg| match ALL.iter().find(|setting| arg.get_id() == setting.flag) {
            None => arg,
            Some(setting) if setting.flag == HTTP_LISTEN => {
                arg.help_heading(None::<&str>).help(HTTP_LISTEN_HELP).value_name("ADDRESS")
            }
            Some(setting) => arg.hide_short_help(true).hide(has_no_effect(setting).is_some()),
        })
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for FrontFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = ALL.iter().map(|setting| setting.flag);
        let given =
            given.filter(|flag| matches.get_one::<String>(flag).is_some_and(|value| !value.is_empty()));
        Ok(Self { flags: Flags::from_arg_matches(matches)?, given: given.collect() })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
