//! A greeting that a build script made.

include!(concat!(env!("OUT_DIR"), "/greeting.rs"));
