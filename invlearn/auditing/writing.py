"""The files of an audit."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from invlearn.auditing.audit import Audit
from invlearn.auditing.page import page
from invlearn.auditing.pictures import pictures
from invlearn.system.storage import write_atomically

__all__ = ["write_audit"]


def write_audit(audit: Audit, folder: Path) -> list[str]:
    """Write ``audit.json``, ``audit.md``, plots and ``metamers.csv``; each replaces an earlier one atomically.

    Returns:
        Names of the files.

    Raises:
        UserError: One cannot be written.
    """
    drawn = dict(pictures(audit))
    shown = "\n".join(f"![{Path(name).stem}]({name})" for name in drawn)
    files = {
        "audit.json": (json.dumps(audit.to_dict(), indent=1, allow_nan=False) + "\n").encode(),
        "audit.md": f"{page(audit)}\n{shown}\n".encode(),
        **drawn,
    }
    if audit.trial is not None and len(audit.trial.most_telling):
        files["metamers.csv"] = _metamers(audit).to_csv(index=False).encode()
    for name, content in files.items():
        write_atomically(folder / name, content)
    return list(files)


def _metamers(audit: Audit) -> pd.DataFrame:
    """Two rows for each target: the target, and the metamer of its code that is farthest from it.

    A feature with the name of another column gets the prefix ``feature_``.
    """
    trial = audit.trial
    assert trial is not None
    far = trial.apart if trial.apart is not None else trial.from_known
    assert far is not None
    name = "true_distance" if trial.apart is not None else "distance_from_known"
    own = ["pair", "kind", "code_distance", name]
    features = list(audit.data.features)
    while taken := set(own) & set(features):
        features = [f"feature_{one}" if one in taken else one for one in features]
    rows = []
    for number, index in enumerate(trial.most_telling.tolist()):
        found = {"code_distance": float(trial.found.distance[index]), name: float(far[index])}
        pair = {"target": trial.targets[index], "metamer": trial.found.x[index]}
        for kind, x in pair.items():
            numbers = found if kind == "metamer" else dict.fromkeys(found, 0.0)
            rows.append([number, kind, *numbers.values(), *x.tolist()])
    return pd.DataFrame(rows, columns=[*own, *features])
