//! What the user allows: settings that come from the user alone, never from a repository.

pub mod bar;
pub mod limits;
mod nearest;
pub mod user;
