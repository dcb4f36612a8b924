//! `test-registry DIRECTORY [auth-required]`: a registry on a free port of loopback, whose accounts, index and crates
//! are in `DIRECTORY`. Says its port and the tokens of the accounts `alice` and `bob`, a line each, and serves until it is
//! killed.

use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use axum::http::{Method, Request, Response, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::IntoResponse as _;
use freighter_api_types::index::IndexProvider as _;
use freighter_auth::AuthProvider as _;
use freighter_auth::fs_backend::{Config, FsAuthProvider};
use freighter_fs_index::FsIndexProvider;
use freighter_server::ServiceConfig;
use freighter_storage::fs::FsStorageProvider;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().expect("a directory");
    let auth_required = arguments.next().as_deref() == Some("auth-required");
    let below = |name: &str| Path::new(&directory).join(name);

    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    let auth = Config { auth_path: below("accounts"), auth_tokens_pepper: [7; 18] };
    let auth = FsAuthProvider::new(auth).expect("accounts");
    let mut words = vec![address.port().to_string()];
    for account in ["alice", "bob"] {
        words.push(auth.register(account).await.expect("an account"));
    }
    let index = FsIndexProvider::new(freighter_fs_index::Config::Path(below("index"))).expect("an index");
    let storage = FsStorageProvider::new(below("crates")).expect("a place for crates");
    let config = ServiceConfig {
        address,
        download_endpoint: format!("http://{address}/downloads/{{crate}}/{{version}}"),
        api_endpoint: format!("http://{address}"),
        metrics_address: address,
        allow_registration: false,
        auth_required,
    };
    index.healthcheck().await.expect("an index");
    let hold = below("hold");
    let service = freighter_server::router(config, index, storage, auth)
        .layer(from_fn(move |request, next| answer(request, next, hold.clone())));
    println!("{}", words.join("\n"));
    std::io::stdout().flush().expect("standard output");
    axum::Server::from_tcp(listener)
        .expect("a listener")
        .serve(service.into_make_service())
        .await
        .expect("a server");
}

/// cargo wants an answer in JSON where freighter gives none, and the registry's own words in JSON.
///
/// While there is a file `hold`, no upload is answered, though it is taken.
async fn answer(request: Request<Body>, next: Next<Body>, hold: PathBuf) -> axum::response::Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    println!("{method} {path}");
    let response = next.run(request).await;
    while method == Method::PUT && path == "/api/v1/crates/new" && hold.exists() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    if !path.starts_with("/api/v1/") {
        return response;
    }
    let (parts, mut body) = response.into_parts();
    let mut content = Vec::new();
    while let Some(part) = body.data().await {
        content.extend_from_slice(&part.unwrap_or_default());
    }
    let said = String::from_utf8_lossy(&content);
    if parts.status == StatusCode::OK {
        let empty = match (&method, content.is_empty()) {
            (_, false) => return Response::from_parts(parts, Body::from(content)).into_response(),
            (&Method::GET, true) => r#"{"users":[]}"#,
            _ => r#"{"ok":true,"msg":"done"}"#,
        };
        return (StatusCode::OK, empty).into_response();
    }
    let quoted = said.replace(['"', '\\', '\n'], " ");
    (parts.status, format!(r#"{{"errors":[{{"detail":"{quoted}"}}]}}"#)).into_response()
}
