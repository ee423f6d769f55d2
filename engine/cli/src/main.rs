//! The `outflow` command: reads arguments, calls the engine, prints. It decides nothing.

mod arguments;
mod command;
mod exit;
mod output;
mod progress;
mod stop;

use std::time::Duration;

use clap::Parser;

use arguments::Arguments;
use exit::Exit;

/// How long the process waits for threads that block, at its end.
const SHUTDOWN: Duration = Duration::from_secs(1);

fn main() -> std::process::ExitCode {
    let arguments = Arguments::parse();
    logging(&arguments);
    let output = arguments.output;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let result = runtime.map_err(anyhow::Error::from).and_then(|runtime| {
        let result = runtime.block_on(command::execute(arguments));
        // What still blocks a thread was given its time, and would keep the process for ever.
        runtime.shutdown_timeout(SHUTDOWN);
        result
    });
    result
        .unwrap_or_else(|error| {
            let exit = Exit::of(&error);
            output::error(output, &error, exit);
            exit
        })
        .into()
}

/// Warnings go to standard error; `-v` and `OUTFLOW_LOG` show more.
fn logging(arguments: &Arguments) {
    use tracing_subscriber::EnvFilter;
    let default = match arguments.verbose {
        0 => "warn",
        1 => "info",
        _ => "debug",
    };
    let filter = EnvFilter::try_from_env("OUTFLOW_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .init();
}
