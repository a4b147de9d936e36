//! The `carrel` command: run programs on this machine, with no cluster.

use std::process::ExitCode;

use standalone::args::{Cli, Command};

fn main() -> ExitCode {
    // Two TLS users are linked in; both are given the same provider before anything else happens. It fails
    // only when one is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let result = match Cli::read().command {
        Command::Serve(args) => standalone::serve::main(args),
        Command::Run(args) => Ok(standalone::run::main(args)),
        Command::Executor(args) => executor::main(args).map(|()| ExitCode::SUCCESS),
    };
    result.unwrap_or_else(|error| {
        eprintln!("carrel: {error:#}");
        ExitCode::FAILURE
    })
}
