"""Is the chosen or stacked model better than the textbook, and than history? On unseen data.

    python benchmarks/better.py                                # CDNOW, all 23,570 customers
    python benchmarks/better.py orders.csv --horizon "26 weeks" --cuts 3

Everything is chosen on the earlier cuts, all of whose horizons had ended; the last cut is only
looked at. The textbook is BG/NBD, MBG/NBD or Pareto/NBD with Gamma-Gamma on repeat purchases.
docs/better.md tells what came of it.
"""

from __future__ import annotations

import argparse
from typing import Any

import clv

TEXTBOOK = ("bg_nbd", "mbg_nbd", "pareto_nbd")
SPEND = {name: clv.GammaGammaModel(purchases=name) for name in ("repeat", "all", "each")}
METRICS = (
    *("absolute_bias", "mean_absolute_error", "mean_absolute_error_of_median", "crps"),
    *("spearman_tie_expected", "normalised_gini", "captured_top_10"),
)
#: Horizon, cuts, and where another horizon leaves no earlier cut, what to learn from instead.
CDNOW = (
    ("39 weeks", ["1997-09-30"], ("8 weeks", ["1997-04-15", "1997-06-10", "1997-08-05"])),
    ("26 weeks", ["1997-06-30", "1997-12-30"], None),
    ("13 weeks", ["1997-06-30", "1997-09-29", "1997-12-30", "1998-03-31"], None),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("orders", nargs="?", help="a file of transactions; by default CDNOW")
    parser.add_argument("--horizon", default="26 weeks")
    parser.add_argument("--cuts", type=int, default=3)
    given = parser.parse_args()
    if given.orders:
        report(clv.read_transactions(given.orders), given.horizon, given.cuts, None)
        return
    transactions = clv.read_transactions(clv.datasets.load_cdnow("master"))
    for horizon, cuts, learn_from in CDNOW:
        report(transactions, horizon, cuts, learn_from)


def report(transactions: Any, horizon: str, cuts: Any, learn_from: Any) -> None:
    """Choose on the earlier cuts, and show everything at the last."""
    tried = clv.backtest(transactions, TEXTBOOK, spend=SPEND, horizon=horizon, cuts=cuts)
    last = tried.usable[-1].cut
    earlier = tried
    if learn_from is not None:
        length, days = learn_from
        earlier = clv.backtest(transactions, TEXTBOOK, spend=SPEND, horizon=length, cuts=days)
    stack = clv.stack(earlier, before=last)
    known = [cut for cut in earlier.usable if cut.end <= last]
    chosen = earlier.best("value", cuts=known)
    found = clv.backtest(
        transactions,
        {**{name: name for name in TEXTBOOK}, "stack": stack.purchases},
        spend=SPEND,
        horizon=horizon,
        cuts=[last],
    )
    ours = {"stack": f"stack + {stack.spend_name}", "chosen": chosen}
    models = [f"{name} + repeat" for name in TEXTBOOK]
    best = {m: found.best("value", m, models=False) for m in METRICS[-3:]}
    best = {m: f"{found.mean('value', name, m).value:.3f} {name}" for m, name in best.items()}
    print(f"\n{horizon}, last cut {last}; {stack!r}\nchosen: {chosen}; of history {best}\n")
    of_each = [f"{name} + {stack.spend_name}" for name in TEXTBOOK]
    for method in dict.fromkeys((*ours.values(), *of_each, *models)):
        row = [f"{found.mean('value', method, metric).value:.3f}" for metric in ("bias", *METRICS)]
        print(f"{method:30}", *row)
    for metric in METRICS:
        is_rank = metric in METRICS[-3:]
        rival = (
            found.best("value", metric, models=False)
            if is_rank
            else min(models, key=lambda name: found.mean("value", name, metric).value)
        )
        for who, method in ours.items():
            gap = found.difference("value", metric, method, rival)
            print(
                f"  {metric:30} {who:7} less {rival:22} {gap.value:+.4f} "
                f"({gap.low:+.4f} to {gap.high:+.4f})"
            )


if __name__ == "__main__":
    main()
