//! How many instructions the wrapper executes for one job, by valgrind: the same number each time, whatever else the machine
//! does, so that a change shows which no clock would.
//!
//! `cargo bench --bench instructions` prints a table as Markdown; `CSB_BENCH_JSON` names a directory. `/bin/true` is a program of
//! the C library's that does nothing. With so many variables in the environment as `CSB_BENCH_VARIABLES` says (30, as many as cargo
//! gives to a compiler) and without.

use std::process::{Command, ExitCode, Stdio};

use serde_json::json;

#[path = "../tests/support/mod.rs"]
mod support;

use support::figures;
use support::program;
use support::session::Session;
use support::tool::Engine;
use support::world::User;

const TRUE: &str = "/bin/true";

/// What valgrind counts of this command.
fn count(command: &Command, variables: usize) -> Result<u64, String> {
    let mut counted = Command::new(program("valgrind")?);
    counted.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    counted.arg(command.get_program()).args(command.get_args()).env_clear();
    if let Some(directory) = command.get_current_dir() {
        counted.current_dir(directory);
    }
    counted.envs(
        (0..variables).map(|number| (format!("CARGO_VARIABLE_{number}"), "of some length, as most are")),
    );
    let output = counted.stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&output.stderr);
    let number =
        said.lines().find_map(|line| line.split_once("Collected : ")).filter(|_| output.status.success());
    number.and_then(|(_, number)| number.trim().parse().ok()).ok_or_else(|| format!("valgrind: {said}"))
}

fn main() -> ExitCode {
    let variables =
        std::env::var("CSB_BENCH_VARIABLES").map_or(30, |number| number.parse().expect("a number"));
    let measure = || -> Result<(), String> {
        let session = Session::open("bench-instructions", &User::me(), Engine::Native)?;
        session.enter();
        let wrapper = session.runner(TRUE)();
        println!("| | variables | instructions |");
        println!("|---|---|---|");
        let mut all = Vec::new();
        for (name, command) in [("the wrapper, for a job", &wrapper), (TRUE, &Command::new(TRUE))] {
            for variables in [0, variables] {
                let instructions = count(command, variables)?;
                println!("| {name} | {variables} | {instructions} |");
                all.push(json!({"way": name, "variables": variables, "instructions": instructions}));
            }
        }
        figures::write("instructions", &all);
        Ok(())
    };
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            println!("skipped: {why}");
            if support::ci() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
        }
    }
}
