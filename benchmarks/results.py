"""Turn measurements into the page: seconds, ratios, targets, answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from side_by_side import Runs

STAGES = ["import", "read and summarise", "BG/NBD fit", "Gamma-Gamma fit", "forecast", "whole job"]
PEERS = ["lifetimes", "pymc-marketing"]

# (clock, at least so many times less than lifetimes, than pymc-marketing; None: no target)
TARGETS: dict[int, dict[str, tuple[str, float, float | None]]] = {
    10_000_000: {"whole job": ("wall", 20, None)},
    1_000_000: {
        "BG/NBD fit": ("cpu", 75, 35),
        "Gamma-Gamma fit": ("cpu", 100, 50),
        "forecast": ("cpu", 200, 70),
        "whole job": ("wall", 12, 9),
    },
    100_000: {"whole job": ("wall", 5, 10)},
}
# Peak memory of the whole job, as a share of theirs, at most.
MEMORY_TARGETS: dict[int, tuple[float, float | None]] = {
    10_000_000: (0.7, None),
    1_000_000: (0.7, 0.5),
}


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def seconds(runs: Runs, stage: str) -> str:
    wall, cpu = runs.median(stage, "wall"), runs.median(stage, "cpu")
    return f"{wall:.3f} / {cpu:.3f}" if wall < 1 else f"{wall:.2f} / {cpu:.2f}"


def against(everybody: dict[str, Runs], stage: str, clock: str, peer: str) -> float:
    return everybody[peer].median(stage, clock) / everybody["clv"].median(stage, clock)


def judged(text: str, target: float | None, met: bool) -> str:
    """Return a figure with its target, where there is one."""
    return text if target is None else f"{text} ({'' if met else 'MISSED: '}target {target})"


def peers_in(everybody: dict[str, Runs]) -> list[tuple[int, str]]:
    return [(number, peer) for number, peer in enumerate(PEERS) if peer in everybody]


def stage_rows(size: int, everybody: dict[str, Runs]) -> list[list[str]]:
    rows = []
    for stage in STAGES:
        clock, *targets = TARGETS.get(size, {}).get(stage, ("cpu", None, None))
        row = [stage, *(seconds(runs, stage) for runs in everybody.values())]
        for number, peer in peers_in(everybody):
            times, target = against(everybody, stage, clock, peer), targets[number]
            row.append(judged(f"{times:.1f} x {clock}", target, times >= (target or 0)))
        rows.append(row)
    return rows


def median_peak(runs: Runs) -> float:
    return sorted(runs.peak_mb)[len(runs.peak_mb) // 2]


def memory_row(size: int, everybody: dict[str, Runs]) -> list[str]:
    row = ["peak memory, MB", *(f"{median_peak(runs):,.0f}" for runs in everybody.values())]
    targets = MEMORY_TARGETS.get(size, (None, None))
    for number, peer in peers_in(everybody):
        share, target = (
            median_peak(everybody["clv"]) / median_peak(everybody[peer]),
            targets[number],
        )
        row.append(judged(f"{share:.2f} of theirs", target, share <= (target or 1)))
    return row


def answer_rows(everybody: dict[str, Runs]) -> list[list[str]]:
    names = list(everybody["clv"].answers)
    return [
        [name, *(f"{runs.answers[name]:,.6g}" for runs in everybody.values())] for name in names
    ]


def section(size: int, transactions: int, everybody: dict[str, Runs]) -> str:
    contestants = list(everybody)
    peers = [f"against {peer}" for _, peer in peers_in(everybody)]
    rows = [*stage_rows(size, everybody), memory_row(size, everybody)]
    return f"""## {size:,} customers, {transactions:,} transactions

Wall / CPU seconds; the ratios compare clv without intervals.

{table(["stage", *contestants, *peers], rows)}

What each answered (sums over all customers; a mean for `alive`):

{table(["answer", *contestants], answer_rows(everybody))}
"""


def page(measured: dict[int, tuple[int, dict[str, Runs]]], about: dict[str, str]) -> str:
    sections = "\n".join(section(size, rows, runs) for size, (rows, runs) in measured.items())
    return f"""# Side by side

Written by `make bench`; what is measured and how: [README.md](README.md).

- Medians of {about["repeats"]} fresh processes each, taking turns on the same file.
- {about["machine"]}; load {about["load"]}.
- {about["versions"]}.

{sections}"""
