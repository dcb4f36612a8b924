//! sqlx: `query!` asks a real PostgreSQL while it compiles, over TCP and over a Unix socket, where a policy lets it.

use std::process::Child;
use std::time::{Duration, Instant};

use super::*;

/// A cluster of a user's, which ends with this.
struct Database {
    server: Child,
    port: u16,
    /// Two directories with a socket of it in each.
    directories: [PathBuf; 2],
}

impl Drop for Database {
    fn drop(&mut self) {
        // SAFETY: kill(2) takes two integers and touches no memory of ours. A "fast" shutdown.
        unsafe { libc::kill(self.server.id().cast_signed(), libc::SIGINT) };
        let _ended = self.server.wait();
    }
}

/// Where PostgreSQL's own programs are: Debian has them in no directory of `PATH`.
fn programs() -> Result<PathBuf, String> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let mut found: Vec<PathBuf> = versions.filter_map(|entry| Some(entry.ok()?.path().join("bin"))).collect();
    found.retain(|bin| bin.join("initdb").exists());
    found.pop().ok_or_else(|| "no PostgreSQL below /usr/lib/postgresql: install Debian's `postgresql`".into())
}

impl Database {
    fn start(world: &World, bin: &Path) -> Self {
        let all = world.home.join("db");
        let directories = ["run", "beside"].map(|name| all.join(name));
        for directory in &directories {
            world.write(&directory.join("x"), "");
        }
        // The user's own, data and all.
        world.write(&all.join("x"), "");
        let data = all.join("data");
        run(world
            .command(bin.join("initdb"))
            .args([
                "--username=app",
                "--auth=trust",
                "--no-sync",
                "--no-instructions",
                "--encoding=UTF8",
                "-D",
            ])
            .arg(&data))
        .success("initdb");
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .and_then(|free| free.local_addr())
            .expect("port")
            .port();
        let sockets = directories.each_ref().map(|path| path.display().to_string()).join(",");
        let mut command = world.command(bin.join("postgres"));
        command.arg("-D").arg(&data).arg("-p").arg(port.to_string()).arg("-k").arg(sockets);
        command.args(["-h", "127.0.0.1", "-c", "fsync=off", "-c", "shared_buffers=1MB"]);
        let log = fs::File::create(all.join("log")).expect("log");
        let server = command.stdout(log.try_clone().expect("log")).stderr(log).spawn().expect("postgres");
        let database = Self { server, port, directories };
        let started = Instant::now();
        while !database.socket(0).exists() {
            assert!(started.elapsed() < Duration::from_secs(60), "{:?}", fs::read_to_string(all.join("log")));
            std::thread::sleep(Duration::from_millis(50));
        }
        let table = "CREATE TABLE users (id BIGINT PRIMARY KEY, name TEXT NOT NULL)";
        let mut command = world.command(bin.join("psql"));
        command.args([
            "-h",
            "127.0.0.1",
            "-U",
            "app",
            "-d",
            "postgres",
            "-p",
            &port.to_string(),
            "-c",
            table,
        ]);
        loop {
            let output = run(&mut command);
            if output.status.success() {
                return database;
            }
            // It listens before it answers.
            assert!(started.elapsed() < Duration::from_secs(60), "{}", output.stderr);
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn socket(&self, directory: usize) -> PathBuf {
        self.directories[directory].join(format!(".s.PGSQL.{}", self.port))
    }

    fn by_network(&self) -> String {
        format!("postgres://app@127.0.0.1:{}/postgres", self.port)
    }

    fn by_socket(&self, directory: usize) -> String {
        let host = self.directories[directory].display();
        format!("postgres://app@localhost:{}/postgres?host={host}", self.port)
    }
}

/// A program whose query is checked when it is compiled, and whose own build script tries to get at the database, as any other
/// package might.
fn queries(world: &World, database: &Database) -> PathBuf {
    let project = world.work().join("queries");
    world.write(
        &project.join("Cargo.toml"),
        "[package]\nname = \"queries\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[workspace]\n\n[profile.dev]\ndebug = false\n\n[dependencies]\n\
         sqlx = { version = \"=0.8.6\", default-features = false, features = [\"macros\", \"postgres\", \"runtime-tokio\"] }\n",
    );
    let script = format!(
        "fn main() {{\n    let tcp = std::net::TcpStream::connect(\"127.0.0.1:{}\").is_ok();\n    let unix = \
         std::os::unix::net::UnixStream::connect({:?}).is_ok();\n    println!(\"cargo::warning=<script: {{tcp}} {{unix}}>\");\n}}\n",
        database.port,
        database.socket(0)
    );
    world.write(&project.join("build.rs"), &script);
    ask(world, &project, "SELECT id, name FROM users WHERE id = $1");
    project
}

/// Writes the program; cargo compiles it, and runs its script, again.
fn ask(world: &World, project: &Path, query: &str) {
    let program = format!("fn main() {{\n    let _query = sqlx::query!({query:?}, 1_i64);\n}}\n");
    world.write(&project.join("src/main.rs"), &program);
}

const QUERY: &str = "SELECT id, name FROM users WHERE id = $1";

#[test]
fn a_query_is_checked_where_the_database_is_granted() {
    let Some(world) = world("policy-database") else { return };
    let Some(bin) = need(programs()) else { return };
    let database = Database::start(&world, &bin);
    let project = queries(&world, &database);
    let kept = project.join(".sqlx");
    world.write(&kept.join("x"), "");

    // sqlx itself, which takes most of the time, is compiled once, before there is anything to ask it.
    let own = ["build.rs", "src/main.rs"]
        .map(|name| (project.join(name), project.join(name).with_extension("later")));
    for (path, later) in &own {
        fs::rename(path, later).expect("renamed");
    }
    world.write(&project.join("src/main.rs"), NOTHING);
    run(&mut sandbox(&world, Engine::Native, &project, "check")).success("without a query");
    let build_dir = world.status(Engine::Native, &project).build_dir;
    for (path, later) in &own {
        fs::rename(later, path).expect("renamed");
    }

    // Plain cargo reaches it both ways, a wrong query does not compile, and what it says is kept, as `cargo sqlx prepare` does.
    let plain = |url: &str| {
        let mut command = line::plain(&world, &project, "check");
        command.env("CARGO_BUILD_BUILD_DIR", &build_dir);
        command.env("DATABASE_URL", url).env("SQLX_OFFLINE_DIR", &kept);
        command
    };
    for url in [database.by_network(), database.by_socket(0), database.by_socket(1)] {
        ask(&world, &project, QUERY);
        let output = run(&mut plain(&url)).success("control");
        assert!(output.stderr.contains("<script: true true>"), "{}", output.stderr);
    }
    ask(&world, &project, "SELECT age FROM users WHERE id = $1");
    fails(&mut plain(&database.by_network()), &["column \"age\" does not exist"]);
    assert_eq!(fs::read_dir(&kept).expect("kept").count(), 2, "one query");

    // A script that plain cargo compiled there is never executed by the other.
    run(&mut sandbox(&world, Engine::Native, &project, "clean -p queries")).success("clean -p");

    let network = format!("network = [\"127.0.0.1:{}\"]\n", database.port);
    let sockets = format!("sockets = [{:?}]\n", database.socket(0));
    for engine in engines() {
        let check = |query: &str, rules: &str, url: &str| {
            ask(&world, &project, query);
            let text = match rules {
                "" => String::new(),
                rules => format!("[packages.\"sqlx-macros\".macro]\nenv = [\"DATABASE_URL\"]\n{rules}"),
            };
            policy(&world, &project, &text);
            trust(&world, engine, &project);
            let mut command = sandbox(&world, engine, &project, "check");
            command.env("DATABASE_URL", url);
            let output = run(&mut command);
            assert!(output.stderr.contains("<script: false false>"), "{}", output.stderr);
            output
        };
        let refused = |output: Output, words: &[&str]| {
            assert_eq!(output.code(), 101, "{}", output.stderr);
            let said = words.iter().any(|word| output.stderr.contains(word));
            assert!(said, "{words:?}: {}", output.stderr);
        };
        // What was kept is enough, and needs no grant.
        check(QUERY, "", &database.by_network()).success("offline");
        let hidden = project.join("kept");
        fs::rename(&kept, &hidden).expect("renamed");

        refused(check(QUERY, "network = \"loopback\"\n", &database.by_network()), &["Connection refused"]);
        check(QUERY, &network, &database.by_network()).success("by the network");
        let wrong = check("SELECT age FROM users WHERE id = $1", &network, &database.by_network());
        refused(wrong, &["column \"age\" does not exist"]);
        // One is no grant of the other.
        let no_socket = ["No such file or directory", "Address family not supported", "Permission denied"];
        refused(check(QUERY, &network, &database.by_socket(0)), &no_socket);
        check(QUERY, &sockets, &database.by_socket(0)).success("by the socket");
        check(QUERY, &format!("{network}{sockets}"), &database.by_socket(0)).success("with both");
        refused(check(QUERY, &sockets, &database.by_socket(1)), &no_socket);
        refused(check(QUERY, &sockets, &database.by_network()), &["Connection refused"]);
        fs::rename(&hidden, &kept).expect("renamed");
        world.stop(engine, &project);
    }
}
