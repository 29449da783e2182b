# A Varnish in front of Loggia's edges. It keeps pages for as long as the edge says (a year), because the api tells it
# what to forget. docs/OPERATIONS.md, «A CDN in front», says how both sides are set up; a test runs this very file.
#
# For Varnish 7 with its xkey module (Debian: varnish, varnish-modules). Start varnishd with `-p http_gzip_support=off`:
# the edge has brotli, zstd and gzip forms of every text already, and Varnish would ask for gzip only.

vcl 4.1;

import purge;
import std;
import xkey;

# The edge, or the load balancer before several.
backend edge {
    .host = "127.0.0.1";
    .port = "8080";
    .probe = {
        .url = "/.loggia/health";
        .interval = 1s;
        .timeout = 1s;
        .window = 3;
        .threshold = 2;
        .initial = 2;
    }
}

# The apis: who else may purge may slow everybody down.
acl apis {
    "127.0.0.1";
    "::1";
}

sub vcl_recv {
    if (req.method == "PURGE") {
        if (client.ip !~ apis) {
            return (synth(403, "Only the api purges"));
        }
        # LOGGIA_CDN_VARNISH_HEADER and LOGGIA_CDN_VARNISH_SOFT_HEADER name these two.
        if (req.http.xkey-purge) {
            set req.http.forgotten = xkey.purge(req.http.xkey-purge);
            return (synth(200, "Purged " + req.http.forgotten));
        }
        if (req.http.xkey-softpurge) {
            set req.http.forgotten = xkey.softpurge(req.http.xkey-softpurge);
            return (synth(200, "Stale " + req.http.forgotten));
        }
        # One address, in every coding: vcl_hit and vcl_miss do it.
        return (hash);
    }

    # While the edge is well, a stale page is served for a minute at most (stale-while-revalidate), else for a week
    # (stale-if-error).
    if (std.healthy(req.backend_hint)) {
        set req.grace = 60s;
    }

    # One stored form for each coding instead of one for each browser's way to ask.
    if (req.http.Accept-Encoding ~ "(?i)\bbr\b") {
        set req.http.Accept-Encoding = "br";
    } else if (req.http.Accept-Encoding ~ "(?i)\bzstd\b") {
        set req.http.Accept-Encoding = "zstd";
    } else if (req.http.Accept-Encoding ~ "(?i)\bgzip\b") {
        set req.http.Accept-Encoding = "gzip";
    } else {
        unset req.http.Accept-Encoding;
    }

    # What follows is Varnish's own: requests with cookies or passwords go to the edge. If no site of yours has rules
    # with `Cookie=`, cookies change nothing, and this makes such requests hits:
    # unset req.http.Cookie;
}

# A page is the same whatever the port and the case of the hostname.
sub vcl_hash {
    hash_data(req.url);
    hash_data(regsub(std.tolower(req.http.Host), ":[0-9]+$", ""));
    return (lookup);
}

sub vcl_hit {
    if (req.method == "PURGE") {
        call forget;
    }
}

sub vcl_miss {
    if (req.method == "PURGE") {
        call forget;
    }
}

sub forget {
    if (req.http.Soft-Purge) {
        set req.http.forgotten = purge.soft(0s);
    } else {
        set req.http.forgotten = purge.hard();
    }
    return (synth(200, "Purged " + req.http.forgotten));
}

sub vcl_backend_response {
    # The edge says with Surrogate-Control what may be kept here; all else stays with browsers.
    if (beresp.http.Surrogate-Control ~ "max-age=\d+") {
        set beresp.http.xkey = beresp.http.Surrogate-Key;
        set beresp.ttl = std.duration(
            regsub(beresp.http.Surrogate-Control, "^.*max-age=(\d+).*$", "\1s"), 0s);
        # stale-if-error; `req.grace` above makes it a minute while the edge is well.
        set beresp.grace = 7d;
    } else {
        set beresp.uncacheable = true;
        set beresp.ttl = 120s;
        return (deliver);
    }
}

sub vcl_deliver {
    # Between the edge and its CDN only.
    unset resp.http.xkey;
    unset resp.http.Surrogate-Key;
    unset resp.http.Surrogate-Control;
    unset resp.http.CDN-Cache-Control;
    set resp.http.X-CDN-Cache = "MISS";
    if (obj.hits > 0) {
        set resp.http.X-CDN-Cache = "HIT";
    }
}
