//! Documentation as it is written, made what a notebook can show.

use pulldown_cmark::{
    BrokenLink, CodeBlockKind, CowStr, Event, HeadingLevel, Options, Parser, Tag, TagEnd, html,
};

/// Words before a block of code that rustdoc takes for Rust.
const RUST: [&str; 7] =
    ["", "rust", "ignore", "no_run", "should_panic", "compile_fail", "test_harness"];

/// As plain text: paragraphs, lists and code that is set in by four spaces.
pub(crate) fn plain(markdown: &str) -> String {
    written(markdown, Text::default())
}

/// As plain text, where code that stands before everything else is no example, but what is told about.
pub(crate) fn plain_below_code(markdown: &str) -> String {
    written(markdown, Text { is_head: true, ..Text::default() })
}

fn written(markdown: &str, mut text: Text) -> String {
    for event in events(markdown) {
        text.event(event);
    }
    text.written.trim_end().to_owned()
}

/// As simple HTML: no tags of its own, no images, no links but those to the web.
pub(crate) fn html(markdown: &str) -> String {
    let is_web = |url: &str| url.starts_with("https://") || url.starts_with("http://");
    let mut links = Vec::new();
    let events = events(markdown).into_iter().filter_map(move |event| match event {
        Event::Start(Tag::Link { ref dest_url, .. }) => {
            links.push(is_web(dest_url));
            is_web(dest_url).then_some(event)
        }
        Event::End(TagEnd::Link) => links.pop().unwrap_or_default().then_some(event),
        Event::Start(Tag::Image { .. }) | Event::End(TagEnd::Image) => None,
        // Beside the headings of a notebook, large ones are too loud.
        Event::Start(Tag::Heading { id, classes, attrs, .. }) => {
            Some(Event::Start(Tag::Heading { level: HeadingLevel::H4, id, classes, attrs }))
        }
        Event::End(TagEnd::Heading(_)) => Some(Event::End(TagEnd::Heading(HeadingLevel::H4))),
        event => Some(event),
    });
    let mut written = String::new();
    html::push_html(&mut written, events);
    written.trim_end().to_owned()
}

/// The parts of a text without its tags, and without what its examples hide.
fn events(markdown: &str) -> Vec<Event<'_>> {
    // `[Vec]` links to an item by its name alone.
    let mut by_name =
        |link: BrokenLink<'_>| Some((CowStr::from(link.reference.into_string()), CowStr::from("")));
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH;
    let parser = Parser::new_with_broken_link_callback(markdown, options, Some(&mut by_name));
    let mut is_rust = false;
    parser
        .filter_map(|event| match event {
            Event::Html(_) | Event::InlineHtml(_) => None,
            Event::Start(Tag::HtmlBlock) | Event::End(TagEnd::HtmlBlock) => None,
            Event::Start(Tag::CodeBlock(kind)) => {
                is_rust = match &kind {
                    CodeBlockKind::Indented => true,
                    CodeBlockKind::Fenced(words) => words.split([',', ' ']).all(|word| {
                        RUST.contains(&word) || word.starts_with("edition") || is_error(word)
                    }),
                };
                let language = if is_rust { "rust".into() } else { language(kind) };
                Some(Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(language))))
            }
            Event::End(TagEnd::CodeBlock) => {
                is_rust = false;
                Some(event)
            }
            Event::Text(code) if is_rust => Some(Event::Text(shown(&code).into())),
            event => Some(event),
        })
        .collect()
}

fn language(kind: CodeBlockKind<'_>) -> CowStr<'_> {
    match kind {
        CodeBlockKind::Fenced(words) => words,
        CodeBlockKind::Indented => "".into(),
    }
}

/// An error's number behind `compile_fail`.
fn is_error(word: &str) -> bool {
    word.strip_prefix('E').is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
}

/// An example without the lines that rustdoc hides: those that begin with a `#` of their own.
fn shown(code: &str) -> String {
    let lines = code.split_inclusive('\n').filter_map(|line| {
        let trimmed = line.trim();
        match trimmed.strip_prefix("##") {
            Some(_) => Some(line.replacen("##", "#", 1)),
            None => (trimmed != "#" && !trimmed.starts_with("# ")).then(|| line.to_owned()),
        }
    });
    lines.collect()
}

/// Text as it is written.
#[derive(Debug, Default)]
struct Text {
    written: String,
    /// Before every line: the indentation of the lists around it.
    indent: String,
    /// For each list around, its next number if it has any.
    lists: Vec<Option<u64>>,
    /// Whether nothing but code and lines between it has come yet.
    is_head: bool,
    /// Whether a line stands between what was written and what comes.
    is_apart: bool,
}

impl Text {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(&tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) | Event::InlineMath(text) | Event::DisplayMath(text) => {
                self.push(&text)
            }
            Event::Code(code) => {
                self.push("`");
                self.push(&code);
                self.push("`");
            }
            Event::SoftBreak | Event::HardBreak => self.written.push('\n'),
            Event::Rule => self.is_apart = true,
            Event::Html(_) | Event::InlineHtml(_) => (),
            Event::FootnoteReference(_) | Event::TaskListMarker(_) => (),
        }
    }

    fn start(&mut self, tag: &Tag<'_>) {
        self.is_head &= matches!(tag, Tag::CodeBlock(_));
        match tag {
            Tag::CodeBlock(_) => {
                self.is_apart = true;
                if !self.is_head {
                    self.indent.push_str("    ");
                }
            }
            Tag::List(first) => self.lists.push(*first),
            Tag::Item => {
                let mark = match self.lists.last_mut() {
                    Some(Some(number)) => {
                        *number += 1;
                        format!("{}. ", *number - 1)
                    }
                    _ => "- ".to_owned(),
                };
                self.end_line();
                self.push(&mark);
                self.indent.push_str(&" ".repeat(mark.len()));
            }
            Tag::BlockQuote(_) => self.indent.push_str("  "),
            Tag::TableRow | Tag::TableHead => self.end_line(),
            Tag::TableCell => {
                let begins = self.is_apart || self.written.is_empty();
                if !begins && !self.written.ends_with('\n') {
                    self.push("  ");
                }
            }
            _ => (),
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Paragraph | TagEnd::Heading(_) | TagEnd::Table | TagEnd::HtmlBlock => {
                self.is_apart = true;
            }
            TagEnd::CodeBlock => {
                if !self.is_head {
                    self.shrink(4);
                }
                self.is_apart = true;
            }
            TagEnd::List(_) => {
                self.lists.pop();
                self.is_apart = self.lists.is_empty();
            }
            TagEnd::Item => {
                let mark = self.indent.len() - self.indent.trim_end_matches(' ').len();
                let width = match self.lists.last() {
                    Some(Some(next)) => format!("{}. ", next - 1).len(),
                    _ => 2,
                };
                self.shrink(width.min(mark));
            }
            TagEnd::BlockQuote(_) => self.shrink(2),
            _ => (),
        }
    }

    fn shrink(&mut self, by: usize) {
        self.indent.truncate(self.indent.len().saturating_sub(by));
    }

    fn end_line(&mut self) {
        if !self.written.is_empty() && !self.written.ends_with('\n') {
            self.written.push('\n');
        }
    }

    fn push(&mut self, text: &str) {
        if std::mem::take(&mut self.is_apart) && !self.written.is_empty() {
            self.end_line();
            self.written.push('\n');
        }
        for line in text.split_inclusive('\n') {
            let begins = self.written.is_empty() || self.written.ends_with('\n');
            if begins && line != "\n" {
                self.written.push_str(&self.indent);
            }
            self.written.push_str(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENTATION: &str = "Appends a [`str`] to\nthis [string](String).\n\n# Examples\n\n\
        ```should_panic\n# fn hidden() {}\nlet s = 1;\n\n#[a]\n## b\n```\n\nSee <b>also</b>:\n\n\
        - one\n  two\n- three\n\n1. four\n2. five\n\n```text\n# stays\n```\n\nend";

    #[test]
    fn plain_text_keeps_its_lines() {
        assert_eq!(
            plain(DOCUMENTATION),
            "Appends a `str` to\nthis string.\n\nExamples\n\n    let s = 1;\n\n    #[a]\n    # b\n\n\
             See also:\n\n- one\n  two\n- three\n\n1. four\n2. five\n\n    # stays\n\nend"
        );
    }

    #[test]
    fn code_before_all_else_is_not_set_in() {
        let text = "```rust\na::b\n```\n\n```rust\nfn c()\n```\n---\nText.\n```\nd();\n```";
        assert_eq!(plain_below_code(text), "a::b\n\nfn c()\n\nText.\n\n    d();");
        assert_eq!(plain(text), "    a::b\n\n    fn c()\n\nText.\n\n    d();");
    }

    #[test]
    fn html_has_code_paragraphs_and_lists_and_no_tags_of_others() {
        let html = html(DOCUMENTATION);
        assert!(html.starts_with(
            "<p>Appends a <code>str</code> to\nthis string.</p>\n<h4>Examples</h4>\n\
             <pre><code class=\"language-rust\">let s = 1;\n\n#[a]\n# b\n</code></pre>"
        ));
        assert!(html.contains("<p>See also:</p>\n<ul>\n<li>one\ntwo</li>"));
        assert!(html.contains("<ol>\n<li>four</li>"));
        assert!(html.ends_with("<p>end</p>"));
    }

    #[test]
    fn links_lead_to_the_web_or_nowhere() {
        let text = "[a](https://a.example/) [b](javascript:b()) ![c](https://c.example/c.png) \
                    <script>d</script> `<e>`";
        assert_eq!(
            html(text),
            "<p><a href=\"https://a.example/\">a</a> b c d <code>&lt;e&gt;</code></p>"
        );
        assert_eq!(plain(text), "a b c d `<e>`");
    }

    #[test]
    fn lists_within_lists_and_tables() {
        assert_eq!(plain("- a\n  - b\n\n    c\n- d"), "- a\n  - b\n\n    c\n- d");
        assert_eq!(plain("| a | b |\n|---|---|\n| c | d |"), "a  b\nc  d");
        assert_eq!(plain(""), "");
    }
}
