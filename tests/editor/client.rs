//! As much of an editor as a session needs.

use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::support::world::World;

/// "Content modified" (Language Server Protocol 3.17, `ErrorCodes`).
const CONTENT_MODIFIED: i32 = -32801;

/// Far more than anything takes, so that only a hang is caught.
const LIMIT: Duration = Duration::from_secs(180);

/// A session.
pub struct Client {
    child: Child,
    stdin: Option<ChildStdin>,
    messages: Receiver<Value>,
    errors: Arc<Mutex<String>>,
    root: PathBuf,
    next: i64,
    version: i64,
    settings: Value,
    /// What the server has asked this client for.
    pub asked: Vec<String>,
}

impl Client {
    /// Starts a server and waits until it knows the project at `root`, with its `src/main.rs` open.
    pub fn start(command: &mut Command, world: &World, root: &Path, settings: Value) -> Self {
        let mut client = Self::connect(command, world, root, settings);
        client.open();
        client
    }

    /// Starts a server, and says nothing.
    pub fn connect(command: &mut Command, world: &World, root: &Path, settings: Value) -> Self {
        let what = format!("{command:?}");
        let mut child = command
            .current_dir(root)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        let (sender, messages) = channel();
        let stdout = child.stdout.take().expect("piped");
        // As if the user's own editor had made it.
        std::os::unix::fs::fchown(&stdout, Some(world.user.uid), Some(world.user.gid))
            .expect("chown of a pipe");
        std::thread::spawn(move || {
            let mut stdout = BufReader::new(stdout);
            while let Some(message) = read(&mut stdout) {
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        let errors = Arc::new(Mutex::new(String::new()));
        let stderr = BufReader::new(child.stderr.take().expect("piped"));
        std::thread::spawn({
            let errors = Arc::clone(&errors);
            move || {
                for line in stderr.lines().map_while(Result::ok) {
                    errors.lock().expect("lock").push_str(&format!("{line}\n"));
                }
            }
        });
        let stdin = child.stdin.take();
        let root = root.to_owned();
        let (next, version, asked) = (1, 1, Vec::new());
        Self { child, stdin, messages, errors, root, next, version, settings, asked }
    }

    fn open(&mut self) {
        let root = self.uri("");
        let commands = ["rust-analyzer.runSingle", "rust-analyzer.debugSingle"];
        self.request(
            "initialize",
            json!({
                "processId": std::process::id(),
                "rootUri": root,
                "workspaceFolders": [{"uri": root, "name": "project"}],
                "initializationOptions": self.settings,
                "capabilities": {
                    "workspace": {"didChangeWatchedFiles": {"dynamicRegistration": true, "relativePatternSupport": true},
                        "configuration": true, "applyEdit": true, "workspaceEdit": {"documentChanges": true, "resourceOperations": ["create", "rename"]}},
                    "experimental": {"serverStatusNotification": true, "commands": {"commands": commands}},
                },
            }),
        );
        self.notify("initialized", json!({}));
        let text = std::fs::read_to_string(self.root.join("src/main.rs")).expect("source");
        let uri = self.uri("src/main.rs");
        let document = json!({"uri": uri, "languageId": "rust", "version": 1, "text": text});
        self.notify("textDocument/didOpen", json!({"textDocument": document}));
        self.quiescent();
    }

    /// Waits until the server has looked at everything.
    pub fn quiescent(&mut self) {
        self.wait("a quiet server", |message| {
            message["method"] == "experimental/serverStatus" && message["params"]["quiescent"] == true
        });
    }

    pub fn uri(&self, path: &str) -> String {
        format!("file://{}", self.root.join(path).display()).trim_end_matches('/').to_owned()
    }

    /// What was said on standard error until now.
    pub fn said(&self) -> String {
        self.errors.lock().expect("lock").clone()
    }

    pub fn send(&mut self, mut message: Value) {
        message["jsonrpc"] = "2.0".into();
        let body = message.to_string();
        let stdin = self.stdin.as_mut().expect("open");
        let sent = stdin
            .write_all(format!("Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes())
            .and_then(|()| stdin.flush());
        if let Err(error) = sent {
            panic!("the server is gone: {error}\n{}", self.said());
        }
    }

    pub fn notify(&mut self, method: &str, params: Value) {
        self.send(json!({"method": method, "params": params}));
    }

    /// Asks, and waits for the whole answer.
    ///
    /// Where what was asked about has changed meanwhile the server says so, and editors ask again.
    pub fn request(&mut self, method: &str, params: Value) -> Value {
        let started = Instant::now();
        loop {
            let id = self.next;
            self.next += 1;
            self.send(json!({"id": id, "method": method, "params": params}));
            let answer = self.wait(method, |message| message.get("method").is_none() && message["id"] == id);
            if answer["error"]["code"] != CONTENT_MODIFIED || started.elapsed() > LIMIT {
                return answer;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits for a message, and answers what the server asks meanwhile.
    pub fn wait(&mut self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let started = Instant::now();
        loop {
            let left = LIMIT.saturating_sub(started.elapsed());
            let message = match self.messages.recv_timeout(left) {
                Ok(message) => message,
                Err(RecvTimeoutError::Timeout) => {
                    panic!("{what} does not come in {LIMIT:?}\n{}", self.said())
                }
                Err(RecvTimeoutError::Disconnected) => {
                    // What it said comes by another pipe.
                    std::thread::sleep(Duration::from_millis(300));
                    panic!("the server ended before {what}\n{}", self.said())
                }
            };
            if let (Some(method), Some(id)) = (message["method"].as_str(), message.get("id")) {
                let result = match method {
                    "workspace/configuration" => {
                        let count = message["params"]["items"].as_array().map_or(0, Vec::len);
                        vec![self.settings.clone(); count].into()
                    }
                    _ => Value::Null,
                };
                self.asked.push(format!("{method} {}", message["params"]));
                // The server's own are numbered; to an answer that it does not wait for it ends.
                if id.is_number() {
                    self.send(json!({"id": id, "result": result}));
                }
            }
            if is(&message) {
                return message;
            }
        }
    }

    /// Everything that comes until the server ends. Nothing is answered.
    pub fn rest(&mut self) -> Vec<Value> {
        let mut all = Vec::new();
        loop {
            match self.messages.recv_timeout(LIMIT) {
                Ok(message) => all.push(message),
                Err(RecvTimeoutError::Disconnected) => return all,
                Err(RecvTimeoutError::Timeout) => panic!("no end in {LIMIT:?}\n{}", self.said()),
            }
        }
    }

    /// Changes the open source in the editor, not on disk.
    pub fn change(&mut self, text: &str) {
        self.version += 1;
        let document = json!({"uri": self.uri("src/main.rs"), "version": self.version});
        self.notify(
            "textDocument/didChange",
            json!({"textDocument": document, "contentChanges": [{"text": text}]}),
        );
    }

    /// Says that the open source was saved.
    pub fn saved(&mut self) {
        let document = json!({"uri": self.uri("src/main.rs")});
        self.notify("textDocument/didSave", json!({"textDocument": document}));
    }

    /// Words that are completed behind `at`, which is in the text once.
    pub fn completions(&mut self, text: &str, at: &str) -> Vec<String> {
        self.change(text);
        let position = json!({
            "textDocument": {"uri": self.uri("src/main.rs")},
            "position": behind(text, at),
        });
        let answer = self.request("textDocument/completion", position);
        let items = &answer["result"]["items"];
        let labels = items.as_array().unwrap_or_else(|| panic!("{answer}\n{}", self.said())).iter();
        labels.filter_map(|item| item["label"].as_str()).map(str::to_owned).collect()
    }

    /// Ends as an editor that is closed does: says goodbye, and returns the exit code.
    pub fn shut_down(mut self) -> i32 {
        self.request("shutdown", Value::Null);
        self.notify("exit", Value::Null);
        self.ended()
    }

    /// Closes its end without a word.
    pub fn hang_up(mut self) -> i32 {
        drop(self.stdin.take());
        self.ended()
    }

    fn ended(&mut self) -> i32 {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("wait") {
                return status.code().unwrap_or(-1);
            }
            assert!(started.elapsed() < LIMIT, "the server does not end\n{}", self.said());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Kills it at once.
    pub fn kill(mut self) {
        self.child.kill().expect("kill");
        let _ = self.child.wait();
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // One that a failed test left.
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}

/// The position behind a part of a text.
pub fn behind(text: &str, at: &str) -> Value {
    let offset = text.find(at).unwrap_or_else(|| panic!("`{at}` is not in the text")) + at.len();
    let before = &text[..offset];
    let line = before.matches('\n').count();
    let character = before.len() - before.rfind('\n').map_or(0, |end| end + 1);
    json!({"line": line, "character": character})
}

fn read(stream: &mut impl BufRead) -> Option<Value> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if let Some(value) = line.trim().strip_prefix("Content-Length:") {
            length = value.trim().parse().ok()?;
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    serde_json::from_slice(&body).ok()
}
