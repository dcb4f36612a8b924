//! What jobs did, and what was refused to them: told to the user, written down, compared.
//!
//! - [`denial`]: what of a job's requests was refused; [`remedy`]: what a policy would say to allow it, if one can;
//!   [`explain`]: both in words.
//! - [`record`]: what is written down of a job (`--audit`); its JSON is a public format.
//! - [`recorder`]: collects both while a command runs.
//! - [`page`]: the record as a page to look at.
//! - [`pin`]: what dependencies did before (`cargo-sandbox.lock`), and what is new.
//! - [`files`]: where all of it is written, past links that others may have left there.

pub mod denial;
pub mod explain;
pub mod files;
pub mod package;
pub mod page;
pub mod pin;
pub mod places;
pub mod record;
pub mod recorder;
pub mod remedy;

pub use package::PackageId;
pub use recorder::{Mode, Recorder};
