//! Executing, outliving the job, and reaching other processes.

use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use super::Attack;
use super::attempt::{Attempt, Outcome, said};
use super::lab;
use super::sys::{self, reaches, succeeds};

const VICTIM: u64 = lab::VICTIM as u64;
const USR1: u64 = 10;

pub const ATTACKS: &[Attack] = &[
    ("exec-dropped-program", |a| {
        let program = std::env::temp_dir().join(format!("dropped-{}", a.kind));
        fs::write(&program, script(a)).map_err(said)?;
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).map_err(said)?;
        started(Command::new(program).status())
    }),
    ("exec-from-memory", |a| {
        use std::io::Write;
        use std::os::fd::FromRawFd;
        let number = sys::call(319, &[c"x".as_ptr() as u64, 0]).map_err(|error| format!("error {error}"))?;
        // SAFETY: the descriptor was just made and belongs to nobody else.
        let mut memory = unsafe { fs::File::from_raw_fd(i32::try_from(number).map_err(said)?) };
        memory.write_all(script(a).as_bytes()).map_err(said)?;
        started(Command::new(format!("/proc/self/fd/{}", memory.as_raw_fd())).status())
    }),
    ("exec-shell", |a| started(Command::new("/bin/sh").arg("-c").arg(script(a)).status())),
    ("gain-privileges", |_| {
        // PR_GET_NO_NEW_PRIVS: 0 means that sudo and its like would work.
        match sys::call(157, &[39]) {
            Ok(0) => Ok("set-user-id programs give privileges".into()),
            other => Err(format!("{other:?}")),
        }
    }),
    ("keep-capabilities", |_| {
        let status = fs::read_to_string("/proc/self/status").map_err(said)?;
        let line = status.lines().find(|line| line.starts_with("CapEff:")).ok_or("no CapEff")?;
        if line.ends_with("0000000000000000") { Err(line.into()) } else { Ok(line.into()) }
    }),
    ("bounding-capabilities", |_| {
        let status = fs::read_to_string("/proc/self/status").map_err(said)?;
        let line = status.lines().find(|line| line.starts_with("CapBnd:")).ok_or("no CapBnd")?;
        if line.ends_with("0000000000000000") { Err(line.into()) } else { Ok(line.into()) }
    }),
    ("survive-detached", |a| survive(a, "setsid sh -c \"$0\" \"$1\" & ", false)),
    ("survive-double-fork", |a| survive(a, "( ( sh -c \"$0\" \"$1\" & ) & )", false)),
    ("survive-signals", |a| survive(a, "( trap '' HUP INT TERM QUIT; setsid sh -c \"$0\" \"$1\" & )", true)),
    ("signal-host-process", |_| succeeds(62, &[VICTIM, USR1])),
    ("signal-host-thread", |_| succeeds(234, &[VICTIM, VICTIM, USR1])),
    ("signal-by-queue", |_| {
        let mut information = [0_u32; 32];
        (information[0], information[2]) = (10, u32::MAX); // signal, code SI_QUEUE
        succeeds(129, &[VICTIM, USR1, information.as_ptr() as u64])
    }),
    ("signal-by-descriptor", |_| {
        let number = sys::call(434, &[VICTIM, 0]).map_err(|error| format!("error {error}"))?;
        succeeds(424, &[number as u64, USR1, 0, 0])
    }),
    ("lower-priority-of-others", |_| succeeds(141, &[0, VICTIM, 5])),
    ("io-priority-of-others", |_| succeeds(251, &[1, VICTIM, 3 << 13])),
    ("scheduler-of-others", |_| {
        let parameter = 0_u32;
        succeeds(144, &[VICTIM, 3, (&raw const parameter) as u64]) // SCHED_BATCH
    }),
    ("affinity-of-others", |_| {
        let mut mask = [0_u64; 16];
        let size = sys::call(204, &[VICTIM, 128, mask.as_mut_ptr() as u64])
            .map_err(|error| format!("error {error}"))?;
        succeeds(203, &[VICTIM, size as u64, mask.as_ptr() as u64])
    }),
    ("limits-of-others", |_| {
        let mut limits = [0_u64; 2];
        succeeds(302, &[VICTIM, 7, 0, limits.as_mut_ptr() as u64])
    }),
    ("memory-of-others", |_| {
        // process_vm_readv on oneself: what is asked is whether the call is there at all.
        let (from, mut to) = ([1_u64; 4], [0_u64; 4]);
        let there = [from.as_ptr() as u64, 32];
        let here = [to.as_mut_ptr() as u64, 32];
        let own = u64::from(std::process::id());
        reaches(310, &[own, here.as_ptr() as u64, 1, there.as_ptr() as u64, 1, 0])
    }),
    ("write-memory-of-others", |_| reaches(311, &[VICTIM, sys::NOWHERE, 1, sys::NOWHERE, 1, 0])),
    ("advise-memory-of-others", |_| reaches(440, &[sys::NONE, 0, 0, 0, 0])),
    ("trace-process", |_| reaches(101, &[1, VICTIM, 0, 0])),
    ("take-descriptor", |_| reaches(438, &[sys::NONE, 0, 0])),
    ("compare-processes", |_| reaches(312, &[VICTIM, VICTIM, 99, 0, 0])),
    ("shared-memory-of-host", |_| succeeds(29, &[lab::IPC_KEY as u64, 0, 0])),
    ("semaphores-of-host", |_| succeeds(64, &[lab::IPC_KEY as u64, 0, 0])),
    ("see-shared-memory-of-host", |_| {
        let text = fs::read_to_string("/proc/sysvipc/shm").map_err(said)?;
        let key = lab::IPC_KEY.to_string();
        let mut keys = text.lines().filter_map(|line| line.split_whitespace().next());
        keys.find(|found| *found == key).map(str::to_owned).ok_or_else(|| "not there".into())
    }),
    ("named-queue-of-host", |_| {
        let name = std::ffi::CString::new(lab::QUEUE).map_err(said)?;
        succeeds(240, &[name.as_ptr() as u64, 2, 0, 0])
    }),
    ("messages-of-host", |_| succeeds(68, &[lab::IPC_KEY as u64, 0])),
];

/// Leaves its token in the user's home: there it reached the host.
fn script(attempt: &Attempt) -> String {
    format!(
        "#!/bin/sh\necho {} > '{}/executed-{}-{}'\n",
        attempt.token(),
        lab::HOME,
        attempt.name,
        attempt.kind
    )
}

fn started(status: std::io::Result<std::process::ExitStatus>) -> Outcome {
    let status = status.map_err(said)?;
    if status.success() { Ok("executed".into()) } else { Err(format!("{status}")) }
}

/// Leaves a process behind, which the suite looks for by its argument, and which first says that it lives.
fn survive(attempt: &Attempt, how: &str, ignores: bool) -> Outcome {
    let name = format!("{}-{}", lab::SURVIVOR, attempt.token());
    let sign = std::env::temp_dir().join(format!("alive-{}-{}", attempt.name, attempt.kind));
    let _ = fs::remove_file(&sign);
    let trap = if ignores { "trap '' HUP INT TERM QUIT;" } else { "" };
    let body =
        format!("{trap} : > '{}'; i=0; while [ $i -lt 600 ]; do sleep 0.2; i=$((i+1)); done", sign.display());
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(how).arg(body).arg(name).process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    started(command.status())?;
    for _ in 0..1000 {
        if Path::new(&sign).exists() {
            return Ok("alive".into());
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    Err("it never said that it lives".into())
}
