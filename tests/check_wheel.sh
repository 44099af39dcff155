#!/bin/sh
# Builds the wheel, installs it into a new environment in an empty folder, and trains with it there.
set -eu
repository=$(cd "$(dirname "$0")/.." && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

"$repository/.venv/bin/python" -m build --wheel --no-isolation --outdir "$folder/dist" "$repository" >"$folder/build.log" 2>&1 \
    || { cat "$folder/build.log"; exit 1; }
cd "$folder"
"${PYTHON:-python3}" -m venv installed
installed/bin/python -m pip install --quiet --disable-pip-version-check \
    --constraint "$repository/constraints.txt" dist/invlearn-*.whl
mkdir empty
cd empty
../installed/bin/invlearn train dataset=twopart model=extended preset=smoke hydra.run.dir=run
test -f run/curves.png
../installed/bin/invlearn evaluate run >/dev/null
../installed/bin/invlearn report run -o report.html
../installed/bin/python -c "
import invlearn
run = invlearn.load_run('run')
assert run.encode(run.family.pairs('test', 0).x)[0].shape == (500, 10)
assert '/installed/' in invlearn.__file__
"
echo "wheel: installed and trained in an empty folder"
