//! Containers: what one is made to, the engines that make them, and their life.

pub mod docker;
pub mod enforced;
pub mod engine;
pub mod engines;
pub mod host;
pub mod image;
pub mod lifecycle;
pub mod native;
pub mod packages;
pub mod single;
pub mod spec;
pub mod world;

pub use engine::{ContainerInfo, Engine, EngineError, EngineKind};
pub use spec::{Additions, ContainerSpec, Image, ImageFile, Limits, Mount, Recipe};
