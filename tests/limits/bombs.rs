//! Jobs that take processes, memory, time, disk and files without end. Each of them gives up by itself, so that even a
//! failed defence does this machine no harm, and says `PASSED` if nothing has stopped it before.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::support::need;
use super::support::run::{Output, run, spawn};
use super::support::tool::Engine;
use super::support::world::{User, World, remove};
use super::{each_engine_at_once, each_world, package};

/// What is attempted, with which limits, and what is to be said.
struct Bomb {
    name: &'static str,
    /// The body of a function; `out` is a directory that the job may write to.
    body: &'static str,
    limits: &'static [&'static str],
    said: &'static str,
}

/// Forks more than processes are allowed, and tries for a while where it cannot.
const FORKS: Bomb = Bomb {
    name: "forks",
    body: r#"
    unsafe extern "C" {
        fn fork() -> i32;
        fn kill(pid: i32, signal: i32) -> i32;
        fn alarm(seconds: u32) -> u32;
        fn pause() -> i32;
        fn _exit(code: i32) -> !;
    }
    let (mut children, mut refused) = (Vec::new(), 0);
    while children.len() < 1000 && refused < 200 {
        match unsafe { fork() } {
            0 => unsafe { alarm(60); pause(); _exit(0) },
            -1 => { refused += 1; std::thread::sleep(std::time::Duration::from_millis(50)); }
            pid => children.push(pid),
        }
    }
    for pid in &children { unsafe { kill(*pid, 9); } }
    if children.len() == 1000 { panic!("PASSED") }
"#,
    limits: &["processes=200"],
    said: "`processes`",
};

const MEMORY: Bomb = Bomb {
    name: "memory",
    body: r#"
    let mut all = Vec::new();
    for _ in 0..24 {
        let mut block = vec![0_u8; 64 << 20];
        for index in (0..block.len()).step_by(4096) { block[index] = 1; }
        all.push(block);
    }
    panic!("PASSED {}", all.len());
"#,
    limits: &["memory=640M"],
    said: "`memory`",
};

/// Memory that no process shows.
const SHARED_MEMORY: Bomb = Bomb {
    name: "shm",
    body: r#"
    let path = format!("/dev/shm/bomb-{}", std::process::id());
    let mut file = std::fs::File::create(&path).unwrap();
    let _ = std::fs::remove_file(&path);
    let block = vec![1_u8; 16 << 20];
    for _ in 0..96 { std::io::Write::write_all(&mut file, &block).unwrap(); }
    panic!("PASSED");
"#,
    limits: &["memory=640M", "tmp=2G"],
    said: "`memory`",
};

const ENDLESS: Bomb = Bomb {
    name: "endless",
    body: r#"
    std::thread::sleep(std::time::Duration::from_secs(6));
    panic!("PASSED");
"#,
    limits: &["wall-time=3s"],
    said: "`wall-time`",
};

/// Many files, each of which is allowed.
const DISK: Bomb = Bomb {
    name: "disk",
    body: r#"
    let block = vec![1_u8; 1 << 20];
    for number in 0..20 {
        let mut file = std::fs::File::create(out.join(format!("bomb-{number}"))).unwrap();
        for _ in 0..50 { std::io::Write::write_all(&mut file, &block).unwrap(); }
        // Slow enough to be seen on any machine.
        std::thread::sleep(std::time::Duration::from_millis(150));
    }
    for number in 0..20 { std::fs::remove_file(out.join(format!("bomb-{number}"))).unwrap(); }
    panic!("PASSED");
"#,
    limits: &["disk-writes=300M"],
    said: "`disk-writes`",
};

const LARGE_FILE: Bomb = Bomb {
    name: "large",
    body: r#"
    let block = vec![1_u8; 1 << 20];
    let mut file = std::fs::File::create(out.join("bomb")).unwrap();
    for _ in 0..200 { std::io::Write::write_all(&mut file, &block).unwrap(); }
    std::fs::remove_file(out.join("bomb")).unwrap();
    panic!("PASSED");
"#,
    limits: &["file-size=100M"],
    said: "`file-size`",
};

/// How the code comes to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Script,
    Macro,
}

impl Way {
    const ALL: [Self; 2] = [Self::Script, Self::Macro];

    /// The job that has to be named.
    fn job(self) -> &'static str {
        match self {
            Self::Script => "the build script of bomb was stopped",
            Self::Macro => "the rustc of bomb was stopped",
        }
    }
}

/// A project with the bomb in it.
fn project(world: &World, way: Way, body: &str) -> PathBuf {
    let project = world.work().join("bomb");
    remove(&project);
    match way {
        Way::Script => {
            let script = format!(
                "#![allow(unused)]\nfn main() {{\n    let out = std::path::PathBuf::from(std::env::var_os(\"OUT_DIR\").unwrap());\n{body}\n}}\n"
            );
            package(world, &project, "\n[workspace]\n", "fn main() {}\n", Some(&script));
        }
        Way::Macro => {
            let more = "\n[workspace]\n\n[dependencies]\nfuse = { path = \"fuse\" }\n";
            package(world, &project, more, "fuse::light!();\nfn main() {}\n", None);
            let manifest = "[package]\nname = \"fuse\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[lib]\nproc-macro = true\n";
            world.write(&project.join("fuse/Cargo.toml"), manifest);
            let source = format!(
                "#![allow(unused)]\nuse proc_macro::TokenStream;\n#[proc_macro]\npub fn light(_: TokenStream) -> TokenStream {{\n    \
                 let mut arguments = std::env::args().skip_while(|word| word != \"--out-dir\");\n    \
                 let out = std::path::PathBuf::from(arguments.nth(1).unwrap());\n    burn(out);\n    TokenStream::new()\n}}\n\
                 fn burn(out: std::path::PathBuf) {{\n{body}\n}}\n"
            );
            world.write(&project.join("fuse/src/lib.rs"), &source);
        }
    }
    project
}

fn options(limits: &[&str]) -> Vec<String> {
    limits.iter().flat_map(|limit| ["--sandbox-limit".to_owned(), (*limit).to_owned()]).collect()
}

/// Under plain cargo the bomb gets as far as it wants.
fn control(bomb: &Bomb) {
    let Some(user) = need(User::ordinary()) else { return };
    let Some(world) = need(World::new(&format!("bomb-{}-control", bomb.name), &user)) else { return };
    for way in Way::ALL {
        let project = project(&world, way, bomb.body);
        let output = run(world.plain(&project).arg("build"));
        assert!(output.stderr.contains("PASSED"), "control, {way:?}: {}", output.stderr);
    }
    remove(&world.home);
}

/// Another project of the same user, whose build has to work at the same time.
fn neighbour(world: &World) -> PathBuf {
    let project = world.work().join("neighbour");
    let script = "fn main() { println!(\"cargo::rustc-env=WORD=fine\"); }\n";
    package(world, &project, "\n[workspace]\n", "fn main() { println!(env!(\"WORD\")) }\n", Some(script));
    project
}

/// Runs the bomb in both ways (in one as root), in every world, beside another project's build.
fn explode(bomb: &Bomb, check: impl Fn(&Output, Way) + Sync) {
    control(bomb);
    each_engine_at_once(&format!("bomb-{}", bomb.name), |world, engine| {
        let neighbour = neighbour(world);
        // Root's files are others' in the container, whichever way the code comes to run.
        let ways = if world.user.uid == 0 { &Way::ALL[..1] } else { &Way::ALL };
        for way in ways.iter().copied() {
            let project = project(world, way, bomb.body);
            let mut command = world.sandbox(engine, &project);
            let bombing = spawn(command.args(options(bomb.limits)).arg("build"));
            world.write(
                &neighbour.join("src/main.rs"),
                &format!("fn main() {{ println!(env!(\"WORD\")) }} // {way:?}\n"),
            );
            let fine = run(world.sandbox(engine, &neighbour).args(["run", "--quiet"]));
            let output = bombing.wait(Duration::from_secs(300));
            assert_eq!(fine.success("the neighbour's build").stdout, "fine\n");
            assert_eq!(output.code(), 101, "{engine}, {}, {way:?}: {}", world.user.name, output.stderr);
            assert!(!output.stderr.contains("PASSED"), "{engine}, {way:?}: {}", output.stderr);
            check(&output, way);
            still_builds(world, engine, &project, way);
            remove(&world.status(engine, &project).build_dir);
            world.stop(engine, &project);
        }
        world.stop(engine, &neighbour);
    });
}

/// The project's container is as good as before.
fn still_builds(world: &World, engine: Engine, project: &Path, way: Way) {
    match way {
        Way::Script => world.write(&project.join("build.rs"), "fn main() {}\n"),
        Way::Macro => world.write(&project.join("src/main.rs"), "fn main() {}\n"),
    }
    run(world.sandbox(engine, project).arg("build")).success("the same project without the bomb");
}

/// As [`explode`]: the end is told by crate, kind of job and limit, with what to do.
fn is_stopped_by_name(bomb: &Bomb) {
    explode(bomb, |output, way| {
        for word in [way.job(), bomb.said, "hint: ", "--sandbox-limit"] {
            assert!(output.stderr.contains(word), "`{word}` is not in ({way:?}):\n{}", output.stderr);
        }
    });
}

#[test]
fn a_fork_bomb_is_stopped() {
    is_stopped_by_name(&FORKS);
}

#[test]
fn a_memory_bomb_is_stopped() {
    is_stopped_by_name(&MEMORY);
}

#[test]
fn memory_that_no_process_shows_counts() {
    is_stopped_by_name(&SHARED_MEMORY);
}

#[test]
fn an_endless_job_is_stopped() {
    is_stopped_by_name(&ENDLESS);
}

#[test]
fn a_disk_filling_job_is_stopped() {
    is_stopped_by_name(&DISK);
}

#[test]
fn a_job_that_writes_too_large_a_file_is_stopped() {
    is_stopped_by_name(&LARGE_FILE);
}

/// The kernel refuses another file; what the job makes of it is its own business.
#[test]
fn no_job_opens_more_files_than_allowed() {
    let bomb = Bomb {
        name: "files",
        body: "    let all: Vec<_> = (0..400).map(|_| std::fs::File::open(\"/dev/null\").unwrap()).collect();\n    \
               panic!(\"PASSED {}\", all.len());",
        limits: &["open-files=200"],
        said: "",
    };
    explode(&bomb, |output, _| {
        assert!(output.stderr.contains("Too many open files"), "{}", output.stderr);
    });
}

/// Programs and documentation tests are the user's own business, until he says otherwise.
#[test]
fn a_program_is_not_under_the_time_of_builds() {
    let Some(user) = need(User::ordinary()) else { return };
    let Some(world) = need(World::new("program-time", &user)) else { return };
    let project = world.work().join("slow");
    let sleep = "std::thread::sleep(std::time::Duration::from_secs(7));";
    package(&world, &project, "\n[workspace]\n", &format!("fn main() {{ {sleep} }}\n"), None);
    world.write(&project.join("src/lib.rs"), &format!("//! ```\n//! {sleep}\n//! ```\n"));
    for (words, named) in [
        (["run"].as_slice(), "the program of slow was stopped"),
        (&["test", "--doc"], "the rustdoc of slow was stopped"),
    ] {
        let with = |limit: &str| {
            let mut command = world.sandbox(Engine::Native, &project);
            run(command.args(options(&[limit])).args(words))
        };
        run(world.sandbox(Engine::Native, &project).arg("build")).success("build");
        with("wall-time=5s").success("longer than a build may take");
        let output = with("program-time=2s");
        assert!(output.code() != 0, "{}", output.stderr);
        let said = output.stdout + &output.stderr;
        assert!(said.contains(named) && said.contains("`program-time`"), "{said}");
    }
    world.stop(Engine::Native, &project);
}

/// When the machine has no memory left, the kernel kills what has the highest number first.
#[test]
fn the_kernel_kills_jobs_before_the_agent_and_the_users_programs() {
    let script = "panic!(\"ADJ {}\", std::fs::read_to_string(\"/proc/self/oom_score_adj\").unwrap())";
    let adjustment = |output: Output| -> i32 {
        let number = output.stderr.lines().find_map(|line| line.split_once("ADJ ")?.1.trim().parse().ok());
        number.unwrap_or_else(|| panic!("no number in {}", output.stderr))
    };
    each_world("oom-score", |world, engine| {
        let project = project(world, Way::Script, script);
        let plain = adjustment(run(world.plain(&project).arg("build")));
        let here = adjustment(run(world.sandbox(engine, &project).arg("build")));
        // The agent's is 500 more than that of other programs, and all jobs would end with it.
        assert!(here > plain + 500, "{here} and {plain}");
        world.stop(engine, &project);
    });
}

/// How many core files are below a directory.
fn cores(directory: &Path) -> usize {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let found = entries.map(|entry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => cores(&entry.path()),
        _ => usize::from(entry.file_name().to_string_lossy().starts_with("core")),
    });
    found.sum()
}

/// With the file pattern that this machine has; a pattern that names a program is not for a test to set.
#[test]
fn a_crash_leaves_no_core() {
    const ABORT: &str = "    std::env::set_current_dir(&out).unwrap();\n    std::process::abort();";
    let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").expect("pattern");
    let pattern = pattern.trim();
    let to_file = Some(pattern).filter(|pattern| !pattern.starts_with(['|', '/', '@'])).ok_or_else(|| {
        format!("core dumps of this machine go to `{pattern}`: what a crash leaves cannot be looked at")
    });
    if need(to_file).is_none() {
        return;
    }
    each_world("core", |world, engine| {
        let project = project(world, Way::Script, ABORT);
        let plain = world.home.join("plain");
        let unlimited = ["-c", "ulimit -c unlimited && exec \"$0\" \"$@\""];
        let mut command = world.command("/bin/sh");
        command.args(unlimited).arg(world.cargo()).arg("build").current_dir(&project);
        run(command.env("CARGO_TARGET_DIR", &plain));
        assert!(cores(&plain.join("debug/build")) > 0, "control: a core is written");
        let above = ["/bin/sh", unlimited[0], unlimited[1]];
        let mut command = world.sandbox_under(engine, &project, &above);
        let output = run(command.arg("build"));
        assert_eq!(output.code(), 101, "{}", output.stderr);
        assert!(output.stderr.contains("signal: 6"), "{}", output.stderr);
        let build_dir = world.status(engine, &project).build_dir;
        assert_eq!(cores(&build_dir.join("debug/build")), 0);
        world.stop(engine, &project);
    });
}
