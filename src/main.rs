//! `cargo-sandbox`: the front end, and the other roles that the same executable plays.

use std::process::ExitCode;

use cargo_sandbox::agent::{self, AGENT_ARGUMENT};
use cargo_sandbox::caller::BROKER_ARGUMENT;
use cargo_sandbox::cli::{self, FrontEnd};
use cargo_sandbox::container::native::{self, INIT_ARGUMENT};

fn main() -> ExitCode {
    // The roles around a container come first: they must start before anything reads the environment or
    // starts a thread.
    let mut arguments = std::env::args_os().skip(1);
    match (arguments.next(), arguments.next()) {
        (Some(role), Some(config)) if role == AGENT_ARGUMENT => return agent::main(&config),
        (Some(role), None) if role == INIT_ARGUMENT => return native::init_main(),
        (Some(role), Some(name)) if role == BROKER_ARGUMENT => return cli::background(&name),
        _ => {}
    }
    match FrontEnd::from_process() {
        Ok(front_end) => cli::run(&front_end),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(cli::EXIT_FAILURE)
        }
    }
}
