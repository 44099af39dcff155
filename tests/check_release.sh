#!/bin/sh
# Builds both packages into dist/ and tests them where there is no repository, on every supported Python that is here.
# What it needs beside the project comes from the package index; build/release holds it.
set -eu
repository=$(cd "$(dirname "$0")/.." && pwd)
tools="$repository/build/release"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$repository"
install() {
    environment=$1
    shift
    "$environment/bin/python" -m pip install --quiet --disable-pip-version-check --constraint constraints.txt "$@"
}

echo "packages: built, described, the same from the source package"
rm -rf dist
.venv/bin/python -m build --no-isolation --outdir dist . >"$folder/build.log" 2>&1 || { cat "$folder/build.log"; exit 1; }
.venv/bin/python -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation \
    --wheel-dir "$folder/again" dist/invlearn-*.tar.gz
cmp "$folder"/again/invlearn-*.whl dist/invlearn-*.whl
python3 -m venv "$tools"
"$tools/bin/python" -m pip install --quiet --disable-pip-version-check twine cyclonedx-bom
# cffconvert asks for a reader of YAML that no longer builds; with a newer one it works.
python3 -m venv "$tools/cff"
"$tools/cff/bin/python" -m pip install --quiet --disable-pip-version-check click docopt python-dateutil requests \
    ruamel.yaml 'jsonschema<4'
"$tools/cff/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps cffconvert pykwalify
"$tools/bin/twine" check --strict dist/invlearn-*
"$tools/cff/bin/cffconvert" --validate --infile CITATION.cff
version=$(.venv/bin/python -c "import tomllib; print(tomllib.load(open('pyproject.toml', 'rb'))['project']['version'])")
grep -q "^version: $version\$" CITATION.cff || { echo "CITATION.cff is of another version than $version"; exit 1; }
grep -q "^## \[$version\] - 20" CHANGELOG.md || { echo "CHANGELOG.md has no version $version with its date"; exit 1; }

mkdir "$folder/source"
tar xzf dist/invlearn-*.tar.gz -C "$folder/source" --strip-components=1
rm -r "$folder/source/invlearn" "$folder/source/conf"  # the tests are to meet what is installed
tested=""
for name in ${PYTHONS:-python3.11 python3.12 python3.13}; do
    "$name" -c "" 2>/dev/null || { echo "$name is not here"; continue; }
    echo "$name: the wheel is installed in an empty environment, and passes the tests of the command line"
    "$name" -m venv "$folder/$name"
    install "$folder/$name" "$(echo dist/invlearn-*.whl)[data,export,sklearn,parallel]" hypothesis pytest pytest-xdist
    "$folder/$name/bin/python" -m pip check
    (cd "$folder/source" && "$folder/$name/bin/python" -m pytest -q -n "${WORKERS:-2}" tests/cli --ignore tests/cli/test_paper.py)
    tested="$tested $name"
done
[ -n "$tested" ] || { echo "there is no supported Python here"; exit 1; }

echo "dependencies: their versions and licences go into dist/invlearn-$version.cdx.json"
first=$(echo $tested | cut -d' ' -f1)
"$first" -m venv "$folder/plain"
install "$folder/plain" dist/invlearn-*.whl
"$tools/bin/cyclonedx-py" environment --pyproject pyproject.toml --output-reproducible \
    --output-file "dist/invlearn-$version.cdx.json" "$folder/plain/bin/python"
echo "release: $version, tested on$tested"
