//! What a wrapper sends to the broker. A request that is accepted says what its bytes say, within the limits.
#![no_main]

use std::io::Write;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

use cargo_sandbox::broker::request::Request;
use cargo_sandbox::wire::{HEADER_LENGTH, Header, MAX_DESCRIPTORS, MAX_REQUEST, Reply};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Some(header) = bytes.first_chunk::<HEADER_LENGTH>()
        && let Ok(header) = Header::decode(header)
    {
        assert!(header.body() <= MAX_REQUEST as u64 && header.descriptor_count as usize <= MAX_DESCRIPTORS);
        assert_eq!(Header::decode(&header.encode()), Ok(header));
    }
    if let Some(reply) = bytes.first_chunk().and_then(|reply| Reply::decode(*reply)) {
        assert_eq!(Reply::decode(reply.encode()), Some(reply));
    }
    // A socket takes this much without a reader.
    let bytes = &bytes[..bytes.len().min(64 << 10)];
    let (mut wrapper, broker) = UnixStream::pair().expect("a pair of sockets");
    wrapper.write_all(bytes).expect("room for it");
    wrapper.shutdown(Shutdown::Write).expect("an end");
    if let Ok(request) = Request::receive(&broker) {
        let strings = request.argv.iter().chain(&request.env).map(|string| string.len() + 1).sum::<usize>();
        let paths = request.exe.as_os_str().len() + request.cwd.as_os_str().len();
        assert!(HEADER_LENGTH + strings + paths <= bytes.len());
        assert!(request.descriptors.is_empty(), "none were sent");
    }
});
