//! The decoder: bytes into lines of text.

use std::collections::HashMap;

/// Bytes that are read from the front.
#[derive(Clone, Copy)]
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len);
        self.0 = rest;
        taken
    }

    fn number(&mut self, len: usize) -> u64 {
        let bytes = self.take(len).iter().rev();
        bytes.fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    fn text(&mut self, len: usize) -> String {
        String::from_utf8(self.take(len).to_vec()).unwrap()
    }

    fn rest(&mut self) -> &'a [u8] {
        self.take(self.0.len())
    }
}

/// The whole stream of one direction, a line of text for each thing that it says. What was cut off by a cancel
/// has its line where the cancel is.
pub(crate) fn read(stream: &[u8]) -> Vec<String> {
    let mut input = Bytes(stream);
    assert_eq!(input.take(6), [0x9E, b's', b't', 0xF0, 0x0D, 0x0A]);
    assert_eq!((input.number(1), input.number(1)), (1, 1));
    let mut said = Vec::new();
    let mut methods = vec![(String::new(), 0)];
    let mut under_way: HashMap<u64, (String, Vec<u8>, u64)> = HashMap::new();
    while !input.0.is_empty() {
        let (len, kind, flags) = (input.number(4), input.number(1), input.number(1));
        let (code, id, aux) = (input.number(2), input.number(4), input.number(4));
        let mut payload = Bytes(input.take(len as usize));
        match kind {
            1 => {
                while !payload.0.is_empty() {
                    let (key, len) = (payload.number(2), payload.number(2) as usize);
                    let mut value = Bytes(payload.take(len));
                    said.push(match key {
                        12 => format!("agent {}", value.text(len)),
                        7 => format!("compressions {:?}", value.rest()),
                        8 => format!("encodings {:?}", value.rest()),
                        _ => format!("limit {key}: {}", value.number(len)),
                    });
                }
            }
            2..=4 => {
                let mut line = match kind {
                    3 => format!("answer {id} status {code}"),
                    2 => format!("call {id} within {aux}"),
                    _ => "one way".into(),
                };
                let mut method = (kind != 3).then(|| methods[code as usize].clone());
                if flags & 0x04 != 0 {
                    let len = payload.number(2) as usize;
                    line += &metadata(Bytes(payload.take(len)), &mut method);
                }
                if let Some((name, encoding)) = method {
                    line += &format!(" to {name:?} in {encoding}");
                }
                if flags & 0x10 != 0 {
                    line += " raw";
                }
                if flags & 0x08 != 0 {
                    line += COMPRESSED;
                }
                if flags & 0x01 != 0 {
                    let total = payload.number(8);
                    let began = (line, payload.rest().to_vec(), total);
                    assert!(under_way.insert(id, began).is_none());
                } else {
                    let body = body(kind == 3 && code != 0, &line, payload);
                    said.push(line + &body);
                }
            }
            5 => {
                let message = under_way.get_mut(&id).unwrap();
                message.1.extend(payload.rest());
                if flags & 0x20 != 0 {
                    let (line, bytes, total) = under_way.remove(&id).unwrap();
                    assert_eq!(bytes.len() as u64, total);
                    let body = body(false, &line, Bytes(&bytes));
                    said.push(line + &body);
                }
            }
            6 => {
                if let Some((line, ..)) = under_way.remove(&id) {
                    said.push(line + " in part");
                }
                said.push(format!("cancel {id} for {code}"));
            }
            8 => said.push(format!("ping {aux}")),
            9 => said.push(format!("pong {aux}")),
            10 => said.push(format!(
                "farewell for {code}: {}",
                payload.text(len as usize)
            )),
            12 => {
                assert_eq!(code as usize, methods.len());
                let len = payload.number(1) as usize;
                let mut method = (payload.text(len), 0);
                while !payload.0.is_empty() {
                    let (key, len) = (payload.number(2), payload.number(2) as usize);
                    let value = Bytes(payload.take(len)).number(len);
                    assert_eq!(key, 1);
                    method.1 = value;
                }
                methods.push(method);
            }
            128.. => {}
            _ => panic!("kind {kind}"),
        }
    }
    assert!(under_way.is_empty());
    said
}

fn metadata(mut block: Bytes<'_>, method: &mut Option<(String, u64)>) -> String {
    let mut said = String::new();
    while !block.0.is_empty() {
        let (key, len) = (block.number(1), block.number(2) as usize);
        let mut value = Bytes(block.take(len));
        said += &match key {
            0 => {
                let len = value.number(1) as usize;
                format!(" [{}: {:?}]", value.text(len), value.rest())
            }
            1 => format!(" [within {}]", value.number(8)),
            2 => {
                *method = Some((String::new(), value.number(1)));
                method.as_mut().unwrap().0 = value.text(len - 1);
                String::new()
            }
            3 => format!(" [wait {}]", value.number(8)),
            4 => format!(" [because {}]", value.text(len)),
            5 => format!(" [attempt {}]", value.number(4)),
            6 => " [executed]".into(),
            _ => String::new(),
        };
    }
    said
}

/// What a line of a message with a compressed body ends with.
const COMPRESSED: &str = " compressed";

fn body(error: bool, line: &str, mut body: Bytes<'_>) -> String {
    let mut said = String::from(":");
    if line.ends_with(COMPRESSED) {
        let (algorithm, len) = (body.number(1), body.number(4));
        return said + &format!(" by {algorithm} from {len} bytes");
    }
    if error {
        let len = body.number(2) as usize;
        said += &format!(" {:?}", body.text(len));
    }
    match body.0.len() {
        0..100 => said + &format!(" {}", body.text(body.0.len())),
        len => said + &format!(" {len} bytes"),
    }
}
