//! A message as bytes: its parts, each behind its length. The first part is JSON, the others are buffers.

use serde_json::Value;

/// A message without its buffers, and the buffers.
pub(super) type Message = (Value, Vec<Vec<u8>>);

/// Bytes that are no message, or a message that has no bytes.
#[derive(Debug, thiserror::Error)]
pub(super) enum Malformed {
    /// The bytes end within a part, or there are none.
    #[error("the message ends within a part")]
    Cut,
    /// A part that is longer than its length can say.
    #[error("a part of {0} bytes is too long for a message")]
    TooLong(usize),
    /// The first part is something else.
    #[error("the message does not begin with JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// The bytes of a message.
pub(super) fn encode<B: AsRef<[u8]>>(message: &Value, buffers: &[B]) -> Result<Vec<u8>, Malformed> {
    let json = message.to_string();
    let mut bytes = Vec::new();
    for part in std::iter::once(json.as_bytes()).chain(buffers.iter().map(AsRef::as_ref)) {
        let length = u32::try_from(part.len()).map_err(|_| Malformed::TooLong(part.len()))?;
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(part);
    }
    Ok(bytes)
}

/// The message of these bytes.
pub(super) fn decode(mut bytes: &[u8]) -> Result<Message, Malformed> {
    let message = serde_json::from_slice(part(&mut bytes)?)?;
    let mut buffers = Vec::new();
    while !bytes.is_empty() {
        buffers.push(part(&mut bytes)?.to_vec());
    }
    Ok((message, buffers))
}

/// Takes the first part away.
fn part<'bytes>(bytes: &mut &'bytes [u8]) -> Result<&'bytes [u8], Malformed> {
    let (length, rest) = bytes.split_first_chunk().ok_or(Malformed::Cut)?;
    let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| Malformed::Cut)?;
    let (part, rest) = rest.split_at_checked(length).ok_or(Malformed::Cut)?;
    *bytes = rest;
    Ok(part)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_message_comes_back_with_its_buffers() {
        let message = json!({ "type": "comm_msg", "content": { "text": "é\n" } });
        for buffers in [vec![], vec![vec![]], vec![vec![0, 255], vec![], vec![7; 70_000]]] {
            let bytes = encode(&message, &buffers).unwrap();
            assert_eq!(decode(&bytes).unwrap(), (message.clone(), buffers));
        }
    }

    #[test]
    fn bytes_that_are_no_message_are_an_error_wherever_they_are_cut() {
        let bytes = encode(&json!({ "a": 1 }), &[[1, 2, 3]]).unwrap();
        let whole = [bytes.len(), bytes.len() - 7];
        for end in 0..=bytes.len() {
            assert_eq!(decode(&bytes[..end]).is_ok(), whole.contains(&end), "{end}");
        }
        assert!(matches!(decode(&[0, 0, 0, 0]), Err(Malformed::Json(_))));
        assert!(matches!(decode(&[255; 9]), Err(Malformed::Cut)));
        assert!(matches!(decode(&[1, 0, 0, 0, b'{']), Err(Malformed::Json(_))));
    }
}
