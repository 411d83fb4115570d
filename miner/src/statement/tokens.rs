//! A tokenizer for the little SQL that [`super`] reads.
//!
//! Source: MySQL manual, "Comments", "String Literals", "Schema Object Names".

/// Whether a backslash escapes the next character of a string (`NO_BACKSLASH_ESCAPES` off).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backslash {
    /// The default.
    Escapes,
    /// With `NO_BACKSLASH_ESCAPES`.
    IsOrdinary,
}

/// `NO_BACKSLASH_ESCAPES` in sql_mode. Source: MySQL `sql/sql_const.h`, MODE_NO_BACKSLASH_ESCAPES.
const NO_BACKSLASH_ESCAPES: u64 = 1 << 20;

impl Backslash {
    /// As the session's `sql_mode` has it, if that is known.
    pub fn of_sql_mode(mode: Option<u64>) -> Self {
        match mode {
            Some(mode) if mode & NO_BACKSLASH_ESCAPES != 0 => Self::IsOrdinary,
            _ => Self::Escapes,
        }
    }
}

/// A token; what strings hold does not matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// A keyword, name or number.
    Word(String),
    /// A name in backquotes or double quotes.
    Quoted(String),
    /// A string in single quotes.
    Text,
    /// Anything else; a quote that nothing ends.
    Punctuation(char),
}

/// Iterator over a statement's tokens; comments are left out, executable comments are read.
#[derive(Clone)]
pub(super) struct Tokens<'a> {
    rest: std::iter::Peekable<std::str::Chars<'a>>,
    backslash: Backslash,
    /// Whether an executable comment is open.
    executing: bool,
}

impl<'a> Tokens<'a> {
    pub(super) fn new(text: &'a str, backslash: Backslash) -> Self {
        Self {
            rest: text.chars().peekable(),
            backslash,
            executing: false,
        }
    }

    /// The next token as a keyword in upper case; anything else is left in place.
    pub(super) fn keyword(&mut self) -> Option<String> {
        let mut ahead = self.clone();
        match ahead.next()? {
            Token::Word(word) => {
                *self = ahead;
                Some(word.to_ascii_uppercase())
            }
            Token::Quoted(_) | Token::Text | Token::Punctuation(_) => None,
        }
    }

    /// Skips any of the keywords, as long as one follows; says whether one did.
    pub(super) fn skip_keywords(&mut self, keywords: &[&str]) -> bool {
        let mut skipped = false;
        loop {
            let mut ahead = self.clone();
            match ahead.next() {
                Some(Token::Word(word))
                    if keywords.iter().any(|k| word.eq_ignore_ascii_case(k)) =>
                {
                    *self = ahead;
                    skipped = true;
                }
                _ => return skipped,
            }
        }
    }

    /// Skips `wanted` if it is next; says whether it was.
    pub(super) fn skip_punctuation(&mut self, wanted: char) -> bool {
        let mut ahead = self.clone();
        if ahead.next() == Some(Token::Punctuation(wanted)) {
            *self = ahead;
            return true;
        }
        false
    }

    /// The text that is not read yet.
    pub(super) fn rest(self) -> String {
        self.rest.collect::<String>().trim().to_owned()
    }

    /// What is in quotes, of which the first is read; `None` where the last one is missing.
    fn quoted(&mut self, quote: char) -> Option<String> {
        let mut text = String::new();
        while let Some(c) = self.rest.next() {
            if c == quote {
                if self.rest.next_if_eq(&quote).is_none() {
                    return Some(text);
                }
                text.push(quote);
            } else if c == '\\' && quote != '`' && self.backslash == Backslash::Escapes {
                text.extend(self.rest.next());
            } else {
                text.push(c);
            }
        }
        None
    }

    /// After a `-`: whether a comment begins, which takes another one and then a space, a control
    /// character or the end.
    fn begins_comment(&self) -> bool {
        let mut ahead = self.rest.clone();
        ahead.next() == Some('-')
            && ahead
                .next()
                .is_none_or(|c| c.is_whitespace() || c.is_control())
    }

    fn skip_line(&mut self) {
        while self.rest.next_if(|c| *c != '\n').is_some() {}
    }

    /// After `/*`: skips a comment, or enters an executable one (`/*!50000` or `/*M!100100`).
    fn block_comment(&mut self) {
        let mut ahead = self.rest.clone();
        ahead.next_if_eq(&'M');
        if ahead.next_if_eq(&'!').is_some() {
            while ahead.next_if(char::is_ascii_digit).is_some() {}
            self.rest = ahead;
            self.executing = true;
            return;
        }
        while let Some(c) = self.rest.next() {
            if c == '*' && self.rest.next_if_eq(&'/').is_some() {
                return;
            }
        }
    }
}

impl Iterator for Tokens<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        loop {
            let c = self.rest.next()?;
            match c {
                c if c.is_whitespace() => {}
                '#' => self.skip_line(),
                '-' if self.begins_comment() => self.skip_line(),
                '/' if self.rest.next_if_eq(&'*').is_some() => self.block_comment(),
                // The end of an executable comment.
                '*' if self.executing && self.rest.next_if_eq(&'/').is_some() => {
                    self.executing = false;
                }
                '`' | '"' | '\'' => {
                    return Some(match self.quoted(c) {
                        Some(_) if c == '\'' => Token::Text,
                        Some(name) => Token::Quoted(name),
                        None => Token::Punctuation(c),
                    });
                }
                c if is_name(c) => {
                    let mut word = String::from(c);
                    while let Some(c) = self.rest.next_if(|c| is_name(*c)) {
                        word.push(c);
                    }
                    return Some(Token::Word(word));
                }
                c => return Some(Token::Punctuation(c)),
            }
        }
    }
}

/// Characters of unquoted names: letters, digits, `$`, `_` and everything beyond ASCII.
fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '$' || !c.is_ascii()
}
