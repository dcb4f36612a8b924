//! What the user allows: settings that come from the user alone, never from a repository, and trust in what a
//! repository asks for.

pub mod bar;
pub mod difference;
pub mod limits;
mod nearest;
pub mod question;
pub mod trust;
pub mod user;
