//! Thousands of jobs in one container.

use std::thread;
use std::time::Instant;

use super::support::need;
use super::support::session::Session;
use super::support::tool::Engine;
use super::support::world::User;
use super::{alone, rounds, survey};

/// So many at once.
const AT_ONCE: usize = 4;

/// Descriptors, threads, memory and dead children of the front end and of the agent's processes, once all is quiet.
fn quiet(session: &Session) -> Vec<(&'static str, usize, survey::Holds, usize)> {
    let agents = survey::settled(&session.world.home);
    let front_end = survey::holds(session.front_end()).expect("a front end");
    let mut all = vec![("front end", 1, front_end, survey::zombies(session.front_end()))];
    // The first processes of jobs to come have what they speak by and no more: who holds most is the agent.
    let agents: Vec<_> = agents.iter().filter_map(|pid| Some((*pid, survey::holds(*pid)?))).collect();
    let (pid, holds) = *agents.iter().max_by_key(|(_, holds)| holds.descriptors).expect("an agent");
    all.push(("agent", agents.len(), holds, survey::zombies(pid)));
    all
}

/// Starts jobs, some at once; the median of their microseconds.
fn run(session: &Session, number: usize) -> u128 {
    session.enter();
    let job = session.runner("/bin/true");
    let one = |_| {
        let started = Instant::now();
        assert!(job().status().expect("a wrapper").success());
        started.elapsed().as_micros()
    };
    let some = || (0..number / AT_ONCE).map(one).collect::<Vec<_>>();
    let mut took: Vec<u128> = thread::scope(|scope| {
        let threads: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(some)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("a thread")).collect()
    });
    took.sort_unstable();
    took[took.len() / 2]
}

#[test]
fn jobs_leave_nothing() {
    let _turn = alone();
    let Some(user) = need(User::root()) else { return };
    for engine in Engine::ALL {
        let Some(session) = need(Session::open(&format!("soak-jobs-{engine}"), &user, engine)) else {
            continue;
        };
        // Threads and memory for so many at once are made, and kept.
        run(&session, 200);
        let before = quiet(&session);
        let total = rounds(400, 10_000);
        let part = total / 10;
        let medians: Vec<u128> = (0..10).map(|_| run(&session, part)).collect();
        println!("{engine}: {total} jobs, microseconds by tenths, {AT_ONCE} at once: {medians:?}");
        let after = quiet(&session);
        println!("{engine}: before {before:?}\n{engine}: after {after:?}");
        for ((what, processes, before, _), (_, now, after, dead)) in before.iter().zip(&after) {
            assert_eq!(*dead, 0, "{engine}: dead children of the {what}");
            // There may be one more spare: an init, its child, and three descriptors to speak with them.
            assert!(*now <= processes + 2, "{engine}: processes of the {what}");
            assert!(after.descriptors <= before.descriptors + 3, "{engine}: descriptors of the {what}");
            assert!(after.threads <= before.threads, "{engine}: threads of the {what}");
            assert!(after.anonymous <= before.anonymous + 1024, "{engine}: memory of the {what}");
        }
    }
}
