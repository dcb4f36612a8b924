//! What the user allows: trust in what a repository asks for.

pub mod difference;
pub mod question;
pub mod trust;
