"""Tables of the results, as text for the terminal and as Markdown for linear.md."""

from __future__ import annotations

from typing import Any

from contest import OURS
from race import GRAM, READ

Result = dict[str, Any]
ALIGN = "---:"
BELOW = 1e-10  # a contestant that is further below F* shows that the reference is wrong


def show(result: Result, label: str) -> None:
    """Print the table of all solvers on one data set."""
    width = max(24, *(len(name) + 2 for name in result["table"]))
    print(f"\n{label}: {size(result)}, target {result['target']:g}")
    print(f"{'':{width}}{'seconds':>10}{'ratio':>8}{'range':>16}{'tol':>9}{'suboptimality':>15}")
    for name, row in sorted(result["table"].items(), key=lambda item: item[1]["seconds"]):
        spread = f"{row['lowest']:.2f}-{row['highest']:.2f}"
        line = f"{name:{width}}{row['seconds']:10.3g}{row['ratio']:8.2f}{spread:>16}"
        if "tol" in row:
            line += f"{row['tol']:9.0e}{row['suboptimality']:15.1e}"
            line += "" if row["suboptimality"] <= result["target"] else "  *** not reached"
            line += "  *** the reference is wrong" if row["suboptimality"] < -BELOW else ""
        print(line)
    for name, seconds in result["slower"].items():
        print(f"{name:{width}}{'~' + format(seconds, '.3g'):>10}  in the search; does not race")
    for name, reason in failures(result).items():
        print(f"{name:{width}}{'-':>10}  {reason}")


def size(result: Result) -> str:
    fits = f", {result['fits']} fits" if result["fits"] > 1 else ""
    return f"{result['n']:,} x {result['d']:,}{fits}"


def failures(result: Result) -> dict[str, str]:
    found = {}
    for name, setting in result["did_not"].items():
        closest = setting["reached"]
        end = "" if closest is None else f" (closest: {closest:.0e})"
        found[name] = f"ended before it reached {result['target']:g}: {setting['why']}{end}"
    return found


# ------------------------------------------------------------------- Markdown


def markdown(results: dict[str, Result], environment: dict[str, Any]) -> str:
    """Return two tables: polarstep against the best peer, and all solvers."""
    machine = ", ".join(f"{name} {value}" for name, value in environment.items())
    parts = ["# Linear classifiers", "", f"Seconds to the accuracy of each race; {machine}."]
    ours = {label: r for label, r in results.items() if OURS in r["table"]}
    if ours:
        parts += ["", "## polarstep", "", *lines(head_to_head(ours))]
    parts += ["", "## All solvers", "", *lines(everyone(results)), ""]
    troubles = [
        f"- {label}, {name}: {why}"
        for label, r in results.items()
        for name, why in failures(r).items()
    ]
    return "\n".join([*parts, *troubles, ""])


def lines(rows: list[list[str]]) -> list[str]:
    head, *body = rows
    ruler = ["---", *[ALIGN] * (len(head) - 1)]
    return ["| " + " | ".join(row) + " |" for row in (head, ruler, *body)]


def head_to_head(results: dict[str, Result]) -> list[list[str]]:
    peer_columns = ["best peer", "its seconds", "ratio", "range"]
    our_columns = ["suboptimality", "passes", "reads of X", "Gram matrices"]
    rows = [["data", "size", "seconds", *peer_columns, *our_columns]]
    for label, result in results.items():
        table, best = result["table"], result["best_peer"]
        mine = table[OURS]
        peer = [best or "none", "", "", ""]
        if best:
            row = table[best]
            peer[1:] = [f"{row['seconds']:.3g}", f"{row['ratio']:.2f}"]
            peer += [f"{row['lowest']:.2f}-{row['highest']:.2f}"]
        limits = [f"{1 / table[x]['ratio']:.1f}" if x in table else "" for x in (READ, GRAM)]
        reached = f"{mine['suboptimality']:.0e}"
        start = [label, size(result), f"{mine['seconds']:.3g}"]
        rows.append([*start, *peer, reached, str(result.get("passes") or ""), *limits])
    return rows


def everyone(results: dict[str, Result]) -> list[list[str]]:
    parts = ("table", "slower", "did_not")
    names = list(dict.fromkeys(n for r in results.values() for part in parts for n in r[part]))
    names = [name for name in names if name not in (READ, GRAM)]
    rows = [["data", *names, "one read", "one Gram"]]
    for label, result in results.items():
        row = [label]
        for name in [*names, READ, GRAM]:
            found = result["table"].get(name)
            text = f"{found['seconds']:.3g}" if found else "-"
            if name in result["slower"]:
                text = f"~{result['slower'][name]:.3g}"
            row.append(f"**{text}**" if name == result["best_peer"] else text)
        rows.append(row)
    return rows
