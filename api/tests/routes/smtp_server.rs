//! A mail server that does as it is told: takes mail, says «later», refuses for good, hangs up half-way.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    Take,
    /// 451 for the recipient.
    Later,
    /// 550 for the recipient.
    Never,
    /// Closes the connection while the mail is on its way.
    HangUp,
}

#[derive(Debug, Clone)]
pub(crate) struct SmtpServer {
    pub(crate) url: String,
    moods: Arc<Mutex<VecDeque<Mood>>>,
    /// What was taken, and how many connections there were.
    seen: watch::Sender<Seen>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    pub(crate) mails: Vec<String>,
    pub(crate) tries: usize,
}

impl SmtpServer {
    /// The moods of the first connections; all others are taken.
    pub(crate) async fn start(moods: &[Mood]) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let server = Self {
            url: format!("smtp://{}?tls=opportunistic", listener.local_addr().unwrap()),
            moods: Arc::new(Mutex::new(moods.iter().copied().collect())),
            seen: watch::Sender::default(),
        };
        let serving = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let mood = serving.moods.lock().unwrap().pop_front().unwrap_or(Mood::Take);
                let server = serving.clone();
                tokio::spawn(async move { server.talk(stream, mood).await });
            }
        });
        server
    }

    /// Waits until the server saw what is wanted.
    pub(crate) async fn until(&self, wanted: impl FnMut(&Seen) -> bool) -> Seen {
        let mut seen = self.seen.subscribe();
        let waiting = seen.wait_for(wanted);
        let seen = tokio::time::timeout(std::time::Duration::from_secs(20), waiting).await;
        seen.expect("the mail server hears of it in time").unwrap().clone()
    }

    /// RFC 5321, as much as a client needs.
    async fn talk(self, stream: TcpStream, mood: Mood) -> Option<()> {
        let mut stream = BufReader::new(stream);
        stream.write_all(b"220 mail.example.org ESMTP\r\n").await.ok()?;
        let mut line = String::new();
        loop {
            line.clear();
            if stream.read_line(&mut line).await.ok()? == 0 {
                return None;
            }
            let verb = line.split([' ', '\r']).next().unwrap_or_default().to_ascii_uppercase();
            let answer = match (verb.as_str(), mood) {
                ("EHLO", _) => "250-mail.example.org\r\n250 8BITMIME\r\n",
                ("RCPT", Mood::Later) => "451 4.3.0 come again later\r\n",
                ("RCPT", Mood::Never) => "550 5.1.1 there is nobody of this name\r\n",
                ("DATA", _) => {
                    self.seen.send_modify(|seen| seen.tries += 1);
                    stream.write_all(b"354 go ahead\r\n").await.ok()?;
                    let mail = read_mail(&mut stream, mood == Mood::HangUp).await?;
                    self.seen.send_modify(|seen| seen.mails.push(mail));
                    "250 2.0.0 taken\r\n"
                }
                ("QUIT", _) => {
                    let _ = stream.write_all(b"221 bye\r\n").await;
                    return None;
                }
                _ => "250 2.0.0 fine\r\n",
            };
            if verb == "RCPT" && matches!(mood, Mood::Later | Mood::Never) {
                self.seen.send_modify(|seen| seen.tries += 1);
            }
            stream.write_all(answer.as_bytes()).await.ok()?;
        }
    }
}

/// Up to the dot. `None` when the server hangs up after the first line.
async fn read_mail(stream: &mut BufReader<TcpStream>, hangs_up: bool) -> Option<String> {
    let mut mail = String::new();
    loop {
        let start = mail.len();
        if stream.read_line(&mut mail).await.ok()? == 0 || hangs_up {
            return None;
        }
        if &mail[start..] == ".\r\n" {
            mail.truncate(start);
            return Some(mail);
        }
    }
}
