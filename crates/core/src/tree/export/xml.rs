//! Writing XML: elements, text, comments. Just what the documents of the tree need.

/// A document under way.
pub(super) struct Xml {
    text: String,
    open: Vec<&'static str>,
}

impl Xml {
    pub fn new(head: String) -> Self {
        Self { text: head, open: Vec::new() }
    }

    /// How many elements are open.
    pub fn depth(&self) -> usize {
        self.open.len()
    }

    pub fn open(&mut self, name: &'static str) {
        self.open_with(name, "");
    }

    /// `attributes` is written as it is.
    pub fn open_with(&mut self, name: &'static str, attributes: &str) {
        self.indent();
        let space = if attributes.is_empty() { "" } else { " " };
        self.push(&["<", name, space, attributes, ">\n"]);
        self.open.push(name);
    }

    pub fn close(&mut self) {
        if let Some(name) = self.open.pop() {
            self.indent();
            self.push(&["</", name, ">\n"]);
        }
    }

    pub fn empty(&mut self, name: &str) {
        self.indent();
        self.push(&["<", name, "/>\n"]);
    }

    pub fn text(&mut self, name: &str, text: &str) {
        if text.is_empty() {
            return self.empty(name);
        }
        self.indent();
        self.push(&["<", name, ">"]);
        self.escaped(text);
        self.push(&["</", name, ">\n"]);
    }

    /// An element with one empty element in it.
    pub fn choice(&mut self, name: &str, chosen: &str) {
        self.indent();
        self.push(&["<", name, "><", chosen, "/></", name, ">\n"]);
    }

    /// `text` must not hold `--`.
    pub fn comment(&mut self, text: &str) {
        self.indent();
        self.push(&["<!--", text, "-->\n"]);
    }

    pub fn finish(mut self) -> String {
        while !self.open.is_empty() {
            self.close();
        }
        self.text
    }

    fn push(&mut self, parts: &[&str]) {
        self.text.extend(parts.iter().copied());
    }

    fn indent(&mut self) {
        for _ in 0..self.open.len() {
            self.text.push_str("  ");
        }
    }

    fn escaped(&mut self, text: &str) {
        for c in text.chars() {
            match c {
                '&' => self.text.push_str("&amp;"),
                '<' => self.text.push_str("&lt;"),
                '>' => self.text.push_str("&gt;"),
                // A bare one would be read as a line feed.
                '\r' => self.text.push_str("&#13;"),
                '\t' | '\n' => self.text.push(c),
                // XML has no way to write these.
                '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => self.text.push('\u{fffd}'),
                c => self.text.push(c),
            }
        }
    }
}
