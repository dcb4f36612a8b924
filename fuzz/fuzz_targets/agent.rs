//! What the broker and the agent send to each other, records of jobs included: a message that is accepted is one that
//! could be sent.
#![no_main]

use cargo_sandbox::agent::observe::event;
use cargo_sandbox::agent::protocol::{Greeting, Reply, Request, encode, read_message};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(request) = read_message::<Request>(&mut &*bytes) {
        let sent = encode(&request).expect("no longer than it came");
        assert_eq!(read_message::<Request>(&mut sent.as_slice()).expect("what was sent"), request);
    }
    if let Ok(reply) = read_message::<Reply>(&mut &*bytes) {
        let sent = encode(&reply).expect("no longer than it came");
        assert_eq!(read_message::<Reply>(&mut sent.as_slice()).expect("what was sent"), reply);
    }
    let _ = read_message::<Greeting>(&mut &*bytes);
    // What an init has written of a job: as many events as there are, whatever comes behind them.
    assert!(event::read(bytes).len() <= bytes.len());
});
