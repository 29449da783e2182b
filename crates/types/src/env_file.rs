//! `.env` files, read strictly: a line that is not understood is told, not guessed at.
//!
//! - `NAME=value`, after `export ` if one likes. Blank lines and lines that begin with `#` are skipped.
//! - Without quotes a value goes to the end of the line or to a ` #`, without the blanks around it.
//! - Between `'` it is taken as it stands, on one line.
//! - Between `"` it may be of several lines, and `\n`, `\r`, `\t`, `\"`, `\\` and `\$` stand for what they do in C; other
//!   backslashes are mistakes.
//! - `$` is a dollar sign everywhere: nothing is put in for a name.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use crate::variable::{InvalidVariableName, InvalidVariableValue, VariableName, VariableValue};

/// More mistakes than these are not listed: somebody sent another kind of file.
const MISTAKES_MAX: usize = 20;

/// Never holds anything of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Counted from 1.
    pub line: usize,
    pub kind: MistakeKind,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MistakeKind {
    #[error("expected NAME=value")]
    NoAssignment,
    #[error("{0}")]
    Name(#[from] InvalidVariableName),
    #[error("{0} stands here again, after line {1}")]
    Duplicate(VariableName, usize),
    #[error("there is something behind the closing quote")]
    AfterQuote,
    #[error("the quote that is opened here is not closed")]
    Unclosed,
    #[error("between double quotes a backslash is followed by n, r, t, \", \\ or $")]
    Escape,
    #[error("{0}")]
    Value(#[from] InvalidVariableValue),
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.kind)
    }
}

/// All variables of the file, or what is wrong with it: at most 20 mistakes.
///
/// # Errors
/// Some line is not as the module says.
pub fn parse(text: &str) -> Result<BTreeMap<VariableName, VariableValue>, Vec<Mistake>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader { lines: text.lines().enumerate() };
    let mut seen: BTreeMap<VariableName, usize> = BTreeMap::new();
    let (mut variables, mut mistakes) = (BTreeMap::new(), Vec::new());
    while let Some(read) = reader.next() {
        let read = read.and_then(|(line, name, value)| match seen.get(&name) {
            Some(first) => Err(Mistake { line, kind: MistakeKind::Duplicate(name, *first) }),
            None => Ok((line, name, value)),
        });
        match read {
            Ok((line, name, value)) => {
                seen.insert(name.clone(), line);
                variables.insert(name, value);
            }
            Err(mistake) if mistakes.len() < MISTAKES_MAX => mistakes.push(mistake),
            Err(_) => break,
        }
    }
    if mistakes.is_empty() { Ok(variables) } else { Err(mistakes) }
}

struct Reader<'t> {
    lines: std::iter::Enumerate<std::str::Lines<'t>>,
}

impl Reader<'_> {
    /// The next assignment, with the line where it begins.
    fn next(&mut self) -> Option<Result<(usize, VariableName, VariableValue), Mistake>> {
        loop {
            let (index, line) = self.lines.next()?;
            let line = line.trim_start();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let at = index + 1;
            return Some(match self.assignment(line) {
                Ok((name, value)) => Ok((at, name, value)),
                Err(kind) => Err(Mistake { line: at, kind }),
            });
        }
    }

    fn assignment(&mut self, line: &str) -> Result<(VariableName, VariableValue), MistakeKind> {
        let exported = line.strip_prefix("export").filter(|rest| rest.starts_with([' ', '\t']));
        let (name, rest) =
            exported.map_or(line, str::trim_start).split_once('=').ok_or(MistakeKind::NoAssignment)?;
        // The value is read in any case: the lines of one that goes on are no assignments.
        let value = self.value(rest.trim_start_matches([' ', '\t']));
        let name = name.parse()?;
        Ok((name, value?.parse()?))
    }

    fn value(&mut self, rest: &str) -> Result<String, MistakeKind> {
        if let Some(quoted) = rest.strip_prefix('\'') {
            let (value, behind) = quoted.split_once('\'').ok_or(MistakeKind::Unclosed)?;
            return is_comment(behind).then(|| value.to_owned()).ok_or(MistakeKind::AfterQuote);
        }
        if let Some(quoted) = rest.strip_prefix('"') {
            return self.double_quoted(quoted);
        }
        if rest.starts_with('#') {
            return Ok(String::new());
        }
        let end = rest.match_indices('#').map(|(at, _)| at).find(|at| rest[..*at].ends_with([' ', '\t']));
        Ok(rest[..end.unwrap_or(rest.len())].trim_end().to_owned())
    }

    fn double_quoted(&mut self, first: &str) -> Result<String, MistakeKind> {
        let (mut value, mut line) = (String::new(), first);
        let mut is_fine = true;
        loop {
            let mut chars = line.chars();
            while let Some(c) = chars.next() {
                match c {
                    '"' if !is_fine => return Err(MistakeKind::Escape),
                    '"' if is_comment(chars.as_str()) => return Ok(value),
                    '"' => return Err(MistakeKind::AfterQuote),
                    '\\' => match chars.next() {
                        Some('n') => value.push('\n'),
                        Some('r') => value.push('\r'),
                        Some('t') => value.push('\t'),
                        Some(c @ ('"' | '\\' | '$')) => value.push(c),
                        _ => is_fine = false,
                    },
                    c => value.push(c),
                }
            }
            let Some((_, next)) = self.lines.next() else { return Err(MistakeKind::Unclosed) };
            value.push('\n');
            line = next;
        }
    }
}

/// What may stand behind a quoted value.
fn is_comment(text: &str) -> bool {
    let rest = text.trim_start_matches([' ', '\t']);
    rest.is_empty() || (rest.starts_with('#') && rest.len() < text.len())
}

/// One line that [`parse`] reads as this variable, and that shells and other readers of such files read so too.
pub fn line(name: &VariableName, value: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./:@%+,=".contains(c);
    if value.chars().all(is_plain) {
        return format!("{name}={value}");
    }
    if !value.contains(['\'', '\n', '\r']) {
        return format!("{name}='{value}'");
    }
    let mut line = format!("{name}=\"");
    for c in value.chars() {
        match c {
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            '\t' => line.push_str("\\t"),
            '"' | '\\' | '$' => write!(line, "\\{c}").expect("a string takes everything"),
            c => line.push(c),
        }
    }
    line.push('"');
    line
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(text: &str) -> String {
        match parse(text) {
            Ok(variables) => {
                let pairs = variables.iter().map(|(name, value)| format!("{name}={:?}", value.as_str()));
                pairs.collect::<Vec<_>>().join(" ")
            }
            Err(mistakes) => mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
        }
    }

    #[test]
    fn files_are_read_as_they_are_meant() {
        let cases = [
            ("", ""),
            ("# only a comment\n\n   # and another\n", ""),
            ("A=1\nB=2", r#"A="1" B="2""#),
            ("A=1\r\nB=2\r\n", r#"A="1" B="2""#),
            ("\u{feff}A=1", r#"A="1""#),
            ("A=", r#"A="""#),
            ("A=   ", r#"A="""#),
            ("A= # nothing", r#"A="""#),
            ("A=#not a value", r#"A="""#),
            ("A= x ", r#"A="x""#),
            ("  export  A=x", r#"A="x""#),
            ("exporter=x", r#"exporter="x""#),
            ("A=b=c==", r#"A="b=c==""#),
            ("A=x # a comment", r#"A="x""#),
            ("A=x#y", r#"A="x#y""#),
            ("A=it's", r#"A="it's""#),
            ("A=$HOME/${B}`id`", r#"A="$HOME/${B}`id`""#),
            (r"A=a\nb", r#"A="a\\nb""#),
            (r#"A='$x "y" \n'"#, r#"A="$x \"y\" \\n""#),
            ("A='x' # a comment", r#"A="x""#),
            (r#"A="$x 'y' \$ \" \\ \n\t" # a comment"#, r#"A="$x 'y' $ \" \\ \n\t""#),
            ("A=\"one\ntwo\n# three\"\nB=2", r##"A="one\ntwo\n# three" B="2""##),
            ("A=\"one\r\ntwo\"", r#"A="one\ntwo""#),
            ("A=ä", r#"A="ä""#),
        ];
        for (text, expected) in cases {
            assert_eq!(shown(text), expected, "{text:?}");
        }
    }

    #[test]
    fn mistakes_are_told_with_their_lines_and_without_values() {
        let cases = [
            ("hunter2", "line 1: expected NAME=value"),
            ("A=1\n\nhunter2 x\nB", "line 3: expected NAME=value; line 4: expected NAME=value"),
            ("A=1\nB=2\nA=hunter2", "line 3: A stands here again, after line 1"),
            ("A='hunter2", "line 1: the quote that is opened here is not closed"),
            ("A=1\nB=\"hunter2\nC=3\n", "line 2: the quote that is opened here is not closed"),
            ("A='x'hunter2", "line 1: there is something behind the closing quote"),
            ("A=\"x\"#hunter2", "line 1: there is something behind the closing quote"),
            (
                r#"A="\hunter2""#,
                "line 1: between double quotes a backslash is followed by n, r, t, \", \\ or $",
            ),
            (
                "A=\"\\x\nB=2\"\nC",
                "line 1: between double quotes a backslash is followed by n, r, t, \", \\ or $; line 3: expected NAME=value",
            ),
            ("A=hunter2\0", "line 1: a variable's value cannot hold a NUL character"),
        ];
        for (text, expected) in cases {
            assert_eq!(shown(text), expected, "{text:?}");
        }
        for bad in
            ["A =1", "9A=hunter2", "=hunter2", "A-B=hunter2", "PATH=hunter2", "export=x y\nLOGGIA_X=hunter2"]
        {
            let told = shown(bad);
            assert!(told.contains("line ") && !told.contains("hunter2"), "{bad}: {told}");
        }
        let many = "x\n".repeat(1000);
        assert_eq!(parse(&many).expect_err("mistakes").len(), MISTAKES_MAX);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(values in proptest::collection::btree_map("[A-KM-Z][A-Z0-9_]{3,8}", "[^\0]{0,40}|[ -~\n\r\t]{0,40}", 0..8)) {
            let text: String = values.iter().map(|(name, value)| line(&format!("X{name}").parse().expect("a name"), value) + "\n").collect();
            let read = parse(&text).expect("reads");
            let read: BTreeMap<String, String> = read.iter().map(|(name, value)| (name.as_str()[1..].to_owned(), value.as_str().to_owned())).collect();
            prop_assert_eq!(read, values);
        }

        #[test]
        fn nothing_makes_it_panic(text in "(\\PC|[\n\r\"'\\\\#= ]){0,200}") {
            let _ = parse(&text);
        }
    }
}
