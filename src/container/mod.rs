//! Containers: what one is made to, the engines that make them, and their life.

pub mod docker;
pub mod engine;
pub mod host;
pub mod native;
pub mod spec;

pub use engine::{ContainerInfo, Engine, EngineError, EngineKind};
pub use spec::{ContainerSpec, Image, Limits, Mount};
