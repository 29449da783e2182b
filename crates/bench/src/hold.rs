//! Connections that were used once and are kept open.

use std::net::SocketAddr;

use tokio::io::AsyncReadExt;

use crate::load::Connection;

#[derive(Debug, clap::Args)]
pub(crate) struct HoldOptions {
    #[arg(long)]
    addr: SocketAddr,
    #[arg(long)]
    host: String,
    #[arg(long)]
    path: String,
    #[arg(long)]
    connections: u32,
}

/// Says `holding` once all are open and answered, and ends at the end of its input.
pub(crate) async fn run(options: HoldOptions) -> anyhow::Result<()> {
    let head = format!("GET {} HTTP/1.1\r\nHost: {}\r\n\r\n", options.path, options.host);
    let mut held = Vec::new();
    for _ in 0..options.connections {
        let mut connection = Connection::open(options.addr).await?;
        connection.ask(&head).await?;
        held.push(connection);
    }
    println!("holding");
    tokio::io::stdin().read_to_end(&mut Vec::new()).await?;
    Ok(())
}
