"""What a row says of its own fields."""

import pytest

from exporter.model.rows import Row, SourceName, has_value, numbers_of, row_type


def row_with(source: SourceName, **numbers: float) -> Row:
    kind = row_type(source)
    return kind(**dict.fromkeys(kind.LABELS, "x"), **numbers)  # type: ignore[arg-type]  # labels are text


@pytest.mark.parametrize("source", SourceName)
def test_any_number_but_a_date_is_a_value(source: SourceName) -> None:
    names = numbers_of(row_with(source))
    assert {"ratio", "processed_at"} <= set(names)
    for name in names:
        assert has_value(row_with(source, **{name: 0.0})) is (name != "processed_at")
    assert not has_value(row_with(source))
