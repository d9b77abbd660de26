from __future__ import annotations

from odrun.report.megabytes import in_megabytes


def test_bytes_are_shown_in_megabytes_where_their_number_is_known() -> None:
    shown: list[tuple[str, int, int, str]] = []
    count = in_megabytes(lambda *said: shown.append(said))
    count("fetching", 0, 100)
    count("fetching", 3 << 20, 5 << 20)
    count("fetching", 3 << 20, None)
    assert shown == [("fetching", 0, 1, "MB"), ("fetching", 3, 5, "MB")]
