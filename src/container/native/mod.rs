//! The `native` engine: a container made of namespaces by this program itself.
use super::*;
/// x
#[derive(Debug)]
pub struct NativeEngine;
impl NativeEngine {
    /// x
    pub fn new(_: std::path::PathBuf) -> Self {
        Self
    }
}
impl Engine for NativeEngine {
    fn kind(&self) -> EngineKind {
        EngineKind::Native
    }
    fn describe(&self) -> Result<String, EngineError> {
        Err(EngineError::unavailable("no"))
    }
    fn start(&self, _: &ContainerSpec) -> Result<(), EngineError> {
        Err(EngineError::unavailable("no"))
    }
    fn list(&self) -> Result<Vec<ContainerInfo>, EngineError> {
        Ok(vec![])
    }
    fn remove(&self, _: &ContainerInfo) -> Result<(), EngineError> {
        Ok(())
    }
    fn post_mortem(&self, _: &ContainerSpec) -> Option<String> {
        None
    }
    fn prune(&self) -> Result<u64, EngineError> {
        Ok(0)
    }
}
