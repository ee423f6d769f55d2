//! The `outflow` command: reads arguments, calls the engine, prints. It decides nothing.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod arguments;
mod command;
mod exit;
mod output;
mod progress;
mod stop;
mod terminal;

use std::time::Duration;

use clap::Parser;

use arguments::Arguments;
use exit::Exit;

/// How long the process waits for threads that block, at its end.
const SHUTDOWN: Duration = Duration::from_secs(1);

fn main() -> std::process::ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return misused(&error),
    };
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

/// Ends with what clap says: help, the version, or what is wrong with the arguments.
fn misused(error: &clap::Error) -> std::process::ExitCode {
    let asked: Vec<_> = std::env::args_os().collect();
    let json = asked.windows(2).any(|pair| pair[0] == "--output" && pair[1] == "json");
    if error.use_stderr() && (json || asked.iter().any(|argument| argument == "--output=json")) {
        let message = error.to_string();
        let message = message.trim_end().trim_start_matches("error: ");
        output::fault(message, &[], Exit::Configuration);
        return Exit::Configuration.into();
    }
    error.exit()
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
        .with_ansi(false)
        .with_writer(|| terminal::Log)
        .with_target(false)
        .init();
}
