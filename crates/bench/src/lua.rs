//! Scripts for `wrk`: what it asks, and its results in a form that is meant for programs.

use serde::Deserialize;

use crate::contender::Ask;

/// Printed at the end, as the last line.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) struct Results {
    pub requests: f64,
    pub micros: f64,
    /// Connections that failed or timed out, and statuses from 400 on.
    pub errors: f64,
}

const DONE: &str = r#"
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    '\n{"requests":%d,"micros":%d,"errors":%d}\n',
    summary.requests, summary.duration, e.connect + e.read + e.write + e.timeout + e.status))
end
"#;

/// Requests are made once: while it measures, the script only hands them out.
pub(crate) fn script(asks: &[Ask]) -> String {
    let heads: Vec<String> = asks.iter().map(|ask| format!("  {},\n", quoted(&head(ask)))).collect();
    // Without a `request` of its own `wrk` sends what `wrk.format` said once, which costs it nothing each time.
    let next = match asks.len() {
        1 => "wrk.format = function() return heads[1] end",
        _ => "local at = 0\nrequest = function() at = at % #heads + 1 return heads[at] end",
    };
    format!("local heads = {{\n{}}}\n{next}\n{DONE}", heads.concat())
}

fn head(ask: &Ask) -> String {
    let fields: String = ask.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("GET {} HTTP/1.1\r\nHost: {}\r\n{fields}\r\n", ask.path, ask.host)
}

fn quoted(text: &str) -> String {
    let escape = |c: char| match c {
        '"' | '\\' => vec!['\\', c],
        '\r' => vec!['\\', 'r'],
        '\n' => vec!['\\', 'n'],
        c => vec![c],
    };
    format!("\"{}\"", text.chars().flat_map(escape).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_holds_whole_heads() {
        let ask = Ask::new("hot.localhost", "/a").with("If-None-Match", "\"x\"");
        let script = script(&[ask.clone(), ask]);
        let head = r#""GET /a HTTP/1.1\r\nHost: hot.localhost\r\nIf-None-Match: \"x\"\r\n\r\n","#;
        assert_eq!(script.matches(head).count(), 2, "{script}");
    }
}
