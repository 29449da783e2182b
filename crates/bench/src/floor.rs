//! What no server on this machine can beat: it reads to the end of a head and writes the same bytes each time.
//! It looks at nothing, counts nothing and logs nothing.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

#[derive(Debug, clap::Args)]
pub(crate) struct FloorOptions {
    #[arg(long)]
    listen: SocketAddr,
    /// Of a whole answer, its head included.
    #[arg(long)]
    answer_bytes: usize,
}

pub(crate) async fn run(options: FloorOptions) -> anyhow::Result<()> {
    let listener = TcpListener::bind(options.listen).await?;
    let answer: Arc<[u8]> = answer(options.answer_bytes).into();
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        // A client that goes away is no reason to end.
        tokio::spawn(serve(stream, Arc::clone(&answer)));
    }
}

async fn serve(mut stream: TcpStream, answer: Arc<[u8]>) -> std::io::Result<()> {
    let mut read = vec![0; 16 * 1024];
    let mut filled = 0;
    loop {
        let more = stream.read(&mut read[filled..]).await?;
        if more == 0 {
            return Ok(());
        }
        filled += more;
        while let Some(end) = read[..filled].windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            read.copy_within(end + 4..filled, 0);
            filled -= end + 4;
            stream.write_all(&answer).await?;
        }
    }
}

fn answer(bytes: usize) -> Vec<u8> {
    // The head's length depends on a number in it, which has five digits for every body that is asked for here.
    let head = |body: usize, filling: usize| {
        format!("HTTP/1.1 200 OK\r\nContent-Length: {body}\r\nX-Filling: {}\r\n\r\n", "x".repeat(filling))
    };
    let body = bytes.saturating_sub(600);
    let filling = bytes.saturating_sub(body + head(body, 0).len());
    let mut answer = head(body, filling).into_bytes();
    answer.resize(answer.len() + body, b'x');
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_as_long_as_it_was_asked_for() {
        for bytes in [1_000, 10_700, 100_000] {
            assert_eq!(answer(bytes).len(), bytes);
        }
    }
}
