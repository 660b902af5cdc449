//! Takes the markers that stand in a cell's standard output apart from its text.
//!
//! Libraries show content and send Jupyter messages by lines that begin with `EVCXR_`. Text is text
//! unless all of a marker is there. A message counts wherever the rest of its line is one, and
//! content wherever a MIME type and nothing else follows on the line and its end is found: a
//! `print!` may have left text without a newline before them. The other markers are whole lines.

use memchr::memmem;
use serde_json::Value;

/// More is not held back for the end of content or of a line: it is text then.
const HELD: usize = 1 << 26;

const BEGIN: &[u8] = b"EVCXR_";
const MESSAGE: &[u8] = b"EVCXR_JUPYTER_MESSAGE ";
const BEGIN_CONTENT: &[u8] = b"EVCXR_BEGIN_CONTENT ";
const END_CONTENT: &[u8] = b"EVCXR_END_CONTENT";
const INPUT: &[u8] = b"EVCXR_INPUT_REQUEST:";
const PASSWORD: &[u8] = b"EVCXR_INPUT_REQUEST_PASSWORD:";
const FLUSH: &[u8] = b"EVCXR_FLUSH_OUTPUT";
/// Those that count anywhere in a line, then those that are lines of their own.
const MARKERS: [&[u8]; 5] = [MESSAGE, BEGIN_CONTENT, INPUT, PASSWORD, FLUSH];

/// A part of a cell's standard output.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Text, as it came.
    Text(Vec<u8>),
    /// A Jupyter message: an object with the texts `type` and an object `content`.
    Message(Vec<u8>),
    /// Content of a MIME type.
    Content(String, Vec<u8>),
}

/// What the next question for a line says to the reader.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Prompt {
    /// Its words.
    pub(crate) text: String,
    /// Whether the answer is hidden.
    pub(crate) is_password: bool,
}

/// Holds back what may become a marker, and nothing else.
#[derive(Debug, Default)]
pub(crate) struct Splitter {
    held: Vec<u8>,
    /// How much of `held` is known to be no marker, or searched for the end of the content.
    searched: usize,
    /// Where `held` begins with a marker: how much of it has no newline.
    unended: usize,
    /// Whether `held` begins in the middle of a line.
    in_line: bool,
    /// Once content has begun: the length of the line that began it, which stands first in `held`.
    content: Option<usize>,
    /// A prompt, and the line that it came in.
    prompt: Option<(Prompt, Vec<u8>)>,
}

/// What can be done with the beginning of what is held.
enum Step {
    /// Nothing without more bytes.
    Wait,
    /// So many bytes are text.
    Text(usize),
    /// A message: its place, its length and the length of the marker before it.
    Message(usize),
    /// Content begins; the length of the line.
    Content(usize),
    /// A line that asks the reader; its length, and whether for a password.
    Prompt(usize, bool),
    /// A line that is dropped; its length.
    Drop(usize),
}

impl Splitter {
    /// Takes the next bytes.
    pub(crate) fn push(&mut self, bytes: &[u8], mut part: impl FnMut(Part)) {
        self.held.extend_from_slice(bytes);
        while self.step(&mut part) {}
        if self.held.len() > HELD {
            self.give_up(&mut part);
        }
    }

    /// The prompt for a question that the cell asks now.
    pub(crate) fn prompt(&mut self) -> Prompt {
        self.prompt.take().map(|(prompt, _)| prompt).unwrap_or_default()
    }

    /// The cell has ended: what was held back is text after all.
    pub(crate) fn finish(&mut self, mut part: impl FnMut(Part)) {
        while self.content.is_some() {
            self.give_up(&mut part);
        }
        let rest = self.held.len();
        self.text(rest, &mut part);
        self.in_line = false;
        if let Some((_, line)) = self.prompt.take() {
            part(Part::Text(line));
        }
    }

    /// Content that has begun, or else all that is held, is text after all.
    fn give_up(&mut self, part: &mut impl FnMut(Part)) {
        match self.content.take() {
            Some(line) => {
                self.searched = 0;
                self.text(line, part);
                while self.step(part) {}
            }
            None => self.text(self.held.len(), part),
        }
    }

    /// Hands one part out; `false` if more bytes are needed for the next.
    fn step(&mut self, part: &mut impl FnMut(Part)) -> bool {
        if let Some(line) = self.content {
            return self.content_step(line, part);
        }
        match self.next() {
            Step::Wait => return false,
            Step::Text(0) => return false,
            Step::Text(length) => self.text(length, part),
            Step::Message(length) => {
                let line = self.take(length);
                part(Part::Message(line[MESSAGE.len()..length - 1].to_vec()));
            }
            Step::Content(length) => (self.content, self.searched) = (Some(length), length),
            Step::Prompt(length, is_password) => {
                let line = self.take(length);
                let text =
                    &line[if is_password { PASSWORD.len() } else { INPUT.len() }..length - 1];
                let text = String::from_utf8_lossy(text).into_owned();
                if let Some((_, unread)) = self.prompt.replace((Prompt { text, is_password }, line))
                {
                    part(Part::Text(unread));
                }
            }
            Step::Drop(length) => drop(self.take(length)),
        }
        true
    }

    /// What stands first in what is held.
    fn next(&mut self) -> Step {
        let Some(at) = memmem::find(&self.held[self.searched..], BEGIN) else {
            let keep = longest_beginning(&self.held[self.searched..]);
            return Step::Text(self.held.len() - keep);
        };
        let start = self.searched + at;
        let rest = &self.held[start..];
        let is_line = match start.checked_sub(1) {
            Some(before) => self.held[before] == b'\n',
            None => !self.in_line,
        };
        let known = if is_line { &MARKERS[..] } else { &MARKERS[..2] };
        let is_marker = |marker: &&&[u8]| rest.starts_with(marker);
        let Some(marker) = known.iter().find(is_marker) else {
            if known.iter().any(|marker| marker.starts_with(rest)) {
                return Step::Text(start);
            }
            self.searched = start + BEGIN.len();
            return self.next();
        };
        let from = if start == 0 { self.unended } else { 0 };
        let end = memchr::memchr(b'\n', &rest[from..]).map(|at| from + at);
        // Text before the marker need not wait, but the line's end decides.
        if start > 0 && (end.is_some() || may_be(marker, rest)) {
            self.searched = 0;
            return Step::Text(start);
        }
        let Some(end) = end.filter(|end| start == 0 && may_be(marker, &rest[..*end])) else {
            if end.is_none() && may_be(marker, rest) {
                self.unended = self.held.len();
                return Step::Wait;
            }
            self.searched = start + BEGIN.len();
            return self.next();
        };
        let (line, length) = (&rest[..end], end + 1);
        match *marker {
            MESSAGE if is_message(&line[MESSAGE.len()..]) => Step::Message(length),
            BEGIN_CONTENT if is_mime(&line[BEGIN_CONTENT.len()..]) => Step::Content(length),
            INPUT => Step::Prompt(length, false),
            PASSWORD => Step::Prompt(length, true),
            FLUSH if line == FLUSH => Step::Drop(length),
            _ => {
                self.searched = BEGIN.len();
                self.next()
            }
        }
    }

    /// Looks for the end of content, whose first line is so long.
    fn content_step(&mut self, line: usize, part: &mut impl FnMut(Part)) -> bool {
        // From the newline before, which belongs to the marker.
        let from = self.searched - 1;
        for at in memmem::find_iter(&self.held[from..], b"\nEVCXR_") {
            let newline = from + at;
            let rest = &self.held[newline + 1..];
            self.searched = newline + 1;
            let Some(end) = memchr::memchr(b'\n', rest) else {
                // A line that is longer than any end of content is looked at no more.
                if rest.len() <= BEGIN_CONTENT.len() || rest.starts_with(BEGIN_CONTENT) {
                    return false;
                }
                continue;
            };
            if &rest[..end] == END_CONTENT {
                let kind = &self.held[BEGIN_CONTENT.len()..line - 1];
                let kind = String::from_utf8_lossy(kind).into_owned();
                let content = self.held[line.min(newline)..newline].to_vec();
                self.content = None;
                drop(self.take(newline + 1 + end + 1));
                part(Part::Content(kind, content));
                return true;
            }
            // Content does not hold content: the first beginning had no end.
            if rest.starts_with(BEGIN_CONTENT) && is_mime(&rest[BEGIN_CONTENT.len()..end]) {
                self.content = None;
                self.text(newline + 1, part);
                return true;
            }
        }
        let keep = BEGIN.len() + 1;
        self.searched = self.searched.max(self.held.len().saturating_sub(keep)).max(line);
        false
    }

    fn text(&mut self, length: usize, part: &mut impl FnMut(Part)) {
        if length > 0 {
            let text = self.take(length);
            part(Part::Text(text));
        }
    }

    fn take(&mut self, length: usize) -> Vec<u8> {
        let taken: Vec<u8> = self.held.drain(..length).collect();
        self.in_line = taken.last() != Some(&b'\n');
        (self.searched, self.unended) = (0, 0);
        taken
    }
}

/// Whether a line that begins with a marker may still be one, as far as it is known.
fn may_be(marker: &[u8], line: &[u8]) -> bool {
    let rest = &line[marker.len()..];
    match marker {
        MESSAGE => rest.first().is_none_or(|first| *first == b'{'),
        BEGIN_CONTENT => rest.len() <= 200 && rest.iter().all(|byte| is_mime_byte(*byte)),
        FLUSH => rest.is_empty(),
        _ => true,
    }
}

fn is_message(json: &[u8]) -> bool {
    serde_json::from_slice::<Value>(json)
        .is_ok_and(|message| message["type"].is_string() && message["content"].is_object())
}

fn is_mime(kind: &[u8]) -> bool {
    let mut parts = kind.split(|byte| *byte == b'/');
    let has_two = parts.next().is_some_and(|part| !part.is_empty())
        && parts.next().is_some_and(|part| !part.is_empty());
    has_two && kind.iter().all(|byte| is_mime_byte(*byte))
}

fn is_mime_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"/+-._;=\"".contains(&byte)
}

/// Length of the longest end of `bytes` with which a marker may begin.
fn longest_beginning(bytes: &[u8]) -> usize {
    (1..BEGIN.len()).rev().find(|length| bytes.ends_with(&BEGIN[..*length])).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(pieces: &[&str]) -> Vec<Part> {
        let mut splitter = Splitter::default();
        let mut parts: Vec<Part> = Vec::new();
        let mut keep = |part| match (parts.last_mut(), part) {
            (Some(Part::Text(before)), Part::Text(after)) => before.extend(after),
            (_, part) => parts.push(part),
        };
        for piece in pieces {
            splitter.push(piece.as_bytes(), &mut keep);
        }
        splitter.finish(&mut keep);
        parts
    }

    fn text(text: &str) -> Part {
        Part::Text(text.into())
    }

    fn content(kind: &str, content: &str) -> Part {
        Part::Content(kind.into(), content.into())
    }

    const JSON: &str = r#"{"type":"display_data","content":{}}"#;

    #[test]
    fn any_cut_of_the_output_gives_the_same_parts() {
        let output = format!(
            "loss 1\rloss 2EVCXR_JUPYTER_MESSAGE {JSON}\nEVCXR_ is text, EVCXR_PAN too\n\
             EVCXR_BEGIN_CONTENT image/svg+xml\n<svg>\n</svg>\nEVCXR_END_CONTENT\n\
             xEVCXR_BEGIN_CONTENT text/plain\n\nEVCXR_END_CONTENT\n\
             EVCXR_BEGIN_CONTENT text/html\nEVCXR_END_CONTENT\n\
             EVCXR_FLUSH_OUTPUT\nEVCXR_PANIC_NOTIFICATION\nEVC"
        );
        let expected = [
            text("loss 1\rloss 2"),
            Part::Message(JSON.into()),
            text("EVCXR_ is text, EVCXR_PAN too\n"),
            content("image/svg+xml", "<svg>\n</svg>"),
            text("x"),
            content("text/plain", ""),
            content("text/html", ""),
            text("EVCXR_PANIC_NOTIFICATION\nEVC"),
        ];
        assert_eq!(split(&[&output]), expected);
        for cut in 1..output.len() {
            assert_eq!(split(&[&output[..cut], &output[cut..]]), expected, "cut at {cut}");
        }
        let bytes: Vec<String> = output.chars().map(String::from).collect();
        assert_eq!(split(&bytes.iter().map(String::as_str).collect::<Vec<_>>()), expected);
    }

    #[test]
    fn text_without_a_newline_is_not_held_back() {
        let mut splitter = Splitter::default();
        let mut parts = Vec::new();
        for piece in ["50 %", "\r60 %", " of EVCXR_ and EVCXR_JUPYTER_MESSAGE s"] {
            splitter.push(piece.as_bytes(), |part| parts.push(part));
            assert_eq!(parts.pop(), Some(text(piece)));
        }
    }

    #[test]
    fn lines_that_only_evcxr_itself_writes_are_text() {
        for line in [
            "EVCXR_VARIABLE_CHANGED_TYPE:x\n",
            "EVCXR_PANIC_NOTIFICATION\n",
            "EVCXR_EXECUTION_COMPLETE\n",
            "EVCXR_ERROR_OCCURRED\n",
            "EVCXR_END_CONTENT\n",
            "EVCXR_INPUT_REQUESTS:x\n",
            "an EVCXR_INPUT_REQUEST:x\n",
            "an EVCXR_FLUSH_OUTPUT\n",
            "EVCXR_FLUSH_OUTPUTS\n",
            "EVCXR_BEGIN_CONTENT is a line\n",
            "EVCXR_BEGIN_CONTENT plain\n",
            "EVCXR_JUPYTER_MESSAGE {\"a\":1}\n",
            "\"EVCXR_JUPYTER_MESSAGE {\"type\":\"a\",\"content\":{}}\"\n",
        ] {
            assert_eq!(split(&[line]), [text(line)]);
            let twice = format!("{line}{line}");
            assert_eq!(split(&[&twice]), [text(&twice)]);
        }
    }

    #[test]
    fn content_without_an_end_is_text_and_hides_no_other() {
        let output = "EVCXR_BEGIN_CONTENT text/plain\n12";
        assert_eq!(split(&[output]), [text(output)]);
        let parts = split(&[
            "say EVCXR_BEGIN_CONTENT text/plain\n12\n",
            "EVCXR_BEGIN_CONTENT text/html\n<b>\nEVCXR_END_CONTENT\n",
        ]);
        let expected =
            [text("say EVCXR_BEGIN_CONTENT text/plain\n12\n"), content("text/html", "<b>")];
        assert_eq!(parts, expected);
        let message = format!("EVCXR_BEGIN_CONTENT text/plain\nEVCXR_JUPYTER_MESSAGE {JSON}\n");
        let expected = [text("EVCXR_BEGIN_CONTENT text/plain\n"), Part::Message(JSON.into())];
        assert_eq!(split(&[&message]), expected);
    }

    #[test]
    fn what_never_ends_is_not_held_for_ever() {
        for begin in ["EVCXR_BEGIN_CONTENT text/plain\n", "EVCXR_JUPYTER_MESSAGE {"] {
            let mut splitter = Splitter::default();
            let piece = vec![b'x'; 1 << 20];
            let mut text = 0;
            let mut count = |part| match part {
                Part::Text(part) => text += part.len(),
                other => panic!("{other:?}"),
            };
            splitter.push(begin.as_bytes(), &mut count);
            for _ in 0..70 {
                splitter.push(&piece, &mut count);
                assert!(splitter.held.len() <= HELD);
            }
            splitter.finish(&mut count);
            assert_eq!(text, begin.len() + 70 * piece.len());
        }
    }

    #[test]
    fn a_prompt_is_for_the_next_question_and_else_text() {
        let mut splitter = Splitter::default();
        let mut parts = Vec::new();
        splitter.push(b"a\nEVCXR_INPUT_REQUEST:at 10:30?\n", |part| parts.push(part));
        assert_eq!(parts, [text("a\n")]);
        let prompt = Prompt { text: "at 10:30?".into(), is_password: false };
        assert_eq!(splitter.prompt(), prompt);
        assert_eq!(splitter.prompt(), Prompt::default());
        splitter.push(b"EVCXR_INPUT_REQUEST_PASSWORD:key\n", |part| parts.push(part));
        assert_eq!(splitter.prompt(), Prompt { text: "key".into(), is_password: true });
        splitter.push(b"EVCXR_INPUT_REQUEST:nobody\n", |part| parts.push(part));
        splitter.finish(|part| parts.push(part));
        assert_eq!(parts[1..], [text("EVCXR_INPUT_REQUEST:nobody\n")]);
    }

    /// Text and markers, whole ones and parts of them, in any order.
    fn output() -> impl Strategy<Value = String> {
        let words = || {
            proptest::sample::select(vec![
                "EVCXR_",
                "EVCXR_JUPYTER_MESSAGE ",
                "EVCXR_BEGIN_CONTENT ",
                "EVCXR_BEGIN_CONTENT text/plain\n",
                "EVCXR_END_CONTENT\n",
                "\nEVCXR_END_CONTENT\n",
                "EVCXR_FLUSH_OUTPUT\n",
                "EVCXR_FLUSH_OUTPUT",
                "\n",
                "{}\n",
                "{\"type\":\"a\",\"content\":{}}\n",
                "text/plain\n",
            ])
        };
        let part =
            (words(), 0..30_usize).prop_map(|(word, cut)| word[..cut.min(word.len())].to_owned());
        let any = prop_oneof![words().prop_map(str::to_owned), part, "[a-z\n_]{0,4}"];
        proptest::collection::vec(any, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn cuts_make_no_difference(
            whole in output(), mut cuts in proptest::collection::vec(0..300_usize, 0..6)
        ) {
            let parts = split(&[&whole]);
            cuts.iter_mut().for_each(|cut| *cut = (*cut).min(whole.len()));
            cuts.sort_unstable();
            let starts = [0].into_iter().chain(cuts.iter().copied());
            let ends = cuts.iter().copied().chain([whole.len()]);
            let pieces: Vec<&str> = starts.zip(ends).map(|(start, end)| &whole[start..end]).collect();
            prop_assert_eq!(&split(&pieces), &parts);
        }

        #[test]
        fn nothing_is_lost(whole in output()) {
            let mut again = String::new();
            for part in split(&[&whole]) {
                match part {
                    Part::Text(text) => again += std::str::from_utf8(&text).unwrap(),
                    Part::Message(json) => {
                        again += "EVCXR_JUPYTER_MESSAGE ";
                        again += std::str::from_utf8(&json).unwrap();
                        again.push('\n');
                    }
                    Part::Content(kind, content) => {
                        again += &format!("EVCXR_BEGIN_CONTENT {kind}\n");
                        again += std::str::from_utf8(&content).unwrap();
                        again += "\nEVCXR_END_CONTENT\n";
                    }
                }
            }
            // A line to flush is dropped, and empty content may have a line of its own or none.
            let plain = |text: &str| {
                text.replace("EVCXR_FLUSH_OUTPUT\n", "").replace("\n\nEVCXR_END", "\nEVCXR_END")
            };
            prop_assert_eq!(plain(&again), plain(&whole));
        }

        #[test]
        fn bytes_without_a_marker_are_text(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut splitter = Splitter::default();
            let mut text = Vec::new();
            let mut keep = |part| match part {
                Part::Text(part) => text.extend(part),
                other => panic!("{other:?}"),
            };
            for piece in bytes.chunks(7) {
                splitter.push(piece, &mut keep);
            }
            splitter.finish(&mut keep);
            prop_assert_eq!(text, bytes);
        }
    }
}
