//! The commands of the pages, each page in a project as the pages have it, in order.

use std::fs;
use std::path::{Path, PathBuf};

use super::blocks::Command;
use super::support::run::run;
use super::support::tool::front_end;
use super::support::world::{World, ordinary, remove};
use super::{README, ROOT, blocks_of, pages};

/// What is not run: page, command without its remark, reason.
const NOT_RUN: &[(&str, &str, &str)] = &[
    ("docs/publish.md", "cargo-sandbox publish --dry-run", REGISTRY),
    ("docs/publish.md", "cargo-sandbox publish", REGISTRY),
    ("docs/publish.md", "cargo-sandbox owner --add somebody my-crate", REGISTRY),
    ("docs/publish.md", "cargo-sandbox yank --version 1.0.1 my-crate", REGISTRY),
    ("docs/publish.md", "cargo-sandbox login", REGISTRY),
    (
        "examples/hostile/README.md",
        "python3 -m http.server --bind 127.0.0.1 47811 &",
        "it would stay; that nothing connects to this machine is shown in tests/escapes",
    ),
    (
        "docs/editors.md",
        "rustup component add rust-analyzer rust-src",
        "it changes the toolchain that all tests share; tests/editor has a server from elsewhere",
    ),
];

const REGISTRY: &str =
    "it speaks to crates.io in the reader's name; tests/publish runs it with a registry of its own";

/// Files that a page speaks of, beside those of the example: page, path in the project, text.
const FILES: &[(&str, &str, &str)] = &[(
    "docs/configuration.md",
    ".cargo/config.toml",
    "# line 1\n# line 2\n# line 3\n[http]\nproxy = \"proxy.example:3128\"\n",
)];

/// A command's line without what is said behind it.
pub fn without_remark(line: &str) -> &str {
    line.split_once(" #").map_or(line, |(command, _)| command).trim()
}

fn is_run(page: &str, line: &str) -> bool {
    !NOT_RUN.iter().any(|(of, command, _)| *of == page && *command == without_remark(line))
}

/// What is about this repository itself is looked at and not run: the commands are those of `.ci/run`.
fn about_this_repository(line: &str) -> Option<bool> {
    let words: Vec<&str> = without_remark(line).split_whitespace().collect();
    let is_file = |path: &str| Path::new(ROOT).join(path).is_file();
    let named = |option: &str| words.iter().skip_while(|word| **word != option).nth(1);
    if let Some(name) = named("--bench") {
        return Some(is_file(&format!("benches/{name}.rs")));
    }
    if let Some(name) = named("--test") {
        let manifest = fs::read_to_string(Path::new(ROOT).join("Cargo.toml")).expect("manifest");
        let is_test =
            is_file(&format!("tests/{name}/main.rs")) || manifest.contains(&format!("name = \"{name}\""));
        return Some(is_test);
    }
    let first = words.first()?;
    (first.contains('/') && is_file(first)).then_some(true)
}

struct Reader {
    world: World,
    project: PathBuf,
}

impl Reader {
    fn new() -> Option<Self> {
        let world = ordinary("documentation")?;
        let project = world.work().join("your/project");
        Some(Self { world, project })
    }

    /// The example, with behaviour that is pinned, and nothing that another page left.
    fn prepare(&self, page: &str) {
        for left in [".config", ".local", "work"] {
            remove(&self.world.home.join(left));
        }
        // An example's page is about that one.
        let example = Path::new(page).parent().filter(|directory| directory.starts_with("examples"));
        let example = example.unwrap_or_else(|| Path::new("examples/hello-native"));
        self.world.copy(&Path::new(ROOT).join(example), &self.project);
        self.world.write(&self.project.join("src/.keep"), "");
        for (_, path, text) in FILES.iter().filter(|(of, ..)| *of == page) {
            self.world.write(&self.project.join(path), text);
        }
        self.world.write(&self.project.join("../shared-crate/README"), "");
    }

    fn shell(&self, line: &str) -> super::support::run::Output {
        let mut command = self.world.command("/bin/sh");
        let system = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        let own = front_end().parent().expect("a directory").display().to_string();
        let toolchain = self.world.toolchain.join("bin");
        command
            .args(["-c", line])
            .current_dir(&self.project)
            .env("PATH", format!("{own}:{}:{system}", toolchain.display()))
            .env("CARGO_SANDBOX_ENGINE", "native");
        run(&mut command)
    }

    /// Runs one, and looks for what the page shows of it.
    fn follow(&self, page: &str, command: &Command) {
        let output = self.shell(&command.line);
        let fails = command.shown.iter().any(|line| line.starts_with("error"));
        let said = format!("{}\n{}", output.stdout, output.stderr);
        assert_eq!(output.code(), if fails { 101 } else { 0 }, "{page}: `{}`: {said}", command.line);
        for line in command.shown.iter().filter(|line| !line.trim().is_empty()) {
            let line = line.replace("/home/me/app", &self.project.display().to_string());
            assert!(said.contains(line.trim()), "{page}: `{}` does not say `{line}`: {said}", command.line);
        }
    }
}

#[test]
fn every_command_of_the_pages_works() {
    let Some(reader) = Reader::new() else { return };
    let mut ran = 0;
    for page in pages().into_iter().filter(|page| page != README) {
        let commands: Vec<Command> = blocks_of(&page).iter().flat_map(|block| block.commands()).collect();
        let commands: Vec<Command> = commands
            .into_iter()
            .filter(|command| is_run(&page, &command.line))
            .filter(|command| match about_this_repository(&command.line) {
                Some(is_there) => {
                    assert!(is_there, "{page}: `{}` names what is not there", command.line);
                    false
                }
                None => true,
            })
            .collect();
        if commands.is_empty() {
            continue;
        }
        reader.prepare(&page);
        if commands.iter().any(|command| command.line.contains("--locked-behaviour")) {
            // What a page says of it begins with a project that has the file.
            for line in
                ["cargo-sandbox --audit build", "cargo-sandbox self report --pin", "cargo-sandbox clean"]
            {
                reader.shell(line).success(line);
            }
        }
        for command in &commands {
            reader.follow(&page, command);
            ran += 1;
        }
        reader.shell("cargo-sandbox self stop").success("self stop");
    }
    assert!(ran >= 3, "{ran}");
}

#[test]
fn what_is_not_run_is_still_there() {
    for (page, line, _) in NOT_RUN {
        let commands: Vec<_> = blocks_of(page).iter().flat_map(|block| block.commands()).collect();
        let found = commands.iter().any(|command| without_remark(&command.line) == *line);
        assert!(found, "{page} has no `{line}` any more");
    }
}

/// A block that is no shell's, or a page's older form of one, would not be run.
#[test]
fn no_command_hides_from_these_tests() {
    let is_command =
        |line: &str| ["$ ", "cargo ", "cargo-sandbox "].iter().any(|start| line.starts_with(start));
    for page in pages() {
        for block in blocks_of(&page).iter().filter(|block| block.commands().is_empty()) {
            let hidden = block.text.lines().find(|line| is_command(line));
            assert_eq!(hidden, None, "{page}:{}: is that `sh` or `console`?", block.line);
        }
        let text = super::text_of(&page);
        let hidden = text.lines().find(|line| line.strip_prefix("    ").is_some_and(is_command));
        assert_eq!(hidden, None, "{page}: put it between fences");
    }
}
