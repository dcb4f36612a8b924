//! What a program has of the user's terminal under `run`: as much as under cargo, and never the terminal itself.

mod dialogue;
#[path = "../support/mod.rs"]
mod support;
mod typing;

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use dialogue::{Dialogue, PROMPT};
use support::tool::Engine;
use support::world::{User, World};
use support::{need, program};

/// Says what its terminal is, and answers.
const PROGRAM: &str = r#"
use std::io::{BufRead, IsTerminal, Write};
use std::os::unix::fs::MetadataExt;

unsafe extern "C" {
    fn ioctl(fd: i32, request: u64, ...) -> i32;
    fn getpgrp() -> i32;
    fn tcgetpgrp(fd: i32) -> i32;
}

fn size() -> String {
    let mut size = [0_u16; 4];
    unsafe { ioctl(0, 0x5413, size.as_mut_ptr()) };
    format!("{}x{}", size[0], size[1])
}

fn main() {
    let all = std::io::stdin().is_terminal() && std::io::stdout().is_terminal() && std::io::stderr().is_terminal();
    let device = std::fs::metadata("/proc/self/fd/0").map_or(0, |terminal| terminal.rdev());
    let foreground = unsafe { getpgrp() == tcgetpgrp(0) };
    let own = std::fs::File::open("/dev/tty").is_ok();
    println!("terminals {all}, foreground {foreground}, controlling {own}, size {}, device {device}!", size());
    print!("name? ");
    std::io::stdout().flush().unwrap();
    for line in std::io::stdin().lock().lines() {
        match line.unwrap().as_str() {
            "quit" => std::process::exit(7),
            name => println!("hello {name}, {}", size()),
        }
    }
    println!("end of input");
}
"#;

/// Prints a line when it is ready, and what signal came.
const CATCHER: &str = r#"
unsafe extern "C" {
    fn signal(number: i32, handler: usize) -> usize;
    fn _exit(code: i32) -> !;
}

extern "C" fn end(number: i32) {
    unsafe { _exit(40 + number) }
}

fn main() {
    for number in [1, 2, 10, 15] {
        unsafe { signal(number, end as extern "C" fn(i32) as usize) };
    }
    println!("ready");
    std::thread::sleep(std::time::Duration::from_secs(600));
}
"#;

fn project(world: &World, name: &str, source: &str) -> PathBuf {
    let project = world.work().join(name);
    let manifest = format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n");
    world.write(&project.join("Cargo.toml"), &manifest);
    world.write(&project.join("src/main.rs"), source);
    project
}

/// Each user with cargo itself, and with each engine.
fn everybody(name: &str) -> Vec<(World, Option<Engine>)> {
    let users = [User::ordinary(), User::root()];
    let engines = [None, Some(Engine::Native), Some(Engine::Docker)];
    let all =
        users.into_iter().filter_map(need).flat_map(|user| engines.map(|engine| (user.clone(), engine)));
    all.filter_map(|(user, engine)| {
        let engine = engine.map(|engine| need(engine.here())).map_or(Some(None), |here| here.map(Some))?;
        let tool = engine.map_or("cargo".to_owned(), |engine| engine.to_string());
        Some((need(World::new(&format!("{name}-{tool}"), &user))?, engine))
    })
    .collect()
}

fn tool(world: &World, engine: Option<Engine>, project: &Path) -> Command {
    match engine {
        None => world.plain(project),
        Some(engine) => world.sandbox(engine, project),
    }
}

/// The command as a line for a shell.
fn line(command: &Command) -> String {
    // `setpriv … -- program`: the shell runs as that user already.
    let words: Vec<String> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let program = words.iter().position(|word| word == "--").map_or(0, |separator| separator + 1);
    words[program..].join(" ")
}

#[test]
fn a_program_has_a_terminal_as_under_cargo() {
    let Some(bash) = need(program("bash")) else { return };
    for (world, engine) in everybody("terminal") {
        let project = project(&world, "talker", PROGRAM);
        let mut start = tool(&world, engine, &project);
        start.args(["run", "--quiet"]);
        let start = line(&start) + "\n";
        let groups = engine.map_or(Vec::new(), |_| support::world::docker_group().into_iter().collect());
        let mut shell = world.command_with_groups(&bash, &groups);
        shell.args(["--norc", "--noprofile", "-i"]).current_dir(&project);
        let mut user = Dialogue::start(shell, 31, 97);

        user.send(&start);
        user.expect("terminals true, foreground true, controlling true, size 31x97, device ");
        user.expect("name? ");
        user.send("bob\n");
        user.expect("hello bob, 31x97");
        user.resize(40, 100);
        // Followed within a moment, as a window that is dragged is.
        for attempt in 0.. {
            assert!(attempt < 600, "the size of the window does not come");
            user.send(&format!("again{attempt}\n"));
            user.expect(&format!("hello again{attempt}, "));
            if user.comes_next("40x100") {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }

        user.send("\u{1a}");
        user.expect("Stopped");
        user.expect(PROMPT);
        user.send("echo raw=$(stty -a | grep -c -- '-icanon')=\n");
        user.expect("\nraw=0=");
        user.send("fg\n");
        user.expect(start.trim_end());
        user.send("back\n");
        user.expect("hello back");
        user.send("quit\n");
        user.expect_code(7);

        user.send(&start);
        user.expect("name? ");
        user.send("\u{3}");
        user.expect_code(128 + libc::SIGINT);
        user.send("echo raw=$(stty -a | grep -c -- '-icanon')=\n");
        user.expect("\nraw=0=");

        user.send(&start);
        user.expect("name? ");
        user.send("\u{4}");
        user.expect("end of input");
        user.expect_code(0);

        user.send(&format!("echo piped | {start}"));
        user.expect("terminals false");
        user.expect("hello piped");
        user.expect_code(0);
        if let Some(engine) = engine {
            world.stop(engine, &project);
        }
    }
}

/// In colours, in its own words, and before the program says anything.
#[test]
fn cargo_speaks_as_it_does_on_a_terminal() {
    let Some(bash) = need(program("bash")) else { return };
    for (world, engine) in everybody("colours") {
        let project = project(&world, "talker", PROGRAM);
        let mut start = tool(&world, engine, &project);
        start.arg("run");
        let groups = engine.map_or(Vec::new(), |_| support::world::docker_group().into_iter().collect());
        let mut shell = world.command_with_groups(&bash, &groups);
        shell.args(["--norc", "--noprofile", "-i"]).current_dir(&project);
        let mut user = Dialogue::start(shell, 24, 80);
        for first in [true, false] {
            user.send(&format!("TERM=xterm {}\n", line(&start)));
            if first {
                user.expect("\u{1b}[92m   Compiling\u{1b}[0m talker v0.1.0");
            }
            user.expect("\u{1b}[92m     Running\u{1b}[0m `target/debug/talker`");
            user.expect("terminals true, foreground true, controlling true, size 24x80, device ");
            user.send("quit\n");
            user.expect_code(7);
        }
        // Who protects them is said to people, once in each project.
        assert_eq!(user.count("of this project run in its container"), usize::from(engine.is_some()));
        if let Some(engine) = engine {
            world.stop(engine, &project);
        }
    }
}

#[test]
fn no_program_has_the_users_own_terminal() {
    let Some(bash) = need(program("bash")) else { return };
    for (world, engine) in everybody("own-terminal") {
        let project = project(&world, "talker", PROGRAM);
        let mut start = tool(&world, engine, &project);
        start.args(["run", "--quiet"]);
        let groups = engine.map_or(Vec::new(), |_| support::world::docker_group().into_iter().collect());
        let mut shell = world.command_with_groups(&bash, &groups);
        shell.args(["--norc", "--noprofile", "-i"]).current_dir(&project);
        let mut user = Dialogue::start(shell, 24, 80);
        user.send("echo device $(($(stat -L -c '16#%t*256+16#%T' /dev/stdin)))!\n");
        user.expect("\ndevice ");
        let users = user.up_to("!");
        user.send(&(line(&start) + "\n"));
        user.expect("device ");
        let programs = user.up_to("!");
        assert_eq!(
            programs == users,
            engine.is_none(),
            "{engine:?}: the user's is {users}, the program's {programs}"
        );
        user.send("quit\n");
        user.expect_code(7);
        if let Some(engine) = engine {
            world.stop(engine, &project);
        }
    }
}

#[test]
fn signals_reach_the_program() {
    for (world, engine) in everybody("signals") {
        let project = project(&world, "catcher", CATCHER);
        let command = || {
            let mut command = tool(&world, engine, &project);
            command.args(["run", "--quiet"]);
            command
        };
        for (signal, group) in [(libc::SIGTERM, false), (libc::SIGHUP, false), (libc::SIGINT, true)] {
            let mut running =
                command().stdout(Stdio::piped()).process_group(0).spawn().expect("the tool starts");
            let mut line = String::new();
            let stdout = running.stdout.take().expect("piped");
            BufReader::new(stdout).read_line(&mut line).expect("a line");
            assert_eq!(line, "ready\n");
            let id = running.id().cast_signed();
            // SAFETY: takes two numbers; the process was not waited for.
            unsafe { libc::kill(if group { -id } else { id }, signal) };
            let status = running.wait().expect("an end");
            assert_eq!(status.code(), Some(40 + signal), "{engine:?}, signal {signal}: {status}");
        }
        if let Some(engine) = engine {
            world.stop(engine, &project);
        }
    }
}
