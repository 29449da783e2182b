//! The metrics as text, in the OpenMetrics format 1.0 that Prometheus reads.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::cells::BOUNDS_US;
use super::{
    CacheResult, Counters, Histogram, Hot, Label, Listener, MethodClass, Metrics, Resolved, STATUSES,
    status_index,
};

pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What is not counted but looked at when somebody asks.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Gauges {
    pub(crate) routes: u64,
    pub(crate) routes_unsaved: u64,
    pub(crate) manifests: u64,
    pub(crate) manifests_bytes: u64,
    pub(crate) bodies: u64,
    pub(crate) bodies_bytes: u64,
    pub(crate) bodies_bytes_max: u64,
    pub(crate) answers: u64,
    pub(crate) answers_bytes: u64,
    pub(crate) is_ready: bool,
}

pub(crate) fn text(metrics: &Arc<Metrics>, gauges: Gauges) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Exposition { metrics: Arc::clone(metrics), gauges }));
    let mut text = String::with_capacity(16 * 1024);
    prometheus_client::encoding::text::encode(&mut text, &registry)?;
    Ok(text)
}

#[derive(Debug)]
struct Exposition {
    metrics: Arc<Metrics>,
    gauges: Gauges,
}

/// Counters that appear with their first request cannot be seen rising from nothing, and alerts are about these:
/// they are there from the start.
fn is_always_shown(status: usize, method: MethodClass, cache: CacheResult) -> bool {
    let is_watched = [200, 500, 503].into_iter().any(|watched| status_index(Some(watched)) == status);
    is_watched && method == MethodClass::Get && matches!(cache, CacheResult::None | CacheResult::Origin)
}

impl Collector for Exposition {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut out = Writer(encoder);
        self.requests(&mut out)?;
        self.origin(&mut out)?;
        self.lookups(&mut out)?;
        self.disks(&mut out)?;
        self.connections(&mut out)?;
        self.process(&mut out)
    }
}

impl Exposition {
    fn requests(&self, out: &mut Writer<'_>) -> fmt::Result {
        let hot = &self.metrics.hot;
        let mut family =
            out.family("loggia_proxy_requests", "Requests answered, refused or cut", MetricType::Counter)?;
        for (status, code) in STATUSES.iter().enumerate() {
            for &method in MethodClass::ALL {
                for &cache in CacheResult::ALL {
                    let n = hot.sum(|hot| &hot.requests[status][method.index()][cache.index()]);
                    if n == 0 && !is_always_shown(status, method, cache) {
                        continue;
                    }
                    let labels = [("status", *code), ("method", method.text()), ("cache", cache.text())];
                    family.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&n, None)?;
                }
            }
        }
        out.counter("loggia_proxy_sent_bytes", "Bytes of bodies sent", hot.sum(|hot| &hot.sent_bytes))?;
        let help = "Time from the head of a request to the end of its answer";
        let mut family = out.family("loggia_proxy_request_duration_seconds", help, MetricType::Histogram)?;
        for &cache in CacheResult::ALL {
            let labels = [("cache", cache.text())];
            self.histogram(family.encode_family(&labels)?, |hot| &hot.durations[cache.index()])?;
        }
        out.counters(
            "loggia_proxy_answers_cut",
            "Answers that ended before they were whole",
            "by",
            &self.metrics.answers_cut,
        )
    }

    fn origin(&self, out: &mut Writer<'_>) -> fmt::Result {
        let help = "Time until the head of the store's answer, with connecting";
        let family = out.family("loggia_proxy_origin_head_duration_seconds", help, MetricType::Histogram)?;
        self.histogram(family, |hot| &hot.origin_head)?;
        out.counters(
            "loggia_proxy_origin_faults",
            "Objects that the store did not give as deployed, after retries",
            "kind",
            &self.metrics.origin_faults,
        )
    }

    fn lookups(&self, out: &mut Writer<'_>) -> fmt::Result {
        let hot = &self.metrics.hot;
        let help = "How hostnames were found; a miss asks the api";
        let mut family = out.family("loggia_proxy_route_resolutions", help, MetricType::Counter)?;
        for &how in Resolved::ALL {
            let n = hot.sum(|hot| &hot.resolved[how.index()]);
            let labels = [("result", how.text())];
            family.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&n, None)?;
        }
        out.gauge("loggia_proxy_routes", "Routes in memory", self.gauges.routes)?;
        let help = "Changes of routes that could not be written to disk";
        out.counter("loggia_proxy_routes_unsaved", help, self.gauges.routes_unsaved)?;
        out.counters(
            "loggia_proxy_api_lookups",
            "Look-ups of hostnames at the api",
            "result",
            &self.metrics.route_answers,
        )?;
        out.gauge("loggia_proxy_manifests", "Manifests in memory", self.gauges.manifests)?;
        out.gauge("loggia_proxy_manifests_bytes", "Memory that manifests use", self.gauges.manifests_bytes)?;
        out.gauge("loggia_proxy_cache_files", "Files in memory", self.gauges.bodies)?;
        out.gauge("loggia_proxy_cache_bytes", "Memory that files use", self.gauges.bodies_bytes)?;
        let max = self.gauges.bodies_bytes_max;
        out.gauge("loggia_proxy_cache_max_bytes", "Memory that files may use", max)?;
        out.gauge("loggia_proxy_answers", "Whole answers in memory", self.gauges.answers)?;
        out.gauge(
            "loggia_proxy_answers_bytes",
            "Memory that answers use, without files",
            self.gauges.answers_bytes,
        )?;
        out.counters(
            "loggia_proxy_manifest_reads",
            "Manifests read from the store because they were not in memory",
            "result",
            &self.metrics.manifest_reads,
        )?;
        out.counter(
            "loggia_proxy_answers_outdated",
            "Answers by the deployment before, since the manifest of the present one could not be read",
            self.metrics.answers_outdated.load(Ordering::Relaxed),
        )?;
        let is_connected = self.metrics.events_connected.load(Ordering::Relaxed);
        let help = "1 while the api's event stream is followed";
        out.gauge("loggia_proxy_events_connected", help, u64::from(is_connected))?;
        let position = self.metrics.events_position.load(Ordering::Relaxed);
        out.gauge("loggia_proxy_events_position", "Position of the last event seen", position)
    }

    fn disks(&self, out: &mut Writer<'_>) -> fmt::Result {
        let disks = [("manifests", &self.metrics.disk_manifests), ("cache", &self.metrics.disk_bodies)];
        for (what, disk) in disks {
            let name = |end: &str| format!("loggia_proxy_{what}_disk_{end}");
            let gauges = [
                ("files", "Files that are kept on disk", &disk.files),
                ("bytes", "Disk that they use", &disk.bytes),
                ("max_bytes", "Disk that they may use; 0 when nothing is kept there", &disk.bytes_max),
            ];
            for (end, help, gauge) in gauges {
                out.gauge(&name(end), help, gauge.load(Ordering::Relaxed))?;
            }
            out.counters(&name("reads"), "Files looked for on disk", "result", &disk.reads)?;
            out.counters(&name("writes"), "Files for the disk", "result", &disk.writes)?;
        }
        Ok(())
    }

    fn connections(&self, out: &mut Writer<'_>) -> fmt::Result {
        let metrics = &self.metrics;
        let mut family =
            out.family("loggia_proxy_connections", "Open connections of clients", MetricType::Gauge)?;
        for &listener in Listener::ALL {
            let labels = [("listener", listener.text())];
            family.encode_family(&labels)?.encode_gauge(&metrics.connections.get(listener))?;
        }
        out.counters(
            "loggia_proxy_connections_accepted",
            "Connections of clients, with those that ended",
            "listener",
            &metrics.connections_accepted,
        )?;
        out.counters(
            "loggia_proxy_tls_handshake_failures",
            "TLS handshakes that failed",
            "reason",
            &metrics.handshake_failures,
        )?;
        let certificates = metrics.certificates.get();
        out.gauge("loggia_proxy_certificates", "Certificates in use", certificates.used)?;
        out.gauge(
            "loggia_proxy_certificates_faulty",
            "Pairs of certificate and key that cannot be used as they are",
            certificates.faulty,
        )?;
        if let Some(first_end) = certificates.first_end {
            let mut family = out.family(
                "loggia_proxy_certificates_first_end_seconds",
                "When the first of the certificates in use ends, as Unix time",
                MetricType::Gauge,
            )?;
            family.encode_gauge(&first_end)?;
        }
        let turned_away = &metrics.turned_away;
        for (name, help, counter) in [
            ("connections_refused", "Connections over a limit", &turned_away.connections_refused),
            ("requests_limited", "Requests answered with 429", &turned_away.requests_limited),
            ("requests_misdirected", "Requests answered with 421", &turned_away.requests_misdirected),
        ] {
            out.counter(&format!("loggia_proxy_{name}"), help, counter.load(Ordering::Relaxed))?;
        }
        Ok(())
    }

    fn process(&self, out: &mut Writer<'_>) -> fmt::Result {
        out.counters(
            "loggia_proxy_access_log_lines",
            "Lines for the access log",
            "result",
            &self.metrics.log_lines,
        )?;
        out.gauge("loggia_proxy_ready", "1 while /readyz answers 200", u64::from(self.gauges.is_ready))?;
        let since_epoch = self.metrics.started_at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let mut family =
            out.family("process_start_time_seconds", "Start of the edge, as Unix time", MetricType::Gauge)?;
        family.encode_gauge(&since_epoch.as_secs_f64())?;
        let mut family = out.family("loggia_proxy_build", "What is running", MetricType::Info)?;
        family.encode_info(&[("version", env!("CARGO_PKG_VERSION"))])
    }

    fn histogram(
        &self,
        mut encoder: MetricEncoder<'_>,
        of: impl for<'h> Fn(&'h Hot) -> &'h Histogram,
    ) -> fmt::Result {
        let bounds = BOUNDS_US.iter().map(|&us| std::time::Duration::from_micros(us).as_secs_f64());
        let buckets: Vec<(f64, u64)> = bounds
            .chain([f64::INFINITY])
            .enumerate()
            .map(|(index, bound)| (bound, self.metrics.hot.sum(|hot| &of(hot).buckets[index])))
            .collect();
        let count = buckets.iter().map(|(_, n)| n).sum();
        let sum = std::time::Duration::from_micros(self.metrics.hot.sum(|hot| &of(hot).sum_us)).as_secs_f64();
        encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }
}

/// The encoder, with less to say for each family.
struct Writer<'e>(DescriptorEncoder<'e>);

impl Writer<'_> {
    fn family<'s>(
        &'s mut self,
        name: &'s str,
        help: &str,
        kind: MetricType,
    ) -> Result<MetricEncoder<'s>, fmt::Error> {
        self.0.encode_descriptor(name, help, None, kind)
    }

    fn counter(&mut self, name: &str, help: &str, n: u64) -> fmt::Result {
        self.family(name, help, MetricType::Counter)?.encode_counter::<NoLabelSet, _, u64>(&n, None)
    }

    fn counters<L: Label>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        counters: &Counters<L>,
    ) -> fmt::Result {
        let mut family = self.family(name, help, MetricType::Counter)?;
        for &value in L::ALL {
            let labels = [(label, value.text())];
            family
                .encode_family(&labels)?
                .encode_counter::<NoLabelSet, _, u64>(&counters.get(value), None)?;
        }
        Ok(())
    }

    fn gauge(&mut self, name: &str, help: &str, n: u64) -> fmt::Result {
        self.family(name, help, MetricType::Gauge)?.encode_gauge(&n)
    }
}
