"""What the outside may hold."""

from hypothesis import strategies as st

from exporter.model.rows import DeploymentRow, UsageRow
from exporter.model.values import label

any_text = st.text()
"""Any text but lone surrogates."""

torn_text = st.text(st.characters(categories=["L", "N", "P", "S", "Z", "Cc", "Cs"]))
"""Any text, lone surrogates among it."""

label_text = torn_text.filter(bool).map(label)
"""What a label can hold once the wire has read it."""

ratios = st.floats(0, 1_000, allow_nan=False)
times = st.floats(946_684_800, 4e9, allow_nan=False)

usage_rows = st.builds(
    UsageRow,
    workload=label_text,
    service=label_text,
    channel=label_text,
    ratio=st.none() | ratios,
    processed_at=st.none() | times,
)
deployment_rows = st.builds(
    DeploymentRow,
    service=label_text,
    channel=label_text,
    ratio=st.none() | ratios,
    sold=st.none() | st.floats(0, 1e12, allow_nan=False),
    processed_at=st.none() | times,
)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | torn_text,
    lambda children: st.lists(children, max_size=4) | st.dictionaries(torn_text, children, max_size=4),
    max_leaves=8,
)
"""Anything that Python's json reads and writes, NaN and infinities included."""
