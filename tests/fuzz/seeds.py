#!/usr/bin/env python3
"""Writes the seeds of every fuzz target, and their dictionaries, from the recorded vectors.

usage: seeds.py FOLDER
"""
import argparse
import hashlib
import json
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests/golden"
args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
args.add_argument("folder", type=pathlib.Path)
OUT = args.parse_args().folder


def lines(name):
    with open(GOLDEN / name, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def seed(target, content):
    folder = OUT / "seeds" / target
    folder.mkdir(parents=True, exist_ok=True)
    content = content.encode()
    (folder / hashlib.sha256(content).hexdigest()[:16]).write_bytes(content)


def dictionary(target, words):
    words = {word for word in words if 1 < len(word) <= 64 and re.fullmatch(r"[ -~]+", word)}
    quoted = ('"' + re.sub(r'(["\\])', r"\\\1", word) + '"\n' for word in sorted(words))
    (OUT / f"{target}.dict").write_text("".join(quoted))


def texts(value):
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner)
    elif isinstance(value, str):
        yield value


# What READERS of checks/documents.rs takes at each place.
CONFIGURATION, MANIFESTS, REPLY, STATE, SMALL, YAML, FORMATS, TINY, PATCH = map(chr, range(9))

words = set()
for vector in lines("injector.jsonl"):
    request = vector["request"]
    words.update(texts(request))
    seed("review", json.dumps(request, separators=(",", ":")))
    pod = request.get("request", {}).get("object")
    if isinstance(pod, dict):
        seed("review", json.dumps(pod, separators=(",", ":")))
        seed("documents", MANIFESTS + json.dumps({"kind": "Pod", **pod}))
    for config in vector["expect"].get("config", {}).values():
        seed("documents", CONFIGURATION + json.dumps(config, indent=1))
        words.update(texts(config))
dictionary("review", words)

for name in ["template.jsonl", "template-more.jsonl"]:
    head, *rows = lines(name)
    for text in head["data"]["secrets_text"].values():
        seed("documents", REPLY + text)
        seed("replies", "\0\0\1" + text)
        seed("documents", YAML + text)
        seed("documents", FORMATS + json.dumps(json.loads(text).get("data")))
        response = {"version": 1, "config": "c", "granted": 1699999990000, "mounts": [{"path": "kv/", "kv2": True}]}
        response["token"] = {"client_token": "t", "lease_duration": 3600, "renewable": True}
        reading = json.loads(text)
        response["had"] = [{"kind": "read", "path": "kv/a", "at": 1699999991000, "reading": reading}]
        seed("documents", STATE + json.dumps(response))
    for row in rows:
        settings = chr(4 if row.get("strict") else 0)
        seed("template", settings + row["t"])
        words.update(re.findall(r"\w+", row["t"]))

functions = (ROOT / "docs").glob("*functions*.md")
names = {name for page in functions for name in re.findall(r"`(\w+)", page.read_text())}
operators = ["{{", "}}", "{{-", "-}}", ":=", "range ", "with ", "define ", "template ", "block ", "else ", "end", "break"]
dictionary("template", names | set(operators) | {f"{name} " for name in names})
dictionary("documents", words)

HCL = 'pid_file = "/p"\nauto_auth {\n method "kubernetes" {\n  mount_path = "auth/k"\n  config = {\n   role = "r"\n  }\n }\n sink "file" {\n  config { path = "/s" }\n }\n}\ntemplate {\n contents = <<EOT\n{{ x }}\nEOT\n destination = "/d" # c\n}\nvault { address = "https://v" tls_skip_verify = true }\n'
seed("documents", CONFIGURATION + HCL)
MANIFEST = """apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  template:
    metadata:
      annotations: &a
        vault.hashicorp.com/agent-inject: "true"
        vault.hashicorp.com/role: app
    spec:
      containers:
      - name: app
        args: ["a", 'b', |
          c]
---
kind: List
items: [{kind: CronJob, spec: {jobTemplate: {spec: {template: {metadata: {annotations: *a}}}}}}]
"""
seed("documents", MANIFESTS + MANIFEST.replace(", |\n          c", ""))
for text in [MANIFEST, "a: &x [1, 0o7, 1_0, .5, ~, yes]\n? b\n: *x\n<<: {c: !!str 1}\nd: >-\n  e\n\n  f\ng: |+\n h\n\n", "- 'a'\n- \"\\u00e9\\\n  b\"\n"]:
    seed("documents", YAML + text)
for text in ["1h2m3.5s", "-1.5us", "9223372036854775807ns", "2d", "30", "kv/data/x?version=3", "/a//b%2f", "raw:a.b"]:
    seed("documents", SMALL + text)
for text in ["{password | sh} {{ if t }}a{{ else }}b{{ endif }}", "{{ for x in list }}{x | json}{{ endfor }}\\{", "{map.k}\n---\n{\"map\":{\"k\":[1]}}"]:
    seed("documents", TINY + text)
PATCHES = [{"op": op, "path": "/a/1", "from": "/b", "value": {"x": None}} for op in ["add", "replace", "remove", "move", "copy", "test"]]
seed("documents", PATCH + json.dumps({"doc": {"a": [1, 2], "b": {"c~/": 1}}, "patch": PATCHES}))
for patch in PATCHES:
    seed("documents", PATCH + json.dumps({"doc": {"a": [1, 2], "b": {"c~/": 1}}, "patch": [patch]}))

# Choices of the fuzzer: any bytes will do.
for i in range(64):
    seed("annotations", "".join(chr((i * 37 + j * 11) % 127) for j in range(4 + i * 2)))
