//! Numbers that stand for a method and an encoding, one table for each direction.

use std::collections::HashMap;

use crate::{
    Encoding, Method,
    wire::{
        Violation,
        numbers::{bind, encoding},
    },
};

use super::tlv;

/// Slots of the cache of the sender's table: it takes 128 bytes and holds the methods that most clients call.
const SLOTS: usize = 64;

/// What a number stands for.
pub(super) type Binding = (Method, Encoding);

/// What this side has bound: the number of a method.
#[derive(Debug)]
pub(super) struct Outgoing {
    numbers: HashMap<Binding, u16>,
    /// By number, from 1.
    bound: Vec<Binding>,
    /// By the address of a name, the number found last. A lookup happens on every call, and most calls name
    /// their method by the same few pointers; `bound` keeps the names alive, so an address means one name.
    recent: [u16; SLOTS],
}

/// What the peer has bound: the method of a number.
#[derive(Debug)]
pub(super) struct Incoming {
    /// By number, from 1.
    bound: Vec<Binding>,
    max: u16,
}

impl Outgoing {
    pub(super) fn new() -> Self {
        Self {
            numbers: HashMap::new(),
            bound: Vec::new(),
            recent: [0; SLOTS],
        }
    }

    /// The number of a method, if it is bound.
    pub(super) fn get(&mut self, method: &Method, encoding: Encoding) -> Option<u16> {
        let slot = slot(method, encoding);
        let recent = self.recent[slot];
        if let Some(index) = usize::from(recent).checked_sub(1) {
            let (known, its) = &self.bound[index];
            if std::ptr::eq(known.as_str(), method.as_str()) && *its == encoding {
                return Some(recent);
            }
        }
        let number = *self.numbers.get(&(method.clone(), encoding))?;
        self.bound[usize::from(number) - 1].0 = method.clone();
        self.recent[slot] = number;
        Some(number)
    }

    /// The number that the next new method gets, if the peer takes `max`.
    pub(super) fn next(&self, max: u16) -> Option<u16> {
        u16::try_from(self.bound.len() + 1)
            .ok()
            .filter(|number| *number <= max)
    }

    /// Gives the next number to a method that has none.
    pub(super) fn bind(&mut self, method: &Method, encoding: Encoding, number: u16) {
        let binding = (method.clone(), encoding);
        self.bound.push(binding.clone());
        self.numbers.insert(binding, number);
    }
}

impl Incoming {
    pub(super) fn new(max: u16) -> Self {
        Self {
            bound: Vec::new(),
            max,
        }
    }

    pub(super) fn get(&self, number: u16) -> Option<&Binding> {
        self.bound.get(usize::from(number).checked_sub(1)?)
    }

    /// Takes a BIND.
    pub(super) fn bind(&mut self, number: u16, payload: &[u8]) -> Result<(), Violation> {
        let next = self.bound.len() + 1;
        if usize::from(number) != next {
            let text = format!("method number {number} is bound where {next} is due");
            return Err(Violation::new(text));
        }
        if number > self.max {
            let text = format!("more methods are bound than max_bindings ({})", self.max);
            return Err(Violation::new(text));
        }
        self.bound.push(decode(payload)?);
        Ok(())
    }
}

/// The payload of a BIND. The name is at most [`MAX_METHOD`](crate::wire::numbers::limit::MAX_METHOD)
/// bytes.
pub(super) fn encode(method: &Method, encoding: Encoding) -> Vec<u8> {
    let name = method.as_str();
    let mut payload = Vec::with_capacity(name.len() + 6);
    payload.push(name.len() as u8);
    payload.extend_from_slice(name.as_bytes());
    if !encoding.is_raw() {
        tlv::put(bind::ENCODING, &[encoding.number()], &mut payload);
    }
    payload
}

fn decode(payload: &[u8]) -> Result<Binding, Violation> {
    let (name, rest) = payload
        .split_first()
        .and_then(|(len, rest)| rest.split_at_checked((*len).into()))
        .ok_or_else(|| Violation::new("the name in a BIND is cut short"))?;
    let name =
        std::str::from_utf8(name).map_err(|_| Violation::new("the name in a BIND is not UTF-8"))?;
    let mut encoding = Encoding::RAW;
    for entry in tlv::entries(rest) {
        let entry = entry?;
        match entry.key {
            bind::ENCODING => encoding = Encoding::new(entry.fixed::<1>()?[0]),
            _ => entry.skip()?,
        }
    }
    Ok((name.to_owned().into(), encoding))
}

/// Whether a request in this encoding can be served, if only `served` are. Raw always can.
pub(super) fn is_served(wanted: Encoding, served: &[Encoding]) -> bool {
    wanted != encoding::BOUND && (wanted.is_raw() || served.is_empty() || served.contains(&wanted))
}

/// Spreads addresses, which are close together for names known at compile time.
fn slot(method: &Method, encoding: Encoding) -> usize {
    let address = method.as_str().as_ptr().addr() as u64 ^ u64::from(encoding.number());
    (address.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (u64::BITS - SLOTS.ilog2())) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: Encoding = encoding::JSON;

    #[test]
    fn a_name_has_one_number_wherever_it_lives_and_one_for_each_encoding() {
        let mut table = Outgoing::new();
        let fixed = Method::from_static("Echo");
        assert_eq!(table.get(&fixed, JSON), None);
        assert_eq!(table.next(2), Some(1));
        table.bind(&fixed, JSON, 1);
        table.bind(&fixed, Encoding::RAW, 2);
        assert_eq!(table.next(2), None);
        for _ in 0..2 {
            assert_eq!(table.get(&fixed, JSON), Some(1));
            assert_eq!(table.get(&fixed, Encoding::RAW), Some(2));
            assert_eq!(table.get(&String::from("Echo").into(), JSON), Some(1));
        }
    }

    #[test]
    fn more_methods_than_slots_are_still_told_apart() {
        let mut table = Outgoing::new();
        let methods: Vec<Method> = (1..=3 * SLOTS).map(|n| n.to_string().into()).collect();
        for (index, method) in methods.iter().enumerate() {
            table.bind(method, JSON, index as u16 + 1);
        }
        for (index, method) in methods.iter().enumerate().rev() {
            assert_eq!(table.get(method, JSON), Some(index as u16 + 1));
        }
    }

    #[test]
    fn more_encodings_of_a_name_than_slots_are_still_told_apart() {
        let mut table = Outgoing::new();
        let method = Method::from_static("Echo");
        for number in 1..=255 {
            table.bind(&method, Encoding::new(number), number.into());
        }
        for number in 1..=255 {
            let found = table.get(&method, Encoding::new(number));
            assert_eq!(found, Some(number.into()));
        }
    }

    #[test]
    fn a_bind_survives() {
        let mut table = Incoming::new(2);
        table.bind(1, &encode(&"".into(), JSON)).unwrap();
        table.bind(2, &encode(&"é".into(), Encoding::RAW)).unwrap();
        assert_eq!(table.get(1), Some(&("".into(), JSON)));
        assert_eq!(table.get(2), Some(&("é".into(), Encoding::RAW)));
        assert_eq!(table.get(0), None);
        assert_eq!(table.get(3), None);
    }

    #[test]
    fn numbers_are_dense_and_bounded_and_names_are_text() {
        let error = |number, payload: &[u8]| {
            let mut table = Incoming::new(1);
            table.bind(1, &[0]).unwrap();
            table.bind(number, payload).unwrap_err().to_string()
        };
        assert!(error(0, &[0]).contains("number 0"));
        assert!(error(1, &[0]).contains("number 1"));
        assert!(error(3, &[0]).contains("number 3"));
        assert!(error(2, &[0]).contains("max_bindings (1)"));
        let error = |payload| decode(payload).unwrap_err().to_string();
        assert!(error(&[]).contains("cut short"));
        assert!(error(&[2, b'a']).contains("cut short"));
        assert!(error(&[1, 0xFF]).contains("UTF-8"));
        assert!(error(&[0, 9, 0x80, 0, 0]).contains("key 9"));
    }

    #[test]
    fn only_served_encodings_pass() {
        assert!(is_served(JSON, &[]));
        assert!(is_served(Encoding::RAW, &[encoding::BINCODE]));
        assert!(!is_served(JSON, &[encoding::BINCODE]));
        assert!(!is_served(encoding::BOUND, &[]));
    }
}
