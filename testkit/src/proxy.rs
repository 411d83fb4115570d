//! A TCP proxy that breaks connections on command.
//!
//! It stands between a program and a server and, per direction of a connection, moves
//! bytes through a bounded queue, so that it can hold them back ([`Proxy::stall`]), deliver
//! them late ([`Proxy::delay`]) or not at all ([`Proxy::cut`], [`Proxy::lose_answer_to`]). It
//! keeps its port through all of that.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::scratch::Port;

const CHUNK_BYTES: usize = 16 * 1024;
/// Bounds what is under way per direction, to 1 MiB.
const QUEUE_CHUNKS: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Bytes flow.
    Forward,
    /// Connections are kept and accepted, but nothing flows.
    Stall,
    /// There are no connections, and new ones are refused.
    Cut,
    /// The proxy is being dropped.
    Closed,
}

#[derive(Debug)]
struct State {
    upstream: SocketAddr,
    mode: Mode,
    delay: Duration,
    listening: bool,
    /// Both ends of every connection of the current generation; their threads own them.
    streams: Vec<Weak<TcpStream>>,
    /// Rises when all connections are broken; those of an earlier one end.
    generation: u64,
    /// The next request with these bytes in it does not get its answer.
    lose_answer_to: Option<Vec<u8>>,
    /// Answers that were lost that way.
    answers_lost: usize,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    address: SocketAddr,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread panics with the lock")
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed
            .wait(state)
            .expect("no thread panics with the lock")
    }
}

/// A proxy on a port of 127.0.0.1; its connections and threads end on drop.
#[derive(Debug)]
pub struct Proxy {
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
    /// Claimed, so that it is still free after a cut.
    _port: Port,
}

impl Proxy {
    /// A proxy that forwards to `upstream`, which need not be up yet.
    ///
    /// # Panics
    /// When no port or thread can be had.
    pub fn start(upstream: SocketAddr) -> Self {
        let port = Port::claim();
        let address = SocketAddr::from(([127, 0, 0, 1], port.number()));
        let listener = TcpListener::bind(address).expect("the port was just found free");
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                upstream,
                mode: Mode::Forward,
                delay: Duration::ZERO,
                listening: true,
                streams: Vec::new(),
                generation: 0,
                lose_answer_to: None,
                answers_lost: 0,
            }),
            changed: Condvar::new(),
            address,
        });
        let acceptor = start_thread("proxy-accept", {
            let shared = Arc::clone(&shared);
            move || accept_loop(&shared, listener)
        });
        Self {
            shared,
            acceptor: Some(acceptor),
            _port: port,
        }
    }

    /// A proxy for a server on this port of 127.0.0.1.
    ///
    /// # Panics
    /// When no port or thread can be had.
    pub fn to_port(port: u16) -> Self {
        Self::start(SocketAddr::from(([127, 0, 0, 1], port)))
    }

    /// The address that clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// The port that clients connect to; the same for the proxy's whole life.
    pub fn port(&self) -> u16 {
        self.shared.address.port()
    }

    /// Closes every connection; new ones go through.
    pub fn reset(&self) {
        break_connections(&mut self.shared.lock());
        self.shared.changed.notify_all();
    }

    /// Closes every connection; new ones go to the server on this port of 127.0.0.1.
    pub fn redirect(&self, port: u16) {
        let mut state = self.shared.lock();
        state.upstream = SocketAddr::from(([127, 0, 0, 1], port));
        break_connections(&mut state);
        self.shared.changed.notify_all();
    }

    /// Closes every connection and refuses new ones until [`Proxy::resume`].
    pub fn cut(&self) {
        let mut state = self.shared.lock();
        state.mode = Mode::Cut;
        break_connections(&mut state);
        self.shared.changed.notify_all();
        if state.listening {
            wake_acceptor(self.shared.address);
        }
        while state.listening {
            state = self.shared.wait(state);
        }
    }

    /// Keeps connections, and takes new ones, but moves no byte until [`Proxy::resume`].
    pub fn stall(&self) {
        self.set_mode(Mode::Stall);
    }

    /// Ends a cut or a stall. What was held back is delivered.
    pub fn resume(&self) {
        self.set_mode(Mode::Forward);
    }

    /// Delivers every byte this much later, in each direction, from now on.
    pub fn delay(&self, delay: Duration) {
        self.shared.lock().delay = delay;
    }

    /// Delivers the next request with these bytes in it, waits until the server answers, and
    /// then closes that connection without delivering the answer: the work is done, and
    /// the client cannot know.
    pub fn lose_answer_to(&self, request: &[u8]) {
        self.shared.lock().lose_answer_to = Some(request.to_owned());
    }

    /// How many answers were lost by [`Proxy::lose_answer_to`].
    pub fn answers_lost(&self) -> usize {
        self.shared.lock().answers_lost
    }

    fn set_mode(&self, mode: Mode) {
        let mut state = self.shared.lock();
        state.mode = mode;
        self.shared.changed.notify_all();
        while !state.listening {
            state = self.shared.wait(state);
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Ok(mut state) = self.shared.state.lock() {
            state.mode = Mode::Closed;
            break_connections(&mut state);
        }
        self.shared.changed.notify_all();
        wake_acceptor(self.shared.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

fn break_connections(state: &mut State) {
    state.generation += 1;
    for stream in state.streams.drain(..) {
        if let Some(stream) = stream.upgrade() {
            // One that the other side has closed already is broken enough.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

/// Makes a blocking accept return.
fn wake_acceptor(address: SocketAddr) {
    let _ = TcpStream::connect(address);
}

fn accept_loop(shared: &Arc<Shared>, first: TcpListener) {
    let mut listener = Some(first);
    loop {
        let Some(listening) = listener.take() else {
            let mut state = shared.lock();
            while state.mode == Mode::Cut {
                state = shared.wait(state);
            }
            if state.mode == Mode::Closed {
                return;
            }
            listener = Some(TcpListener::bind(shared.address).expect("the port was ours before"));
            state.listening = true;
            shared.changed.notify_all();
            continue;
        };
        let accepted = listening.accept();
        let generation = {
            let mut state = shared.lock();
            match state.mode {
                Mode::Closed => return,
                Mode::Cut => {
                    // From here on the kernel refuses.
                    drop(listening);
                    state.listening = false;
                    shared.changed.notify_all();
                    continue;
                }
                Mode::Forward | Mode::Stall => state.generation,
            }
        };
        listener = Some(listening);
        if let Ok((client, _)) = accepted {
            let shared = Arc::clone(shared);
            start_thread("proxy-connect", move || {
                // A server that is down shows to the client as a closed connection.
                let _ = connect(&shared, client, generation);
            });
        }
    }
}

fn connect(shared: &Arc<Shared>, client: TcpStream, generation: u64) -> io::Result<()> {
    let upstream = shared.lock().upstream;
    let server = TcpStream::connect(upstream)?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (client, server) = (Arc::new(client), Arc::new(server));
    let mut state = shared.lock();
    if state.generation != generation {
        return Ok(());
    }
    state.streams.retain(|stream| stream.strong_count() > 0);
    state
        .streams
        .extend([Arc::downgrade(&client), Arc::downgrade(&server)]);
    drop(state);
    let link = Arc::new(Link {
        client,
        server,
        answer_is_lost: AtomicBool::new(false),
    });
    for direction in [Direction::Request, Direction::Answer] {
        let (sender, receiver) = mpsc::sync_channel(QUEUE_CHUNKS);
        let (reader, link) = (Arc::clone(shared), Arc::clone(&link));
        let to = Arc::clone(match direction {
            Direction::Request => &link.server,
            Direction::Answer => &link.client,
        });
        start_thread("proxy-read", move || {
            read_loop(&reader, &link, direction, &sender);
        });
        let writer = Arc::clone(shared);
        start_thread("proxy-write", move || {
            write_loop(&writer, &to, &receiver, generation);
        });
    }
    Ok(())
}

/// The two ends of a connection.
struct Link {
    client: Arc<TcpStream>,
    server: Arc<TcpStream>,
    answer_is_lost: AtomicBool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Request,
    Answer,
}

struct Chunk {
    due: Instant,
    bytes: Vec<u8>,
}

fn read_loop(shared: &Shared, link: &Link, direction: Direction, queue: &SyncSender<Chunk>) {
    let mut from: &TcpStream = match direction {
        Direction::Request => &link.client,
        Direction::Answer => &link.server,
    };
    let mut buffer = vec![0; CHUNK_BYTES];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        let bytes = buffer.get(..length).unwrap_or_default().to_vec();
        let due = {
            let mut state = shared.lock();
            match direction {
                Direction::Request => {
                    if state
                        .lose_answer_to
                        .take_if(|request| contains(&bytes, request))
                        .is_some()
                    {
                        link.answer_is_lost.store(true, Ordering::Release);
                    }
                }
                Direction::Answer if link.answer_is_lost.load(Ordering::Acquire) => {
                    state.answers_lost += 1;
                    // One that the other side has closed already is broken enough.
                    let _ = link.client.shutdown(Shutdown::Both);
                    let _ = link.server.shutdown(Shutdown::Both);
                    return;
                }
                Direction::Answer => {}
            }
            Instant::now() + state.delay
        };
        if queue.send(Chunk { due, bytes }).is_err() {
            return;
        }
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

fn write_loop(shared: &Shared, mut to: &TcpStream, queue: &Receiver<Chunk>, generation: u64) {
    for chunk in queue {
        if wait_for_turn(shared, chunk.due, generation) == Turn::Broken {
            return;
        }
        if to.write_all(&chunk.bytes).is_err() {
            break;
        }
    }
    // The end of a stream is news too, and is held back like bytes.
    if wait_for_turn(shared, Instant::now(), generation) == Turn::Flow {
        let _ = to.shutdown(Shutdown::Write);
    }
}

#[derive(PartialEq, Eq)]
enum Turn {
    Flow,
    Broken,
}

/// Waits until a chunk is due and bytes flow, or the connection is broken.
fn wait_for_turn(shared: &Shared, due: Instant, generation: u64) -> Turn {
    let mut state = shared.lock();
    loop {
        if state.generation != generation {
            return Turn::Broken;
        }
        let left = due.saturating_duration_since(Instant::now());
        if state.mode != Mode::Forward {
            state = shared.wait(state);
        } else if left.is_zero() {
            return Turn::Flow;
        } else {
            state = shared
                .changed
                .wait_timeout(state, left)
                .expect("no thread panics with the lock")
                .0;
        }
    }
}

fn start_thread<T: Send + 'static>(
    name: &str,
    body: impl FnOnce() -> T + Send + 'static,
) -> JoinHandle<T> {
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(body)
        .expect("a thread can be started")
}
