//! Tables in the style of `kubectl`: a header line, columns three spaces apart, no borders.

/// Spaces between two columns.
const GAP: usize = 3;

/// A table with these headings. An empty cell is shown as `-`. Lines have no trailing spaces.
pub fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let headings: Vec<String> = headings.iter().map(|text| (*text).to_owned()).collect();
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| clean(cell)).collect()).collect();
    let all = || std::iter::once(&headings).chain(&rows);
    let width = |column: usize| {
        let cells = all().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    all().map(|row| line(row, &widths)).collect()
}

fn clean(cell: &str) -> String {
    let one = cell.split_whitespace().collect::<Vec<_>>().join(" ");
    let shown: String = one.chars().filter(|c| !c.is_control()).collect();
    if shown.is_empty() { "-".to_owned() } else { shown }
}

fn line(row: &[String], widths: &[usize]) -> String {
    let mut text = String::new();
    for (cell, width) in row.iter().zip(widths) {
        let space = width.saturating_sub(cell.chars().count()).saturating_add(GAP);
        text.push_str(cell);
        text.extend(std::iter::repeat_n(' ', space));
    }
    format!("{}\n", text.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_fit_their_widest_cell_without_trailing_spaces() {
        let rows = [
            vec!["prod/redis-0".to_owned(), "10.0.0.16".to_owned(), String::new()],
            vec!["a/b".to_owned(), String::new(), "two\nlines".to_owned()],
        ];
        let text = table(&["MEMBER", "ADDRESS", "PROBLEM"], &rows);
        let expected = "MEMBER         ADDRESS     PROBLEM\n\
                        prod/redis-0   10.0.0.16   -\n\
                        a/b            -           two lines\n";
        assert_eq!(text, expected);
    }

    /// The text of objects is untrusted, and terminals interpret control characters.
    #[test]
    fn control_characters_do_not_reach_a_terminal() {
        let text = table(&["NAME"], &[vec!["\u{1b}[31mred\u{7}".to_owned()]]);
        assert_eq!(text, "NAME\n[31mred\n");
    }
}
