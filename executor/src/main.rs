//! The program `executor`: the same server as `carrel executor`, alone for an image.

use clap::Parser;

#[derive(Debug, Parser)]
#[command(name = "executor", version, about)]
struct Cli {
    #[command(flatten)]
    args: executor::Args,
}

fn main() -> anyhow::Result<()> {
    executor::main(Cli::parse().args)
}
