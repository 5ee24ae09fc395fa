"""Cases: which column holds what."""

from tests.ingestion.accepted.case import BODY, CSV, HEADER, ROWS, TIME, UNTIMED, Case, with_rows

NO_TIMES = "7,42,3.5\n8,43,4\n"
COLUMNS = [
    Case("`User-ID;ISBN;Book-Rating`", "a.csv", "User-ID,ISBN,Book-Rating\n" + NO_TIMES, UNTIMED),
    Case(
        "`reviewerID,asin,overall,unixReviewTime`",
        "a.csv",
        "reviewerID,asin,overall,unixReviewTime\n" + BODY,
        ROWS,
    ),
    Case(
        "`customer_id,sku,stars,created_at`",
        "a.csv",
        "customer_id,sku,stars,created_at\n" + BODY,
        ROWS,
    ),
    Case(
        "other columns beside them",
        "a.csv",
        "comment,user_id,book_id,score\nfine,7,42,3.5\nx,8,43,4\n",
        UNTIMED,
    ),
    Case(
        "`movie_id` beside `movie`: the id counts",
        "a.csv",
        "user_name,user_id,movie,movie_id,rating\nAnn,7,Heat,42,3.5\nBob,8,Up,43,4\n",
        UNTIMED,
    ),
    Case(
        "`timestamp` beside `date`: `timestamp` counts",
        "a.csv",
        f"user,item,rating,date,timestamp\n7,42,3.5,2020-01-01,{TIME}\n8,43,4,,{TIME + 1}\n",
        ROWS,
    ),
    Case(
        "`rating` beside `score`",
        "a.csv",
        "user,item,rating,score\n7,42,3.5,1\n8,43,4,1\n",
        error="'rating', 'score', each of which may be rating, expected one: set rating_column",
    ),
    Case(
        "`rating` beside `score`",
        "a.csv",
        "user,item,rating,score\n7,42,3.5,1\n8,43,4,1\n",
        UNTIMED,
        settings=["rating_column=rating"],
    ),
    Case(
        "`Kundin;Ware;Note;Tag`",
        "a.csv",
        ("Kundin,Ware,Note,Tag\n" + BODY).replace(",", ";"),
        ROWS,
        settings=[
            *("user_column=Kundin", "item_column=Artikel,Ware"),
            *("rating_column=Note", "time_column=Tag"),
        ],
    ),
    Case(
        "`userId,movieId,rating,timestamp`",
        "a.csv",
        CSV,
        error="expected 'Kundin' (setting user_column)",
        settings=["user_column=Kundin"],
    ),
    Case(
        "`rating` twice",
        "a.csv",
        "userId,movieId,rating,rating\n7,42,3.5,1\n",
        error="'rating', 'rating (column 4)', each of which may be rating",
    ),
    Case(
        "`op`: insert, or empty",
        "a.csv",
        "user,item,rating,op\n7,42,3.5,insert\n8,43,4,\n",
        UNTIMED,
    ),
    Case(
        "`op`: another word",
        "a.csv",
        "user,item,rating,op\n7,42,3.5,i\n8,43,4,U\n9,44,3,drop\n",
        UNTIMED,
        {"op is unknown": 1},
    ),
    Case(
        "ratings of 0 and -1 that mean none",
        "a.csv",
        with_rows(f"9,44,0,{TIME}", f"9,45,-1,{TIME}"),
        ROWS,
        {"not rated": 2},
        settings=["not_rated=0,-1"],
    ),
    Case("a header, but no rows", "a.csv", HEADER, error="expected ratings"),
]
