"""A disease and a default: tables in which what matters is rare.

    python examples/rare_classes.py [--quick] [--write FOLDER]

The data are the breast cancers of the package scikit-learn (569 tumours, 37 % malignant) and the
credit cards of the package ISLP (10,000 simulated clients, 3.3 % of whom default; pip install
--no-deps ISLP). Every class counts the same, however rare. The area under the ROC curve is that of
a cross-validation with five parts. With --write the tables are only written to a folder, for:
chainrule train breast_cancer.csv --target tumour --balance
"""

from __future__ import annotations

import argparse
import sys
from importlib.util import find_spec
from pathlib import Path

import polars as pl

import chainrule as cr

#: What a script exits with when its data are not there, as in automake.
SKIPPED = 77


def breast_cancer() -> pl.DataFrame:
    from sklearn.datasets import load_breast_cancer

    data = load_breast_cancer()
    table = pl.DataFrame(data.data, schema=[str(name) for name in data.feature_names])
    names = [str(data.target_names[number]) for number in data.target]
    return table.with_columns(tumour=pl.Series(names))


def credit_default() -> pl.DataFrame:
    package = find_spec("ISLP")
    if package is None or not package.submodule_search_locations:
        print("needs the data: pip install --no-deps ISLP", file=sys.stderr)
        raise SystemExit(SKIPPED)
    return pl.read_csv(Path(package.submodule_search_locations[0]) / "data" / "Default.csv")


TASKS = {"breast_cancer": (breast_cancer, "tumour"), "credit_default": (credit_default, "default")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one epoch, no cross-validation")
    parser.add_argument("--write", metavar="FOLDER", type=Path, help="write the tables, and stop")
    arguments = parser.parse_args()
    for name, (read, target) in TASKS.items():
        table = read()
        if arguments.write:
            table.write_csv(arguments.write / f"{name}.csv")
            continue
        quick = {"epochs": 1, "hidden": (8,), "members": 2} if arguments.quick else {"cv": 5}
        options = cr.tables.TableOptions(target=target, balance=True, **quick)
        report = cr.tables.train_table(table, options, progress=False).report
        others = ", ".join(f"{n} {m['roc_auc']:.4f}" for n, m in report["baselines"].items())
        print(f"{name}: ROC AUC {report['metrics']['roc_auc']:.4f} ({others})")


if __name__ == "__main__":
    main()
