//! The decoder: bytes into lines of text.

use std::collections::HashMap;

use crate::cursor::Cursor;

/// A message, of whose body not all need have come.
struct Message {
    line: String,
    is_error: bool,
    is_compressed: bool,
    body: Vec<u8>,
}

/// The whole stream of one direction, a line of text for each thing that it says. What was cut off by a cancel
/// has its line where the cancel is.
pub(crate) fn read(stream: &[u8]) -> Vec<String> {
    let mut input = Cursor(stream);
    assert_eq!(input.take(8).0, b"\x9Est\xF0\r\n\x01\x01");
    let mut methods = vec![(String::new(), 0)];
    let mut under_way = HashMap::new();
    let mut said = Vec::new();
    while !input.0.is_empty() {
        let [len, kind, flags, code, id, aux] = [4, 1, 1, 2, 4, 4].map(|len| input.number(len));
        let mut payload = input.take(len);
        match kind {
            1 => said.extend(payload.entries(2).map(|(key, mut value)| match key {
                7 => format!("compressions {:?}", value.0),
                8 => format!("encodings {:?}", value.0),
                12 => format!("agent {}", value.text()),
                _ => format!("limit {key}: {}", value.rest()),
            })),
            2..=4 => {
                let mut line = match kind {
                    2 => format!("call {id} within {aux}"),
                    3 => format!("answer {id} status {code}"),
                    _ => "one way".into(),
                };
                let mut method = (kind != 3).then(|| methods[code as usize].clone());
                if flags & 0x04 != 0 {
                    let len = payload.number(2);
                    for (key, mut value) in payload.take(len).entries(1) {
                        line += &match key {
                            0 => {
                                let len = value.number(1);
                                format!(" [{}: {:?}]", value.take(len).text(), value.0)
                            }
                            1 => format!(" [within {}]", value.rest()),
                            2 => {
                                let encoding = value.number(1);
                                method = Some((value.text(), encoding));
                                continue;
                            }
                            3 => format!(" [wait {}]", value.rest()),
                            4 => format!(" [because {}]", value.text()),
                            5 => format!(" [attempt {}]", value.rest()),
                            6 => " [executed]".into(),
                            _ => continue,
                        };
                    }
                }
                if let Some((name, encoding)) = method {
                    line += &format!(" to {name:?} in {encoding}");
                }
                line += [" raw", ""][usize::from(flags & 0x10 == 0)];
                let total = (flags & 0x01 != 0).then(|| payload.number(8));
                let message = Message {
                    line,
                    is_error: kind == 3 && code != 0,
                    is_compressed: flags & 0x08 != 0,
                    body: payload.0.to_vec(),
                };
                match total {
                    Some(total) => assert!(under_way.insert(id, (message, total)).is_none()),
                    None => said.push(message.text()),
                }
            }
            5 => {
                under_way.get_mut(&id).unwrap().0.body.extend(payload.0);
                if flags & 0x20 != 0 {
                    let (message, total) = under_way.remove(&id).unwrap();
                    assert!([message.body.len() as u64, u64::MAX].contains(&total));
                    said.push(message.text());
                }
            }
            6 => {
                said.extend(under_way.remove(&id).map(|(cut, _)| cut.line + " in part"));
                said.push(format!("cancel {id} for {code}"));
            }
            8 => said.push(format!("ping {aux}")),
            9 => said.push(format!("pong {aux}")),
            10 => said.push(format!("farewell for {code}: {}", payload.text())),
            12 => {
                assert_eq!(code as usize, methods.len());
                let len = payload.number(1);
                let name = payload.take(len).text();
                let encoding = payload.entries(2).find(|(key, _)| *key == 1);
                methods.push((name, encoding.map_or(0, |(_, mut value)| value.rest())));
            }
            128.. => {}
            _ => panic!("kind {kind}"),
        }
    }
    assert!(under_way.is_empty());
    said
}

impl Message {
    fn text(self) -> String {
        let (mut said, mut body) = (self.line, Cursor(&self.body));
        if self.is_compressed {
            let (algorithm, len) = (body.number(1), body.number(4));
            return said + &format!(" compressed: by {algorithm} from {len} bytes");
        }
        said += ":";
        if self.is_error {
            let len = body.number(2);
            said += &format!(" {:?}", body.take(len).text());
        }
        match body.0.len() {
            0..100 => said + " " + &body.text(),
            len => said + &format!(" {len} bytes"),
        }
    }
}
