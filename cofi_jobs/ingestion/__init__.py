"""From what upstream delivers to checked ratings.

It holds a reader for each file format, the rules that a row must meet, the fast path for plain
files of numbers, files from a bucket, and the rows of an SQL query. This room uses `store`,
`engine`, `settings` and `core`. Which of several ratings of the same item counts, and what the
model makes of them, is decided later.
"""
