"""Cases: ids, ratings and their scale, times."""

from tests.ingestion.accepted.case import (
    CSV,
    HEADER,
    NO_SCALE,
    ROWS,
    TIME,
    UNTIMED,
    Case,
    Row,
    with_rows,
    with_times,
)

TEXTS = f"user,item,rating,timestamp\nann,007,3.5,{TIME}\n日本 é,43,4,{TIME + 1}\n"
NO_INTEGER = "is not an integer like the others (id_type=string accepts it)"
NUMBERS: list[Row] = [(user, 42, 3, TIME) for user in range(1, 41)]
ODD = HEADER + "".join(f"{user},42,3,{TIME}\n" for user in [*range(1, 41), "x7"])
IDS = [
    Case(
        "texts, and numbers such as `007`: they stay as they are",
        "a.csv",
        TEXTS,
        [("ann", "007", 3.5, TIME), ("日本 é", "43", 4, TIME + 1)],
        settings=["id_type=string"],
    ),
    Case("`7.0` from a column of floats is 7", "a.csv", CSV.replace("7,", "7.0,"), ROWS),
    Case("blanks around an id", "a.csv", CSV.replace("7,42", " 7 , 42"), ROWS),
    Case(
        "an empty id",
        "a.csv",
        with_rows(f",42,3,{TIME}", f"7,,3,{TIME}"),
        ROWS,
        {"item_id is missing": 1, "user_id is missing": 1},
    ),
    Case(
        "`NULL`, `nan`, `\\N` as an id",
        "a.csv",
        with_rows(f"NULL,42,3,{TIME}", f"7,nan,3,{TIME}", f"\\N,9,3,{TIME}"),
        ROWS,
        {"item_id is missing": 1, "user_id is missing": 2},
    ),
    Case(
        "`-` that means a missing id",
        "a.csv",
        with_rows(f"-,42,3,{TIME}"),
        ROWS,
        {"user_id is missing": 1},
        settings=["missing=-,?"],
    ),
    Case("one `x7` among 40 numbers", "a.csv", ODD, NUMBERS, {f"user_id {NO_INTEGER}": 1}),
    Case(
        "one `x7` among 40 numbers",
        "a.csv",
        ODD,
        [*((str(row[0]), "42", 3, TIME) for row in NUMBERS), ("x7", "42", 3, TIME)],
        settings=["id_type=string"],
    ),
    Case(
        "as many texts as numbers",
        "a.csv",
        CSV.replace("7,42", "ann,42"),
        [("ann", 42, 3.5, TIME), ("8", 43, 4, TIME + 1)],
    ),
]
RATINGS = [
    Case("`3,5` is 3.5", "a.csv", CSV.replace(",", ";").replace("3.5", "3,5"), ROWS),
    Case("no rating", "a.csv", with_rows(f"9,44,,{TIME}"), ROWS, {"rating is missing": 1}),
    Case("`N/A`", "a.csv", with_rows(f"9,44,N/A,{TIME}"), ROWS, {"rating is missing": 1}),
    Case(
        "`good`, `inf`",
        "a.csv",
        with_rows(f"9,44,good,{TIME}", f"9,45,inf,{TIME}"),
        ROWS,
        {"rating is not a number": 2},
    ),
    Case(
        "50 on a scale from 0.5 to 5",
        "a.csv",
        with_rows(f"9,44,50,{TIME}"),
        ROWS,
        {"rating is outside the scale 0.5 to 5": 1},
    ),
]
STARS: list[Row] = [(user, 42, 1 + user % 5, TIME) for user in range(1000)]
FIFTY = HEADER + "".join(f"{user},42,{1 + user % 5},{TIME}\n" for user in range(1000))
SCALE = [
    Case(
        "`50` among 1000 ratings from 1 to 5",
        "a.csv",
        FIFTY + f"9,43,50,{TIME}\n",
        STARS,
        {"rating is outside the scale 1 to 5": 1},
        settings=NO_SCALE,
    ),
    Case(
        "`50` among 1000 ratings from 1 to 5",
        "a.csv",
        FIFTY + f"9,43,50,{TIME}\n",
        [*STARS, (9, 43, 50, TIME)],
        settings=["rating_low=1", "rating_high=50"],
    ),
]
DAYS = [(*row[:3], 978220800 + 86400 * number) for number, row in enumerate(ROWS)]
TIMES = [
    Case("seconds since 1970", "a.csv", CSV, ROWS),
    Case("milliseconds", "a.csv", with_times(f"{TIME}000", f"{TIME + 1}000"), ROWS),
    Case("microseconds", "a.csv", with_times(f"{TIME}000000", f"{TIME + 1}000000"), ROWS),
    Case("nanoseconds", "a.csv", with_times(f"{TIME}" + "0" * 9, f"{TIME + 1}" + "0" * 9), ROWS),
    Case(
        "ISO 8601; UTC if there is no zone",
        "a.csv",
        with_times("2000-12-31T23:12:40+01:00", "2000-12-31 22:12:41"),
        ROWS,
    ),
    Case("`20001231` is a date", "a.csv", with_times("20001231", "20010101"), DAYS),
    Case(
        "`1`, `2`: an order",
        "a.csv",
        with_times("1", "2"),
        [(*row[:3], number) for number, row in enumerate(ROWS, start=1)],
    ),
    Case(
        "a day of a spreadsheet, `36891`",
        "a.csv",
        with_times("36891", "36892"),
        error="36891, which looks like a day of a spreadsheet",
    ),
    Case("no time: older than any other", "a.csv", with_times("", "NULL"), UNTIMED),
    Case(
        "`soon`",
        "a.csv",
        with_times(str(TIME), str(TIME + 1), "soon"),
        ROWS,
        {"timestamp is unreadable": 1},
    ),
    Case(
        "`9999-12-31`, `1066-10-14`",
        "a.csv",
        with_times(str(TIME), str(TIME + 1), "9999-12-31", "1066-10-14"),
        ROWS,
        {"timestamp is before 1980": 1, "timestamp is in the future": 1},
    ),
    Case(
        "most times implausible",
        "a.csv",
        HEADER + "7,42,3,9999-12-31\n",
        error="found 1 of 1 times in the column 'timestamp' to be implausible",
    ),
]
