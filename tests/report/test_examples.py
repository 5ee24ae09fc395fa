"""Which users and items are shown as examples."""

from cofi_jobs.report.examples import spread


def test_spread_takes_first_and_last():
    assert spread(100, 10)[0] == 0
    assert spread(100, 10)[-1] == 99
    assert spread(3, 10) == [0, 1, 2]
    assert spread(0, 10) == []
    assert all(
        len(set(spread(n, 10, logarithmic))) == 10
        for n in range(10, 60)
        for logarithmic in (True, False)
    )
    places = spread(10_000, 10, logarithmic=True)
    assert (places[0], places[-1]) == (0, 9_999)
    assert sum(place < 100 for place in places) >= 4
