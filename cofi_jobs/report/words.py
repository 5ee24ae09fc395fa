"""Numbers as people say them."""


def of_100(share: float) -> str:
    """A share as people say it."""
    return f"{100 * share:.0f} of 100"


def counted(n: int, word: str) -> str:
    """A number with its word."""
    return f"{n:,} {word}" if n == 1 else f"{n:,} {word}s"


def with_minus(number: str) -> str:
    """A number as text, with the sign that is as wide as a plus."""
    return number.replace("-", "−")


def signed(value: float, digits: int = 4) -> str:
    """A difference with its sign."""
    return with_minus(f"{value:+.{digits}f}")


def in_words(seconds: float | None) -> str:
    """A duration as people say it: "0.4 s", "12 s", "3 min 05 s", "1 h 20 min"."""
    if seconds is None:
        return ""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min"


def megabytes(value: float | None) -> str:
    """Memory as people say it."""
    if value is None:
        return ""
    return f"{value:,.0f} MB" if value < 10_000 else f"{value / 1000:,.1f} GB"
