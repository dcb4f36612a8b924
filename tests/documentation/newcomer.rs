//! A newcomer: an account that has a toolchain and nothing else, a copy of the repository, and the README's commands as
//! they stand, in their order, in one shell.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::commands::without_remark;
use super::support::run::run;
use super::support::world::ordinary;
use super::support::{checkout, need};
use super::{README, ROOT, blocks_of};

/// What is not run, and why.
const NOT_RUN: &[(&str, &str)] = &[("cargo test", "the whole test suite, of which this is a part")];

/// What asks a question on the terminal, and the answer that is typed.
const ASKS: &[(&str, &str)] = &[("cargo-sandbox self setup", "y")];

/// What is compiled here is compiled once, and for nobody to debug. The optimized build takes minutes, and releases are made
/// in tests/packaging; so `cargo install` installs what `cargo build` has built. Everything else is typed as it stands.
const ONCE: &str = "cargo() { if [ \"$1\" = install ]; then shift; set -- install --debug \"$@\"; fi; command cargo \"$@\"; }\n";
const PROFILE: &str = "[profile.dev]\ndebug = false\nincremental = false\n";

#[test]
fn the_readmes_commands_work_for_a_newcomer() {
    let Some(world) = ordinary("newcomer") else { return };
    let clone = world.work().join("cargo-sandbox");
    fs::create_dir_all(&clone).expect("directory");
    if need(checkout::copy(&clone)).is_none() {
        return;
    }
    // The places that the README writes of.
    let example = Path::new(ROOT).join("examples/hello-native");
    fs::create_dir_all(clone.join("your/shared-crate")).expect("directory");
    world.copy(&example, &clone.join("your/project"));
    world.copy(&clone, &world.work().join("copy"));
    fs::remove_dir_all(&clone).expect("the copy that is not the user's");
    fs::rename(world.work().join("copy"), &clone).expect("rename");
    world.write(&world.home.join(".cargo/config.toml"), PROFILE);
    let toolchains = world.home.join(".rustup/toolchains");
    world.write(&toolchains.join("README"), "");
    symlink(&world.toolchain, toolchains.join("nightly")).expect("link");

    let mut script = ONCE.to_owned();
    let mut left_out = Vec::new();
    for command in blocks_of(README).iter().flat_map(|block| block.commands()) {
        if let Some((line, _)) = NOT_RUN.iter().find(|(line, _)| command.line.trim() == *line) {
            left_out.push(*line);
            continue;
        }
        let quoted = format!("'{}'", command.line.replace('\'', "'\\''"));
        let asks = ASKS.iter().find(|(line, _)| *line == without_remark(&command.line));
        let run = match asks {
            Some((_, answer)) => {
                format!("echo {answer} | script --quiet --return --command {quoted} /dev/null")
            }
            None => command.line.clone(),
        };
        let _infallible = writeln!(script, "echo + {quoted} >&2\n{run}\n[ $? = 0 ] || exit 1");
    }
    let expected: Vec<_> = NOT_RUN.iter().map(|(line, _)| *line).collect();
    assert_eq!(left_out, expected, "the README has no such command any more");

    let path = format!(
        "{}:{}:/usr/local/bin:/usr/bin:/bin",
        world.home.join(".cargo/bin").display(),
        world.toolchain.join("bin").display()
    );
    let mut shell = world.command("/bin/bash");
    shell.args(["--norc", "-c", &script]).current_dir(&clone).env("PATH", path);
    let output = run(&mut shell).success("the README's commands");
    let greeting = "HELLO FROM A BUILD SCRIPT (crc32 14d8cd02)";
    let (readme, said) = (super::text_of(README), output.stdout);
    assert!(readme.contains(greeting) && said.lines().any(|line| line == greeting), "{said}");
    assert!(world.home.join(".cargo/bin/cargo-sandbox").is_file());
    assert!(clone.join("your/project/.cargo/config.toml").is_file(), "self setup wrote nothing");
    let mut stop = world.command(world.home.join(".cargo/bin/cargo-sandbox"));
    run(stop.args(["self", "stop", "--all"])).success("self stop");
}
