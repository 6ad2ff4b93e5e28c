"""Tables (pandas, polars, pyarrow) as Arrow IPC streams: columns move, rows are not looped over."""

from __future__ import annotations

from typing import Any, Final

_KEY: Final = b"bifrost.kind"


def is_table(kind: type) -> bool:
    """Whether a type is a frame or series, without importing the library it is from."""
    package = kind.__module__.partition(".")[0]
    if package not in ("pandas", "polars", "pyarrow"):
        return False
    return any(base.__name__ in ("DataFrame", "Series", "Table") for base in kind.__mro__)


def to_stream(value: Any) -> tuple[str, bytes]:
    """Return what a table is (``pandas.DataFrame``, ...) and its Arrow IPC stream."""
    import pyarrow as pa

    package = type(value).__module__.partition(".")[0]
    name = "DataFrame"
    if package == "pyarrow":
        name = "Table"
    elif hasattr(value, "to_frame"):
        name = "Series"
    kind = f"{package}.{name}"
    frame = value.to_frame() if name == "Series" else value
    if package == "pandas":
        if name == "Series" and value.name is None:
            frame = value.to_frame("0")
            kind += ".unnamed"
        table = pa.Table.from_pandas(frame)
    elif package == "polars":
        table = frame.to_arrow()
    else:
        table = frame
    # The kind is inside the stream too, so that a table comes home as what it was.
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), _KEY: kind.encode()})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return kind, sink.getvalue().to_pybytes()


def from_stream(kind: str, stream: bytes) -> Any:
    """Return the table of an Arrow IPC stream.

    What was a pandas or polars object comes back as one; a table made in JavaScript
    is a pandas DataFrame where pandas is installed, else a pyarrow Table.
    """
    import pyarrow as pa

    table = pa.ipc.open_stream(stream).read_all()
    metadata = dict(table.schema.metadata or {})
    kind = metadata.pop(_KEY, kind.encode()).decode() or "pandas.DataFrame"
    table = table.replace_schema_metadata(metadata)
    if kind.startswith("polars"):
        import polars

        frame = polars.from_arrow(table)
        return (
            frame.to_series(0) if kind.endswith("Series") and hasattr(frame, "to_series") else frame
        )
    if kind.startswith("pyarrow"):
        return table
    try:
        import pandas  # noqa: F401
    except ImportError:
        return table
    frame = table.to_pandas()
    if "Series" in kind:
        series = frame[frame.columns[0]]
        return series.rename(None) if kind.endswith("unnamed") else series
    return frame
