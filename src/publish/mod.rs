//! Publishing: what touches a registry's token, in a container of its own.
//!
//! 1. cargo packs on the host, and builds nothing of it. What leaves the package is refused ([`contents`]).
//! 2. The verify build runs in the Build container, without a token and without a network, and can write no archive.
//!    What was verified is remembered by its checksum ([`verified`]).
//! 3. cargo packs the same sources once more in the Publish container ([`container`]), where nothing else is: no
//!    artifact, no compiler, no code of a dependency. It reaches the registry alone ([`crate::forward`]).
//! 4. It asks for the token, and says for which archive. The front end answers ([`warrant`]), and has the token
//!    ([`tokens`]) for nothing but the archive that was verified.

pub mod channel;
pub mod container;
pub mod contents;
pub mod credentials_file;
pub mod external;
pub mod protocol;
pub mod registry;
pub mod tokens;
pub mod verified;
pub mod warrant;
