//! The values that labels can have: few and fixed, so that a counter is an index and no visitor can add a series.

/// A closed set of label values.
pub(crate) trait Label: Copy + 'static {
    const ALL: &'static [Self];

    /// Where it stands in [`Label::ALL`].
    fn index(self) -> usize;

    fn text(self) -> &'static str;
}

macro_rules! labels {
    ($($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident => $text:literal,)+ })+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum $name { $($(#[$variant_doc])* $variant,)+ }

        impl Label for $name {
            const ALL: &'static [Self] = &[$(Self::$variant),+];

            fn index(self) -> usize {
                self as usize
            }

            fn text(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }
    )+};
}

labels! {
    /// Where the body of an answer came from.
    CacheResult {
        /// No file was needed: redirects, 304, HEAD, pages of the platform.
        None => "none",
        /// The store was asked, whatever came of it.
        Origin => "origin",
        #[allow(dead_code, reason = "for a cache of bodies")]
        Hit => "hit",
        #[allow(dead_code, reason = "for a cache of bodies")]
        Stale => "stale",
    }

    MethodClass {
        Get => "get",
        Head => "head",
        Other => "other",
    }

    /// Why what the store has did not reach a visitor.
    OriginFault {
        /// No connection: refused, no address, TLS.
        Connect => "connect",
        Timeout => "timeout",
        /// The connection broke before the answer was whole.
        Broken => "broken",
        /// 5xx, and 403 for a key that does not fit.
        Status => "status",
        /// It does not have what the manifest names.
        Missing => "missing",
        /// Another size, range or content than was deployed.
        Content => "content",
        /// Our own mistake.
        Internal => "internal",
    }

    /// Whose fault it is that an answer ended early.
    CutBy {
        Client => "client",
        Store => "store",
    }

    /// How a hostname was found.
    Resolved {
        Fresh => "fresh",
        /// Served, and checked in the background.
        Expired => "expired",
        /// An event overtook it: checked first.
        Invalidated => "invalidated",
        /// Known to be nobody's.
        Unknown => "unknown",
        /// Nothing known: the api was asked.
        Miss => "miss",
    }

    /// What the api said of a hostname.
    RouteAnswer {
        Found => "found",
        Unknown => "unknown",
        Failed => "failed",
    }

    ManifestRead {
        Found => "found",
        Missing => "missing",
        Failed => "failed",
    }

    /// What was found in a folder that an edge keeps on disk.
    DiskRead {
        Found => "found",
        Missing => "missing",
        /// Not what it should be: removed.
        Damaged => "damaged",
        /// It took too long.
        Slow => "slow",
        Failed => "failed",
    }

    DiskWrite {
        Written => "written",
        /// Too much was waiting, or a purge came first.
        Dropped => "dropped",
        Failed => "failed",
    }

    Listener {
        Http => "http",
        Https => "https",
    }

    HandshakeFailure {
        Refused => "refused",
        /// There is none for the name that was asked for.
        NoCertificate => "no_certificate",
        Timeout => "timeout",
    }

    /// What became of a line of the access log.
    LogLine {
        Written => "written",
        /// The queue was full.
        Dropped => "dropped",
        /// The file could not be written.
        Failed => "failed",
    }
}

/// Every status that an edge answers with by itself; all others count as `other`.
pub(crate) const STATUSES: [&str; 28] = [
    "200", "204", "206", "301", "302", "303", "304", "307", "308", "400", "401", "403", "404", "405", "408",
    "410", "413", "414", "416", "421", "429", "431", "451", "500", "502", "503", "none", "other",
];

/// Where a status stands in [`STATUSES`]; `None` is a client that left before anything was sent.
pub(crate) fn status_index(status: Option<u16>) -> usize {
    match status {
        Some(200) => 0,
        Some(204) => 1,
        Some(206) => 2,
        Some(301) => 3,
        Some(302) => 4,
        Some(303) => 5,
        Some(304) => 6,
        Some(307) => 7,
        Some(308) => 8,
        Some(400) => 9,
        Some(401) => 10,
        Some(403) => 11,
        Some(404) => 12,
        Some(405) => 13,
        Some(408) => 14,
        Some(410) => 15,
        Some(413) => 16,
        Some(414) => 17,
        Some(416) => 18,
        Some(421) => 19,
        Some(429) => 20,
        Some(431) => 21,
        Some(451) => 22,
        Some(500) => 23,
        Some(502) => 24,
        Some(503) => 25,
        None => 26,
        Some(_) => 27,
    }
}

impl MethodClass {
    pub(crate) fn of(method: &http::Method) -> Self {
        match *method {
            http::Method::GET => Self::Get,
            http::Method::HEAD => Self::Head,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_counted_under_its_own_name() {
        for (index, text) in STATUSES.iter().enumerate() {
            match text.parse() {
                Ok(status) => assert_eq!(status_index(Some(status)), index, "{status}"),
                Err(_) => assert_eq!(status_index((*text == "other").then_some(999)), index, "{text}"),
            }
        }
    }

    #[test]
    fn a_label_stands_where_its_index_says() {
        for (index, fault) in OriginFault::ALL.iter().enumerate() {
            assert_eq!(fault.index(), index);
        }
    }
}
