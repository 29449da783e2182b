//! Between edge and store: passes everything on, until it is told to misbehave.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    None,
    /// Answers with this status and no body.
    Status(u16),
    /// Passes on so many bytes of the answer, then closes.
    CutAfter(usize),
    /// Changes the last byte of the answer.
    Corrupt,
    /// Takes the connection and closes it at once.
    Close,
    /// Passes connections on as they are, for any number of requests.
    Forward,
    /// No request gets an answer.
    Hang,
    /// The next request gets no answer; the others do.
    HangOnce,
    /// The next answer stops after so many bytes, without an end; the others do not.
    StallOnce(usize),
}

#[derive(Clone)]
pub struct FaultyStore {
    addr: SocketAddr,
    fault: Arc<Mutex<Fault>>,
    connections: Arc<AtomicUsize>,
    requests: Arc<AtomicUsize>,
    heads: Arc<Mutex<Vec<String>>>,
}

impl FaultyStore {
    pub async fn start(store: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let faulty = Self {
            addr: listener.local_addr().unwrap(),
            fault: Arc::new(Mutex::new(Fault::None)),
            connections: Arc::default(),
            requests: Arc::default(),
            heads: Arc::default(),
        };
        let server = faulty.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = server.clone();
                tokio::spawn(async move { server.serve(client, store).await });
            }
        });
        faulty
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub fn set(&self, fault: Fault) {
        *self.fault.lock().unwrap() = fault;
    }

    /// Connections that were made to the store.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Requests that reached the store.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    /// The head of the last request.
    pub fn last_head(&self) -> String {
        self.heads.lock().unwrap().last().cloned().unwrap_or_default()
    }

    /// One request on each connection, unless they are forwarded.
    async fn serve(&self, mut client: TcpStream, store: SocketAddr) -> Option<()> {
        self.connections.fetch_add(1, Ordering::SeqCst);
        if *self.fault.lock().unwrap() == Fault::Forward {
            let mut upstream = TcpStream::connect(store).await.ok()?;
            tokio::io::copy_bidirectional(&mut client, &mut upstream).await.ok()?;
            return Some(());
        }
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(client.read_u8().await.ok()?);
        }
        self.requests.fetch_add(1, Ordering::SeqCst);
        self.heads.lock().unwrap().push(String::from_utf8_lossy(&head).into_owned());
        let fault = *self.fault.lock().unwrap();
        match fault {
            Fault::Close => return None,
            Fault::Status(status) => {
                let answer =
                    format!("HTTP/1.1 {status} Scripted\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                return client.write_all(answer.as_bytes()).await.ok();
            }
            Fault::HangOnce | Fault::StallOnce(_) => self.set(Fault::None),
            Fault::None | Fault::CutAfter(_) | Fault::Corrupt | Fault::Forward | Fault::Hang => {}
        }
        if matches!(fault, Fault::Hang | Fault::HangOnce) {
            return std::future::pending().await;
        }
        let mut upstream = TcpStream::connect(store).await.ok()?;
        head.truncate(head.len() - 2);
        head.extend(b"Connection: close\r\n\r\n");
        upstream.write_all(&head).await.ok()?;
        let mut answer = Vec::new();
        upstream.read_to_end(&mut answer).await.ok()?;
        match fault {
            Fault::StallOnce(bytes) => {
                client.write_all(&answer[..bytes]).await.ok()?;
                return std::future::pending().await;
            }
            Fault::CutAfter(bytes) => answer.truncate(bytes),
            Fault::Corrupt => *answer.last_mut()? ^= 1,
            _ => {}
        }
        client.write_all(&answer).await.ok()
    }
}
