//! What recording the issued tokens costs: the same sessions refreshed by two servers on one database, which differ in that.

use std::path::Path;

use crate::measure::{self, Figures, Subject};
use crate::{Options, data, drive};

pub async fn run(url: &str, folder: &Path, options: &Options) {
    let mut plain = Subject::server(url, folder).await;
    let [sessions, _] = data::seed(&plain.url, url, options.users, options.clients).await;
    let mut recording = Subject::recording(url, folder).await;
    println!(
        "{} clients, {} refreshes a round, {} rounds each, alternating, {} users",
        options.clients, options.refreshes, options.rounds, options.users
    );
    println!();
    println!("{}", measure::HEADER);
    for subject in [&plain, &recording] {
        drive::round(subject, &sessions, options.refreshes / 10).await;
    }
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for _ in 0..options.rounds {
        for (subject, kept) in [(&plain, &mut without), (&recording, &mut with)] {
            let figures = drive::round(subject, &sessions, options.refreshes).await;
            println!("{figures}");
            kept.push(figures);
        }
    }
    println!();
    let ratio = |of: fn(&Figures) -> f64| measure::median(&with, of) / measure::median(&without, of);
    println!("CPU, recording / not:        {:.2}", ratio(|figures| figures.cpu));
    println!("throughput, recording / not: {:.2}", ratio(|figures| figures.rate));
    println!("p50, recording / not:        {:.2}", ratio(|figures| figures.p50));
    plain.stop().await;
    recording.stop().await;
}
