//! Frames: how entries lie in the file.

use serde::{Deserialize, Serialize};

/// Begins every frame.
const MARK: [u8; 4] = *b"\xF7OJ\n";
/// The mark, the length and the checksum.
pub const HEAD_BYTES: usize = 12;
/// No payload is larger: a batch's outcomes are far smaller, so a larger length is damage.
const PAYLOAD_BYTES_MAX: usize = 256 << 20;

/// A payload with what was durable when it was written.
#[derive(Serialize, Deserialize)]
pub struct Payload<T> {
    /// The file was durable up to this byte.
    #[serde(rename = "d")]
    pub durable: u64,
    /// The entry.
    #[serde(rename = "e")]
    pub entry: T,
}

/// Appends a frame to `out`.
pub fn write(payload: &[u8], out: &mut Vec<u8>) {
    // An entry covers one batch; batches are bounded far below 4 GiB.
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&MARK);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&crc32fast::hash(payload).to_le_bytes());
    out.extend_from_slice(payload);
}

/// The payload of the frame that begins at the start of `bytes`, if there is a whole and sound one.
pub fn read(bytes: &[u8]) -> Option<&[u8]> {
    let word = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    if bytes.get(..4)? != MARK {
        return None;
    }
    let length = usize::try_from(word(4)?)
        .ok()
        .filter(|length| *length <= PAYLOAD_BYTES_MAX)?;
    let payload = bytes.get(HEAD_BYTES..HEAD_BYTES + length)?;
    (crc32fast::hash(payload) == word(8)?).then_some(payload)
}

/// Where frames may begin in `bytes`.
pub fn marks(bytes: &[u8]) -> impl Iterator<Item = usize> {
    bytes
        .windows(MARK.len())
        .enumerate()
        .filter(|(_, window)| *window == MARK)
        .map(|(at, _)| at)
}
