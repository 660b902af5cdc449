//! Takes the markers that stand in a cell's standard output apart from its text.
//!
//! evcxr's generated code and evcxr_runtime write lines that begin with `EVCXR_`; a library
//! writes Jupyter messages the same way. Text without a newline may stand before a marker.

/// Begins a line that is a Jupyter message, as JSON: `{"type": …, "content": …}`.
pub(super) const MESSAGE: &str = "EVCXR_JUPYTER_MESSAGE ";
/// What evcxr expects when a cell has returned.
pub(super) const COMPLETE: &str = "EVCXR_EXECUTION_COMPLETE";

const BEGIN: &[u8] = b"EVCXR_";
// These two are whole lines: a longer word that begins so is text.
const PANICKED: &str = "EVCXR_PANIC_NOTIFICATION\n";
const FAILED: &str = "EVCXR_ERROR_OCCURRED\n";
const TYPE_CHANGED: &str = "EVCXR_VARIABLE_CHANGED_TYPE:";
const INPUT: &str = "EVCXR_INPUT_REQUEST:";
const PASSWORD: &str = "EVCXR_INPUT_REQUEST_PASSWORD:";
const BEGIN_CONTENT: &str = "EVCXR_BEGIN_CONTENT ";
const END_CONTENT: &[u8] = b"\nEVCXR_END_CONTENT\n";
const MARKERS: [&str; 7] =
    [MESSAGE, PANICKED, FAILED, TYPE_CHANGED, INPUT, PASSWORD, BEGIN_CONTENT];

/// A part of a cell's standard output.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Text, as it came.
    Text(Vec<u8>),
    /// A Jupyter message.
    Message(Vec<u8>),
    /// MIME type, a newline, content.
    Content(Vec<u8>),
    /// A line that evcxr waits for: the cell panicked.
    Panicked(String),
    /// A line that evcxr waits for: `?` ended the cell.
    Failed(String),
    /// Another line that evcxr waits for.
    ForEvcxr(String),
}

/// Holds back what may become a marker, and nothing else.
#[derive(Debug, Default)]
pub(super) struct Splitter {
    held: Vec<u8>,
    /// The MIME type, once content has begun.
    content: Option<Vec<u8>>,
    /// How much of `held` has been searched for the end of the content.
    searched: usize,
}

impl Splitter {
    /// Takes the next bytes.
    pub(super) fn push(&mut self, bytes: &[u8], mut part: impl FnMut(Part)) {
        self.held.extend_from_slice(bytes);
        while self.step(&mut part) {}
    }

    /// The cell has ended: what was held back is text after all.
    pub(super) fn finish(&mut self, mut part: impl FnMut(Part)) {
        let mut text = match self.content.take() {
            // Its end never came.
            Some(kind) => [BEGIN_CONTENT.as_bytes(), &kind, b"\n"].concat(),
            None => Vec::new(),
        };
        text.append(&mut self.held);
        self.searched = 0;
        if !text.is_empty() {
            part(Part::Text(text));
        }
    }

    /// Hands one part out; `false` if more bytes are needed for the next.
    fn step(&mut self, part: &mut impl FnMut(Part)) -> bool {
        if self.content.is_some() {
            return self.content_step(part);
        }
        let Some(start) = find(&self.held, BEGIN) else {
            let keep = longest_beginning(&self.held);
            self.text(self.held.len() - keep, part);
            return false;
        };
        let rest = &self.held[start..];
        let Some(marker) = MARKERS.iter().find(|marker| rest.starts_with(marker.as_bytes())) else {
            let may_become = MARKERS.iter().any(|marker| marker.as_bytes().starts_with(rest));
            self.text(if may_become { start } else { start + BEGIN.len() }, part);
            return !may_become;
        };
        let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
            self.text(start, part);
            return false;
        };
        let line = rest[..end].to_vec();
        self.text(start, part);
        self.held.drain(..=end);
        let line_text = || String::from_utf8_lossy(&line).into_owned();
        match *marker {
            BEGIN_CONTENT => self.content = Some(line[BEGIN_CONTENT.len()..].to_vec()),
            MESSAGE => part(Part::Message(line[MESSAGE.len()..].to_vec())),
            PANICKED => part(Part::Panicked(line_text())),
            FAILED => part(Part::Failed(line_text())),
            _ => part(Part::ForEvcxr(line_text())),
        }
        true
    }

    fn content_step(&mut self, part: &mut impl FnMut(Part)) -> bool {
        // Empty content ends with the marker's own line.
        let empty = self.held.starts_with(&END_CONTENT[1..]);
        let end = if empty {
            Some(0)
        } else {
            find(&self.held[self.searched..], END_CONTENT).map(|at| self.searched + at)
        };
        let panicked =
            find(&self.held[self.searched..], PANICKED.as_bytes()).map(|at| self.searched + at);
        // Whichever comes first, so that it makes no difference in which pieces the output arrives.
        match (end, panicked) {
            // Displaying it panicked half-way.
            (end, Some(at)) if end.is_none_or(|end| at < end) => {
                self.content = None;
                self.held.drain(..at);
                self.searched = 0;
                true
            }
            (Some(end), _) => {
                let mut content = self.content.take().unwrap_or_default();
                content.push(b'\n');
                content.extend_from_slice(&self.held[..end]);
                self.held.drain(..end + END_CONTENT.len() - usize::from(empty));
                self.searched = 0;
                part(Part::Content(content));
                true
            }
            (None, _) => {
                let marker = END_CONTENT.len().max(PANICKED.len());
                self.searched = self.held.len().saturating_sub(marker);
                false
            }
        }
    }

    fn text(&mut self, length: usize, part: &mut impl FnMut(Part)) {
        if length > 0 {
            part(Part::Text(self.held.drain(..length).collect()));
        }
    }
}

/// Length of the longest end of `bytes` with which a marker may begin.
fn longest_beginning(bytes: &[u8]) -> usize {
    (1..BEGIN.len()).rev().find(|length| bytes.ends_with(&BEGIN[..*length])).unwrap_or(0)
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, part)
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

    #[test]
    fn any_cut_of_the_output_gives_the_same_parts() {
        let output = "loss 1\rloss 2EVCXR_JUPYTER_MESSAGE {\"a\":1}\nEVCXR_ is text, EVCXR_PAN too\n\
                      EVCXR_BEGIN_CONTENT image/svg+xml\n<svg>\n</svg>\nEVCXR_END_CONTENT\n\
                      EVCXR_BEGIN_CONTENT text/plain\n\nEVCXR_END_CONTENT\n\
                      EVCXR_INPUT_REQUEST:name\nEVCXR_PANIC_NOTIFICATION\nEVC";
        let expected = [
            text("loss 1\rloss 2"),
            Part::Message(b"{\"a\":1}".to_vec()),
            text("EVCXR_ is text, EVCXR_PAN too\n"),
            Part::Content(b"image/svg+xml\n<svg>\n</svg>".to_vec()),
            Part::Content(b"text/plain\n".to_vec()),
            Part::ForEvcxr("EVCXR_INPUT_REQUEST:name".into()),
            Part::Panicked("EVCXR_PANIC_NOTIFICATION".into()),
            text("EVC"),
        ];
        assert_eq!(split(&[output]), expected);
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
        splitter.push(b"50 %", |part| parts.push(part));
        splitter.push(b"\r60 %", |part| parts.push(part));
        assert_eq!(parts, [text("50 %"), text("\r60 %")]);
    }

    #[test]
    fn a_panic_while_content_is_shown_drops_the_content() {
        let parts =
            split(&["EVCXR_BEGIN_CONTENT text/html\n<b>\nEVCXR_PANIC_NOTIFICATION\nafter\n"]);
        assert_eq!(parts, [Part::Panicked("EVCXR_PANIC_NOTIFICATION".into()), text("after\n")]);
    }

    #[test]
    fn a_longer_word_that_begins_like_a_marker_is_text() {
        for word in
            ["PANIC_NOTIFICATIONS", "ERROR_OCCURRED_TWICE", "INPUT_REQUESTS", "BEGIN_CONTENTS"]
        {
            let line = format!("EVCXR_{word} are text\n");
            assert_eq!(split(&[&line]), [text(&line)]);
        }
    }

    #[test]
    fn content_without_an_end_is_text() {
        let output = "EVCXR_BEGIN_CONTENT text/plain\n12";
        assert_eq!(split(&[output]), [text(output)]);
    }

    /// What the output was before it was taken apart.
    fn put_together(parts: &[Part]) -> Vec<u8> {
        let mut output = Vec::new();
        for part in parts {
            match part {
                Part::Text(text) => output.extend_from_slice(text),
                Part::Message(json) => output.extend([MESSAGE.as_bytes(), json, b"\n"].concat()),
                Part::Content(content) => {
                    output.extend([BEGIN_CONTENT.as_bytes(), content].concat());
                    let empty =
                        content.iter().position(|byte| *byte == b'\n') == Some(content.len() - 1);
                    output.extend_from_slice(&END_CONTENT[usize::from(empty)..]);
                }
                Part::Panicked(line) | Part::Failed(line) | Part::ForEvcxr(line) => {
                    output.extend(format!("{line}\n").into_bytes());
                }
            }
        }
        output
    }

    /// Text and markers, whole ones and parts of them, in any order.
    fn output() -> impl Strategy<Value = String> {
        let others = [
            "EVCXR_",
            "EVCXR_END_CONTENT\n",
            "\nEVCXR_END_CONTENT\n",
            "\n",
            "{}\n",
            "text/plain\n",
            "EVCXR_EXECUTION_COMPLETE\n",
        ];
        let words = || proptest::sample::select([&MARKERS[..], &others[..]].concat());
        let part =
            (words(), 0..30_usize).prop_map(|(word, cut)| word[..cut.min(word.len())].to_owned());
        let any = prop_oneof![words().prop_map(str::to_owned), part, "[a-z\n_]{0,4}"];
        proptest::collection::vec(any, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_cuts_make_no_difference(
            whole in output(), mut cuts in proptest::collection::vec(0..300_usize, 0..6)
        ) {
            let parts = split(&[&whole]);
            cuts.iter_mut().for_each(|cut| *cut = (*cut).min(whole.len()));
            cuts.sort_unstable();
            let starts = [0].into_iter().chain(cuts.iter().copied());
            let ends = cuts.iter().copied().chain([whole.len()]);
            let pieces: Vec<&str> = starts.zip(ends).map(|(start, end)| &whole[start..end]).collect();
            prop_assert_eq!(&split(&pieces), &parts);
            // Content is left out, with the marker before it, where showing it has panicked.
            if !parts.iter().any(|part| matches!(part, Part::Panicked(_))) {
                // Empty content may have a line of its own or none.
                let same = |output: &str| output.replace("\n\nEVCXR_END", "\nEVCXR_END");
                let again = String::from_utf8(put_together(&parts)).unwrap();
                prop_assert_eq!(same(&again), same(&whole));
            }
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

        #[test]
        fn what_holds_no_whole_marker_is_text(whole in output()) {
            let is_marked = MARKERS.iter().any(|marker| {
                let mut found = whole.match_indices(marker);
                found.any(|(at, _)| whole[at + marker.len() - 1..].contains('\n'))
            });
            let parts = split(&[&whole]);
            let expected = if whole.is_empty() { Vec::new() } else { vec![text(&whole)] };
            prop_assert!(is_marked || parts == expected, "{:?}", parts);
        }
    }
}
