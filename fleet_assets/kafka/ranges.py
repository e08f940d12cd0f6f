"""Which offsets to land next, from watermarks and committed offsets."""

from __future__ import annotations

from collections.abc import Mapping


def ranges_to_land(
    watermarks: Mapping[int, tuple[int, int]],
    committed: Mapping[int, int],
    most_messages: int,
) -> dict[int, tuple[int, int]]:
    """Half-open ranges per partition that hold what is missing, oldest first.

    A range begins where the last landing ended, even if Kafka has expired those offsets since:
    the landing then records them as lost. A partition that never landed begins at what is left.

    Args:
        watermarks: per partition, first and one-past-last offset that can be read.
        committed: per partition, next offset to land.
        most_messages: most offsets over all partitions; the room is shared evenly.
    """
    missing = {
        partition: (committed.get(partition, low), high)
        for partition, (low, high) in sorted(watermarks.items())
        if committed.get(partition, low) < high
    }
    ranges: dict[int, tuple[int, int]] = {}
    room = most_messages
    by_size = sorted(missing, key=lambda p: missing[p][1] - missing[p][0])
    for index, partition in enumerate(by_size):
        start, end = missing[partition]
        share = max(1, room // (len(by_size) - index))
        ranges[partition] = (start, min(end, start + share))
        room -= ranges[partition][1] - start
    return dict(sorted(ranges.items()))


def truncated(high: Mapping[int, int], committed: Mapping[int, int]) -> dict[int, tuple[int, int]]:
    """Partitions whose log ends before what has landed: where it ends, and what had landed.

    That happens when a replica that lags becomes leader (unclean election), or a broker loses its
    disk. Offsets that Kafka gives anew there are not landed again.

    Args:
        high: per partition, one past the last offset, with those of open transactions.
        committed: per partition, next offset to land.
    """
    return {p: (end, committed[p]) for p, end in high.items() if committed.get(p, 0) > end}
