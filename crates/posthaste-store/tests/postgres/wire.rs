//! A wire to a database that can be cut at a word: what was said is heard, and the answer is not.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::Notify;

#[derive(Default)]
struct State {
    word: Mutex<Option<&'static str>>,
    broken: AtomicUsize,
    held: Mutex<Option<&'static str>>,
    holding: Notify,
}

pub(crate) struct Wire {
    address: SocketAddr,
    state: Arc<State>,
}

impl Wire {
    /// A wire that ends at this socket.
    pub(crate) async fn to(socket: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, state) = (listener.local_addr().unwrap(), Arc::<State>::default());
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = UnixStream::connect(&socket).await.unwrap();
                tokio::spawn(carry(client, server, Arc::clone(&shared)));
            }
        });
        Self { address, state }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next time that a client says this, it does not hear the answer, which was given.
    pub(crate) fn break_behind(&self, word: &'static str) {
        *self.state.word.lock().unwrap() = Some(word);
    }

    /// The next time that a client says this, nothing more is carried, and nothing is closed.
    pub(crate) fn hold_before(&self, word: &'static str) {
        *self.state.held.lock().unwrap() = Some(word);
    }

    /// Waits until that happened.
    pub(crate) async fn holds(&self) {
        self.state.holding.notified().await;
    }

    /// How often that happened since the last look.
    pub(crate) fn broken_count(&self) -> usize {
        self.state.broken.swap(0, Ordering::SeqCst)
    }
}

async fn carry(mut client: TcpStream, mut server: UnixStream, state: Arc<State>) {
    let (mut said, mut heard) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        tokio::select! {
            read = client.read(&mut said) => {
                let Ok(count @ 1..) = read else { return };
                let is_said = |word: &str| said[..count].windows(word.len()).any(|w| w == word.as_bytes());
                let said_now = |word: &Mutex<Option<&'static str>>| word.lock().unwrap().take_if(|word| is_said(word));
                if said_now(&state.held).is_some() {
                    state.holding.notify_one();
                    return std::future::pending().await;
                }
                let cut = said_now(&state.word);
                if server.write_all(&said[..count]).await.is_err() {
                    return;
                }
                if cut.is_some() {
                    let _ = server.read(&mut heard).await;
                    state.broken.fetch_add(1, Ordering::SeqCst);
                    return;
                }
            }
            read = server.read(&mut heard) => {
                let Ok(count @ 1..) = read else { return };
                if client.write_all(&heard[..count]).await.is_err() {
                    return;
                }
            }
        }
    }
}
