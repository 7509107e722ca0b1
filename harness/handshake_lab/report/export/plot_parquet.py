"""Plots as a Parquet file, which pandas, Polars, DuckDB and R read with its types."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handshake_lab.errors import EnvironmentUnsupported
from handshake_lab.report.export.plot_points import PlotPoint, plot_points

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from handshake_lab.report.series.plot import Plot


def plot_parquet(plots: Iterable[Plot], file: Path) -> None:
    """Write plots to a Parquet file: the columns of the CSV, with types; ``time`` is in seconds of the run.

    Args:
        plots: The plots.
        file: The file, which is replaced if it exists.

    Raises:
        EnvironmentUnsupported: pyarrow is not installed.
        OSError: The file cannot be written.
    """
    try:
        import pyarrow as pa  # noqa: PLC0415 - optional, and large
        from pyarrow import parquet  # noqa: PLC0415
    except ImportError:
        raise EnvironmentUnsupported(
            "pyarrow, which writes Parquet files, is not installed",
            "Install it with `pip install pyarrow`, or use --csv, which does not need it.",
        ) from None
    text, names = pa.string(), pa.dictionary(pa.int32(), pa.string())
    types = {
        "plot": names,
        "connection": pa.int64(),
        "sender": text,
        "receiver": text,
        "curve": names,
        "shape": names,
        "unit": names,
        "time": pa.float64(),
        "value": pa.float64(),
        "top": pa.float64(),
        "segment": pa.int64(),
    }
    columns = dict(zip(PlotPoint._fields, zip(*plot_points(plots), strict=True), strict=True))
    columns["time"] = tuple(time / 1e9 for time in columns["time"])
    parquet.write_table(pa.table(columns, schema=pa.schema(types)), file)
