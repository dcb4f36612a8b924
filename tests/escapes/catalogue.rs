//! The list of attacks: what each is, in which jobs it is made, how the suite knows that it worked, and what stands
//! against it. `docs/threat-model.md` has its table from here. What is attacked elsewhere is in [`super::host_cases`].

use Proof::{Call, Secret, Token, Word};

/// One attack.
#[derive(Debug)]
pub struct Case {
    /// Its name, in the attacks' code and in reports.
    pub name: &'static str,
    /// What is attacked: the part of the table.
    pub subject: &'static str,
    /// What the attacker does.
    pub attack: &'static str,
    /// The jobs in which it must gain nothing. In others the same is a job's right.
    pub kinds: &'static [&'static str],
    /// How it is known that it worked.
    pub proof: Proof,
    /// Plain cargo lets only root's jobs do it, so that there is a control for root only.
    pub root: bool,
    /// Jobs in which it works where the wrapper alone confines: what the README says that this way leaves open.
    pub open_to_wrapper: &'static [&'static str],
    /// What stops it, the first line of defence first.
    pub defences: &'static [&'static str],
}

/// How it is known that an attack worked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// A secret comes out.
    Secret,
    /// The attack's token gets out: in a file of the host's, through a socket, or in a process that lives on.
    Token,
    /// The kernel did what was asked.
    Word,
    /// The kernel permits the call: it does it, or finds fault with the arguments. A kernel without the call makes
    /// the case empty; the control notes that.
    Call,
}

/// All kinds of job that are attacked from.
pub const KINDS: &[&str] = &[
    "build-script",
    "vendored-script",
    "git-script",
    "member-script",
    "macro-dependency",
    "macro-member",
    "macro-script",
    "rustdoc-macro-dependency",
    "rustdoc-macro-member",
    "doctest-macro-member",
    "doctest",
    "run",
    "test",
    "bench",
];
const ALL: &[&str] = KINDS;
/// Jobs of packages that are not the workspace's.
const DEPENDENCY: &[&str] = &[
    "build-script",
    "vendored-script",
    "git-script",
    "macro-dependency",
    "macro-script",
    "rustdoc-macro-dependency",
];
const DEPENDENCY_SCRIPT: &[&str] = &["build-script", "vendored-script", "git-script"];
const SCRIPT: &[&str] = &["build-script", "vendored-script", "git-script", "member-script"];
/// All but the project's programs, which may make sockets.
const NO_PROGRAM: &[&str] = &[
    "build-script",
    "vendored-script",
    "git-script",
    "member-script",
    "macro-dependency",
    "macro-member",
    "macro-script",
    "rustdoc-macro-dependency",
    "rustdoc-macro-member",
];
/// All but compilers, which write there.
const NO_COMPILER: &[&str] = &[
    "build-script",
    "vendored-script",
    "git-script",
    "member-script",
    "macro-script",
    "rustdoc-macro-dependency",
    "rustdoc-macro-member",
    "doctest-macro-member",
    "doctest",
    "run",
    "test",
    "bench",
];
const NO_MEMBERS_COMPILER: &[&str] = &[
    "build-script",
    "vendored-script",
    "git-script",
    "member-script",
    "macro-dependency",
    "macro-script",
    "rustdoc-macro-dependency",
    "rustdoc-macro-member",
    "doctest-macro-member",
    "doctest",
    "run",
    "test",
    "bench",
];
const NO_RUSTDOC: &[&str] = &[
    "build-script",
    "vendored-script",
    "git-script",
    "member-script",
    "macro-dependency",
    "macro-member",
    "macro-script",
    "doctest-macro-member",
    "doctest",
    "run",
    "test",
    "bench",
];
/// All but `cargo run`, which replaces itself by the program.
const NO_RUN: &[&str] = &[
    "build-script",
    "vendored-script",
    "git-script",
    "member-script",
    "macro-dependency",
    "macro-member",
    "macro-script",
    "rustdoc-macro-dependency",
    "rustdoc-macro-member",
    "doctest-macro-member",
    "doctest",
    "test",
    "bench",
];
/// Jobs that a build script told that they are another package's.
const SPOOFED: &[&str] = &["macro-dependency", "rustdoc-macro-dependency"];
/// Jobs of `cargo build` that read all of the workspace, a build directory in it included.
const MEMBER_OF_BUILD: &[&str] = &["member-script", "macro-member"];
/// Jobs that know a package's directory in the build directory.
const WITH_OUT_DIR: &[&str] =
    &["build-script", "vendored-script", "git-script", "member-script", "macro-dependency", "macro-member"];

// What stops an attack.
pub const NOT_SHOWN: &str = "not in the container";
pub const LANDLOCK: &str = "Landlock rules of the job";
pub const READ_ONLY: &str = "read-only mounts";
pub const SECCOMP: &str = "system call filter";
pub const NETWORK: &str = "network namespace without a network";
pub const PROCESSES: &str = "process namespace of the job";
const IPC: &str = "IPC namespace";
pub const SCRUBBED: &str = "scrubbed environment";
const CAPABILITIES: &str = "no capabilities";
const NEW_PRIVILEGES: &str = "no new privileges";
const LAYER: &str = "layer that is gone with the job";
const NOT_KEPT: &str = "cargo is told to keep none";
pub const KILLED: &str = "every process is dead before the job is over";
pub const HOST_DOMAIN: &str = "Landlock domain of cargo";
pub const ORIGIN: &str = "every source has an origin";
const DESCRIPTORS: &str = "descriptors closed but those of the job";

const fn case(
    subject: &'static str,
    name: &'static str,
    attack: &'static str,
    kinds: &'static [&'static str],
    proof: Proof,
    defences: &'static [&'static str],
) -> Case {
    Case { name, subject, attack, kinds, proof, root: false, open_to_wrapper: &[], defences }
}

impl Case {
    const fn root(mut self) -> Self {
        self.root = true;
        self
    }

    const fn open_to_wrapper(mut self, kinds: &'static [&'static str]) -> Self {
        self.open_to_wrapper = kinds;
        self
    }
}

const READS: &str = "Reading";
const WRITES: &str = "Writing";
const STRANGE: &str = "Links, devices and set-user-id files";
const ENVIRONMENT: &str = "Environment";
const NET: &str = "Network and sockets";
const OTHERS: &str = "Processes";
const KERNEL: &str = "Kernel";

/// Every attack that is made in every kind of job.
#[rustfmt::skip]
pub const CASES: &[Case] = &[
    case(READS, "read-ssh-key", "reads `~/.ssh/id_ed25519`", ALL, Secret, &[NOT_SHOWN, LANDLOCK]),
    case(READS, "read-cargo-credentials", "reads `~/.cargo/credentials.toml`", ALL, Secret, &[NOT_SHOWN, LANDLOCK]),
    case(READS, "read-netrc", "reads `~/.netrc`", ALL, Secret, &[NOT_SHOWN, LANDLOCK]),
    case(READS, "read-aws", "reads `~/.aws/credentials`", ALL, Secret, &[NOT_SHOWN, LANDLOCK]),
    case(READS, "read-git-credentials", "reads `~/.git-credentials`", ALL, Secret, &[NOT_SHOWN, LANDLOCK]),
    case(READS, "read-github", "reads `~/.config/gh/hosts.yml`", ALL, Secret, &[NOT_SHOWN, LANDLOCK]),
    case(READS, "read-docker-login", "reads `~/.docker/config.json`", ALL, Secret, &[NOT_SHOWN, LANDLOCK]),
    case(READS, "read-kube", "reads `~/.kube/config`", ALL, Secret, &[NOT_SHOWN, LANDLOCK]),
    case(READS, "read-npmrc", "reads `~/.npmrc`", ALL, Secret, &[NOT_SHOWN, LANDLOCK]),
    case(READS, "read-gnupg", "reads GnuPG's private keys", ALL, Secret, &[NOT_SHOWN, LANDLOCK]),
    case(READS, "read-wallet", "reads a wallet's key", ALL, Secret, &[NOT_SHOWN, LANDLOCK]),
    case(READS, "read-browser", "reads a browser's passwords", ALL, Secret, &[NOT_SHOWN, LANDLOCK]),
    case(READS, "read-history", "reads the shell's history", ALL, Secret, &[NOT_SHOWN, LANDLOCK]),
    case(READS, "list-home", "lists the home directory", ALL, Secret, &[NOT_SHOWN, LANDLOCK]),
    case(READS, "read-other-project", "reads another project's source", ALL, Secret, &[NOT_SHOWN, LANDLOCK]),
    case(READS, "read-beside-by-dots", "leaves the project by `..`", ALL, Secret, &[NOT_SHOWN, LANDLOCK]),
    case(READS, "read-tmp", "reads the host's `/tmp`", ALL, Secret, &[NOT_SHOWN]),
    case(READS, "read-shared-memory", "reads the host's `/dev/shm`", ALL, Secret, &[NOT_SHOWN]),
    case(READS, "read-etc", "reads files of the host's `/etc` that no build needs", ALL, Word, &[NOT_SHOWN]),
    case(READS, "read-shadow", "reads `/etc/shadow`", ALL, Word, &[NOT_SHOWN]).root(),
    case(READS, "read-var", "lists `/var/lib`", ALL, Word, &[NOT_SHOWN, LANDLOCK]),
    case(READS, "read-log", "lists `/var/log`", ALL, Word, &[NOT_SHOWN, LANDLOCK]),
    case(READS, "read-run", "lists `/run`", ALL, Word, &[NOT_SHOWN, LANDLOCK]),
    case(READS, "read-sys", "looks at the machine's devices in `/sys`", ALL, Word, &[NOT_SHOWN, LANDLOCK]),
    case(READS, "read-block-device", "opens a disk", ALL, Word, &[NOT_SHOWN, LANDLOCK]).root(),
    case(READS, "read-kernel-log-device", "opens `/dev/kmsg`", ALL, Word, &[NOT_SHOWN, LANDLOCK]).root(),
    case(READS, "read-kernel-addresses", "reads the addresses of the kernel's code", ALL, Word, &[CAPABILITIES]).root(),
    case(READS, "read-env-file", "reads the project's `.env`", DEPENDENCY, Secret, &[LANDLOCK]),
    case(READS, "read-git-config", "reads the project's `.git/config`", DEPENDENCY, Secret, &[NOT_SHOWN, LANDLOCK]),
    case(READS, "read-workspace-source", "reads the workspace's source", DEPENDENCY, Secret, &[LANDLOCK]),
    case(READS, "read-workspace-manifest", "reads the workspace's `Cargo.toml`", DEPENDENCY, Secret, &[LANDLOCK]),
    case(READS, "list-workspace", "lists the workspace", DEPENDENCY, Secret, &[LANDLOCK]),
    case(READS, "read-target", "reads what lies in `target/`", DEPENDENCY, Secret, &[LANDLOCK]),
    case(READS, "read-other-vendored", "reads another vendored package's source", DEPENDENCY_SCRIPT, Secret, &[LANDLOCK]),
    case(READS, "read-other-crate", "reads another crate's unpacked source", SCRIPT, Word, &[LANDLOCK]),
    case(READS, "list-registry", "lists the unpacked crates", SCRIPT, Word, &[LANDLOCK]),
    case(READS, "read-registry-index", "lists the registry's index", ALL, Secret, &[NOT_SHOWN, LANDLOCK]),
    case(READS, "read-fingerprints", "lists cargo's fingerprints", ALL, Word, &[LANDLOCK]).open_to_wrapper(MEMBER_OF_BUILD),
    case(READS, "read-state", "reads this tool's own record of the project", ALL, Word, &[NOT_SHOWN, LANDLOCK]),
    case(READS, "list-sessions", "lists the sockets of running commands", ALL, Word, &[NOT_SHOWN, LANDLOCK]),
    case(READS, "read-victims-environment", "reads a host process's environment", ALL, Secret, &[PROCESSES]),
    case(READS, "read-victims-command-line", "reads a host process's command line", ALL, Secret, &[PROCESSES]),
    case(READS, "read-victims-root", "reads files through `/proc/<pid>/root`", ALL, Secret, &[PROCESSES]),
    case(READS, "read-victims-directory", "reads files through `/proc/<pid>/cwd`", ALL, Secret, &[PROCESSES]),
    case(READS, "read-victims-descriptor", "reads files through `/proc/<pid>/fd`", ALL, Secret, &[PROCESSES]),
    case(READS, "read-victims-memory", "opens `/proc/<pid>/mem`", ALL, Word, &[PROCESSES]),
    case(READS, "read-parents-environment", "reads the environment of the process above", NO_RUN, Secret, &[PROCESSES, SCRUBBED]),
    case(READS, "open-namespace-of-host", "opens a namespace of a host process", ALL, Word, &[PROCESSES]),
    case(READS, "open-machine-devices", "opens `/dev/kvm`, `/dev/fuse`, `/dev/net/tun` or `/dev/loop-control`", ALL, Word, &[NOT_SHOWN, LANDLOCK]).root(),
    case(READS, "read-every-environment", "looks for secrets in every process's environment", ALL, Secret, &[PROCESSES]),
    case(READS, "see-other-processes", "sees processes that are not of its job", ALL, Word, &[PROCESSES]),
    case(READS, "read-inherited-descriptor", "reads a descriptor that somebody above cargo left open", ALL, Secret, &[DESCRIPTORS]),
    case(READS, "spoof-identity", "is given the name and directory of a member by `cargo::rustc-env`, and reads `.env`", SPOOFED, Secret, &[LANDLOCK]),
    case(READS, "include-by-own-compiler", "has a compiler of its own include `~/.netrc` and say it", ALL, Secret, &[NOT_SHOWN, LANDLOCK]),

    case(WRITES, "write-home", "writes a file into the home directory", ALL, Token, &[NOT_SHOWN, LANDLOCK]),
    case(WRITES, "append-shell-profile", "adds a line to `~/.bashrc`", ALL, Token, &[NOT_SHOWN, LANDLOCK]),
    case(WRITES, "append-authorized-keys", "adds a line to `~/.ssh/authorized_keys`", ALL, Token, &[NOT_SHOWN, LANDLOCK]),
    case(WRITES, "write-user-unit", "writes a systemd unit of the user's", ALL, Token, &[NOT_SHOWN, LANDLOCK]),
    case(WRITES, "write-autostart", "writes an autostart entry", ALL, Token, &[NOT_SHOWN, LANDLOCK]),
    case(WRITES, "write-cargo-bin", "writes a program into `~/.cargo/bin`", ALL, Token, &[NOT_SHOWN, LANDLOCK]),
    case(WRITES, "append-cargo-config", "adds a line to `~/.cargo/config.toml`", ALL, Token, &[NOT_SHOWN, LANDLOCK]),
    case(WRITES, "write-other-project", "changes another project's source", ALL, Token, &[NOT_SHOWN, LANDLOCK]),
    case(WRITES, "write-tmp", "writes into the host's `/tmp`", ALL, Token, &[NOT_SHOWN]),
    case(WRITES, "write-other-crate", "changes another crate's unpacked source", ALL, Token, &[LANDLOCK, READ_ONLY]),
    case(WRITES, "write-registry", "puts a file beside the unpacked crates", ALL, Token, &[LANDLOCK, READ_ONLY]),
    case(WRITES, "write-registry-cache", "puts a file beside the packed crates", ALL, Token, &[NOT_SHOWN, LANDLOCK]),
    case(WRITES, "write-git-database", "puts a file into cargo's git database", ALL, Token, &[NOT_SHOWN, LANDLOCK]),
    case(WRITES, "write-own-source", "changes its own source for the next build", ALL, Token, &[LAYER, READ_ONLY]),
    case(WRITES, "write-toolchain", "changes the toolchain", ALL, Word, &[LANDLOCK, READ_ONLY]).root(),
    case(WRITES, "write-system", "changes a system program or `/etc/hosts`", ALL, Word, &[LANDLOCK, READ_ONLY]).root(),
    case(WRITES, "write-core-pattern", "names a program that the kernel starts on the host (`core_pattern`)", ALL, Word, &[LANDLOCK, READ_ONLY, CAPABILITIES]).root(),
    case(WRITES, "write-kernel-setting", "changes settings of the kernel in `/proc/sys`", ALL, Word, &[LANDLOCK, READ_ONLY, CAPABILITIES]).root(),
    case(WRITES, "write-processor-setting", "changes settings of the processors in `/sys`", ALL, Word, &[LANDLOCK, READ_ONLY]).root(),
    case(WRITES, "write-control-group", "changes control groups, whose `release_agent` runs on the host", ALL, Word, &[LANDLOCK, NOT_SHOWN]).root(),
    case(WRITES, "write-victims-memory-score", "has the kernel kill a host process first when memory is short", ALL, Word, &[PROCESSES]),
    case(WRITES, "write-workspace-source", "changes the workspace's source", ALL, Token, &[LANDLOCK, READ_ONLY]),
    case(WRITES, "write-manifest", "changes the workspace's `Cargo.toml`", ALL, Token, &[LANDLOCK, READ_ONLY]),
    case(WRITES, "write-lock-file", "changes `Cargo.lock`", ALL, Word, &[LANDLOCK, READ_ONLY]),
    case(WRITES, "write-project-config", "changes the project's `.cargo/config.toml`", ALL, Token, &[LANDLOCK, READ_ONLY]),
    case(WRITES, "write-git-hook", "writes a git hook", ALL, Token, &[LANDLOCK, READ_ONLY]),
    case(WRITES, "write-git-config", "changes `.git/config`", ALL, Token, &[LANDLOCK, READ_ONLY]),
    case(WRITES, "write-editor-settings", "writes settings of an editor into the project", ALL, Token, &[LANDLOCK, READ_ONLY]),
    case(WRITES, "write-assistant-instructions", "writes instructions for coding assistants into the project", ALL, Token, &[LANDLOCK, READ_ONLY]),
    case(WRITES, "write-other-vendored", "changes another vendored package's source", ALL, Token, &[LANDLOCK, READ_ONLY]),
    case(WRITES, "write-final-artifact", "puts a program beside the final artifacts", ALL, Token, &[LANDLOCK]),
    case(WRITES, "write-documentation", "writes into `target/doc`", NO_RUSTDOC, Token, &[LANDLOCK]),
    case(WRITES, "write-package", "writes into `target/package`", ALL, Token, &[LANDLOCK]),
    case(WRITES, "write-build-dir", "puts a file into the build directory", ALL, Token, &[LANDLOCK]),
    case(WRITES, "write-compiler-info", "changes `.rustc_info.json`, which cargo believes", ALL, Word, &[NOT_KEPT, LANDLOCK]),
    case(WRITES, "write-profile-dir", "puts a `.d` file where cargo writes them", ALL, Token, &[LANDLOCK]),
    case(WRITES, "write-fingerprint", "puts a file among cargo's fingerprints", ALL, Token, &[LANDLOCK]),
    case(WRITES, "write-build-lock", "opens cargo's lock of the build directory", ALL, Word, &[LANDLOCK]),
    case(WRITES, "write-deps", "puts a file among the compiled crates", NO_COMPILER, Token, &[LANDLOCK]),
    case(WRITES, "write-incremental", "puts a file among the compiler's incremental data", NO_MEMBERS_COMPILER, Token, &[LANDLOCK]),
    case(WRITES, "write-others-output", "puts a file into another package's `OUT_DIR`", ALL, Token, &[LANDLOCK]),
    case(WRITES, "write-others-script-output", "changes what another build script is believed to have said", ALL, Word, &[LANDLOCK]),
    case(WRITES, "write-others-script", "puts a file beside another build script's output", ALL, Token, &[LANDLOCK]),
    case(WRITES, "write-own-package-dir", "puts a file beside its own `OUT_DIR`, where cargo writes", WITH_OUT_DIR, Token, &[LANDLOCK]),
    case(WRITES, "write-new-package-dir", "puts a file where cargo makes packages' directories", ALL, Token, &[LANDLOCK]),
    case(WRITES, "write-state", "writes into this tool's own directory", ALL, Token, &[NOT_SHOWN, LANDLOCK]),
    case(WRITES, "write-shim", "writes where the host executes shims", ALL, Token, &[NOT_SHOWN, LANDLOCK]),
    case(WRITES, "write-scripts", "writes where compiled build scripts are kept", ALL, Token, &[LANDLOCK, READ_ONLY]),
    case(WRITES, "write-wrapper", "writes where the host executes the wrapper", ALL, Token, &[NOT_SHOWN, LANDLOCK]),
    case(WRITES, "write-sessions", "writes where cargo looks for the broker", ALL, Token, &[NOT_SHOWN, LANDLOCK]),
    case(WRITES, "write-work", "writes beside the build directory", ALL, Token, &[LANDLOCK]),

    case(STRANGE, "link-script-output", "has cargo write its output through a link to a file in the home directory", SCRIPT, Token, &[LANDLOCK, HOST_DOMAIN]),
    case(STRANGE, "link-script-timestamp", "puts a link in the place of its `root-output`", SCRIPT, Word, &[LANDLOCK, HOST_DOMAIN]),
    case(STRANGE, "symlink-in-deps", "makes a symbolic link among the compiled crates", ALL, Word, &[LANDLOCK]),
    case(STRANGE, "hard-link-in-deps", "makes a hard link to a file of the user's among the compiled crates", ALL, Word, &[NOT_SHOWN, LANDLOCK]),
    case(STRANGE, "hard-link-of-home", "makes a hard link to a file of the user's where it may write", ALL, Word, &[NOT_SHOWN, LANDLOCK]),
    case(STRANGE, "rename-of-home", "takes a file out of the home directory", ALL, Word, &[NOT_SHOWN, LANDLOCK]),
    case(STRANGE, "fifo-in-deps", "makes a fifo among the compiled crates", ALL, Word, &[LANDLOCK]),
    case(STRANGE, "socket-in-deps", "makes a socket among the compiled crates", ALL, Word, &[LANDLOCK]),
    case(STRANGE, "device-node", "makes a device node where it may write", ALL, Word, &[SECCOMP, CAPABILITIES, LANDLOCK]).root(),
    case(STRANGE, "set-user-id-by-chmod", "makes a set-user-id program by `chmod`", ALL, Word, &[SECCOMP]),
    case(STRANGE, "set-group-id-by-fchmodat", "makes a set-group-id program by `fchmodat`", ALL, Word, &[SECCOMP]),
    case(STRANGE, "set-user-id-by-fchmodat2", "makes a set-user-id program by `fchmodat2`", ALL, Call, &[SECCOMP]),
    case(STRANGE, "set-user-id-by-open", "makes a set-user-id program by `open`", ALL, Word, &[SECCOMP]),
    case(STRANGE, "set-user-id-by-openat2", "makes a set-user-id program by `openat2`", ALL, Word, &[SECCOMP]),
    case(STRANGE, "set-user-id-by-creat", "makes a set-user-id program by `creat`", ALL, Word, &[SECCOMP]),
    case(STRANGE, "set-user-id-by-mknod", "makes a set-user-id program by `mknod`", ALL, Word, &[SECCOMP]),
    case(STRANGE, "file-capabilities", "gives a program capabilities", ALL, Word, &[SECCOMP, CAPABILITIES]).root(),

    case(ENVIRONMENT, "env-registry-token", "reads `CARGO_REGISTRY_TOKEN`", ALL, Secret, &[SCRUBBED]),
    case(ENVIRONMENT, "env-named-registry-token", "reads a named registry's token", ALL, Secret, &[SCRUBBED]),
    case(ENVIRONMENT, "env-github-token", "reads `GITHUB_TOKEN`", ALL, Secret, &[SCRUBBED]),
    case(ENVIRONMENT, "env-aws", "reads `AWS_SECRET_ACCESS_KEY`", ALL, Secret, &[SCRUBBED]),
    case(ENVIRONMENT, "env-npm", "reads `NPM_TOKEN`", ALL, Secret, &[SCRUBBED]),
    case(ENVIRONMENT, "env-database-url", "reads a password in `DATABASE_URL`", ALL, Secret, &[SCRUBBED]),
    case(ENVIRONMENT, "env-ssh-agent", "reads `SSH_AUTH_SOCK`", ALL, Secret, &[SCRUBBED]),
    case(ENVIRONMENT, "env-session-bus", "reads `DBUS_SESSION_BUS_ADDRESS`", ALL, Secret, &[SCRUBBED]),
    case(ENVIRONMENT, "env-kubeconfig", "reads `KUBECONFIG`", ALL, Secret, &[SCRUBBED]),
    case(ENVIRONMENT, "env-proxy-password", "reads a password in `HTTPS_PROXY`", ALL, Secret, &[SCRUBBED]),
    case(ENVIRONMENT, "env-plain-name", "reads a secret under a name that sounds like none", ALL, Secret, &[SCRUBBED]),
    case(ENVIRONMENT, "env-by-value", "looks for secrets in every variable", ALL, Secret, &[SCRUBBED]),
    case(ENVIRONMENT, "env-of-own-block", "looks for secrets in `/proc/self/environ`", ALL, Secret, &[SCRUBBED]),
    case(ENVIRONMENT, "env-of-a-child", "looks for secrets in the environment of a child", ALL, Secret, &[SCRUBBED]),

    case(NET, "tcp-loopback", "connects to a port of the host's loopback", ALL, Token, &[NETWORK]),
    case(NET, "tcp-host-address", "connects to the host's own address", ALL, Token, &[NETWORK]),
    case(NET, "tcp-every-address", "connects to 0.0.0.0", ALL, Token, &[NETWORK]),
    case(NET, "tcp-ipv6", "connects to a port of the host's loopback by IPv6", ALL, Token, &[NETWORK]),
    case(NET, "tcp-mapped-ipv4", "connects to an IPv4 address in an IPv6 one", ALL, Token, &[NETWORK]),
    case(NET, "tcp-fast-open", "sends before the connection is made", ALL, Token, &[NETWORK]),
    case(NET, "udp-loopback", "sends a packet to the host's loopback", ALL, Token, &[NETWORK]),
    case(NET, "udp-broadcast", "sends a broadcast", ALL, Token, &[NETWORK]),
    case(NET, "dns-question", "sends a name server a question with data in it", ALL, Token, &[NETWORK]),
    case(NET, "route-to-metadata", "has a route to the cloud's metadata address", ALL, Word, &[NETWORK]),
    case(NET, "route-to-internet", "has a route to the Internet", ALL, Word, &[NETWORK]),
    case(NET, "see-interfaces", "sees the host's network interfaces", ALL, Word, &[NETWORK]),
    case(NET, "see-host-sockets", "sees the host's open ports", ALL, Word, &[NETWORK]),
    case(NET, "see-host-unix-sockets", "sees the host's Unix sockets", ALL, Word, &[NETWORK]),
    case(NET, "unix-abstract", "connects to an abstract socket of the host", ALL, Token, &[NETWORK]),
    case(NET, "unix-abstract-datagram", "sends to an abstract socket of the host", ALL, Token, &[NETWORK]),
    case(NET, "unix-in-home", "connects to an SSH agent's socket in the home directory", ALL, Token, &[NOT_SHOWN]),
    case(NET, "unix-in-tmp", "connects to a socket in the host's `/tmp`", ALL, Token, &[NOT_SHOWN]),
    case(NET, "unix-in-workspace", "connects to a socket of the host in the project", NO_PROGRAM, Token, &[SECCOMP]),
    case(NET, "unix-of-session", "connects to the broker", ALL, Token, &[NOT_SHOWN, LANDLOCK]),
    case(NET, "unix-of-docker", "connects to Docker's socket", ALL, Word, &[NOT_SHOWN]).root(),
    case(NET, "socket-vsock", "makes a socket to the hypervisor", ALL, Call, &[SECCOMP]),
    case(NET, "socket-packet", "makes a socket for raw packets", ALL, Call, &[SECCOMP, CAPABILITIES]).root(),
    case(NET, "socket-raw", "makes a raw IPv4 socket", ALL, Call, &[SECCOMP, CAPABILITIES]).root(),
    case(NET, "socket-raw-ipv6", "makes a raw IPv6 socket", ALL, Call, &[SECCOMP, CAPABILITIES]).root(),
    case(NET, "socket-algorithms", "makes a socket to the kernel's cryptography (`AF_ALG`)", ALL, Call, &[SECCOMP]),
    case(NET, "socket-netlink-uevent", "listens to the kernel's events", ALL, Call, &[SECCOMP]),
    case(NET, "socket-netlink-netfilter", "speaks to the packet filter", ALL, Call, &[SECCOMP]),
    case(NET, "socket-netlink-diagnosis", "asks the kernel for all sockets", ALL, Call, &[SECCOMP]),
    case(NET, "socket-netlink-audit", "speaks to the audit system", ALL, Call, &[SECCOMP]),
    case(NET, "socket-netlink-crypto", "configures the kernel's cryptography", ALL, Call, &[SECCOMP]),
    case(NET, "socket-xdp", "makes an `AF_XDP` socket", ALL, Call, &[SECCOMP, CAPABILITIES]).root(),
    case(NET, "socket-key", "makes an `AF_KEY` socket", ALL, Call, &[SECCOMP, CAPABILITIES]).root(),
    case(NET, "socket-sctp", "makes a socket for a protocol that a kernel module brings (SCTP)", ALL, Call, &[SECCOMP]),
    case(NET, "socket-udplite", "makes a socket for a seldom used protocol (UDP-Lite)", ALL, Call, &[SECCOMP]),
    case(NET, "socket-high-bits", "hides the family in an argument with high bits set", ALL, Call, &[SECCOMP]),
    case(NET, "socketpair-exotic", "makes a pair of sockets of another family", ALL, Call, &[SECCOMP]),

    case(OTHERS, "exec-dropped-program", "drops a program that writes into the home directory, and starts it", ALL, Token, &[NOT_SHOWN, LANDLOCK]),
    case(OTHERS, "exec-from-memory", "starts the same from memory", ALL, Token, &[NOT_SHOWN, LANDLOCK]),
    case(OTHERS, "exec-shell", "has a shell do the same", ALL, Token, &[NOT_SHOWN, LANDLOCK]),
    case(OTHERS, "gain-privileges", "starts set-user-id programs with their privileges", ALL, Word, &[NEW_PRIVILEGES]),
    case(OTHERS, "keep-capabilities", "has capabilities", ALL, Word, &[CAPABILITIES]).root(),
    case(OTHERS, "bounding-capabilities", "could get capabilities", ALL, Word, &[CAPABILITIES]),
    case(OTHERS, "survive-detached", "leaves a detached process behind", ALL, Token, &[KILLED]),
    case(OTHERS, "survive-double-fork", "leaves a process behind whose parents are gone", ALL, Token, &[KILLED]),
    case(OTHERS, "survive-signals", "leaves a process behind that ignores signals", ALL, Token, &[KILLED]),
    case(OTHERS, "signal-host-process", "signals a process of the host by `kill`", ALL, Word, &[PROCESSES, LANDLOCK]),
    case(OTHERS, "signal-host-thread", "signals a thread of the host by `tgkill`", ALL, Word, &[PROCESSES, LANDLOCK]),
    case(OTHERS, "signal-by-queue", "signals a process of the host by `rt_sigqueueinfo`", ALL, Word, &[PROCESSES, LANDLOCK]),
    case(OTHERS, "signal-by-descriptor", "signals a process of the host by a descriptor of it", ALL, Word, &[PROCESSES, LANDLOCK]),
    case(OTHERS, "lower-priority-of-others", "changes the priority of a process of the host", ALL, Word, &[PROCESSES]),
    case(OTHERS, "io-priority-of-others", "changes the disk priority of a process of the host", ALL, Word, &[PROCESSES]),
    case(OTHERS, "scheduler-of-others", "changes the scheduling of a process of the host", ALL, Word, &[PROCESSES]),
    case(OTHERS, "affinity-of-others", "moves a process of the host to other processors", ALL, Word, &[PROCESSES]),
    case(OTHERS, "limits-of-others", "reads or changes the limits of a process of the host", ALL, Word, &[PROCESSES]),
    case(OTHERS, "memory-of-others", "reads memory by `process_vm_readv`", ALL, Call, &[SECCOMP, PROCESSES]),
    case(OTHERS, "write-memory-of-others", "writes memory by `process_vm_writev`", ALL, Call, &[SECCOMP, PROCESSES]),
    case(OTHERS, "advise-memory-of-others", "changes memory by `process_madvise`", ALL, Call, &[SECCOMP, PROCESSES]),
    case(OTHERS, "trace-process", "traces a process", ALL, Call, &[SECCOMP, PROCESSES]),
    case(OTHERS, "take-descriptor", "takes a process's descriptor", ALL, Call, &[SECCOMP, PROCESSES]),
    case(OTHERS, "compare-processes", "compares kernel pointers by `kcmp`", ALL, Call, &[SECCOMP, PROCESSES]),
    case(OTHERS, "shared-memory-of-host", "opens shared memory (System V) of the host", ALL, Word, &[IPC]),
    case(OTHERS, "semaphores-of-host", "opens semaphores (System V) of the host", ALL, Word, &[IPC]),
    case(OTHERS, "see-shared-memory-of-host", "sees the host's shared memory (System V)", ALL, Word, &[IPC]),
    case(OTHERS, "named-queue-of-host", "opens a message queue (POSIX) of the host", ALL, Word, &[IPC]),
    case(OTHERS, "messages-of-host", "opens a message queue (System V) of the host", ALL, Word, &[IPC]),

    case(KERNEL, "add-key", "adds a key to a kernel keyring", ALL, Call, &[SECCOMP]),
    case(KERNEL, "request-key", "asks for a key, which can start a program on the host", ALL, Call, &[SECCOMP]),
    case(KERNEL, "keyctl", "looks at kernel keyrings", ALL, Call, &[SECCOMP]),
    case(KERNEL, "bpf", "loads a program into the kernel", ALL, Call, &[SECCOMP, CAPABILITIES]).root(),
    case(KERNEL, "perf-event", "observes the machine by `perf_event_open`", ALL, Call, &[SECCOMP]),
    case(KERNEL, "userfaultfd", "handles page faults", ALL, Call, &[SECCOMP]),
    case(KERNEL, "io-uring-setup", "makes an io_uring", ALL, Call, &[SECCOMP]),
    case(KERNEL, "io-uring-enter", "uses an io_uring", ALL, Call, &[SECCOMP]),
    case(KERNEL, "io-uring-register", "configures an io_uring", ALL, Call, &[SECCOMP]),
    case(KERNEL, "mount", "mounts", ALL, Call, &[SECCOMP, CAPABILITIES]),
    case(KERNEL, "unmount", "unmounts", ALL, Call, &[SECCOMP, CAPABILITIES]),
    case(KERNEL, "pivot-root", "changes the root by `pivot_root`", ALL, Call, &[SECCOMP, CAPABILITIES]).root(),
    case(KERNEL, "chroot", "changes the root by `chroot`", ALL, Call, &[SECCOMP, CAPABILITIES]),
    case(KERNEL, "open-tree", "takes hold of a mount by `open_tree`", ALL, Call, &[SECCOMP]),
    case(KERNEL, "open-tree-attributes", "takes hold of a mount by `open_tree_attr`", ALL, Call, &[SECCOMP]),
    case(KERNEL, "move-mount", "moves a mount", ALL, Call, &[SECCOMP, CAPABILITIES]).root(),
    case(KERNEL, "fsopen", "makes a file system by `fsopen`", ALL, Call, &[SECCOMP, CAPABILITIES]).root(),
    case(KERNEL, "fsconfig", "configures a file system by `fsconfig`", ALL, Call, &[SECCOMP]),
    case(KERNEL, "fsmount", "makes a mount by `fsmount`", ALL, Call, &[SECCOMP, CAPABILITIES]).root(),
    case(KERNEL, "fspick", "takes hold of a file system by `fspick`", ALL, Call, &[SECCOMP, CAPABILITIES]).root(),
    case(KERNEL, "mount-attributes", "makes a read-only mount writable", ALL, Call, &[SECCOMP, CAPABILITIES]),
    case(KERNEL, "unshare-user", "makes a user namespace by `unshare`", ALL, Call, &[SECCOMP]),
    case(KERNEL, "unshare-mounts", "makes a mount namespace by `unshare`", ALL, Call, &[SECCOMP, CAPABILITIES]),
    case(KERNEL, "unshare-network", "makes a network namespace by `unshare`", ALL, Call, &[SECCOMP, CAPABILITIES]),
    case(KERNEL, "unshare-high-bits", "the same with high bits set", ALL, Call, &[SECCOMP]),
    case(KERNEL, "clone-user", "makes a user namespace by `clone`", ALL, Word, &[SECCOMP]),
    case(KERNEL, "clone-user-and-mounts", "makes user and mount namespaces by `clone`", ALL, Word, &[SECCOMP]),
    case(KERNEL, "clone-user-and-network", "makes user and network namespaces by `clone`", ALL, Word, &[SECCOMP]),
    case(KERNEL, "clone3", "reaches `clone3`, whose flags no filter sees", ALL, Call, &[SECCOMP]),
    case(KERNEL, "setns", "enters another namespace", ALL, Call, &[SECCOMP]),
    case(KERNEL, "personality", "switches protections of the address space off", ALL, Call, &[SECCOMP]),
    case(KERNEL, "type-into-terminal", "types into the terminal (`TIOCSTI`; asked of a plain file)", ALL, Call, &[SECCOMP]),
    case(KERNEL, "type-into-terminal-high-bits", "the same with high bits set (CVE-2019-7303)", ALL, Call, &[SECCOMP]),
    case(KERNEL, "paste-into-console", "pastes into the console (`TIOCLINUX`; asked of a plain file)", ALL, Call, &[SECCOMP]),
    case(KERNEL, "paste-into-console-high-bits", "the same with high bits set", ALL, Call, &[SECCOMP]),
    case(KERNEL, "line-discipline", "loads a line discipline (`TIOCSETD`; asked of a plain file)", ALL, Call, &[SECCOMP]),
    case(KERNEL, "kexec", "replaces the kernel by `kexec_load`", ALL, Call, &[SECCOMP, CAPABILITIES]).root(),
    case(KERNEL, "kexec-file", "replaces the kernel by `kexec_file_load`", ALL, Call, &[SECCOMP, CAPABILITIES]).root(),
    case(KERNEL, "init-module", "loads a kernel module", ALL, Call, &[SECCOMP, CAPABILITIES]).root(),
    case(KERNEL, "finit-module", "loads a kernel module from a file", ALL, Call, &[SECCOMP, CAPABILITIES]).root(),
    case(KERNEL, "delete-module", "removes a kernel module", ALL, Call, &[SECCOMP, CAPABILITIES]).root(),
    case(KERNEL, "reboot", "stops the machine", ALL, Call, &[SECCOMP, CAPABILITIES]).root(),
    case(KERNEL, "swapon", "adds swap", ALL, Call, &[SECCOMP, CAPABILITIES]).root(),
    case(KERNEL, "swapoff", "removes swap", ALL, Call, &[SECCOMP, CAPABILITIES]).root(),
    case(KERNEL, "account", "changes process accounting", ALL, Call, &[SECCOMP, CAPABILITIES]).root(),
    case(KERNEL, "set-time", "sets the clock by `settimeofday`", ALL, Call, &[SECCOMP, CAPABILITIES]),
    case(KERNEL, "set-clock", "sets the clock by `clock_settime`", ALL, Call, &[SECCOMP, CAPABILITIES]),
    case(KERNEL, "adjust-time", "adjusts the clock by `adjtimex`", ALL, Call, &[SECCOMP]),
    case(KERNEL, "adjust-clock", "adjusts the clock by `clock_adjtime`", ALL, Call, &[SECCOMP]),
    case(KERNEL, "set-host-name", "changes the host's name", ALL, Call, &[SECCOMP, CAPABILITIES]).root(),
    case(KERNEL, "set-domain-name", "changes the host's domain", ALL, Call, &[SECCOMP, CAPABILITIES]).root(),
    case(KERNEL, "quotas", "changes disk quotas", ALL, Call, &[SECCOMP]),
    case(KERNEL, "quotas-by-descriptor", "changes disk quotas by a descriptor", ALL, Call, &[SECCOMP]),
    case(KERNEL, "kernel-log", "reads the kernel's log", ALL, Call, &[SECCOMP, CAPABILITIES]).root(),
    case(KERNEL, "name-file-handle", "names a file without a path", ALL, Call, &[SECCOMP]),
    case(KERNEL, "open-file-handle", "opens a file without a path", ALL, Call, &[SECCOMP, CAPABILITIES]).root(),
    case(KERNEL, "watch-file-system", "watches whole file systems by `fanotify`", ALL, Call, &[SECCOMP]),
    case(KERNEL, "port-level", "speaks to hardware by `iopl`", ALL, Call, &[SECCOMP]),
    case(KERNEL, "port-permissions", "speaks to hardware by `ioperm`", ALL, Call, &[SECCOMP]),
    case(KERNEL, "segments", "makes 16-bit segments by `modify_ldt`", ALL, Call, &[SECCOMP]),
    case(KERNEL, "map-old-library", "maps a file by `uselib`", ALL, Call, &[SECCOMP]),
    case(KERNEL, "file-system-statistics", "looks at file systems beyond its view by `ustat`", ALL, Call, &[SECCOMP]),
    case(KERNEL, "file-system-types", "looks at the kernel by `sysfs`", ALL, Call, &[SECCOMP]),
    case(KERNEL, "entry-of-32-bit", "makes a call by the 32-bit entry, `int 0x80`", ALL, Call, &[SECCOMP]),
    case(KERNEL, "entry-of-x32", "makes a call by an x32 number", ALL, Call, &[SECCOMP]),
];
