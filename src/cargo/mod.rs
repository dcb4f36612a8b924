//! The host side: which toolchain, which command, which environment, and cargo itself.

pub mod command_line;
pub mod configuration;
pub mod domain;
pub mod environment;
pub mod help;
pub mod install_root;
pub mod installed;
pub mod process;
pub mod run;
pub mod setup;
pub mod signals;
pub mod stderr;
pub mod toolchain;
pub mod version;

pub use command_line::{CargoCommand, CommandKind};
pub use toolchain::{Toolchain, ToolchainError};
