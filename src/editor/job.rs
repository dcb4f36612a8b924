//! The server's job, and the streams between the editor and it.

use std::collections::HashSet;
use std::io::{self, BufRead, BufReader, PipeReader, Stdout, Write as _};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::{Value, json};

use crate::agent::client::AgentConnection;
use crate::agent::protocol::{Reply, Request};
use crate::broker::Session;
use crate::broker::escapes::{Keep, made_visible};
use crate::broker::exceeded;
use crate::broker::identify::Job;
use crate::container::world::Reachable;

use super::framing;
use super::gateway::{FromServer, Gateway};
use super::places::unseen;

/// How long a server may take to end when the editor has closed its end.
const GRACE: Duration = Duration::from_secs(5);

/// Most notes on what did not pass: a macro may have many of them said.
const MOST_NOTES: usize = 200;

/// Longest note, in characters.
const LONGEST_NOTE: usize = 300;

/// Has crates fetched, when the editor has changed what the project depends on.
pub type Fetch = Box<dyn Fn() + Send>;

/// Runs the server to its end, for the editor on this process's standard input and output. Returns the exit code.
///
/// # Errors
/// When it cannot be started as promised, or says what is not the protocol.
pub fn run(session: &Session, job: Job, gateway: Gateway, fetch: Fetch) -> anyhow::Result<u8> {
    let failed = "failed to make the streams of the language server";
    let (input, to_server) = io::pipe().context(failed)?;
    let (from_server, output) = io::pipe().context(failed)?;
    let (errors, error) = io::pipe().context(failed)?;
    let agent = session.containers.connect(session, Reachable::Nothing)?;
    agent
        .send(&Request::Run(Box::new(job.spec.clone())), &[input.as_fd(), output.as_fd(), error.as_fd()])
        .context("failed to start the language server")?;
    drop((input, output, error));

    let agent = Arc::new(agent);
    let gateway = Arc::new(gateway);
    let editor = Arc::new(Editor { stdout: Mutex::new(io::stdout()), root: session.project.root.clone() });
    let (messages, queue) = channel();
    // None of these is waited for but the one that ends with the job: the editor may keep its end open.
    thread::spawn(move || write_all(&queue, to_server));
    thread::spawn(move || show_errors(errors));
    thread::spawn({
        let (agent, gateway, editor) = (Arc::clone(&agent), Arc::clone(&gateway), Arc::clone(&editor));
        move || {
            if let Err(error) = from_editor(&gateway, &editor, &messages, &fetch) {
                eprintln!("warning: the editor cannot be understood: {error}");
            }
            // Ends the stream that the server reads when it has got all of it.
            let _gone = messages.send(None);
            thread::sleep(GRACE);
            let _ended = agent.shutdown();
        }
    });
    let heard = thread::spawn({
        let agent = Arc::clone(&agent);
        move || {
            let result = to_editor(&gateway, &editor, from_server);
            if result.is_err() {
                let _ended = agent.shutdown();
            }
            result
        }
    });
    let reply = ended(&agent);
    let heard = heard.join().map_err(|_| anyhow::anyhow!("the language server cannot be heard"))?;
    if let Err(error) = heard {
        if error.kind() == io::ErrorKind::InvalidData {
            bail!("the language server was ended: what it said is {error}");
        }
        // The editor is gone.
        return Ok(0);
    }
    match reply {
        Ok(Reply::Exited { wait_status }) => Ok(exit_code(wait_status)),
        Ok(Reply::Exceeded(limit)) => bail!(exceeded::explain(&session.policy, &job, limit)),
        Ok(Reply::Failed { message, at_exec: true, .. }) => bail!(
            "the language server does not start in the container: {message}\n\nhint: `ldd` says which libraries it needs; \
             that of the toolchain (`rustup component add rust-analyzer`) needs those of the system only"
        ),
        Ok(Reply::Failed { message, .. }) => bail!("the language server cannot be confined: {message}"),
        Ok(other) => bail!("the agent answered {other:?}"),
        Err(error) => Err(session.containers.lost(session, &error)),
    }
}

fn ended(agent: &AgentConnection) -> io::Result<Reply> {
    loop {
        match agent.read_reply()? {
            Reply::Suspended => {}
            reply => return Ok(reply),
        }
    }
}

fn exit_code(wait_status: i32) -> u8 {
    let signal = libc::WIFSIGNALED(wait_status).then(|| 128 + libc::WTERMSIG(wait_status));
    u8::try_from(signal.unwrap_or_else(|| libc::WEXITSTATUS(wait_status))).unwrap_or(101)
}

/// The editor's end.
struct Editor {
    stdout: Mutex<Stdout>,
    root: std::path::PathBuf,
}

impl Editor {
    fn tell(&self, message: &Value) -> io::Result<()> {
        framing::write(&mut *self.stdout.lock().unwrap_or_else(PoisonError::into_inner), message)
    }

    fn warn_of_unseen(&self, message: &Value) -> io::Result<()> {
        for uri in unseen(message, &self.root) {
            let text = unseen_text(&uri, &self.root);
            eprintln!("warning: {text}");
            self.tell(&json!({
                "jsonrpc": "2.0",
                "method": "window/showMessage",
                "params": {"type": 2, "message": format!("cargo-sandbox: {text}")},
            }))?;
        }
        Ok(())
    }
}

fn unseen_text(uri: &str, root: &Path) -> String {
    format!(
        "`{uri}` is not in the project `{}`, and the language server does not see it; open each project by itself, by its \
         real path",
        root.display()
    )
}

/// Reads what the editor says, until it closes its end.
fn from_editor(
    gateway: &Gateway,
    editor: &Editor,
    messages: &Sender<Option<Value>>,
    fetch: &Fetch,
) -> io::Result<()> {
    let mut input = BufReader::new(io::stdin().lock());
    while let Some(message) = framing::read(&mut input)? {
        editor.warn_of_unseen(&message)?;
        let judged = gateway.from_editor(message);
        // Before the server hears of it: it then finds what it needs.
        if judged.needs_crates {
            fetch();
        }
        if messages.send(Some(judged.message)).is_err() {
            break;
        }
    }
    Ok(())
}

/// Reads what the server says, until every process of it has ended.
fn to_editor(gateway: &Gateway, editor: &Editor, from: PipeReader) -> io::Result<()> {
    let mut from = BufReader::new(from);
    let mut said = HashSet::new();
    while let Some(message) = read_from_server(&mut from)? {
        let mut notes = Vec::new();
        if let FromServer::ToEditor(message) = gateway.from_server(message, &mut notes) {
            editor.tell(&message)?;
        }
        for note in notes {
            let note: String = note.chars().take(LONGEST_NOTE).collect();
            if said.len() < MOST_NOTES && said.insert(note.clone()) {
                let visible = made_visible(note.as_bytes(), Keep::Text);
                let note = visible.map_or(note, |visible| String::from_utf8_lossy(&visible).into_owned());
                eprintln!("warning: of what the language server said: {note}");
            }
        }
    }
    Ok(())
}

/// A message that is cut off is what a server leaves that was killed.
fn read_from_server(from: &mut BufReader<PipeReader>) -> io::Result<Option<Value>> {
    match framing::read(from) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        result => result,
    }
}

/// Writes to the server what is in the queue. Nobody else waits for a server that does not read.
fn write_all(queue: &Receiver<Option<Value>>, mut to: io::PipeWriter) {
    while let Ok(Some(message)) = queue.recv() {
        if framing::write(&mut to, &message).is_err() {
            return;
        }
    }
}

/// Passes on what the server logs.
fn show_errors(from: PipeReader) {
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    while from.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
        let visible = made_visible(&line, Keep::Colours);
        let _gone = io::stderr().write_all(visible.as_deref().unwrap_or(&line));
        line.clear();
    }
}
