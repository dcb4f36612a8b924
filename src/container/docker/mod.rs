//! The `docker` engine: Docker or Podman by their socket.
