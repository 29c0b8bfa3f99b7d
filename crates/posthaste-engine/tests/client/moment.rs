//! The moment between two requests on a kept connection: what the receiver did in it, and our runtime has not heard of.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;

use crate::receiver::{OK, client, post};
use crate::reply;

/// What a receiver does with a connection after its first answer.
#[derive(Clone, Copy)]
enum Between {
    Closes,
    Says(&'static str),
}

fn read_request(stream: &mut TcpStream) {
    let mut read = Vec::new();
    while !read.ends_with(b"{\"a\":1}") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        read.push(byte[0]);
    }
}

/// A receiver in a thread of its own. After its first answer it waits to be told, does that, and says that it is done;
/// the next connection is answered with 200.
fn receiver(between: Between) -> (String, mpsc::Sender<()>, mpsc::Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let (go, told) = mpsc::channel();
    let (tell, done) = mpsc::channel();
    std::thread::spawn(move || {
        let (mut first, _) = listener.accept().unwrap();
        read_request(&mut first);
        first.write_all(OK.as_bytes()).unwrap();
        told.recv().unwrap();
        match between {
            Between::Closes => drop(first),
            Between::Says(text) => {
                first.write_all(text.as_bytes()).unwrap();
                std::mem::forget(first);
            }
        }
        tell.send(()).unwrap();
        let (mut second, _) = listener.accept().unwrap();
        read_request(&mut second);
        second.write_all(OK.as_bytes()).unwrap();
        let _ = second.read(&mut [0]);
    });
    (url, go, done)
}

/// One thread, which waits for the receiver without the runtime: it hears of nothing until the next request is under way.
#[tokio::test]
async fn nothing_is_sent_on_a_connection_that_was_closed_or_spoke_on_a_moment_ago() {
    let poison = "HTTP/1.1 500 Poison\r\ncontent-length: 0\r\n\r\n";
    for between in [Between::Closes, Between::Says(poison), Between::Says("x")] {
        let (url, go, done) = receiver(between);
        let client = client();
        assert_eq!(reply(client.send(post(&*url)).await).status, 200);
        assert_eq!(client.idle_connections(), 1);
        go.send(()).unwrap();
        done.recv().unwrap();
        let reply = reply(client.send(post(&*url)).await);
        assert_eq!(reply.status, 200, "the second request has an answer of its own");
    }
}
