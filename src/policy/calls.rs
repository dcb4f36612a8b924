//! System calls that a policy may let a job make beyond the filter's default.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A call that is refused by default and does no harm beyond the job: what it reaches are processes of the job's own
/// process namespace, and of those only what Landlock counts to the job. Everything else that the filter refuses
/// stays refused, whatever a policy says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SystemCall {
    /// Debuggers, coverage by single steps, tests of them.
    Ptrace,
    /// Reading the memory of a process of the job's own.
    ProcessVmReadv,
    /// Writing it.
    ProcessVmWritev,
    /// Comparing what two processes of the job's own have open.
    Kcmp,
}

impl SystemCall {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Ptrace, Self::ProcessVmReadv, Self::ProcessVmWritev, Self::Kcmp];

    /// Its name in the kernel.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ptrace => "ptrace",
            Self::ProcessVmReadv => "process_vm_readv",
            Self::ProcessVmWritev => "process_vm_writev",
            Self::Kcmp => "kcmp",
        }
    }

    /// Its number.
    pub fn number(self) -> libc::c_long {
        match self {
            Self::Ptrace => libc::SYS_ptrace,
            Self::ProcessVmReadv => libc::SYS_process_vm_readv,
            Self::ProcessVmWritev => libc::SYS_process_vm_writev,
            Self::Kcmp => libc::SYS_kcmp,
        }
    }
}

impl fmt::Display for SystemCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
