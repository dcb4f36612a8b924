//! A bystander: its source and its output are what others attack.

include!(concat!(env!("OUT_DIR"), "/generated.rs"));
