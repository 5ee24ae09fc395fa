r"""What an id of a user or an item is: the text of a cell, cleaned by `clean_id`.

The blanks around the text are not part of the id. A blank is a space separator of Unicode (category
Zs: the space, the no-break space and 15 more). Tabs and line breaks are no blanks: "anna\t" and
"anna" are two users. A whole number that went through a column of floats, "17.0", is the id 17;
"007" stays as it is.

The same rule stands here twice, for Python and for DuckDB; a test compares the two.
"""

import re

BLANKS = (
    "\u0020\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005"
    "\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
)
_WHOLE_FLOAT = re.compile(r"(-?[0-9]+)\.0")
# DuckDB's trim of one argument removes the blanks above.
MACRO = r"""
    CREATE OR REPLACE TEMP MACRO clean_id(cell) AS
    CASE WHEN suffix(trim(cell), '.0') THEN regexp_replace(trim(cell), '^(-?[0-9]+)\.0$', '\1')
        ELSE trim(cell) END"""


def clean_id(cell: str) -> str:
    """The id that a cell holds; empty if the cell has only blanks."""
    text = cell.strip(BLANKS)
    whole = _WHOLE_FLOAT.fullmatch(text)
    return whole[1] if whole else text
