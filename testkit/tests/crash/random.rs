//! Random faults in a random workload.

use common::crash::Point;
use testkit::Flavor;
use testkit::workload::{Random, seed};

use crate::faults::{Fault, needs_mixed_engines, points, settle, shuffle};
use crate::is_long;
use crate::site::{Site, Who};

/// Faults of one run; there are two.
const FAULTS: usize = 110;
const FAULTS_LONG: usize = 1050;

/// Faults between two comparisons, besides those at named places.
const PHASE: usize = 10;

#[test]
fn nothing_is_lost_or_doubled_whatever_breaks_on_mariadb_10_11() {
    nothing_is_lost_or_doubled_whatever_breaks(Flavor::MariaDb1011);
}

#[test]
fn nothing_is_lost_or_doubled_whatever_breaks_on_mysql_9_7() {
    nothing_is_lost_or_doubled_whatever_breaks(Flavor::Mysql97);
}

fn nothing_is_lost_or_doubled_whatever_breaks(flavor: Flavor) {
    let seed = seed();
    let mut random = Random::new(seed);
    let mut site = Site::start(flavor, seed);
    let mixes_engines = flavor == Flavor::MariaDb1011;
    let faults = if is_long() { FAULTS_LONG } else { FAULTS };
    while site.tally.count() < faults {
        for who in [Who::Miner, Who::Loader] {
            let mut points = points(who, mixes_engines, &mut random);
            shuffle(&mut points, &mut random);
            let runner = site.runner(who);
            runner.queue.extend(points);
        }
        let mut others = Fault::all();
        shuffle(&mut others, &mut random);
        for others in others.chunks(PHASE) {
            for other in others {
                eprintln!("{:8.1} s {other:?}", site.elapsed());
                other.inject(&mut site);
                site.wait_recovered();
            }
            site.compare();
        }
        settle(&mut site);
        eprintln!("{:8.1} s {}", site.elapsed(), site.tally.summary());
    }
    site.compare();
    site.stop();
    for point in Point::ALL {
        let reached = site.tally.kind_count(&format!("at {}", point.name())) > 0;
        let exists = mixes_engines || !needs_mixed_engines(*point);
        assert_eq!(reached, exists, "{}", point.name());
    }
    site.tally
        .print(&format!("crash suite on {flavor}, seed {seed}"));
}
