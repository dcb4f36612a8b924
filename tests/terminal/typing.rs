//! A program that types into the terminal on which it was started, so that the shell takes it for the user's.

use std::fs;

use super::dialogue::{Dialogue, PROMPT};
use super::support::tool::Engine;
use super::support::{need, note, program, world};
use super::{everybody, line, project, tool};

/// Types a command for the shell by `TIOCSTI` in four ways, and says what the kernel answered. What the command says
/// is not in the command's own text, which the terminal shows. Then it asks for `TIOCLINUX`, which is for consoles:
/// another terminal's driver does not know it.
const TYPIST: &str = r#"
use std::os::fd::AsRawFd;

unsafe extern "C" {
    fn syscall(number: i64, ...) -> i64;
}

const HIGH_BITS: u64 = 0x1_0000_0000;

/// The error's number, or 0.
fn ioctl(fd: i32, request: u64, byte: *const u8) -> i32 {
    match unsafe { syscall(16, fd as i64, request, byte) } {
        -1 => std::io::Error::last_os_error().raw_os_error().unwrap(),
        _ => 0,
    }
}

fn main() {
    let tty = std::fs::File::options().read(true).write(true).open("/dev/tty");
    let tty = tty.as_ref().map_or(-1, |tty| tty.as_raw_fd());
    for (number, (fd, bits)) in [(0, 0), (0, HIGH_BITS), (tty, 0), (tty, HIGH_BITS)].into_iter().enumerate() {
        let text = format!("echo way$((100+{number}))=\n");
        let errors: Vec<i32> = text.bytes().map(|byte| ioctl(fd, 0x5412 | bits, &byte)).collect();
        println!("typed {number} error {}!", errors.iter().max().unwrap());
        println!("pasted {number} error {}!", ioctl(fd, 0x541c | bits, &11));
    }
    println!("over");
}
"#;

/// What the kernel says of a call that the filter refuses.
const REFUSED: i32 = libc::EPERM;

/// Whether this kernel lets programs type at all: `None` where it knows no such setting, and so does.
fn legacy() -> Option<String> {
    fs::read_to_string("/proc/sys/dev/tty/legacy_tiocsti").ok().map(|text| text.trim().to_owned())
}

#[test]
fn no_program_types_into_the_users_shell() {
    let Some(bash) = need(program("bash")) else { return };
    for (world, engine) in everybody("typing") {
        let project = project(&world, "typist", TYPIST);
        let mut start = tool(&world, engine, &project);
        start.args(["run", "--quiet"]);
        let groups = engine.map_or(Vec::new(), |_| world::docker_group().into_iter().collect());
        let mut shell = world.command_with_groups(&bash, &groups);
        shell.args(["--norc", "--noprofile", "-i"]).current_dir(&project);
        let mut user = Dialogue::start(shell, 24, 80);
        user.send(&(line(&start) + "\n"));
        let mut answers = Vec::new();
        for number in 0..4 {
            for what in ["typed", "pasted"] {
                user.expect(&format!("{what} {number} error "));
                let error: i32 = user.up_to("!").parse().expect("a number");
                answers.push((what, error));
            }
        }
        user.expect("over");
        // What was typed comes to the shell before this does.
        let mut came = user.up_to(PROMPT);
        user.send("echo end$((100+1))=\n");
        came += &user.up_to("\nend101=");
        let obeyed = (0..4).filter(|number| came.contains(&format!("\nway{}=", 100 + number))).count();
        check(engine, &world.user.name, &answers, obeyed);
        if let Some(engine) = engine {
            world.stop(engine, &project);
        }
    }
}

fn check(engine: Option<Engine>, user: &str, answers: &[(&str, i32)], obeyed: usize) {
    let errors = |wanted: &str| -> Vec<i32> {
        answers.iter().filter(|(what, _)| *what == wanted).map(|(_, error)| *error).collect()
    };
    if engine.is_some() {
        assert_eq!(obeyed, 0, "{engine:?}, {user}: the shell obeyed a program; {answers:?}");
        assert!(answers.iter().all(|(_, error)| *error == REFUSED), "{engine:?}, {user}: {answers:?}");
        return;
    }
    assert!(errors("pasted").iter().all(|error| *error != REFUSED), "control: {answers:?}");
    if errors("typed") == [0; 4] {
        assert_eq!(obeyed, 4, "control: the shell obeys what a program of {user} typed");
    } else {
        // The kernel's own refusal (`drivers/tty/tty_io.c`), which is not the filter's.
        assert_eq!(legacy().as_deref(), Some("0"), "control: {answers:?}");
        assert_eq!(errors("typed"), [libc::EIO; 4], "control: {answers:?}");
        note(&format!("dev.tty.legacy_tiocsti is 0: this kernel itself lets no program of {user} type"));
    }
}
