//! The longest common block of two sequences in linear time, through the suffix automaton of the
//! second (Blumer et al. 1985). It costs more than a look into an index but never depends on how
//! often pieces repeat.

use crate::reward::Refusal;
use crate::reward::blocks::Block;
use crate::reward::options::Clock;

const NIL: u32 = u32::MAX;

/// A set of pieces that end at the same places.
#[derive(Debug, Clone, Copy)]
struct State {
    /// Longest piece.
    length: u32,
    /// The state of the longest shorter suffixes.
    link: u32,
    /// Where the pieces end first.
    first_end: u32,
    /// First of the outgoing edges.
    edges: u32,
}

#[derive(Debug, Clone, Copy)]
struct Edge {
    symbol: u32,
    target: u32,
    next: u32,
}

struct Automaton {
    states: Vec<State>,
    edges: Vec<Edge>,
    /// Targets of the root by symbol, as the root has too many edges for a list.
    root: Vec<u32>,
}

/// The longest block of `a` in `b`; of equals the first in `a`, and of these the first in `b`.
/// Symbols of `b` are below `symbols`; others of `a` match nothing. Length 0 if nothing is common.
pub(crate) fn longest(
    a: &[u32],
    b: &[u32],
    symbols: usize,
    clock: &mut Clock,
) -> Result<Block, Refusal> {
    let mut automaton = Automaton::new(b.len(), symbols);
    let mut last = 0;
    for (place, &symbol) in (0_u32..).zip(b) {
        clock.spend(16)?;
        last = automaton.push(last, symbol, place);
    }
    let mut best = Block { a: 0, b: 0, length: 0 };
    let (mut state, mut length) = (0_u32, 0_usize);
    for (place, &symbol) in a.iter().enumerate() {
        clock.spend(8)?;
        let mut target = automaton.target(state, symbol);
        while target == NIL && state != 0 {
            state = automaton.states[state as usize].link;
            length = automaton.states[state as usize].length as usize;
            target = automaton.target(state, symbol);
        }
        if target == NIL {
            continue;
        }
        (state, length) = (target, length + 1);
        if length > best.length {
            let end = automaton.states[state as usize].first_end as usize + 1;
            best = Block { a: place + 1 - length, b: end - length, length };
        }
    }
    Ok(best)
}

impl Automaton {
    fn new(length: usize, symbols: usize) -> Self {
        let mut states = Vec::with_capacity(2 * length + 1);
        states.push(State { length: 0, link: NIL, first_end: 0, edges: NIL });
        Self { states, edges: Vec::with_capacity(3 * length), root: vec![NIL; symbols] }
    }

    fn target(&self, state: u32, symbol: u32) -> u32 {
        if state == 0 {
            return self.root.get(symbol as usize).copied().unwrap_or(NIL);
        }
        let mut at = self.states[state as usize].edges;
        while at != NIL {
            let edge = self.edges[at as usize];
            if edge.symbol == symbol {
                return edge.target;
            }
            at = edge.next;
        }
        NIL
    }

    fn connect(&mut self, state: u32, symbol: u32, target: u32) {
        if state == 0 {
            self.root[symbol as usize] = target;
            return;
        }
        let mut at = self.states[state as usize].edges;
        while at != NIL {
            let edge = &mut self.edges[at as usize];
            if edge.symbol == symbol {
                edge.target = target;
                return;
            }
            at = edge.next;
        }
        let next = std::mem::replace(&mut self.states[state as usize].edges, index(&self.edges));
        self.edges.push(Edge { symbol, target, next });
    }

    /// Adds a state; a copy brings its edges along.
    fn add(&mut self, state: State) -> u32 {
        let number = index(&self.states);
        let mut at = state.edges;
        self.states.push(State { edges: NIL, ..state });
        while at != NIL {
            let Edge { symbol, target, next } = self.edges[at as usize];
            let list =
                std::mem::replace(&mut self.states[number as usize].edges, index(&self.edges));
            self.edges.push(Edge { symbol, target, next: list });
            at = next;
        }
        number
    }

    /// Appends a symbol; returns the state of the whole sequence.
    fn push(&mut self, last: u32, symbol: u32, place: u32) -> u32 {
        let length = self.states[last as usize].length + 1;
        let new = self.add(State { length, link: 0, first_end: place, edges: NIL });
        let mut at = last;
        while at != NIL && self.target(at, symbol) == NIL {
            self.connect(at, symbol, new);
            at = self.states[at as usize].link;
        }
        if at == NIL {
            return new;
        }
        let next = self.target(at, symbol);
        let length = self.states[at as usize].length + 1;
        if self.states[next as usize].length == length {
            self.states[new as usize].link = next;
            return new;
        }
        let copy = self.add(State { length, ..self.states[next as usize] });
        while at != NIL && self.target(at, symbol) == next {
            self.connect(at, symbol, copy);
            at = self.states[at as usize].link;
        }
        self.states[next as usize].link = copy;
        self.states[new as usize].link = copy;
        new
    }
}

/// The number that the next element gets.
fn index<T>(elements: &[T]) -> u32 {
    u32::try_from(elements.len()).expect("texts are bounded far below 2^31")
}
