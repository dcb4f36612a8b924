//! The `native` engine: a container made of namespaces by this program itself.
