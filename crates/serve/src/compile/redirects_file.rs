//! The lines of `_redirects`: `from [key=value …] [to] [status[!]] [condition=list …]`.

use loggia_types::rules::Dialect;

use super::problems::shown;
use super::redirect::{RedirectDraft, unknown_status};
use super::url_text::is_absolute;
use super::{Output, REDIRECTS_FILE, Refused, text_file};

pub(super) fn read(bytes: &[u8], output: &mut Output) -> Result<(), Refused> {
    for line in text_file::lines(REDIRECTS_FILE, bytes, |_| None, &mut output.problems)? {
        let mut words = words(line.text);
        // Cloudflare takes `old` for `/old`.
        let rooted = words.first().filter(|_| output.mode.dialect == Dialect::Cloudflare);
        let rooted = rooted.filter(|from| !is_place(from)).map(|from| format!("/{from}"));
        if let (Some(from), Some(rooted)) = (words.first_mut(), &rooted) {
            *from = rooted;
        }
        let draft = check_common_mistakes(&words).and_then(|()| match output.mode.dialect {
            Dialect::Netlify => netlify(&words),
            Dialect::Cloudflare => cloudflare(&words),
        });
        match draft {
            Ok(draft) => output.add_redirect(REDIRECTS_FILE, line.number, &draft)?,
            Err(message) => output.problems.add(REDIRECTS_FILE, line.number, message),
        }
    }
    Ok(())
}

/// What stands before a comment. A `#` inside a word is a fragment.
fn words(line: &str) -> Vec<&str> {
    line.split([' ', '\t'])
        .filter(|word| !word.is_empty())
        .take_while(|word| !word.starts_with('#'))
        .collect()
}

fn check_common_mistakes(words: &[&str]) -> Result<(), String> {
    if let Some(arrow) = words.iter().find(|word| matches!(**word, "->" | "=>" | "-->" | "→" | "==>")) {
        return Err(format!("{} has no meaning here: write `/old /new 301`", shown(arrow)));
    }
    if let Some(quoted) = words.iter().find(|word| word.starts_with(['"', '\''])) {
        let bare = quoted.trim_matches(['"', '\'']);
        return Err(format!("{} stands in quotes: write {} without them", shown(quoted), shown(bare)));
    }
    if let [first, second, ..] = words
        && status(first).is_some()
        && is_place(second)
    {
        return Err(format!("the status {} stands first: write `/old /new {first}`", shown(first)));
    }
    if let [from, second, to, ..] = words
        && status(second).is_some()
        && is_place(to)
    {
        let meant = format!("{from} {to} {second}");
        return Err(format!(
            "the status {} stands before the target: write {}",
            shown(second),
            shown(&meant)
        ));
    }
    Ok(())
}

fn netlify<'a>(words: &[&'a str]) -> Result<RedirectDraft<'a>, String> {
    let (from, rest) = words.split_first().ok_or("this line has no source: write `/old /new 301`")?;
    let mut draft = RedirectDraft { from, ..RedirectDraft::default() };
    let is_query = |word: &&&str| !is_place(word) && word.contains('=');
    let tests = rest.iter().take_while(is_query).count();
    let (tests, rest) = rest.split_at(tests);
    draft.query = tests.iter().filter_map(|test| test.split_once('=')).collect();
    let mut rest = rest.iter().copied().peekable();
    draft.to = rest.next_if(|word| is_place(word));
    if let Some(word) = rest.next_if(|word| !word.contains('=')) {
        (draft.status, draft.forced) = match status(word) {
            Some((code, forced)) => (Some(code), forced),
            None if draft.to.is_none() => return Err(no_place(word)),
            None => return Err(unknown_status(word, Dialect::Netlify)),
        };
    }
    for word in rest {
        let (name, values) = word.split_once('=').ok_or_else(|| no_condition(word))?;
        draft.conditions.push((name, values.split(',').collect()));
    }
    Ok(draft)
}

fn cloudflare<'a>(words: &[&'a str]) -> Result<RedirectDraft<'a>, String> {
    match words {
        [from, to] if status(to).is_none() => Ok(draft(from, Some(to), None)),
        [from] | [from, _] => Ok(draft(from, None, None)),
        [from, to, code] => match status(code) {
            Some((code, forced)) => Ok(RedirectDraft { forced, ..draft(from, Some(to), Some(code)) }),
            None if code.contains('=') || to.contains('=') && !is_place(to) => Err(no_conditions_here()),
            None => Err(unknown_status(code, Dialect::Cloudflare)),
        },
        words if words.iter().skip(1).any(|word| word.contains('=') && !is_place(word)) => {
            Err(no_conditions_here())
        }
        words => Err(format!(
            "there are {} words, and a rule has two or three: write `/old /new 302`, and a space in a path as \
             `%20`",
            words.len()
        )),
    }
}

fn draft<'a>(from: &'a str, to: Option<&'a str>, status: Option<u16>) -> RedirectDraft<'a> {
    RedirectDraft { from, to, status, ..RedirectDraft::default() }
}

fn no_conditions_here() -> String {
    "conditions and query tests exist only with `dialect = \"netlify\"` in loggia.toml".into()
}

fn no_place(word: &str) -> String {
    if word.starts_with("http:/") || word.starts_with("https:/") {
        let meant = word.replacen(":/", "://", 1);
        return format!(
            "the target {} has one slash behind its scheme: write {}",
            shown(word),
            shown(&meant)
        );
    }
    let meant = format!("/{}", word.trim_start_matches("./"));
    format!("the target {} begins with neither `/` nor `https://`: write {}", shown(word), shown(&meant))
}

fn no_condition(word: &str) -> String {
    if word == "!" {
        return "the `!` stands alone: write it behind the status, as in `301!`".into();
    }
    if status(word).is_some() {
        return format!("the status {} stands behind a condition: write it behind the target", shown(word));
    }
    format!(
        "{} stands behind the rule: write conditions as `Country=au,nz`, and a space in a path as `%20`",
        shown(word)
    )
}

fn is_place(word: &str) -> bool {
    word.starts_with('/') || is_absolute(word)
}

/// `301` or `301!`, of any three digits.
fn status(word: &str) -> Option<(u16, bool)> {
    let (digits, forced) = match word.strip_suffix('!') {
        Some(digits) => (digits, true),
        None => (word, false),
    };
    let is_code = digits.len() == 3 && digits.bytes().all(|byte| byte.is_ascii_digit());
    Some((is_code.then(|| digits.parse().ok())??, forced))
}
