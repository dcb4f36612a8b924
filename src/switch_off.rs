//! Defences that a test switches off, one at a time, to see which of them stops what.
//!
//! Only with the feature `switch-off`, which nothing has that is installed: without it, [`is_off`] is always false and
//! nothing here reads anything.

/// A defence that can be switched off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Defence {
    /// Landlock rules of each job.
    JobLandlock,
    /// The system call filter of each job.
    JobFilter,
    /// The Landlock domain of cargo on the host.
    CargoDomain,
    /// The filter of what build scripts and macros say.
    Filters,
    /// The look at what the repository planted where cargo writes.
    PlantedCheck,
}

#[cfg(not(feature = "switch-off"))]
mod implementation {
    /// Whether a test has switched this off.
    pub const fn is_off(_: super::Defence) -> bool {
        false
    }
}

#[cfg(feature = "switch-off")]
mod implementation {
    use std::sync::OnceLock;

    use super::Defence;

    #[cfg(not(debug_assertions))]
    compile_error!("the feature `switch-off` is for tests and must not be in a release");

    /// What a test says to the front end, which says it to the agent.
    pub const VARIABLE: &str = "CARGO_SANDBOX_SWITCH_OFF";

    static OFF: OnceLock<String> = OnceLock::new();

    /// Switches some off in this process; the names are as in [`VARIABLE`], with commas between.
    pub fn switch_off(name: &str) {
        let _first = OFF.set(name.to_owned());
    }

    /// The name of what is off.
    pub fn name() -> Option<String> {
        OFF.get().cloned()
    }

    /// Whether a test has switched this off.
    pub fn is_off(defence: Defence) -> bool {
        let name = match defence {
            Defence::JobLandlock => "job-landlock",
            Defence::JobFilter => "job-filter",
            Defence::CargoDomain => "cargo-domain",
            Defence::Filters => "filters",
            Defence::PlantedCheck => "planted-check",
        };
        OFF.get().is_some_and(|off| off.split(',').any(|off| off == name))
    }
}

pub use implementation::*;
