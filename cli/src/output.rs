//! What commands print: a table for people, or JSON for programs.

use serde::Serialize;

#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Output {
    /// Print JSON instead of text.
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

impl Output {
    /// A thing as JSON, or as the lines that `text` makes of it.
    pub(crate) fn one<T: Serialize>(self, thing: &T, text: impl FnOnce(&T) -> String) -> anyhow::Result<()> {
        if self.json {
            println!("{}", serde_json::to_string(thing)?);
        } else {
            println!("{}", text(thing));
        }
        Ok(())
    }

    /// Things as a JSON array, or as a table with these headings.
    pub(crate) fn many<T: Serialize, const N: usize>(
        self,
        things: &[T],
        headings: [&str; N],
        row: impl Fn(&T) -> [String; N],
    ) -> anyhow::Result<()> {
        if self.json {
            println!("{}", serde_json::to_string(things)?);
            return Ok(());
        }
        let rows: Vec<[String; N]> = things.iter().map(row).collect();
        print!("{}", table(headings, &rows));
        Ok(())
    }

    /// Something was done: a sentence, and nothing for programs but the exit code.
    pub(crate) fn done(self, sentence: &str) {
        if !self.json {
            println!("{sentence}");
        }
    }
}

/// Columns as wide as their widest cell.
fn table<const N: usize>(headings: [&str; N], rows: &[[String; N]]) -> String {
    let mut widths = headings.map(|heading| heading.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: [&str; N]| {
        let mut text = String::new();
        for (cell, width) in cells.iter().zip(widths) {
            text.push_str(cell);
            text.extend(std::iter::repeat_n(' ', width - cell.chars().count() + 2));
        }
        format!("{}\n", text.trim_end())
    };
    let mut text = line(headings.map(|heading| heading));
    for row in rows {
        text.push_str(&line(row.each_ref().map(String::as_str)));
    }
    text
}

/// A moment as people read it, in UTC.
pub(crate) fn moment(at: loggia_types::Timestamp) -> String {
    let at = at.0;
    format!(
        "{:04}-{:02}-{:02} {:02}:{:02}",
        at.year(),
        u8::from(at.month()),
        at.day(),
        at.hour(),
        at.minute()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["shop".to_owned(), "live".to_owned()], ["bücherei".to_owned(), String::new()]];
        assert_eq!(table(["PROJECT", "STATE"], &rows), "PROJECT   STATE\nshop      live\nbücherei\n");
        assert_eq!(table(["PROJECT"], &[]), "PROJECT\n");
    }
}
