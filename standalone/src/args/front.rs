//! The settings of the HTTP front as flags of `carrel serve`. What they mean is `api_shim::config`'s business; here is
//! only which are shown.

use std::net::SocketAddr;

use api_shim::config::{Flags, Place, settings::ALL, without_effect};
use clap::{ArgMatches, Args, FromArgMatches};

const HTTP_LISTEN: &str = "http-listen";
/// The settings of the HTTP front as flags. Each is a variable too, which the front reads by itself.
#[derive(Debug, Clone, Default)]
pub struct FrontFlags(Flags);

impl FrontFlags {
    /// The address and nothing else.
    pub(crate) fn listening_on(address: SocketAddr) -> Self {
        let mut this = Self::default();
        if let Some(setting) = ALL.iter().find(|setting| setting.flag == HTTP_LISTEN) {
            this.0.set(setting, address.to_string());
        }
        this
    }

    /// As the front takes them.
    pub(crate) fn flags(&self) -> &Flags {
        &self.0
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
            Some(setting) => {
                arg.hide_short_help(true).hide(without_effect(setting, Place::OneMachine).is_some())
            }
        })
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for FrontFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Flags::from_arg_matches(matches).map(Self)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
