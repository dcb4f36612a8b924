//! The recipes of `examples/ci`, read as YAML, and their commands run as they stand by an ordinary user. What they install
//! is an archive as packaging/release makes it, at an address of this machine.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_yaml_ng::Value;

use super::support::need;
use super::support::run::{Output, run};
use super::support::tool::{Engine, front_end};
use super::support::world::{World, ordinary};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Commands that are the provider's own: recipe, beginning, why.
const NOT_RUN: &[(&str, &str, &str)] = &[(
    "github-actions.yml",
    "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
    "it changes the machine, which is a runner's that goes with the job",
)];

fn recipe(name: &str) -> Value {
    let text = fs::read_to_string(Path::new(ROOT).join("examples/ci").join(name)).expect("recipe");
    serde_yaml_ng::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value:?}"))
}

fn list(value: &Value) -> Vec<&str> {
    value.as_sequence().unwrap_or_else(|| panic!("no list: {value:?}")).iter().map(text).collect()
}

/// A runner's job: a checkout with pinned behaviour, variables of the project, and what the job has set.
struct Job {
    world: World,
    checkout: PathBuf,
    variables: Vec<(String, String)>,
    path: String,
}

impl Job {
    fn new(name: &str) -> Option<Self> {
        let world = ordinary(name)?;
        let checkout = world.work().join("checkout");
        // A dependency that has a build script.
        world.write(
            &checkout.join("Cargo.toml"),
            "[package]\nname = \"app\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[dependencies]\nanyhow = \"=1.0.104\"\n\n\
             [workspace]\n",
        );
        world.write(&checkout.join("src/lib.rs"), "#[test]\nfn works() {\n    anyhow::Ok(()).unwrap();\n}\n");
        let archive = archive(&world);
        let checksum = run(Command::new("sha256sum").arg(&archive)).success("sha256sum").stdout;
        let variables = vec![
            ("CARGO_SANDBOX_URL".into(), format!("file://{}", archive.display())),
            ("CARGO_SANDBOX_SHA256".into(), checksum.split(' ').next().expect("a sum").into()),
        ];
        let path = format!("{}:/usr/local/bin:/usr/bin:/bin", world.toolchain.join("bin").display());
        let job = Self { world, checkout, variables, path };
        // What the developers have committed.
        let pin = "cargo generate-lockfile && cargo-sandbox --audit test --locked && cargo-sandbox self report --pin && cargo-sandbox clean && \
                   cargo-sandbox self stop && rm -rf target \"$HOME/.cargo/registry/src\" \"$HOME/.cache\"";
        let own = front_end().parent().expect("a directory").display().to_string();
        let mut shell = job.shell(pin);
        run(shell.env("PATH", format!("{own}:{}", job.path)).env("CARGO_SANDBOX_ENGINE", "native"))
            .success("pinning what dependencies do");
        assert!(job.checkout.join("cargo-sandbox.lock").is_file());
        Some(job)
    }

    /// Another archive in the place of the dependency's, as a restored cache may hold it: cargo takes it as it is.
    fn poison(&self, cargo_home: &str) {
        let plant = format!(
            "cd {cargo_home}/registry/cache/*/ && mkdir x && tar -xzf anyhow-1.0.104.crate -C x && \
             echo 'compile_error!(\"planted\");' >>x/anyhow-1.0.104/src/lib.rs && \
             tar -czf anyhow-1.0.104.crate -C x anyhow-1.0.104 && rm -r x"
        );
        self.run(&plant, &[]);
        let control = format!(
            "export CARGO_HOME={cargo_home}; cargo check --locked --offline --target-dir \"$HOME/plain\" && exit 1; \
             rm -r $CARGO_HOME/registry/src"
        );
        assert!(self.run(&control, &[]).stderr.contains("planted"), "control: cargo does not take it");
    }

    fn shell(&self, script: &str) -> Command {
        let mut command = self.world.command("/bin/bash");
        command.args(["--noprofile", "--norc", "-e", "-o", "pipefail", "-c", script]);
        command.current_dir(&self.checkout).env("PATH", &self.path).env("CI", "true");
        command
    }

    fn run(&self, script: &str, variables: &[(String, String)]) -> Output {
        let mut command = self.shell(script);
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        run(&mut command).success(script)
    }

    /// What the recipe keeps is all that another job needs to build without a network.
    fn the_cache_is_enough(&self, cargo_home: &Path, kept: &[&str]) {
        let next = self.world.home.join("next");
        for path in kept.iter().filter(|path| cargo_home.join(path).exists()) {
            self.world.copy(&cargo_home.join(path), &next.join(path));
        }
        self.world.write(&next.join("kept"), "");
        let sources = ["registry/src", "git/checkouts"].map(|path| next.join(path));
        assert!(sources.iter().all(|path| !path.exists()), "unpacked sources are kept");
        self.run("cargo-sandbox self stop", &[]);
        let variables = [("CARGO_HOME".into(), next.display().to_string()), self.fresh()];
        self.run(
            "cargo-sandbox --engine native test --locked --offline; cargo-sandbox self stop",
            &variables,
        );
    }

    /// A state directory of its own: nothing is built there yet.
    fn fresh(&self) -> (String, String) {
        ("CARGO_SANDBOX_HOME".into(), self.world.home.join("fresh").display().to_string())
    }
}

/// The executables under test, as in a release.
fn archive(world: &World) -> PathBuf {
    let directory = world.work().join("release");
    for name in ["cargo-sandbox", "cargo-sandbox-rustc"] {
        world.copy(&front_end().with_file_name(name), &directory.join("cargo-sandbox-0-x/bin").join(name));
    }
    let archive = world.work().join("release.tar.gz");
    run(Command::new("tar").arg("-czf").arg(&archive).arg("-C").arg(&directory).arg("cargo-sandbox-0-x"))
        .success("tar");
    archive
}

#[test]
fn the_recipe_for_github_works() {
    let name = "github-actions.yml";
    let recipe = recipe(name);
    if need(super::support::program("curl")).is_none() {
        return;
    }
    let Some(mut job) = Job::new("ci-github") else { return };
    job.poison("$HOME/.cargo");
    assert_eq!(text(&recipe["permissions"]["contents"]), "read");
    let mut shared = Vec::new();
    for (name, value) in recipe["env"].as_mapping().expect("variables") {
        shared.push((text(name).to_owned(), text(value).to_owned()));
    }
    let file = job.world.home.join("path");
    job.world.write(&file, "");
    shared.push(("GITHUB_PATH".into(), file.display().to_string()));
    let mut kept = Vec::new();
    let mut ran = 0;
    for step in recipe["jobs"]["build"]["steps"].as_sequence().expect("steps") {
        if let Some(path) = step["with"]["path"].as_str() {
            kept.extend(path.lines().filter_map(|line| line.strip_prefix("~/.cargo/")));
        }
        let Some(script) = step["run"].as_str() else { continue };
        if NOT_RUN.iter().any(|(of, line, _)| *of == name && *line == script.trim()) {
            continue;
        }
        let mut variables = shared.clone();
        for (name, value) in step["env"].as_mapping().into_iter().flatten() {
            let of_project = format!("${{{{ vars.{} }}}}", text(name));
            assert_eq!(text(value), of_project, "what is that?");
            variables.extend(job.variables.iter().filter(|(own, _)| own == text(name)).cloned());
        }
        job.run(script, &variables);
        ran += 1;
        for directory in fs::read_to_string(&file).expect("path").lines() {
            if !job.path.contains(directory) {
                job.path = format!("{directory}:{}", job.path);
            }
        }
    }
    assert!(ran >= 4, "{ran}");
    assert!(fs::read_to_string(job.checkout.join("behaviour.html")).expect("page").contains("anyhow"));
    job.the_cache_is_enough(&job.world.home.join(".cargo"), &kept);
    new_behaviour_fails(&job);
}

/// The recipe's own command, where a dependency does what is not pinned, and where nothing is pinned.
fn new_behaviour_fails(job: &Job) {
    let line = "cargo-sandbox --engine native --locked-behaviour test --locked";
    let pinned = job.checkout.join("cargo-sandbox.lock");
    let text = fs::read_to_string(&pinned).expect("pinned");
    let less = Some(text.replace("programs = [\"rustc\"]\n", ""));
    for (less, said) in
        [(less, "new behaviour: the build script of `anyhow"), (None, "there is no `cargo-sandbox.lock`")]
    {
        match less {
            Some(less) => {
                assert_ne!(less, text);
                job.world.write(&pinned, &less);
            }
            None => fs::remove_file(&pinned).expect("remove"),
        }
        run(&mut job.shell("cargo-sandbox clean")).success("clean");
        let output = run(&mut job.shell(line));
        assert_eq!(output.code(), 101, "{}", output.stderr);
        assert!(output.stderr.contains(said), "{}", output.stderr);
    }
    job.world.stop(Engine::Native, &job.checkout);
}

#[test]
fn the_recipe_for_gitlab_works() {
    let recipe = recipe("gitlab-ci.yml");
    let build = &recipe["build"];
    // The oldest toolchain that the manifest allows.
    let manifest: toml::Table =
        toml::from_str(&fs::read_to_string(Path::new(ROOT).join("Cargo.toml")).expect("manifest"))
            .expect("TOML");
    assert_eq!(
        text(&build["image"]),
        format!("rust:{}", manifest["package"]["rust-version"].as_str().expect("text"))
    );
    let Some(job) = Job::new("ci-gitlab") else { return };
    let mut variables = job.variables.clone();
    for (name, value) in build["variables"].as_mapping().expect("variables") {
        let value = text(value).replace("$CI_PROJECT_DIR", &job.checkout.display().to_string());
        variables.push((text(name).to_owned(), value));
    }
    job.run("mv \"$HOME/.cargo\" .ci-cargo", &[]);
    job.poison("$PWD/.ci-cargo");
    // Both parts run in one shell, the third in another.
    let mut script = String::new();
    for line in [list(&build["before_script"]), list(&build["script"])].concat() {
        let _infallible = writeln!(script, "{line}");
    }
    // A runner's own /tmp.
    let script = script.replace("/tmp/", &format!("{}/", job.world.home.display()));
    job.run(&script, &variables);
    job.run(&list(&build["after_script"]).join("\n"), &variables);
    for path in list(&build["artifacts"]["paths"]) {
        assert!(job.checkout.join(path).is_file(), "{path}");
    }
    let kept: Vec<&str> =
        list(&build["cache"]["paths"]).iter().filter_map(|path| path.strip_prefix(".ci-cargo/")).collect();
    let mut job = job;
    job.path = format!("{}:{}", job.world.home.join(".local/bin").display(), job.path);
    job.the_cache_is_enough(&job.checkout.join(".ci-cargo"), &kept);
}

#[test]
fn what_is_not_run_is_still_there() {
    for (name, line, _) in NOT_RUN {
        let text = fs::read_to_string(Path::new(ROOT).join("examples/ci").join(name)).expect("recipe");
        assert!(text.contains(line), "{name} has no `{line}` any more");
    }
}
