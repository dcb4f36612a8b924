//! The world that is attacked: a home with secrets in it, a project, and on the host what must not be reached.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::fs;
use std::io::Read;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::catalogue::KINDS;
use super::registry;
use super::support::run::run;
use super::support::tool::Engine;
use super::support::world::{User, World};
use super::way::Way;

/// How every token starts that an attack leaves or sends.
const TOKEN: &str = concat!("ESCAPED", "-");

/// A world, and everything in it that is watched.
pub struct Lab {
    pub world: World,
    pub project: PathBuf,
    /// What every secret contains.
    pub secret: String,
    build_dir: PathBuf,
    /// What this tool keeps of the project.
    state: PathBuf,
    directory: PathBuf,
    shared_memory: PathBuf,
    survivor: String,
    heard: Arc<Mutex<Vec<u8>>>,
    ports: Ports,
    victim: Child,
    ipc: Ipc,
    /// A defence that is switched off (see `layers`).
    pub off: Option<&'static str>,
}

struct Ports {
    tcp: u16,
    tcp6: u16,
    udp: u16,
    address: String,
    abstract_name: String,
}

/// Secrets by their path in the home directory.
const SECRETS: &[&str] = &[
    ".ssh/id_ed25519",
    ".ssh/authorized_keys",
    ".cargo/credentials.toml",
    ".netrc",
    ".aws/credentials",
    ".git-credentials",
    ".config/gh/hosts.yml",
    ".docker/config.json",
    ".kube/config",
    ".npmrc",
    ".gnupg/private-keys-v1.d/key",
    ".config/solana/id.json",
    ".mozilla/firefox/default/logins.json",
    ".bash_history",
    ".bashrc",
    ".cargo/registry/index/mine/entry",
    "inherited",
    "work/other/src/lib.rs",
    "work/lab/.env",
    "work/lab/.git/config",
    "work/lab/src/internal.rs",
    "work/lab/target/report.txt",
    "work/lab/vendor/bystander/src/lib.rs",
];

/// Directories that are there before any attack.
const DIRECTORIES: &[&str] = &[
    ".cargo/bin",
    ".cargo/git/db",
    ".cargo/registry/cache",
    "work/lab/.git/hooks",
    "work/lab/target/doc",
    "work/lab/target/package",
    "victims",
    "temporary",
];

impl Lab {
    /// A world to attack in this way.
    pub fn new(user: &User, way: Way) -> Result<Self, String> {
        let name = match way {
            Way::Plain => "control".to_owned(),
            Way::Wrapper(engine) => format!("wrapper-{engine}"),
            Way::Recorded(engine) => format!("recorded-{engine}"),
            Way::Sandbox(engine) | Way::SetUp(engine) => engine.to_string(),
        };
        let world = World::new(&format!("escapes-{name}"), user)?.incremental();
        let number = number();
        let secret = format!("hidden{number:08x}");
        let project = world.work().join("lab");
        let text = |name: &str| format!("# {secret} in {name}\n");
        for path in SECRETS {
            let rust = if path.ends_with(".rs") { "// " } else { "" };
            write(&world.home.join(path), &format!("{rust}{}", text(path)));
        }
        write(
            &project.join(".git/config"),
            &format!("[remote \"x\"]\n\turl = https://u:{secret}@example.com\n"),
        );
        // A name is enough of a secret where directories are listed.
        for place in ["", "work/lab", ".cargo/registry/index"] {
            write(&world.home.join(place).join(format!("note-{secret}")), "x");
        }
        for path in DIRECTORIES {
            make_dir(&world.home.join(path));
        }
        for kind in KINDS {
            write(&world.home.join(format!("victims/renamed-{kind}")), "mine\n");
        }
        let directory = PathBuf::from(format!("/tmp/csb-escapes-{number:08x}"));
        write(&directory.join("secret"), &text("/tmp"));
        public(&directory);
        let shared_memory = PathBuf::from(format!("/dev/shm/csb-escapes-{number:08x}"));
        write(&shared_memory, &text("/dev/shm"));
        registry::install(&world, &project, &secret);
        world.write(&world.home.join("ready"), "");

        let (build_dir, state) = match way.engine() {
            Some(engine) => {
                let own = world.status(engine, &project).build_dir;
                let state = own.ancestors().nth(2).expect("a project's directory").to_owned();
                (if matches!(way, Way::Wrapper(_)) { project.join("target") } else { own }, state)
            }
            None => (project.join("target"), world.state().join("projects/1")),
        };
        let heard = Arc::new(Mutex::new(Vec::new()));
        let sockets =
            [world.home.join(".ssh/agent.sock"), directory.join("host.sock"), project.join("host.ipc")];
        let mut sockets = sockets.to_vec();
        if way == Way::Plain {
            for part in ["shims", "scripts", "bin", "sessions/1"] {
                make_dir(&state.join(part));
            }
            write(&state.join("project.json"), &text("project.json"));
            write(&build_dir.join(".rustc_info.json"), "{}");
            sockets.push(state.join("sessions/1/socket"));
            world.write(&world.home.join("ready"), "");
        }
        for path in sockets {
            let listener = bind(&path);
            fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).expect("mode");
            listen(&heard, move || Some(Box::new(listener.accept().ok()?.0)));
        }
        let ports = Ports::open(&heard, number)?;
        let victim = victim(&world, &secret);
        let survivor = format!("csb-survivor-{number:08x}");
        let ipc = Ipc::new(number);
        let lab = Self {
            world,
            project,
            secret,
            build_dir,
            state,
            directory,
            shared_memory,
            survivor,
            heard,
            ports,
            victim,
            ipc,
            off: None,
        };
        registry::publish(&lab.world, &lab.project, &lab.constants());
        Ok(lab)
    }

    /// The module `lab` of the attacks.
    fn constants(&self) -> String {
        let texts = [
            ("HOME", self.world.home.display().to_string()),
            ("PROJECT", self.project.display().to_string()),
            ("TARGET_DIR", self.project.join("target").display().to_string()),
            ("BUILD_DIR", self.build_dir.display().to_string()),
            ("STATE", self.state.display().to_string()),
            ("TMP", self.directory.display().to_string()),
            ("SHARED_MEMORY", self.shared_memory.display().to_string()),
            ("TOOLCHAIN", self.world.toolchain.display().to_string()),
            ("SECRET", self.secret.clone()),
            ("SURVIVOR", self.survivor.clone()),
            ("HOST_ADDRESS", self.ports.address.clone()),
            ("ABSTRACT", self.ports.abstract_name.clone()),
            // The system call's name is without the slash that the C library's has.
            ("QUEUE", self.ipc.queue.to_string_lossy()[1..].to_owned()),
        ];
        let numbers = [
            ("TCP", "u16", u32::from(self.ports.tcp)),
            ("TCP6", "u16", u32::from(self.ports.tcp6)),
            ("UDP", "u16", u32::from(self.ports.udp)),
            ("VICTIM", "u32", self.victim.id()),
            ("IPC_KEY", "u32", self.ipc.key.cast_unsigned()),
        ];
        let texts = texts.iter().map(|(name, value)| format!("pub const {name}: &str = {value:?};\n"));
        let numbers =
            numbers.iter().map(|(name, kind, value)| format!("pub const {name}: {kind} = {value};\n"));
        texts.chain(numbers).collect()
    }

    /// A command in the project, with secrets in its environment and one in a descriptor that it inherits.
    pub fn command(&self, way: Way) -> Command {
        let inherited = self.world.home.join("inherited");
        let inherited = inherited.to_str().expect("UTF-8");
        let shell = ["/bin/sh", "-c", "exec 9< \"$0\"; exec \"$@\"", inherited];
        let mut command = match way {
            Way::Sandbox(engine) => self.world.sandbox_under(engine, &self.project, &shell),
            Way::Recorded(engine) => {
                let mut command = self.world.sandbox_under(engine, &self.project, &shell);
                command.arg("--audit");
                command
            }
            Way::Wrapper(engine) => self.world.wrapped_under(engine, &self.project, &shell),
            Way::SetUp(engine) => self.world.plain_under(engine, &self.project, &shell),
            Way::Plain => {
                let mut command = self.world.command(shell[0]);
                command.args(&shell[1..]).arg(self.world.cargo()).current_dir(&self.project);
                command.env("TMPDIR", self.world.home.join("temporary"));
                command
            }
        };
        for name in [
            "CARGO_REGISTRY_TOKEN",
            "CARGO_REGISTRIES_MINE_TOKEN",
            "GITHUB_TOKEN",
            "AWS_SECRET_ACCESS_KEY",
            "NPM_TOKEN",
            "SSH_AUTH_SOCK",
            "DBUS_SESSION_BUS_ADDRESS",
            "KUBECONFIG",
            "COLOUR_OF_THE_DAY",
        ] {
            command.env(name, format!("{}-{name}", self.secret));
        }
        if let Some(off) = self.off {
            command.env("CARGO_SANDBOX_SWITCH_OFF", off);
        }
        command.env("DATABASE_URL", format!("postgres://me:{}@localhost/db", self.secret));
        command.env("HTTPS_PROXY", format!("http://me:{}@127.0.0.1:9", self.secret));
        command
    }

    /// Has the repository set up, and all that attacks built again: not the library of attacks.
    pub fn set_up(&self, engine: Engine) {
        run(self.world.sandbox(engine, &self.project).args(["self", "setup", "--yes"])).success("self setup");
        let fingerprints = self.build_dir.join("debug/.fingerprint");
        for entry in fs::read_dir(&fingerprints).expect("fingerprints").flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with("evil-") || name.starts_with("app-") {
                fs::remove_dir_all(entry.path()).expect("a fingerprint");
            }
        }
    }

    /// Every token that got out: in a file, through a socket, or in the name of a process that still lives. The
    /// processes are ended.
    pub fn tokens(&self) -> BTreeSet<String> {
        self.hear_out();
        let mut tokens = BTreeSet::new();
        for root in [&self.world.home, &self.directory] {
            walk(root, &mut |path, metadata| {
                // What a script prints is stored there by cargo; no attack.
                let output = path.file_name().is_some_and(|name| name == "output" || name == "stderr")
                    && path.starts_with(&self.build_dir);
                // And what a record says: the arguments of programs.
                let record =
                    path.file_name().is_some_and(|name| name == "audit.json" || name == "audit.html");
                if metadata.is_file() && !output && !record && metadata.len() < 1 << 20 {
                    find_tokens(&fs::read(path).unwrap_or_default(), &mut tokens);
                }
            });
        }
        find_tokens(&self.heard.lock().expect("no panic"), &mut tokens);
        for entry in fs::read_dir("/proc").expect("/proc").flatten() {
            let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            if !String::from_utf8_lossy(&line).contains(&self.survivor) {
                continue;
            }
            if let Ok(pid) = entry.file_name().to_string_lossy().parse() {
                find_tokens(&line, &mut tokens);
                // SAFETY: kill(2) takes numbers; the process carries this very test's mark.
                unsafe { libc::kill(pid, libc::SIGKILL) };
            }
        }
        tokens
    }

    /// Whether a signal reached the process on the host.
    pub fn victim_was_signalled(&self) -> bool {
        fs::metadata(self.world.home.join("signalled")).is_ok_and(|log| log.len() > 0)
    }

    /// Files that no job may leave: set-user-id and set-group-id ones, and devices anywhere, and beside the
    /// artifacts anything but plain files.
    pub fn strange_files(&self) -> Vec<PathBuf> {
        use std::os::unix::fs::{FileTypeExt, MetadataExt};
        let mut strange = Vec::new();
        let deps = self.build_dir.join("debug/deps");
        walk(&self.world.home, &mut |path, metadata| {
            let kind = metadata.file_type();
            let device = kind.is_block_device() || kind.is_char_device();
            let plain = metadata.is_file() && metadata.mode() & 0o6000 == 0;
            if device
                || (metadata.is_file() && !plain)
                || (path.starts_with(&deps) && !plain && !metadata.is_dir())
            {
                strange.push(path.to_owned());
            }
        });
        strange
    }

    /// Waits until everything is heard that was sent before.
    fn hear_out(&self) {
        let end = format!("END{:08x}", number());
        for port in [("127.0.0.1", self.ports.tcp), ("::1", self.ports.tcp6)] {
            let mut stream = TcpStream::connect(port).expect("the suite's own listener");
            std::io::Write::write_all(&mut stream, end.as_bytes()).expect("sent");
        }
        let socket = UdpSocket::bind("127.0.0.1:0").expect("socket");
        socket.send_to(end.as_bytes(), ("127.0.0.1", self.ports.udp)).expect("sent");
        let all = || {
            let heard = self.heard.lock().expect("no panic");
            String::from_utf8_lossy(&heard).matches(&end).count() == 3
        };
        let started = Instant::now();
        while !all() {
            assert!(
                started.elapsed() < Duration::from_secs(60),
                "a listener is held by a connection that never ends"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = self.victim.kill();
        let _ = self.victim.wait();
        let _ = fs::remove_dir_all(&self.directory);
        let _ = fs::remove_file(&self.shared_memory);
    }
}

impl Ports {
    fn open(heard: &Arc<Mutex<Vec<u8>>>, number: u32) -> Result<Self, String> {
        let failed = |error: std::io::Error| format!("a listener on this machine: {error}");
        let tcp = TcpListener::bind("0.0.0.0:0").map_err(failed)?;
        let tcp6 = TcpListener::bind("[::1]:0").map_err(failed)?;
        let udp = UdpSocket::bind("0.0.0.0:0").map_err(failed)?;
        let route = UdpSocket::bind("0.0.0.0:0").map_err(failed)?;
        // No packet is sent; the kernel says which address it would be sent from.
        route.connect("192.0.2.123:443").map_err(|error| format!("a route to a network: {error}"))?;
        let abstract_name = format!("csb-escapes-{number:08x}");
        let address = |name: String| SocketAddr::from_abstract_name(name).map_err(failed);
        let stream = UnixListener::bind_addr(&address(abstract_name.clone())?).map_err(failed)?;
        let datagrams =
            UnixDatagram::bind_addr(&address(format!("{abstract_name}-datagram"))?).map_err(failed)?;
        let port = |listener: &TcpListener| listener.local_addr().map(|address| address.port());
        let ports = Self {
            tcp: port(&tcp).map_err(failed)?,
            tcp6: port(&tcp6).map_err(failed)?,
            udp: udp.local_addr().map_err(failed)?.port(),
            address: route.local_addr().map_err(failed)?.ip().to_string(),
            abstract_name,
        };
        for listener in [tcp, tcp6] {
            listen(heard, move || Some(Box::new(listener.accept().ok()?.0)));
        }
        listen(heard, move || Some(Box::new(stream.accept().ok()?.0)));
        let note = |heard: &Arc<Mutex<Vec<u8>>>, bytes: &[u8]| {
            heard.lock().expect("no panic").extend_from_slice(bytes)
        };
        let own = heard.clone();
        std::thread::spawn(move || {
            let mut bytes = [0; 2048];
            while let Ok(length) = udp.recv(&mut bytes) {
                note(&own, &bytes[..length]);
            }
        });
        let own = heard.clone();
        std::thread::spawn(move || {
            let mut bytes = [0; 2048];
            while let Ok(length) = datagrams.recv(&mut bytes) {
                note(&own, &bytes[..length]);
            }
        });
        Ok(ports)
    }
}

/// Notes all that comes through a listener, one connection after the other.
fn listen(heard: &Arc<Mutex<Vec<u8>>>, mut accept: impl FnMut() -> Option<Box<dyn Read>> + Send + 'static) {
    let heard = heard.clone();
    std::thread::spawn(move || {
        while let Some(stream) = accept() {
            let mut bytes = Vec::new();
            let _ = stream.take(4096).read_to_end(&mut bytes);
            heard.lock().expect("no panic").extend_from_slice(&bytes);
        }
    });
}

/// A socket whose path may be longer than an address can be.
fn bind(path: &Path) -> UnixListener {
    use std::os::fd::AsRawFd;
    let directory = fs::File::open(path.parent().expect("has a parent")).expect("directory");
    let name = path.file_name().expect("has a name");
    let short = Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string()).join(name);
    UnixListener::bind(short).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A process of the user's on the host, with a secret in its environment, directory and a descriptor.
fn victim(world: &World, secret: &str) -> Child {
    let log = world.home.join("signalled");
    let script = "exec 8< \"$1\"; trap 'echo x >> \"$0\"' USR1; echo ready; while :; do sleep 0.1; done";
    let mut command = world.command("/bin/sh");
    command.args(["-c", script]).arg(&log).arg(world.home.join(".netrc"));
    command.arg(format!("--password={secret}")).env("VICTIM_PASSWORD", secret).current_dir(&world.home);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("a shell");
    let mut ready = [0; 6];
    child.stdout.take().expect("piped").read_exact(&mut ready).expect("the shell runs");
    child
}

/// System V objects and a message queue of the host.
struct Ipc {
    key: i32,
    ids: [i32; 3],
    /// The name of a POSIX message queue.
    queue: CString,
}

impl Ipc {
    fn new(number: u32) -> Self {
        let key = (number & 0x7fff_ffff).max(1).cast_signed();
        let flags = libc::IPC_CREAT | 0o666;
        // SAFETY: these calls take numbers and touch no memory of ours.
        let ids = unsafe {
            [libc::shmget(key, 4096, flags), libc::semget(key, 1, flags), libc::msgget(key, flags)]
        };
        assert!(ids.iter().all(|id| *id >= 0), "System V IPC");
        let queue = CString::new(format!("/csb-escapes-{number:08x}")).expect("no zero in it");
        // A small one: of the usual size a user has nine (RLIMIT_MSGQUEUE, getrlimit(2)), those of runs that were killed with them.
        // SAFETY: all zero is a value of these numbers.
        let mut small: libc::mq_attr = unsafe { std::mem::zeroed() };
        (small.mq_maxmsg, small.mq_msgsize) = (1, 64);
        // SAFETY: a name that ends with a zero byte, a mode, and attributes that live until the call returns.
        let descriptor = unsafe {
            libc::mq_open(queue.as_ptr(), libc::O_CREAT | libc::O_RDWR, 0o666, std::ptr::from_mut(&mut small))
        };
        assert!(descriptor >= 0, "POSIX message queues: {}", std::io::Error::last_os_error());
        // SAFETY: the descriptor was just made. The mode above is cut by the umask.
        unsafe {
            libc::fchmod(descriptor, 0o666);
            libc::mq_close(descriptor);
        }
        Self { key, ids, queue }
    }
}

impl Drop for Ipc {
    fn drop(&mut self) {
        let [memory, semaphores, messages] = self.ids;
        // SAFETY: removing by id takes no pointer; the queue's name ends with a zero byte.
        unsafe {
            libc::shmctl(memory, libc::IPC_RMID, std::ptr::null_mut());
            libc::semctl(semaphores, 0, libc::IPC_RMID);
            libc::mq_unlink(self.queue.as_ptr());
            libc::msgctl(messages, libc::IPC_RMID, std::ptr::null_mut());
        }
    }
}

/// A number that no other lab of this machine has now.
fn number() -> u32 {
    static COUNT: AtomicI32 = AtomicI32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    (std::process::id() << 8) ^ count.cast_unsigned()
}

fn find_tokens(bytes: &[u8], tokens: &mut BTreeSet<String>) {
    let text = String::from_utf8_lossy(bytes);
    for (at, _) in text.match_indices(TOKEN) {
        let mut parts = text[at + TOKEN.len()..].splitn(3, ':');
        if let (Some(name), Some(kind), Some(_)) = (parts.next(), parts.next(), parts.next()) {
            tokens.insert(format!("{name}@{kind}"));
        }
    }
}

fn walk(directory: &Path, look: &mut dyn FnMut(&Path, &fs::Metadata)) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(metadata) = path.symlink_metadata() else { continue };
        look(&path, &metadata);
        if metadata.is_dir() {
            walk(&path, look);
        }
    }
}

pub fn write(path: &Path, text: &str) {
    make_dir(path.parent().expect("has a parent"));
    fs::write(path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

fn make_dir(path: &Path) {
    fs::create_dir_all(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

fn public(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o777)).expect("mode");
}
