#!/usr/bin/env python3
"""Checks the scripts of the repository, what the image says of itself, and what documents say of either.

usage: check.py [--binary PATH]

- Every script says with --help what it is for and does nothing else; a flag that it does not know ends it with 2.
- Labels of Dockerfile.scratch are those of Cargo.toml, and the documented ways to build pass the commit.
- Links, paths, log lines, metrics, some figures and the program's commands in documents are as the sources have them.

Those that need packages find them in PYTHONPATH, as tests/run sets it.
"""
import argparse, json, os, re, subprocess, sys, tempfile
from pathlib import Path

if {"-h", "--help"} & set(sys.argv[1:]):
    sys.exit(print(__doc__.strip()))

from documents import check_documents

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ["deploy", "tests", ".ci"]
# What scripts act by. In the tests each of these only leaves a mark.
ACTS = ["apt-get", "awk", "buildah", "cargo", "cmp", "cp", "curl", "docker", "env", "git", "helm", "kubectl", "mkdir", "mktemp",
        "mv", "openssl", "pip", "podman", "python3", "readelf", "realpath", "rm", "rustc", "tee", "timeout"]
# The licence of the whole image: that of the crate. Title and description as in the chart.
LABELS = {"title", "description", "licenses", "version", "revision"}


def scripts():
    """Files that are run as programs."""
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and "target" not in path.parts and path.read_bytes()[:3] == b"#!/":
                yield path


def run(path, words, folder):
    """(exit code, output, errors, what was done) of a script in an empty folder."""
    shims, home, done = folder / "shims", folder / "home", folder / "done"
    for place in (shims, home):
        place.mkdir(exist_ok=True)
    for name in ACTS:
        shim = shims / name
        shim.write_text(f'#!/bin/sh\necho {name} "$@" >> {done}\n')
        shim.chmod(0o755)
    env = {"PATH": f"{shims}:/usr/bin:/bin", "HOME": str(home), "CARGO_TARGET_DIR": str(home / "target"),
           "PYTHONPATH": os.environ.get("PYTHONPATH", ""), "PYTHONDONTWRITEBYTECODE": "1"}
    is_python = path.read_text().startswith("#!/usr/bin/env python3")
    command = [sys.executable, path] if is_python else [re.search(r"\w+$", path.read_text().splitlines()[0])[0], path]
    told = subprocess.run([*command, *words], cwd=home, env=env, text=True, capture_output=True, timeout=60, stdin=subprocess.DEVNULL)
    acts = done.read_text().splitlines() if done.exists() else []
    acts += [f"{p} was written" for p in home.iterdir()]
    return told.returncode, told.stdout, told.stderr, acts


def summary(path):
    """The first words of what a script is for: its comment or its documentation."""
    text = path.read_text()
    found = re.search(r'^"""(.*)', text, re.M) if "python3" in text.splitlines()[0] else re.search(r"\A#!.*\n# (.*)", text)
    return found[1].strip() if found else "a comment on top"


def check_scripts():
    found = list(scripts())
    yield "there are scripts", [] if len(found) >= 20 else [f"{len(found)}"]
    for path in found:
        name = path.relative_to(ROOT)
        for words in (["--help"], ["-h"], ["word", "--help"], ["--no-such-flag"], ["word", "--no-such-flag"]):
            with tempfile.TemporaryDirectory() as folder:
                code, out, err, acts = run(path, words, Path(folder))
            problems = [f"it did something: {act}" for act in acts]
            if words[-1] == "--no-such-flag":
                if code != 2 or not ("usage:" in err or words[-1] in err):
                    problems.append(f"ends with {code}: {err.strip()}")
            elif code != 0 or summary(path) not in out or err:
                problems.append(f"ends with {code}: {out.strip()[:200]} {err.strip()[-200:]}")
            yield f"{name} {' '.join(words)}", problems
    for path, words in [("deploy/certificate", []), ("deploy/certificate", [""]), ("deploy/certificate", ["a", "b"]),
                        ("deploy/image", ["a", "b", "c"]), ("deploy/static", ["amd64", "a", "b"]), ("deploy/static", ["sparc"])]:
        with tempfile.TemporaryDirectory() as folder:
            code, _, err, acts = run(ROOT / path, words, Path(folder))
        yield f"{path} with {words}", acts + ([] if code == 2 and err else [f"ends with {code}: {err}"])


def check_image():
    crate = dict(re.findall(r'^(\w+) = "(.*)"$', (ROOT / "Cargo.toml").read_text().split("\n[", 2)[0], re.M))
    dockerfile = (ROOT / "Dockerfile.scratch").read_text()
    build, last = re.split(r"(?m)^FROM scratch$", dockerfile)
    labels = {name: json.loads(value) for name, value in re.findall(r'org\.opencontainers\.image\.(\w+)=(".*?")', last)}
    want = {"title": crate["name"], "description": crate["description"], "licenses": crate["license"], "version": crate["version"],
            "revision": "${COMMIT}"}
    yield "labels are those of the crate", [] if labels == want else [f"{labels}, not {want}"]
    for stage, text in (("the build", build), ("the image", last)):
        yield f"{stage} knows COMMIT", [] if re.search(r"(?m)^ARG COMMIT$", text) else ["no ARG"]
    places = [ROOT / name for name in ("README.md", "docs/install.md", "Dockerfile.scratch")]
    for place in places:
        lines = re.sub(r"\\\n#? *", "", place.read_text()).splitlines()
        builds = [line for line in lines if "docker buildx build" in line]
        lacking = [line for line in builds if "--build-arg COMMIT=" not in line]
        yield f"{place.name} passes the commit", lacking or ([] if builds else ["no build"])
    passes = "COMMIT=" in (ROOT / "deploy/image").read_text() and "--build-arg COMMIT= " not in (ROOT / "deploy/image").read_text()
    yield "deploy/image passes the commit", [] if passes else ["it does not"]


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    args.add_argument("--binary", default=target / "debug/vault-injector")
    args = args.parse_args()
    passed = failed = 0
    for check in (check_scripts(), check_image(), check_documents(args.binary)):
        for name, problems in check:
            passed, failed = passed + (not problems), failed + bool(problems)
            for problem in problems:
                print(f"WRONG {name}: {problem}")
    print(f"scripts: {passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
