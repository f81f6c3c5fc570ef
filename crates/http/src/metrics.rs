//! Figures of what was served, and their form for Prometheus (text format 0.0.4).
//!
//! Labels are of closed sets, so that no client can make the table grow.

use http::{Method, StatusCode};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

/// Upper ends of the histogram's buckets, in seconds.
const BUCKETS: [f64; 12] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0,
];

/// The methods that have a label of their own.
const METHODS: [&str; 9] = [
    "GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "OPTIONS", "COPY", "MOVE",
];

/// What a handler says an answer belongs to, in the answer's extensions: a dialect, say. Of a closed
/// set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label(pub &'static str);

/// A figure of somebody else to be shown with these.
#[derive(Clone, Debug)]
pub struct Figure {
    /// Its name.
    pub name: &'static str,
    /// What it says.
    pub help: &'static str,
    /// Whether it only ever grows.
    pub counter: bool,
    /// Its value.
    pub value: f64,
}

#[derive(Default)]
struct Histogram {
    buckets: [u64; BUCKETS.len()],
    count: u64,
    seconds: f64,
}

/// What was served since the start.
#[derive(Default)]
pub struct Metrics {
    requests: Mutex<BTreeMap<(&'static str, &'static str, u16), u64>>,
    durations: Mutex<BTreeMap<&'static str, Histogram>>,
    sent: AtomicU64,
    refused: AtomicU64,
    overloaded: AtomicU64,
    broken: AtomicU64,
    in_flight: AtomicI64,
    connections: AtomicI64,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

/// Counts down when it is dropped.
pub(crate) struct Counted<'a>(&'a AtomicI64);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One request that has ended.
pub(crate) struct Ended<'a> {
    pub(crate) label: &'static str,
    pub(crate) method: &'a Method,
    pub(crate) status: StatusCode,
    pub(crate) sent: u64,
    pub(crate) took: Duration,
    pub(crate) whole: bool,
}

impl Metrics {
    pub(crate) fn connection(&self) -> Counted<'_> {
        self.connections.fetch_add(1, Ordering::Relaxed);
        Counted(&self.connections)
    }

    pub(crate) fn began(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    /// A request was refused before it had a meaning.
    pub(crate) fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// A request or a connection was one too many.
    pub(crate) fn overloaded(&self) {
        self.overloaded.fetch_add(1, Ordering::Relaxed);
    }

    /// A request's client went away before its answer.
    pub(crate) fn given_up(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.broken.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn ended(&self, ended: &Ended<'_>) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.sent.fetch_add(ended.sent, Ordering::Relaxed);
        if !ended.whole {
            self.broken.fetch_add(1, Ordering::Relaxed);
        }
        let method = METHODS
            .into_iter()
            .find(|known| *known == ended.method.as_str());
        let key = (
            ended.label,
            method.unwrap_or("other"),
            ended.status.as_u16(),
        );
        *self.requests.lock().entry(key).or_default() += 1;
        let seconds = ended.took.as_secs_f64();
        let mut durations = self.durations.lock();
        let histogram = durations.entry(ended.label).or_default();
        histogram.count += 1;
        histogram.seconds += seconds;
        for (bucket, end) in histogram.buckets.iter_mut().zip(BUCKETS) {
            *bucket += u64::from(seconds <= end);
        }
    }

    /// All figures, and `more`, as text.
    pub fn render(&self, more: &[Figure]) -> String {
        let mut text = String::new();
        let number = |value: &AtomicU64| value.load(Ordering::Relaxed) as f64;
        let gauge = |value: &AtomicI64| value.load(Ordering::Relaxed) as f64;
        let figure = |name, help, counter, value| Figure {
            name,
            help,
            counter,
            value,
        };
        let own = [
            figure(
                "http_sent_bytes_total",
                "Bytes of answers' bodies",
                true,
                number(&self.sent),
            ),
            figure(
                "http_refused_total",
                "Requests refused for their framing",
                true,
                number(&self.refused),
            ),
            figure(
                "http_overloaded_total",
                "Requests and connections that were too many",
                true,
                number(&self.overloaded),
            ),
            figure(
                "http_broken_answers_total",
                "Answers that broke off",
                true,
                number(&self.broken),
            ),
            figure(
                "http_requests_in_flight",
                "Requests being answered",
                false,
                gauge(&self.in_flight),
            ),
            figure(
                "http_connections",
                "Open connections",
                false,
                gauge(&self.connections),
            ),
        ];
        // Writing to a String cannot fail.
        for Figure {
            name,
            help,
            counter,
            value,
        } in own.iter().chain(more)
        {
            let kind = if *counter { "counter" } else { "gauge" };
            let _written = writeln!(
                text,
                "# HELP trestle_{name} {help}\n# TYPE trestle_{name} {kind}\ntrestle_{name} {value}"
            );
        }
        text.push_str("# HELP trestle_http_requests_total Answered requests\n# TYPE trestle_http_requests_total counter\n");
        for ((label, method, status), count) in &*self.requests.lock() {
            let _written = writeln!(
                text,
                "trestle_http_requests_total{{part=\"{label}\",method=\"{method}\",status=\"{status}\"}} {count}"
            );
        }
        text.push_str("# HELP trestle_http_request_seconds From a request's head to the end of its answer\n# TYPE trestle_http_request_seconds histogram\n");
        for (label, histogram) in &*self.durations.lock() {
            for (count, end) in histogram.buckets.iter().zip(BUCKETS) {
                let _written = writeln!(
                    text,
                    "trestle_http_request_seconds_bucket{{part=\"{label}\",le=\"{end}\"}} {count}"
                );
            }
            let Histogram { count, seconds, .. } = histogram;
            let _written = writeln!(
                text,
                "trestle_http_request_seconds_bucket{{part=\"{label}\",le=\"+Inf\"}} {count}\ntrestle_http_request_seconds_sum{{part=\"{label}\"}} {seconds}\ntrestle_http_request_seconds_count{{part=\"{label}\"}} {count}"
            );
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_rendered_as_text() {
        let metrics = Metrics::default();
        metrics.began();
        let method = Method::from_bytes(b"BREW").unwrap();
        metrics.ended(&Ended {
            label: "rest",
            method: &method,
            status: StatusCode::OK,
            sent: 5,
            took: Duration::from_millis(20),
            whole: false,
        });
        let _open = metrics.connection();
        let more = Figure {
            name: "store_objects",
            help: "Objects",
            counter: false,
            value: 7.0,
        };
        let text = metrics.render(&[more]);
        for line in [
            "trestle_http_requests_total{part=\"rest\",method=\"other\",status=\"200\"} 1",
            "trestle_http_request_seconds_bucket{part=\"rest\",le=\"0.01\"} 0",
            "trestle_http_request_seconds_bucket{part=\"rest\",le=\"0.025\"} 1",
            "trestle_http_request_seconds_count{part=\"rest\"} 1",
            "trestle_http_sent_bytes_total 5",
            "trestle_http_broken_answers_total 1",
            "trestle_http_requests_in_flight 0",
            "trestle_http_connections 1",
            "# TYPE trestle_store_objects gauge",
            "trestle_store_objects 7",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }
}
