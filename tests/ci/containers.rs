//! Inside of a container, as runners start them: nothing but Docker's own profile, namespaces allowed, a daemon's socket.
//! The containers show this machine's system, from an empty image.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::support::run::run;
use super::support::tool::{Engine, front_end};
use super::support::world::{User, World, docker_group, shared};
use super::support::{need, program};

const IMAGE: &str = "cargo-sandbox-test-ci:1";
const SOCKET: &str = "/var/run/docker.sock";

/// A runner: an ordinary user's home with a project, which is mounted at its own path.
struct Runner {
    docker: PathBuf,
    world: World,
    project: PathBuf,
}

/// What a command in the container did.
struct Said {
    code: i32,
    text: String,
}

impl Runner {
    fn new(name: &str) -> Option<Self> {
        Self::of(name, &need(User::ordinary())?)
    }

    fn of(name: &str, user: &User) -> Option<Self> {
        let docker = need(program("docker"))?;
        need(Engine::Docker.here())?;
        let world = need(World::new(name, user))?;
        image(&docker);
        let project = world.work().join("project");
        world.write(
            &project.join("Cargo.toml"),
            "[package]\nname = \"project\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[workspace]\n",
        );
        world.write(
            &project.join("build.rs"),
            "fn main() { println!(\"cargo::rustc-env=MADE=by a build script\") }\n",
        );
        world.write(&project.join("src/main.rs"), "fn main() { println!(\"{}\", env!(\"MADE\")) }\n");
        Some(Self { docker, world, project })
    }

    /// Runs a line in a container that is started with these options.
    fn line(&self, options: &[&str], line: &str) -> Said {
        let World { user, home, toolchain, .. } = &self.world;
        let bin = front_end().parent().expect("a directory").to_owned();
        let mut docker = Command::new(&self.docker);
        docker.args(["run", "--rm", "--network=none"]).arg(format!("--user={}:{}", user.uid, user.gid));
        let same = |path: &Path, how: &str| format!("--volume={0}:{0}{how}", path.display());
        docker.arg(same(Path::new("/etc"), ":ro")).arg(same(toolchain, ":ro")).arg(same(&bin, ":ro"));
        for directory in ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64"].map(Path::new) {
            if directory.is_dir() && !directory.is_symlink() {
                docker.arg(same(directory, ":ro"));
            }
        }
        docker.arg(same(home, "")).arg(format!("--workdir={}", self.project.display()));
        docker.arg(format!("--env=HOME={}", home.display()));
        docker.arg(format!("--env=PATH={}:{}:/usr/bin:/bin", bin.display(), toolchain.join("bin").display()));
        docker.args(options).arg(IMAGE);
        // By a file: what a client is told of a container that ends at once may be less than it said.
        let said = home.join("said");
        docker.args(["/bin/sh", "-c", &format!("({line}) >\"$HOME/said\" 2>&1")]);
        let output = run(&mut docker);
        let text = fs::read_to_string(&said).unwrap_or_default() + &output.stderr;
        Said { code: output.code(), text }
    }

    fn works(&self, options: &[&str], line: &str) {
        let said = self.line(options, line);
        assert_eq!(said.code, 0, "{line}: {}", said.text);
        assert!(said.text.contains("by a build script"), "{line}: {}", said.text);
    }

    fn fails(&self, options: &[&str], line: &str, words: &[&str]) -> Said {
        let said = self.line(options, line);
        assert_eq!(said.code, 101, "{line}: {}", said.text);
        for word in words {
            assert!(said.text.contains(word), "`{word}` is not in: {}", said.text);
        }
        assert!(!said.text.contains("by a build script"), "it ran: {}", said.text);
        said
    }
}

/// The socket, and the group that may use it.
fn with_socket() -> Vec<String> {
    let group = docker_group().map(|group| format!("--group-add={group}"));
    group.into_iter().chain([format!("--volume={SOCKET}:{SOCKET}")]).collect()
}

fn words(options: &[String]) -> Vec<&str> {
    options.iter().map(String::as_str).collect()
}

/// An empty image with places to mount on, and this machine's links of the root directory.
fn image(docker: &Path) {
    let _lock = shared();
    if run(Command::new(docker).args(["image", "inspect", IMAGE])).status.success() {
        return;
    }
    let root = tempfile::tempdir().expect("directory");
    for name in ["usr", "etc", "proc", "sys", "dev", "run", "var/run", "tmp", "opt", "home", "root"] {
        fs::create_dir_all(root.path().join(name)).expect("directory");
    }
    for name in ["bin", "sbin", "lib", "lib32", "lib64"] {
        if let Ok(target) = fs::read_link(Path::new("/").join(name)) {
            std::os::unix::fs::symlink(target, root.path().join(name)).expect("link");
        }
    }
    let script = "chmod 1777 \"$1/tmp\" && tar -C \"$1\" -c . | \"$2\" import - \"$3\"";
    let mut import = Command::new("sh");
    run(import.args(["-c", script, "sh"]).arg(root.path()).arg(docker).arg(IMAGE)).success("docker import");
}

/// The options that the error names are the ones that help.
#[test]
fn where_nothing_can_be_had_the_error_names_both_ways_out() {
    let Some(runner) = Runner::new("ci-refused") else { return };
    // Control: what is refused is the confinement, and nothing that cargo needs.
    runner.works(&[], "cargo run --quiet --offline --target-dir /tmp/plain");
    let said = runner.fails(
        &[],
        "cargo-sandbox run",
        &["could not start the Build container", "hint: ", "--engine docker", "socket", "docs/ci.md"],
    );
    // cargo says nothing of a compiler that does not answer when it is told to be quiet.
    runner.fails(&[], "cargo-sandbox run --quiet", &["could not start the Build container", "hint: "]);
    let doctor = runner.line(&[], "cargo-sandbox self doctor");
    assert_eq!(doctor.code, 101);
    for words in ["native:      not usable: ", "jobs cannot run here"] {
        assert!(doctor.text.contains(words), "{}", doctor.text);
    }

    let (_, rest) = said.text.split_once("Start the container with `").expect("the options");
    let (options, _) = rest.split_once('`').expect("their end");
    let options: Vec<&str> = options.split_whitespace().collect();
    assert_eq!(options.len(), 6, "{options:?}");
    runner.works(&options, "cargo-sandbox --engine native run && cargo-sandbox self stop");
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/ci.md")).expect("docs/ci.md");
    for option in options.iter().filter(|option| option.contains('=')) {
        assert!(page.contains(option), "docs/ci.md does not have {option}");
    }
}

/// Most images of runners are root's.
#[test]
fn root_needs_one_privilege_more_for_namespaces() {
    let Some(root) = need(User::root()) else { return };
    let Some(runner) = Runner::of("ci-root", &root) else { return };
    let allowed = ["--security-opt=seccomp=unconfined", "--security-opt=systempaths=unconfined"];
    let line = "cargo-sandbox --engine native run";
    runner.fails(&allowed, line, &["root without the privilege", "as an ordinary user"]);
    let options = [allowed.as_slice(), &["--cap-add=SYS_ADMIN"]].concat();
    runner.works(&options, &format!("{line} && cargo-sandbox self stop"));
}

#[test]
fn a_daemons_socket_will_do_where_paths_are_the_same() {
    let users = [need(User::ordinary()), need(User::root())];
    for (user, name) in users.into_iter().flatten().zip(["ci-socket", "ci-socket-root"]) {
        let Some(runner) = Runner::of(name, &user) else { return };
        let line = "cargo-sandbox --engine docker run; code=$?; cargo-sandbox self stop; exit $code";
        runner.works(&words(&with_socket()), line);
        // As engines cover what tells of other containers: the daemon's machine has no such mount.
        let covered = "--tmpfs=/sys/devices/system/cpu/cpu0/topology".to_owned();
        runner.works(&words(&[with_socket(), vec![covered]].concat()), line);
    }
}

/// The daemon would show its own machine's files, under the same names.
#[test]
fn a_daemon_with_other_files_is_refused() {
    let Some(runner) = Runner::new("ci-other") else { return };
    let other = runner.world.home.join("other");
    fs::create_dir(&other).expect("directory");
    let mut options = with_socket();
    options.push(format!("--volume={}:/usr/share/doc:ro", other.display()));
    let line = "cargo-sandbox --engine docker run";
    runner.fails(
        &words(&options),
        line,
        &["has other files at /usr/share/doc than there are here", "docs/ci.md"],
    );

    // What is nowhere on the daemon's machine.
    let mut options = with_socket();
    let own = format!("{}/own", runner.world.home.display());
    options.push("--tmpfs=/opt/elsewhere:exec,mode=1777".into());
    let line = format!(
        "cp -r {} /opt/elsewhere/p && cd /opt/elsewhere/p && CARGO_HOME={own} {line}",
        runner.project.display()
    );
    runner.fails(&words(&options), &line, &["source path does not exist", "docs/ci.md"]);
}
