//! The queue of events between the source thread and the assembly thread.
//!
//! An event costs less than a lock does, so events go over in lots: the source thread keeps
//! what it reads until a transaction may have ended, or enough is kept, and the assembly
//! thread takes everything that is there at once. A bell, a channel, rings when the assembly
//! thread has asked for it, since that thread waits for other things too.
//!
//! Events in flight are bounded in bytes; one larger event passes alone.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::source::{RawEvent, SourceError};

/// What one event came to.
pub(super) type Received = Result<RawEvent, SourceError>;

/// What an event costs in memory besides its body, about.
const EVENT_BYTES: usize = 256;

/// Most bytes that the source thread keeps back.
const LOT_BYTES: usize = 64 << 10;

/// Whether the other end is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Peer {
    There,
    Gone,
}

/// Items that go over together.
struct Lot<T> {
    items: Vec<T>,
    bytes: usize,
}

impl<T> Default for Lot<T> {
    fn default() -> Self {
        Self {
            items: Vec::new(),
            bytes: 0,
        }
    }
}

struct State<T> {
    lots: VecDeque<Lot<T>>,
    /// Of the lots, and of the one that the receiver has taken last.
    bytes: usize,
    is_receiver_waiting: bool,
    is_closed: bool,
}

struct Shared<T> {
    limit_bytes: usize,
    state: Mutex<State<T>>,
    room: Condvar,
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A queue of items in flight, `limit_bytes` of them.
pub(super) fn queue<T>(limit_bytes: usize) -> (LotSender<T>, LotReceiver<T>) {
    let shared = Arc::new(Shared {
        limit_bytes,
        state: Mutex::new(State {
            lots: VecDeque::new(),
            bytes: 0,
            is_receiver_waiting: false,
            is_closed: false,
        }),
        room: Condvar::new(),
    });
    let (ring, bell) = bounded(1);
    (
        LotSender {
            shared: Arc::clone(&shared),
            ring,
            kept: Lot::default(),
        },
        LotReceiver {
            shared,
            bell,
            taken: Vec::new().into_iter(),
            taken_bytes: 0,
        },
    )
}

/// The source thread's end.
pub(super) struct LotSender<T> {
    shared: Arc<Shared<T>>,
    /// Dropped with the sender, which the receiver notices.
    ring: Sender<()>,
    kept: Lot<T>,
}

/// When an item has to go over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Urgency {
    /// With what comes next: the receiver can do nothing with it alone.
    Later,
    /// At once, with all that is kept.
    Now,
}

impl<T> LotSender<T> {
    /// Sends an item of so many bytes; waits while too much is in flight.
    pub(super) fn send(&mut self, item: T, bytes: usize, urgency: Urgency) -> Peer {
        self.kept.items.push(item);
        self.kept.bytes += bytes + EVENT_BYTES;
        if urgency == Urgency::Now || self.kept.bytes >= LOT_BYTES {
            self.flush()
        } else {
            Peer::There
        }
    }

    fn flush(&mut self) -> Peer {
        let shared = &self.shared;
        let mut state = shared.lock();
        while !state.is_closed
            && state.bytes > 0
            && state.bytes + self.kept.bytes > shared.limit_bytes
        {
            state = shared
                .room
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if state.is_closed {
            return Peer::Gone;
        }
        state.bytes += self.kept.bytes;
        match state.lots.back_mut() {
            Some(last) if last.bytes + self.kept.bytes <= LOT_BYTES => {
                last.items.append(&mut self.kept.items);
                last.bytes += std::mem::take(&mut self.kept.bytes);
            }
            _ => state.lots.push_back(std::mem::take(&mut self.kept)),
        }
        let is_waiting = std::mem::take(&mut state.is_receiver_waiting);
        drop(state);
        if is_waiting {
            // A full channel has rung already.
            let _ = self.ring.try_send(());
        }
        Peer::There
    }
}

/// The assembly thread's end.
pub(super) struct LotReceiver<T> {
    shared: Arc<Shared<T>>,
    bell: Receiver<()>,
    taken: std::vec::IntoIter<T>,
    taken_bytes: usize,
}

impl<T> LotReceiver<T> {
    /// The next item, if one is there. Without one the bell will ring.
    pub(super) fn next(&mut self) -> Option<T> {
        if let Some(item) = self.taken.next() {
            return Some(item);
        }
        self.take();
        self.taken.next()
    }

    /// Gives room for what was taken before, and takes the next lot.
    fn take(&mut self) {
        let mut state = self.shared.lock();
        let used = std::mem::take(&mut self.taken_bytes);
        state.bytes -= used;
        let lot = state.lots.pop_front();
        state.is_receiver_waiting = lot.is_none();
        let is_roomy = state.bytes <= self.shared.limit_bytes / 2;
        drop(state);
        // Waking at half full spares the sender a switch for each lot.
        if is_roomy && used > 0 {
            self.shared.room.notify_one();
        }
        let lot = lot.unwrap_or_default();
        self.taken_bytes = lot.bytes;
        self.taken = lot.items.into_iter();
    }

    /// Tells others what is in flight.
    pub(super) fn gauge(&self) -> Gauge<T> {
        Gauge(Arc::clone(&self.shared))
    }

    /// Rings when items have come since `next` found none; disconnected with the sender.
    pub(super) fn bell(&self) -> &Receiver<()> {
        &self.bell
    }
}

/// Tells how much is in flight.
pub(super) struct Gauge<T>(Arc<Shared<T>>);

impl<T> Gauge<T> {
    /// Bytes that are sent, and not yet done with.
    pub(super) fn bytes(&self) -> usize {
        self.0.lock().bytes
    }
}

impl<T> Drop for LotReceiver<T> {
    fn drop(&mut self) {
        self.shared.lock().is_closed = true;
        self.shared.room.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn items_come_in_order_and_a_lot_goes_over_when_it_is_urgent() {
        let (mut sender, mut receiver) = queue(1 << 20);
        assert_eq!(receiver.next(), None);
        for item in 0..10 {
            assert_eq!(sender.send(item, 8, Urgency::Later), Peer::There);
        }
        assert!(receiver.bell().try_recv().is_err());
        assert_eq!(receiver.next(), None);
        assert_eq!(sender.send(10, 8, Urgency::Now), Peer::There);
        receiver.bell().recv().unwrap();
        let all: Vec<i32> = std::iter::from_fn(|| receiver.next()).collect();
        assert_eq!(all, (0..=10).collect::<Vec<_>>());
    }

    #[test]
    fn what_is_sent_before_the_sender_ends_is_received_and_the_bell_then_disconnected() {
        let (mut sender, mut receiver) = queue(1 << 20);
        assert_eq!(receiver.next(), None);
        thread::spawn(move || sender.send(1, 8, Urgency::Now));
        receiver.bell().recv().unwrap();
        assert_eq!(receiver.next(), Some(1));
        assert_eq!(receiver.next(), None);
        assert!(receiver.bell().recv().is_err());
    }

    #[test]
    fn a_sender_waits_for_room_and_one_large_item_passes_alone() {
        let items = 2_000;
        let (mut sender, mut receiver) = queue(LOT_BYTES);
        let sending = thread::spawn(move || {
            for item in 0..items {
                let bytes = if item % 100 == 0 { 10 * LOT_BYTES } else { 500 };
                assert_eq!(sender.send(item, bytes, Urgency::Later), Peer::There);
            }
            sender.send(items, 0, Urgency::Now)
        });
        let mut received = 0;
        while received <= items {
            while let Some(item) = receiver.next() {
                assert_eq!(item, received);
                received += 1;
                let waiting = receiver.shared.lock().bytes;
                assert!(waiting <= 11 * LOT_BYTES, "{waiting} bytes are in flight");
            }
            // The sender may have ended with the last item.
            let _ = receiver.bell().recv();
        }
        assert_eq!(sending.join().unwrap(), Peer::There);
    }

    #[test]
    fn a_receiver_that_ends_ends_the_waiting() {
        let (mut sender, receiver) = queue(10);
        assert_eq!(sender.send(1, 100, Urgency::Now), Peer::There);
        let waiting = thread::spawn(move || sender.send(2, 100, Urgency::Now));
        drop(receiver);
        assert_eq!(waiting.join().unwrap(), Peer::Gone);
    }
}
