"""Names that are patterns, escapes, quotations or columns to some reader."""

from hypothesis import strategies as st

# Each of these is read as it is, wherever it stands: in a file's name, in a folder's, in a store's.
ODD_NAMES = (
    "a[0]b",
    "[!a]",
    "[]]",
    "x[",
    "x]",
    "[[]",
    "stars*",
    "**",
    "what?",
    "{a,b}",
    "{uuid}",
    "it's",
    "''",
    'a"b',
    "p%41%2F",
    "$HOME",
    "~",
    "#x;y",
    "a b ",
    " ",
    "Größe ☕ 評価",
    "e\u0301",
    "s3:x",
    "user_id=7",
    "date=2024-06-01",
    "rating=9",
    "-- ",
)
# These are refused in one sentence.
REFUSED_NAMES = {
    "line\nbreak": "a control character",
    "tab\tstop": "a control character",
    "bell\x07": "a control character",
    "next\x85line": "a control character",
    "bytes\udcff\udcfe": "bytes that are not UTF-8",
    "a\\[0]": "a backslash",
    "\\n": "a backslash",
}
NAMES = st.text("ab01[]*?{}!^-'\"%$~#;, =\\é評\n\udcff", min_size=1, max_size=8)
