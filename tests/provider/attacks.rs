//! What a hostile expression tries. Under plain nix, as one user installs it and without its sandbox, each attack gains
//! something; here none does, and the build goes on.

use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

use super::support::world::toolchain;
use super::*;

/// What a victim has.
const SECRET: &str = "the-victims-secret";

/// The variable with the victim's secret.
const VARIABLE: &str = "VICTIM_WORD";

/// The victim's files and sockets, and the attacks on them.
struct Victim {
    tcp: TcpListener,
    unix: UnixListener,
    planted: PathBuf,
}

/// What the attacks are called, in the order in which they report.
const ATTACKS: [&str; 9] = [
    "reads a key in the home directory",
    "reads the project's .env",
    "reads a file that a link in the project leads to",
    "asks for a variable",
    "has a builder read the key",
    "has a builder write to the home directory",
    "has a builder read the environment of other processes",
    "has a builder connect to a port of this machine",
    "has a builder connect to a Unix socket",
];

impl Victim {
    /// Sets the scene in a world whose project is `project`, with the attack in `attack.nix`.
    fn new(world: &World, project: &Path) -> Self {
        let key = world.home.join(".ssh/id_ed25519");
        world.write(&key, SECRET);
        world.write(&project.join(".env"), SECRET);
        symlink(&key, project.join("link.nix")).expect("link");
        let tcp = TcpListener::bind("127.0.0.1:0").expect("a port");
        let socket = world.home.join("victim.sock");
        let unix = UnixListener::bind(&socket).expect("a socket");
        tcp.set_nonblocking(true).expect("set");
        unix.set_nonblocking(true).expect("set");
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(&socket, fs::Permissions::from_mode(0o777)).expect("set");
        let planted = world.home.join("planted");
        let port = tcp.local_addr().expect("bound").port();
        let (home, key) = (world.home.display(), key.display());
        let planted_at = planted.display();
        let socket = socket.display();
        let text = format!(
            r#"let
  file = path: if builtins.pathExists path then builtins.readFile path else "nothing";
  variable = builtins.getEnv "{VARIABLE}";
  built = derivation {{
    name = "attack";
    system = "x86_64-linux";
    builder = "/bin/bash";
    PATH = "/usr/bin:/bin";
    args = [ "-c" ''
      mkdir $out
      for name in key home environment port socket; do printf nothing > $out/$name; done
      test -r {key} && cat {key} > $out/key
      (echo planted > {planted_at}) && printf wrote > $out/home
      cat /proc/[0-9]*/environ | tr '\0' '\n' | grep -q {VARIABLE}={SECRET} && printf read > $out/environment
      (exec 3<>/dev/tcp/127.0.0.1/{port}) && printf connected > $out/port
      curl --max-time 2 --unix-socket {socket} http://victim/ > /dev/null
      test $? = 28 && printf connected > $out/socket
      true
    '' ];
  }};
  gained = name: builtins.readFile "${{built}}/${{name}}";
in builtins.concatStringsSep "," [
  (file "{home}/.ssh/id_ed25519")
  (file "{project}/.env")
  (file "{project}/link.nix")
  (if variable == "" then "nothing" else variable)
  (gained "key")
  (gained "home")
  (gained "environment")
  (gained "port")
  (gained "socket")
]
"#,
            project = project.display()
        );
        world.write(&project.join("attack.nix"), &text);
        Self { tcp, unix, planted }
    }

    /// What the attacks have gained, that nothing of the machine knows of by itself: the file and the connections.
    fn harm(&self) -> [bool; 3] {
        let planted = self.planted.exists();
        let _absent = fs::remove_file(&self.planted);
        [planted, self.tcp.accept().is_ok(), self.unix.accept().is_ok()]
    }
}

#[test]
fn a_hostile_expression_gains_nothing() {
    if need(program("curl")).is_none() {
        return;
    }
    for (world, engine) in worlds("hostile") {
        let project = project(&world);
        let victim = Victim::new(&world, &project);

        let plain = plain_nix(&world, &project, "attack.nix").success("plain nix");
        let gained: Vec<&str> = plain.stdout.split(',').collect();
        assert_eq!(gained.len(), ATTACKS.len(), "{}", plain.stdout);
        for (attack, gained) in ATTACKS.iter().zip(gained) {
            assert_ne!(gained, "nothing", "the control of: {attack}\n{}", plain.stderr);
        }
        assert_eq!(victim.harm(), [true; 3], "the control");

        wants(&world, "nix");
        let shell = shell("  GREETING = import ./attack.nix;").replacen("  GREETING = \"hello\";\n", "", 1);
        world.write(&project.join("shell.nix"), &shell);
        let output = run(world.sandbox(engine, &project).arg("run").env(VARIABLE, SECRET)).success("run");
        let gained = output.stdout.split(' ').nth(2).expect("four words").split(',');
        for (attack, gained) in ATTACKS.iter().zip(gained) {
            assert_eq!(gained, "nothing", "it {attack}");
        }
        assert_eq!(victim.harm(), [false; 3]);
        for store in stores(&world) {
            for entry in walkdir(&store) {
                let text = fs::read(&entry).unwrap_or_default();
                let found = text.windows(SECRET.len()).any(|part| part == SECRET.as_bytes());
                // The expression itself names it.
                assert!(!found || entry.extension().is_some_and(|end| end == "drv"), "{}", entry.display());
            }
        }
        world.stop(engine, &project);
    }
}

/// All files below a directory.
fn walkdir(directory: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        match entry.file_type().expect("a type") {
            kind if kind.is_dir() => all.extend(walkdir(&entry.path())),
            kind if kind.is_file() => all.push(entry.path()),
            _ => {}
        }
    }
    all
}

/// The value of an expression by nix itself, as a user has it who installs it for himself, without its sandbox.
fn plain_nix(world: &World, project: &Path, file: &str) -> Output {
    let own = world.home.join("plain-nix");
    let mut nix = world.command(program("nix").expect("needed"));
    for (name, place) in [
        ("NIX_STORE_DIR", "store"),
        ("NIX_STATE_DIR", "state"),
        ("NIX_LOG_DIR", "log"),
        ("NIX_CONF_DIR", "none"),
    ] {
        nix.env(name, own.join(place));
    }
    nix.env(VARIABLE, SECRET).current_dir(project);
    run(nix.args(["--extra-experimental-features", "nix-command", "--option", "sandbox", "false"]).args([
        "--option",
        "build-users-group",
        "",
        "--offline",
        "eval",
        "--impure",
        "--raw",
        "--file",
        file,
    ]))
}

/// A build script that makes a directory of the store writable and writes into it.
#[test]
fn no_job_writes_the_store() {
    for (world, engine) in worlds("store") {
        let project = project(&world);
        wants(&world, "nix");
        world.write(&project.join("shell.nix"), &shell(""));
        cargo(&world, engine, &project, &["run"]).success("run");
        let script = r#"
use std::os::unix::fs::PermissionsExt as _;

fn main() {
    println!("cargo::rerun-if-changed=always");
    let directory = std::env::var("PKG_CONFIG_PATH").unwrap();
    let changed = std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o755));
    let written = std::fs::write(format!("{directory}/evil.pc"), "evil");
    println!("cargo::warning=the store: {} {}", changed.is_ok(), written.is_ok());
}
"#;
        world.write(&project.join("build.rs"), script);
        world.write(&project.join("src/main.rs"), "fn main() {}\n");
        let refused = cargo(&world, engine, &project, &["build"]).success("build");
        assert!(refused.stderr.contains("the store: false false"), "{}", refused.stderr);

        // Who is not confined is its owner.
        let [store] = &*stores(&world) else { panic!("one store") };
        let made = fs::read_dir(store).expect("a store").flatten();
        let library = made.map(|entry| entry.path().join("lib/pkgconfig")).find(|path| path.is_dir());
        let plain =
            run(world.plain(&project).arg("build").env("PKG_CONFIG_PATH", library.expect("the library")));
        assert!(plain.stderr.contains("the store: true true"), "{}", plain.stderr);
        world.stop(engine, &project);
    }
}

/// A `nix` that a repository brings, first in a `PATH` that a careless `.envrc` makes.
#[test]
fn a_nix_of_the_repositorys_is_not_run() {
    let Some(world) = world("own-nix") else { return };
    let project = project(&world);
    wants(&world, "nix");
    world.write(&project.join("shell.nix"), &shell(""));
    let (own, planted) = (project.join("bin/nix"), world.home.join("planted"));
    world.write(&own, &format!("#!/bin/sh\necho x > {}\n", planted.display()));
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(&own, fs::Permissions::from_mode(0o755)).expect("set");
    let sysroot = toolchain(&world.user).expect("as the world has it");
    let path =
        format!("{}:bin:{}/bin:/usr/bin:/bin", own.parent().expect("above").display(), sysroot.display());
    run(world.command("sh").args(["-c", "nix"]).env("PATH", &path).current_dir(&project)).success("plain");
    assert!(planted.exists(), "the control");
    fs::remove_file(&planted).expect("removed");
    let output = run(world.sandbox(Engine::Native, &project).arg("run").env("PATH", &path));
    assert_eq!(output.success("run").stdout, SAYS);
    assert!(!planted.exists());
    world.stop(Engine::Native, &project);
}
