//! What travels in R: about 200 bytes each, the same in every run.

use bytes::Bytes;
use serde::Serialize;

use crate::Error;
use crate::workload::Content;

/// Messages before they repeat: more than a compressor's window holds.
const MESSAGES: usize = 4096;

/// As long as a message of JSON is on average.
const BYTES: usize = 210;

pub(super) fn messages(content: Content) -> Result<Vec<Bytes>, Error> {
    let mut random = Random(1);
    (0..MESSAGES)
        .map(|_| match content {
            Content::Json => parcel(&mut random),
            Content::Text => Ok(sentences(&mut random)),
            Content::Random => Ok((0..BYTES).map(|_| random.below(256) as u8).collect()),
        })
        .collect()
}

/// What a service might say about its parcels.
fn parcel(random: &mut Random) -> Result<Bytes, Error> {
    #[derive(Serialize)]
    struct Parcel<'a> {
        id: u64,
        status: &'a str,
        carrier: &'a str,
        from: &'a str,
        to: &'a str,
        grams: u64,
        tracking: String,
        updated_ms: u64,
        fragile: bool,
        note: &'a str,
    }
    const STATUS: [&str; 4] = ["received", "in transit", "out for delivery", "delivered"];
    const PLACE: [&str; 5] = ["Rotterdam", "Wien", "København", "Lyon", "Gdańsk"];
    const NOTE: [&str; 3] = ["leave with the neighbours", "ring twice", ""];
    Ok(Bytes::from(serde_json::to_vec(&Parcel {
        id: random.below(1 << 31) as u64,
        status: random.of(&STATUS),
        carrier: "Havenstoomvaart",
        from: random.of(&PLACE),
        to: random.of(&PLACE),
        grams: random.below(20_000) as u64,
        tracking: format!(
            "{:08X}-{:08X}",
            random.below(1 << 31),
            random.below(1 << 31)
        ),
        updated_ms: 1_700_000_000_000 + random.below(1 << 31) as u64,
        fragile: random.below(2) == 1,
        note: random.of(&NOTE),
    })?))
}

/// Sentences of common words, of which a few are much more common.
fn sentences(random: &mut Random) -> Bytes {
    const WORDS: &str = "the of and a to in is it you that he was for on are with as I his they be at one have this \
        from or had by hot but some what there we can out other were all your when up use word how said each she which \
        do their time if will way about many then them would write like so these her long make thing see him two has \
        look more day could go come did my sound no most number who over know water than call first people may down \
        side been now find any new work part take get place made live where after back little only round man year came \
        show every good me give our under name very through just form much great think say help low line before turn \
        cause same mean differ move right boy old too does tell sentence set three want air well also play small end \
        put home read hand port large spell add even land here must big high such follow act why ask men change went \
        light kind off need house picture try us again animal point mother world near build self earth father";
    let words: Vec<_> = WORDS.split_whitespace().collect();
    let mut text = String::new();
    while text.len() < BYTES {
        // The smaller of two: the earlier a word stands, the more common it is.
        let at = random.below(words.len()).min(random.below(words.len()));
        text += words[at];
        text += if random.below(12) == 0 { ". " } else { " " };
    }
    text.into()
}

/// The multiplier of Knuth's MMIX, whose upper bits are random enough here.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }

    fn of<'a>(&mut self, texts: &[&'a str]) -> &'a str {
        texts[self.below(texts.len())]
    }
}
