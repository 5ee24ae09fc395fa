"""Cases: events, which are rows without a rating, or with a count."""

from tests.ingestion.accepted.case import CSV, NO_SCALE, TIME, UNTIMED, Case

ONCE = [(7, 42, 1, None), (8, 43, 1, None)]
EVENTS = [
    Case("no rating column: each row is an event", "a.csv", "user,item\n7,42\n8,43\n", ONCE),
    Case(
        "`user_id,venue_id,check_ins`",
        "a.csv",
        "user_id,venue_id,check_ins\n7,42,3\n8,43,1\n",
        [(7, 42, 3, None), (8, 43, 1, None)],
    ),
    Case(
        "`visitorid,itemid,plays,ts`",
        "a.csv",
        f"visitorid,itemid,plays,ts\n7,42,2.5,{TIME}\n7,42,1,{TIME}\n",
        [(7, 42, 2.5, TIME), (7, 42, 1, TIME)],
    ),
    Case(
        "`Kunde,Ware,Menge`",
        "a.csv",
        "Kunde,Ware,Menge\n7,42,2\n",
        [(7, 42, 2, None)],
        settings=["user_column=Kunde", "item_column=Ware", "count_column=Menge"],
    ),
    Case(
        "`views` beside `clicks`",
        "a.csv",
        "user,item,views,clicks\n7,42,3,1\n",
        error="'views', 'clicks', each of which may be count, expected one: set count_column",
    ),
    Case(
        "all ratings are 1", "a.csv", "user,item,rating\n7,42,1\n8,43,1\n", ONCE, settings=NO_SCALE
    ),
    Case(
        "ratings as events",
        "a.csv",
        CSV.replace(",timestamp", "").replace(f",{TIME}", "").replace(f",{TIME + 1}", ""),
        ONCE,
        settings=["feedback=events"],
    ),
    Case(
        "counts of 0, below 0, or none",
        "a.csv",
        "user,item,count\n7,42,1\n8,43,1\n9,44,0\n9,45,-1\n9,46,\n9,47,many\n",
        ONCE,
        {"count is missing": 1, "count is not a number": 1, "count is not above 0": 2},
    ),
    Case(
        "no rating column where ratings are expected",
        "a.csv",
        "user,item\n7,42\n",
        error="found no column of ratings, expected one",
        settings=["feedback=ratings"],
    ),
    Case(
        "`rating` beside `count`: ratings",
        "a.csv",
        "user,item,rating,count\n7,42,3.5,9\n8,43,4,9\n",
        UNTIMED,
    ),
]
