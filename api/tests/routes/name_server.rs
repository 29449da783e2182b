//! A name server in this process, whose records change while it runs, and which can be silent or slow.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use hickory_resolver::proto::op::{Message, OpCode, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, AAAA, CNAME, SOA, TXT};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use tokio::net::UdpSocket;
use tokio::sync::Semaphore;

pub(crate) struct NameServer {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    /// Type and name to values.
    records: Mutex<BTreeMap<(String, String), Vec<String>>>,
    mood: Mutex<Mood>,
    /// Answers that may leave while it is slow.
    let_through: Semaphore,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    Well,
    Silent,
    /// Answers every question with SERVFAIL.
    Broken,
    /// Keeps answers back until [`NameServer::release`].
    Slow,
}

const TTL_SECS: u32 = 300;

impl NameServer {
    pub(crate) async fn start() -> Self {
        let socket = Arc::new(UdpSocket::bind(("127.0.0.1", 0)).await.unwrap());
        let address = socket.local_addr().unwrap();
        let shared = Arc::new(Shared {
            records: Mutex::default(),
            mood: Mutex::new(Mood::Well),
            let_through: Semaphore::new(0),
        });
        tokio::spawn(serve(socket, Arc::clone(&shared)));
        Self { address, shared }
    }

    /// Replaces all records of a type at a name.
    pub(crate) fn set(&self, kind: &str, name: &str, values: &[&str]) {
        let key = (kind.to_owned(), name.to_owned());
        let mut records = self.shared.records.lock().unwrap();
        match values {
            [] => drop(records.remove(&key)),
            values => drop(records.insert(key, values.iter().map(|value| (*value).to_owned()).collect())),
        }
    }

    pub(crate) fn be(&self, mood: Mood) {
        *self.shared.mood.lock().unwrap() = mood;
    }

    /// Is well again, and sends what it kept back.
    pub(crate) fn release(&self) {
        self.be(Mood::Well);
        self.shared.let_through.add_permits(1000);
    }
}

async fn serve(socket: Arc<UdpSocket>, shared: Arc<Shared>) {
    let mut buffer = [0; 1500];
    while let Ok((len, from)) = socket.recv_from(&mut buffer).await {
        let Ok(question) = Message::from_vec(&buffer[..len]) else { continue };
        let (socket, shared) = (Arc::clone(&socket), Arc::clone(&shared));
        tokio::spawn(async move {
            let mood = *shared.mood.lock().unwrap();
            let answer = match mood {
                Mood::Silent => return,
                Mood::Broken => refuse(&question),
                Mood::Well => shared.answer(&question),
                Mood::Slow => {
                    let answer = shared.answer(&question);
                    shared.let_through.acquire().await.unwrap().forget();
                    answer
                }
            };
            socket.send_to(&answer.to_vec().unwrap(), from).await.unwrap();
        });
    }
}

fn refuse(question: &Message) -> Message {
    let mut answer = Message::response(question.metadata.id, OpCode::Query);
    answer.add_query(question.queries[0].clone());
    answer.metadata.response_code = ResponseCode::ServFail;
    answer
}

impl Shared {
    fn answer(&self, question: &Message) -> Message {
        let query = question.queries[0].clone();
        let name = query.name().to_ascii().trim_end_matches('.').to_ascii_lowercase();
        let mut answer = Message::response(question.metadata.id, OpCode::Query);
        answer.metadata.authoritative = true;
        answer.metadata.recursion_available = true;
        let records = self.records.lock().unwrap();
        answer.add_answers(resolve(&records, &name, query.query_type()));
        if answer.answers.is_empty() {
            let exists =
                records.keys().any(|(_, owner)| *owner == name || owner.ends_with(&format!(".{name}")));
            answer.metadata.response_code =
                if exists { ResponseCode::NoError } else { ResponseCode::NXDomain };
            // It says for how long «nothing» holds.
            answer.add_authority(record("example.com", soa()));
        }
        answer.add_query(query);
        answer
    }
}

type Records = BTreeMap<(String, String), Vec<String>>;

/// The records of a name, and what they are an alias of.
fn resolve(records: &Records, name: &str, kind: RecordType) -> Vec<Record> {
    let of = |kind: &str| records.get(&(kind.to_owned(), name.to_owned())).cloned().unwrap_or_default();
    let has_any = records.keys().any(|(_, owner)| owner == name);
    if !has_any && !name.starts_with("*.") {
        let wildcard = name.split_once('.').map(|(_, parent)| format!("*.{parent}"));
        let covering = wildcard.map(|wildcard| resolve(records, &wildcard, kind)).unwrap_or_default();
        return covering.into_iter().map(|found| rename(found, name)).collect();
    }
    let mut found: Vec<Record> =
        of(&kind.to_string()).iter().map(|value| record(name, parse(kind, value))).collect();
    if kind != RecordType::CNAME
        && let [target] = of("CNAME").as_slice()
    {
        found.push(record(name, parse(RecordType::CNAME, target)));
        found.extend(resolve(records, target, kind));
    }
    found
}

/// A wildcard's records are those of the name that was asked for.
fn rename(mut record: Record, name: &str) -> Record {
    if record.name.to_ascii().starts_with("*.") {
        record.name = fqdn(name);
    }
    record
}

fn parse(kind: RecordType, value: &str) -> RData {
    match kind {
        RecordType::TXT => RData::TXT(TXT::new(vec![value.to_owned()])),
        RecordType::A => RData::A(A(value.parse().unwrap())),
        RecordType::AAAA => RData::AAAA(AAAA(value.parse().unwrap())),
        RecordType::CNAME => RData::CNAME(CNAME(fqdn(value))),
        RecordType::SOA => soa(),
        other => panic!("no test asks for {other}"),
    }
}

fn soa() -> RData {
    RData::SOA(SOA::new(fqdn("ns.example.com"), fqdn("admin.example.com"), 1, 3600, 600, 86_400, TTL_SECS))
}

fn record(name: &str, data: RData) -> Record {
    Record::from_rdata(fqdn(name), TTL_SECS, data)
}

fn fqdn(name: &str) -> Name {
    Name::from_ascii(format!("{name}.")).unwrap()
}
