//! A way to a server that counts what comes back over it.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// A listener whose connections go on to a server.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    received: Arc<AtomicU64>,
}

impl Proxy {
    /// Listens before the server at `address`, host and port, until the test ends.
    pub fn before(address: &str) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let proxy = Self {
            address: listener.local_addr()?,
            received: Arc::default(),
        };
        let (address, received) = (address.to_owned(), Arc::clone(&proxy.received));
        thread::spawn(move || {
            for client in listener.incoming() {
                let (address, received) = (address.clone(), Arc::clone(&received));
                // A connection that breaks is the client's to tell.
                thread::spawn(move || pass(client?, &address, &received));
            }
        });
        Ok(proxy)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Bytes that the server has sent since this was asked last, heads and all.
    pub fn take_received(&self) -> u64 {
        self.received.swap(0, Ordering::SeqCst)
    }
}

fn pass(client: TcpStream, address: &str, received: &AtomicU64) -> io::Result<()> {
    let server = TcpStream::connect(address)?;
    let (mut from, mut to) = (client.try_clone()?, server.try_clone()?);
    thread::spawn(move || {
        io::copy(&mut from, &mut to)?;
        to.shutdown(Shutdown::Write)
    });
    let (mut server, mut client, mut buffer) = (server, client, vec![0; 64 << 10]);
    loop {
        let count = server.read(&mut buffer)?;
        if count == 0 {
            return client.shutdown(Shutdown::Write);
        }
        // Before the client has them: it may be asked as soon as it ends.
        received.fetch_add(count as u64, Ordering::SeqCst);
        client.write_all(&buffer[..count])?;
    }
}
