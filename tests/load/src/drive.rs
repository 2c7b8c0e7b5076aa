//! Clients: each refreshes a session of its own, with the token that the refresh before gave it; or each loads a page.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reqwest::Client;
use serde_json::Value;
use tokio::task::JoinSet;

use crate::measure::{Figures, Subject};

/// The clients' sessions at one server: one refresh token each.
pub struct Sessions {
    pub application: String,
    pub tokens: Vec<Mutex<String>>,
}

/// A sign-in page that waits for its user.
pub struct Page {
    pub url: String,
    pub cookie: String,
}

/// What clients do, over and over.
enum Work {
    Refresh { url: String, sessions: Arc<Sessions> },
    Load(Page),
}

/// How fast clients go.
enum Pace {
    /// As fast as they are answered, so many times in all.
    Full { left: AtomicUsize },
    /// Together at a steady rate. Latency counts from when a turn was due, so that waiting is not hidden.
    Steady { start: Instant, rate: f64, turns: usize },
}

pub async fn round(subject: &Subject, sessions: &Arc<Sessions>, refreshes: usize) -> Figures {
    refreshed(subject, sessions, Pace::Full { left: AtomicUsize::new(refreshes) }).await
}

pub async fn paced(subject: &Subject, sessions: &Arc<Sessions>, rate: f64, refreshes: usize) -> Figures {
    refreshed(subject, sessions, Pace::Steady { start: Instant::now(), rate, turns: refreshes }).await
}

/// Loads a page so many times.
pub async fn pages(subject: &Subject, page: Page, clients: usize, loads: usize) -> Figures {
    measured(subject, clients, Work::Load(page), Pace::Full { left: AtomicUsize::new(loads) }).await
}

async fn refreshed(subject: &Subject, sessions: &Arc<Sessions>, pace: Pace) -> Figures {
    let work = Work::Refresh { url: format!("{}/oauth2/token", subject.url), sessions: sessions.clone() };
    measured(subject, sessions.tokens.len(), work, pace).await
}

async fn measured(subject: &Subject, clients: usize, work: Work, pace: Pace) -> Figures {
    let client = Client::builder().pool_max_idle_per_host(clients).build().expect("a client");
    let (work, pace) = (Arc::new(work), Arc::new(pace));
    let (cpu, started) = (subject.cpu(), Instant::now());
    let mut running = JoinSet::new();
    for number in 0..clients {
        let (client, work, pace) = (client.clone(), work.clone(), pace.clone());
        running.spawn(async move {
            let mut latencies = Vec::new();
            match &*pace {
                Pace::Full { left } => {
                    while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
                        let due = Instant::now();
                        work.turn(&client, number).await;
                        latencies.push(due.elapsed().as_secs_f64() * 1e3);
                    }
                }
                Pace::Steady { start, rate, turns } => {
                    for turn in (number..*turns).step_by(clients) {
                        let due = *start + Duration::from_secs_f64(turn as f64 / rate);
                        tokio::time::sleep_until(due.into()).await;
                        work.turn(&client, number).await;
                        latencies.push(due.elapsed().as_secs_f64() * 1e3);
                    }
                }
            }
            latencies
        });
    }
    let mut latencies: Vec<f64> = running.join_all().await.into_iter().flatten().collect();
    let (took, cpu) = (started.elapsed().as_secs_f64(), subject.cpu() - cpu);
    latencies.sort_by(f64::total_cmp);
    let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize];
    Figures {
        name: subject.name,
        rate: latencies.len() as f64 / took,
        p50: at(0.5),
        p99: at(0.99),
        cpu: cpu * 10_000.0 / latencies.len() as f64,
        resident: subject.resident(),
    }
}

impl Work {
    /// One turn of a client.
    async fn turn(&self, client: &Client, number: usize) {
        match self {
            Self::Refresh { url, sessions } => refresh(client, url, sessions, number).await,
            Self::Load(page) => {
                let response = client.get(&page.url).header("cookie", &page.cookie).send().await.expect("an answer");
                let (status, text) = (response.status(), response.text().await.expect("a page"));
                assert!(status.is_success() && text.contains("<form"), "{}: {status} {text}", page.url);
            }
        }
    }
}

async fn refresh(client: &Client, url: &str, sessions: &Sessions, number: usize) {
    let token = sessions.tokens[number].lock().expect("a token").clone();
    let form = HashMap::from([
        ("grant_type", "refresh_token"),
        ("client_id", sessions.application.as_str()),
        ("refresh_token", token.as_str()),
    ]);
    let response = client.post(url).form(&form).send().await.expect("an answer");
    let status = response.status();
    let bytes = response.bytes().await.expect("a body");
    assert!(status.is_success(), "{url}: {status} {}", String::from_utf8_lossy(&bytes));
    let body: Value = serde_json::from_slice(&bytes).expect("JSON");
    assert_eq!(body["feature_flags"].as_object().map(|flags| flags.len()), Some(30), "thirty flags in each token");
    *sessions.tokens[number].lock().expect("a token") = body["refresh_token"].as_str().expect("a refresh token").to_owned();
}
