//! `network` and `ports`.
